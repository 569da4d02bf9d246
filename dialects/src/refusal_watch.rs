//! A watch over the beginning of a stream: whether it is an answer, or nothing but the refusal of a content filter. A filter says so in
//! the reason for which the answer ends, with nothing before it, in whichever dialect.

use std::fmt;

use crate::dialect::Dialect;
use crate::dispatch::StreamDecoder;
use crate::hub::{Delta, Event, PartKind, Stop};

/// Looks at a provider's bytes until it is known what they are.
pub struct RefusalWatch {
    decoder: StreamDecoder,
    events: Vec<Event>,
    /// True while the part that comes is the words of a refusal.
    refuses: bool,
    standing: WatchStanding,
}

/// That which is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WatchStanding {
    /// Nothing yet.
    Open,
    /// An answer, or an error.
    Answer,
    /// Nothing but a refusal.
    Refusal,
}

impl fmt::Debug for RefusalWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalWatch").field("standing", &self.standing).finish_non_exhaustive()
    }
}

impl RefusalWatch {
    /// At the beginning of a stream of this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self { decoder: dialect.stream_decoder(), events: Vec::new(), refuses: false, standing: WatchStanding::Open }
    }

    /// Looks at the next bytes, cut anywhere. What can not be read is no refusal.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.standing != WatchStanding::Open {
            return;
        }
        let read = self.decoder.push(bytes, &mut self.events);
        self.look();
        if read.is_err() && self.standing == WatchStanding::Open {
            self.standing = WatchStanding::Answer;
        }
    }

    /// The bytes have come to their end.
    pub fn finish(&mut self) {
        if self.standing == WatchStanding::Open {
            let _ = self.decoder.finish(&mut self.events);
            self.look();
        }
    }

    /// True as long as it may be either.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.standing == WatchStanding::Open
    }

    /// True if it is nothing but a refusal.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.standing == WatchStanding::Refusal
    }

    /// The memory that an unfinished event takes.
    #[must_use]
    pub fn held(&self) -> usize {
        if self.is_open() { self.decoder.held() } else { 0 }
    }

    fn look(&mut self) {
        for event in self.events.drain(..) {
            if let Event::PartStart { kind, .. } = &event {
                self.refuses = matches!(kind, PartKind::Refusal);
            }
            let is_nothing = match &event {
                Event::Start { .. } | Event::PartEnd { .. } | Event::Usage(_) | Event::Alive | Event::Other { .. } => {
                    true
                }
                // Parts that begin empty are no answer yet, nor are the words of a refusal.
                Event::PartStart { kind, .. } => {
                    matches!(kind, PartKind::Text | PartKind::Refusal | PartKind::Thinking)
                }
                Event::Delta { delta: Delta::Text(text), .. } => text.is_empty() || self.refuses,
                Event::Delta { .. } | Event::Finish { .. } | Event::Error(_) | Event::End => false,
            };
            if !is_nothing {
                let is_refusal = matches!(event, Event::Finish { stop: Stop::Refusal, .. });
                self.standing = if is_refusal { WatchStanding::Refusal } else { WatchStanding::Answer };
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(dialect: Dialect, stream: &str) -> WatchStanding {
        let mut at_once = RefusalWatch::new(dialect);
        at_once.push(stream.as_bytes());
        at_once.finish();
        let mut split = RefusalWatch::new(dialect);
        stream.as_bytes().iter().for_each(|byte| split.push(std::slice::from_ref(byte)));
        split.finish();
        assert_eq!(split.standing, at_once.standing, "{stream}");
        at_once.standing
    }

    #[test]
    fn a_stream_that_a_filter_ends_before_any_token_is_a_refusal_in_every_dialect() {
        let chunk = |delta: &str, finish: &str| {
            format!(
                "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
            )
        };
        let role = chunk(r#"{"role":"assistant","content":""}"#, "null");
        let text = chunk(r#"{"content":"half"}"#, "null");
        let filtered = chunk("{}", "\"content_filter\"");
        let done = "data: [DONE]\n\n";
        let anthropic = |block: &str, stop: &str| {
            format!(
                "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{{\"input_tokens\":3,\"output_tokens\":1}}}}}}\n\n{block}event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{stop}\",\"stop_sequence\":null}},\"usage\":{{\"output_tokens\":1}}}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
            )
        };
        let block = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"half\"}}\n\n";
        for (dialect, stream, expected) in [
            (Dialect::OpenAiChat, format!("{role}{filtered}{done}"), WatchStanding::Refusal),
            (Dialect::OpenAiChat, format!("{role}{text}{filtered}{done}"), WatchStanding::Answer),
            (Dialect::OpenAiChat, format!("{role}{}{done}", chunk("{}", "\"stop\"")), WatchStanding::Answer),
            (Dialect::AnthropicMessages, anthropic("", "refusal"), WatchStanding::Refusal),
            (Dialect::AnthropicMessages, anthropic(block, "refusal"), WatchStanding::Answer),
            (Dialect::AnthropicMessages, anthropic("", "end_turn"), WatchStanding::Answer),
            (
                Dialect::Gemini,
                "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":3,\"totalTokenCount\":3},\"modelVersion\":\"g\"}\r\n\r\n".to_owned(),
                WatchStanding::Refusal,
            ),
            (
                Dialect::Gemini,
                "data: {\"candidates\":[{\"index\":0,\"finishReason\":\"SAFETY\"}],\"modelVersion\":\"g\"}\r\n\r\n".to_owned(),
                WatchStanding::Refusal,
            ),
            (
                Dialect::Gemini,
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"half\"}],\"role\":\"model\"},\"index\":0,\"finishReason\":\"SAFETY\"}],\"modelVersion\":\"g\"}\r\n\r\n".to_owned(),
                WatchStanding::Answer,
            ),
            (
                Dialect::OpenAiResponses,
                "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"object\":\"response\",\"created_at\":1,\"status\":\"in_progress\",\"model\":\"m\",\"output\":[]}}\n\nevent: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"sequence_number\":1,\"response\":{\"id\":\"r\",\"object\":\"response\",\"created_at\":1,\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"content_filter\"},\"model\":\"m\",\"output\":[]}}\n\n".to_owned(),
                WatchStanding::Refusal,
            ),
            (Dialect::OpenAiChat, "data: {\"error\":{\"message\":\"x\"}}\n\n".to_owned(), WatchStanding::Answer),
            (Dialect::OpenAiChat, "data: no json\n\n".to_owned(), WatchStanding::Answer),
            (Dialect::OpenAiChat, role, WatchStanding::Open),
        ] {
            assert_eq!(standing(dialect, &stream), expected, "{stream}");
        }
    }
}
