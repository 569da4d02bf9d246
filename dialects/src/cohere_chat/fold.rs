//! A streamed answer folded into a whole one in the dialect's own words, and a whole one told as a stream.
//!
//! Anything that nobody here knows how to put together is not folded: an answer that has lost something is another answer.

use serde_json::value::RawValue;

use super::stream::{CohereEvent, END, event};
use super::wire;
use crate::codec::Unfolded;
use crate::fold::FoldEvents;
use crate::hub::{Raw, Usage};
use crate::json::{Object, ROOT, Writer, string};
use crate::sse::Frame;

/// The most pieces of content, calls or citations that one answer may have.
const MOST: usize = 4096;

/// Folds one stream.
#[derive(Debug, Default)]
pub(super) struct CohereFold {
    id: String,
    contents: Vec<(String, String)>,
    plan: String,
    calls: Vec<FoldedCall>,
    citations: Vec<Raw>,
    finish: Option<Raw>,
    usage: Option<Raw>,
}

/// A call of a tool.
#[derive(Debug, Default)]
struct FoldedCall {
    id: String,
    name: String,
    arguments: String,
}

impl FoldEvents for CohereFold {
    fn push(&mut self, frame: &Frame<'_>) -> Result<usize, Unfolded> {
        let data = frame.data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            return Ok(0);
        }
        let text = std::str::from_utf8(data).map_err(|_| Unfolded::Malformed)?;
        let mut top = object(text)?;
        let kind = top.take("type").and_then(string).unwrap_or_default();
        let delta = top.take("delta");
        match kind.as_str() {
            "message-start" => {
                self.id = top.take("id").and_then(string).unwrap_or_default();
                Ok(self.id.len())
            }
            "content-end" | "tool-call-end" | "citation-end" | "debug" => Ok(0),
            "message-end" => self.end(object(delta.map_or("{}", |raw| raw.get()))?),
            _ if top.take("logprobs").is_some() => Err(Unfolded::Unknown),
            _ => {
                let mut delta = object(delta.map_or("{}", |raw| raw.get()))?;
                let message = delta.take("message").ok_or(Unfolded::Malformed)?;
                self.piece(&kind, object(message.get())?)
            }
        }
    }

    fn finish(self: Box<Self>, usage: Option<&Usage>) -> Result<Vec<u8>, Unfolded> {
        let finish = self.finish.as_ref().ok_or(Unfolded::Cut)?;
        let mut json = Writer::with_capacity(512);
        json.open(b'{');
        json.text_field("id", &self.id);
        json.raw_field("finish_reason", finish);
        json.open_field("message", b'{');
        json.text_field("role", "assistant");
        json.open_field("content", b'[');
        for (kind, text) in &self.contents {
            json.open(b'{');
            json.text_field("type", kind);
            json.text_field(kind, text);
            json.close(b'}');
        }
        json.close(b']');
        if !self.plan.is_empty() {
            json.text_field("tool_plan", &self.plan);
        }
        if !self.calls.is_empty() {
            json.open_field("tool_calls", b'[');
            for FoldedCall { id, name, arguments } in &self.calls {
                wire::write_call(id, name, arguments, &mut json);
            }
            json.close(b']');
        }
        if !self.citations.is_empty() {
            json.open_field("citations", b'[');
            self.citations.iter().for_each(|raw| json.raw(raw.get()));
            json.close(b']');
        }
        json.close(b'}');
        match (&self.usage, usage) {
            (Some(raw), _) => json.raw_field("usage", raw),
            (None, Some(usage)) => wire::write_usage(usage, &mut json),
            (None, None) => {}
        }
        json.close(b'}');
        Ok(json.into_bytes())
    }
}

impl CohereFold {
    fn end(&mut self, mut delta: Object<'_>) -> Result<usize, Unfolded> {
        let finish = delta.take("finish_reason");
        if delta.take("error").is_some() || finish.and_then(string).is_some_and(|word| wire::is_failure(&word)) {
            return Err(Unfolded::Failed);
        }
        self.finish = finish.map(ToOwned::to_owned);
        self.usage = delta.raw("usage");
        Ok(self.usage.as_ref().map_or(0, |raw| raw.get().len()))
    }

    fn piece(&mut self, kind: &str, mut message: Object<'_>) -> Result<usize, Unfolded> {
        let more = |raw: Option<&RawValue>| raw.and_then(string).unwrap_or_default();
        if self.contents.len() + self.calls.len() + self.citations.len() > MOST {
            return Err(Unfolded::Malformed);
        }
        match kind {
            "tool-plan-delta" => {
                let plan = more(message.take("tool_plan"));
                self.plan += &plan;
                Ok(plan.len())
            }
            "content-start" | "content-delta" => {
                let content = message.take("content").ok_or(Unfolded::Malformed)?;
                let mut content = object(content.get())?;
                if kind == "content-start" {
                    let kind = content.take("type").and_then(string).ok_or(Unfolded::Malformed)?;
                    self.contents.push((kind, String::new()));
                }
                let (kind, text) = self.contents.last_mut().ok_or(Unfolded::Malformed)?;
                let said = more(content.take(kind));
                *text += &said;
                if content.is_empty() { Ok(said.len() + 16) } else { Err(Unfolded::Unknown) }
            }
            "tool-call-start" | "tool-call-delta" => {
                let call = message.take("tool_calls").ok_or(Unfolded::Malformed)?;
                let mut call = object(call.get())?;
                if kind == "tool-call-start" {
                    self.calls.push(FoldedCall { id: more(call.take("id")), ..FoldedCall::default() });
                }
                let last = self.calls.last_mut().ok_or(Unfolded::Malformed)?;
                let mut function = object(call.take("function").map_or("{}", |raw| raw.get()))?;
                last.name += &more(function.take("name"));
                let arguments = more(function.take("arguments"));
                last.arguments += &arguments;
                Ok(arguments.len() + 64)
            }
            "citation-start" => {
                let citation = message.take("citations").ok_or(Unfolded::Malformed)?;
                self.citations.push(citation.to_owned());
                Ok(citation.get().len())
            }
            _ => Err(Unfolded::Unknown),
        }
    }
}

fn object(text: &str) -> Result<Object<'_>, Unfolded> {
    serde_json::from_str(text).map_err(|_| Unfolded::Malformed)
}

/// Appends a stream that says what this whole answer says. `None`: it is no answer, or has more than texts, thoughts and calls.
pub(super) fn replay(whole: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut top = Object::read(std::str::from_utf8(whole).ok()?, &ROOT).ok()?;
    let id = top.take("id").and_then(string).unwrap_or_default();
    let finish = top.take("finish_reason").and_then(string)?;
    let usage = top.take("usage");
    let mut message = Object::read(top.take("message")?.get(), &ROOT).ok()?;
    message.take("role");
    event(CohereEvent::Start(&id), out);
    let contents: Vec<&RawValue> =
        message.take("content").map_or(Some(Vec::new()), |raw| serde_json::from_str(raw.get()).ok())?;
    for (index, raw) in contents.into_iter().enumerate() {
        let mut content = Object::read(raw.get(), &ROOT).ok()?;
        let kind = content.take("type").and_then(string)?;
        let text = content.take(&kind).and_then(string)?;
        event(CohereEvent::ContentStart(index, &kind), out);
        event(CohereEvent::Content(index, &kind, &text), out);
        event(CohereEvent::ContentEnd(index), out);
    }
    if let Some(plan) = message.take("tool_plan").and_then(string) {
        event(CohereEvent::Plan(&plan), out);
    }
    let calls: Vec<&RawValue> =
        message.take("tool_calls").map_or(Some(Vec::new()), |raw| serde_json::from_str(raw.get()).ok())?;
    for (index, raw) in calls.into_iter().enumerate() {
        let mut call = Object::read(raw.get(), &ROOT).ok()?;
        let mut function = Object::read(call.take("function")?.get(), &ROOT).ok()?;
        let mut text = |name| function.take(name).and_then(string);
        event(CohereEvent::CallStart(index, &call.take("id").and_then(string)?, &text("name")?), out);
        event(CohereEvent::Call(index, &text("arguments")?), out);
        event(CohereEvent::CallEnd(index), out);
    }
    if !message.is_empty() || !top.is_empty() {
        return None;
    }
    event(CohereEvent::EndAsSaid(&finish, usage), out);
    out.extend_from_slice(END);
    Some(())
}

/// True if a whole answer says why it ended.
pub(super) fn has_stop_reason(whole: &[u8]) -> bool {
    let top = std::str::from_utf8(whole).ok().and_then(|text| Object::read(text, &ROOT).ok());
    top.and_then(|mut top| top.take("finish_reason").and_then(string)).is_some_and(|word| !word.is_empty())
}
