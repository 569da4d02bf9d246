//! An answer that breaks off, and what somebody else needs to go on with it: what has been said, the call that asks for the rest, and
//! the rest as a part of the answer that was begun.

mod body;
mod joint;
mod rest;
mod said;

pub use crate::go_on::PROMPT;
pub(crate) use body::{AnswerPlace, gone_on};
pub use rest::RestOfAnswer;
pub use said::SaidSoFar;
