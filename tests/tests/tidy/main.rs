//! The walls of the house, as ordinary tests: who may depend on whom, how long a file may be, what the documents name.

mod arrows;
mod documents;
mod sizes;
mod tree;
