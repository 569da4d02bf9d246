//! The walls of the house, as ordinary tests: who may depend on whom, how long a file may be, what the documents name.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod arrows;
mod dialects;
mod documents;
mod fuzzing;
mod kinds;
mod sizes;
mod tree;
mod words;
