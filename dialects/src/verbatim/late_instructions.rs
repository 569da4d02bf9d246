//! Instructions in mid-conversation, told in Anthropic's words to a model that takes none there: they become a turn of the user's that says
//! what it is; the body stays as it is otherwise. Tools that come and go in such a turn are told in words, and the effort that it asks for
//! is the call's: both are fields that no other turn has.

use std::ops::Range;

use bytes::Bytes;
use serde_json::json;

use super::fields::names;
use super::splice::{Edit, splice};
use crate::json_places::{elements, member, text};
use crate::mark::SeenMarks;
use crate::vendors;

/// The words that Anthropic's own agents put around instructions in a user's turn.
const AROUND: (&str, &str) = ("<system-reminder>", "</system-reminder>");

/// The changes that such turns ask for of the call itself.
#[derive(Default)]
struct LateChanges {
    edits: Vec<Edit>,
    /// Tools that came, by their names.
    added: Vec<String>,
    /// Tools that were defined on the spot.
    defined: Vec<Range<usize>>,
    /// The last effort.
    effort: Option<Range<usize>>,
}

/// The body without turns of the role `system`; itself, uncopied, where there are none, or the model takes them.
#[must_use]
pub fn say_late_instructions(body: &Bytes, seen: SeenMarks, model: &str) -> Bytes {
    if !seen.system || vendors::claude(model).late_instructions {
        return body.clone();
    }
    let mut asked = LateChanges::default();
    for turn in member(body, 0..body.len(), b"messages").map(|list| elements(body, list)).unwrap_or_default() {
        if text(body, turn.clone(), b"role") == Some("system") {
            say_turn(body, turn, &mut asked);
        }
    }
    let LateChanges { mut edits, added, defined, effort } = asked;
    if let Some(effort) = effort.and_then(|effort| body.get(effort))
        && let Some(config) = member(body, 0..body.len(), b"output_config")
        && let Some(place) = member(body, config, b"effort")
    {
        edits.push(Edit::write(place, effort));
    }
    if let Some(list) = member(body, 0..body.len(), b"tools") {
        let tools = elements(body, list.clone());
        let came = |tool: &&Range<usize>| text(body, (*tool).clone(), b"name").is_some_and(|name| named(&added, name));
        // A tool that is deferred is not shown to the model before it has come.
        edits.extend(tools.iter().filter(came).filter_map(|tool| removed(body, tool, "defer_loading")));
        let before = if tools.is_empty() { "" } else { "," };
        let texts: Vec<_> = defined.into_iter().filter_map(|tool| std::str::from_utf8(body.get(tool)?).ok()).collect();
        if !texts.is_empty() {
            edits.push(Edit::write(list.end - 1..list.end - 1, format!("{before}{}", texts.join(","))));
        }
    }
    splice(body, &edits)
}

fn named(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known == name)
}

/// The edit that takes an object's member out.
fn removed(body: &[u8], object: &Range<usize>, wanted: &str) -> Option<Edit> {
    let members = names(body.get(object.clone())?);
    let (_, name, value) = members.into_iter().find(|(name, ..)| name == wanted)?;
    Some(Edit::remove(object.start + name.start..object.start + value.end))
}

/// Makes a turn the user's; one that says nothing goes.
fn say_turn(body: &[u8], turn: Range<usize>, asked: &mut LateChanges) {
    let effort = member(body, turn.clone(), b"output_config").and_then(|config| member(body, config, b"effort"));
    asked.effort = effort.or(asked.effort.take());
    let (before, after) = AROUND;
    let content = member(body, turn.clone(), b"content");
    // Behind what opens it, and before what closes it.
    let around = content.and_then(|content| {
        let blocks = match body.get(content.start) {
            Some(b'"') if content.len() > 2 => {
                return Some((content, format!("{before}\\n"), format!("\\n{after}")));
            }
            Some(b'[') => elements(body, content.clone()),
            _ => return None,
        };
        let block = |said: &str| json!({"type": "text", "text": said});
        (!blocks.is_empty()).then(|| {
            blocks.into_iter().for_each(|block| say_change(body, block, asked));
            (content, format!("{},", block(before)), format!(",{}", block(after)))
        })
    });
    let Some((content, first, last)) = around else {
        asked.edits.push(Edit::remove(turn));
        return;
    };
    asked.edits.push(Edit::write(content.start + 1..content.start + 1, first));
    asked.edits.push(Edit::write(content.end - 1..content.end - 1, last));
    asked.edits.extend(member(body, turn.clone(), b"role").map(|role| Edit::write(role, "\"user\"")));
    let others = names(body.get(turn.clone()).unwrap_or_default()).into_iter();
    let others = others.filter(|(name, ..)| !matches!(&**name, "role" | "content"));
    asked.edits.extend(others.map(|(_, name, value)| Edit::remove(turn.start + name.start..turn.start + value.end)));
}

/// Says in words that a tool came or went, where a block does.
fn say_change(body: &[u8], block: Range<usize>, asked: &mut LateChanges) {
    let is_added = match text(body, block.clone(), b"type") {
        Some("tool_addition") => true,
        Some("tool_removal") => false,
        _ => return,
    };
    let tool = member(body, block.clone(), b"tool");
    let definition = tool.clone().and_then(|tool| member(body, tool, b"definition"));
    let name_in = |object: Option<Range<usize>>| object.and_then(|object| text(body, object, b"name"));
    let name = name_in(definition.clone()).or_else(|| name_in(tool)).unwrap_or("unknown");
    let said = if is_added {
        asked.added.push(name.to_owned());
        asked.defined.extend(definition);
        format!("The tool `{name}` can be called now.")
    } else {
        format!("The tool `{name}` can not be called any more.")
    };
    asked.edits.push(Edit::write(block, json!({"type": "text", "text": said}).to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(body: &str, model: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let made = say_late_instructions(&body, SeenMarks::of(&body), model);
        String::from_utf8(made.to_vec()).unwrap()
    }

    #[test]
    fn older_models_are_told_in_a_turn_of_the_users() {
        let given = r#"{"system":"S","messages":[{"role":"user","content":"system"},{"role":"system","content":"Be \"brief\"."}, {"content":[{"type":"text","text":"So.","cache_control":{"type":"ephemeral"}}],"role" : "system"},{"role":"system","content":[]}],"n":1.0}"#;
        let words = r#"{"system":"S","messages":[{"role":"user","content":"system"},{"role":"user","content":"<system-reminder>\nBe \"brief\".\n</system-reminder>"}, {"content":[{"type":"text","text":"<system-reminder>"},{"type":"text","text":"So.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"</system-reminder>"}],"role" : "user"}],"n":1.0}"#;
        for model in ["claude-sonnet-4-5", "us.anthropic.claude-opus-4-7", "claude-3-5-haiku@20241022"] {
            assert_eq!(made(given, model), words, "{model}");
        }
        for model in
            ["claude-opus-4-8", "us.anthropic.claude-sonnet-5-v1:0", "claude-haiku-5", "claude-of-tomorrow", "m"]
        {
            assert_eq!(made(given, model), given, "{model}");
        }
        for other in [r#"{"messages":[{"role":"user","content":"system"}]}"#, r#"{"system":[],"messages":"system"}"#] {
            assert_eq!(made(other, "claude-3-haiku"), other);
        }
    }

    #[test]
    fn what_no_other_turn_has_is_the_calls_or_is_said_in_words() {
        let given = r#"{"output_config":{"effort":"high"},"tools":[{"name":"a","input_schema":{}},{"name":"b","defer_loading":true,"input_schema":{}}],"messages":[{"role":"user","content":"Hi"},{"role":"system","content":[],"output_config":{"effort":"max"}},{"role":"system","clear_at":1,"content":[{"type":"tool_addition","tool":{"type":"tool_reference","name":"b"}},{"type":"tool_removal","tool":{"type":"tool_reference","name":"a"}},{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"c","input_schema":{}}}}],"output_config":{"effort":"low"}},{"role":"system","content":"","output_config":null}]}"#;
        let told = r#"{"output_config":{"effort":"low"},"tools":[{"name":"a","input_schema":{}},{"name":"b","input_schema":{}},{"name":"c","input_schema":{}}],"messages":[{"role":"user","content":"Hi"},{"role":"user","content":[{"type":"text","text":"<system-reminder>"},{"type":"text","text":"The tool `b` can be called now."},{"type":"text","text":"The tool `a` can not be called any more."},{"type":"text","text":"The tool `c` can be called now."},{"type":"text","text":"</system-reminder>"}]}]}"#;
        assert_eq!(made(given, "claude-opus-4-7"), told);
        assert_eq!(made(given, "claude-opus-5"), given);
    }
}
