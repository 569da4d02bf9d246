//! The conversation that a call is of, by what its body says, in whichever dialect: a session that its client names, or the
//! beginning that all of its turns have in common.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The mark in `metadata.user_id` behind which Claude Code names a session.
const SESSION: &str = "_session_";
/// So many turns may stand before the user's first one.
const LEADING_TURNS: usize = 16;
/// The beginning of the line in which Claude Code says whose call it is: a digest in it changes with every call, and it
/// means nothing to a model.
const BILLING: &str = "x-anthropic-billing-header:";
/// Stands before the digest in that line.
const DIGEST: &str = "cch=";
/// The most letters of that: whatever is longer may say something.
const LONGEST_DIGEST: usize = 16;

/// Instructions without such lines.
#[must_use]
pub fn without_billing(text: &str) -> Cow<'_, str> {
    if !text.contains(BILLING) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with(BILLING)).collect())
}

/// Instructions without the digests in such lines: a line counts but for that, as its provider is sent all of it.
#[must_use]
pub fn without_billing_digest(text: &str) -> Cow<'_, str> {
    if !text.contains(BILLING) {
        return Cow::Borrowed(text);
    }
    let around = |line| around_digest(line).unwrap_or((line, ""));
    Cow::Owned(text.split_inclusive('\n').map(around).flat_map(<[&str; 2]>::from).collect())
}

/// The two sides of the digest in such a line.
fn around_digest(line: &str) -> Option<(&str, &str)> {
    line.trim_start().strip_prefix(BILLING)?;
    let at = line.find(DIGEST)? + DIGEST.len();
    let (before, behind) = line.split_at_checked(at)?;
    let end = behind.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(behind.len());
    (end <= LONGEST_DIGEST).then(|| Some((before, behind.get(end..)?)))?
}

/// The fields in which SDKs and clients say whose turn it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_cache_key: Option<&'a RawValue>,
    #[serde(borrow)]
    user: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NamedMetadata {
    user_id: Option<String>,
}

/// The session that a body names: in `metadata.user_id` behind `_session_`, by `prompt_cache_key`, by `user`, by `metadata.user_id`
/// as a whole; the first of them counts.
#[must_use]
pub fn session_of_body(body: &[u8]) -> Option<String> {
    let named: Named<'_> = serde_json::from_slice(body).ok()?;
    let text = |raw: Option<&RawValue>| serde_json::from_str::<String>(raw?.get()).ok().filter(|text| !text.is_empty());
    let metadata: Option<NamedMetadata> = named.metadata.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let user_id = metadata.and_then(|metadata| metadata.user_id).filter(|id| !id.is_empty());
    let session = user_id.as_deref().and_then(|id| id.rsplit_once(SESSION)).map(|(_, session)| session.to_owned());
    let session = session.filter(|session| !session.is_empty());
    session.or_else(|| text(named.prompt_cache_key)).or_else(|| text(named.user)).or(user_id)
}

/// The amount that a call asks for, as far as its body tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallFacts {
    /// Turns of the conversation.
    pub messages: u64,
    /// True if it offers tools.
    pub tools: bool,
    /// True if there are images in it.
    pub images: bool,
    /// True if the model is asked to think first.
    pub thinking: bool,
}

/// The words that stand before an image, in whichever dialect; in a text they stand with escapes.
const IMAGES: [&[u8]; 7] = [
    b"\"image_url\"",
    b"\"input_image\"",
    b"\"inlineData\"",
    b"\"inline_data\"",
    b"\"type\":\"image\"",
    b"\"type\": \"image\"",
    b"\"image\":",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asking<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, rename = "toolConfig")]
    tool_config: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_effort: Option<&'a RawValue>,
    #[serde(borrow, rename = "generationConfig", alias = "generation_config")]
    generation: Option<&'a RawValue>,
    #[serde(borrow, rename = "additionalModelRequestFields")]
    beside: Option<&'a RawValue>,
}

/// Gemini's settings, as far as they say how much to think.
#[derive(Deserialize)]
struct Generation<'a> {
    #[serde(borrow, default, rename = "thinkingConfig", alias = "thinking_config")]
    thinking: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ThinkingConfig<'a> {
    #[serde(borrow, default, rename = "thinkingBudget", alias = "thinking_budget")]
    budget: Option<&'a RawValue>,
}

/// The fields beside Converse's own in which models there are told to think.
#[derive(Deserialize)]
struct BesideConverse<'a> {
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "reasoningConfig", alias = "reasoning_config")]
    config: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_effort: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
}

/// True unless the settings say that nothing is to be thought. What can not be read is taken for asked.
fn generation_thinks(raw: &RawValue) -> bool {
    let Ok(Generation { thinking }) = serde_json::from_str(raw.get()) else { return true };
    let Some(config) = thinking.filter(|config| config.get() != "null") else { return false };
    let budget = serde_json::from_str::<ThinkingConfig<'_>>(config.get()).ok().and_then(|config| config.budget);
    budget.is_none_or(|budget| budget.get() != "0")
}

/// Looks at what a body asks for; of what can not be read everything is taken for asked.
#[must_use]
pub fn facts_of_body(body: &[u8]) -> CallFacts {
    let Ok(asking) = serde_json::from_slice::<Asking<'_>>(body) else {
        return CallFacts { messages: u64::MAX, tools: true, images: true, thinking: true };
    };
    let turns = |raw: &RawValue| {
        serde_json::from_str::<Vec<serde::de::IgnoredAny>>(raw.get()).map_or(1, |all| all.len() as u64)
    };
    let is_full = |raw: Option<&RawValue>| raw.is_some_and(|raw| !matches!(raw.get(), "null" | "[]" | "{}"));
    let thinks = |raw: Option<&RawValue>| {
        is_full(raw)
            && raw
                .is_some_and(|raw| !["none", "disabled"].iter().any(|word| raw.get().contains(&format!("\"{word}\""))))
    };
    CallFacts {
        messages: [asking.messages, asking.contents, asking.input].into_iter().flatten().map(turns).sum(),
        tools: is_full(asking.tools) || asking.tool_config.is_some_and(|raw| raw.get().contains("\"tools\"")),
        images: IMAGES.iter().any(|word| memchr::memmem::find(body, word).is_some()),
        thinking: thinks(asking.thinking)
            || thinks(asking.reasoning)
            || thinks(asking.reasoning_effort)
            || asking.generation.is_some_and(generation_thinks)
            || asking.beside.is_some_and(|raw| {
                serde_json::from_str::<BesideConverse<'_>>(raw.get()).map_or(true, |beside| {
                    let BesideConverse { thinking, config, reasoning_effort, reasoning } = beside;
                    [thinking, config, reasoning_effort, reasoning].into_iter().any(thinks)
                })
            }),
    }
}

/// The fields that a conversation begins with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Beginning<'a> {
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow, rename = "systemInstruction", alias = "system_instruction")]
    system_instruction: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// Gives the texts that every turn of the conversation begins with: the system's and those up to the user's first one, without what
/// changes from call to call. False where there are none.
pub fn prefix_of_body(body: &[u8], mut take: impl FnMut(&str)) -> bool {
    let Ok(beginning) = serde_json::from_slice::<Beginning<'_>>(body) else { return false };
    let mut found = false;
    let mut put = |text: &str| {
        let text = without_billing(text);
        if !text.is_empty() {
            found = true;
            take(&text);
        }
    };
    for raw in [beginning.system, beginning.instructions, beginning.system_instruction].into_iter().flatten() {
        texts(&parsed(raw), &mut put);
    }
    for raw in [beginning.messages, beginning.contents, beginning.input].into_iter().flatten() {
        let turns: Vec<&RawValue> = match serde_json::from_str(raw.get()) {
            Ok(turns) => turns,
            Err(_) => vec![raw],
        };
        for turn in turns.into_iter().take(LEADING_TURNS) {
            let turn = parsed(turn);
            texts(&turn, &mut put);
            if turn.get("role").is_some_and(|role| role == "user") {
                break;
            }
        }
    }
    found
}

fn parsed(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// Every text in a value, but for markers that clients move along.
fn texts(value: &Value, put: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => put(text),
        Value::Array(list) => list.iter().for_each(|one| texts(one, put)),
        Value::Object(fields) => {
            let of_content = fields.iter().filter(|(name, _)| !matches!(name.as_str(), "cache_control" | "id"));
            of_content.for_each(|(_, value)| texts(value, put));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_where_each_client_names_it() {
        for (body, session) in [
            (r#"{"metadata":{"user_id":"user_a_account_b_session_c-1"},"prompt_cache_key":"k"}"#, Some("c-1")),
            (r#"{"prompt_cache_key":"k","user":"u"}"#, Some("k")),
            (r#"{"prompt_cache_key":"","user":"u","metadata":{"user_id":"m"}}"#, Some("u")),
            (r#"{"prompt_cache_key":7,"metadata":{"user_id":"m"}}"#, Some("m")),
            (r#"{"metadata":{"user_id":"a_session_"}}"#, Some("a_session_")),
            (r#"{"metadata":"none","user":null}"#, None),
            ("{}", None),
            ("no call", None),
        ] {
            assert_eq!(session_of_body(body.as_bytes()).as_deref(), session, "{body}");
        }
    }

    #[test]
    fn what_a_call_asks_for_is_seen_in_each_dialect() {
        let of = |body: &str| facts_of_body(body.as_bytes());
        let plain = CallFacts { messages: 1, ..CallFacts::default() };
        for body in [
            r#"{"messages":[{"role":"user","content":"Say \"image_url\" and \"type\":\"image\""}],"tools":[],"thinking":{"type":"disabled"}}"#,
            r#"{"input":"Hello","reasoning_effort":"none","tools":null}"#,
            r#"{"contents":[{"parts":[{"text":"Hello"}]}]}"#,
        ] {
            assert_eq!(of(body), plain, "{body}");
        }
        assert_eq!(of(r#"{"messages":[{},{},{}]}"#).messages, 3);
        for body in [r#"{"tools":[{"name":"a"}]}"#, r#"{"toolConfig":{"tools":[{}]}}"#] {
            assert!(of(body).tools, "{body}");
        }
        for body in [
            r#"{"messages":[{"content":[{"type":"image_url","image_url":{}}]}]}"#,
            r#"{"messages":[{"content":[{"type":"image","source":{}}]}]}"#,
            r#"{"messages":[{"content":[{"image":{"format":"png"}}]}]}"#,
            r#"{"contents":[{"parts":[{"inlineData":{}}]}]}"#,
            r#"{"input":[{"content":[{"type":"input_image"}]}]}"#,
        ] {
            assert!(of(body).images, "{body}");
        }
        for body in [
            r#"{"thinking":{"type":"enabled","budget_tokens":1024}}"#,
            r#"{"reasoning":{"effort":"high"}}"#,
            r#"{"reasoning_effort":"low"}"#,
            r#"{"generationConfig":{"thinkingConfig":{}}}"#,
            r#"{"generation_config":{"thinking_config":{"thinking_budget":1024}}}"#,
            r#"{"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":1024}}}"#,
            r#"{"additionalModelRequestFields":{"reasoningConfig":{"type":"enabled"}}}"#,
        ] {
            assert!(of(body).thinking, "{body}");
        }
        for body in [
            r#"{"generationConfig":{"thinkingConfig":{"thinkingBudget":0}}}"#,
            r#"{"generationConfig":{"temperature":1}}"#,
            r#"{"additionalModelRequestFields":{"thinking":{"type":"disabled"},"top_k":3}}"#,
        ] {
            assert!(!of(body).thinking, "{body}");
        }
        assert!(of("[").tools && of("[").messages == u64::MAX);
    }

    fn prefix(body: &str) -> Option<Vec<String>> {
        let mut found = Vec::new();
        prefix_of_body(body.as_bytes(), |text| found.push(text.to_owned())).then_some(found)
    }

    #[test]
    fn turns_of_one_conversation_begin_alike_and_those_of_two_do_not() {
        let first = r#"{"system":[{"type":"text","text":"x-anthropic-billing-header: cch=1"},{"type":"text","text":"Help.","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"One?"}]}"#;
        let later = r#"{"messages":[{"content":"One?","role":"user"},{"role":"assistant","content":"Two."},{"role":"user","content":"Three?"}],"system":[{"text":"x-anthropic-billing-header: cch=2","type":"text"},{"type":"text","text":"Help."}],"stream":true}"#;
        assert_eq!(prefix(first).map(|mut p| (p.sort(), p).1), prefix(later).map(|mut p| (p.sort(), p).1));
        assert!(prefix(first).is_some());
        let other = r#"{"system":"Help.","messages":[{"role":"user","content":"Other?"}]}"#;
        assert_ne!(prefix(first), prefix(other));
        for (body, said) in [
            (
                r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"user","content":"v"}]}"#,
                "s u",
            ),
            (r#"{"instructions":"i","input":"u"}"#, "i u"),
            (
                r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"u"}]},{"role":"user","content":"v"}]}"#,
                "u",
            ),
            (
                r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"u"}]}]}"#,
                "s u",
            ),
        ] {
            let found = prefix(body).unwrap();
            let found: Vec<&str> = found.iter().map(String::as_str).filter(|text| text.len() == 1).collect();
            assert_eq!(found.join(" "), said, "{body}");
        }
        for body in ["{}", "no call", r#"{"messages":[]}"#, r#"{"system":"x-anthropic-billing-header: a"}"#] {
            assert_eq!(prefix(body), None, "{body}");
        }
    }
}
