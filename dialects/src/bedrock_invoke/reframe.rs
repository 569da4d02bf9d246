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
        let frames = if into_chunks { FrameDecoder::default() } else { FrameDecoder::of_messages() };
        Self { frames, into_chunks }
    }

    /// Takes the next bytes, cut anywhere, and appends the events that they complete in the other framing.
    ///
    /// # Errors
    /// An event is too large or damaged; those before it are there.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let Self { frames, into_chunks } = self;
        frames.push(bytes, |frame| {
            if *into_chunks {
                stream::chunk(frame, out);
            } else {
                event(frame, out);
            }
            Ok(())
        })
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
