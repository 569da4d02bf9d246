//! Reads a request's top level: instructions, the conversation, and what becomes of fields that only Bedrock knows.

use crate::bedrock_converse::blocks;
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Call, Extra, Message, Role, SystemPart};
use crate::json::{Object, Path, ROOT};

use super::read_settings::{self, SettingsRead};
use super::read_tools;

/// Fields of which a call would lose what they promise.
const BEDROCKS: [(&str, &str); 2] = [
    ("guardrailConfig", "only Bedrock applies its guardrails; this provider would answer without them"),
    ("promptVariables", "the prompt lies at Bedrock, where this provider can not read it"),
];

/// Reads what a caller sent. The model, and whether the answer streams, stand in the path: both are left empty here.
/// Fields the hub has no word for are kept in `Call::extra`; `null` is absent.
///
/// Errors: the body is not what the dialect allows, or names what only Bedrock keeps.
pub(crate) fn decode(body: &[u8]) -> Result<Call, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Refusal::body(format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to()))
    })?;
    let mut top = Object::read_body(text)?;
    for (name, why) in BEDROCKS {
        if top.take(name).is_some_and(|raw| raw.get() != "{}") {
            return Err(Refusal::field(name, why));
        }
    }
    let system = system(&mut top)?;
    let messages = turns(&mut top)?;
    let (tools, tool_choice) = read_tools::config(&mut top)?;
    let SettingsRead { max_tokens, sampling, stop, format, reasoning, thoughts_told, more } =
        read_settings::read(&mut top)?;
    let mut fields = top.rest();
    fields.extend(more);
    Ok(Call {
        model: String::new(),
        system,
        messages,
        tools,
        tool_choice,
        parallel_tools: None,
        max_tokens,
        sampling,
        stop,
        format,
        reasoning,
        thoughts_told,
        stream: false,
        // Every stream ends with it.
        stream_usage: true,
        end_user: None,
        extra: Extra { dialect: Dialect::BedrockConverse, fields },
    })
}

fn system(top: &mut Object<'_>) -> Result<Vec<SystemPart>, Refusal> {
    const AT: Path<'static> = ROOT.field("system");
    let mut parts: Vec<SystemPart> = Vec::new();
    for (index, raw) in top.list("system", &ROOT)?.unwrap_or_default().into_iter().enumerate() {
        let at = AT.index(index);
        let mut block = Object::read(raw.get(), &at)?;
        block.one_of(&["text", "guardContent", "cachePoint"], &at)?;
        if let Some(point) = block.take("cachePoint") {
            if let Some(before) = parts.last_mut() {
                before.cache = blocks::cache_mark(point);
            }
            continue;
        }
        let guarded = block.object("guardContent", &at)?.map(|mut guarded| guarded.object("text", &at)).transpose()?;
        let text = match guarded.flatten() {
            Some(mut guarded) => guarded.text("text", &at)?,
            None => block.text("text", &at)?,
        };
        let text = text.ok_or_else(|| at.refuse("instructions can only be text"))?;
        parts.push(SystemPart { extra: block.rest(), ..SystemPart::new(text) });
    }
    Ok(parts)
}

/// The conversation. Errors: a turn is of no role there is, or holds what no turn may.
fn turns(top: &mut Object<'_>) -> Result<Vec<Message>, Refusal> {
    const AT: Path<'static> = ROOT.field("messages");
    let list = top.objects("messages", &ROOT)?.ok_or_else(|| AT.refuse("the field is required"))?;
    let mut turns = Vec::with_capacity(list.len());
    for turn in list.each(&AT) {
        let (index, mut turn) = turn?;
        let at = AT.index(index);
        let role = match &*turn.required("role", &at)? {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            other => {
                return Err(at.field("role").refuse(format_args!("`{other}` is neither `user` nor `assistant`")));
            }
        };
        let content = turn.list("content", &at)?.ok_or_else(|| at.field("content").refuse("the field is required"))?;
        let parts = blocks::read_all(content, &at.field("content"))?;
        turns.push(Message { parts, extra: turn.rest(), at: index, ..Message::new(role, Vec::new()) });
    }
    Ok(turns)
}
