//! A streamed answer read into the hub's events.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::Malformed;
use crate::dialect::Dialect;
use crate::hub::{Content, Delta, Event, PartKind, ServiceTier, Usage};
use crate::json::{Object, ROOT, kind_of, string};
use crate::openai_responses::tool_name::flat;
use crate::openai_responses::{error, reply, wire};
use crate::spoke::{DecodeStream, FollowedItems};
use crate::sse;
use crate::text::{Seam, Text};

/// The most parts that grow at once.
const MOST_OPEN: usize = 256;
/// The kind of a piece of thoughts.
const THOUGHT: &str = "reasoning_text";
/// The most parts of one answer.
const MOST_TOLD: usize = 8192;

/// Reads one streamed answer.
#[derive(Debug, Default)]
pub(crate) struct ResponsesDecoder {
    frames: sse::SseDecoder,
    state: ResponseReading,
}

#[derive(Debug, Default)]
struct ResponseReading {
    started: bool,
    ended: bool,
    tier: ServiceTier,
    next_part: u32,
    called: bool,
    /// The parts that grow, by the places of its item and of its piece there.
    open: BTreeMap<(u64, u64), ResponsePart>,
    /// The bytes that were told of each, closed ones too: what says it whole may say more.
    told: BTreeMap<(u64, u64), usize>,
    /// The items by their own names, where it stands behind a stream that passes.
    followed: Option<FollowedItems>,
    /// The memory that they take.
    followed_bytes: usize,
}

/// The most bytes of items that are kept of a stream that passes.
const MOST_FOLLOWED: usize = 4 << 20;

/// A part that grows.
#[derive(Debug)]
struct ResponsePart {
    part: u32,
    seam: Seam,
    said: bool,
    /// The part of a summary that its text belongs to.
    summary: u64,
}

/// An event, as far as any of them is looked at.
#[derive(Deserialize)]
struct ResponsesEvent<'a> {
    sequence_number: Option<u64>,
    #[serde(default)]
    output_index: u64,
    #[serde(default)]
    content_index: u64,
    #[serde(default)]
    summary_index: u64,
    delta: Option<Text>,
    text: Option<Text>,
    refusal: Option<Text>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    part: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct EventName {
    r#type: String,
}

#[derive(Deserialize)]
struct ResponseHead<'a> {
    id: Option<String>,
    model: Option<String>,
    created_at: Option<f64>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    service_tier: ServiceTier,
    incomplete_details: Option<IncompleteDetails>,
}

#[derive(Deserialize)]
struct IncompleteDetails {
    reason: Option<String>,
}

/// The usage of a response that failed; `None`: it says none.
fn failed_usage(data: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Failed<'a> {
        #[serde(borrow)]
        response: Option<FailedResponse<'a>>,
    }
    #[derive(Deserialize)]
    struct FailedResponse<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
        #[serde(default)]
        service_tier: ServiceTier,
    }
    let FailedResponse { usage, service_tier } = serde_json::from_slice::<Failed<'_>>(data).ok()?.response?;
    wire::usage_at(usage?, service_tier)
}

impl ResponsesDecoder {
    /// At the beginning.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl DecodeStream for ResponsesDecoder {
    /// Takes the next bytes, cut anywhere, and appends the events they complete. Errors: they are not what the dialect
    /// allows.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, state } = self;
        frames.push(bytes, |frame| state.take(frame.name, frame.data, out))
    }

    /// The memory that the unfinished event takes.
    fn held(&self) -> usize {
        self.frames.held() + self.state.followed_bytes
    }

    /// True if the answer has said why it ended.
    fn is_finished(&self) -> bool {
        self.state.ended
    }

    fn tier(&self) -> ServiceTier {
        self.state.tier
    }

    fn follow(&mut self) {
        self.state.followed = Some(FollowedItems::default());
    }

    fn followed(&self) -> Option<FollowedItems> {
        self.state.followed.clone()
    }

    /// Says that the body came to its clean end.
    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Self { frames, state } = self;
        frames.finish(|frame| state.take(frame.name, frame.data, out))
    }
}

impl ResponseReading {
    fn take(&mut self, name: &[u8], data: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        // Some servers end with a word of the older dialect.
        if self.ended || data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let broken = || Malformed::new("an event of the stream is not what it should be");
        let named = if name.is_empty() || name == b"message" {
            serde_json::from_slice::<EventName>(data).map_err(|_| broken())?.r#type
        } else {
            String::from_utf8_lossy(name).into_owned()
        };
        match &*named {
            // A response that failed tells it once more; what comes first is enough.
            "error" | "response.failed" => {
                self.ended = true;
                out.extend(failed_usage(data).map(Event::Usage));
                out.push(Event::Error(error::decode_said(data)));
                return Ok(());
            }
            _ => {}
        }
        let wire: ResponsesEvent<'_> = serde_json::from_slice(data).map_err(|_| broken())?;
        self.event(&named, wire, out).ok_or_else(broken)
    }

    /// `None`: it lacks what it has to say.
    fn event(&mut self, name: &str, wire: ResponsesEvent<'_>, out: &mut Vec<Event>) -> Option<()> {
        if let Some(followed) = &mut self.followed {
            followed.number = followed.number.max(wire.sequence_number);
        }
        let place = (wire.output_index, wire.content_index);
        match name {
            "response.created" | "response.in_progress" | "response.queued" => self.start(wire.response?, out),
            "response.output_item.added" => self.item_added(wire.output_index, wire.item?, out),
            "response.content_part.added" => self.piece_added(place, wire.part?, out),
            "response.output_text.delta" => {
                let logprobs = wire.logprobs.filter(|raw| raw.get() != "[]");
                self.text(place, PartKind::Text, wire.delta?, out);
                if let (Some(raw), Some(open)) = (logprobs, self.open.get(&place)) {
                    out.push(delta(open.part, Delta::Logprobs(raw.to_owned())));
                }
                Some(())
            }
            "response.refusal.delta" => self.text(place, PartKind::Refusal, wire.delta?, out),
            "response.output_text.annotation.added" => {
                if let Some(open) = self.open.get(&place) {
                    out.push(delta(open.part, Delta::Citation(wire.annotation?.to_owned())));
                }
                Some(())
            }
            // Behind a stream that passes, a text that was told whole does not grow, whoever goes on.
            "response.output_text.done" | "response.refusal.done" => {
                let kind = if name == "response.refusal.done" { PartKind::Refusal } else { PartKind::Text };
                let whole = wire.text.or(wire.refusal).map(Text::whole).unwrap_or_default();
                self.rest(place, kind, &whole, out)?;
                let Some(followed) = &mut self.followed else { return Some(()) };
                followed.is_said = true;
                self.close(place, out)
            }
            // Thoughts are one part, however many pieces they have: their item says where they end.
            "response.content_part.done" if wire.part.is_some_and(|part| kind_of(part.get()) == THOUGHT) => Some(()),
            "response.content_part.done" => {
                wire.part.map_or(Some(()), |part| self.piece_done(place, part, out))?;
                self.followed.iter_mut().for_each(|followed| followed.is_said = false);
                self.close(place, out)
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.thought(wire.output_index, wire.summary_index.max(wire.content_index), wire.delta?, out)
            }
            "response.function_call_arguments.delta" => {
                let open = self.open.get_mut(&(wire.output_index, 0))?;
                let text = open.seam.join(wire.delta?);
                open.said = true;
                *self.told.entry((wire.output_index, 0)).or_default() += text.len();
                out.push(delta(open.part, Delta::Arguments(text)));
                Some(())
            }
            "response.output_item.done" => self.item_done(wire.output_index, wire.item?, out),
            "keepalive" => {
                out.push(Event::Alive);
                Some(())
            }
            "response.completed" => self.end("completed", wire.response?, out),
            "response.incomplete" => self.end("incomplete", wire.response?, out),
            // What was told in pieces and is told once more, and what providers say of their own tools.
            _ => Some(()),
        }
    }

    fn start(&mut self, response: &RawValue, out: &mut Vec<Event>) -> Option<()> {
        if std::mem::replace(&mut self.started, true) {
            return Some(());
        }
        let ResponseHead { id, model, created_at, service_tier, .. } = serde_json::from_str(response.get()).ok()?;
        self.tier = service_tier;
        let created = created_at.filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64);
        out.push(Event::Start { id: id.unwrap_or_default(), model: model.unwrap_or_default(), created });
        Some(())
    }

    fn begin(&mut self, place: (u64, u64), kind: PartKind, out: &mut Vec<Event>) -> Option<u32> {
        if let Some(open) = self.open.get(&place) {
            return Some(open.part);
        }
        if self.open.len() >= MOST_OPEN || self.told.len() >= MOST_TOLD {
            return None;
        }
        let part = self.next_part;
        self.next_part = part.checked_add(1)?;
        self.told.insert(place, 0);
        self.open.insert(place, ResponsePart { part, seam: Seam::default(), said: false, summary: 0 });
        out.push(Event::PartStart { choice: 0, part, kind });
        Some(part)
    }

    fn close(&mut self, place: (u64, u64), out: &mut Vec<Event>) -> Option<()> {
        if let Some(ResponsePart { part, mut seam, .. }) = self.open.remove(&place) {
            out.extend(seam.end().map(|half| delta(part, Delta::Text(half.into()))));
            out.push(Event::PartEnd { choice: 0, part });
        }
        Some(())
    }

    fn item_added(&mut self, index: u64, raw: &RawValue, out: &mut Vec<Event>) -> Option<()> {
        let mut item = Object::read(raw.get(), &ROOT).ok()?;
        let kind = item.take("type").and_then(string)?;
        if let Some(followed) = self.followed.as_mut().filter(|_| kind == "message") {
            followed.open = item.take("id").and_then(string);
        }
        if !matches!(&*kind, "function_call" | "custom_tool_call") {
            return Some(());
        }
        let id = item.take("call_id").and_then(string)?;
        let name = item.take("name").and_then(string)?;
        let name = match item.take("namespace").and_then(string) {
            Some(namespace) => flat(&namespace, &name),
            None => name,
        };
        self.called = true;
        self.begin((index, 0), PartKind::ToolCall { id, name }, out).map(|_| ())
    }

    fn piece_added(&mut self, place: (u64, u64), raw: &RawValue, out: &mut Vec<Event>) -> Option<()> {
        let kind = match &*serde_json::from_str::<EventName>(raw.get()).ok()?.r#type {
            "output_text" => PartKind::Text,
            "refusal" => PartKind::Refusal,
            // Thoughts are one part, however many pieces they have.
            _ => return Some(()),
        };
        self.begin(place, kind, out).map(|_| ())
    }

    fn text(&mut self, place: (u64, u64), kind: PartKind, text: Text, out: &mut Vec<Event>) -> Option<()> {
        let part = self.begin(place, kind, out)?;
        let open = self.open.get_mut(&place)?;
        let text = open.seam.join(text);
        *self.told.entry(place).or_default() += text.len();
        if !text.is_empty() {
            out.push(delta(part, Delta::Text(text)));
        }
        Some(())
    }

    /// Tells what a text that is told whole has beyond what was told of it: all of it, where no piece came before.
    fn rest(&mut self, place: (u64, u64), kind: PartKind, whole: &str, out: &mut Vec<Event>) -> Option<()> {
        let told = self.told.get(&place).copied().unwrap_or_default();
        match whole.get(told..) {
            Some(more) if !more.is_empty() => {
                self.text(place, kind, Text::from(more), out)?;
                self.told.insert(place, whole.len());
                Some(())
            }
            _ => Some(()),
        }
    }

    /// A piece of a message that is whole.
    fn piece_done(&mut self, place: (u64, u64), raw: &RawValue, out: &mut Vec<Event>) -> Option<()> {
        let mut piece = Object::read(raw.get(), &ROOT).ok()?;
        let (kind, name) = match &*piece.take("type").and_then(string)? {
            "output_text" => (PartKind::Text, "text"),
            "refusal" => (PartKind::Refusal, "refusal"),
            _ => return Some(()),
        };
        let whole = piece.take(name).and_then(Text::of).map(Text::whole).unwrap_or_default();
        self.rest(place, kind, &whole, out)
    }

    fn thought(&mut self, index: u64, summary: u64, text: Text, out: &mut Vec<Event>) -> Option<()> {
        let part = self.begin((index, 0), PartKind::Thinking, out)?;
        let open = self.open.get_mut(&(index, 0))?;
        // The parts of a summary are paragraphs.
        if open.said && open.summary != summary {
            out.push(delta(part, Delta::Text("\n\n".to_owned())));
        }
        (open.said, open.summary) = (true, summary);
        let text = open.seam.join(text);
        if !text.is_empty() {
            out.push(delta(part, Delta::Text(text)));
        }
        Some(())
    }

    fn item_done(&mut self, index: u64, raw: &RawValue, out: &mut Vec<Event>) -> Option<()> {
        if let Some(followed) = &mut self.followed {
            followed.open = None;
            followed.whole.push(raw.to_owned());
            self.followed_bytes = self.followed_bytes.saturating_add(raw.get().len());
            if self.followed_bytes > MOST_FOLLOWED {
                return None;
            }
        }
        let mut item = Object::read(raw.get(), &ROOT).ok()?;
        match &*item.take("type").and_then(string)? {
            "message" => {
                let pieces = item.list("content", &ROOT).ok()?.unwrap_or_default();
                for (place, piece) in pieces.into_iter().enumerate() {
                    self.piece_done((index, place as u64), piece, out)?;
                    self.close((index, place as u64), out)?;
                }
                let open: Vec<(u64, u64)> =
                    self.open.range((index, 0)..=(index, u64::MAX)).map(|(at, _)| *at).collect();
                open.into_iter().for_each(|place| {
                    self.close(place, out);
                });
                Some(())
            }
            "reasoning" => self.thought_done(index, item, out),
            "function_call" => self.call_done(index, item, false, out),
            "custom_tool_call" => self.call_done(index, item, true, out),
            _ => {
                let kind = PartKind::Other { dialect: Dialect::OpenAiResponses, raw: raw.to_owned() };
                self.begin((index, 0), kind, out)?;
                self.close((index, 0), out)
            }
        }
    }

    fn thought_done(&mut self, index: u64, mut item: Object<'_>, out: &mut Vec<Event>) -> Option<()> {
        let id = item.take("id").and_then(string).unwrap_or_default();
        let encrypted = item.take("encrypted_content").and_then(string);
        let text = reply::texts(&mut item, &ROOT).ok()?;
        let Content::Thinking { text, signature } = reply::own_thought(id, text, encrypted) else { return None };
        if text.is_empty() && signature.is_none() && !self.open.contains_key(&(index, 0)) {
            return Some(());
        }
        let part = self.begin((index, 0), PartKind::Thinking, out)?;
        let said = self.open.get(&(index, 0)).is_some_and(|open| open.said);
        if !said && !text.is_empty() {
            out.push(delta(part, Delta::Text(text)));
        }
        out.extend(signature.map(|signature| delta(part, Delta::Signature(signature))));
        self.close((index, 0), out)
    }

    fn call_done(&mut self, index: u64, mut item: Object<'_>, custom: bool, out: &mut Vec<Event>) -> Option<()> {
        let call = reply::call(&mut item, custom, &ROOT).ok()?;
        self.called = true;
        let part = self.begin((index, 0), PartKind::ToolCall { id: call.id, name: call.name }, out)?;
        let told = self.told.get(&(index, 0)).copied().unwrap_or_default();
        let rest = call.arguments.get(told..).filter(|rest| !rest.is_empty());
        out.extend(rest.map(|rest| delta(part, Delta::Arguments(rest.to_owned()))));
        self.close((index, 0), out)
    }

    fn end(&mut self, status: &str, response: &RawValue, out: &mut Vec<Event>) -> Option<()> {
        self.start(response, out)?;
        let ResponseHead { usage, incomplete_details, service_tier, .. } = serde_json::from_str(response.get()).ok()?;
        self.tier = service_tier.or(self.tier);
        if self.next_part == 0 && self.followed.is_none() {
            self.told_at_its_end(response, out)?;
        }
        let places: Vec<(u64, u64)> = self.open.keys().copied().collect();
        places.into_iter().for_each(|place| {
            self.close(place, out);
        });
        let reason = incomplete_details.and_then(|details| details.reason);
        out.push(Event::Finish { choice: 0, stop: wire::stop(status, reason.as_deref(), self.called) });
        let usage: Option<Usage> = usage.and_then(|raw| wire::usage_at(raw, self.tier));
        out.extend(usage.map(Event::Usage));
        out.push(Event::End);
        self.ended = true;
        Some(())
    }

    /// Tells an answer of which nothing was told before its last event.
    fn told_at_its_end(&mut self, response: &RawValue, out: &mut Vec<Event>) -> Option<()> {
        let items = Object::read(response.get(), &ROOT).ok()?.list("output", &ROOT).ok()?.unwrap_or_default();
        items.into_iter().enumerate().try_for_each(|(index, item)| self.item_done(index as u64, item, out))
    }
}

fn delta(part: u32, delta: Delta) -> Event {
    Event::Delta { choice: 0, part, delta }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(text: &str) -> Value {
        json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": []}]})
    }

    fn call(arguments: &str) -> Value {
        json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": arguments})
    }

    fn added(item: &Value) -> Value {
        json!({"type": "response.output_item.added", "output_index": 0, "item": item})
    }

    fn done(item: &Value) -> Value {
        json!({"type": "response.output_item.done", "output_index": 0, "item": item})
    }

    fn piece(kind: &str, name: &str, text: &str) -> Value {
        json!({"type": kind, "output_index": 0, "content_index": 0, name: text})
    }

    /// The text and the arguments that a stream tells, and the number of parts that it has.
    fn told(events: &[Value], output: &Value) -> (String, String, usize) {
        let begun = json!({"type": "response.created", "response": {"id": "resp_1", "model": "m"}});
        let end = json!({"type": "response.completed", "response": {"id": "resp_1", "model": "m", "output": output}});
        let (mut reader, mut out) = (ResponsesDecoder::new(), Vec::new());
        for event in [&begun].into_iter().chain(events).chain([&end]) {
            reader.push(format!("data: {event}\n\n").as_bytes(), &mut out).unwrap();
        }
        assert!(reader.is_finished());
        let (mut text, mut arguments) = (String::new(), String::new());
        for event in &out {
            match event {
                Event::Delta { delta: Delta::Text(more), .. } => text += more,
                Event::Delta { delta: Delta::Arguments(more), .. } => arguments += more,
                _ => {}
            }
        }
        let begun = out.iter().filter(|event| matches!(event, Event::PartStart { .. })).count();
        let ended = out.iter().filter(|event| matches!(event, Event::PartEnd { .. })).count();
        assert_eq!(begun, ended);
        (text, arguments, begun)
    }

    #[test]
    fn what_is_only_told_whole_is_told_once() {
        let part = json!({"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": message("hello")["content"][0]});
        let delta = |text: &str| piece("response.output_text.delta", "delta", text);
        let text_done = piece("response.output_text.done", "text", "hello");
        let item = message("hello");
        let (empty, all) = (added(&message("")), json!([item]));
        for events in [
            vec![empty.clone(), delta("hel"), delta("lo"), text_done.clone(), part.clone(), done(&item)],
            vec![empty.clone(), text_done.clone(), part.clone(), done(&item)],
            vec![empty.clone(), delta("hel"), text_done, part.clone(), done(&item)],
            vec![empty.clone(), delta("hel"), part],
            vec![empty, delta("hel"), done(&item)],
            vec![done(&item)],
            vec![],
        ] {
            assert_eq!(told(&events, &all), ("hello".to_owned(), String::new(), 1), "{events:?}");
        }
        let refusal = json!({"type": "message", "content": [{"type": "refusal", "refusal": "no"}]});
        assert_eq!(told(&[done(&refusal)], &json!([refusal])).0, "no");
    }

    #[test]
    fn thoughts_in_pieces_are_told_once() {
        let item = json!({"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]});
        let part =
            |kind: &str| json!({"type": kind, "output_index": 0, "content_index": 0, "part": item["content"][0]});
        let events = [
            added(&json!({"type": "reasoning", "id": "rs_1", "summary": []})),
            part("response.content_part.added"),
            piece("response.reasoning_text.delta", "delta", "Hm."),
            piece("response.reasoning_text.done", "text", "Hm."),
            part("response.content_part.done"),
            done(&item),
        ];
        assert_eq!(told(&events, &json!([item])), ("Hm.".to_owned(), String::new(), 1));
    }

    #[test]
    fn a_call_that_is_only_told_whole_is_told_once() {
        let (item, more) = (call(r#"{"a":1}"#), piece("response.function_call_arguments.delta", "delta", r#"{"a""#));
        for events in
            [vec![added(&call("")), more, done(&item)], vec![added(&call("")), done(&item)], vec![done(&item)], vec![]]
        {
            assert_eq!(told(&events, &json!([item])), (String::new(), r#"{"a":1}"#.to_owned(), 1), "{events:?}");
        }
    }
}
