//! Reads a streamed answer. Blocks of text and thoughts begin with their first delta, those of tools with an event of their own.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bedrock_converse::wire;
use crate::bedrock_invoke::error;
use crate::codec::Malformed;
use crate::frames::FrameDecoder;
use crate::hub::{Delta, Event, PartKind, ProviderError, ServiceTier, Stop, Usage};
use crate::spoke::{DecodeStream, GuardrailWord};
use crate::sse::Frame;
use crate::text::{Seam, Text};

/// The most blocks that may be open at once.
const MOST_OPEN: usize = 128;

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub(crate) struct ConverseDecoder {
    frames: FrameDecoder,
    reader: ConverseReader,
}

impl DecodeStream for ConverseDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, reader } = self;
        frames.push(bytes, |frame| reader.frame(frame, out))
    }

    fn held(&self) -> usize {
        self.frames.held()
    }

    fn is_finished(&self) -> bool {
        self.reader.finished
    }

    fn guardrail(&self) -> GuardrailWord {
        if self.reader.guarded { GuardrailWord::Spoken } else { GuardrailWord::Unsaid }
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, reader } = self;
        frames.finish(|frame| reader.frame(frame, out))?;
        reader.weigh(None, out);
        if let Some(error) = reader.broken.take() {
            reader.over = true;
            out.push(Event::Error(error));
        }
        // The answer is whole without its counts.
        if reader.finished && !std::mem::replace(&mut reader.over, true) {
            out.push(Event::End);
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct ConverseReader {
    started: bool,
    finished: bool,
    /// Whole or failed: what comes now is nothing.
    over: bool,
    next_part: u32,
    open: BTreeMap<u64, OpenContent>,
    /// The error that the answer is, once it has ended with it.
    broken: Option<ProviderError>,
    /// True if a tool was called.
    called: bool,
    /// True if a guardrail had a word in the answer, and what it did is still to come.
    is_weighed: bool,
    /// True if a guardrail stands in for the answer.
    guarded: bool,
}

/// A block that is growing.
#[derive(Debug)]
struct OpenContent {
    part: u32,
    kind: BlockKind,
    seam: Seam,
    /// True if any of a call's arguments have come.
    argued: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum BlockKind {
    Text,
    Thinking,
    Call,
    /// A picture of this format, whose data comes in one piece.
    Picture(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStart {
    #[serde(default)]
    content_block_index: u64,
    #[serde(default)]
    start: StartedBlock,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct StartedBlock {
    tool_use: Option<StartedCall>,
    image: Option<StartedPicture>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartedCall {
    tool_use_id: String,
    name: String,
}

#[derive(Deserialize)]
struct StartedPicture {
    format: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta {
    #[serde(default)]
    content_block_index: u64,
    #[serde(default)]
    delta: ContentDelta,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ContentDelta {
    text: Option<Text>,
    tool_use: Option<CallDelta>,
    reasoning_content: Option<ThoughtDelta>,
    image: Option<PictureDelta>,
}

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThoughtDelta {
    text: Option<Text>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct PictureDelta {
    source: Option<PictureSource>,
}

#[derive(Deserialize)]
struct PictureSource {
    bytes: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStop {
    #[serde(default)]
    content_block_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerStop {
    #[serde(default)]
    stop_reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    usage: Option<wire::ConverseUsage>,
    #[serde(default)]
    service_tier: ServiceTier,
    #[serde(borrow)]
    trace: Option<&'a RawValue>,
}

fn read<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(data).map_err(|error| Malformed {
        message: "an event of the stream is not what the dialect allows".to_owned(),
        at: Some(error.column()),
    })
}

impl ConverseReader {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.over {
            return Ok(());
        }
        if let Some(error) = error::of_event(frame.name, frame.data) {
            self.weigh(None, out);
            self.over = true;
            out.push(Event::Error(error));
            return Ok(());
        }
        match frame.name {
            // It is told more than once where it has kept a silent stream alive.
            b"messageStart" => self.start(out),
            b"contentBlockStart" => self.block_start(read(frame.data)?, out)?,
            b"contentBlockDelta" => self.block_delta(read(frame.data)?, out)?,
            b"contentBlockStop" => self.end(read::<BlockStop>(frame.data)?.content_block_index, out),
            b"messageStop" => {
                self.start(out);
                while let Some(index) = self.open.keys().next().copied() {
                    self.end(index, out);
                }
                let word = read::<AnswerStop>(frame.data)?.stop_reason;
                if let Some(error) = wire::broken(&word) {
                    // Its counts come behind it.
                    self.broken = Some(error);
                    return Ok(());
                }
                if std::mem::replace(&mut self.finished, true) {
                    return Ok(());
                }
                if word == wire::GUARDED {
                    self.is_weighed = true;
                } else {
                    out.push(Event::Finish { choice: 0, stop: wire::stop(&word, self.called) });
                }
            }
            b"metadata" => {
                let Metadata { usage, service_tier: tier, trace } = read(frame.data)?;
                self.weigh(trace, out);
                out.extend(usage.map(|usage| Event::Usage(Usage { tier, ..usage.into() })));
                self.over = self.finished || self.broken.is_some();
                match self.broken.take() {
                    Some(error) => out.push(Event::Error(error)),
                    None => out.extend(self.finished.then_some(Event::End)),
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Says why an answer ended in which a guardrail had a word: what that did is told behind it.
    fn weigh(&mut self, trace: Option<&RawValue>, out: &mut Vec<Event>) {
        if std::mem::take(&mut self.is_weighed) {
            let stop = wire::guarded_stop(trace, self.called);
            self.guarded = stop == Stop::Refusal;
            out.push(Event::Finish { choice: 0, stop });
        }
    }

    fn start(&mut self, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            out.push(Event::Start { id: String::new(), model: String::new(), created: None });
        }
    }

    fn block_start(&mut self, event: BlockStart, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let BlockStart { content_block_index: index, start: StartedBlock { tool_use, image } } = event;
        if tool_use.is_some() && image.is_some() {
            return Err(Malformed::new("a block of the stream is two things at once"));
        }
        if let Some(StartedCall { tool_use_id: id, name }) = tool_use {
            self.called = true;
            self.begin(index, BlockKind::Call, out)?;
            self.told(index, PartKind::ToolCall { id, name }, out);
        } else if let Some(StartedPicture { format }) = image {
            self.begin(index, BlockKind::Picture(format), out)?;
        }
        Ok(())
    }

    fn block_delta(&mut self, event: BlockDelta, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let BlockDelta { content_block_index: index, delta } = event;
        let ContentDelta { text, tool_use, reasoning_content, image } = delta;
        let members = [text.is_some(), tool_use.is_some(), reasoning_content.is_some(), image.is_some()];
        if members.into_iter().filter(|there| *there).count() > 1 {
            return Err(Malformed::new("a delta of the stream is of two blocks at once"));
        }
        if let Some(text) = text {
            self.text(index, (BlockKind::Text, PartKind::Text), text, out)?;
        }
        if let Some(CallDelta { input }) = tool_use
            && let Some(OpenContent { part, kind: BlockKind::Call, argued, .. }) = self.open.get_mut(&index)
        {
            *argued |= !input.is_empty();
            out.push(Event::Delta { choice: 0, part: *part, delta: Delta::Arguments(input) });
        }
        if let Some(ThoughtDelta { text, signature, redacted_content }) = reasoning_content {
            if let Some(text) = text {
                self.text(index, (BlockKind::Thinking, PartKind::Thinking), text, out)?;
            }
            if let Some(signature) = signature {
                self.grow(index, (BlockKind::Thinking, PartKind::Thinking), out)?;
                if let Some(OpenContent { part, .. }) = self.open.get(&index) {
                    out.push(Event::Delta { choice: 0, part: *part, delta: Delta::Signature(signature) });
                }
            }
            if let Some(data) = redacted_content {
                self.start(out);
                self.end(index, out);
                let part = self.part();
                out.push(Event::PartStart { choice: 0, part, kind: PartKind::RedactedThinking(data) });
                out.push(Event::PartEnd { choice: 0, part });
            }
        }
        let data = image.and_then(|image| image.source).and_then(|source| source.bytes);
        if let (Some(data), Some(OpenContent { kind: BlockKind::Picture(format), .. })) = (data, self.open.get(&index))
        {
            let media_type = format!("image/{format}");
            self.told(index, PartKind::Picture { media_type, data }, out);
        }
        Ok(())
    }

    fn text(
        &mut self,
        index: u64,
        kind: (BlockKind, PartKind),
        text: Text,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        self.grow(index, kind, out)?;
        let Some(OpenContent { part, seam, .. }) = self.open.get_mut(&index) else { return Ok(()) };
        let text = seam.join(text);
        if !text.is_empty() {
            out.push(Event::Delta { choice: 0, part: *part, delta: Delta::Text(text) });
        }
        Ok(())
    }

    /// Makes sure that a block of this kind is open there.
    fn grow(&mut self, index: u64, (kind, told): (BlockKind, PartKind), out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.open.get(&index).is_none_or(|open| open.kind != kind) {
            self.begin(index, kind, out)?;
            self.told(index, told, out);
        }
        Ok(())
    }

    fn begin(&mut self, index: u64, kind: BlockKind, out: &mut Vec<Event>) -> Result<(), Malformed> {
        self.start(out);
        self.end(index, out);
        if self.open.len() >= MOST_OPEN {
            return Err(Malformed::new("the stream has too many blocks open at once"));
        }
        let part = self.part();
        self.open.insert(index, OpenContent { part, kind, seam: Seam::default(), argued: false });
        Ok(())
    }

    fn told(&self, index: u64, kind: PartKind, out: &mut Vec<Event>) {
        if let Some(OpenContent { part, .. }) = self.open.get(&index) {
            out.push(Event::PartStart { choice: 0, part: *part, kind });
        }
    }

    fn part(&mut self) -> u32 {
        let part = self.next_part;
        self.next_part = part.saturating_add(1);
        part
    }

    fn end(&mut self, index: u64, out: &mut Vec<Event>) {
        let Some(OpenContent { part, kind, mut seam, argued }) = self.open.remove(&index) else { return };
        if kind == BlockKind::Call && !argued {
            // A tool without parameters: said by nothing here, and by an empty object everywhere else.
            out.push(Event::Delta { choice: 0, part, delta: Delta::Arguments("{}".to_owned()) });
        }
        out.extend(seam.end().map(|half| Event::Delta { choice: 0, part, delta: Delta::Text(half.into()) }));
        out.push(Event::PartEnd { choice: 0, part });
    }
}
