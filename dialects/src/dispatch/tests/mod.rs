//! The engines with every dialect that they are for.

mod answer;
mod count;
mod fold;
mod observe;
mod peek;
mod usage;
