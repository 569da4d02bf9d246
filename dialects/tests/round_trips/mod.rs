//! A call that goes from one dialect into another and back: what both can say is said again, whatever it is.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluicegate_dialects::hub::{
    Call, Content, Extra, Fields, Message, Part, Raw, Role, Sampling, SystemPart, Tool, ToolCall,
};
use sluicegate_dialects::{Dialect, ProviderProfile};

/// The dialects that say all of this, each with a model that takes all of it.
const BOTH: [(Dialect, &str); 6] = [
    (Dialect::OpenAiChat, "gpt-4o"),
    (Dialect::AnthropicMessages, "claude-3-5-haiku-latest"),
    (Dialect::Gemini, "gemini-2.0-flash"),
    (Dialect::OpenAiResponses, "gpt-4o"),
    (Dialect::CohereChat, "command-a-03-2025"),
    (Dialect::BedrockConverse, "amazon.nova-pro-v1:0"),
];

/// A turn of a user's and what the model said to it: texts, and calls of tools with their results.
type Turn = (String, Vec<(String, i64, String)>, String);

/// What a call is made of.
#[derive(Debug, Clone)]
struct Said {
    system: Option<String>,
    turns: Vec<Turn>,
    last: String,
    max_tokens: u64,
    temperature: Option<u8>,
    top_p: Option<u8>,
    stop: Vec<String>,
}

fn words() -> impl Strategy<Value = String> {
    // Letters of several bytes, marks that JSON escapes, and white space within.
    "[a-zäß€日\"\\\\{}<>&/]{1,6}( [a-zé\\n\\t]{1,5}){0,3}x"
}

prop_compose! {
    fn said()(
        system in proptest::option::of(words()),
        turns in proptest::collection::vec(
            (words(), proptest::collection::vec((words(), any::<i64>(), words()), 0..3), words()), 0..3),
        last in words(),
        max_tokens in 16_u64..4_000,
        temperature in proptest::option::of(0_u8..=10),
        top_p in proptest::option::of(1_u8..=9),
        stop in proptest::collection::vec("[A-Z]{2,5}", 0..3),
    ) -> Said {
        Said { system, turns, last, max_tokens, temperature, top_p, stop }
    }
}

fn raw(value: &Value) -> Raw {
    serde_json::value::RawValue::from_string(value.to_string()).unwrap()
}

fn tenths(tenths: u8) -> serde_json::Number {
    format!("{:.1}", f64::from(tenths) / 10.0).parse().unwrap()
}

fn call(said: &Said, (dialect, model): (Dialect, &str)) -> Call {
    let mut messages = Vec::new();
    let mut number = 0;
    for (asked, called, answered) in &said.turns {
        messages.push(Message::new(Role::User, vec![Part::text(asked)]));
        let ids: Vec<String> = called
            .iter()
            .map(|_| {
                number += 1;
                format!("call_{number}")
            })
            .collect();
        let calls = ids.iter().zip(called).map(|(id, (text, count, _))| {
            let arguments = json!({"text": text, "count": count}).to_string();
            Part::new(Content::ToolCall(ToolCall { id: id.clone(), name: "look".into(), arguments }))
        });
        let calls: Vec<Part> = calls.collect();
        if !calls.is_empty() {
            messages.push(Message::new(Role::Assistant, calls));
            let results = ids.iter().zip(called).map(|(id, (_, _, result))| {
                Part::new(Content::ToolResult { call_id: id.clone(), parts: vec![Part::text(result)], is_error: false })
            });
            messages.push(Message::new(Role::User, results.collect()));
        }
        messages.push(Message::new(Role::Assistant, vec![Part::text(answered)]));
    }
    messages.push(Message::new(Role::User, vec![Part::text(&said.last)]));
    let parameters =
        json!({"type": "object", "properties": {"text": {"type": "string"}, "count": {"type": "integer"}}});
    let look = Tool::Function {
        name: "look".into(),
        description: Some("Looks.".into()),
        parameters: Some(raw(&parameters)),
        strict: None,
        cache: None,
        extra: Fields::new(),
    };
    Call {
        model: model.to_owned(),
        system: said.system.iter().map(|text| SystemPart { text: text.clone(), ..SystemPart::default() }).collect(),
        messages,
        tools: vec![look],
        tool_choice: None,
        parallel_tools: None,
        max_tokens: Some(said.max_tokens),
        sampling: Sampling {
            temperature: said.temperature.map(tenths),
            // Some models take one of the two.
            top_p: said.top_p.filter(|_| said.temperature.is_none()).map(tenths),
            ..Sampling::default()
        },
        stop: said.stop.clone(),
        format: None,
        reasoning: None,
        thoughts_told: false,
        stream: false,
        stream_usage: true,
        end_user: None,
        extra: Extra::none(dialect),
    }
}

/// What a call says, in an order and in ids that no dialect has a hand in.
fn gist(call: &Call) -> Vec<String> {
    let mut out: Vec<String> = call.system.iter().map(|part| format!("system {:?}", part.text)).collect();
    let mut ids = BTreeMap::new();
    for (role, part) in call.messages.iter().flat_map(|message| message.parts.iter().map(|part| (message.role, part))) {
        let mut id = |id: &str| {
            let next = ids.len();
            *ids.entry(id.to_owned()).or_insert(next)
        };
        out.push(match &part.content {
            Content::Text { text, .. } => format!("{role:?} {text:?}"),
            Content::ToolCall(call) => {
                let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
                format!("call {} {} {arguments}", id(&call.id), call.name)
            }
            Content::ToolResult { call_id, parts, .. } => {
                let texts: String = parts.iter().map(|part| format!("{:?}", part.content)).collect();
                format!("result {} {texts}", id(call_id))
            }
            other => format!("{other:?}"),
        });
    }
    for tool in &call.tools {
        let Tool::Function { name, description, parameters, .. } = tool else { continue };
        let parameters: Option<Value> = parameters.as_ref().map(|raw| serde_json::from_str(raw.get()).unwrap());
        out.push(format!("tool {name} {description:?} {parameters:?}"));
    }
    let number = |number: &Option<serde_json::Number>| number.as_ref().and_then(serde_json::Number::as_f64);
    out.push(format!("{:?} {:?}", number(&call.sampling.temperature), number(&call.sampling.top_p)));
    out.push(format!("{:?} {:?}", call.max_tokens, call.stop));
    out
}

/// A call as a dialect says it, read again; and what was left out.
fn through((dialect, model): (Dialect, &str), call: &Call) -> (Call, Vec<String>) {
    let mut call = call.clone();
    model.clone_into(&mut call.model);
    let encoded =
        dialect.encode_call(&call, &ProviderProfile::default()).unwrap_or_else(|why| panic!("{dialect:?}: {why:?}"));
    let read = dialect.decode_call(&encoded.body).unwrap_or_else(|why| panic!("{dialect:?}: {why:?}"));
    (read, encoded.dropped)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_both_dialects_can_say_comes_back(said in said()) {
        for one in BOTH {
            for other in BOTH.iter().filter(|(other, _)| *other != one.0) {
                // The Responses API has no texts that end an answer.
                let stops = ![one.0, other.0].contains(&Dialect::OpenAiResponses);
                let said = Said { stop: if stops { said.stop.clone() } else { Vec::new() }, ..said.clone() };
                let (own, left) = through(one, &call(&said, one));
                prop_assert!(left.is_empty(), "{:?}: {left:?}", one.0);
                let (there, left) = through(*other, &own);
                prop_assert!(left.is_empty(), "{:?} to {:?}: {left:?}", one.0, other.0);
                let (back, _) = through(one, &there);
                prop_assert_eq!(gist(&back), gist(&own), "{:?} to {:?} and back", one.0, other.0);
            }
        }
    }
}
