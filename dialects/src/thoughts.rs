//! Thoughts that the gateway itself has carried between vendors: under a mark in the place where the caller's dialect keeps its own
//! vendor's. A vendor can only read what it has signed or encrypted itself and refuses all else, so whoever is sent the
//! conversation next gets its own, and the others' are left out.

use std::ops::Range;

use bytes::Bytes;

use crate::json_places::{elements, member};
use crate::mark::{GEMINIS, SEALED, SeenMarks};
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
