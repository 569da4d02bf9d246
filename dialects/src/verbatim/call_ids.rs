//! Ids of tool calls for a server that takes its own form of them alone, or none beyond a length, or whose model has learnt one, put into a body
//! that stays as it is otherwise.
//!
//! The same id always becomes the same other one, or all of them are numbered, so a call and its result still find each other, in this turn and
//! the next.

use std::collections::HashSet;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::splice::{Edit, splice};
use crate::call_id::{LONGEST_IN_CHAT, RenamedCalls, counted, short};
use crate::json::string;
use crate::mark::SeenMarks;
use crate::vendors::{CallIds, LookAlike, numbers_calls};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 9;

/// The body with ids of tool calls that the model takes, and the look-alike, or the vendor itself where it is none; itself, uncopied, where
/// they are so already.
#[must_use]
pub fn fit_call_ids(body: &Bytes, (look_alike, model): (Option<&LookAlike>, &str), seen: SeenMarks) -> Bytes {
    let rule = match look_alike {
        Some(_) if numbers_calls(model) => IdRule::Numbered,
        Some(row) if row.call_ids == CallIds::Any => return body.clone(),
        Some(_) => IdRule::Nine,
        None if !seen.long_ids => return body.clone(),
        None => IdRule::Short,
    };
    // Both fields begin so, and most conversations call no tools.
    if memmem::find(body, b"\"tool_call").is_none() {
        return body.clone();
    }
    let Ok(CallingBody { messages }) = serde_json::from_slice(body) else { return body.clone() };
    // What is broken goes on as it is: the provider says so.
    let turns: Vec<CallingTurn<'_>> =
        messages.iter().filter_map(|message| serde_json::from_str(message.get()).ok()).collect();
    let fitted = |raw: &RawValue| {
        let id = string(raw)?;
        match rule {
            IdRule::Nine => (!fits(&id)).then(|| nine_letters(&id)),
            IdRule::Short => (id.len() > LONGEST_IN_CHAT).then(|| short(&id, LONGEST_IN_CHAT).into_owned()),
            IdRule::Numbered => None,
        }
    };
    let ids = match rule {
        IdRule::Numbered => numbered(&turns),
        IdRule::Nine | IdRule::Short => {
            let ids = turns.iter().flat_map(CallingTurn::ids);
            ids.filter_map(|raw| Some((raw, fitted(raw)?))).collect()
        }
    };
    let write = |(raw, id): (&RawValue, String)| {
        let start = (raw.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        Edit::write(start..start + raw.get().len(), serde_json::to_string(&id).unwrap_or_default())
    };
    let edits: Vec<Edit> = ids.into_iter().map(write).collect();
    splice(body, &edits)
}

/// The ids that are taken.
#[derive(Clone, Copy)]
enum IdRule {
    /// Nine letters and digits.
    Nine,
    /// No more letters than the vendor takes.
    Short,
    /// The name of each call and its number in the conversation, as Kimi K2 gives them.
    Numbered,
}

/// The ids that are to be others where all calls are numbered. A conversation in which Kimi K2 has made all of them stays.
fn numbered<'a>(turns: &[CallingTurn<'a>]) -> Vec<(&'a RawValue, String)> {
    let mut known = HashSet::new();
    let its_own = |call: &MadeCall<'a>| {
        let id = call.id.and_then(string).unwrap_or_default();
        let is_its =
            counted(&id).is_some_and(|(name, _)| name.strip_prefix(FUNCTIONS).map(str::to_owned) == call.name());
        is_its && known.insert(id)
    };
    if turns.iter().flat_map(|turn| turn.tool_calls.iter().flatten()).all(its_own) {
        return Vec::new();
    }
    let (mut renamed, mut number, mut ids) = (RenamedCalls::default(), 0, Vec::new());
    for turn in turns {
        for call in turn.tool_calls.iter().flatten() {
            if let (Some(raw), Some(name)) = (call.id, call.name()) {
                let new = format!("{FUNCTIONS}{name}:{number}");
                string(raw).into_iter().for_each(|id| renamed.call(&id, &new));
                ids.push((raw, new));
            }
            number += 1;
        }
        if let Some(raw) = turn.tool_call_id {
            ids.extend(string(raw).and_then(|id| renamed.result(&id)).map(|new| (raw, new)));
        }
    }
    ids
}

/// The beginning of the ids that Kimi K2 gives to calls.
const FUNCTIONS: &str = "functions.";

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
    #[serde(borrow)]
    function: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct NamedFunction<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

impl<'a> CallingTurn<'a> {
    fn ids(&self) -> impl Iterator<Item = &'a RawValue> {
        let calls = self.tool_calls.iter().flatten().filter_map(|call| call.id);
        self.tool_call_id.into_iter().chain(calls)
    }
}

impl<'a> MadeCall<'a> {
    fn name(&self) -> Option<String> {
        let function: NamedFunction<'a> = serde_json::from_str(self.function?.get()).ok()?;
        function.name.and_then(string)
    }
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
    use super::*;

    fn fitted(body: &str, name: &str) -> String {
        fitted_for(body, name, "m")
    }

    fn fitted_for(body: &str, name: &str, model: &str) -> String {
        let row = LookAlike::named(name);
        let seen = SeenMarks::of(body.as_bytes());
        let body = fit_call_ids(&Bytes::copy_from_slice(body.as_bytes()), (row.as_ref(), model), seen);
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
    fn kimi_k2_is_told_its_own_ids_whoever_made_the_calls() {
        let call =
            |id: &str, name: &str| format!(r#"{{"id":"{id}","type":"function","function":{{"name":"{name}"}}}}"#);
        let body = |ids: [&str; 6]| {
            let [a, b, rb, ra, c, rc] = ids;
            let result = |id: &str| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"r"}}"#);
            format!(
                r#"{{"messages":[{{"role":"assistant","tool_calls":[{},{}]}},{},{},{{"role":"assistant","tool_calls":[{}]}}, {}]}}"#,
                call(a, "f"),
                call(b, "g"),
                result(rb),
                result(ra),
                call(c, "f"),
                result(rc)
            )
        };
        let own = body([
            "functions.f:0",
            "functions.g:1",
            "functions.g:1",
            "functions.f:0",
            "functions.f:2",
            "functions.f:2",
        ]);
        let others = body(["call_1", "toolu_1", "toolu_1", "call_1", "call_2", "call_2"]);
        let mixed = body(["functions.f:0", "g:0", "g:0", "functions.f:0", "functions.f:0", "functions.f:0"]);
        for (name, model) in [("Moonshot", "kimi-k2.6"), ("vLLM", "moonshotai/Kimi-K2-Thinking")] {
            for given in [&others, &mixed, &own] {
                assert_eq!(fitted_for(given, name, model), own, "{name} {model}");
            }
        }
        // What is left of a longer conversation keeps its numbers.
        let late = own.replace(":0", ":7").replace(":1", ":8").replace(":2", ":9");
        assert_eq!(fitted_for(&late, "Moonshot", "kimi-k2.6"), late);
        assert_eq!(fitted_for(&others, "Moonshot", "kimi-k3"), others);
    }

    #[test]
    fn ids_that_are_alike_become_others() {
        let made: HashSet<String> = (0..10_000).map(|at| nine_letters(&format!("toolu_{at}"))).collect();
        assert_eq!(made.len(), 10_000);
    }
}
