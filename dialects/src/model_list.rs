//! A list of models, cut into the pages that are asked for: the parts that do not depend on a dialect.

use crate::codec::Refusal;

/// A model of the list: its name, and since when it is there (seconds since 1970).
pub type ListedModel = (String, i64);

/// Writes the list, or the part of it that a query asks for.
type WriteList = fn(models: &[ListedModel], query: Option<&str>) -> Result<Vec<u8>, Refusal>;

/// The shape in which a dialect writes models.
#[derive(Clone, Copy)]
pub(crate) struct ModelShape {
    /// One model.
    pub(crate) one: fn(&str, i64) -> Vec<u8>,
    /// The list, or the part of it that a query asks for. Errors: the query makes no sense.
    pub(crate) list: WriteList,
}
