//! A stream that passes, read and written once more behind it: so there is a writer that stands where the caller stands, should somebody
//! else have to go on.

use crate::codec::StreamOptions;
use crate::continuation::SaidSoFar;
use crate::dialect::Dialect;
use crate::dispatch::{StreamDecoder, StreamEncoder};
use crate::hub::Event;

/// The shadow of a stream that passes.
#[derive(Debug)]
pub struct StreamShadow {
    decoder: StreamDecoder,
    encoder: StreamEncoder,
    said: SaidSoFar,
    events: Vec<Event>,
    written: Vec<u8>,
}

impl StreamShadow {
    /// At a stream's beginning.
    #[must_use]
    pub fn new(dialect: Dialect, options: StreamOptions) -> Self {
        let (mut decoder, encoder) = (dialect.stream_decoder(), dialect.stream_encoder(options));
        decoder.follow();
        Self { decoder, encoder, said: SaidSoFar::default(), events: Vec::new(), written: Vec::new() }
    }

    /// Follows the next bytes. What they say before an error is written anew, and given back.
    pub fn follow(&mut self, bytes: &[u8]) -> &[u8] {
        self.written.clear();
        if self.decoder.push(bytes, &mut self.events).is_err() {
            self.said.lose();
        }
        for event in self.events.drain(..).take_while(|event| !matches!(event, Event::Error(_))) {
            self.said.note(&event);
            self.encoder.push(&event, &mut self.written);
        }
        &self.written
    }

    /// The part that has been said.
    #[must_use]
    pub const fn said(&self) -> &SaidSoFar {
        &self.said
    }

    /// Something has passed that it has not seen.
    pub fn lose(&mut self) {
        self.said.lose();
    }

    /// The memory that it takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.decoder.held() + self.encoder.held() + self.said.held() + self.written.capacity()
    }

    /// The writer that stands where the caller stands, and what has been said until there.
    #[must_use]
    pub fn into_writer(self) -> (StreamEncoder, SaidSoFar) {
        let Self { decoder, mut encoder, said, .. } = self;
        decoder.followed().into_iter().for_each(|followed| encoder.go_on_from(followed));
        (encoder, said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Delta, PartKind, Stop};

    #[test]
    fn a_text_that_was_told_whole_is_closed_once_and_what_follows_is_another_one() {
        let event = |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\",{rest}}}\n\n");
        let at = "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0";
        let passed = [
            event(
                "response.created",
                r#""sequence_number":0,"response":{"id":"resp_1","model":"m","status":"in_progress","output":[]}"#,
            ),
            event(
                "response.output_item.added",
                r#""sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_1","content":[]}"#,
            ),
            event(
                "response.content_part.added",
                &format!(r#""sequence_number":2,{at},"part":{{"type":"output_text","text":""}}"#),
            ),
            event("response.output_text.delta", &format!(r#""sequence_number":3,{at},"delta":"one""#)),
            event("response.output_text.done", &format!(r#""sequence_number":4,{at},"text":"one""#)),
        ];
        let closed = event(
            "response.content_part.done",
            &format!(r#""sequence_number":5,{at},"part":{{"type":"output_text","text":"one"}}"#),
        );
        for is_closed in [false, true] {
            let mut shadow = StreamShadow::new(Dialect::OpenAiResponses, StreamOptions::default());
            shadow.follow(passed.concat().as_bytes());
            if is_closed {
                shadow.follow(closed.as_bytes());
            }
            assert_eq!(shadow.said().text(), Some("one"));
            let (mut writer, said) = shadow.into_writer();
            let mut rest = crate::continuation::RestOfAnswer::new(&said, false, None);
            let (mut events, mut out) = (Vec::new(), Vec::new());
            for event in [
                Event::PartStart { choice: 0, part: 0, kind: PartKind::Text },
                Event::Delta { choice: 0, part: 0, delta: Delta::Text(" two".to_owned()) },
                Event::PartEnd { choice: 0, part: 0 },
                Event::Finish { choice: 0, stop: Stop::End },
                Event::End,
            ] {
                rest.push(event, &mut events);
            }
            events.iter().for_each(|event| writer.push(event, &mut out));
            let text = String::from_utf8(out).unwrap();
            let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: response.")).collect();
            let rest = [
                "content_part.added",
                "output_text.delta",
                "output_text.done",
                "content_part.done",
                "output_item.done",
                "completed",
            ];
            let wanted = if is_closed { rest.to_vec() } else { [&["content_part.done"], &rest[..]].concat() };
            assert_eq!(names, wanted, "{text}");
            assert!(text.contains("\"content_index\":1"), "{text}");
            let first = if is_closed { "\"sequence_number\":6," } else { "\"sequence_number\":5," };
            assert!(text.lines().nth(1).unwrap().contains(first), "{text}");
        }
    }
}
