//! Ids of tool calls for a server that takes its own form of them alone, or none beyond a length, put into a body that stays as it is otherwise.
//!
//! The same id always becomes the same other one, so a call and its result still find each other, in this turn and the next.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::splice::{Edit, splice};
use crate::call_id::{LONGEST_IN_CHAT, short};
use crate::json::string;
use crate::mark::SeenMarks;
use crate::vendors::{CallIds, LookAlike};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 9;

/// The body with ids of tool calls that the look-alike takes, or the vendor itself where it is none; itself, uncopied, where they are so
/// already.
#[must_use]
pub fn fit_call_ids(body: &Bytes, look_alike: Option<&LookAlike>, seen: SeenMarks) -> Bytes {
    let nine = match look_alike {
        Some(row) if row.call_ids == CallIds::Any => return body.clone(),
        Some(_) => true,
        None if !seen.long_ids => return body.clone(),
        None => false,
    };
    // Both fields begin so, and most conversations call no tools.
    if memmem::find(body, b"\"tool_call").is_none() {
        return body.clone();
    }
    let fitted = |id: &str| match nine {
        true => (!fits(id)).then(|| nine_letters(id)),
        false => (id.len() > LONGEST_IN_CHAT).then(|| short(id, LONGEST_IN_CHAT).into_owned()),
    };
    let Ok(CallingBody { messages }) = serde_json::from_slice(body) else { return body.clone() };
    let mut edits = Vec::new();
    for message in messages {
        // What is broken goes on as it is: the provider says so.
        let Ok(CallingTurn { tool_call_id, tool_calls }) = serde_json::from_str(message.get()) else { continue };
        let calls = tool_calls.into_iter().flatten().filter_map(|call| call.id);
        for raw in tool_call_id.into_iter().chain(calls) {
            let Some(id) = string(raw).and_then(|id| fitted(&id)) else { continue };
            let start = (raw.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
            let span = start..start + raw.get().len();
            edits.push(Edit::write(span, serde_json::to_string(&id).unwrap_or_default()));
        }
    }
    splice(body, &edits)
}

#[derive(Deserialize)]
struct CallingBody<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct CallingTurn<'a> {
    #[serde(borrow)]
    tool_call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<MadeCall<'a>>>,
}

#[derive(Deserialize)]
struct MadeCall<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

fn fits(id: &str) -> bool {
    id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Nine letters and digits for an id, always the same (FNV-1a, its remainder written in 62 digits).
fn nine_letters(id: &str) -> String {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut rest = id.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mut digit = || {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        rest /= 62;
        LETTERS.get(digit).copied().map_or('0', char::from)
    };
    (0..LENGTH).map(|_| digit()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn fitted(body: &str, name: &str) -> String {
        let row = LookAlike::named(name);
        let body = fit_call_ids(&Bytes::copy_from_slice(body.as_bytes()), row.as_ref(), SeenMarks::of(body.as_bytes()));
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn calls_and_results_find_each_other_and_every_other_byte_stays() {
        let body = |one: &str, other: &str| {
            format!(
                r#"{{ "messages":[{{"role":"user","content":"\"tool_call_id\":\"call_1\""}}, {{"tool_calls":[{{"id" : "{one}","function":{{"arguments":"{{\"id\":\"call_1\"}}"}}}},{{"id":"abcdefgh9"}}]}},{{"tool_call_id":"{other}","content":"x"}},7], "id":"call_1"}}"#
            )
        };
        let (given, nine) = (body("call_1", "call_1"), nine_letters("call_1"));
        assert!(fits(&nine));
        assert_eq!(fitted(&given, "Mistral"), body(&nine, &nine));
        assert_eq!(fitted(&body("call_\\u0031", "call_1"), "Mistral"), body(&nine, &nine));
        // Others take any, and what fits stays.
        assert_eq!(fitted(&given, "vLLM"), given);
        assert_eq!(fitted(&body(&nine, &nine), "Mistral"), body(&nine, &nine));
        // The vendor itself takes up to forty letters.
        let (long, short) = ("c".repeat(46), short(&"c".repeat(46), LONGEST_IN_CHAT).into_owned());
        assert_eq!(fitted(&body(&long, &long), "OpenAI itself"), body(&short, &short));
        assert_eq!(fitted(&given, "OpenAI itself"), given);
        for broken in [r#"{"tool_call_id":"#, r#"{"messages":{"tool_calls":1}}"#, r#"{"messages":[{"tool_calls":1}]}"#]
        {
            assert_eq!(fitted(broken, "Mistral"), broken);
        }
    }

    #[test]
    fn ids_that_are_alike_become_others() {
        let made: HashSet<String> = (0..10_000).map(|at| nine_letters(&format!("toolu_{at}"))).collect();
        assert_eq!(made.len(), 10_000);
    }
}
