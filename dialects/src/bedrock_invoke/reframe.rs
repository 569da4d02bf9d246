//! Streams that change only their framing on the way: Anthropic's events from chunks into server-sent events, and back. An answer that
//! a guardrail stands in for ends in a refusal among server-sent events, whose readers know of no guardrail.

use bytes::Bytes;

use super::{error, stream};
use crate::anthropic_messages;
use crate::codec::{Malformed, StreamOptions};
use crate::content_policy;
use crate::frames::FrameDecoder;
use crate::sse;

/// Puts the events of a stream into the other framing.
#[derive(Debug)]
pub struct Reframer {
    frames: FrameDecoder,
    into_chunks: bool,
    /// True if a guardrail stands in for the answer.
    guarded: bool,
    /// The event that says why the answer ended, until the next one: a guardrail's word may come with that.
    closing: Option<Vec<u8>>,
}

#[derive(serde::Deserialize)]
struct Typed<'a> {
    #[serde(borrow, default)]
    r#type: std::borrow::Cow<'a, str>,
}

impl Reframer {
    pub(crate) fn new(into_chunks: bool) -> Self {
        let frames = if into_chunks { FrameDecoder::default() } else { FrameDecoder::of_messages() };
        Self { frames, into_chunks, guarded: false, closing: None }
    }

    /// Takes the next bytes, cut anywhere, and appends the events that they complete in the other framing.
    ///
    /// # Errors
    /// An event is too large or damaged; those before it are there.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let Self { frames, into_chunks, guarded, closing } = self;
        frames.push(bytes, |frame| {
            if *into_chunks {
                stream::chunk(frame, out);
                return Ok(());
            }
            *guarded |= content_policy::is_guardrails_chunk(frame.data);
            close(closing, *guarded, out);
            if let Some(error) = error::of_event(frame.name, frame.data) {
                (anthropic_messages::SPOKE.stream_encoder)(StreamOptions::default()).error(&error, out);
                return Ok(());
            }
            let typed = serde_json::from_slice::<Typed<'_>>(frame.data).map(|typed| typed.r#type).unwrap_or_default();
            if typed == CLOSING {
                *closing = Some(frame.data.to_vec());
            } else {
                sse::write(Some(&*typed).filter(|name| !name.is_empty()), frame.data, out);
            }
            Ok(())
        })
    }

    /// The stream has come to its end: appends what was held.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        close(&mut self.closing, self.guarded, out);
    }

    /// The memory that the unfinished event takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.frames.held() + self.closing.as_ref().map_or(0, Vec::len)
    }
}

/// The type of the event that says why an answer ended.
const CLOSING: &str = "message_delta";

fn close(closing: &mut Option<Vec<u8>>, guarded: bool, out: &mut Vec<u8>) {
    if let Some(data) = closing.take().map(Bytes::from) {
        let data = if guarded { anthropic_messages::refused(&data) } else { data };
        sse::write(Some(CLOSING), &data, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_go_into_chunks_and_back_wherever_they_are_cut() {
        let text = b"event: message_start\ndata: {\"type\":\"message_start\",\"n\":1.50e2}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n";
        let with_comment = [b": hm\n\n".as_slice(), text].concat();
        for at in 0..=with_comment.len() {
            let (mut there, mut back) = (Reframer::new(true), Reframer::new(false));
            let (head, tail) = with_comment.split_at(at);
            let (mut chunks, mut again) = (Vec::new(), Vec::new());
            there.push(head, &mut chunks).unwrap();
            there.push(tail, &mut chunks).unwrap();
            let (head, tail) = chunks.split_at(at.min(chunks.len()));
            back.push(head, &mut again).unwrap();
            back.push(tail, &mut again).unwrap();
            assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(text), "{at}");
        }
    }

    #[test]
    fn an_answer_that_a_guardrail_stands_in_for_ends_in_a_refusal() {
        let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}"#;
        let stop = |word: &str| format!("{{\"type\":\"message_stop\",\"amazon-bedrock-guardrailAction\":\"{word}\"}}");
        for (last, refused) in [(Some(stop("INTERVENED")), true), (Some(stop("NONE")), false), (None, false)] {
            let mut chunks = Vec::new();
            for data in std::iter::once(delta).chain(last.as_deref()) {
                crate::event_stream::write_chunk(data.as_bytes(), &mut chunks);
            }
            for at in 0..=chunks.len() {
                let (mut back, mut again) = (Reframer::new(false), Vec::new());
                let (head, tail) = chunks.split_at(at);
                back.push(head, &mut again).unwrap();
                back.push(tail, &mut again).unwrap();
                back.finish(&mut again);
                let told = if refused { delta.replace("end_turn", "refusal") } else { delta.to_owned() };
                let again = String::from_utf8(again).unwrap();
                assert!(again.starts_with(&format!("event: message_delta\ndata: {told}\n\n")), "{again}");
                assert_eq!(again.matches("event: ").count(), 1 + usize::from(last.is_some()), "{again}");
            }
        }
    }

    #[test]
    fn an_error_is_an_exception_there() {
        let mut there = Reframer::new(true);
        let said = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
        let (mut chunks, mut again) = (Vec::new(), Vec::new());
        there.push(said, &mut chunks).unwrap();
        assert!(String::from_utf8_lossy(&chunks).contains("serviceUnavailableException"));
        Reframer::new(false).push(&chunks, &mut again).unwrap();
        assert_eq!(String::from_utf8_lossy(&again).matches("overloaded_error").count(), 1);
    }
}
