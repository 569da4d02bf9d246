//! The models behind an answer, where its call let others have a part in it than its own: the one that gave the answer, and those that
//! were asked besides.

use std::ops::Range;

use crate::hub::Usage;
use crate::json_places::member;
use crate::passes::Passes;

/// The models behind one answer, as far as it has said them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnsweredBy {
    /// The model that gave it, by its vendor's name.
    pub model: Option<String>,
    /// The tokens of other models, which are part of the answer's usage.
    pub beside: Vec<(String, Usage)>,
}

impl AnsweredBy {
    /// Those of a whole answer.
    #[must_use]
    pub fn of_whole(answer: &[u8]) -> Self {
        let mut by = Self::default();
        by.read(answer);
        by
    }

    /// Reads a whole answer, or the next event of a stream. What comes later counts.
    pub(crate) fn read(&mut self, json: &[u8]) {
        // Most events of a stream name no model.
        if memchr::memmem::find(json, b"\"model\"").is_none() {
            return;
        }
        let whole = 0..json.len();
        // Events tell of the answer as a part of theirs.
        let within = [&b"message"[..], b"response"].map(|name| member(json, whole.clone(), name));
        for place in within.into_iter().flatten().chain([whole.clone()]) {
            self.model = text(json, place.clone(), b"model").or(self.model.take());
            let passes = member(json, place, b"usage").and_then(|usage| member(json, usage, b"iterations"));
            passes.into_iter().for_each(|list| self.take(json, list));
        }
        // In mid-stream another model goes on (Anthropic).
        if let Some(block) = member(json, whole, b"content_block")
            && text(json, block.clone(), b"type").as_deref() == Some("fallback")
        {
            let next = member(json, block, b"to").and_then(|next| text(json, next, b"model"));
            self.model = next.or(self.model.take());
        }
    }

    fn take(&mut self, json: &[u8], list: Range<usize>) {
        let list = json.get(list).and_then(|list| std::str::from_utf8(list).ok()).unwrap_or_default();
        let Passes { fallback, apart } = Passes::read(list);
        self.model = fallback.or(self.model.take());
        let named = apart.into_iter().filter_map(|(model, usage)| Some((model?, usage)));
        self.beside = named.collect();
    }
}

/// The text of a member, whatever it is written with.
fn text(json: &[u8], object: Range<usize>, name: &[u8]) -> Option<String> {
    let text: String = serde_json::from_slice(json.get(member(json, object, name)?)?).ok()?;
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_behind_an_answer_are_read_wherever_it_says_them() {
        let of = |events: &[&str]| {
            let mut by = AnsweredBy::default();
            events.iter().for_each(|event| by.read(event.as_bytes()));
            by.model.unwrap_or_default()
        };
        for (events, model) in [
            (&[r#"{"id":"1","model":"openai\/o1","choices":[{"message":{"model":"x"}}]}"#][..], "openai/o1"),
            (&[r#"{"model":"a","choices":[]}"#, r#"{"model":"","choices":[]}"#], "a"),
            (&[r#"{"type":"message_start","message":{"model":"a"}}"#, r#"{"type":"ping"}"#], "a"),
            (
                &[
                    r#"{"type":"message_start","message":{"model":"a"}}"#,
                    r#"{"type":"content_block_start","content_block":{"type":"fallback","from":{"model":"a"},"to":{"model":"b"}}}"#,
                ],
                "b",
            ),
            (
                &[
                    r#"{"type":"message_start","message":{"model":"a"}}"#,
                    r#"{"type":"message_delta","usage":{"iterations":[{"type":"fallback_message","model":"c"}]}}"#,
                ],
                "c",
            ),
            (&[r#"{"type":"response.created","response":{"model":"a"}}"#], "a"),
            (&[r#"{"content_block":{"type":"text","model":"x"}}"#, r#"["model"]"#, r#"{"model":1}"#], ""),
        ] {
            assert_eq!(of(events), model, "{events:?}");
        }
        let by = AnsweredBy::of_whole(
            br#"{"model":"a","usage":{"input_tokens":1,"iterations":[{"type":"advisor_message","model":"b","input_tokens":4,"output_tokens":5},{"type":"compaction","input_tokens":2}]}}"#,
        );
        let used = Usage { input: 4, output: 5, ..Usage::default() };
        assert_eq!((by.model.as_deref(), by.beside), (Some("a"), vec![("b".to_owned(), used)]));
    }
}
