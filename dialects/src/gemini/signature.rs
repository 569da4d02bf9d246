//! Signatures over thoughts, carried between vendors. Gemini's own go through other dialects under a mark. Other vendors'
//! go through Gemini's dialect in a `thoughtSignature`, thoughts and all: its clients send that back unchanged with the
//! part that it stands on, while many let the thoughts themselves go.

use std::ops::Range;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::unsigned_calls;
use crate::hub::Content;
use crate::json_places::{member, text};
use crate::mark::{GEMINIS as OURS, WRAPPED_WIRE};
use crate::thoughts::{Fate, ThoughtPlaces};
use crate::vendors::{self, UNSIGNED};
use crate::verbatim::Edit;

/// The first bytes of another vendor's thoughts.
const WRAPPED: &[u8] = b"sluicegate:";

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
/// Google's Python SDK reads either alphabet and writes this one.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The places of other vendors' thoughts in a call that Google itself is sent.
pub(super) static PLACES: ThoughtPlaces = ThoughtPlaces {
    may_hold: |seen| seen.carried,
    turns: b"contents",
    parts: Some(b"parts"),
    whole_turn: false,
    fate,
    without_own: Some(unsigned_calls::signed),
};

/// A part whose signature wraps another vendor's thoughts has none; a call of a tool says so, where it has to have one.
fn fate(body: &Bytes, part: Range<usize>, model: &str) -> Fate {
    let names: [&[u8]; 2] = [b"thoughtSignature", b"thought_signature"];
    let is_wrapped = |name: &&[u8]| text(body, part.clone(), name).is_some_and(|wire| wire.starts_with(WRAPPED_WIRE));
    let Some(name) = names.into_iter().find(is_wrapped) else { return Fate::Stays };
    let Some(value) = member(body, part.clone(), name) else { return Fate::Stays };
    let calls = [&b"functionCall"[..], b"function_call"].iter().any(|name| member(body, part.clone(), name).is_some());
    if calls && vendors::gemini(model).signed_calls {
        return Fate::Becomes(Edit::write(value, format!("\"{UNSIGNED}\"")));
    }
    let name_at = body.get(part.start..value.start).and_then(|before| memchr::memmem::rfind(before, name));
    name_at.map_or(Fate::Stays, |at| Fate::Becomes(Edit::remove(part.start + at - 1..value.end)))
}

/// A signed or encrypted thought of another vendor's.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Thought {
    Encrypted { data: String },
    Signed { thinking: String, signature: String },
}

/// The thoughts that a `thoughtSignature` stands for.
#[derive(Debug)]
pub(super) enum SignedThoughts {
    /// One of Gemini's that is nothing but signed.
    Own(Content),
    /// Another vendor's, which came before the part that carries them.
    Carried(Vec<Content>),
}

impl SignedThoughts {
    /// Those that stand before a text, and those behind it. Gemini signs the middle of one, which what it signed ends; what
    /// others signed came before, and they refuse it anywhere else.
    pub(super) fn around_text(signed: Option<Self>) -> (Vec<Content>, Vec<Content>) {
        match signed {
            None => (Vec::new(), Vec::new()),
            Some(Self::Own(thought)) => (Vec::new(), vec![thought]),
            Some(Self::Carried(thoughts)) => (thoughts, Vec::new()),
        }
    }

    /// All of them, to stand before what is no text.
    pub(super) fn all(signed: Option<Self>) -> Vec<Content> {
        let (before, behind) = Self::around_text(signed);
        if before.is_empty() { behind } else { before }
    }
}

/// Reads a `thoughtSignature`.
pub(super) fn read(wire: &str) -> SignedThoughts {
    let bytes = STANDARD.decode(wire).or_else(|_| URL_SAFE.decode(wire)).unwrap_or_default();
    let thoughts = bytes.strip_prefix(WRAPPED).and_then(|json| serde_json::from_slice::<Vec<Thought>>(json).ok());
    let Some(thoughts) = thoughts else {
        return SignedThoughts::Own(Content::Thinking {
            text: String::new(),
            signature: Some(format!("{OURS}{wire}")),
        });
    };
    let content = |thought| match thought {
        Thought::Encrypted { data } => Content::RedactedThinking(data),
        Thought::Signed { thinking, signature } => Content::Thinking { text: thinking, signature: Some(signature) },
    };
    SignedThoughts::Carried(thoughts.into_iter().map(content).collect())
}

/// A signature as Gemini itself takes it; `None`: it is another vendor's.
pub(super) fn own(signature: &str) -> Option<&str> {
    signature.strip_prefix(OURS)
}

/// Thoughts that wait for the part whose `thoughtSignature` takes them to a caller.
#[derive(Debug, Default)]
pub(super) struct Pending(Vec<Content>);

impl Pending {
    /// Takes what has to come back; unsigned thoughts need not.
    pub(super) fn add(&mut self, content: &Content) {
        if matches!(content, Content::Thinking { signature: Some(_), .. } | Content::RedactedThinking(_)) {
            self.0.push(content.clone());
        }
    }

    /// The `thoughtSignature` of the next part, if it is to have one.
    pub(super) fn take(&mut self) -> Option<String> {
        let contents = std::mem::take(&mut self.0);
        let ours = contents.iter().rev().find_map(|content| match content {
            Content::Thinking { signature: Some(signature), .. } => own(signature).map(str::to_owned),
            _ => None,
        });
        if ours.is_some() {
            return ours;
        }
        let thoughts: Vec<Thought> = contents.into_iter().filter_map(thought).collect();
        if thoughts.is_empty() {
            return None;
        }
        let json = serde_json::to_vec(&thoughts).unwrap_or_default();
        Some(STANDARD.encode([WRAPPED, &json].concat()))
    }
}

fn thought(content: Content) -> Option<Thought> {
    match content {
        Content::Thinking { text, signature } => Some(Thought::Signed { thinking: text, signature: signature? }),
        Content::RedactedThinking(data) => Some(Thought::Encrypted { data }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(contents: &[Content]) -> Vec<(String, Option<String>)> {
        let tell = |content: &Content| match content {
            Content::Thinking { text, signature } => (text.clone(), signature.clone()),
            Content::RedactedThinking(data) => (data.clone(), None),
            other => panic!("{other:?}"),
        };
        contents.iter().map(tell).collect()
    }

    #[test]
    fn thoughts_come_back_as_they_were_in_either_alphabet() {
        let thoughts = [
            Content::Thinking { text: "ünï?>~".into(), signature: Some("EqoBCkgIAxABGAIiQL8~?>".into()) },
            Content::Thinking { text: "unsigned".into(), signature: None },
            Content::RedactedThinking("abc".into()),
        ];
        let mut pending = Pending::default();
        thoughts.iter().for_each(|thought| pending.add(thought));
        let wire = pending.take().unwrap();
        let expected = told(&[thoughts[0].clone(), thoughts[2].clone()]);
        for wire in [wire.clone(), wire.replace('+', "-").replace('/', "_").replace('=', "")] {
            assert_eq!(told(&SignedThoughts::all(Some(read(&wire)))), expected);
            let (before, behind) = SignedThoughts::around_text(Some(read(&wire)));
            assert_eq!((told(&before), behind.len()), (expected.clone(), 0), "they came before the text");
        }
        assert!(pending.take().is_none());
    }

    #[test]
    fn geminis_own_are_marked_elsewhere_and_as_they_were_at_home() {
        for wire in ["CpcBAdHtim9=", "not base64!"] {
            let (before, read) = SignedThoughts::around_text(Some(read(wire)));
            assert!(before.is_empty(), "it may be in the middle of a text");
            assert_eq!(told(&read), [(String::new(), Some(format!("gemini:{wire}")))]);
            let mut pending = Pending::default();
            read.iter().for_each(|thought| pending.add(thought));
            assert_eq!(pending.take().as_deref(), Some(wire));
        }
    }
}
