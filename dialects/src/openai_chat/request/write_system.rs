//! Writes a request's instructions: those before the conversation, and those in the midst of it.

use std::borrow::Cow;

use super::writer::RequestWriter;
use crate::codec::Refusal;
use crate::hub::{Content, Message, Role, SystemPart};
use crate::json::{Path, ROOT};
use crate::vendors::without_attribution;

/// True if a turn is instructions.
pub(super) fn instructs(role: Role) -> bool {
    matches!(role, Role::System | Role::Developer)
}

/// Writes the instructions before the conversation. A caller of this dialect gets its messages back one by one; for
/// another dialect's caller they are one message, since many look-alikes' prompt templates take no more than one. There
/// the later ones follow in it, each on a line of its own. What is `told` stands at the end.
pub(super) fn system(
    parts: &[SystemPart],
    messages: &[Message],
    told: Option<&str>,
    writer: &mut RequestWriter<'_>,
) -> Result<(), Refusal> {
    const AT: Path<'static> = ROOT.field("system");
    if !writer.cross_dialect {
        for (index, part) in parts.iter().enumerate() {
            system_message(part, &AT.index(index), writer);
        }
        return Ok(());
    }
    let is_gathered = writer.gathers() && messages.iter().any(|message| instructs(message.role));
    let marks = writer.marks() && !is_gathered && parts.iter().any(|part| part.cache.is_some());
    let mut texts = Vec::with_capacity(parts.len());
    let mut marked = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let at = AT.index(index);
        if !marks {
            writer.unmarked(part.cache.as_ref(), &at);
        }
        if let Some(text) = foreign(part, &at, writer) {
            texts.push(text);
            marked.push(part.cache.as_ref());
        }
    }
    let mut later = Vec::new();
    if writer.gathers() {
        for message in messages.iter().filter(|message| instructs(message.role)) {
            later.extend(late_texts(message, writer)?);
        }
    }
    let told = told.map(Cow::Borrowed);
    if later.is_empty() {
        texts.extend(told);
        marked.resize(texts.len(), None);
    } else {
        later.extend(told);
    }
    if texts.is_empty() && later.is_empty() {
        return Ok(());
    }
    writer.json.open(b'{');
    writer.json.text_field("role", "system");
    if marks {
        writer.marked_texts(texts.iter().map(AsRef::as_ref).zip(marked));
    } else if later.is_empty() {
        writer.texts(&texts);
    } else {
        let first = texts.join("\n\n");
        let all: Vec<&str> =
            [&*first].into_iter().filter(|text| !text.is_empty()).chain(later.iter().map(|text| &**text)).collect();
        writer.json.text_field("content", &all.join("\n"));
    }
    writer.json.close(b'}');
    Ok(())
}

/// Another dialect's instruction: its text, and what of it is left out.
fn foreign<'a>(part: &'a SystemPart, at: &Path<'_>, writer: &mut RequestWriter<'_>) -> Option<Cow<'a, str>> {
    let SystemPart { text, cache: _, developer: _, name: _, extra } = part;
    writer.extra(extra, at);
    let text = without_attribution(text);
    if text.is_none() {
        writer.drop(at);
    }
    text
}

fn system_message(part: &SystemPart, at: &Path<'_>, writer: &mut RequestWriter<'_>) {
    let SystemPart { text, cache: mark, developer, name, extra } = part;
    writer.json.open(b'{');
    writer.json.text_field("role", role(*developer, writer));
    match mark {
        Some(_) => {
            // The mark stands on a part.
            writer.json.open_field("content", b'[');
            writer.json.open(b'{');
            writer.json.text_field("type", "text");
            writer.json.text_field("text", text);
            writer.cache(mark.as_ref(), at);
            writer.json.close(b'}');
            writer.json.close(b']');
        }
        None => writer.json.text_field("content", text),
    }
    if let Some(name) = name {
        writer.json.text_field("name", name);
    }
    writer.extra(extra, at);
    writer.json.close(b'}');
}

/// The role of instructions; look-alikes know the older word only.
pub(super) fn role(developer: bool, writer: &RequestWriter<'_>) -> &'static str {
    if developer && writer.look_alike().is_none() { "developer" } else { "system" }
}

/// Writes another dialect's instructions where they stand.
pub(super) fn in_place(message: &Message, writer: &mut RequestWriter<'_>) -> Result<(), Refusal> {
    let texts = late_texts(message, writer)?;
    if texts.is_empty() {
        return Ok(());
    }
    writer.json.open(b'{');
    writer.json.text_field("role", role(message.role == Role::Developer, writer));
    writer.texts(&texts);
    writer.json.close(b'}');
    Ok(())
}

/// The texts of another dialect's instructions in mid-conversation.
fn late_texts<'a>(message: &'a Message, writer: &mut RequestWriter<'_>) -> Result<Vec<Cow<'a, str>>, Refusal> {
    const AT: Path<'static> = ROOT.field("messages");
    let at = AT.index(message.at);
    let content_at = at.field("content");
    writer.extra(&message.extra, &at);
    let mut texts = Vec::with_capacity(message.parts.len());
    for (index, part) in message.parts.iter().enumerate() {
        let at = content_at.index(index);
        let Content::Text { text, citations: _ } = &part.content else {
            return Err(at.refuse("instructions may hold text only"));
        };
        writer.unmarked(part.cache.as_ref(), &at);
        writer.extra(&part.extra, &at);
        match without_attribution(text) {
            Some(text) => texts.push(text),
            None => writer.drop(at),
        }
    }
    Ok(texts)
}
