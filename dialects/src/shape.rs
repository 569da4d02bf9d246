//! Calls that a rule changes, in the dialect that they came in: by span, every other byte stays.

use bytes::Bytes;
use serde_json::Value;

use crate::codec::Refusal;
use crate::spoke::{Habits, SystemPlace};
use crate::verbatim::{Edit, Field, NestedSetting, Peek, names, splice};

/// The changes of a call. Values are JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestShape {
    /// Top-level fields where the call has none of that name.
    pub defaults: Vec<(String, String)>,
    /// Top-level fields whatever the call says.
    pub overrides: Vec<(String, String)>,
    /// Top-level fields that are taken out.
    pub remove: Vec<String>,
    /// The most tokens that an answer may have.
    pub max_tokens: Option<u64>,
    /// System text before what the call says.
    pub prepend: Option<String>,
    /// System text behind that of the call.
    pub append: Option<String>,
}

/// The body with these changes, uncopied where there are none. Errors: with them it is no call any more.
pub(crate) fn shape(
    body: &Bytes,
    (habits, peek): (&Habits, impl Fn(&[u8]) -> Result<Peek, Refusal>),
    shape: &RequestShape,
) -> Result<Bytes, Refusal> {
    let mut body = with_fields(body, shape);
    if let Some(most) = shape.max_tokens {
        body = capped(&body, &peek(&body)?, (habits, most));
    }
    if let Some(place) = habits.system {
        for (text, is_before) in [(&shape.prepend, true), (&shape.append, false)] {
            if let Some(text) = text {
                body = with_system(&body, place, (text, is_before))?;
            }
        }
    }
    Ok(body)
}

/// Just behind the opening brace.
fn open(body: &[u8]) -> usize {
    body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1)
}

/// A further member, put first.
fn member(body: &[u8], (name, json): (&str, &str), is_empty: bool) -> Edit {
    let name = serde_json::to_string(name).unwrap_or_default();
    let comma = if is_empty { "" } else { "," };
    let open = open(body);
    Edit::write(open..open, format!("{name}:{json}{comma}"))
}

fn with_fields(body: &Bytes, shape: &RequestShape) -> Bytes {
    if shape.defaults.is_empty() && shape.overrides.is_empty() && shape.remove.is_empty() {
        return body.clone();
    }
    let found = names(body);
    let is_empty = found.is_empty();
    let mut edits = Vec::new();
    for (name, start, value) in &found {
        if let Some((_, json)) = shape.overrides.iter().find(|(field, _)| field == name) {
            edits.push(Edit::write(value.clone(), json.as_str()));
        } else if shape.remove.contains(name) {
            edits.push(Edit::remove(start.start..value.end));
        }
    }
    let is_there = |field: &String| found.iter().any(|(name, ..)| name == field);
    let overridden = |field: &String| shape.overrides.iter().any(|(name, _)| name == field);
    let missing = shape.defaults.iter().filter(|(field, _)| !overridden(field)).chain(&shape.overrides);
    let missing = missing.filter(|(field, _)| !is_there(field));
    edits.extend(missing.map(|(field, json)| member(body, (field, json), is_empty)));
    splice(body, &edits)
}

/// The most tokens of the answer, wherever the call says them; where it says none, where the dialect does.
fn capped(body: &Bytes, peek: &Peek, (habits, most): (&Habits, u64)) -> Bytes {
    if let Some(within) = habits.settings_within {
        let is_more = peek.max_tokens.is_none_or(|asked| asked > most);
        let setting = NestedSetting { names: within.max_tokens, value: most.to_string(), replaces: true };
        let edit = is_more.then(|| peek.put_within(body, within.field, &[setting])).flatten();
        let edits: Vec<Edit> = edit.into_iter().chain(thinking_within(body, most)).collect();
        return splice(body, &edits);
    }
    let own = [Field::MaxTokens, Field::MaxCompletionTokens, Field::MaxOutputTokens];
    let said = |field: Field| {
        let text = peek.span(field).and_then(|span| std::str::from_utf8(body.get(span)?).ok())?;
        (text != "null").then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let value = || most.to_string().into_bytes();
    let larger = own.into_iter().filter(|field| said(*field).is_some_and(|asked| asked > most));
    let mut edits: Vec<Edit> = larger.map(|field| peek.set(field, value())).collect();
    if own.into_iter().all(|field| said(field).is_none()) {
        edits.extend(habits.max_tokens.map(|field| peek.set(field, value())));
    }
    edits.extend(thinking_within(body, most));
    splice(body, &edits)
}

/// The fewest tokens that Anthropic's models think with (docs.anthropic.com, "Extended thinking").
const LEAST_THINKING: u64 = 1_024;

/// A budget for thinking has to be less than the most tokens of the answer: it is lowered with them, and where that leaves less than any
/// model thinks with, the model does not think.
pub(crate) fn thinking_within(body: &[u8], most: u64) -> Option<Edit> {
    let (.., span) = names(body).into_iter().find(|(name, ..)| name == "thinking").or_else(|| {
        // Converse's callers say it among what is the model's own.
        let (.., own) = names(body).into_iter().find(|(name, ..)| name == "additionalModelRequestFields")?;
        let (name, key, span) = names(body.get(own.clone())?).into_iter().find(|(name, ..)| name == "thinking")?;
        Some((name, key, own.start + span.start..own.start + span.end))
    })?;
    let mut thinking: Value = serde_json::from_slice(body.get(span.clone())?).ok()?;
    let budget = thinking.get_mut("budget_tokens")?;
    if budget.as_f64()? < most as f64 {
        return None;
    }
    let within = most.saturating_sub(1);
    *budget = Value::from(within);
    let off = || r#"{"type":"disabled"}"#.to_owned();
    Some(Edit::write(span, if within < LEAST_THINKING { off() } else { thinking.to_string() }))
}

/// System text before or behind what is there.
///
/// Errors: the place is there twice, of which a provider may read the other one.
fn with_system(body: &Bytes, place: SystemPlace, (text, is_before): (&str, bool)) -> Result<Bytes, Refusal> {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let turn = || format!("{{\"role\":\"system\",\"content\":{quoted}}}");
    if place == SystemPlace::Instructions
        && !is_before
        && let Some(edit) = behind_items(body, &turn())
    {
        return Ok(splice(body, &[edit]));
    }
    let (known, fresh): (&[&str], String) = match place {
        SystemPlace::Turns => (&["messages"], turn()),
        SystemPlace::Instructions => (&["instructions"], quoted.clone()),
        SystemPlace::Blocks => (&["system"], format!("{{\"type\":\"text\",\"text\":{quoted}}}")),
        SystemPlace::Texts => (&["system"], format!("{{\"text\":{quoted}}}")),
        SystemPlace::Parts => (&["systemInstruction", "system_instruction"], format!("{{\"text\":{quoted}}}")),
    };
    let mut places = names(body).into_iter().filter(|(name, ..)| known.contains(&name.as_str()));
    let found = places.next();
    if let Some((name, ..)) = places.next() {
        return Err(Refusal::field(name, "the field stands there twice"));
    }
    let given = found.as_ref().and_then(|(.., span)| std::str::from_utf8(body.get(span.clone())?).ok());
    let made = match (given, place) {
        (None | Some("null"), SystemPlace::Turns) => return Ok(body.clone()),
        (None | Some("null"), SystemPlace::Instructions | SystemPlace::Blocks) => quoted,
        (None | Some("null"), SystemPlace::Texts) => format!("[{fresh}]"),
        (None | Some("null"), SystemPlace::Parts) => format!("{{\"parts\":[{fresh}]}}"),
        (Some(given), SystemPlace::Turns) => among_turns(given, &fresh, is_before),
        (Some(given), SystemPlace::Parts) => among_parts(given, &fresh, is_before),
        (Some(given), _) => match serde_json::from_str::<String>(given) {
            Ok(own) => joined(&own, text, is_before),
            Err(_) => listed(given, &fresh, is_before),
        },
    };
    let edit = match found {
        Some((.., span)) => Edit::write(span, made),
        None => member(body, (known.first().copied().unwrap_or_default(), &made), false),
    };
    Ok(splice(body, &[edit]))
}

fn joined(own: &str, text: &str, is_before: bool) -> String {
    let both = if is_before { [text, own] } else { [own, text] };
    serde_json::to_string(&both.join("\n\n")).unwrap_or_default()
}

/// A list with one more element; whatever else it is stays.
fn listed(given: &str, fresh: &str, is_before: bool) -> String {
    let Some(inside) = given.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return given.to_owned() };
    let comma = if inside.trim().is_empty() { "" } else { "," };
    if is_before { format!("[{fresh}{comma}{inside}]") } else { format!("[{inside}{comma}{fresh}]") }
}

/// Turns with one more: first, or behind the system's own.
fn among_turns(given: &str, fresh: &str, is_before: bool) -> String {
    let behind = if is_before { None } else { behind_systems(given, fresh) };
    behind.unwrap_or_else(|| listed(given, fresh, true))
}

/// Turns with one more behind the system's own at their beginning, where there are such.
fn behind_systems(given: &str, fresh: &str) -> Option<String> {
    let turns: Vec<&serde_json::value::RawValue> = serde_json::from_str(given).ok()?;
    let is_system = |turn: &&&serde_json::value::RawValue| {
        let role = serde_json::from_str::<Value>(turn.get()).ok();
        role.is_some_and(|turn| turn.get("role").is_some_and(|role| role == "system" || role == "developer"))
    };
    let last = turns.iter().take_while(is_system).last()?;
    let end = (last.get().as_ptr() as usize).saturating_sub(given.as_ptr() as usize) + last.get().len();
    let (before, behind) = given.split_at_checked(end)?;
    Some(format!("{before},{fresh}{behind}"))
}

/// System text behind that which a Responses call has among its items, where its items begin with such: it is read behind its
/// `instructions`.
fn behind_items(body: &Bytes, fresh: &str) -> Option<Edit> {
    let (.., span) = names(body).into_iter().find(|(name, ..)| name == "input")?;
    let made = behind_systems(std::str::from_utf8(body.get(span.clone())?).ok()?, fresh)?;
    Some(Edit::write(span, made))
}

/// Gemini's `parts`, or a text in their place, with one more.
fn among_parts(given: &str, fresh: &str, is_before: bool) -> String {
    let bytes = Bytes::copy_from_slice(given.as_bytes());
    let parts = names(&bytes).into_iter().find(|(name, ..)| name == "parts");
    let Some((.., span)) = parts else {
        let own = serde_json::from_str::<Value>(given).ok();
        let own = own.filter(Value::is_string).map(|own| format!("{{\"text\":{own}}}"));
        let Some(own) = own else { return given.to_owned() };
        return format!("{{\"parts\":{}}}", listed(&format!("[{own}]"), fresh, is_before));
    };
    let list = given.get(span.clone()).unwrap_or_default();
    let list = if list.starts_with('{') { format!("[{list}]") } else { list.to_owned() };
    let made = splice(&bytes, &[Edit::write(span, listed(&list, fresh, is_before))]);
    String::from_utf8(made.into()).unwrap_or_else(|_| given.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinking_keeps_within_the_most_tokens() {
        let body = |tokens: u64, budget: u64| {
            format!(
                r#"{{"model":"m","max_tokens":{tokens},"thinking":{{"type":"enabled","budget_tokens":{budget}}},"messages":[]}}"#
            )
        };
        for (most, given, made) in [
            (8_000, body(16_000, 10_000), body(8_000, 7_999)),
            (8_000, body(16_000, 4_000), body(8_000, 4_000)),
            (
                64,
                body(16_000, 10_000),
                r#"{"model":"m","max_tokens":64,"thinking":{"type":"disabled"},"messages":[]}"#.to_owned(),
            ),
            (64_000, body(16_000, 10_000), body(16_000, 10_000)),
        ] {
            let shape = RequestShape { max_tokens: Some(most), ..RequestShape::default() };
            assert_eq!(shaped(Dialect::AnthropicMessages, &given, &shape), made, "{most}");
        }
    }

    #[test]
    fn system_text_goes_into_no_place_that_is_there_twice() {
        let shape = RequestShape { prepend: Some("A".to_owned()), ..RequestShape::default() };
        for (dialect, body) in [
            (Dialect::OpenAiChat, r#"{"model":"m","messages":[],"mess\u0061ges":[]}"#),
            (Dialect::AnthropicMessages, r#"{"model":"m","max_tokens":1,"system":"a","system":"b","messages":[]}"#),
            (Dialect::Gemini, r#"{"systemInstruction":{"parts":[]},"system_instruction":{"parts":[]},"contents":[]}"#),
        ] {
            let path = PathSays { model: (!dialect.habits().names_model).then_some("m"), stream: None };
            let refused = dialect.shape(&Bytes::copy_from_slice(body.as_bytes()), path, &shape).unwrap_err();
            assert!(refused.message.contains("twice"), "{refused:?}");
        }
    }
    use crate::Dialect;
    use crate::verbatim::PathSays;

    fn shaped(dialect: Dialect, body: &str, shape: &RequestShape) -> String {
        let path = PathSays { model: (!dialect.habits().names_model).then_some("m"), stream: None };
        let body = dialect.shape(&Bytes::copy_from_slice(body.as_bytes()), path, shape).unwrap();
        String::from_utf8(body.into()).unwrap()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect()
    }

    #[test]
    fn fields_are_put_in_replaced_and_taken_out_and_the_rest_stays_as_it_was() {
        let shape = RequestShape {
            defaults: pairs(&[("temperature", "0.2"), ("seed", "7")]),
            overrides: pairs(&[("service_tier", "\"flex\""), ("seed", "9")]),
            remove: vec!["metadata".to_owned()],
            ..RequestShape::default()
        };
        for (given, made) in [
            (r#"{"model":"m","temperature":1.0}"#, r#"{"service_tier":"flex","seed":9,"model":"m","temperature":1.0}"#),
            (
                r#"{ "metadata" : {"a":1} , "model":"m", "seed":1e2, "service_tier":null}"#,
                r#"{"temperature":0.2,  "model":"m", "seed":9, "service_tier":"flex"}"#,
            ),
        ] {
            assert_eq!(shaped(Dialect::OpenAiChat, given, &shape), made);
        }
        let none = Bytes::from_static(br#"{"model":"m"}"#);
        let same = Dialect::OpenAiChat.shape(&none, PathSays::default(), &RequestShape::default()).unwrap();
        assert_eq!(same.as_ptr(), none.as_ptr());
    }

    #[test]
    fn an_answer_has_at_most_so_many_tokens_in_each_dialect() {
        use Dialect::{AnthropicMessages, BedrockConverse, Gemini, OpenAiChat, OpenAiResponses};
        let shape = RequestShape { max_tokens: Some(100), ..RequestShape::default() };
        for (dialect, given, made) in [
            (
                OpenAiChat,
                r#"{"model":"m","max_completion_tokens":900}"#,
                r#"{"model":"m","max_completion_tokens":100}"#,
            ),
            (OpenAiChat, r#"{"model":"m","max_tokens":50}"#, r#"{"model":"m","max_tokens":50}"#),
            (
                OpenAiChat,
                r#"{"model":"m","max_tokens":null}"#,
                r#"{"max_completion_tokens":100,"model":"m","max_tokens":null}"#,
            ),
            (OpenAiResponses, r#"{"model":"m","max_output_tokens":101}"#, r#"{"model":"m","max_output_tokens":100}"#),
            (OpenAiResponses, r#"{"model":"m"}"#, r#"{"max_output_tokens":100,"model":"m"}"#),
            (AnthropicMessages, r#"{"model":"m","max_tokens":64000}"#, r#"{"model":"m","max_tokens":100}"#),
            (Gemini, r#"{"contents":[]}"#, r#"{"generationConfig":{"maxOutputTokens":100},"contents":[]}"#),
            (
                Gemini,
                r#"{"generationConfig":{"topK":1,"maxOutputTokens":900}}"#,
                r#"{"generationConfig":{"topK":1,"maxOutputTokens":100}}"#,
            ),
            (BedrockConverse, r#"{"inferenceConfig":{"maxTokens":5}}"#, r#"{"inferenceConfig":{"maxTokens":5}}"#),
        ] {
            assert_eq!(shaped(dialect, given, &shape), made, "{dialect:?}");
        }
    }

    #[test]
    fn system_text_stands_before_and_behind_that_of_the_call_in_each_dialect() {
        use Dialect::{AnthropicMessages, BedrockConverse, Gemini, OpenAiChat, OpenAiResponses};
        let shape =
            RequestShape { prepend: Some("A\"".to_owned()), append: Some("Z".to_owned()), ..RequestShape::default() };
        for (dialect, given, made) in [
            (
                OpenAiChat,
                r#"{"model":"m","messages":[ {"role":"system","content":"s"} ,{"role":"user","content":"u"}]}"#,
                r#"{"model":"m","messages":[{"role":"system","content":"A\""}, {"role":"system","content":"s"},{"role":"system","content":"Z"} ,{"role":"user","content":"u"}]}"#,
            ),
            (
                OpenAiChat,
                r#"{"model":"m","messages":[{"role":"user","content":"u"}]}"#,
                r#"{"model":"m","messages":[{"role":"system","content":"A\""},{"role":"system","content":"Z"},{"role":"user","content":"u"}]}"#,
            ),
            (OpenAiResponses, r#"{"model":"m","instructions":"i"}"#, r#"{"model":"m","instructions":"A\"\n\ni\n\nZ"}"#),
            (OpenAiResponses, r#"{"model":"m"}"#, r#"{"instructions":"A\"\n\nZ","model":"m"}"#),
            (
                OpenAiResponses,
                r#"{"model":"m","instructions":"i","input":[{"role":"developer","content":"d"},{"role":"user","content":"u"}]}"#,
                r#"{"model":"m","instructions":"A\"\n\ni","input":[{"role":"developer","content":"d"},{"role":"system","content":"Z"},{"role":"user","content":"u"}]}"#,
            ),
            (AnthropicMessages, r#"{"model":"m","system":"s"}"#, r#"{"model":"m","system":"A\"\n\ns\n\nZ"}"#),
            (
                AnthropicMessages,
                r#"{"model":"m","system":[{"type":"text","text":"s"}]}"#,
                r#"{"model":"m","system":[{"type":"text","text":"A\""},{"type":"text","text":"s"},{"type":"text","text":"Z"}]}"#,
            ),
            (BedrockConverse, r#"{"messages":[]}"#, r#"{"system":[{"text":"A\""},{"text":"Z"}],"messages":[]}"#),
            (
                Gemini,
                r#"{"system_instruction":{"parts":[{"text":"s"}],"role":"user"}}"#,
                r#"{"system_instruction":{"parts":[{"text":"A\""},{"text":"s"},{"text":"Z"}],"role":"user"}}"#,
            ),
            (
                Gemini,
                r#"{"contents":[]}"#,
                r#"{"systemInstruction":{"parts":[{"text":"A\""},{"text":"Z"}]},"contents":[]}"#,
            ),
        ] {
            assert_eq!(shaped(dialect, given, &shape), made, "{dialect:?}");
        }
    }
}
