//! Thoughts that the gateway itself has carried between vendors: under a mark in the place where the caller's dialect keeps its own
//! vendor's. A vendor can only read what it has signed or encrypted itself and refuses all else, so whoever is sent the
//! conversation next gets its own, and the others' are left out.

use std::ops::Range;

use bytes::Bytes;

use crate::hub::{Content, Message, Role};
use crate::json_places::{elements, member};
use crate::mark::{GEMINIS, SEALED, SeenMarks};
use crate::verbatim::{Edit, splice};

/// True if only the vendor named in a signature's mark can read it.
pub(crate) fn is_marked(signature: &str) -> bool {
    signature.starts_with(GEMINIS) || signature.starts_with(SEALED)
}

/// True if a budget for thinking is taken: where the model's last turn called tools, Anthropic wants it to begin with
/// the thoughts that it has signed. Without them the call goes without thinking, rather than not at all.
pub(crate) fn may_think(messages: &[Message]) -> bool {
    let said = |role| role == Role::Assistant;
    let Some(last) = messages.iter().rposition(|message| said(message.role)) else { return true };
    // Turns of the model's in a row are one.
    let before = messages.iter().take(last).rposition(|message| !said(message.role)).map_or(0, |at| at + 1);
    let turn = messages.get(before..=last).unwrap_or_default();
    // What is not told to Anthropic stands nowhere.
    let mut told = turn.iter().flat_map(|message| &message.parts).map(|part| &part.content).filter(|content| {
        is_signed(content)
            || !matches!(content, Content::Thinking { .. } | Content::RedactedThinking(_))
                && !matches!(content, Content::Text { text, .. } | Content::Refusal(text) if text.trim().is_empty())
    });
    told.clone().next().is_some_and(is_signed) || !told.any(|content| matches!(content, Content::ToolCall(_)))
}

/// True if it is a thought that its vendor has signed or encrypted, and no vendor is named that alone can read it.
fn is_signed(content: &Content) -> bool {
    match content {
        Content::Thinking { text: _, signature } => signature.as_ref().is_some_and(|signature| !is_marked(signature)),
        Content::RedactedThinking(data) => !is_marked(data),
        _ => false,
    }
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
    /// The body as the model named takes it, which asks for its own thoughts where another vendor's model has answered; itself, uncopied,
    /// where it has all of them. `None`: no model asks for any here.
    pub(crate) without_own: Option<fn(&Bytes, SeenMarks, &str) -> Bytes>,
}

/// The body without thoughts that its provider can not read, as the model takes it then; itself, uncopied, where there are none.
pub(crate) fn disown(body: &Bytes, seen: SeenMarks, model: &str, places: &ThoughtPlaces) -> Bytes {
    let body = without_others(body, seen, model, places);
    places.without_own.map_or_else(|| body.clone(), |fit| fit(&body, seen, model))
}

fn without_others(body: &Bytes, seen: SeenMarks, model: &str, places: &ThoughtPlaces) -> Bytes {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Part, ToolCall};

    fn turn(role: Role, contents: Vec<Content>) -> Message {
        Message::new(role, contents.into_iter().map(Part::new).collect())
    }

    fn thinks(contents: Vec<Content>) -> bool {
        let result = Content::ToolResult { call_id: "c".into(), parts: Vec::new(), is_error: false };
        may_think(&[
            turn(Role::User, vec![text("go")]),
            turn(Role::Assistant, contents),
            turn(Role::User, vec![result]),
        ])
    }

    fn text(text: &str) -> Content {
        Content::Text { text: text.into(), citations: None }
    }

    fn thought(signature: Option<&str>) -> Content {
        Content::Thinking { text: "deep".into(), signature: signature.map(str::to_owned) }
    }

    #[test]
    fn a_turn_that_called_tools_begins_with_signed_thoughts_or_there_are_none() {
        let call = || Content::ToolCall(ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into() });
        assert!(thinks(vec![thought(Some("S")), text("I will look."), call()]));
        assert!(thinks(vec![Content::RedactedThinking("R".into()), call()]));
        assert!(thinks(vec![text("\n"), thought(None), thought(Some("gemini:S")), thought(Some("S")), call()]));
        assert!(thinks(vec![text("Done.")]));
        assert!(!thinks(vec![text("I will look."), thought(Some("S")), call()]));
        assert!(!thinks(vec![thought(Some("gemini:S")), call()]));
        assert!(!thinks(vec![thought(None), call()]));
    }
}
