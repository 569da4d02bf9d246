//! The policy for top-level fields on their way to a provider.

use std::collections::BTreeMap;

/// The policy for top-level fields on their way to a provider, by name.
pub type FieldPolicy = BTreeMap<String, FieldAction>;

/// The policy for a top-level field on its way to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldAction {
    /// It goes on as it is, also where a rule or a row would leave it out.
    Pass,
    /// It is left out.
    Drop,
    /// A call that has it is refused; one that says `null` asks for nothing, and goes without it.
    Refuse,
    /// It goes on under another name.
    Rename(String),
}
