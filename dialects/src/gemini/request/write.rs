//! Writes a request out of the hub's words. The model is in the path that the caller of this makes.

use std::borrow::Cow;

use super::draft::Draft;
use super::{write_parts, write_settings, write_tools};
use crate::codec::{Encoded, ProviderProfile, Refusal};
use crate::continuation::PROMPT;
use crate::format_in_words::in_words;
use crate::hub::{Call, Content, Message, Role};
use crate::spoke::PartPath;
use crate::vendors::without_attribution;

/// Writes what a provider is sent.
///
/// Errors: the call holds what Gemini has no word for, and the answer would lack what it asks for.
pub(crate) fn encode(call: &Call, target: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    let mut draft = Draft::new(call, target, path);
    draft.json.open(b'{');
    let clamped = body(call, &mut draft)?;
    draft.json.close(b'}');
    let (body, dropped) = draft.finish();
    Ok(Encoded { body, dropped, headers: Vec::new(), clamped })
}

/// Writes what a provider is asked to count the tokens of: the request whole, instructions and tools too.
///
/// Errors: as `encode`.
pub(crate) fn count_tokens(call: &Call, target: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    let mut draft = Draft::new(call, target, path);
    draft.json.open(b'{');
    draft.json.open_field("generateContentRequest", b'{');
    let model = &call.model;
    draft.json.text_field("model", &if model.contains('/') { model.clone() } else { format!("models/{model}") });
    body(call, &mut draft)?;
    draft.json.close(b'}');
    draft.json.close(b'}');
    let (body, dropped) = draft.finish();
    Ok(Encoded { body, dropped, headers: Vec::new(), clamped: None })
}

/// Writes the members of a request; gives what the most tokens were brought down to.
fn body(call: &Call, draft: &mut Draft<'_>) -> Result<Option<u64>, Refusal> {
    let mut system = system(call, draft)?;
    let mut turns: Vec<&Message> = call.messages.iter().filter(|message| !instructs(message)).collect();
    turns.retain(|message| !message.parts.is_empty() && !write_parts::is_unsaid(message, draft));
    draft.json.open_field("contents", b'[');
    if turns.is_empty() && !system.is_empty() {
        // A prompt that is all instructions is common elsewhere; Gemini wants somebody to speak.
        content("user", &std::mem::take(&mut system), draft);
    }
    if !draft.same() && turns.first().is_some_and(|first| first.role == Role::Assistant) {
        // Elsewhere the model may speak first; here its calls stand behind a turn of the user's.
        content("user", &[Cow::Borrowed(".")], draft);
    }
    write_parts::turns(&turns, draft)?;
    let calls = |message: &Message| message.parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let ends_with_its_own = turns.last().is_some_and(|last| last.role == Role::Assistant && !calls(last));
    if ends_with_its_own && !draft.model.goes_on && !draft.same() {
        content("user", &[Cow::Borrowed(PROMPT)], draft);
    }
    if draft.json.is_bare() {
        return Err(Refusal::field("messages", "at least one message with content is required"));
    }
    draft.json.close(b']');
    let told = write_settings::unsaid_format(call, draft);
    system.extend(told.map(|format| in_words(format, true)));
    if !system.is_empty() {
        draft.json.key("systemInstruction");
        content("", &system, draft);
    }
    let tools = write_tools::tools(call, draft)?;
    write_tools::choice(call, tools, draft)?;
    let clamped = write_settings::config(call, draft)?;
    write_settings::rest(call, draft)?;
    Ok(clamped)
}

/// True if a turn is of instructions: Gemini has a place for those before the conversation only.
fn instructs(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// All instructions, in order. Errors: there are pictures or the like among them.
fn system<'a>(call: &'a Call, draft: &mut Draft<'_>) -> Result<Vec<Cow<'a, str>>, Refusal> {
    let mut texts = Vec::with_capacity(call.system.len());
    for part in &call.system {
        draft.cache(part.cache.as_ref());
        draft.extra("system", &part.extra);
        if part.name.is_some() {
            draft.drop("messages.name");
        }
        texts.extend(without_attribution(&part.text).filter(|text| !text.is_empty()));
    }
    for message in call.messages.iter().filter(|message| instructs(message)) {
        for (index, part) in message.parts.iter().enumerate() {
            let Content::Text { text, citations: _ } = &part.content else {
                return Err(draft.refuse(message, (index, None), "instructions to a Gemini model can only be text"));
            };
            draft.cache(part.cache.as_ref());
            texts.extend(without_attribution(text).filter(|text| !text.is_empty()));
        }
    }
    Ok(texts)
}

fn content(role: &str, texts: &[Cow<'_, str>], draft: &mut Draft<'_>) {
    draft.json.open(b'{');
    if !role.is_empty() {
        draft.json.text_field("role", role);
    }
    draft.json.open_field("parts", b'[');
    for text in texts {
        draft.json.open(b'{');
        draft.json.text_field("text", text);
        draft.json.close(b'}');
    }
    draft.json.close(b']');
    draft.json.close(b'}');
}
