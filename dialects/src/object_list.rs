//! The objects of a list: read in one pass with it where it is short.

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::json::{Object, Path};

/// The objects of a list.
pub(crate) enum ObjectList<'a> {
    /// The members of each, read in one pass with the list.
    Read(Vec<Object<'a>>),
    /// A list that is long, or of which one is no object.
    Unread(Vec<&'a RawValue>),
}

impl<'a> ObjectList<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Read(list) => list.len(),
            Self::Unread(list) => list.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each with its place in the list, which stands at `at`. Errors: as [`Object::read`].
    pub(crate) fn each(self, at: &Path<'_>) -> impl Iterator<Item = Result<(usize, Object<'a>), Refusal>> {
        let (read, unread) = match self {
            Self::Read(list) => (list, Vec::new()),
            Self::Unread(list) => (Vec::new(), list),
        };
        let read = (0..).zip(read).map(move |(index, object)| Ok((index, object.each_once(&at.index(index))?)));
        read.chain((0..).zip(unread).map(move |(index, raw)| Ok((index, Object::read(raw.get(), &at.index(index))?))))
    }
}
