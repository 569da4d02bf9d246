//! Answers recorded as they pass, and judged when they are whole: only good ones are kept.
//!
//! On the way of a stream's bytes stands one copy of small pieces (keeping the piece itself would pin the buffer it was
//! read into) or one reference of large ones. They are decoded in batches, the last batch in a task of its own, after
//! the client has its last byte.

use bytes::Bytes;
use sluicegate_config::Cache;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::fold::{StreamFold, Unfolded};
use sluicegate_dialects::hub::{Choice, Content, Reply, Stop, Usage};

use super::lead::Lead;
use super::stats::Refused;

/// Recorded bytes wait for their decoding up to this many.
const BATCH: usize = 64 * 1024;
/// Pieces up to this size are copied.
const COPIED: usize = 4096;

impl Lead {
    /// The answer came whole: keeps it if it is good, in a task of its own. Must be called within a `LocalSet`.
    pub fn whole(self, status: u16, body: &Bytes) {
        if status != 200 {
            return self.refuse(Refused::Status);
        }
        let body = body.clone();
        tokio::task::spawn_local(async move { self.conclude(&body) });
    }

    /// Like `whole` with status 200, at once and here.
    pub fn conclude(self, body: &Bytes) {
        match judge(self.dialect(), body, self.settings()) {
            Ok(reply) => self.keep(&reply, body),
            Err(why) => self.refuse(why),
        }
    }

    /// The answer comes as a stream, with status 200: feed it.
    #[must_use]
    pub fn recorder(self) -> Recorder {
        Recorder::new(self)
    }
}

/// Records one streamed answer. Dropped before `finish`: the stream was cut, and nothing is kept.
#[derive(Debug)]
pub struct Recorder {
    lead: Option<Lead>,
    pieces: Vec<Bytes>,
    tail: Vec<u8>,
    waiting: usize,
    fold: StreamFold,
    usage: Option<Usage>,
}

impl Recorder {
    fn new(lead: Lead) -> Self {
        let fold = folding(&lead);
        Self { lead: Some(lead), pieces: Vec::new(), tail: Vec::new(), waiting: 0, fold, usage: None }
    }

    /// Bytes of the answer in the caller's dialect, in order, cut anywhere; usage that the caller did not ask for
    /// included where it is known.
    pub fn push(&mut self, bytes: &Bytes) {
        if self.lead.is_none() {
            return;
        }
        if bytes.len() <= COPIED {
            self.tail.extend_from_slice(bytes);
        } else {
            self.flush_tail();
            self.pieces.push(bytes.clone());
        }
        self.waiting += bytes.len();
        if self.waiting >= BATCH {
            self.decode();
        }
    }

    /// Notes the answer's usage, for streams that do not tell it to this caller.
    pub fn usage(&mut self, usage: Usage) {
        self.usage = Some(usage);
    }

    /// The stream failed before the caller had any of it: the lead, for another attempt; `None`: it was given up.
    #[must_use]
    pub fn into_lead(mut self) -> Option<Lead> {
        self.lead.take()
    }

    /// There is no memory to record any more of it.
    pub fn give_up(mut self) {
        if let Some(lead) = self.lead.take() {
            lead.refuse(Refused::Memory);
        }
    }

    /// The stream has come to its clean end. Must be called within a `LocalSet`; gives back at once.
    pub fn finish(self) {
        if self.lead.is_some() {
            tokio::task::spawn_local(async move { self.conclude() });
        }
    }

    /// Like `finish`, at once and here.
    pub fn conclude(mut self) {
        self.decode();
        let Some(lead) = self.lead.take() else { return };
        let recorded = std::mem::replace(&mut self.fold, lead.dialect().stream_fold(0));
        let kept = recorded.finish(self.usage.as_ref()).map_err(refusal).and_then(|whole| {
            let whole = Bytes::from(whole);
            Ok((judge(lead.dialect(), &whole, lead.settings())?, whole))
        });
        match kept {
            Ok((reply, whole)) => lead.keep(&reply, &whole),
            Err(why) => lead.refuse(why),
        }
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }

    fn decode(&mut self) {
        self.flush_tail();
        self.waiting = 0;
        let mut pieces = std::mem::take(&mut self.pieces).into_iter();
        let failed = pieces.find_map(|piece| self.fold.push(&piece).err());
        if let Some(why) = failed
            && let Some(lead) = self.lead.take()
        {
            lead.refuse(refusal(why));
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(lead) = self.lead.take() {
            lead.refuse(Refused::Cut);
        }
    }
}

fn folding(lead: &Lead) -> StreamFold {
    lead.dialect().stream_fold(usize::try_from(lead.settings().max_bytes).unwrap_or(usize::MAX))
}

fn refusal(why: Unfolded) -> Refused {
    match why {
        Unfolded::Cut | Unfolded::Failed => Refused::Cut,
        Unfolded::TooLarge(_) => Refused::Large,
        Unfolded::Malformed => Refused::Malformed,
        Unfolded::Unknown => Refused::Unfoldable,
    }
}

/// Reads a whole answer and says whether it may be given to the next caller: each of its answers has to say something,
/// and to have come to its own end.
fn judge(dialect: Dialect, whole: &[u8], settings: &Cache) -> Result<Reply, Refused> {
    if u64::try_from(whole.len()).unwrap_or(u64::MAX) > settings.max_bytes {
        return Err(Refused::Large);
    }
    let reply = dialect.decode_reply(whole).map_err(|_| Refused::Malformed)?;
    if reply.choices.is_empty() {
        return Err(Refused::Malformed);
    }
    if !dialect.has_stop_reason(whole) {
        return Err(Refused::Finish);
    }
    let mut length = 0;
    for choice in &reply.choices {
        match choice.stop {
            Stop::End | Stop::Tools | Stop::Sequence(_) => {}
            Stop::Length if settings.store_length => {}
            // A retry of the same bytes has to reach the model.
            Stop::Length | Stop::ContextLength | Stop::Refusal | Stop::Pause | Stop::Other(_) => {
                return Err(Refused::Finish);
            }
        }
        length += said(choice)?;
    }
    if length < usize::try_from(settings.min_content_length).unwrap_or(usize::MAX) {
        return Err(Refused::Short);
    }
    Ok(reply)
}

/// The amount that one answer says.
fn said(choice: &Choice) -> Result<usize, Refused> {
    let (mut length, mut says) = (0, false);
    for part in &choice.parts {
        length += match &part.content {
            Content::Text { text, .. } => {
                says |= !text.trim().is_empty();
                text.chars().count()
            }
            // A tool call is content too: an answer that only calls tools is not a short answer.
            Content::ToolCall(call) => {
                says = true;
                call.name.len() + call.arguments.len()
            }
            Content::Other { raw, .. } => {
                says = true;
                raw.get().len()
            }
            Content::Refusal(_) => return Err(Refused::Finish),
            _ => 0,
        };
    }
    // Sound is large, and its text is not all of it.
    if choice.extra.get("audio").is_some_and(|audio| audio.get() != "null") {
        return Err(Refused::Unfoldable);
    }
    if says { Ok(length) } else { Err(Refused::Empty) }
}

#[cfg(test)]
mod tests;
