//! Checks of what must hold for bodies that keys are made of, and for what Redis holds in an entry's place.

mod entry;
mod key;

pub use entry::check as entry;
pub use key::check as key;
