//! Writes a request's instructions: those before the conversation, and those in the midst of it.

use std::borrow::Cow;

use super::pen::Pen;
use crate::hub::{Content, Message, Role, SystemPart};
use crate::json::{Path, ROOT};
use crate::seam::Refusal;
use crate::vendors::without_attribution;

/// Whether a turn is instructions.
pub(super) fn instructs(role: Role) -> bool {
    matches!(role, Role::System | Role::Developer)
}

/// Writes the instructions before the conversation. A caller of this dialect gets its messages back one by one; for
/// another dialect's caller they are one message, since many look-alikes' prompt templates take no more than one. There
/// the later ones follow in it, each on a line of its own.
pub(super) fn system(parts: &[SystemPart], messages: &[Message], pen: &mut Pen<'_>) -> Result<(), Refusal> {
    const AT: Path<'static> = ROOT.field("system");
    if pen.same {
        for (index, part) in parts.iter().enumerate() {
            system_message(part, &AT.index(index), pen);
        }
        return Ok(());
    }
    let mut texts = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        texts.extend(foreign(part, &AT.index(index), pen));
    }
    let mut later = Vec::new();
    if pen.gathers() {
        for message in messages.iter().filter(|message| instructs(message.role)) {
            later.extend(late_texts(message, pen)?);
        }
    }
    if texts.is_empty() && later.is_empty() {
        return Ok(());
    }
    pen.json.open(b'{');
    pen.json.text_field("role", "system");
    if later.is_empty() {
        pen.texts(&texts);
    } else {
        let first = texts.join("\n\n");
        let all: Vec<&str> =
            [&*first].into_iter().filter(|text| !text.is_empty()).chain(later.iter().map(|text| &**text)).collect();
        pen.json.text_field("content", &all.join("\n"));
    }
    pen.json.close(b'}');
    Ok(())
}

/// Another dialect's instruction: its text, and what of it is left out.
fn foreign<'a>(part: &'a SystemPart, at: &Path<'_>, pen: &mut Pen<'_>) -> Option<Cow<'a, str>> {
    let SystemPart { text, cache, developer: _, name: _, extra } = part;
    pen.cache(cache.as_ref(), at);
    pen.extra(extra, at);
    let text = without_attribution(text);
    if text.is_none() {
        pen.drop(at);
    }
    text
}

fn system_message(part: &SystemPart, at: &Path<'_>, pen: &mut Pen<'_>) {
    let SystemPart { text, cache: mark, developer, name, extra } = part;
    pen.json.open(b'{');
    pen.json.text_field("role", role(*developer, pen));
    match mark {
        Some(_) => {
            // The mark stands on a part.
            pen.json.open_field("content", b'[');
            pen.json.open(b'{');
            pen.json.text_field("type", "text");
            pen.json.text_field("text", text);
            pen.cache(mark.as_ref(), at);
            pen.json.close(b'}');
            pen.json.close(b']');
        }
        None => pen.json.text_field("content", text),
    }
    if let Some(name) = name {
        pen.json.text_field("name", name);
    }
    pen.extra(extra, at);
    pen.json.close(b'}');
}

/// The role of instructions; look-alikes know the older word only.
pub(super) fn role(developer: bool, pen: &Pen<'_>) -> &'static str {
    if developer && pen.look_alike().is_none() { "developer" } else { "system" }
}

/// Writes another dialect's instructions where they stand.
pub(super) fn in_place(message: &Message, pen: &mut Pen<'_>) -> Result<(), Refusal> {
    let texts = late_texts(message, pen)?;
    if texts.is_empty() {
        return Ok(());
    }
    pen.json.open(b'{');
    pen.json.text_field("role", role(message.role == Role::Developer, pen));
    pen.texts(&texts);
    pen.json.close(b'}');
    Ok(())
}

/// The texts of another dialect's instructions in mid-conversation.
fn late_texts<'a>(message: &'a Message, pen: &mut Pen<'_>) -> Result<Vec<Cow<'a, str>>, Refusal> {
    const AT: Path<'static> = ROOT.field("messages");
    let at = AT.index(message.at);
    let content_at = at.field("content");
    pen.extra(&message.extra, &at);
    let mut texts = Vec::with_capacity(message.parts.len());
    for (index, part) in message.parts.iter().enumerate() {
        let at = content_at.index(index);
        let Content::Text { text, citations: _ } = &part.content else {
            return Err(at.refuse("instructions may hold text only"));
        };
        pen.cache(part.cache.as_ref(), &at);
        pen.extra(&part.extra, &at);
        match without_attribution(text) {
            Some(text) => texts.push(text),
            None => pen.drop(at),
        }
    }
    Ok(texts)
}
