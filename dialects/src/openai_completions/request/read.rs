//! Reads a request for a provider that speaks another dialect.

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Call, Extra, Message, Part, Role, Sampling};
use crate::json::{Object, Path, ROOT, string};
use crate::openai_chat::request::{choices, stop};

/// The most tokens that the dialect answers with where nothing else is asked for.
const DEFAULT_MAX_TOKENS: u64 = 16;
/// Fields that ask for what no other dialect has a word for, and the values by which they ask for nothing.
const UNTRANSLATABLE: [(&str, &[&str]); 4] =
    [("suffix", &["\"\""]), ("echo", &["false"]), ("best_of", &["1"]), ("logprobs", &[])];

/// Reads what a caller sent. Errors: the body is not what the dialect allows, or asks for what only a provider of this
/// dialect can give.
pub(crate) fn decode(body: &[u8]) -> Result<Call, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Refusal::body(format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to()))
    })?;
    let mut top = Object::read_body(text)?;
    for (name, harmless) in UNTRANSLATABLE {
        if top.take(name).is_some_and(|raw| !harmless.contains(&raw.get())) {
            return Err(only_here(&ROOT.field(name)));
        }
    }
    let model = top.required("model", &ROOT)?;
    if model.is_empty() {
        return Err(ROOT.field("model").refuse("must not be empty"));
    }
    let prompt = prompt(&mut top)?;
    let max_tokens = top.count("max_tokens", &ROOT)?.or(Some(DEFAULT_MAX_TOKENS));
    let sampling = sampling(&mut top)?;
    let stop = stop(&mut top)?;
    let stream = top.boolean("stream", &ROOT)?.unwrap_or(false);
    let end_user = top.text("user", &ROOT)?;
    let stream_usage = stream_usage(&mut top)?;
    Ok(Call {
        model,
        system: Vec::new(),
        messages: vec![Message::new(Role::User, vec![Part::text(prompt)])],
        tools: Vec::new(),
        tool_choice: None,
        parallel_tools: None,
        max_tokens,
        sampling,
        stop,
        format: None,
        reasoning: None,
        thoughts_told: false,
        stream,
        stream_usage,
        end_user,
        extra: Extra { dialect: Dialect::OpenAiCompletions, fields: top.rest() },
    })
}

fn only_here(at: &Path<'_>) -> Refusal {
    at.refuse("only a provider of OpenAI's Completions can do this, and the model is served by one that has none")
}

/// The one prompt there is. A list may hold one.
fn prompt(top: &mut Object<'_>) -> Result<String, Refusal> {
    const AT: Path<'static> = ROOT.field("prompt");
    let raw = top.take("prompt").ok_or_else(|| AT.refuse("the field is required"))?;
    if let Some(prompt) = string(raw) {
        return Ok(prompt);
    }
    let list: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| AT.refuse("must be a string or an array"))?;
    // A list of numbers is one prompt, too, and so is a list of one such list.
    let is_text = |raw: &&RawValue| raw.get().starts_with('"');
    match list.as_slice() {
        [one] if is_text(one) => string(one).ok_or_else(|| AT.refuse("must be a string or an array")),
        [one, ..] if !is_text(one) => Err(AT.refuse("tokens have no meaning to the model behind this name; send text")),
        _ => Err(AT.refuse("several prompts in one call are not translated; send one call for each")),
    }
}

fn sampling(top: &mut Object<'_>) -> Result<Sampling, Refusal> {
    Ok(Sampling {
        temperature: top.number("temperature", &ROOT)?,
        top_p: top.number("top_p", &ROOT)?,
        top_k: None,
        seed: top.parsed("seed", &ROOT, "a whole number")?,
        frequency_penalty: top.number("frequency_penalty", &ROOT)?,
        presence_penalty: top.number("presence_penalty", &ROOT)?,
        choices: choices(top)?,
    })
}

fn stream_usage(top: &mut Object<'_>) -> Result<bool, Refusal> {
    const AT: Path<'static> = ROOT.field("stream_options");
    let Some(mut options) = top.object("stream_options", &ROOT)? else { return Ok(false) };
    Ok(options.boolean("include_usage", &AT)?.unwrap_or(false))
}
