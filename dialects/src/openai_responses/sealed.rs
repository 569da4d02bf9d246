//! Thoughts of a model, in a reasoning item's `encrypted_content`: clients that keep nothing at the provider send it back
//! unread, so other vendors' signatures come back in it.
//!
//! It is no secret, and nothing is decided by it: who changes it has a signature that its vendor refuses. In the other
//! direction the encrypted content of an OpenAI model is the signature of a thinking block.

use bytes::Bytes;
use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::compaction;
use super::packed::{pack, unpack};
use crate::hub::Content;
use crate::json_places::{member, text};
use crate::mark::SeenMarks;
use crate::thoughts::{self, Fate, ThoughtPlaces};
use crate::verbatim::Edit;

/// The beginning of other vendors' thoughts in `encrypted_content`.
pub(crate) const MARK: &str = "sluicegate.t1.";
/// The beginning of OpenAI's reasoning items in a signature.
const ITEM_MARK: &str = "sluicegate.r1.";

/// The places of other vendors' thoughts in a call that OpenAI itself is sent, which would look for their ids in its own store.
pub(super) static PLACES: ThoughtPlaces = ThoughtPlaces {
    may_hold: |seen| seen.carried,
    turns: b"input",
    parts: None,
    whole_turn: true,
    fate: |body, item, _| match text(body, item.clone(), b"encrypted_content") {
        Some(content) if content.starts_with(MARK) => Fate::Goes,
        Some(content) => compaction::turn(item, content).map_or(Fate::Stays, Fate::Becomes),
        None => Fate::Stays,
    },
    without_own: None,
};

/// The body without any reasoning item that holds encrypted thoughts, whoever has made them.
pub(crate) fn without_encrypted_thoughts(body: &Bytes) -> Bytes {
    static ALL: ThoughtPlaces = ThoughtPlaces {
        may_hold: |_| true,
        fate: |body, item, _| {
            let is_thought = text(body, item.clone(), b"type") == Some("reasoning");
            let has_any = text(body, item, b"encrypted_content").is_some_and(|content| !content.is_empty());
            if is_thought && has_any { Fate::Goes } else { Fate::Stays }
        },
        ..PLACES
    };
    let without = thoughts::disown(body, SeenMarks::default(), "", &ALL);
    if without.len() == body.len() { without } else { without_ids(&without) }
}

/// The body whose turns and calls have no ids: the vendor knows by them which thought belongs to which, and refuses an item without its own.
fn without_ids(body: &Bytes) -> Bytes {
    static IDS: ThoughtPlaces = ThoughtPlaces {
        may_hold: |_| true,
        fate: |body, item, _| {
            let kind = text(body, item.clone(), b"type");
            let is_paired = matches!(kind, Some("message" | "function_call" | "custom_tool_call"));
            let id = member(body, item.clone(), b"id").filter(|_| is_paired);
            let name = id.as_ref().and_then(|id| memmem::rfind(body.get(item.start..id.start)?, b"\"id\""));
            match name.zip(id) {
                Some((name, id)) => Fate::Becomes(Edit::remove(item.start + name..id.end)),
                None => Fate::Stays,
            }
        },
        ..PLACES
    };
    thoughts::disown(body, SeenMarks::default(), "", &IDS)
}

#[derive(Serialize, Deserialize)]
struct SealedThought {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    redacted: Option<String>,
}

/// Thoughts, with their signature where they have one.
pub(super) fn thought(text: &str, signature: Option<&str>) -> String {
    let signature = signature.filter(|signature| !signature.is_empty()).map(str::to_owned);
    pack(MARK, &SealedThought { text: Some(text.to_owned()), signature, redacted: None })
}

/// Thoughts that their provider has encrypted.
pub(super) fn redacted(data: &str) -> String {
    pack(MARK, &SealedThought { text: None, signature: None, redacted: Some(data.to_owned()) })
}

/// The thoughts that were put in; `None`: it is another's.
pub(super) fn open(encrypted: &str) -> Option<Content> {
    let thought: SealedThought = unpack(MARK, encrypted)?;
    Some(match thought {
        SealedThought { redacted: Some(data), .. } => Content::RedactedThinking(data),
        SealedThought { text, signature, redacted: None } => {
            Content::Thinking { text: text.unwrap_or_default(), signature }
        }
    })
}

/// A reasoning item of OpenAI's, as far as it has to come back.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnThought {
    pub(super) id: String,
    pub(super) encrypted_content: String,
}

impl OwnThought {
    /// As the signature of a thinking block.
    pub(super) fn signature(&self) -> String {
        pack(ITEM_MARK, self)
    }

    /// Out of a signature; `None`: it is another's.
    pub(super) fn of_signature(signature: &str) -> Option<Self> {
        unpack(ITEM_MARK, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_and_what_is_anothers_does_not() {
        let opened = open(&thought("hm “ok”", Some("sig=="))).unwrap();
        assert!(
            matches!(opened, Content::Thinking { text, signature: Some(sig) } if text == "hm “ok”" && sig == "sig==")
        );
        assert!(matches!(open(&thought("x", None)).unwrap(), Content::Thinking { signature: None, .. }));
        assert!(matches!(open(&redacted("abc")).unwrap(), Content::RedactedThinking(data) if data == "abc"));
        for other in ["", "gAAAAAB", MARK, "sluicegate.t1.!!", "sluicegate.t1.e30x", "sluicegate.r1.e30"] {
            assert!(open(other).is_none(), "{other}");
        }
        let own = OwnThought { id: "rs_1".into(), encrypted_content: "gAAAA".into() };
        assert_eq!(OwnThought::of_signature(&own.signature()), Some(own));
        assert_eq!(OwnThought::of_signature("EqQBCgIYAhIM"), None);
    }

    #[test]
    fn what_is_encrypted_can_be_left_out_and_nothing_else_is() {
        let of = |items: &str| {
            let body = Bytes::from(format!("{{\"input\": [{items}],\"store\":false}}"));
            String::from_utf8(without_encrypted_thoughts(&body).to_vec()).unwrap()
        };
        let said = r#"{"type":"message","content":"a"}"#;
        let thought = r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAA"}"#;
        let rest = r#"{"type":"reasoning","summary":[],"encrypted_content":null}, {"type":"compaction","encrypted_content":"gAAAA"}"#;
        assert_eq!(
            of(&format!("{said}, {thought},{rest}")),
            format!("{{\"input\": [{said}, {rest}],\"store\":false}}")
        );
        assert_eq!(of(rest), format!("{{\"input\": [{rest}],\"store\":false}}"));
        // What belonged to a thought says no longer which.
        let call = r#"{"type":"function_call", "id" : "fc_1","call_id":"call_1","name":"f","arguments":"{\"id\":1}"}"#;
        let said = r#"{"id":"msg_1","type":"message","content":[{"type":"output_text","text":"a"}]}"#;
        let others =
            r#"{"type":"function_call_output","id":"fco_1","call_id":"call_1"},{"type":"web_search_call","id":"ws_1"}"#;
        let bare = [call.replace(r#""id" : "fc_1","#, ""), said.replace(r#""id":"msg_1","#, "")].join(",");
        assert_eq!(
            of(&format!("{thought},{call},{said},{others}")),
            format!("{{\"input\": [{bare},{others}],\"store\":false}}")
        );
        assert_eq!(of(&format!("{call},{said}")), format!("{{\"input\": [{call},{said}],\"store\":false}}"));
    }
}
