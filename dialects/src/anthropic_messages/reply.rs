//! A whole answer: read into the hub's words, and written out of them.

use super::blocks_in;
use super::blocks_out::{BlockOut, BlockWriter};
use super::stop;
use super::usage::{MessagesUsage, NAMES};
use crate::codec::{EncodedReply, Malformed, Refusal};
use crate::dialect::Dialect;
use crate::hub::{Choice, Content, Extra, Fields, Part, Raw, Reply, Stop, Usage};
use crate::json::{Object, Path, ROOT, written};
use crate::scan;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Reads a whole answer. Errors: it is no Anthropic message; the message names the field and holds none of its text.
pub(crate) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Malformed { message: "not UTF-8".to_owned(), at: Some(error.valid_up_to()) })?;
    let mut top = Object::read(text, &ROOT).map_err(|refusal| Malformed::new(refusal.message))?;
    read(&mut top).map_err(|refusal| Malformed::new(refusal.message)).map(|(id, model, choice, usage)| Reply {
        id,
        model,
        created: None,
        choices: vec![choice],
        usage: usage.0,
        extra: Extra { dialect: Dialect::AnthropicMessages, fields: rest(top, usage.1) },
    })
}

/// The counts, and the whole where it says more than those.
type Used = (Option<Usage>, Option<Raw>);

fn read(top: &mut Object<'_>) -> Result<(String, String, Choice, Used), Refusal> {
    let id = top.required("id", &ROOT)?;
    let model = top.required("model", &ROOT)?;
    // Constants of the shape.
    top.take("type");
    top.take("role");
    const CONTENT: Path<'static> = ROOT.field("content");
    let blocks = top.list("content", &ROOT)?.ok_or_else(|| CONTENT.refuse("the field is required"))?;
    let parts = blocks.iter().enumerate().map(|(i, raw)| blocks_in::read(raw, &CONTENT.index(i)));
    let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
    let reason = top.text("stop_reason", &ROOT)?;
    let sequence = top.text("stop_sequence", &ROOT)?;
    let stop = match reason.map_or(Stop::End, |reason| stop::read(&reason, sequence)) {
        // Look-alikes say a plain end beside tool calls.
        Stop::End if calls(&parts) => Stop::Tools,
        stop => stop,
    };
    // The details stay among the rest, for callers of the same dialect.
    if parts.is_empty() {
        let details = top.members().find(|(name, _)| *name == "stop_details").map(|(_, raw)| raw);
        parts.extend(stop::explanation(&stop, details).map(|text| Part::new(Content::Refusal(text))));
    }
    let usage = used(top)?;
    Ok((id, model, Choice { parts, stop, logprobs: None, extra: Fields::new() }, usage))
}

fn calls(parts: &[Part]) -> bool {
    parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)))
}

fn used(top: &mut Object<'_>) -> Result<Used, Refusal> {
    const USAGE: Path<'static> = ROOT.field("usage");
    let Some(raw) = top.take("usage") else { return Ok((None, None)) };
    let tally = MessagesUsage::read(&scan::counts_of(raw.get(), MessagesUsage::PLACES));
    let tally = tally.ok_or_else(|| USAGE.refuse("must be an object of counts"))?;
    let (json, mut says_more) = (raw.get().as_bytes(), false);
    let seen = scan::members(json, |name, value| {
        let is_known = NAMES.iter().any(|known| known.as_bytes() == name);
        says_more |= !is_known && json.get(value) != Some(b"null");
    });
    seen.map_err(|_| USAGE.refuse("must be an object of counts"))?;
    Ok((Some(tally.usage()), says_more.then(|| raw.to_owned())))
}

fn rest(top: Object<'_>, usage: Option<Raw>) -> Fields {
    let mut fields = top.rest();
    fields.extend(usage.map(|usage| ("usage".to_owned(), usage)));
    fields
}

#[derive(Serialize)]
struct ReplyMessage<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<BlockOut<'a>>,
    stop_reason: &'a str,
    stop_sequence: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<MessagesUsage>,
    #[serde(flatten)]
    extra: BTreeMap<&'a str, &'a RawValue>,
}

/// Writes a whole answer: the first choice, as the dialect has one. Parts it has no block for are left out.
#[must_use]
pub(crate) fn encode(reply: &Reply) -> EncodedReply {
    let Reply { id, model, created: _, choices, usage, extra } = reply;
    let mut writer = BlockWriter::reply(extra.dialect);
    let choice = choices.first();
    let parts = choice.map(|choice| &*choice.parts).unwrap_or_default();
    let content: Vec<_> = parts.iter().filter_map(|part| writer.part(part).ok().flatten()).collect();
    let skipped = choices.iter().map(|choice| choice.parts.len()).sum::<usize>() - content.len();
    let refused = parts.iter().any(|part| matches!(part.content, Content::Refusal(_)));
    let stop = choice.map_or(&Stop::End, |choice| &choice.stop);
    let (stop_reason, stop_sequence) = stop::write(stop, refused, calls(parts));
    let kept = extra.fields.iter().filter(|_| !writer.cross_dialect()).map(|(name, raw)| (&**name, &**raw));
    let extra: BTreeMap<&str, &RawValue> = kept.collect();
    let message = ReplyMessage {
        id: message_id(id),
        r#type: "message",
        role: "assistant",
        model,
        content,
        stop_reason,
        stop_sequence,
        // Clients take the counts for granted, whatever the provider said.
        usage: (!extra.contains_key("usage")).then(|| MessagesUsage::of(usage.unwrap_or_default())),
        extra,
    };
    EncodedReply { body: written(&message), skipped }
}

/// An id as Anthropic's begin; another provider's stays recognisable in it.
pub(super) fn message_id(id: &str) -> Cow<'_, str> {
    if id.starts_with("msg_") {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("msg_{}", id.strip_prefix("chatcmpl-").unwrap_or(id)))
}
