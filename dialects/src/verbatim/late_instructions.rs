//! Instructions in mid-conversation, told in Anthropic's words to a model that takes none there: they become a turn of the user's that says
//! what it is; the body stays as it is otherwise.

use bytes::Bytes;

use super::splice::{Edit, splice};
use crate::json_places::{elements, member, text};
use crate::mark::SeenMarks;
use crate::vendors;

/// The words that Anthropic's own agents put around instructions in a user's turn.
const AROUND: (&str, &str) = ("<system-reminder>", "</system-reminder>");

/// The body without turns of the role `system`; itself, uncopied, where there are none, or the model takes them.
#[must_use]
pub fn say_late_instructions(body: &Bytes, seen: SeenMarks, model: &str) -> Bytes {
    if !seen.system || vendors::claude(model).late_instructions {
        return body.clone();
    }
    let (before, after) = AROUND;
    let mut edits = Vec::new();
    for turn in member(body, 0..body.len(), b"messages").map(|list| elements(body, list)).unwrap_or_default() {
        if text(body, turn.clone(), b"role") != Some("system") {
            continue;
        }
        edits.extend(member(body, turn.clone(), b"role").map(|role| Edit::write(role, "\"user\"")));
        let Some(content) = member(body, turn, b"content") else { continue };
        // Behind what opens it, and before what closes it.
        let (first, last) = match body.get(content.start) {
            Some(b'"') => (format!("{before}\\n"), format!("\\n{after}")),
            Some(b'[') if !elements(body, content.clone()).is_empty() => {
                let block = |said: &str| format!(r#"{{"type":"text","text":"{said}"}}"#);
                (format!("{},", block(before)), format!(",{}", block(after)))
            }
            _ => continue,
        };
        edits.push(Edit::write(content.start + 1..content.start + 1, first));
        edits.push(Edit::write(content.end - 1..content.end - 1, last));
    }
    splice(body, &edits)
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
        let words = r#"{"system":"S","messages":[{"role":"user","content":"system"},{"role":"user","content":"<system-reminder>\nBe \"brief\".\n</system-reminder>"}, {"content":[{"type":"text","text":"<system-reminder>"},{"type":"text","text":"So.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"</system-reminder>"}],"role" : "user"},{"role":"user","content":[]}],"n":1.0}"#;
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
}
