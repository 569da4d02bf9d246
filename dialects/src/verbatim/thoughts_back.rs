//! Earlier thoughts that a server demands of every turn that calls tools, put in empty where a caller has none; the body stays as it is
//! otherwise.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::splice::{Edit, splice};
use crate::json_places::{elements, member};
use crate::scan;
use crate::vendors::{self, LookAlike, ReasoningBack, SignaturePlace, UNSIGNED};

/// The body with thoughts, if only empty ones, in each turn of the model's that calls tools or stands behind the user's last word,
/// where the look-alike refuses such a turn without them; itself, uncopied, where all have some.
#[must_use]
pub fn fill_thoughts(body: &Bytes, look_alike: Option<&LookAlike>) -> Bytes {
    let row = look_alike.filter(|row| row.reasoning == ReasoningBack::Required);
    let Some(row) = row.filter(|_| memmem::find(body, b"\"assistant\"").is_some()) else { return body.clone() };
    let Ok(ThoughtBody { messages }) = serde_json::from_slice(body) else { return body.clone() };
    // What is broken goes on as it is: the provider says so.
    let turns: Vec<ThoughtTurn<'_>> =
        messages.iter().map(|raw| serde_json::from_str(raw.get()).unwrap_or_default()).collect();
    let last_said = turns.iter().rposition(|turn| turn.is_of("user"));
    let mut edits = Vec::new();
    for (place, (raw, turn)) in messages.iter().zip(&turns).enumerate() {
        let needed = turn.calls() || last_said.is_none_or(|last| place > last);
        if turn.is_of("assistant") && needed {
            edits.extend(filled(body, raw, row.thoughts));
        }
    }
    splice(body, &edits)
}

/// The body in whose turns the first call of a tool has a signature, if only the word that Google documents for calls which another
/// model made, where the server refuses such a call without; itself, uncopied, where all have one.
#[must_use]
pub fn sign_calls(body: &Bytes, look_alike: Option<&LookAlike>, model: &str) -> Bytes {
    let row = look_alike.filter(|row| row.signatures == SignaturePlace::OnCalls && !row.name.is_empty());
    let asks = row.is_some() && vendors::gemini(model).signed_calls;
    if !asks || memmem::find(body, b"\"tool_calls\"").is_none() {
        return body.clone();
    }
    let first = |turn: Range<usize>| {
        let calls = elements(body, member(body, turn, b"tool_calls")?);
        let is_signed = |call: &Range<usize>| member(body, call.clone(), b"extra_content").is_some();
        calls.first().filter(|_| !calls.iter().any(is_signed)).cloned()
    };
    let turns = member(body, 0..body.len(), b"messages").map(|list| elements(body, list)).unwrap_or_default();
    let calls = turns.into_iter().filter_map(first).filter(|call| body.get(call.start) == Some(&b'{'));
    let word = format!(r#""extra_content":{{"google":{{"thought_signature":"{UNSIGNED}"}}}},"#);
    let edits: Vec<Edit> = calls.map(|call| Edit::write(call.start + 1..call.start + 1, word.as_str())).collect();
    splice(body, &edits)
}

/// The edit that puts an empty field into a turn; `None`: it has the field.
fn filled(body: &[u8], turn: &RawValue, field: &str) -> Option<Edit> {
    let mut given = None;
    let json = turn.get();
    scan::members(json.as_bytes(), |name, value| {
        if name == field.as_bytes() {
            given = Some(value);
        }
    })
    .ok()?;
    let start = (json.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
    match given {
        Some(value) if json.get(value.clone()) == Some("null") => {
            Some(Edit::write(start + value.start..start + value.end, "\"\""))
        }
        Some(_) => None,
        // A turn has a role at least.
        None => Some(Edit::write(start + 1..start + 1, format!("\"{field}\":\"\","))),
    }
}

#[derive(Deserialize)]
struct ThoughtBody<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct ThoughtTurn<'a> {
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

impl ThoughtTurn<'_> {
    fn is_of(&self, role: &str) -> bool {
        self.role.and_then(|raw| raw.get().strip_prefix('"')?.strip_suffix('"')) == Some(role)
    }

    fn calls(&self) -> bool {
        self.tool_calls.is_some_and(|raw| raw.get().starts_with('[') && raw.get().contains('{'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(body: &str, name: &str) -> String {
        let row = LookAlike::named(name);
        let body = fill_thoughts(&Bytes::copy_from_slice(body.as_bytes()), row.as_ref());
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn a_call_that_nobody_signed_says_so_to_google() {
        let turn = |first: &str| {
            format!(
                r#"{{"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[{{{first}"id":"a","function":{{"name":"f"}}}},{{"id":"b"}}]}}, {{"role":"assistant","tool_calls":[]}}]}}"#
            )
        };
        let signed = |name: &str, model: &str| {
            let body = sign_calls(&Bytes::from(turn("")), LookAlike::named(name).as_ref(), model);
            String::from_utf8(body.to_vec()).unwrap()
        };
        let word = r#""extra_content":{"google":{"thought_signature":"skip_thought_signature_validator"}},"#;
        assert_eq!(signed("GeminiOpenAI", "gemini-3-pro-preview"), turn(word));
        for (name, model) in
            [("GeminiOpenAI", "gemini-2.5-pro"), ("vLLM", "gemini-3-pro-preview"), ("none", "gemini-3")]
        {
            assert_eq!(signed(name, model), turn(""), "{name} {model}");
        }
        let body = Bytes::from(turn(word));
        let row = LookAlike::named("GeminiOpenAI");
        assert_eq!(sign_calls(&body, row.as_ref(), "gemini-3-pro-preview").as_ptr(), body.as_ptr(), "uncopied");
    }

    #[test]
    fn a_turn_that_calls_tools_has_thoughts_if_only_empty_ones_and_every_other_byte_stays() {
        let loops = |thoughts: &str, last: &str| {
            format!(
                r#"{{ "n":1.50, "messages":[{{"role":"user","content":"assistant"}},{{"role":"assistant","content":"plain"}},{{"role":"user","content":"x"}}, {{{thoughts}"role" : "assistant","tool_calls":[{{"id":"a","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"a","content":"r"}},{{{last}"role":"assistant","content":"so"}}],"tools":[]}}"#
            )
        };
        let empty = r#""reasoning_content":"","#;
        for name in ["DeepSeek", "Moonshot"] {
            assert_eq!(made(&loops("", ""), name), loops(empty, empty), "{name}");
        }
        assert_eq!(made(&loops(r#""reasoning_content":null,"#, empty), "DeepSeek"), loops(empty, empty));
        let given = loops(r#""reasoning_content":"hm","#, empty);
        assert_eq!(made(&given, "DeepSeek"), given);
        // Others take such turns as they are.
        for name in ["vLLM", "Zhipu", "none"] {
            assert_eq!(made(&loops("", ""), name), loops("", ""), "{name}");
        }
        for other in [
            r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":"z"}]}"#,
            r#"{"messages":[{"role":"assistant","tool_calls":[]},{"role":"user","content":"z"}]}"#,
            r#"{"messages":"\"assistant\""}"#,
            r#"{"messages":[7,{"role":"user","content":"\"assistant\""}]}"#,
            r#"{"prompt":"\"assistant\""}"#,
        ] {
            assert_eq!(made(other, "DeepSeek"), other);
        }
        let body = Bytes::from(loops(empty, empty));
        assert_eq!(fill_thoughts(&body, LookAlike::named("DeepSeek").as_ref()).as_ptr(), body.as_ptr(), "uncopied");
    }
}
