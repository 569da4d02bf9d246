//! The system prompt and the turns on the wire: gathered, merged and cleaned of what Anthropic refuses.

use super::tools;
use crate::anthropic_messages::blocks_out::{BlockOut, BlockWriter, Unsaid, Written};
use crate::codec::Refusal;
use crate::format_in_words::{in_words, must_in_words};
use crate::go_on::PROMPT;
use crate::hub::{Call, Content, Format, Message, Role, SystemPart, Tool};
use crate::spoke::PartPath;
use crate::vendors;
use serde::Serialize;
use std::borrow::Cow;

/// A turn on the wire.
#[derive(Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: Written<'a>,
}

/// The conversation on the wire.
pub(super) struct Conversation<'a> {
    pub(super) system: Option<Written<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
}

/// Writes the conversation, with the form of the answer that is to be said in words. Errors: it is empty, or holds what
/// Anthropic cannot be told.
pub(super) fn write<'a>(
    call: &'a Call,
    format: Option<&Format>,
    writer: &mut BlockWriter,
) -> Result<Conversation<'a>, Refusal> {
    let mut system: Vec<BlockOut<'a>> = call.system.iter().filter_map(|part| instruction(part, writer)).collect();
    let mut turns: Vec<(&'static str, Vec<BlockOut<'a>>)> = Vec::with_capacity(call.messages.len());
    for message in &call.messages {
        let Message { role, name, parts, extra, at: _ } = message;
        writer.extra("messages", extra);
        if name.is_some() {
            writer.drop_field("messages.name");
        }
        let role = match role {
            Role::User => "user",
            Role::Assistant => "assistant",
            // Only models since Claude Opus 4.8 take instructions in mid-conversation, and only in some places: every
            // model takes them at its beginning.
            Role::System | Role::Developer if writer.cross_dialect() => {
                gather(message, &mut system, writer)?;
                continue;
            }
            Role::System | Role::Developer => "system",
        };
        let mut blocks = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            // No model of Anthropic's has made it, and none takes it in its own turn.
            if role == "assistant" && writer.cross_dialect() && matches!(part.content, Content::Image { .. }) {
                writer.drop_field("messages.content");
                continue;
            }
            let block = writer.part(part);
            blocks.extend(block.map_err(|unsaid| refusal(unsaid, writer.path, message, index))?);
        }
        match turns.last_mut() {
            _ if blocks.is_empty() && writer.cross_dialect() => {}
            Some((last, before)) if *last == role => before.append(&mut blocks),
            _ => turns.push((role, blocks)),
        }
    }
    if writer.cross_dialect() {
        turns = cleaned(call, turns, &mut system, writer);
    }
    if turns.is_empty() {
        return Err(Refusal::field("messages", "at least one message with content is required"));
    }
    say_in_words(call, format, &mut system, writer);
    let turns = turns.into_iter().map(|(role, blocks)| Turn { role, content: Written::of(blocks) });
    Ok(Conversation { system: (!system.is_empty()).then(|| Written::of(system)), turns: turns.collect() })
}

/// Another dialect's turns as Anthropic takes them, at the beginning and at the end of all and of each.
fn cleaned<'a>(
    call: &Call,
    turns: Vec<(&'static str, Vec<BlockOut<'a>>)>,
    system: &mut Vec<BlockOut<'a>>,
    writer: &mut BlockWriter,
) -> Vec<(&'static str, Vec<BlockOut<'a>>)> {
    let mut turns = without_last_thoughts(turns, writer);
    // Elsewhere they may stand anywhere in their turn; here they have to follow their calls at once.
    turns.iter_mut().for_each(|(_, blocks)| blocks.sort_by_key(|block| !block.is_result()));
    clean_end(&mut turns);
    if turns.is_empty() && !system.is_empty() {
        // A prompt that is all instructions is common with OpenAI; Anthropic wants somebody to speak.
        turns.push(("user", std::mem::take(system)));
    }
    if turns.first().is_some_and(|(role, _)| *role == "assistant") {
        // Elsewhere the model may speak first; here somebody has to have spoken before.
        turns.insert(0, ("user", vec![BlockOut::text(Cow::Borrowed("."), None, None)]));
    }
    if vendors::refuses_prefill(&call.model) && turns.last().is_some_and(|(role, _)| *role == "assistant") {
        // Elsewhere, and by older models, it is gone on with by itself.
        turns.push(("user", vec![BlockOut::text(Cow::Borrowed(PROMPT), None, None)]));
    }
    turns
}

/// A turn of the model's may not end with thoughts, as one does that was cut off in them. One of nothing else is none.
fn without_last_thoughts<'a>(
    turns: Vec<(&'static str, Vec<BlockOut<'a>>)>,
    writer: &mut BlockWriter,
) -> Vec<(&'static str, Vec<BlockOut<'a>>)> {
    let mut kept: Vec<(&'static str, Vec<BlockOut<'a>>)> = Vec::with_capacity(turns.len());
    for (role, mut blocks) in turns {
        while blocks.pop_if(|block| block.is_thought()).is_some() {
            writer.drop_field("reasoning_content");
        }
        match kept.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, before)) if *last == role => before.append(&mut blocks),
            _ => kept.push((role, blocks)),
        }
    }
    kept
}

/// Says in words what the model has no field for: that a tool has to be called, and the form of the answer.
fn say_in_words(call: &Call, format: Option<&Format>, system: &mut Vec<BlockOut<'_>>, writer: &mut BlockWriter) {
    if let Some(must) = tools::unsaid_must(call, writer).and_then(must_in_words) {
        writer.drop_field("tool_choice");
        system.push(BlockOut::text(must, None, None));
    }
    if let Some(format) = format {
        writer.drop_field("response_format");
        let tools = call.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
        system.push(BlockOut::text(in_words(format, tools), None, None));
    }
}

fn instruction<'a>(part: &'a SystemPart, writer: &mut BlockWriter) -> Option<BlockOut<'a>> {
    let SystemPart { text, cache, developer: _, name, extra } = part;
    if name.is_some() {
        writer.drop_field("messages.name");
    }
    if writer.cross_dialect() && text.trim().is_empty() {
        return None;
    }
    let extra = writer.extra("messages", extra);
    Some(BlockOut::text(Cow::Borrowed(&**text), cache.as_ref().map(|mark| &*mark.0), extra))
}

fn refusal(unsaid: Unsaid, path: PartPath, message: &Message, index: usize) -> Refusal {
    Refusal::field(path(message, index, unsaid.inner), unsaid.why)
}

fn gather<'a>(message: &'a Message, system: &mut Vec<BlockOut<'a>>, writer: &mut BlockWriter) -> Result<(), Refusal> {
    for (index, part) in message.parts.iter().enumerate() {
        if !matches!(part.content, Content::Text { .. }) {
            let at = (writer.path)(message, index, None);
            return Err(Refusal::field(at, "instructions to an Anthropic model can only be text"));
        }
        let block = writer.part(part);
        system.extend(block.map_err(|unsaid| refusal(unsaid, writer.path, message, index))?);
    }
    Ok(())
}

/// A last turn of the model's is a beginning to go on from; Anthropic refuses white space at its end.
fn clean_end(turns: &mut Vec<(&'static str, Vec<BlockOut<'_>>)>) {
    let Some(("assistant", blocks)) = turns.last_mut() else { return };
    if blocks.last_mut().is_some_and(|block| !block.trim_end()) {
        blocks.pop();
    }
    if blocks.is_empty() {
        turns.pop();
    }
}
