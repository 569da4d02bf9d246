//! The cluster as it is known: resources, what is published of them, who names whom, and what is to be looked at again.
//!
//! Watches write it, a pass of `reconcile` reads it. Everything is held in its smallest form: text, not trees, and
//! nothing that no pass asks for.

mod facts;
mod index;
mod key;
mod owner;
mod ownership;
mod publication;
mod published;
mod queue;
mod resources;
mod scope;
mod secret;
mod taken;
mod token;

pub use facts::{Facts, Stamp};
pub use index::{Index, Named};
pub use key::{Key, parts};
pub use owner::OwnerChange;
pub use published::{MANAGER, Name, ObjectTemplate, Published, generated_labels};
pub use queue::Queue;
pub use resources::{Object, Shared, World};
pub use scope::{Lists, Scope, Source, Watched};
pub use secret::ReadSecret;
pub use taken::TakenFields;
