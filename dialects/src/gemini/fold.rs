//! A streamed answer folded into a whole one in the dialect's own words. A whole one is a stream of one event as it is.
//!
//! Anything that nobody here knows how to put together is not folded: an answer that has lost something is another
//! answer.

use serde_json::value::RawValue;

use super::wire;
use crate::codec::Unfolded;
use crate::fold::FoldEvents;
use crate::hub::{Raw, Usage};
use crate::json::{Object, ROOT, Writer, one_line, string};
use crate::sse::Frame;

/// The most answers one stream may hold.
const MOST_CANDIDATES: usize = 128;

/// Folds one stream.
#[derive(Debug, Default)]
pub(super) struct GeminiFold {
    /// Fields of the whole: the last word counts.
    head: Vec<(String, Raw)>,
    candidates: Vec<FoldedCandidate>,
    /// True if the prompt was blocked: then there is nothing else to come.
    blocked: bool,
}

/// One of the answers.
#[derive(Debug, Default)]
struct FoldedCandidate {
    parts: Vec<FoldedPart>,
    role: Option<Raw>,
    /// Its fields beside its content, as it came.
    beside: Vec<(String, Raw)>,
    finished: bool,
}

#[derive(Debug)]
enum FoldedPart {
    /// Text that may go on.
    Text { text: String, thought: bool },
    /// Any other part, as it came.
    Whole(Raw),
}

impl FoldEvents for GeminiFold {
    fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return Ok(0);
        }
        let mut held = 0;
        for (name, raw) in object(std::str::from_utf8(data).map_err(|_| Unfolded::Malformed)?)?.members() {
            held += match (name, raw.get()) {
                (_, "null") => 0,
                ("error", _) => return Err(Unfolded::Failed),
                ("candidates", list) => {
                    let list: Vec<&RawValue> = serde_json::from_str(list).map_err(|_| Unfolded::Malformed)?;
                    list.into_iter().try_fold(0, |held, raw| Ok(held + self.candidate(raw)?))?
                }
                _ => {
                    self.blocked |= name == "promptFeedback" && raw.get().contains("\"blockReason\"");
                    last(&mut self.head, name, raw)
                }
            };
        }
        Ok(held)
    }

    fn finish(self: Box<Self>, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        let Self { head, candidates, blocked } = *self;
        let whole = !candidates.is_empty() && candidates.iter().all(|candidate| candidate.finished);
        if !(whole || (blocked && candidates.is_empty())) {
            return Err(Unfolded::Cut);
        }
        let mut json = Writer::with_capacity(1024);
        json.open(b'{');
        if !candidates.is_empty() {
            json.open_field("candidates", b'[');
            candidates.iter().for_each(|candidate| candidate.write(&mut json));
            json.close(b']');
        }
        head.iter().for_each(|(name, raw)| json.raw_field(name, raw));
        match usage {
            Some(usage) if !head.iter().any(|(name, _)| name == "usageMetadata") => wire::write_usage(usage, &mut json),
            _ => {}
        }
        json.close(b'}');
        Ok(json.into_bytes())
    }
}

impl GeminiFold {
    fn candidate(&mut self, raw: &RawValue) -> Result<usize, Unfolded> {
        let members = object(raw.get())?;
        let index = members.members().find(|(name, _)| *name == "index");
        let index = index.map_or(Ok(0), |(_, raw)| raw.get().parse::<usize>()).map_err(|_| Unfolded::Malformed)?;
        if index >= MOST_CANDIDATES {
            return Err(Unfolded::Malformed);
        }
        while self.candidates.len() <= index {
            self.candidates.push(FoldedCandidate::default());
        }
        let candidate = self.candidates.get_mut(index).ok_or(Unfolded::Malformed)?;
        members.members().try_fold(0, |held, (name, raw)| Ok(held + candidate.take(name, raw)?))
    }
}

impl FoldedCandidate {
    fn take(&mut self, name: &str, raw: &RawValue) -> Result<usize, Unfolded> {
        // Said anew with each event, or once at the end.
        const LAST: [&str; 7] = [
            "index",
            "safetyRatings",
            "tokenCount",
            "avgLogprobs",
            "finishMessage",
            "groundingMetadata",
            "finishReason",
        ];
        match (name, raw.get()) {
            (_, "null") => Ok(0),
            ("content", content) => {
                object(content)?.members().try_fold(0, |held, (name, raw)| Ok(held + self.content(name, raw)?))
            }
            _ => {
                self.finished |= name == "finishReason" && raw.get() != "\"\"";
                let said = self.beside.iter().find(|(known, _)| known == name);
                if said.is_some_and(|(_, said)| said.get() != raw.get()) && !LAST.contains(&name) {
                    return Err(Unfolded::Unknown);
                }
                Ok(last(&mut self.beside, name, raw))
            }
        }
    }

    fn content(&mut self, name: &str, raw: &RawValue) -> Result<usize, Unfolded> {
        match (name, raw.get()) {
            (_, "null") => Ok(0),
            ("role", _) => {
                self.role.get_or_insert_with(|| raw.to_owned());
                Ok(0)
            }
            ("parts", list) => {
                let list: Vec<&RawValue> = serde_json::from_str(list).map_err(|_| Unfolded::Malformed)?;
                list.into_iter().try_fold(0, |held, raw| Ok(held + self.part(raw)?))
            }
            _ => Err(Unfolded::Unknown),
        }
    }

    fn part(&mut self, raw: &RawValue) -> Result<usize, Unfolded> {
        let mut part = object(raw.get())?;
        let thought = part.take("thought").map(RawValue::get);
        let text = part.take("text").and_then(string);
        let size = raw.get().len();
        let piece = match (text, thought, part.is_empty()) {
            (Some(text), None | Some("false"), true) => FoldedPart::Text { text, thought: false },
            (Some(text), Some("true"), true) => FoldedPart::Text { text, thought: true },
            _ => FoldedPart::Whole(raw.to_owned()),
        };
        match (self.parts.last_mut(), piece) {
            (_, FoldedPart::Text { text: more, .. }) if more.is_empty() => return Ok(0),
            (Some(FoldedPart::Text { text, thought }), FoldedPart::Text { text: more, thought: as_well })
                if *thought == as_well =>
            {
                text.push_str(&more);
            }
            (_, piece) => self.parts.push(piece),
        }
        Ok(size)
    }

    fn write(&self, json: &mut Writer) {
        let Self { parts, role, beside, finished: _ } = self;
        json.open(b'{');
        json.open_field("content", b'{');
        json.open_field("parts", b'[');
        for part in parts {
            match part {
                FoldedPart::Text { text, thought } => super::reply::write_text(text, *thought, None, json),
                FoldedPart::Whole(raw) => json.raw(raw.get()),
            }
        }
        if parts.is_empty() {
            super::reply::write_text("", false, None, json);
        }
        json.close(b']');
        if let Some(role) = role {
            json.raw_field("role", role);
        }
        json.close(b'}');
        beside.iter().for_each(|(name, raw)| json.raw_field(name, raw));
        json.close(b'}');
    }
}

/// Of what is said more than once the last word counts; gives the bytes that it holds more.
fn last(members: &mut Vec<(String, Raw)>, name: &str, raw: &RawValue) -> usize {
    let Some((_, said)) = members.iter_mut().find(|(known, _)| known == name) else {
        members.push((name.to_owned(), raw.to_owned()));
        return name.len() + raw.get().len();
    };
    let more = raw.get().len().saturating_sub(said.get().len());
    *said = raw.to_owned();
    more
}

fn object(text: &str) -> Result<Object<'_>, Unfolded> {
    serde_json::from_str(text).map_err(|_| Unfolded::Malformed)
}

/// Appends a stream that says what this whole answer says: itself, in one event.
pub(super) fn replay(whole: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let text = std::str::from_utf8(whole).ok()?;
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    Object::read(raw.get(), &ROOT).ok()?;
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(one_line(raw).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    Some(())
}

/// True if each answer of a whole says why it ended.
pub(super) fn has_stop_reason(whole: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<wire::WireAnswer<'_>>(whole) else { return false };
    let candidates = answer.candidates.unwrap_or_default();
    let why = |candidate: &wire::Candidate<'_>| candidate.finish_reason.as_deref().is_some_and(|why| !why.is_empty());
    if candidates.is_empty() {
        return answer.prompt_feedback.as_ref().and_then(wire::Feedback::refusal).is_some();
    }
    candidates.iter().all(why)
}
