//! Writes the model's earlier thoughts: back to a caller's own words, to look-alikes that need them, else not at all.

use super::writer::RequestWriter;
use crate::call_id::{LONGEST_IN_CHAT, short};
use crate::hub::{Content, Message, Part, ToolCall};
use crate::json::{Path, ROOT};
use crate::openai_chat::signatures::{IN_A_LIST, googles, is_detail, write_detail, write_plain_detail};
use crate::vendors::{ReasoningBack, SignaturePlace};

/// Writes the thoughts of a turn. `needed`: it calls tools, or stands among such turns. Signatures and encrypted thoughts
/// are another provider's, and left out by rule, but where there is a place for them.
pub(super) fn thoughts(message: &Message, needed: bool, writer: &mut RequestWriter<'_>) {
    if !writer.cross_dialect {
        return given_back(&message.parts, writer);
    }
    const AT: Path<'static> = ROOT.field("messages");
    let at = AT.index(message.at);
    let content = at.field("content");
    let how = writer.reasoning();
    let mut texts = Vec::new();
    for (index, part) in message.parts.iter().enumerate() {
        match &part.content {
            Content::Thinking { text, signature: _ } if how != ReasoningBack::Never && !text.is_empty() => {
                texts.push(text.as_str());
            }
            content if goes_elsewhere(content, message.parts.get(index..).unwrap_or_default(), writer) => {}
            Content::Thinking { .. } | Content::RedactedThinking(_) => writer.drop(content.index(index)),
            _ => {}
        }
    }
    if !texts.is_empty() || (needed && how == ReasoningBack::Required) {
        match writer.look_alike().map_or("reasoning_content", |row| row.thoughts) {
            IN_A_LIST => write_plain_detail(&texts.join("\n\n"), &mut writer.json),
            field => writer.json.text_field(field, &texts.join("\n\n")),
        }
    }
}

/// True if a thought is told in the place of signatures; `rest`: the parts from it on.
fn goes_elsewhere(content: &Content, rest: &[Part], writer: &RequestWriter<'_>) -> bool {
    match writer.signatures() {
        SignaturePlace::Nowhere => false,
        SignaturePlace::OnCalls => googles(content).is_some() && rest.iter().any(is_call),
        SignaturePlace::InDetails => is_detail(content, writer.model),
    }
}

fn is_call(part: &Part) -> bool {
    matches!(part.content, Content::ToolCall(_))
}

/// Writes the signatures that stand in a list of the turn's. Google's belong to the call behind them, else to the last one.
pub(super) fn details(parts: &[Part], writer: &mut RequestWriter<'_>) {
    if writer.signatures() != SignaturePlace::InDetails {
        return;
    }
    let model = writer.model;
    let calls = || parts.iter().enumerate().filter_map(|(place, part)| Some((place, called(part)?)));
    let own = parts.iter().enumerate().filter(|(_, part)| is_detail(&part.content, model));
    for (index, (place, part)) in own.clone().enumerate() {
        let call = calls().find(|(at, _)| *at > place).or_else(|| calls().next_back());
        let call = call.map(|(_, call)| short(&call.id, LONGEST_IN_CHAT));
        if index == 0 {
            writer.json.open_field(IN_A_LIST, b'[');
        }
        write_detail(&part.content, (index, call.as_deref()), &mut writer.json);
    }
    if own.count() > 0 {
        writer.json.close(b']');
    }
}

fn called(part: &Part) -> Option<&ToolCall> {
    match &part.content {
        Content::ToolCall(call) => Some(call),
        _ => None,
    }
}

/// The signature of Google's that stands on a call: the last one since the call before it.
pub(super) fn on_call<'a>(before: &'a [Part], writer: &RequestWriter<'_>) -> Option<&'a str> {
    let since = before.iter().rev().take_while(|part| !is_call(part));
    since.filter_map(|part| googles(&part.content)).next().filter(|_| writer.signatures() == SignaturePlace::OnCalls)
}

/// Signed and encrypted thoughts stand in blocks; plain ones in the field that most servers know.
fn given_back(parts: &[Part], writer: &mut RequestWriter<'_>) {
    // What stood on a call stands there again.
    let is_silent = |part: &Part| matches!(&part.content, Content::Thinking { text, .. } if text.is_empty());
    let elsewhere = |(index, part): &(usize, &Part)| {
        is_silent(part) && goes_elsewhere(&part.content, parts.get(*index..).unwrap_or_default(), writer)
    };
    let parts: Vec<&Part> = parts.iter().enumerate().filter(|part| !elsewhere(part)).map(|(_, part)| part).collect();
    let is_block = |part: &&Part| {
        matches!(part.content, Content::Thinking { signature: Some(_), .. } | Content::RedactedThinking(_))
    };
    if !parts.iter().any(is_block) {
        for part in parts {
            if let Content::Thinking { text, signature: None } = &part.content {
                writer.json.text_field("reasoning_content", text);
                return;
            }
        }
        return;
    }
    writer.json.open_field("thinking_blocks", b'[');
    for part in parts {
        match &part.content {
            Content::Thinking { text, signature } => {
                writer.json.open(b'{');
                writer.json.text_field("type", "thinking");
                writer.json.text_field("thinking", text);
                if let Some(signature) = signature {
                    writer.json.text_field("signature", signature);
                }
                writer.json.close(b'}');
            }
            Content::RedactedThinking(data) => {
                writer.json.open(b'{');
                writer.json.text_field("type", "redacted_thinking");
                writer.json.text_field("data", data);
                writer.json.close(b'}');
            }
            _ => {}
        }
    }
    writer.json.close(b']');
}
