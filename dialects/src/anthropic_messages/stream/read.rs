//! A streamed answer read into the hub's events, cut anywhere.

use crate::anthropic_messages::usage::MessagesUsage;
use crate::anthropic_messages::{error, stop};
use crate::codec::Malformed;
use crate::dialect::Dialect;
use crate::hub::{Delta, Event, PartKind, ProviderError, Stop, Usage};
use crate::scan::is_plain;
use crate::spoke::DecodeStream;
use crate::sse;
use crate::text::{Seam, Text};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Blocks open at once. Anthropic has one; a look-alike that never closes any must not grow us.
const MOST_OPEN: usize = 64;

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub(crate) struct MessagesDecoder {
    frames: sse::SseDecoder,
    reader: MessagesReader,
}

impl MessagesDecoder {
    /// At the beginning.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl DecodeStream for MessagesDecoder {
    /// Takes the next bytes, cut anywhere, and appends the events they complete. Errors: an event is too large or is not
    /// what the dialect allows.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, reader } = self;
        frames.push(bytes, |frame| reader.frame(frame.name, frame.data, out))
    }

    /// The memory that the unfinished event takes.
    fn held(&self) -> usize {
        self.frames.held()
    }

    /// Says that the body came to its clean end. Without `message_stop` the stream is whole all the same when it has said
    /// why it ended; otherwise no `Event::End` comes: it was cut.
    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, reader } = self;
        frames.finish(|frame| reader.frame(frame.name, frame.data, out))?;
        reader.finish(out);
        Ok(())
    }

    /// True if the answer has said why it ended: nothing is still to come.
    fn is_finished(&self) -> bool {
        self.reader.finished
    }

    fn usage_is_early(&self) -> bool {
        self.reader.usage_is_early()
    }
}

/// The answer as far as it has been read.
#[derive(Debug, Default)]
pub(crate) struct MessagesReader {
    open: Vec<OpenBlock>,
    tally: MessagesUsage,
    /// True if an event behind the answer's beginning has said how long it is.
    counted: bool,
    started: bool,
    /// True if a block has begun.
    begun: bool,
    /// True if a tool was called.
    called: bool,
    /// It has said why it ended.
    finished: bool,
    /// Whole or failed: what comes now is nothing.
    over: bool,
}

/// A block that has begun and not ended.
#[derive(Debug)]
struct OpenBlock {
    index: u32,
    /// True if its deltas mean what they say; a provider's own tool's arguments are not a call of the caller's tools.
    known: bool,
    /// True if it is a tool call of which no argument has come.
    bare: bool,
    /// True if its text is the arguments of a call.
    call: bool,
    seam: Seam,
}

#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    #[serde(default)]
    index: u32,
    message: Option<WireStart>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    usage: Option<MessagesUsage>,
}

#[derive(Deserialize)]
struct WireStart {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
    usage: Option<MessagesUsage>,
}

#[derive(Deserialize)]
struct WireBlock<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    text: Option<Text>,
    thinking: Option<Text>,
    signature: Option<String>,
    data: Option<String>,
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireDelta<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    text: Option<Text>,
    partial_json: Option<Text>,
    thinking: Option<Text>,
    signature: Option<String>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireClosing<'a> {
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
}

/// The event that a stream mostly consists of, where it stands as its vendor writes it: which block goes on, and its text,
/// in which nothing is escaped. Any other event, and this one in other forms, is serde's to read.
fn plain_text(data: &str) -> Option<(u32, &str)> {
    let rest = data.strip_prefix("{\"type\":\"content_block_delta\",\"index\":")?;
    let (index, rest) = rest.split_once(',')?;
    let rest = rest.strip_prefix("\"delta\":{\"type\":\"text_delta\",\"text\":\"")?;
    let rest = rest.strip_suffix('}')?.trim_ascii_end().strip_suffix('}')?.trim_ascii_end();
    let text = rest.strip_suffix('"').filter(|text| is_plain(text.as_bytes()))?;
    // Rust's parser takes a sign and zeros in front, which JSON has not.
    let digits = index.bytes().all(|byte| byte.is_ascii_digit()) && (index.len() == 1 || !index.starts_with('0'));
    let index = index.parse().ok().filter(|_| digits)?;
    Some((index, text))
}

impl MessagesReader {
    /// Takes one event.
    pub(crate) fn frame(&mut self, name: &[u8], data: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        // Look-alikes that serve both dialects end with OpenAI's word.
        if self.over || data == b"[DONE]" {
            return Ok(());
        }
        let data = std::str::from_utf8(data).map_err(|_| Malformed::new("an event of the stream is not UTF-8"))?;
        if let Some((part, text)) = plain_text(data)
            && self.text(part, text, out)
        {
            return Ok(());
        }
        let said: WireEvent<'_> = match serde_json::from_str(data) {
            Ok(said) => said,
            Err(error) => return foreign(name, data).map(|event| out.push(event)).ok_or_else(|| broken(&error)),
        };
        // The data says again what the event is called; some look-alikes leave the name out.
        let kind = if said.r#type.is_empty() { String::from_utf8_lossy(name) } else { Cow::Borrowed(&*said.r#type) };
        match &*kind {
            "content_block_delta" => self.delta(said.index, said.delta, out)?,
            "content_block_start" => self.block(said.index, said.content_block, out)?,
            "content_block_stop" => {
                let part = said.index;
                self.block_end(part, out)?;
            }
            "message_start" => {
                let start = said.message.ok_or_else(|| Malformed::new("`message_start` holds no message"))?;
                self.started = true;
                out.push(Event::Start { id: start.id, model: start.model, created: None });
                self.used(start.usage, out);
            }
            "message_delta" => {
                self.counted |= said.usage.as_ref().is_some_and(MessagesUsage::counts_output);
                self.used(said.usage, out);
                if let Some(closing) = said.delta.map(read).transpose()? {
                    self.close(closing, out);
                }
            }
            "message_stop" if !self.started => return Err(Malformed::new("the stream holds no answer")),
            "message_stop" => {
                self.over = true;
                out.push(Event::End);
            }
            "ping" => out.push(Event::Alive),
            "error" => {
                self.over = true;
                // Of an answer that never began the vendor counts nothing, whatever it has said of the prompt.
                if self.started && !self.begun && !self.finished {
                    out.push(Event::Usage(Usage::default()));
                }
                out.push(Event::Error(error::in_stream(data)));
            }
            _ => out.extend(foreign(kind.as_bytes(), data)),
        }
        Ok(())
    }

    /// Says why the answer ended, and first the words of a refusal that are all there is.
    fn close(&mut self, closing: WireClosing<'_>, out: &mut Vec<Event>) {
        let WireClosing { stop_reason: Some(word), stop_sequence, stop_details } = closing else { return };
        let stop = self.stop(&word, stop_sequence);
        if let Some(text) = stop::explanation(&stop, stop_details).filter(|_| !self.begun && !self.finished) {
            let (choice, part) = (0, 0);
            out.push(Event::PartStart { choice, part, kind: PartKind::Refusal });
            out.push(Event::Delta { choice, part, delta: Delta::Text(text) });
            out.push(Event::PartEnd { choice, part });
        }
        self.finished = true;
        out.push(Event::Finish { choice: 0, stop });
    }

    /// The provider failed.
    pub(crate) fn fail(&mut self, error: ProviderError, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.over, true) {
            out.push(Event::Error(error));
        }
    }

    /// True if the answer has said why it ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// True if the usage was said at the answer's beginning alone.
    pub(crate) fn usage_is_early(&self) -> bool {
        !self.counted
    }

    /// The body came to its clean end.
    pub(crate) fn finish(&mut self, out: &mut Vec<Event>) {
        if self.finished && !std::mem::replace(&mut self.over, true) {
            out.push(Event::End);
        }
    }

    /// The reason why the answer ended. Look-alikes say a plain end beside tool calls.
    fn stop(&self, word: &str, sequence: Option<String>) -> Stop {
        match stop::read(word, sequence) {
            Stop::End if self.called => Stop::Tools,
            stop => stop,
        }
    }

    fn block_end(&mut self, part: u32, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Some(place) = self.open.iter().position(|block| block.index == part) else {
            return Err(Malformed::new("a block of the stream ends that has not begun"));
        };
        let mut block = self.open.swap_remove(place);
        // A call without arguments streams none; elsewhere the empty text would not be JSON.
        let last = if block.bare { Some("{}".to_owned()) } else { block.seam.end().map(String::from) };
        let delta = last.map(|text| if block.call { Delta::Arguments(text) } else { Delta::Text(text) });
        out.extend(delta.map(|delta| Event::Delta { choice: 0, part, delta }));
        out.push(Event::PartEnd { choice: 0, part });
        Ok(())
    }

    fn used(&mut self, usage: Option<MessagesUsage>, out: &mut Vec<Event>) {
        if let Some(usage) = usage {
            self.tally.update(usage);
            out.push(Event::Usage(self.tally.usage()));
        }
    }

    fn block(&mut self, part: u32, raw: Option<&RawValue>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let raw = raw.ok_or_else(|| Malformed::new("`content_block_start` holds no block"))?;
        if self.open.len() >= MOST_OPEN || self.open.iter().any(|block| block.index == part) {
            return Err(Malformed::new("the stream begins a block before it ends others"));
        }
        let (mut first, mut seam) = (Vec::new(), Seam::default());
        let kind = match kind(raw) {
            Some(WireBlock { r#type, text, thinking, signature, data, id, name, input }) => {
                match (&*r#type, data, id, name) {
                    ("text", ..) => {
                        first.extend(text.map(|text| Delta::Text(seam.join(text))));
                        PartKind::Text
                    }
                    ("thinking", ..) => {
                        first.extend(thinking.map(|text| Delta::Text(seam.join(text))));
                        first.extend(signature.map(Delta::Signature));
                        PartKind::Thinking
                    }
                    ("redacted_thinking", Some(data), ..) => PartKind::RedactedThinking(data),
                    ("tool_use", _, Some(id), Some(name)) => {
                        // Empty in every stream that brings its arguments by deltas.
                        let whole = input.map(RawValue::get).filter(|input| input.len() > 2);
                        first.extend(whole.map(|input| Delta::Arguments(input.to_owned())));
                        PartKind::ToolCall { id, name }
                    }
                    (word @ ("redacted_thinking" | "tool_use"), ..) => {
                        return Err(Malformed::new(format!("a `{word}` block of the stream lacks a field")));
                    }
                    _ => other(raw),
                }
            }
            None => other(raw),
        };
        let call = matches!(kind, PartKind::ToolCall { .. });
        self.called |= call;
        self.begun = true;
        self.open.push(OpenBlock {
            index: part,
            known: !matches!(kind, PartKind::Other { .. }),
            bare: call && first.is_empty(),
            call,
            seam,
        });
        out.push(Event::PartStart { choice: 0, part, kind });
        let said = |delta: &Delta| !matches!(delta, Delta::Text(text) | Delta::Signature(text) if text.is_empty());
        out.extend(first.into_iter().filter(said).map(|delta| Event::Delta { choice: 0, part, delta }));
        Ok(())
    }

    /// A piece of a block's text; `false`: the block is none that means what it says.
    fn text(&mut self, part: u32, text: &str, out: &mut Vec<Event>) -> bool {
        let Some(open) = self.open.iter_mut().find(|block| block.index == part && block.known) else { return false };
        let text = open.seam.join(text.into());
        if !text.is_empty() {
            out.push(Event::Delta { choice: 0, part, delta: Delta::Text(text) });
        }
        true
    }

    fn delta(&mut self, part: u32, raw: Option<&RawValue>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let raw = raw.ok_or_else(|| Malformed::new("`content_block_delta` holds no delta"))?;
        let Some(open) = self.open.iter_mut().find(|block| block.index == part) else {
            return Err(Malformed::new("a block of the stream goes on that has not begun"));
        };
        let whole = || Delta::Other { dialect: Dialect::AnthropicMessages, raw: raw.to_owned() };
        let delta = if open.known {
            let WireDelta { r#type, text, partial_json, thinking, signature, citation } = read(raw)?;
            let known = match &*r#type {
                "text_delta" => text.map(|text| Delta::Text(open.seam.join(text))),
                "input_json_delta" => partial_json.map(|text| Delta::Arguments(open.seam.join(text))),
                "thinking_delta" => thinking.map(|text| Delta::Text(open.seam.join(text))),
                "signature_delta" => signature.map(Delta::Signature),
                "citations_delta" => citation.map(|citation| Delta::Citation(citation.to_owned())),
                _ => None,
            };
            // Calls begin with an empty piece, which says nothing; and half a character waits for the other.
            match known.unwrap_or_else(whole) {
                Delta::Arguments(text) | Delta::Text(text) if text.is_empty() => return Ok(()),
                delta => delta,
            }
        } else {
            whole()
        };
        open.bare &= !matches!(delta, Delta::Arguments(_));
        out.push(Event::Delta { choice: 0, part, delta });
        Ok(())
    }
}

/// `None`: a block whose fields are not those of the blocks we know.
fn kind(raw: &RawValue) -> Option<WireBlock<'_>> {
    serde_json::from_str(raw.get()).ok()
}

fn other(raw: &RawValue) -> PartKind {
    PartKind::Other { dialect: Dialect::AnthropicMessages, raw: raw.to_owned() }
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Malformed> {
    serde_json::from_str(raw.get()).map_err(|error| broken(&error))
}

/// Says what is wrong by category only: the error's own text may quote the answer.
fn broken(error: &serde_json::Error) -> Malformed {
    let what = if error.is_data() { "has fields of the wrong type" } else { "is not JSON" };
    Malformed { message: format!("an event of the stream {what}"), at: Some(error.column()) }
}

/// An event of a name that is not ours, carried as it is.
fn foreign(name: &[u8], data: &str) -> Option<Event> {
    const OURS: [&[u8]; 8] = [
        b"message_start",
        b"content_block_start",
        b"content_block_delta",
        b"content_block_stop",
        b"message_delta",
        b"message_stop",
        b"ping",
        b"error",
    ];
    let named = !name.is_empty() && !OURS.contains(&name);
    named.then(|| Event::Other {
        dialect: Dialect::AnthropicMessages,
        name: Some(String::from_utf8_lossy(name).into_owned()),
        data: data.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::plain_text;

    #[test]
    fn a_plain_piece_of_text_is_told_from_all_others() {
        let event = |index: &str, text: &str, end: &str| {
            format!(
                "{{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}{end}"
            )
        };
        assert_eq!(plain_text(&event("0", "\" äh, {}\"", "}")), Some((0, " äh, {}")));
        assert_eq!(plain_text(event("12", "\"\"", "    }  ").trim_end()), Some((12, "")));
        for (index, text, end) in [
            ("0", "\"a\\n\"", "}"),
            ("0", "\"a\",\"b\":\"c\"", "}"),
            ("0", "\"a", "}"),
            ("0", "\"", "}"),
            ("0", "null", "}"),
            ("+1", "\"a\"", "}"),
            ("01", "\"a\"", "}"),
            ("", "\"a\"", "}"),
            ("-1", "\"a\"", "}"),
            ("4294967296", "\"a\"", "}"),
            ("0", "\"a\"", ""),
            ("0", "\"a\"", ",\"usage\":{}}"),
        ] {
            assert_eq!(plain_text(&event(index, text, end)), None, "{index} {text} {end}");
        }
    }
}
