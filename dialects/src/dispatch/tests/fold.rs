//! Folding and telling: what is known comes through whole, and what is not known is not folded.

use serde_json::{Value, json};

use crate::codec::Unfolded;
use crate::dialect::Dialect;
use crate::hub::Usage;
use crate::observe::ObserverMode;
use crate::sse::MAX_EVENT;

const O: Dialect = Dialect::OpenAiChat;
const A: Dialect = Dialect::AnthropicMessages;
const MOST: usize = 1 << 20;

fn sse(events: &[Value]) -> String {
    let event = |event: &Value| match event["type"].as_str() {
        Some(kind) => format!("event: {kind}\ndata: {event}\n\n"),
        None => format!("data: {event}\n\n"),
    };
    events.iter().map(event).collect()
}

fn fold(dialect: Dialect, text: &str, most: usize, piece: usize) -> Result<Value, Unfolded> {
    let mut fold = dialect.stream_fold(most);
    text.as_bytes().chunks(piece).try_for_each(|piece| fold.push(piece))?;
    fold.finish(None).map(|whole| serde_json::from_slice(&whole).unwrap())
}

fn chunk(choice: Value) -> Value {
    let choices = Value::Array(vec![choice]);
    json!({"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": choices})
}

fn delta(delta: Value) -> Value {
    let mut choice = json!({"index": 0, "logprobs": null, "finish_reason": null});
    choice["delta"] = delta;
    chunk(choice)
}

fn finish(reason: &str) -> Value {
    chunk(json!({"index": 0, "delta": {}, "finish_reason": reason}))
}

fn openai(chunks: &[Value]) -> Result<Value, Unfolded> {
    let text = sse(chunks) + "data: [DONE]\n\n";
    let whole = fold(O, &text, MOST, text.len());
    for piece in [1, 7, 64] {
        assert_eq!(fold(O, &text, MOST, piece), whole, "in pieces of {piece}");
    }
    whole
}

/// The message that these deltas fold to.
fn message(deltas: &[Value]) -> Result<Value, Unfolded> {
    let chunks: Vec<Value> = deltas.iter().cloned().map(delta).chain([finish("stop")]).collect();
    openai(&chunks).map(|mut whole| whole["choices"][0]["message"].take())
}

/// Deltas, and the message that they fold to.
fn openai_messages() -> Vec<(Vec<Value>, Value)> {
    vec![
        (
            vec![json!({"role": "assistant", "content": ""}), json!({"content": "a"}), json!({"content": "\n\"b"})],
            json!({"content": "a\n\"b", "refusal": null}),
        ),
        (
            vec![json!({"reasoning_content": "h"}), json!({"reasoning_content": "m"}), json!({"content": "x"})],
            json!({"content": "x", "refusal": null, "reasoning_content": "hm"}),
        ),
        (vec![json!({"refusal": "n"}), json!({"refusal": "o"})], json!({"content": null, "refusal": "no"})),
        // Two calls, told by turns; the id in a later piece.
        (
            vec![
                json!({"tool_calls": [{"index": 0, "type": "function", "function": {"name": "f", "arguments": ""}}]}),
                json!({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{"}}]}),
                json!({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{}"}}, {"index": 1, "function": {"arguments": "}"}}]}),
            ],
            json!({"content": null, "refusal": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}),
        ),
        (
            vec![
                json!({"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}]}),
                json!({"tool_calls": [{"index": 0, "custom": {"input": "y"}}]}),
            ],
            json!({"content": null, "refusal": null,
            "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "xy"}}]}),
        ),
    ]
}

/// More of them.
fn more_openai_messages() -> Vec<(Vec<Value>, Value)> {
    vec![
        // A call without an index, whole; another vendor's signature on it.
        (
            vec![
                json!({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": {"thought_signature": "s"}}}]}),
            ],
            json!({"content": null, "refusal": null, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "s"}}}]}),
        ),
        (
            vec![
                json!({"function_call": {"name": "f", "arguments": "{"}}),
                json!({"function_call": {"arguments": "}"}}),
            ],
            json!({"content": null, "refusal": null, "function_call": {"name": "f", "arguments": "{}"}}),
        ),
        (
            vec![json!({"content": "x"}), json!({"annotations": [{"n": 1}]}), json!({"annotations": [{"n": 2}]})],
            json!({"content": "x", "refusal": null, "annotations": [{"n": 1}, {"n": 2}]}),
        ),
        (
            vec![
                json!({"reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0, "format": "f"}]}),
                json!({"reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0, "format": "f"}]}),
                json!({"reasoning_details": [{"type": "reasoning.text", "signature": "s", "index": 0}], "content": "x"}),
            ],
            json!({"content": "x", "refusal": null,
            "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0, "format": "f", "signature": "s"}]}),
        ),
        // What nobody knows, said once.
        (
            vec![json!({"content": "x", "new": {"a": [1]}, "other": ""})],
            json!({"content": "x", "refusal": null, "new": {"a": [1]}}),
        ),
    ]
}

#[test]
fn everything_openai_streams_folds() {
    for (deltas, mut expected) in openai_messages().into_iter().chain(more_openai_messages()) {
        expected["role"] = "assistant".into();
        assert_eq!(message(&deltas).as_ref(), Ok(&expected), "{deltas:?}");
    }
}

#[test]
fn what_is_said_of_the_whole_is_kept() {
    let mut first = delta(json!({"role": "assistant", "content": "x"}));
    for (name, value) in [
        ("id", json!("")),
        ("created", json!(0)),
        ("system_fingerprint", json!("fp")),
        ("service_tier", json!("default")),
        ("obfuscation", json!("aaaa")),
        ("x_groq", json!({"id": "r"})),
    ] {
        first[name] = value;
    }
    first["choices"][0]["content_filter_results"] = json!({});
    let mut second = chunk(json!({"index": 0, "delta": {"content": "y"}, "finish_reason": "stop",
        "content_filter_results": {"hate": {"filtered": false}}, "stop_reason": 5,
        "logprobs": {"content": [{"token": "y", "logprob": -0.1}], "refusal": null}}));
    second["usage"] = Value::Null;
    first["choices"][0]["logprobs"] = json!({"content": [{"token": "x", "logprob": -1.2345678901234567e-7}]});
    let other = chunk(json!({"index": 1, "delta": {"content": "z"}, "finish_reason": "stop"}));
    let usage = json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens_details": {"x": 2}}});
    let whole = openai(&[json!({"choices": [], "prompt_filter_results": [1]}), first, other, second, usage]).unwrap();
    assert_eq!(
        whole,
        json!({"id": "c", "object": "chat.completion", "created": 7, "model": "m", "system_fingerprint": "fp",
            "service_tier": "default", "x_groq": {"id": "r"}, "prompt_filter_results": [1],
            "usage": {"prompt_tokens": 1, "completion_tokens_details": {"x": 2}},
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "xy", "refusal": null}, "finish_reason": "stop",
                    "content_filter_results": {"hate": {"filtered": false}}, "stop_reason": 5,
                    "logprobs": {"refusal": null, "content": [
                        {"token": "x", "logprob": -1.2345678901234567e-7}, {"token": "y", "logprob": -0.1}]}},
                {"index": 1, "message": {"role": "assistant", "content": "z", "refusal": null},
                    "finish_reason": "stop", "logprobs": null}]})
    );
}

#[test]
fn what_openai_streams_and_nobody_can_put_together_is_not_folded() {
    let unknown: [&[Value]; 9] = [
        &[json!({"audio": {"id": "a", "data": "QQ=="}})],
        &[json!({"content": [{"type": "text", "text": "x"}]})],
        &[json!({"new": "a"}), json!({"new": "b"})],
        &[json!({"new": "a"}), json!({"new": "a"})],
        &[json!({"tool_calls": [{"function": {"arguments": "{}"}}]})],
        // All with one index, and each another call.
        &[json!({"tool_calls": [{"index": 0, "id": "a"}]}), json!({"tool_calls": [{"index": 0, "id": "b"}]})],
        &[json!({"tool_calls": [{"index": 0, "new": 1}]}), json!({"tool_calls": [{"index": 0, "new": 2}]})],
        &[json!({"tool_calls": "f"})],
        &[json!({"content": 7})],
    ];
    for deltas in unknown {
        assert_eq!(message(deltas), Err(Unfolded::Unknown), "{deltas:?}");
    }
    let beside =
        |value: Value| chunk(json!({"index": 0, "delta": {"content": "x"}, "finish_reason": "stop", "new": value}));
    assert_eq!(openai(&[beside(json!(1)), beside(json!(2))]), Err(Unfolded::Unknown));
    let twice = chunk(json!({"index": 0, "delta": {"content": "x"}, "message": {"content": "x"}}));
    assert_eq!(openai(&[twice]), Err(Unfolded::Unknown));
    assert_eq!(openai(&[finish("stop"), finish("length")]), Err(Unfolded::Unknown));
    assert_eq!(openai(&[json!({"error": {"message": "m"}})]), Err(Unfolded::Failed));
    assert_eq!(openai(&[chunk(json!({"index": 128, "delta": {}}))]), Err(Unfolded::Malformed));
    assert_eq!(openai(&[]), Err(Unfolded::Cut));
    assert_eq!(fold(O, "event: error\ndata: no\n\n", MOST, 64), Err(Unfolded::Failed));
    assert_eq!(fold(O, "data: {\n\n", MOST, 64), Err(Unfolded::Malformed));
    // Without its end, a stream is whole where each of its answers is.
    let said = sse(&[delta(json!({"content": "x"}))]);
    assert_eq!(fold(O, &said, MOST, 64), Err(Unfolded::Cut));
    assert!(fold(O, &(said.clone() + &sse(&[finish("stop")])), MOST, 64).is_ok());
    let whole = fold(O, &(said + "data: [DONE]\n\n"), MOST, 64).unwrap();
    assert!(!O.has_stop_reason(whole.to_string().as_bytes()));
}

#[test]
fn a_fold_is_bounded() {
    let deep = "{\"a\":".repeat(100_000);
    let nested = format!("data: {{\"choices\":[{{\"delta\":{{}},\"new\":{deep}1{}}}]}}\n\n", "}".repeat(100_000));
    assert!(matches!(fold(O, &nested, MOST, nested.len()), Err(Unfolded::Cut | Unfolded::Malformed)));
    for grown in [
        json!({"content": "0123456789"}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "0123456789"}}]}),
        json!({"annotations": [{}, {}]}),
    ] {
        let text = sse(&[delta(grown)]).repeat(1000);
        assert_eq!(fold(O, &text, 5000, 4096), Err(Unfolded::TooLarge(5000)));
    }
    let start = sse(&[json!({"type": "message_start", "message": {"id": "m"}})]);
    let blocks: Vec<Value> = (0..200)
        .map(|index| json!({"type": "content_block_start", "index": index, "content_block": {"type": "text"}}))
        .collect();
    assert_eq!(fold(A, &(start + &sse(&blocks)), 5000, 4096), Err(Unfolded::TooLarge(5000)));
    let endless = "data: ".to_owned() + &"x".repeat(MAX_EVENT + 1);
    assert_eq!(fold(O, &endless, usize::MAX, 1 << 20), Err(Unfolded::Malformed));
}

fn anthropic(blocks: &[Value]) -> Result<Value, Unfolded> {
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "m", "content": [], "stop_reason": null, "stop_sequence": null, "container": null,
        "usage": {"input_tokens": 5, "output_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 3}}}});
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null,
        "container": {"id": "k"}}, "usage": {"output_tokens": 9, "input_tokens": null}, "context_management": {"e": []}});
    let events = [&[start, json!({"type": "ping"})], blocks, &[end, json!({"type": "message_stop"})]].concat();
    let text = sse(&events);
    let whole = fold(A, &text, MOST, text.len());
    for piece in [1, 7, 64] {
        assert_eq!(fold(A, &text, MOST, piece), whole, "in pieces of {piece}");
    }
    whole
}

/// A block begun, grown and ended.
fn block(index: u32, begun: Value, deltas: &[Value]) -> Vec<Value> {
    let grown = deltas.iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta}));
    let mut start = json!({"type": "content_block_start", "index": index});
    start["content_block"] = begun;
    std::iter::once(start).chain(grown).chain([json!({"type": "content_block_stop", "index": index})]).collect()
}

#[test]
fn everything_anthropic_streams_folds() {
    let blocks = [
        block(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            &[
                json!({"type": "thinking_delta", "thinking": "h"}),
                json!({"type": "thinking_delta", "thinking": "m"}),
                json!({"type": "signature_delta", "signature": "sig"}),
            ],
        ),
        block(1, json!({"type": "redacted_thinking", "data": "d"}), &[]),
        block(
            2,
            json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
            &[
                json!({"type": "input_json_delta", "partial_json": "{\"q\":"}),
                json!({"type": "input_json_delta", "partial_json": "1}"}),
            ],
        ),
        block(3, json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"u": 1}]}), &[]),
        block(
            4,
            json!({"type": "text", "text": "", "citations": []}),
            &[
                json!({"type": "citations_delta", "citation": {"c": 1}}),
                json!({"type": "text_delta", "text": "x"}),
                json!({"type": "citations_delta", "citation": {"c": 2}}),
            ],
        ),
        block(
            5,
            json!({"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "direct"}}),
            &[json!({"type": "input_json_delta", "partial_json": ""})],
        ),
        block(
            6,
            json!({"type": "compaction", "content": null}),
            &[json!({"type": "compaction_delta", "content": "sum"})],
        ),
        block(7, json!({"type": "a_block_from_the_future", "x": [1]}), &[]),
    ];
    let whole = anthropic(&blocks.concat()).unwrap();
    let expected = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "stop_reason": "end_turn", "stop_sequence": null, "container": {"id": "k"}, "context_management": {"e": []},
        "usage": {"input_tokens": 5, "output_tokens": 9, "cache_creation": {"ephemeral_5m_input_tokens": 3}},
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"u": 1}]},
            {"type": "text", "text": "x", "citations": [{"c": 1}, {"c": 2}]},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}, "caller": {"type": "direct"}},
            {"type": "compaction", "content": "sum"},
            {"type": "a_block_from_the_future", "x": [1]}]});
    assert_eq!(whole, expected);
    // And back, and once more.
    let told = A.stream_of_whole(whole.to_string().as_bytes(), false).unwrap();
    assert_eq!(fold(A, &String::from_utf8(told).unwrap(), MOST, 64).unwrap(), expected);
}

#[test]
fn zeros_and_nulls_at_anthropics_end_take_no_count_back() {
    let start = json!({"type": "message_start", "message": {"id": "m", "content": [],
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 2}, "output_tokens": 1, "x": 1}}});
    let delta = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 0, "cache_read_input_tokens": null, "cache_creation": {"ephemeral_1h_input_tokens": 0}, "output_tokens": 16, "x": 0}});
    let text = sse(&[start, delta, json!({"type": "message_stop"})]);
    let usage = json!({"input_tokens": 9, "cache_read_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 2}, "output_tokens": 16, "x": 0});
    assert_eq!(fold(A, &text, MOST, text.len()).unwrap()["usage"], usage);
    let mut observer = A.observer(ObserverMode::Watch);
    observer.push(text.as_bytes());
    let used = Usage { input: 16, cached_input: 5, cache_write: 2, cache_write_1h: 2, output: 16, ..Usage::default() };
    assert_eq!(observer.usage(), Some(used));
}

#[test]
fn what_anthropic_streams_and_nobody_can_put_together_is_not_folded() {
    let text = || json!({"type": "text", "text": ""});
    for delta in [
        json!({"type": "a_delta_from_the_future", "x": 1}),
        json!({"type": "text_delta", "text": "x", "new": 1}),
        json!({"type": "text_delta", "text": 7}),
    ] {
        assert_eq!(anthropic(&block(0, text(), &[delta])), Err(Unfolded::Unknown));
    }
    assert_eq!(anthropic(&[json!({"type": "an_event_from_the_future"})]), Err(Unfolded::Unknown));
    assert_eq!(anthropic(&[json!({"type": "error", "error": {"type": "overloaded_error"}})]), Err(Unfolded::Failed));
    let begun = block(0, text(), &[]);
    assert_eq!(anthropic(&begun[..1]), Err(Unfolded::Malformed), "a block that never ends");
    assert_eq!(anthropic(&[&begun[..], &begun[..1]].concat()), Err(Unfolded::Malformed), "a block twice");
    let broken = block(
        0,
        json!({"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        &[json!({"type": "input_json_delta", "partial_json": "{\"q\":"})],
    );
    assert_eq!(anthropic(&broken), Err(Unfolded::Malformed));
    let cut = sse(&[json!({"type": "message_start", "message": {"id": "m"}})]);
    assert_eq!(fold(A, &cut, MOST, 64), Err(Unfolded::Cut));
    assert_eq!(fold(A, "", MOST, 64), Err(Unfolded::Cut));
}

#[test]
fn an_answer_is_told_in_one_line_per_event_and_folds_to_itself() {
    let anthropic = r#"{"id":"m","type":"message","role":"assistant","model":"m","stop_reason":"end_turn","stop_sequence":null,
        "content":[
        {"type":"server_tool_use",
         "id":"s", "name":"web_search", "input":{
            "q": "a\nb"}},
        {"type":"text", "text":"x", "citations":[{
            "type":"char_location", "cited_text":"a\nb"}]}],
        "usage":{"input_tokens":1,
            "output_tokens":2}}"#;
    let openai = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",
        "message":{"role":"assistant","content":"x","refusal":null, "annotations":[
            {"type":"url_citation"}]},
        "logprobs":{
            "content":[{"token":"x\n"}], "refusal":null}}],
        "usage":{"prompt_tokens":1,
            "completion_tokens":2}, "system_fingerprint":"fp", "citations":[
            "u"]}"#;
    for (dialect, body) in [(A, anthropic), (O, openai)] {
        for body in [body.to_owned(), body.replace('\n', "\r\n")] {
            let told = String::from_utf8(dialect.stream_of_whole(body.as_bytes(), true).unwrap()).unwrap();
            let framed = |line: &str| line.is_empty() || line.starts_with("data: {") || line.starts_with("event: ");
            assert!(told.lines().all(|line| framed(line) || line == "data: [DONE]"), "{told}");
            let whole: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(fold(dialect, &told, MOST, 64).unwrap(), whole, "{told}");
        }
    }
    let without = String::from_utf8(O.stream_of_whole(openai.as_bytes(), false).unwrap()).unwrap();
    assert!(!without.contains("usage"), "{without}");
    for nothing in [
        r#"{"choices":[{"index":0,"message":{"content":[{"type":"text"}]}}]}"#,
        r#"{"choices":[{"index":0,"message":{"content":null,"audio":{"data":"QQ=="}}}]}"#,
        r#"{"choices":[{"index":0}]}"#,
        r#"{"choices":null}"#,
        "null",
        "{",
    ] {
        assert_eq!(O.stream_of_whole(nothing.as_bytes(), true), None, "{nothing}");
        assert_eq!(A.stream_of_whole(nothing.as_bytes(), true), None, "{nothing}");
    }
}

#[test]
fn fixtures_fold_or_say_why_not() {
    for (dialect, folder) in [(O, "openai_chat"), (A, "anthropic_messages")] {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
        let files = |kind: &str, end: &str| {
            let all = std::fs::read_dir(root.join(kind)).unwrap().map(|file| file.unwrap().path());
            all.filter(|path| path.to_str().unwrap().ends_with(end)).collect::<Vec<_>>()
        };
        let mut folded = 0;
        for path in files("streams", ".sse") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if let Ok(whole) = fold(dialect, &text, MOST, 64) {
                folded += 1;
                let told = dialect.stream_of_whole(whole.to_string().as_bytes(), true).unwrap();
                let again = fold(dialect, &String::from_utf8(told).unwrap(), MOST, 64);
                assert_eq!(again, Ok(whole), "{}", path.display());
            }
        }
        assert!(folded > 3, "{folder}: {folded}");
    }
}
