//! The words that only Anthropic's own models are told in the middle of a conversation, said so that any vendor's model takes them: tools
//! that come and go, the effort of a turn, a summary in the place of what was said before, and where another model went on.
//!
//! Sources: platform.claude.com/docs, "Mid-conversation system messages and tool changes", "Per-message effort", "Compaction".

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::request;
use crate::hub::{CacheMark, Call, Content, Message, Part, Raw, Reasoning, Role, Tool};
use crate::json::kind_of;

/// The words before a summary.
const SUMMARY: &str = "This is a summary of the conversation so far:";

/// The meaning of a block.
enum Told {
    /// The tool of that name may be called from here on; it is defined, if not here, then among the call's.
    Added(String, Option<Raw>),
    /// It may be called no longer.
    Removed(String),
    /// The text stands for all that was said before.
    Summary(String),
    /// Nothing that another vendor's model could use.
    Nothing,
}

/// A block that changes tools, or sums up.
#[derive(Deserialize)]
struct ChangeBlock<'a> {
    #[serde(borrow)]
    tool: Option<ToolWord<'a>>,
    /// Null where the summary has failed.
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
}

/// A tool that is named, or defined on the spot.
#[derive(Deserialize)]
struct ToolWord<'a> {
    #[serde(borrow, alias = "tool_name")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    definition: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct NamedTool<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct EffortConfig {
    effort: Option<String>,
}

/// The call in words that every vendor's dialect has; `None`: it is in such words.
pub(crate) fn for_others(call: &Call) -> Option<Call> {
    let is_own = |part: &Part| told(part).is_some();
    if !call.messages.iter().any(|message| effort(message).is_some() || message.parts.iter().any(is_own)) {
        return None;
    }
    let mut call = call.clone();
    last_effort(&mut call);
    tool_changes(&mut call);
    summed_up(&mut call);
    for message in &mut call.messages {
        message.parts.retain(|part| told(part).is_none());
    }
    call.messages.retain(|message| !message.parts.is_empty());
    Some(call)
}

fn told(part: &Part) -> Option<Told> {
    let Content::Other { dialect: _, raw } = &part.content else { return None };
    let kind = kind_of(raw.get());
    if kind == "fallback" {
        return Some(Told::Nothing);
    }
    if !matches!(&*kind, "tool_addition" | "tool_removal" | "compaction") {
        return None;
    }
    let ChangeBlock { tool, content, .. } = serde_json::from_str(raw.get()).ok()?;
    if kind == "compaction" {
        return Some(content.map_or(Told::Nothing, |text| Told::Summary(text.into_owned())));
    }
    let ToolWord { name, definition } = tool?;
    let defined = || Some(serde_json::from_str::<NamedTool<'_>>(definition?.get()).ok()?.name?.into_owned());
    let name = name.map(Cow::into_owned).or_else(defined)?;
    Some(if kind == "tool_removal" {
        Told::Removed(name)
    } else {
        Told::Added(name, definition.map(ToOwned::to_owned))
    })
}

/// The effort that a turn of instructions asks for.
fn effort(message: &Message) -> Option<String> {
    let config = message.extra.get("output_config").filter(|_| message.role == Role::System)?;
    serde_json::from_str::<EffortConfig>(config.get()).ok()?.effort
}

/// The effort that was asked for last is the call's, where thinking is not turned off or held to a budget.
fn last_effort(call: &mut Call) {
    let last = call.messages.iter().rev().find_map(effort);
    for message in call.messages.iter_mut().filter(|message| message.role == Role::System) {
        message.extra.remove("output_config");
    }
    if let Some(effort) = last
        && matches!(call.reasoning, None | Some(Reasoning::Adaptive | Reasoning::Effort(_)))
    {
        call.reasoning = Some(Reasoning::Effort(effort));
    }
}

/// Tools as they are at the conversation's end, and a sentence where each came or went.
fn tool_changes(call: &mut Call) {
    let Call { messages, tools, .. } = call;
    let mut gone = BTreeSet::new();
    for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
        let text = match told(part) {
            Some(Told::Added(name, definition)) => {
                gone.remove(&name);
                if let Some(tool) = definition.and_then(|raw| request::tool(&raw).ok()) {
                    tools.retain(|tool| name_of(tool).as_deref() != Some(&*name));
                    tools.push(tool);
                }
                format!("The tool `{name}` can be called now.")
            }
            Some(Told::Removed(name)) => {
                let text = format!("The tool `{name}` can not be called any more.");
                gone.insert(name);
                text
            }
            Some(Told::Summary(_) | Told::Nothing) | None => continue,
        };
        let mark = cache_mark(part);
        *part = Part { cache: mark, ..Part::text(text) };
    }
    tools.retain(|tool| name_of(tool).is_none_or(|name| !gone.contains(&*name)));
}

fn cache_mark(part: &Part) -> Option<CacheMark> {
    let Content::Other { dialect: _, raw } = &part.content else { return None };
    let block: ChangeBlock<'_> = serde_json::from_str(raw.get()).ok()?;
    block.cache_control.map(|mark| CacheMark(mark.to_owned()))
}

fn name_of(tool: &Tool) -> Option<Cow<'_, str>> {
    match tool {
        Tool::Function { name, .. } => Some(Cow::Borrowed(name)),
        Tool::Other { dialect: _, raw } => serde_json::from_str::<NamedTool<'_>>(raw.get()).ok()?.name,
    }
}

/// The last summary is said by the user in the place of all that stood before it, as its own vendor reads no more of that.
fn summed_up(call: &mut Call) {
    let summary = |part: &Part| match told(part) {
        Some(Told::Summary(text)) => Some(text),
        _ => None,
    };
    let last = call.messages.iter().enumerate().rev().find_map(|(turn, message)| {
        let found = message.parts.iter().enumerate().rev().find_map(|(at, part)| Some((at, summary(part)?)));
        found.map(|(at, text)| (turn, at, text))
    });
    let Some((turn, at, text)) = last else { return };
    let mut kept = call.messages.split_off(turn);
    let place = kept.first().map_or(turn, |message| message.at);
    if let Some(first) = kept.first_mut() {
        first.parts.drain(..=at);
    }
    let text = Part::text(format!("{SUMMARY}\n\n{text}"));
    call.messages = vec![Message { at: place, ..Message::new(Role::User, vec![text]) }];
    call.messages.extend(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn made(messages: &str, more: &str) -> Option<Call> {
        let body = format!(r#"{{"model":"m","max_tokens":9,"messages":[{messages}]{more}}}"#);
        for_others(&Dialect::AnthropicMessages.decode_call(body.as_bytes()).unwrap())
    }

    fn texts(call: &Call) -> Vec<(Role, String)> {
        let text = |part: &Part| match &part.content {
            Content::Text { text, .. } => text.clone(),
            other => panic!("{other:?}"),
        };
        call.messages.iter().flat_map(|turn| turn.parts.iter().map(|part| (turn.role, text(part)))).collect()
    }

    const HI: &str = r#"{"role":"user","content":"Hi"}"#;

    #[test]
    fn tools_that_came_or_went_are_told_and_the_call_has_those_that_are_left() {
        let tools = r#","tools":[{"name":"a","input_schema":{}},{"name":"b","defer_loading":true,"input_schema":{}}]"#;
        let changes = r#"{"role":"system","content":[{"type":"text","text":"T"},
            {"type":"tool_addition","tool":{"type":"tool_reference","name":"b"},"cache_control":{"type":"ephemeral"}},
            {"type":"tool_removal","tool":{"type":"tool_reference","name":"a"}},
            {"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"c","input_schema":{}}}}]}"#;
        let call = made(&format!("{HI},{changes}"), tools).unwrap();
        let names: Vec<_> = call.tools.iter().filter_map(name_of).collect();
        assert_eq!(names, ["b", "c"]);
        assert!(call.messages[1].parts[1].cache.is_some());
        let said: Vec<String> = texts(&call).into_iter().map(|(_, text)| text).collect();
        let (b, c) = ("The tool `b` can be called now.", "The tool `c` can be called now.");
        assert_eq!(said, ["Hi", "T", b, "The tool `a` can not be called any more.", c]);
    }

    #[test]
    fn the_last_effort_of_a_turn_is_the_calls() {
        let turn = |effort| format!(r#"{{"role":"system","content":[],"output_config":{{"effort":"{effort}"}}}}"#);
        for (more, reasoning) in [
            ("", Some(Reasoning::Effort("low".to_owned()))),
            (r#","output_config":{"effort":"max"}"#, Some(Reasoning::Effort("low".to_owned()))),
            (r#","thinking":{"type":"disabled"}"#, Some(Reasoning::Off)),
        ] {
            let call = made(&format!("{},{HI},{}", turn("high"), turn("low")), more).unwrap();
            assert_eq!((call.reasoning, call.messages.len()), (reasoning, 1), "{more}");
        }
    }

    #[test]
    fn a_summary_stands_for_what_was_before_and_a_fallback_for_nothing() {
        let turn = |block: &str, text: &str| {
            format!(r#"{{"role":"assistant","content":[{block},{{"type":"text","text":"{text}"}}]}}"#)
        };
        let summary = r#"{"type":"compaction","content":"S"}"#;
        let call = made(&format!("{HI},{},{HI}", turn(summary, "A")), "").unwrap();
        let said = format!("{SUMMARY}\n\nS");
        let turns = [(Role::User, &*said), (Role::Assistant, "A"), (Role::User, "Hi")];
        assert_eq!(texts(&call), turns.map(|(role, text)| (role, text.to_owned())));
        for other in [
            r#"{"type":"compaction","content":null}"#,
            r#"{"type":"fallback","from":{"model":"claude-a"},"to":{"model":"claude-b"}}"#,
        ] {
            let call = made(&format!("{HI},{}", turn(other, "A")), "").unwrap();
            let turns = [(Role::User, "Hi"), (Role::Assistant, "A")];
            assert_eq!(texts(&call), turns.map(|(role, text)| (role, text.to_owned())), "{other}");
        }
        assert!(made(HI, "").is_none());
    }
}
