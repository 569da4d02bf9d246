//! A watch over the beginning of a stream: whether it is an answer, or nothing but the refusal of a content filter. A filter says so in
//! the reason for which the answer ends, with nothing before it, in whichever dialect. A guardrail says its own words first, in one
//! piece: where there may be one, a first piece of text waits for what follows it.

use std::fmt;

use crate::dialect::Dialect;
use crate::dispatch::StreamDecoder;
use crate::hub::{Delta, Event, PartKind, Stop};
use crate::spoke::GuardrailWord;

/// Looks at a provider's bytes until it is known what they are.
pub struct RefusalWatch {
    decoder: StreamDecoder,
    events: Vec<Event>,
    /// True while the part that comes is the words of a refusal.
    refuses: bool,
    /// True while the part that comes is text.
    is_text: bool,
    /// True if a first piece of text waits for what follows it, as a guardrail may have said it.
    waits: bool,
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
        Self {
            decoder: dialect.stream_decoder(),
            events: Vec::new(),
            refuses: false,
            is_text: false,
            waits: false,
            standing: WatchStanding::Open,
        }
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

    /// True if text has come that is an answer's, unless a guardrail has said it: what follows it tells.
    #[must_use]
    pub fn has_text(&self) -> bool {
        self.is_open() && self.waits
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
                self.is_text = matches!(kind, PartKind::Text);
            }
            let guardrail = self.decoder.guardrail();
            if matches!(&event, Event::Delta { delta: Delta::Text(text), .. } if !text.is_empty())
                && self.is_text
                && guardrail != GuardrailWord::Never
                && !std::mem::replace(&mut self.waits, true)
            {
                continue;
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
                let is_refusal = matches!(event, Event::Finish { stop: Stop::Refusal, .. })
                    && (!self.waits || guardrail == GuardrailWord::Spoken);
                self.standing = if is_refusal { WatchStanding::Refusal } else { WatchStanding::Answer };
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_stream::{self, MessageKind};

    fn standing(dialect: Dialect, stream: &[u8]) -> WatchStanding {
        let mut at_once = RefusalWatch::new(dialect);
        at_once.push(stream);
        at_once.finish();
        let mut split = RefusalWatch::new(dialect);
        stream.iter().for_each(|byte| split.push(std::slice::from_ref(byte)));
        split.finish();
        assert_eq!(split.standing, at_once.standing, "{}", stream.escape_ascii());
        at_once.standing
    }

    /// The reason why an answer ended.
    fn stop(dialect: Dialect, stream: &[u8]) -> Option<Stop> {
        let (mut decoder, mut events) = (dialect.stream_decoder(), Vec::new());
        decoder.push(stream, &mut events).unwrap();
        decoder.finish(&mut events).unwrap();
        assert!(matches!(events.last(), Some(Event::End)));
        events.into_iter().find_map(|event| if let Event::Finish { stop, .. } = event { Some(stop) } else { None })
    }

    #[test]
    fn what_a_guardrail_says_in_one_piece_is_no_answer() {
        const MASKED: &str =
            r#"{"trace":{"guardrail":{"outputAssessments":{"g":[{"piiEntities":[{"action":"ANONYMIZED"}]}]}}}}"#;
        let converse = |pieces: &[&str], reason: &str, metadata: &str| {
            let mut stream = Vec::new();
            let mut say = |name: &str, data: &str| {
                event_stream::write(MessageKind::Event, name, data.as_bytes(), &mut stream);
            };
            say("messageStart", r#"{"role":"assistant"}"#);
            for piece in pieces {
                say("contentBlockDelta", &format!(r#"{{"contentBlockIndex":0,"delta":{{"text":"{piece}"}}}}"#));
            }
            say("contentBlockStop", r#"{"contentBlockIndex":0}"#);
            say("messageStop", &format!(r#"{{"stopReason":"{reason}"}}"#));
            say("metadata", metadata);
            stream
        };
        let invoke = |pieces: &[&str], first: &str, last: &str| {
            let mut stream = Vec::new();
            let mut say = |data: &str| event_stream::write_chunk(data.as_bytes(), &mut stream);
            say(&format!(
                r#"{{"type":"message_start","message":{{"id":"m","type":"message","role":"assistant","model":"c","content":[],"stop_reason":null,"usage":{{"input_tokens":3,"output_tokens":1}}{first}}}}}"#
            ));
            say(r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#);
            for piece in pieces {
                say(&format!(
                    r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{piece}"}}}}"#
                ));
            }
            say(r#"{"type":"content_block_stop","index":0}"#);
            say(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}"#);
            say(&format!(r#"{{"type":"message_stop"{last}}}"#));
            stream
        };
        const INTERVENED: &str = r#","amazon-bedrock-guardrailAction":"INTERVENED""#;
        const NONE: &str = r#","amazon-bedrock-guardrailAction":"NONE""#;
        let (one, two) = (&["Sorry."][..], &["Half of", " an answer. Sorry."][..]);
        let (converse_is, invoke_is) = (Dialect::BedrockConverse, Dialect::BedrockInvoke);
        for (dialect, stream, expected, why) in [
            (converse_is, converse(one, "guardrail_intervened", "{}"), WatchStanding::Refusal, Stop::Refusal),
            // What the caller has of it by then is told to end in a refusal.
            (converse_is, converse(two, "guardrail_intervened", "{}"), WatchStanding::Answer, Stop::Refusal),
            (converse_is, converse(one, "guardrail_intervened", MASKED), WatchStanding::Answer, Stop::End),
            (converse_is, converse(one, "content_filtered", "{}"), WatchStanding::Answer, Stop::Refusal),
            (converse_is, converse(one, "end_turn", "{}"), WatchStanding::Answer, Stop::End),
            (converse_is, converse(two, "end_turn", "{}"), WatchStanding::Answer, Stop::End),
            (invoke_is, invoke(one, "", INTERVENED), WatchStanding::Refusal, Stop::Refusal),
            (invoke_is, invoke(one, INTERVENED, ""), WatchStanding::Refusal, Stop::Refusal),
            (invoke_is, invoke(two, "", INTERVENED), WatchStanding::Answer, Stop::Refusal),
            (invoke_is, invoke(one, "", NONE), WatchStanding::Answer, Stop::End),
            (invoke_is, invoke(two, "", ""), WatchStanding::Answer, Stop::End),
        ] {
            assert_eq!(standing(dialect, &stream), expected, "{}", stream.escape_ascii());
            assert_eq!(stop(dialect, &stream), Some(why), "{}", stream.escape_ascii());
        }
    }

    #[test]
    fn a_first_piece_waits_for_what_follows_it_where_there_are_guardrails() {
        let mut stream = Vec::new();
        event_stream::write(MessageKind::Event, "messageStart", br#"{"role":"assistant"}"#, &mut stream);
        let mut watch = RefusalWatch::new(Dialect::BedrockConverse);
        watch.push(&stream);
        assert!(watch.is_open() && !watch.has_text());
        for more in [true, false] {
            let mut stream = Vec::new();
            let delta = br#"{"contentBlockIndex":0,"delta":{"text":"Hm."}}"#;
            event_stream::write(MessageKind::Event, "contentBlockDelta", delta, &mut stream);
            watch.push(&stream);
            assert_eq!((watch.is_open(), watch.has_text()), (more, more));
        }
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
            (Dialect::OpenAiChat, format!("{role}{}{done}", chunk("{}", "\"sensitive\"")), WatchStanding::Refusal),
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
            assert_eq!(standing(dialect, stream.as_bytes()), expected, "{stream}");
        }
    }
}
