//! A hit is the first answer again, in all four forms: random answers, told by their provider whole or in any pieces, are
//! compared as a vendor's SDK would put them together, which shares no code with the fold.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// What one tells for the other.
#[derive(Debug, Clone)]
struct RecordedAnswer {
    dialect: Dialect,
    whole: Value,
    /// The events of its stream, usage at its end.
    stream: Vec<Value>,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z \\n\"\\\\é🦀]{0,12}x", "x{1,40}"]
}

/// A text in pieces.
fn pieces(text: &str, size: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(size.max(1)).map(|piece| piece.iter().collect()).collect()
}

/// One of OpenAI's answers: the choice of the whole, and the choices of chunks.
fn openai_choice(index: usize) -> impl Strategy<Value = (Value, Vec<Value>)> {
    let calls = prop::collection::vec((text(), any::<bool>()), 0..3);
    let flags = prop::array::uniform5(any::<bool>());
    (text(), prop::option::of(text()), calls, flags, 1_usize..9).prop_map(move |(said, thought, calls, flags, size)| {
        let [annotated, measured, filtered, new, custom_reason] = flags;
        let reason = if calls.is_empty() || custom_reason { "stop" } else { "tool_calls" };
        let mut message = json!({"role": "assistant", "content": said, "refusal": null});
        let mut deltas = vec![json!({"role": "assistant", "content": ""})];
        if let Some(thought) = &thought {
            message["reasoning_content"] = json!(thought);
            deltas.extend(pieces(thought, size).iter().map(|piece| json!({"reasoning_content": piece})));
        }
        deltas.extend(pieces(&said, size).iter().map(|piece| json!({"content": piece})));
        let mut listed = Vec::new();
        for (place, (arguments, custom)) in calls.iter().enumerate() {
            let (kind, grows) = if *custom { ("custom", "input") } else { ("function", "arguments") };
            let id = format!("call_{index}_{place}");
            listed.push(json!({"id": id, "type": kind, kind: {"name": "f", grows: arguments}}));
            deltas.push(json!({"tool_calls": [{"index": place, "id": id, "type": kind, kind: {"name": "f", grows: ""}}]}));
            let more = pieces(arguments, size).into_iter();
            deltas.extend(more.map(|piece| json!({"tool_calls": [{"index": place, kind: {grows: piece}}]})));
        }
        if !listed.is_empty() {
            message["tool_calls"] = json!(listed);
        }
        if annotated {
            message["annotations"] = json!([{"type": "url_citation", "n": 1}, {"type": "url_citation", "n": 2}]);
            deltas.push(json!({"annotations": [{"type": "url_citation", "n": 1}]}));
            deltas.push(json!({"annotations": [{"type": "url_citation", "n": 2}]}));
        }
        if new {
            message["a_field_from_the_future"] = json!({"a": [1, 2.5]});
            deltas.push(json!({"a_field_from_the_future": {"a": [1, 2.5]}}));
        }
        let mut whole = json!({"index": index, "message": message, "logprobs": null, "finish_reason": reason});
        let count = deltas.len();
        let mut chunks: Vec<Value> = deltas
            .into_iter()
            .map(|delta| json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null}))
            .collect();
        if measured {
            let token = |n: usize| json!({"token": n.to_string(), "logprob": -0.000_123_456_789, "bytes": [1], "top_logprobs": []});
            whole["logprobs"] = json!({"content": (0..count).map(token).collect::<Vec<_>>(), "refusal": null});
            for (n, chunk) in chunks.iter_mut().enumerate() {
                chunk["logprobs"] = json!({"content": [token(n)], "refusal": null});
            }
        }
        let mut last = json!({"index": index, "delta": {}, "logprobs": null, "finish_reason": reason});
        if filtered {
            whole["content_filter_results"] = json!({"hate": {"filtered": false, "severity": "safe"}});
            last["content_filter_results"] = whole["content_filter_results"].clone();
        }
        chunks.push(last);
        (whole, chunks)
    })
}

fn openai_told() -> impl Strategy<Value = RecordedAnswer> {
    let choices = prop_oneof![
        4 => (openai_choice(0),).prop_map(|(one,)| vec![one]),
        1 => (openai_choice(0), openai_choice(1)).prop_map(|(one, two)| vec![one, two]),
    ];
    (choices, any::<u32>(), any::<bool>()).prop_map(|(choices, seed, tier)| {
        let usage = json!({"prompt_tokens": seed, "completion_tokens": 7, "total_tokens": u64::from(seed) + 7,
            "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 2, "accepted_prediction_tokens": 1}});
        let mut head =
            json!({"id": "chatcmpl-1", "created": 1_700_000_000, "model": "gpt-x", "system_fingerprint": "fp"});
        if tier {
            head["service_tier"] = json!("priority");
        }
        let with = |object: &str, rest: Value| {
            let mut all = head.clone();
            all["object"] = json!(object);
            all.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            all
        };
        let listed: Vec<Value> = choices.iter().map(|(whole, _)| whole.clone()).collect();
        let whole = with("chat.completion", json!({"choices": listed, "usage": usage}));
        let longest = choices.iter().map(|(_, chunks)| chunks.len()).max().unwrap_or_default();
        // Several answers come by turns.
        let turns = (0..longest).flat_map(|turn| choices.iter().filter_map(move |(_, chunks)| chunks.get(turn)));
        let chunk =
            |choices: Value, usage: &Value| with("chat.completion.chunk", json!({"choices": choices, "usage": usage}));
        let mut stream: Vec<Value> = turns.map(|choice| chunk(json!([choice]), &Value::Null)).collect();
        stream.push(chunk(json!([]), &usage));
        RecordedAnswer { dialect: Dialect::OpenAiChat, whole, stream }
    })
}

/// One of Anthropic's blocks: whole, and as it begins, with its deltas.
fn block() -> impl Strategy<Value = (Value, Value, Vec<Value>)> {
    let delta = |kind: &'static str, name: &'static str, text: &str, size: usize| {
        pieces(text, size).into_iter().map(move |piece| json!({"type": kind, name: piece})).collect::<Vec<_>>()
    };
    (0..6_u8, text(), 1_usize..9).prop_map(move |(kind, said, size)| match kind {
        0 => {
            let mut deltas = delta("thinking_delta", "thinking", &said, size);
            deltas.push(json!({"type": "signature_delta", "signature": "sig=="}));
            (
                json!({"type": "thinking", "thinking": said, "signature": "sig=="}),
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                deltas,
            )
        }
        1 => {
            let block = json!({"type": "redacted_thinking", "data": said});
            (block.clone(), block, Vec::new())
        }
        2 | 3 => {
            let kind = if kind == 2 { "tool_use" } else { "server_tool_use" };
            let input = json!({"q": said, "n": [1, {}]});
            (
                json!({"type": kind, "id": "t", "name": "f", "input": input}),
                json!({"type": kind, "id": "t", "name": "f", "input": {}}),
                delta("input_json_delta", "partial_json", &input.to_string(), size),
            )
        }
        4 => {
            let block = json!({"type": "a_block_from_the_future", "content": [{"text": said}]});
            (block.clone(), block, Vec::new())
        }
        _ => {
            let mut deltas = delta("text_delta", "text", &said, size);
            deltas.insert(0, json!({"type": "citations_delta", "citation": {"n": 1}}));
            deltas.push(json!({"type": "citations_delta", "citation": {"n": 2}}));
            (
                json!({"type": "text", "text": said, "citations": [{"n": 1}, {"n": 2}]}),
                json!({"type": "text", "text": "", "citations": []}),
                deltas,
            )
        }
    })
}

fn anthropic_told() -> impl Strategy<Value = RecordedAnswer> {
    (prop::collection::vec(block(), 0..5), text(), any::<u16>()).prop_map(|(mut blocks, said, output)| {
        let first = json!({"type": "text_delta", "text": said});
        blocks.push((json!({"type": "text", "text": said}), json!({"type": "text", "text": ""}), vec![first]));
        let usage = json!({"input_tokens": 5, "output_tokens": output, "cache_read_input_tokens": 9,
            "cache_creation": {"ephemeral_1h_input_tokens": 4}, "service_tier": "standard"});
        let content: Vec<&Value> = blocks.iter().map(|(whole, ..)| whole).collect();
        let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage, "container": {"id": "k"}});
        let mut begun = whole.clone();
        begun["content"] = json!([]);
        begun["stop_reason"] = Value::Null;
        begun["container"] = Value::Null;
        begun["usage"]["output_tokens"] = json!(1);
        let mut stream = vec![json!({"type": "message_start", "message": begun}), json!({"type": "ping"})];
        for (index, (_, begun, deltas)) in blocks.iter().enumerate() {
            stream.push(json!({"type": "content_block_start", "index": index, "content_block": begun}));
            let deltas = deltas.iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta}));
            stream.extend(deltas);
            stream.push(json!({"type": "content_block_stop", "index": index}));
        }
        stream.push(json!({"type": "message_delta", "usage": {"output_tokens": output},
            "delta": {"stop_reason": "end_turn", "stop_sequence": null, "container": {"id": "k"}}}));
        stream.push(json!({"type": "message_stop"}));
        RecordedAnswer { dialect: Dialect::AnthropicMessages, whole, stream }
    })
}

/// An answer of the Responses API: its items, and the events that tell them.
fn responses_told() -> impl Strategy<Value = RecordedAnswer> {
    let items = proptest::collection::vec((0..4_u8, text()), 0..4);
    (items, any::<u32>()).prop_map(|(items, input)| {
        // An answer that says nothing is not kept, and neither is one that was cut.
        let items = items.into_iter().chain([(0, "x".to_owned())]).enumerate();
        let items: Vec<Value> = items.map(|(at, (kind, said))| response_item(at, kind, &said)).collect();
        let whole = json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-x", "error": null,
            "status": "completed", "output": items, "new": {"field": 1},
            "usage": {"input_tokens": input, "output_tokens": 7, "total_tokens": u64::from(input) + 7,
                "input_tokens_details": {"cached_tokens": 3}, "output_tokens_details": {"reasoning_tokens": 2}}});
        let mut begun = whole.clone();
        begun["output"] = json!([]);
        begun["status"] = json!("in_progress");
        let mut stream = vec![json!({"type": "response.created", "response": begun})];
        for (place, item) in items.iter().enumerate() {
            stream.push(json!({"type": "response.output_item.added", "output_index": place, "item": item}));
            stream.push(json!({"type": "response.output_item.done", "output_index": place, "item": item}));
        }
        stream.push(json!({"type": "response.completed", "response": whole}));
        RecordedAnswer { dialect: Dialect::OpenAiResponses, whole, stream }
    })
}

fn response_item(at: usize, kind: u8, said: &str) -> Value {
    match kind {
        0 => json!({"id": format!("msg_{at}"), "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": said, "annotations": [{"type": "file_path", "index": 1}]}]}),
        1 => json!({"id": format!("rs_{at}"), "type": "reasoning", "summary": [{"type": "summary_text", "text": said}],
            "encrypted_content": "gAAAA"}),
        2 => {
            json!({"id": format!("fc_{at}"), "type": "function_call", "call_id": "c", "name": "f", "status": "completed",
            "arguments": json!({"a": said}).to_string()})
        }
        _ => {
            json!({"id": format!("ws_{at}"), "type": "web_search_call", "status": "completed", "action": {"query": said}})
        }
    }
}

impl RecordedAnswer {
    fn bytes(&self) -> Vec<u8> {
        let named = |event: &Value| match event["type"].as_str() {
            Some(name) => format!("event: {name}\ndata: {event}\n\n"),
            None => format!("data: {event}\n\n"),
        };
        let done = if self.dialect == Dialect::OpenAiChat { "data: [DONE]\n\n" } else { "" };
        (self.stream.iter().map(named).collect::<String>() + done).into_bytes()
    }

    fn sum(&self, stream: &[u8]) -> Value {
        let text = std::str::from_utf8(stream).unwrap();
        let events: Vec<Value> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        match self.dialect {
            Dialect::OpenAiChat => openai_sum(&events),
            Dialect::AnthropicMessages => anthropic_sum(&events),
            // The last event tells it whole.
            Dialect::OpenAiResponses => events.last().unwrap()["response"].clone(),
            other => panic!("no answers are made in {other:?}"),
        }
    }
}

/// As OpenAI's SDK accumulates: texts are joined, lists go by index or grow, what is said of the whole is said last.
fn openai_sum(events: &[Value]) -> Value {
    let mut whole = Map::new();
    let mut choices: Vec<Map<String, Value>> = Vec::new();
    for event in events {
        for (name, value) in event.as_object().unwrap().iter().filter(|(_, value)| !value.is_null()) {
            if name != "choices" {
                whole.insert(name.clone(), value.clone());
            }
        }
        for part in event["choices"].as_array().unwrap() {
            let index = usize::try_from(part["index"].as_u64().unwrap()).unwrap();
            choices.resize_with(choices.len().max(index + 1), Map::new);
            for (name, value) in part.as_object().unwrap() {
                let name = if name == "delta" { "message" } else { name };
                add(choices[index].entry(name).or_insert(Value::Null), value, name);
            }
        }
    }
    whole.insert("object".into(), "chat.completion".into());
    whole.insert("choices".into(), choices.into_iter().map(Value::Object).collect());
    Value::Object(whole)
}

fn add(sum: &mut Value, more: &Value, name: &str) {
    match (sum, more) {
        (_, Value::Null) => {}
        (sum @ Value::Null, Value::Array(_)) => {
            *sum = json!([]);
            add(sum, more, name);
        }
        (sum @ Value::Null, Value::Object(_)) => {
            *sum = json!({});
            add(sum, more, name);
        }
        (Value::String(sum), Value::String(more)) if !matches!(name, "role" | "id" | "type" | "name") => {
            sum.push_str(more);
        }
        (Value::Object(sum), Value::Object(more)) => {
            for (name, value) in more.iter().filter(|(name, _)| *name != "index") {
                add(sum.entry(name).or_insert(Value::Null), value, name);
            }
        }
        (Value::Array(sum), Value::Array(more)) => {
            for item in more {
                match item["index"].as_u64().map(|index| usize::try_from(index).unwrap()) {
                    Some(index) => {
                        sum.resize(sum.len().max(index + 1), Value::Null);
                        add(&mut sum[index], item, "");
                    }
                    None => sum.push(item.clone()),
                }
            }
        }
        (sum, more) => *sum = more.clone(),
    }
}

/// As Anthropic's SDK accumulates.
fn anthropic_sum(events: &[Value]) -> Value {
    let mut message = Value::Null;
    let mut inputs: Vec<String> = Vec::new();
    for event in events {
        let index = event["index"].as_u64().map_or(0, |index| usize::try_from(index).unwrap());
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                message["content"].as_array_mut().unwrap().push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let (delta, block) = (&event["delta"], &mut message["content"][index]);
                for name in ["text", "thinking", "signature"] {
                    if let Some(more) = delta[name].as_str() {
                        block[name] = json!(block[name].as_str().unwrap().to_owned() + more);
                    }
                }
                if let Some(more) = delta["partial_json"].as_str() {
                    inputs[index].push_str(more);
                    if let Ok(input) = serde_json::from_str(&inputs[index]) {
                        block["input"] = input;
                    }
                }
                if !delta["citation"].is_null() {
                    block["citations"].as_array_mut().unwrap().push(delta["citation"].clone());
                }
            }
            "message_delta" => {
                for name in ["stop_reason", "stop_sequence", "container"] {
                    message[name] = event["delta"][name].clone();
                }
                message["usage"]["output_tokens"] = event["usage"]["output_tokens"].clone();
            }
            _ => {}
        }
    }
    message
}

/// Without what is not said, however that is said, in one order.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut said: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            said.sort_by_key(|(name, _)| name.as_str());
            said.into_iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn hits_are(told: &RecordedAnswer, house: &House) -> Result<(), TestCaseError> {
    let expected = plain(&told.whole);
    prop_assert!(house.refused().is_empty(), "{:?}", house.refused());
    let whole: Value = serde_json::from_slice(&house.hit(false, false).body).unwrap();
    prop_assert_eq!(&plain(&whole), &expected);
    let streamed = plain(&told.sum(&house.hit(true, true).body));
    prop_assert_eq!(&streamed, &expected);
    if told.dialect == Dialect::OpenAiChat {
        let mut without = expected;
        without.as_object_mut().unwrap().shift_remove("usage");
        prop_assert_eq!(plain(&told.sum(&house.hit(true, false).body)), without);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_hit_is_the_first_answer_in_all_four_forms(
        told in prop_oneof![openai_told().boxed(), anthropic_told().boxed(), responses_told().boxed()],
        piece in 1_usize..200,
    ) {
        // The test's own SDK puts its own stream together to its own whole.
        prop_assert_eq!(plain(&told.sum(&told.bytes())), plain(&told.whole));
        let first_whole = house(told.dialect, |cache| cache.min_content_length = 0);
        first_whole.lead().conclude(&Bytes::from(told.whole.to_string()));
        hits_are(&told, &first_whole)?;
        prop_assert_eq!(first_whole.hit(false, false).body, told.whole.to_string());
        let first_streamed = house(told.dialect, |cache| cache.min_content_length = 0);
        first_streamed.record(&told.bytes(), piece);
        hits_are(&told, &first_streamed)?;
    }
}
