//! Writes a request for a provider that has nothing else: a conversation of one text is a prompt.

use crate::codec::{Encoded, ProviderProfile, Refusal, no_tool_to_call};
use crate::dialect::Dialect;
use crate::hub::{Call, Content, Extra, Fields, Message, Part, Reasoning, Role, Sampling, SystemPart, ToolChoice};
use crate::json::{ROOT, Writer};
use crate::left_out::LeftOut;
use crate::spoke::PartPath;

/// Writes what a provider is sent. A streamed call always asks for usage. Errors: the call holds more than a prompt.
pub(crate) fn encode(call: &Call, profile: &ProviderProfile, _: PartPath) -> Result<Encoded, Refusal> {
    let Call {
        model,
        system,
        messages,
        tools,
        tool_choice,
        parallel_tools: _,
        max_tokens,
        sampling,
        stop,
        format,
        reasoning,
        thoughts_told: _,
        stream,
        stream_usage: _,
        end_user,
        extra,
    } = call;
    nothing_else(&[("tools", !tools.is_empty()), ("response_format", format.is_some())], tool_choice.as_ref())?;
    let prompt = prompt(system, messages)?;
    let mut json = Writer::with_capacity(prompt.len() + 256);
    json.open(b'{');
    json.text_field("model", model);
    json.text_field("prompt", prompt);
    let asked = max_tokens.or(profile.default_max_tokens);
    let most = profile.max_output.get(model).copied();
    let clamped = most.filter(|most| max_tokens.is_some_and(|asked| asked > *most));
    if let Some(asked) = clamped.or(asked) {
        json.value_field("max_tokens", asked);
    }
    write_sampling(sampling, profile, &mut json);
    if !stop.is_empty() {
        json.open_field("stop", b'[');
        stop.iter().for_each(|text| json.text(text));
        json.close(b']');
    }
    if let Some(user) = end_user {
        json.text_field("user", user);
    }
    if *stream {
        json.value_field("stream", true);
    }
    if *stream && profile.asks_for_usage() {
        json.open_field("stream_options", b'{');
        json.value_field("include_usage", true);
        json.close(b'}');
    }
    let Extra { dialect, fields } = extra;
    let own = *dialect == Dialect::OpenAiCompletions;
    if own {
        json.fields(fields);
    } else if let Some(name) = ["cachedContent", "logprobs"].into_iter().find(|name| asks(fields, name)) {
        return Err(ROOT.field(name).refuse("has no equivalent at this provider"));
    }
    json.close(b'}');
    let dropped = left_out((!own).then_some(fields), reasoning.as_ref());
    Ok(Encoded { body: json.into_bytes(), dropped: dropped.into_names(), headers: Vec::new(), clamped })
}

fn asks(fields: &Fields, name: &str) -> bool {
    fields.get(name).is_some_and(|raw| raw.get() != "\"\"")
}

/// The fields of another dialect's, and an effort: its models think of nothing before they go on.
fn left_out(others: Option<&Fields>, reasoning: Option<&Reasoning>) -> LeftOut {
    let thinks = reasoning.is_some_and(|reasoning| *reasoning != Reasoning::Off);
    let names = others.into_iter().flat_map(Fields::keys).map(String::as_str);
    let mut left_out = LeftOut::default();
    names.chain(thinks.then_some("reasoning_effort")).for_each(|name| left_out.add(name));
    left_out
}

/// Refuses what there is beside a prompt, each by its name, and a tool that has to be called.
fn nothing_else(fields: &[(&str, bool)], choice: Option<&ToolChoice>) -> Result<(), Refusal> {
    if let Some((name, _)) = fields.iter().find(|(_, is_there)| *is_there) {
        return Err(ROOT.field(name).refuse("this provider only goes on from a prompt"));
    }
    match choice {
        Some(choice) if choice.is_a_must() => Err(no_tool_to_call()),
        Some(_) | None => Ok(()),
    }
}

/// The one text that there is. Errors: there is more, or none.
fn prompt<'a>(system: &[SystemPart], messages: &'a [Message]) -> Result<&'a String, Refusal> {
    let prompt = match messages {
        [Message { role: Role::User, parts, .. }] if system.is_empty() => match parts.as_slice() {
            [Part { content: Content::Text { text, .. }, .. }] => Some(text),
            _ => None,
        },
        _ => None,
    };
    let told = "this provider only goes on from a prompt: the conversation has to be one text of the user's";
    prompt.ok_or_else(|| ROOT.field("messages").refuse(told))
}

fn write_sampling(sampling: &Sampling, profile: &ProviderProfile, json: &mut Writer) {
    let Sampling { temperature, top_p, top_k: _, seed, frequency_penalty, presence_penalty, choices } = sampling;
    for (name, number) in [
        ("temperature", temperature.as_ref().or(profile.default_temperature.as_ref())),
        ("top_p", top_p.as_ref()),
        ("frequency_penalty", frequency_penalty.as_ref()),
        ("presence_penalty", presence_penalty.as_ref()),
    ] {
        if let Some(number) = number {
            json.value_field(name, number);
        }
    }
    if let Some(seed) = seed {
        json.value_field("seed", seed);
    }
    if let Some(choices) = choices {
        json.value_field("n", choices);
    }
}
