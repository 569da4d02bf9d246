//! A streamed answer folded into a whole one in the dialect's own words, and a whole one told as a stream.
//!
//! Anything that nobody here knows how to put together is not folded: an answer that has lost something is another
//! answer.

use serde_json::value::RawValue;

use super::usage::MessagesUsage;
use crate::codec::Unfolded;
use crate::fold::FoldEvents;
use crate::hub::{Raw, Usage};
use crate::json::{Object, Writer, string};
use crate::sse::Frame;

mod replay;

pub(crate) use replay::replay;

/// The cost of one block beside its bytes.
const COST: usize = 64;

/// Deltas: what each is called, what its piece is called, and the block's field that it belongs to.
const TEXTS: [(&str, &str, &str); 5] = [
    ("text_delta", "text", "text"),
    ("thinking_delta", "thinking", "thinking"),
    ("signature_delta", "signature", "signature"),
    ("input_json_delta", "partial_json", "input"),
    ("compaction_delta", "content", "content"),
];

type FoldedMembers = Vec<(String, Raw)>;

/// Folds one stream.
#[derive(Debug, Default)]
pub(crate) struct MessagesFold {
    /// The message as it began, with what was said of it later.
    message: Option<FoldedMembers>,
    /// Counts: each the last one said, as far as it takes back nothing.
    usage: FoldedMembers,
    tally: MessagesUsage,
    blocks: Vec<FoldedBlock>,
    ended: bool,
}

#[derive(Debug)]
struct FoldedBlock {
    index: String,
    /// As it began.
    members: FoldedMembers,
    /// The texts that grew, by field.
    texts: Vec<(&'static str, String)>,
    citations: Vec<Raw>,
    open: bool,
}

impl MessagesFold {
    /// Takes the next event; gives how many bytes are held for it.
    ///
    /// # Errors
    /// It can not be folded, is none of the dialect's, or says that the provider failed.
    pub(crate) fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
        let data = frame.data.trim_ascii();
        // Look-alikes that serve both dialects end with OpenAI's word.
        if self.ended || data.is_empty() || data == b"[DONE]" {
            return if frame.name == b"error" { Err(Unfolded::Failed) } else { Ok(0) };
        }
        let mut event = object(std::str::from_utf8(data).map_err(|_| Unfolded::Malformed)?)?;
        // The data says again what the event is called; some look-alikes leave the name out.
        let kind = match event.take("type") {
            Some(kind) => string(kind).ok_or(Unfolded::Malformed)?,
            None => String::from_utf8_lossy(frame.name).into_owned(),
        };
        match &*kind {
            "content_block_delta" => self.delta(&mut event),
            "content_block_start" => self.begin(&mut event),
            "content_block_stop" => {
                self.open_block(&mut event)?.open = false;
                Ok(0)
            }
            "message_start" => self.start(&mut event),
            "message_delta" => self.more(&mut event),
            "message_stop" if self.blocks.iter().any(|block| block.open) => Err(Unfolded::Malformed),
            "message_stop" => {
                self.ended = true;
                Ok(0)
            }
            "ping" => Ok(0),
            "error" => Err(Unfolded::Failed),
            _ => Err(Unfolded::Unknown),
        }
    }

    fn start(&mut self, event: &mut Object<'_>) -> Result<usize, Unfolded> {
        let mut message = object(event.take("message").ok_or(Unfolded::Malformed)?.get())?;
        let begun = message.take("content").map_or(Ok(0), count)?;
        if begun > 0 || self.message.is_some() || !event.is_empty() {
            return Err(Unfolded::Unknown);
        }
        let mut held = self.used(message.take("usage"))?;
        let mut members = FoldedMembers::new();
        held += message
            .members()
            .filter(|(name, _)| !matches!(*name, "content" | "usage"))
            .fold(0, |held, (n, raw)| held + lay(&mut members, n, raw));
        self.message = Some(members);
        Ok(held)
    }

    /// Lays what is said of the message at its end over what was said at its beginning.
    fn more(&mut self, event: &mut Object<'_>) -> Result<usize, Unfolded> {
        let mut held = self.used(event.take("usage"))?;
        let delta = event.take("delta").map_or(Ok(None), |delta| object(delta.get()).map(Some))?;
        let message = self.message.as_mut().ok_or(Unfolded::Malformed)?;
        for (name, raw) in delta.iter().flat_map(Object::members).chain(event.members()) {
            if matches!(name, "content" | "usage" | "delta") {
                return Err(Unfolded::Unknown);
            }
            held += lay(message, name, raw);
        }
        Ok(held)
    }

    /// Says a member of the message in JSON, which its host says beside the events.
    pub(crate) fn say(&mut self, (name, json): (&str, &str)) {
        if let (Some(message), Ok(raw)) = (&mut self.message, RawValue::from_string(json.to_owned())) {
            lay(message, name, &raw);
        }
    }

    fn used(&mut self, usage: Option<&RawValue>) -> Result<usize, Unfolded> {
        let Some(usage) = usage else { return Ok(0) };
        let said: MessagesUsage = serde_json::from_str(usage.get()).unwrap_or_default();
        self.tally.update(said);
        let tally = self.tally;
        let usage = object(usage.get())?;
        let later = usage.members().filter(|(name, _)| !tally.outlives(&said, name));
        Ok(later.fold(0, |held, (name, raw)| held + lay(&mut self.usage, name, raw)))
    }

    fn begin(&mut self, event: &mut Object<'_>) -> Result<usize, Unfolded> {
        let index = index(event)?;
        let block = object(event.take("content_block").ok_or(Unfolded::Malformed)?.get())?;
        if self.message.is_none() || self.blocks.iter().any(|block| block.index == index) {
            return Err(Unfolded::Malformed);
        }
        let mut members = FoldedMembers::new();
        let held = block.members().fold(COST, |held, (name, raw)| held + lay(&mut members, name, raw));
        self.blocks.push(FoldedBlock { index, members, texts: Vec::new(), citations: Vec::new(), open: true });
        Ok(held)
    }

    fn open_block(&mut self, event: &mut Object<'_>) -> Result<&mut FoldedBlock, Unfolded> {
        let index = index(event)?;
        // Nearly always the last one.
        let mut blocks = self.blocks.iter_mut().rev();
        blocks.find(|block| block.index == index && block.open).ok_or(Unfolded::Malformed)
    }

    fn delta(&mut self, event: &mut Object<'_>) -> Result<usize, Unfolded> {
        let block = self.open_block(event)?;
        let mut delta = object(event.take("delta").ok_or(Unfolded::Malformed)?.get())?;
        let kind = delta.take("type").and_then(string).ok_or(Unfolded::Malformed)?;
        let held = if kind == "citations_delta" {
            let citation = delta.take("citation").ok_or(Unfolded::Malformed)?;
            block.citations.push(citation.to_owned());
            citation.get().len() + size_of::<Raw>()
        } else {
            let known = TEXTS.iter().find(|(name, ..)| *name == kind);
            let (_, piece, field) = known.ok_or(Unfolded::Unknown)?;
            let more = delta.take(piece).and_then(string).ok_or(Unfolded::Unknown)?;
            match block.texts.iter_mut().find(|(grown, _)| grown == field) {
                Some((_, text)) => text.push_str(&more),
                None => block.texts.push((field, more.clone())),
            }
            more.len()
        };
        // A piece that says more than we know would lose it.
        if delta.is_empty() { Ok(held) } else { Err(Unfolded::Unknown) }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// The stream was cut, or its pieces make no whole.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Unfolded> {
        let Self { message, usage, blocks, ended, .. } = self;
        let message = message.filter(|_| ended).ok_or(Unfolded::Cut)?;
        let mut json = Writer::with_capacity(1024);
        json.open(b'{');
        message.iter().for_each(|(name, raw)| json.raw_field(name, raw));
        json.open_field("content", b'[');
        blocks.into_iter().try_for_each(|block| block.write(&mut json))?;
        json.close(b']');
        if !usage.is_empty() {
            json.open_field("usage", b'{');
            usage.iter().for_each(|(name, raw)| json.raw_field(name, raw));
            json.close(b'}');
        }
        json.close(b'}');
        Ok(json.into_bytes())
    }
}

impl FoldEvents for MessagesFold {
    fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
        Self::push(self, frame)
    }

    fn finish(self: Box<Self>, _: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        Self::finish(*self)
    }
}

impl FoldedBlock {
    fn write(self, json: &mut Writer) -> Result<(), Unfolded> {
        let Self { index: _, mut members, texts, mut citations, open: _ } = self;
        for (field, grown) in texts {
            let begun = members.iter().find(|(name, _)| name == field).map(|(_, raw)| raw.get());
            let whole = if field == "input" {
                // A call without arguments streams none, or an empty piece.
                if grown.trim().is_empty() {
                    continue;
                }
                RawValue::from_string(grown).map_err(|_| Unfolded::Malformed)?
            } else {
                let begun = begun.filter(|begun| *begun != "null").map_or(Ok(String::new()), serde_json::from_str);
                let begun: String = begun.map_err(|_| Unfolded::Unknown)?;
                serde_json::value::to_raw_value(&(begun + &grown)).map_err(|_| Unfolded::Malformed)?
            };
            put(&mut members, field, whole);
        }
        if !citations.is_empty() {
            let begun = members.iter().find(|(name, raw)| name == "citations" && raw.get() != "null");
            let begun = begun.map_or(Ok(Vec::new()), |(_, raw)| serde_json::from_str::<Vec<Raw>>(raw.get()));
            let mut whole = begun.map_err(|_| Unfolded::Unknown)?;
            whole.append(&mut citations);
            let whole = serde_json::value::to_raw_value(&whole).map_err(|_| Unfolded::Malformed)?;
            put(&mut members, "citations", whole);
        }
        json.open(b'{');
        members.iter().for_each(|(name, raw)| json.raw_field(name, raw));
        json.close(b'}');
        Ok(())
    }
}

/// True if a whole answer says why it ended.
#[must_use]
pub(crate) fn has_stop_reason(whole: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct WholeMessage {
        stop_reason: Option<String>,
    }
    let ended: Result<WholeMessage, _> = serde_json::from_slice(whole);
    ended.is_ok_and(|ended| ended.stop_reason.is_some_and(|reason| !reason.is_empty()))
}

fn object(text: &str) -> Result<Object<'_>, Unfolded> {
    serde_json::from_str(text).map_err(|_| Unfolded::Malformed)
}

fn index(event: &mut Object<'_>) -> Result<String, Unfolded> {
    let index = event.take("index").map_or("0", RawValue::get);
    if index.bytes().all(|digit| digit.is_ascii_digit()) && index.len() < 8 {
        Ok(index.to_owned())
    } else {
        Err(Unfolded::Malformed)
    }
}

fn count(list: &RawValue) -> Result<usize, Unfolded> {
    serde_json::from_str::<Vec<&RawValue>>(list.get()).map(|list| list.len()).map_err(|_| Unfolded::Malformed)
}

/// Says a field: over what was said before, unless it says nothing. Gives how many bytes more are held.
fn lay(members: &mut FoldedMembers, name: &str, raw: &RawValue) -> usize {
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, said)) if raw.get() == "null" || said.get() == raw.get() => 0,
        Some((_, said)) => {
            let more = raw.get().len().saturating_sub(said.get().len());
            *said = raw.to_owned();
            more
        }
        None => {
            members.push((name.to_owned(), raw.to_owned()));
            name.len() + raw.get().len()
        }
    }
}

fn put(members: &mut FoldedMembers, name: &str, whole: Raw) {
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, said)) => *said = whole,
        None => members.push((name.to_owned(), whole)),
    }
}
