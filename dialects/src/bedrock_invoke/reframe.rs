//! Streams that change only their framing on the way: Anthropic's events from chunks into server-sent events, and back.

use super::{error, stream};
use crate::anthropic_messages;
use crate::codec::{Malformed, StreamOptions};
use crate::frames::FrameDecoder;
use crate::sse::{self, Frame};

/// Puts the events of a stream into the other framing.
#[derive(Debug)]
pub struct Reframer {
    frames: FrameDecoder,
    into_chunks: bool,
}

#[derive(serde::Deserialize)]
struct Typed<'a> {
    #[serde(borrow, default)]
    r#type: std::borrow::Cow<'a, str>,
}

impl Reframer {
    pub(crate) fn new(into_chunks: bool) -> Self {
        Self { frames: FrameDecoder::default(), into_chunks }
    }

    /// Takes the next bytes, cut anywhere, and gives the events that they complete in the other framing.
    ///
    /// # Errors
    /// An event is too large or damaged.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::with_capacity(bytes.len() * 2);
        let Self { frames, into_chunks } = self;
        frames.push(bytes, |frame| {
            if *into_chunks {
                stream::chunk(frame, &mut out);
            } else {
                event(frame, &mut out);
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// The memory that the unfinished event takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.frames.held()
    }
}

fn event(frame: Frame<'_>, out: &mut Vec<u8>) {
    if let Some(error) = error::of_event(frame.name, frame.data) {
        (anthropic_messages::SPOKE.stream_encoder)(StreamOptions::default()).error(&error, out);
        return;
    }
    let typed = serde_json::from_slice::<Typed<'_>>(frame.data).map(|typed| typed.r#type).unwrap_or_default();
    sse::write(Some(&*typed).filter(|name| !name.is_empty()), frame.data, out);
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
            let chunks = [there.push(head).unwrap(), there.push(tail).unwrap()].concat();
            let (head, tail) = chunks.split_at(at.min(chunks.len()));
            let again = [back.push(head).unwrap(), back.push(tail).unwrap()].concat();
            assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(text), "{at}");
        }
    }

    #[test]
    fn an_error_is_an_exception_there() {
        let mut there = Reframer::new(true);
        let said = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
        let chunks = there.push(said).unwrap();
        assert!(String::from_utf8_lossy(&chunks).contains("serviceUnavailableException"));
        let again = Reframer::new(false).push(&chunks).unwrap();
        assert_eq!(String::from_utf8_lossy(&again).matches("overloaded_error").count(), 1);
    }
}
