//! Writes the model's earlier thoughts: back to a caller's own words, to look-alikes that need them, else not at all.

use super::writer::RequestWriter;
use crate::hub::{Content, Message, Part};
use crate::json::{Path, ROOT};
use crate::vendors::ReasoningBack;

/// Writes the thoughts of a turn. `needed`: it calls tools, or stands among such turns. Signatures and encrypted thoughts
/// are another provider's, and left out by rule.
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
            Content::Thinking { .. } | Content::RedactedThinking(_) => writer.drop(content.index(index)),
            _ => {}
        }
    }
    if !texts.is_empty() || (needed && how == ReasoningBack::Required) {
        let field = writer.look_alike().map_or("reasoning_content", |row| row.thoughts);
        writer.json.text_field(field, &texts.join("\n\n"));
    }
}

/// Signed and encrypted thoughts stand in blocks; plain ones in the field that most servers know.
fn given_back(parts: &[Part], writer: &mut RequestWriter<'_>) {
    let is_block = |part: &Part| {
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
