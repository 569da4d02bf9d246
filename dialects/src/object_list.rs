//! The objects of a list: read in one pass with it where it is short.

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::json::{Object, Path};

/// A list of objects up to this is read in one pass. Objects that nobody has looked at take many times the room of their text, so of
/// longer ones it is one object at a time that is read.
const SMALL: usize = 64 << 10;

impl<'a> Object<'a> {
    /// A list of objects. Errors: it is no list; that one of them is no object is said when its turn comes.
    pub(crate) fn objects(&mut self, name: &str, at: &Path<'_>) -> Result<Option<ObjectList<'a>>, Refusal> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        let read = Some(raw.get()).filter(|json| json.len() <= SMALL).and_then(|json| serde_json::from_str(json).ok());
        if let Some(objects) = read {
            return Ok(Some(ObjectList::Read(objects)));
        }
        let list = serde_json::from_str(raw.get()).map_err(|_| at.field(name).refuse("must be an array"))?;
        Ok(Some(ObjectList::Unread(list)))
    }
}

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
