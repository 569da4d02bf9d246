//! Answers recorded as they pass, and judged when they are whole: only good ones are kept.
//!
//! On the way of a stream's bytes stands one copy of small pieces (keeping the piece itself would pin the buffer it was
//! read into) or one reference of large ones. They are decoded in batches, the last batch in a task of its own, after
//! the client has its last byte.

use bytes::Bytes;
use sluicegate_config::Cache;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::{Content, Reply, Stop, Usage};

use super::lead::Lead;
use super::replay::Folding;
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
        match read_whole(self.dialect(), body, self.settings()) {
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
    folding: Folding,
    usage: Option<Usage>,
}

impl Recorder {
    fn new(lead: Lead) -> Self {
        let folding = Folding::new(lead.dialect(), lead.settings().max_bytes);
        Self { lead: Some(lead), pieces: Vec::new(), tail: Vec::new(), waiting: 0, folding, usage: None }
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

    /// What the answer used, for streams that do not tell it to this caller.
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
        let folding = std::mem::replace(&mut self.folding, Folding::new(lead.dialect(), 0));
        let kept = folding.finish(self.usage).and_then(|reply| {
            judge(&reply, lead.settings())?;
            let whole = Bytes::from(lead.dialect().encode_reply(&reply));
            Ok((reply, whole))
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
        let failed = pieces.find_map(|piece| self.folding.push(&piece).err());
        if let Some(why) = failed
            && let Some(lead) = self.lead.take()
        {
            lead.refuse(why);
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

/// Reads and judges a whole answer.
///
/// # Errors
/// It is not to be kept, and why.
fn read_whole(dialect: Dialect, body: &[u8], settings: &Cache) -> Result<Reply, Refused> {
    if u64::try_from(body.len()).unwrap_or(u64::MAX) > settings.max_bytes {
        return Err(Refused::Large);
    }
    let reply = dialect.decode_reply(body).map_err(|_| Refused::Malformed)?;
    judge(&reply, settings)?;
    Ok(reply)
}

/// Whether an answer may be given to the next caller. An answer that ran into its token limit may: the limit is a part
/// of the request. One that was refused, filtered or paused may not, nor one that ended in a way we do not know.
fn judge(reply: &Reply, settings: &Cache) -> Result<(), Refused> {
    if reply.choices.is_empty() {
        return Err(Refused::Malformed);
    }
    let mut length = 0;
    for choice in &reply.choices {
        match choice.stop {
            Stop::End | Stop::Length | Stop::Tools | Stop::Sequence(_) | Stop::ContextLength => {}
            Stop::Refusal | Stop::Pause | Stop::Other(_) => return Err(Refused::Finish),
        }
        for part in &choice.parts {
            length += match &part.content {
                Content::Text { text, .. } => text.chars().count(),
                // A tool call is content too: an answer that only calls tools is not a short answer.
                Content::ToolCall(call) => call.name.len() + call.arguments.len(),
                Content::Refusal(_) => return Err(Refused::Finish),
                _ => 0,
            };
        }
    }
    if length < usize::try_from(settings.min_content_length).unwrap_or(usize::MAX) {
        return Err(Refused::Short);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
