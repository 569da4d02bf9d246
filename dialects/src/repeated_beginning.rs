//! The beginning of an answer that its caller has given, and that some servers say once more at the beginning of their answer: others do
//! not, and callers put the two together.

use crate::hub::{Call, Content, Delta, Event, PartKind, Reply, Role};
use crate::vendors::LookAlike;

/// Takes the repeated beginning out of one answer.
#[derive(Debug)]
pub struct RepeatedBeginning {
    /// The beginning.
    beginning: String,
    /// So much of it has been said; `None`: it is behind, or was never said.
    said: Option<usize>,
    /// The part of text that is growing.
    part: Option<(u32, u32)>,
}

impl RepeatedBeginning {
    /// Of an answer to this call by a server of this make, if it says one.
    #[must_use]
    pub fn of(call: &Call, row: &LookAlike) -> Option<Self> {
        row.prefill.filter(|mark| mark.echoes)?;
        let last = call.messages.last().filter(|last| last.role == Role::Assistant)?;
        let text = |content: &Content| match content {
            Content::Text { text, citations: _ } => Some(text.clone()),
            _ => None,
        };
        let beginning: String = last.parts.iter().filter_map(|part| text(&part.content)).collect();
        (!beginning.is_empty()).then_some(Self { beginning, said: Some(0), part: None })
    }

    /// Takes it out of a whole answer.
    pub fn strip(mut self, reply: &mut Reply) {
        let parts = reply.choices.iter_mut().flat_map(|choice| &mut choice.parts);
        let text = parts.filter_map(|part| match &mut part.content {
            Content::Text { text, citations: _ } => Some(text),
            _ => None,
        });
        for text in text.take(1) {
            let rest = self.behind(text);
            *text = format!("{}{rest}", self.half());
        }
    }

    /// Gives what the next event of a streamed one tells beside it.
    pub fn sift(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::PartStart { choice, part, kind } => {
                self.part = matches!(kind, PartKind::Text).then_some((choice, part));
                out.push(Event::PartStart { choice, part, kind });
            }
            Event::Delta { choice, part, delta: Delta::Text(text) } if self.part == Some((choice, part)) => {
                let text = self.behind(&text);
                if !text.is_empty() {
                    out.push(Event::Delta { choice, part, delta: Delta::Text(text) });
                }
            }
            Event::PartEnd { choice, part } => {
                let half = if self.part == Some((choice, part)) { self.half() } else { String::new() };
                if !half.is_empty() {
                    out.push(Event::Delta { choice, part, delta: Delta::Text(half) });
                }
                out.push(Event::PartEnd { choice, part });
            }
            event => out.push(event),
        }
    }

    /// The text without what it has of the beginning. What turns out to be none of it is told, with what was taken for it.
    fn behind(&mut self, text: &str) -> String {
        let Some(said) = self.said else { return text.to_owned() };
        let awaited = self.beginning.get(said..).unwrap_or_default();
        if let Some(rest) = text.strip_prefix(awaited) {
            self.said = None;
            return rest.to_owned();
        }
        if awaited.starts_with(text) {
            self.said = Some(said + text.len());
            return String::new();
        }
        self.said = None;
        // Blanks at its end may be left out, or stand before what follows.
        let shared = awaited.char_indices().zip(text.chars()).find(|((_, one), other)| one != other);
        let at = shared.map_or(awaited.len().min(text.len()), |((at, _), _)| at);
        if awaited.get(at..).unwrap_or_default().trim().is_empty() {
            return text.get(at..).unwrap_or_default().to_owned();
        }
        format!("{}{text}", self.beginning.get(..said).unwrap_or_default())
    }

    /// The words that were taken for the beginning, of an answer that ends in the midst of it.
    fn half(&mut self) -> String {
        let said = self.said.take().filter(|said| *said > 0);
        let is_whole = |said: usize| self.beginning.get(said..).unwrap_or_default().trim().is_empty();
        said.filter(|said| !is_whole(*said)).and_then(|said| self.beginning.get(..said)).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    fn engine(beginning: &str) -> Option<RepeatedBeginning> {
        let body = serde_json::json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "x"}, {"role": "assistant", "content": beginning},
        ]});
        let call = Dialect::AnthropicMessages.decode_call(body.to_string().as_bytes()).unwrap();
        RepeatedBeginning::of(&call, &LookAlike::named("Mistral").unwrap())
    }

    fn told(beginning: &str, pieces: &[&str]) -> String {
        let mut engine = engine(beginning).unwrap();
        let mut out = Vec::new();
        engine.sift(Event::PartStart { choice: 0, part: 0, kind: PartKind::Text }, &mut out);
        for piece in pieces {
            engine.sift(Event::Delta { choice: 0, part: 0, delta: Delta::Text((*piece).to_owned()) }, &mut out);
        }
        engine.sift(Event::PartEnd { choice: 0, part: 0 }, &mut out);
        let text = |event: Event| match event {
            Event::Delta { delta: Delta::Text(text), .. } => text,
            _ => String::new(),
        };
        out.into_iter().map(text).collect()
    }

    #[test]
    fn the_beginning_is_told_once_however_it_comes() {
        for (beginning, pieces, rest) in [
            ("One, ", &["One, two"][..], "two"),
            ("One, ", &["On", "e, two", " One, "], "two One, "),
            ("One, ", &["One,", " two"], "two"),
            ("One, ", &["One,", "two"], "two"),
            ("One", &["One"], ""),
            ("One", &["Two"], "Two"),
            ("One", &["O", "ther"], "Other"),
            ("One", &["On"], "On"),
            ("Ähm", &["Ä", "hm, ja"], ", ja"),
        ] {
            assert_eq!(told(beginning, pieces), rest, "{beginning} {pieces:?}");
            let body = serde_json::json!({"id": "c", "model": "m", "choices": [
                {"index": 0, "message": {"role": "assistant", "content": pieces.concat()}, "finish_reason": "stop"},
            ]});
            let mut reply = Dialect::OpenAiChat.decode_reply(body.to_string().as_bytes()).unwrap();
            engine(beginning).unwrap().strip(&mut reply);
            let Content::Text { text, .. } = &reply.choices[0].parts[0].content else { panic!("no text") };
            assert_eq!(text, rest, "{beginning} {pieces:?}");
        }
    }

    #[test]
    fn nobody_else_says_one() {
        assert!(engine("").is_none());
        let body = br#"{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":"a"},{"role":"user","content":"x"}]}"#;
        let call = Dialect::AnthropicMessages.decode_call(body).unwrap();
        assert!(RepeatedBeginning::of(&call, &LookAlike::named("Mistral").unwrap()).is_none());
        let body = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"a"}]}"#;
        let call = Dialect::AnthropicMessages.decode_call(body).unwrap();
        assert!(RepeatedBeginning::of(&call, &LookAlike::default()).is_none());
    }
}
