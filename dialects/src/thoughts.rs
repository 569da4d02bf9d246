//! Thoughts that the gateway itself has carried between vendors: under a mark in the place where the caller's dialect keeps its own
//! vendor's. A vendor can only read what it has signed or encrypted itself and refuses all else, so whoever is sent the
//! conversation next gets its own, and the others' are left out.

use std::ops::Range;

use bytes::Bytes;

use crate::mark::{GEMINIS, SEALED, SeenMarks};
use crate::scan;
use crate::verbatim::{Edit, splice};

/// True if only the vendor named in a signature's mark can read it.
pub(crate) fn is_marked(signature: &str) -> bool {
    signature.starts_with(GEMINIS) || signature.starts_with(SEALED)
}

/// The fate of a part of a conversation.
pub(crate) enum Fate {
    /// It goes on as it came.
    Stays,
    /// It is left out.
    Goes,
    /// These bytes of it are others.
    Becomes(Edit),
}

/// The places of a dialect's thoughts.
pub(crate) struct ThoughtPlaces {
    /// Says whether a body in which these marks were seen may hold another vendor's thoughts. Most do not.
    pub(crate) may_hold: fn(SeenMarks) -> bool,
    /// The list of turns or items.
    pub(crate) turns: &'static [u8],
    /// The list of parts in a turn; `None`: the items themselves are the parts.
    pub(crate) parts: Option<&'static [u8]>,
    /// True if a turn has nothing beside these parts: one that has lost all of them is none any longer.
    pub(crate) whole_turn: bool,
    /// Says what becomes of a part that the model named takes.
    pub(crate) fate: fn(&Bytes, Range<usize>, &str) -> Fate,
}

/// The body without thoughts that its provider can not read; itself, uncopied, where there are none.
pub(crate) fn disown(body: &Bytes, seen: SeenMarks, model: &str, places: &ThoughtPlaces) -> Bytes {
    if !(places.may_hold)(seen) {
        return body.clone();
    }
    let mut edits = Vec::new();
    for turn in member(body, 0..body.len(), places.turns).map(|list| elements(body, list)).unwrap_or_default() {
        match places.parts {
            None => take(turn.clone(), (places.fate)(body, turn, model), &mut edits),
            Some(name) => {
                let parts = member(body, turn.clone(), name).map(|list| elements(body, list)).unwrap_or_default();
                let mut inner = Vec::new();
                for part in &parts {
                    take(part.clone(), (places.fate)(body, part.clone(), model), &mut inner);
                }
                let gone = inner.iter().filter(|edit| edit.removes()).count();
                if places.whole_turn && gone > 0 && gone == parts.len() {
                    edits.push(Edit::remove(turn));
                } else {
                    edits.append(&mut inner);
                }
            }
        }
    }
    splice(body, &edits)
}

fn take(part: Range<usize>, fate: Fate, edits: &mut Vec<Edit>) {
    match fate {
        Fate::Stays => {}
        Fate::Goes => edits.push(Edit::remove(part)),
        Fate::Becomes(edit) => edits.push(edit),
    }
}

/// The place of an object's member; `None`: it has none of that name, or is no object.
pub(crate) fn member(body: &[u8], object: Range<usize>, wanted: &[u8]) -> Option<Range<usize>> {
    let json = body.get(object.clone())?;
    let mut found = None;
    scan::members(json, |name, value| {
        if name == wanted {
            found = Some(object.start + value.start..object.start + value.end);
        }
    })
    .ok()?;
    found
}

/// The text of a member, where it is one without escapes: marks have none.
pub(crate) fn text<'a>(body: &'a [u8], object: Range<usize>, name: &[u8]) -> Option<&'a str> {
    let json = body.get(member(body, object, name)?)?;
    std::str::from_utf8(json).ok()?.strip_prefix('"')?.strip_suffix('"')
}

/// The places of the objects in a list.
pub(crate) fn elements(body: &[u8], list: Range<usize>) -> Vec<Range<usize>> {
    let json = body.get(list).and_then(|json| serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(json).ok());
    let place = |element: &serde_json::value::RawValue| {
        let start = (element.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        start..start + element.get().len()
    };
    json.unwrap_or_default().into_iter().map(place).collect()
}
