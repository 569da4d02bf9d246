//! A whole answer: read into the hub's words, and written out of them.

use super::custom::{self, CustomTools};
use super::request::{function, tool_call};
use super::signatures::{self, Signature};
use super::wire::{self, ContentPiece, ThoughtBlock};
use crate::call_id::{self, LONGEST_IN_CHAT, short};
use crate::codec::{EncodedReply, Malformed, Refusal};
use crate::dialect::Dialect;
use crate::free_text::unwrapped;
use crate::hub::{Choice, Content, Extra, Part, Reply, ServiceTier, Source, ToolCall};
use crate::json::{Object, Path, ROOT, Writer, string};
use crate::text::Text;

const CHOICES: Path<'static> = ROOT.field("choices");

/// Reads a whole answer. Errors: it is not what the dialect allows; an error object under status 200 is none either.
pub(crate) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    read(body).map_err(|refusal| Malformed::new(format!("the provider's answer is malformed: {}", refusal.message)))
}

fn read(body: &[u8]) -> Result<Reply, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| ROOT.refuse("is not UTF-8"))?;
    let mut object = Object::read_body(text)?;
    if object.take("error").is_some() {
        return Err(ROOT.field("error").refuse("an error stands where an answer should"));
    }
    object.take("object");
    let id = object.text("id", &ROOT)?.unwrap_or_default();
    let model = object.text("model", &ROOT)?.unwrap_or_default();
    let created = object.number("created", &ROOT)?.as_ref().and_then(wire::seconds);
    let list = object.objects("choices", &ROOT)?.ok_or_else(|| CHOICES.refuse("the field is required"))?;
    if list.is_empty() {
        return Err(CHOICES.refuse("holds no answer"));
    }
    let choices = list.each(&CHOICES).map(|one| one.and_then(|one| choice(one, &id)));
    let choices = choices.collect::<Result<_, _>>()?;
    // The tier stays among what is carried: the dialect's own callers are told it.
    let tier = object.members().find(|(name, _)| *name == "service_tier");
    let tier = tier.map_or(ServiceTier::Unsaid, |(_, raw)| ServiceTier::of_json(raw.get().as_bytes()));
    let usage = object.take("usage").and_then(|raw| wire::usage_at(raw, tier));
    let extra = Extra { dialect: Dialect::OpenAiChat, fields: object.rest() };
    Ok(Reply { id, model, created, choices, usage, extra })
}

fn choice((number, mut object): (usize, Object<'_>), id: &str) -> Result<Choice, Refusal> {
    let at = &CHOICES.index(number);
    let word = object.text("finish_reason", at)?.unwrap_or_default();
    if wire::is_failure(&word) || object.take("error").is_some() {
        return Err(at.refuse("an error stands where an answer should"));
    }
    let in_message = at.field("message");
    let mut message = object.object("message", at)?.ok_or_else(|| in_message.refuse("the field is required"))?;
    message.take("role");
    let (mut parts, signatures) = thoughts(&mut message);
    if let Some(raw) = message.take("content") {
        let at = in_message.field("content");
        for piece in wire::pieces(raw).ok_or_else(|| at.refuse("must be text"))? {
            said(piece, &mut parts);
        }
    }
    if let Some(text) = message.text("refusal", &in_message)?.filter(|text| !text.is_empty()) {
        parts.push(Part::new(Content::Refusal(text)));
    }
    parts.extend(message.take("images").map(wire::pictures).unwrap_or_default().into_iter().map(picture));
    let called = calls(&mut message, &in_message, (id, u32::try_from(number).unwrap_or(u32::MAX)))?;
    let by = wire::stop_text([object.take("stop_reason"), object.take("matched_stop")]);
    let stop = wire::stop(&word, by, !called.is_empty());
    parts.extend(signatures::before_calls(called, signatures));
    Ok(Choice { parts, stop, logprobs: object.raw("logprobs"), extra: message.rest() })
}

fn picture(url: String) -> Part {
    Part::new(Content::Image { source: Source::of_url(url), detail: None })
}

/// The model's thoughts, by any of the names it has: where several are given they say the same. Apart stand those that name the
/// call that they belong to.
fn thoughts(message: &mut Object<'_>) -> (Vec<Part>, Vec<Signature>) {
    let names = [message.take("reasoning_content"), message.take("reasoning")];
    let list = message.take(signatures::IN_A_LIST);
    let alone = || {
        let texts = signatures::plain_texts(list?);
        (!texts.is_empty()).then(|| texts.into_iter().map(Text::whole).collect())
    };
    let text = names.into_iter().flatten().find_map(string).or_else(alone).filter(|text| !text.is_empty());
    let blocks = message.take("thinking_blocks").map(wire::thoughts).unwrap_or_default();
    let details = list.map(signatures::of_list).unwrap_or_default();
    let details = if blocks.is_empty() { details } else { Vec::new() };
    let (of_calls, of_turn): (Vec<_>, Vec<_>) = details.into_iter().partition(|detail| detail.call.is_some());
    let blocks: Vec<ThoughtBlock> =
        blocks.into_iter().chain(of_turn.into_iter().map(|detail| detail.thought)).collect();
    let says = |block: &ThoughtBlock| matches!(block, ThoughtBlock::Signed { text, .. } if !text.is_empty());
    let unsigned = text.filter(|_| !blocks.iter().any(says)).map(|text| Content::Thinking { text, signature: None });
    let blocks = blocks.into_iter().map(|block| match block {
        ThoughtBlock::Signed { text, signature } => Content::Thinking { text, signature },
        ThoughtBlock::Redacted(data) => Content::RedactedThinking(data),
    });
    (unsigned.into_iter().chain(blocks).map(Part::new).collect(), of_calls)
}

/// A piece of the content. What follows one of its own kind is more of it.
fn said(piece: ContentPiece<'_>, parts: &mut Vec<Part>) {
    let last = parts.last_mut().map(|part| &mut part.content);
    match (piece, last) {
        (ContentPiece::Text(more), _) | (ContentPiece::Thinking(more), _) if more.is_empty() => {}
        (ContentPiece::Thinking(more), Some(Content::Thinking { text, signature: None })) => {
            text.push_str(&more.whole());
        }
        (ContentPiece::Thinking(text), _) => {
            parts.push(Part::new(Content::Thinking { text: text.whole(), signature: None }));
        }
        (ContentPiece::Text(text), _) => parts.push(Part::text(text.whole())),
        (ContentPiece::Other(raw), _) => {
            parts.push(Part::new(Content::Other { dialect: Dialect::OpenAiChat, raw: raw.to_owned() }));
        }
    }
}

/// The tools that are called, in the words of today and in the deprecated ones.
fn calls(message: &mut Object<'_>, at: &Path<'_>, (id, number): (&str, u32)) -> Result<Vec<Part>, Refusal> {
    let listed = message.list("tool_calls", at)?.unwrap_or_default();
    let in_calls = at.field("tool_calls");
    let mut parts = Vec::with_capacity(listed.len());
    for (place, raw) in listed.into_iter().enumerate() {
        parts.push(tool_call(raw, &in_calls.index(place))?);
    }
    if let Some(raw) = message.take("function_call").filter(|_| parts.is_empty()) {
        let at = at.field("function_call");
        let content = Content::ToolCall(function(&mut Object::read(raw.get(), &at)?, String::new(), &at)?);
        parts.push(Part::new(content));
    }
    for (called, part) in (0..).zip(&mut parts) {
        if let Content::ToolCall(call) = &mut part.content
            && call.id.is_empty()
        {
            call.id = call_id::made(id, number, called);
        }
    }
    Ok(parts)
}

/// Writes a whole answer to this call. `created` is 0 where nobody said it: the caller of this function has the clock.
#[must_use]
pub(crate) fn encode(reply: &Reply, call: &[u8]) -> EncodedReply {
    let Reply { id, model, created, choices, usage, extra } = reply;
    let cross_dialect = extra.dialect != Dialect::OpenAiChat;
    let custom = CustomTools::of(call);
    let mut json = Writer::with_capacity(1024);
    json.open(b'{');
    json.text_field("id", id);
    json.text_field("object", "chat.completion");
    json.value_field("created", created.unwrap_or(0));
    json.text_field("model", model);
    json.open_field("choices", b'[');
    for (index, choice) in choices.iter().enumerate() {
        write_choice(index, choice, (cross_dialect, &custom), &mut json);
    }
    json.close(b']');
    if let Some(usage) = usage {
        wire::write_usage(usage, &mut json);
    }
    if !cross_dialect {
        json.fields(&extra.fields);
    }
    json.close(b'}');
    let parts = choices.iter().flat_map(|choice| &choice.parts);
    EncodedReply { body: json.into_bytes(), skipped: parts.filter(|part| !is_said(&part.content)).count() }
}

/// True if a part goes into an answer's message.
fn is_said(content: &Content) -> bool {
    match content {
        Content::Text { .. }
        | Content::Refusal(_)
        | Content::Thinking { .. }
        | Content::RedactedThinking(_)
        | Content::ToolCall(_) => true,
        Content::Image { source: Source::Base64 { .. } | Source::Url(_), detail: _ } => true,
        Content::Image { .. }
        | Content::Document { .. }
        | Content::Audio { .. }
        | Content::ToolResult { .. }
        | Content::Other { .. } => false,
    }
}

fn write_choice(index: usize, choice: &Choice, (cross_dialect, custom): (bool, &CustomTools), json: &mut Writer) {
    let Choice { parts, stop, logprobs, extra } = choice;
    json.open(b'{');
    json.value_field("index", index);
    json.open_field("message", b'{');
    json.text_field("role", "assistant");
    let text = joined(parts, |content| match content {
        Content::Text { text, citations: _ } => Some(text),
        _ => None,
    });
    let refusal = joined(parts, |content| if let Content::Refusal(text) = content { Some(text) } else { None });
    let silent = refusal.is_some() || parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    for (name, said) in [("content", text.or((!silent).then(String::new))), ("refusal", refusal)] {
        match said {
            Some(said) => json.text_field(name, &said),
            None => json.value_field(name, "null"),
        }
    }
    write_thoughts(parts, json);
    write_pictures(parts, json);
    let called = write_calls(parts, (cross_dialect, custom), json);
    if !cross_dialect {
        json.fields(extra);
    }
    json.close(b'}');
    match logprobs {
        Some(raw) if !cross_dialect || wire::is_logprobs(raw) => json.raw_field("logprobs", raw),
        _ => json.value_field("logprobs", "null"),
    }
    json.text_field("finish_reason", wire::finish_reason(stop, called));
    wire::write_stop_text(stop, json);
    json.close(b'}');
}

/// Pictures in the list that clients of OpenRouter's and LiteLLM's read: OpenAI has no word for them here.
fn write_pictures(parts: &[Part], json: &mut Writer) {
    let url = |part: &Part| match &part.content {
        Content::Image { source: Source::Base64 { media_type, data }, detail: _ } => {
            Some(format!("data:{media_type};base64,{data}"))
        }
        Content::Image { source: Source::Url(url), detail: _ } => Some(url.clone()),
        _ => None,
    };
    let mut pictures = parts.iter().filter_map(url).enumerate().peekable();
    if pictures.peek().is_none() {
        return;
    }
    json.open_field("images", b'[');
    pictures.for_each(|(index, url)| wire::write_picture(index, &url, json));
    json.close(b']');
}

/// Thoughts as text for who reads it, and as blocks where they are signed or encrypted: those must come back unchanged.
fn write_thoughts(parts: &[Part], json: &mut Writer) {
    let text = joined(parts, |content| match content {
        Content::Thinking { text, signature: _ } => Some(text),
        _ => None,
    });
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        json.text_field("reasoning_content", &text);
    }
    let blocks = parts.iter().filter_map(|part| match &part.content {
        Content::Thinking { text, signature: signature @ Some(_) } => {
            Some(ThoughtBlock::Signed { text: text.clone(), signature: signature.clone() })
        }
        Content::RedactedThinking(data) => Some(ThoughtBlock::Redacted(data.clone())),
        _ => None,
    });
    let mut blocks = blocks.peekable();
    if blocks.peek().is_some() {
        json.open_field("thinking_blocks", b'[');
        blocks.for_each(|block| wire::write_thought(&block, None, json));
        json.close(b']');
    }
}

/// The texts of the parts that `pick` takes, one behind the other; `None` when there are none.
fn joined(parts: &[Part], pick: impl Fn(&Content) -> Option<&String>) -> Option<String> {
    parts.iter().filter_map(|part| pick(&part.content)).fold(None, |joined: Option<String>, text| {
        let mut joined = joined.unwrap_or_default();
        joined.push_str(text);
        Some(joined)
    })
}

/// Says whether there is any.
fn write_calls(parts: &[Part], (cross_dialect, custom): (bool, &CustomTools), json: &mut Writer) -> bool {
    let mut opened = false;
    for part in parts {
        let Part { content: Content::ToolCall(ToolCall { id, name, arguments }), cache: _, extra } = part else {
            continue;
        };
        if !std::mem::replace(&mut opened, true) {
            json.open_field("tool_calls", b'[');
        }
        json.open(b'{');
        json.text_field("id", &short(id, LONGEST_IN_CHAT));
        if custom.has(name) {
            custom::write(name, &unwrapped(arguments), json);
        } else {
            json.text_field("type", "function");
            json.open_field("function", b'{');
            json.text_field("name", name);
            json.text_field("arguments", arguments);
            json.close(b'}');
        }
        if !cross_dialect {
            json.fields(extra);
        }
        json.close(b'}');
    }
    if opened {
        json.close(b']');
    }
    opened
}
