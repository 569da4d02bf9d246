//! A whole answer: read into the hub's words, and written out of them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{blocks, wire};
use crate::call_id;
use crate::codec::{EncodedReply, Malformed};
use crate::dialect::Dialect;
use crate::hub::{Choice, Content, Extra, Fields, Reply, ServiceTier, Source, Usage};
use crate::json::{Path, Writer};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReply<'a> {
    #[serde(borrow)]
    output: Option<WireOutput<'a>>,
    stop_reason: Option<String>,
    usage: Option<wire::ConverseUsage>,
    #[serde(default)]
    service_tier: ServiceTier,
    #[serde(borrow)]
    trace: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireOutput<'a> {
    #[serde(borrow)]
    message: Option<WireMessage<'a>>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
}

/// Reads a whole answer. It names neither an id nor a model.
///
/// Errors: it is not what the dialect allows.
pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    const CONTENT: Path<'static> = Path::top("output.message.content");
    let malformed = |why: &str| Malformed::new(format!("the provider's answer is malformed: {why}"));
    let text = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
    // serde's own message may quote the answer.
    let answer: WireReply<'_> =
        serde_json::from_str(text).map_err(|_| malformed("it is not what the dialect allows"))?;
    let WireReply { output, stop_reason, usage, service_tier, trace } = answer;
    let message = output.and_then(|output| output.message).ok_or_else(|| malformed("it holds no message"))?;
    let parts = blocks::read_all(message.content.unwrap_or_default(), &CONTENT);
    let parts = parts.map_err(|refusal| malformed(&refusal.param.unwrap_or_else(|| "a block".to_owned())))?;
    let word = stop_reason.as_deref().unwrap_or("end_turn");
    if let Some(error) = wire::broken(word) {
        return Err(Malformed::new(error.message));
    }
    let called = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let stop = if word == wire::GUARDED { wire::guarded_stop(trace, called) } else { wire::stop(word, called) };
    Ok(Reply {
        id: String::new(),
        model: String::new(),
        created: None,
        choices: vec![Choice { parts, stop, logprobs: None, extra: Fields::new() }],
        usage: usage.map(|usage| Usage { tier: service_tier, ..usage.into() }),
        extra: Extra::none(Dialect::BedrockConverse),
    })
}

/// Writes a whole answer: the first choice, as the dialect has one. Parts it has no block for are left out.
pub(super) fn encode(reply: &Reply) -> EncodedReply {
    let Reply { id: _, model: _, created: _, choices, usage, extra: _ } = reply;
    let mut json = Writer::with_capacity(1024);
    json.open(b'{');
    json.open_field("output", b'{');
    json.open_field("message", b'{');
    json.text_field("role", "assistant");
    json.open_field("content", b'[');
    let choice = choices.first();
    let parts = choice.map(|choice| &*choice.parts).unwrap_or_default();
    let written = parts.iter().filter(|part| write_part(&part.content, &mut json)).count();
    json.close(b']');
    json.close(b'}');
    json.close(b'}');
    json.text_field("stopReason", choice.map_or("end_turn", |choice| wire::stop_reason(&choice.stop)));
    // Clients take the counts for granted, whatever the provider said.
    wire::write_usage(&usage.unwrap_or_default(), &mut json);
    wire::write_metrics(&mut json);
    json.close(b'}');
    let skipped = choices.iter().map(|choice| choice.parts.len()).sum::<usize>() - written;
    EncodedReply { body: json.into_bytes(), skipped }
}

/// Says whether the dialect has words for it.
fn write_part(content: &Content, json: &mut Writer) -> bool {
    match content {
        Content::Text { text, citations: _ } | Content::Refusal(text) => blocks::write_text(text, json),
        Content::Thinking { text, signature } => blocks::write_thought(text, signature.as_deref(), json),
        Content::RedactedThinking(data) => blocks::write_hidden(data, json),
        Content::ToolCall(call) => {
            blocks::write_call(&call_id::plain(&call.id, call_id::LONGEST_IN_ITEMS), call, json);
        }
        Content::Image { source: Source::Base64 { media_type, data }, detail: _ } => {
            return blocks::write_image((media_type, data), json);
        }
        Content::Other { dialect: Dialect::BedrockConverse, raw } => json.raw(raw.get()),
        Content::Image { .. }
        | Content::Document { .. }
        | Content::Audio { .. }
        | Content::ToolResult { .. }
        | Content::Other { .. } => return false,
    }
    true
}
