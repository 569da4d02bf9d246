//! The Anthropic spoke against its fixtures: round trips, streams cut at every byte, errors, and no panic on anything.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod support;

use proptest::prelude::*;
use serde_json::Value;
use sluicegate_dialects::hub::{Delta, ErrorKind, Event, PartKind, ProviderError, Stop, Usage};
use sluicegate_dialects::{Dialect, ProviderProfile, StreamOptions};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use support::{events, events_cut_anywhere, golden, testdata};

/// The files of a folder whose names end so, sorted; there must be some.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_str().unwrap().ends_with(end));
    files.sort();
    assert!(!files.is_empty(), "no {end} in {}", folder.display());
    files
}

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Two ways to write the same become one: nulls and empty arrays of citations are nothing, a lone plain text is its string.
fn normal(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            if let [Value::Object(block)] = &*items
                && block.len() == 2
                && block.get("type").is_some_and(|kind| kind == "text")
                && let Some(text) = block.get("text")
            {
                return text.clone();
            }
            Value::Array(items.into_iter().map(normal).collect())
        }
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, normal(value))).collect())
        }
        other => other,
    }
}

fn json(bytes: &[u8]) -> Value {
    normal(serde_json::from_slice(bytes).unwrap())
}

#[test]
fn a_request_read_and_written_again_means_the_same() {
    for path in files(&testdata("anthropic_messages/requests"), ".json") {
        let body = std::fs::read(&path).unwrap();
        let call = DIALECT.decode_call(&body).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let encoded = DIALECT.encode_call(&call, &ProviderProfile::default()).unwrap();
        assert_eq!(json(&encoded.body), json(&body), "{}", path.display());
        assert!(encoded.dropped.is_empty() && encoded.headers.is_empty());
    }
}

#[test]
fn a_reply_read_and_written_again_means_the_same() {
    for path in files(&testdata("anthropic_messages/replies"), ".json") {
        let body = std::fs::read(&path).unwrap();
        let decoded = DIALECT.decode_reply(&body).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut written = json(&DIALECT.encode_reply(&decoded, b"").body);
        let mut expected = json(&body);
        // Counts of nothing are written where the provider left them out.
        for value in [&mut written, &mut expected] {
            value["usage"].as_object_mut().unwrap().retain(|_, count| count != 0);
        }
        assert_eq!(written, expected, "{}", path.display());
    }
}

#[test]
fn a_stream_is_the_same_however_it_is_cut_and_when_written_again() {
    for path in files(&testdata("anthropic_messages/streams"), ".sse") {
        let bytes = std::fs::read(&path).unwrap();
        let read = events_cut_anywhere(DIALECT, &bytes);
        let mut text = String::new();
        for event in &read {
            writeln!(text, "{event:?}").unwrap();
        }
        golden(&path.with_extension("events"), &text);

        let again = events(DIALECT, &[&write(&read)]).unwrap();
        assert_eq!(last_usage(&again), last_usage(&read), "{}", path.display());
        assert_eq!(without_usage(&again), without_usage(&read), "{}", path.display());
    }
}

fn write(events: &[Event]) -> Vec<u8> {
    let mut encoder = DIALECT.stream_encoder(StreamOptions::default());
    let mut out = Vec::new();
    for event in events {
        encoder.push(event, &mut out);
    }
    out
}

fn last_usage(events: &[Event]) -> Option<Usage> {
    events.iter().rev().find_map(|event| if let Event::Usage(usage) = event { Some(*usage) } else { None })
}

fn without_usage(events: &[Event]) -> Vec<String> {
    // An empty piece of text or arguments says nothing, and an error event is written without the provider's request id.
    let shown = events.iter().filter(|event| !matches!(event, Event::Usage(_)));
    shown.map(|event| format!("{event:?}")).collect()
}

#[test]
fn every_error_fixture_is_known_by_its_kind_and_goes_back_as_it_came() {
    let expected = [
        ("400_no_credit", ErrorKind::Billing),
        ("400_prompt_too_long", ErrorKind::InvalidRequest),
        ("401_key", ErrorKind::Authentication),
        ("413_large", ErrorKind::TooLarge),
        ("429_rate", ErrorKind::RateLimit),
        ("502_page", ErrorKind::BadGateway),
        ("504_timeout", ErrorKind::Timeout),
        ("529_overloaded", ErrorKind::Overloaded),
    ];
    let files = files(&testdata("anthropic_messages/errors"), ".json");
    assert_eq!(files.len(), expected.len());
    for (path, (name, kind)) in files.iter().zip(expected) {
        assert_eq!(path.file_stem().unwrap(), name);
        let status: u16 = name.split('_').next().unwrap().parse().unwrap();
        let body = std::fs::read(path).unwrap();
        let decoded = DIALECT.decode_error(status, &body);
        assert_eq!(decoded.kind, kind, "{name}");
        assert!(!decoded.message.contains('<'), "a page is not shown to a caller");
        let back = DIALECT.decode_error(DIALECT.status(kind), &DIALECT.encode_error(&decoded, "req_1"));
        assert_eq!((back.kind, back.message), (kind, decoded.message), "{name}");
    }
    let long = std::fs::read(testdata("anthropic_messages/errors/400_prompt_too_long.json")).unwrap();
    assert_eq!(DIALECT.decode_error(400, &long).code.as_deref(), Some("context_length_exceeded"));
}

#[test]
fn an_error_names_its_field_and_its_request() {
    let error = ProviderError {
        kind: ErrorKind::InvalidRequest,
        message: "must not be negative".to_owned(),
        r#type: Some("other".to_owned()),
        code: None,
        param: Some("max_tokens".to_owned()),
    };
    let expected = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: must not be negative"},"request_id":"req_7"}"#;
    assert_eq!(String::from_utf8(DIALECT.encode_error(&error, "req_7")).unwrap(), expected);
}

#[test]
fn sdks_that_try_a_message_thread_are_told_to_go_on_without() {
    let error = ProviderError {
        kind: ErrorKind::InvalidRequest,
        message: "thread: no".to_owned(),
        r#type: None,
        code: Some("thread_unsupported_request".to_owned()),
        param: Some("thread".to_owned()),
    };
    let body: serde_json::Value = serde_json::from_slice(&DIALECT.encode_error(&error, "req_7")).unwrap();
    let details = serde_json::json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
    assert_eq!(body["error"]["details"], details);
}

#[test]
fn a_wrong_request_is_refused_by_the_name_of_its_field() {
    let cases: [(&str, Option<&str>); 19] = [
        ("", None),
        ("[]", None),
        ("{", None),
        (r#"{"model":"m","model":"n","max_tokens":1,"messages":[]}"#, Some("model")),
        (r#"{"max_tokens":1,"messages":[]}"#, Some("model")),
        (r#"{"model":7,"max_tokens":1,"messages":[]}"#, Some("model")),
        (r#"{"model":"","max_tokens":1,"messages":[]}"#, Some("model")),
        (r#"{"model":"m","messages":[]}"#, Some("max_tokens")),
        (r#"{"model":"m","max_tokens":null,"messages":[]}"#, Some("max_tokens")),
        (r#"{"model":"m","max_tokens":-1,"messages":[]}"#, Some("max_tokens")),
        (r#"{"model":"m","max_tokens":1}"#, Some("messages")),
        (r#"{"model":"m","max_tokens":1,"messages":[{"role":"user"}]}"#, Some("messages[0].content")),
        (r#"{"model":"m","max_tokens":1,"messages":[{"role":"tool","content":"x"}]}"#, Some("messages[0].role")),
        (
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
            Some("messages[0].content[0].text"),
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url"}}]}]}"#,
            Some("messages[0].content[0].source.url"),
        ),
        (r#"{"model":"m","max_tokens":1,"messages":[],"tools":[{"description":"d"}]}"#, Some("tools[0].name")),
        (r#"{"model":"m","max_tokens":1,"messages":[],"tool_choice":{"type":"some"}}"#, Some("tool_choice.type")),
        (r#"{"model":"m","max_tokens":1,"messages":[],"thinking":{"type":"enabled"}}"#, Some("thinking.budget_tokens")),
        (
            r#"{"model":"m","max_tokens":1,"messages":[],"output_config":{"format":{"type":"grammar"}}}"#,
            Some("output_config.format.type"),
        ),
    ];
    for (body, param) in cases {
        let refusal = DIALECT.decode_call(body.as_bytes()).unwrap_err();
        assert_eq!(refusal.param.as_deref(), param, "{body}: {refusal}");
        assert!(param.is_none_or(|param| refusal.message.starts_with(param)), "{refusal}");
    }
    assert!(DIALECT.decode_call(b"{\"model\":\"\xff\"}").unwrap_err().message.contains("UTF-8"));
}

fn start(id: &str) -> Event {
    Event::Start { id: id.to_owned(), model: "m".to_owned(), created: Some(1) }
}

fn begin(part: u32, kind: PartKind) -> Event {
    Event::PartStart { choice: 0, part, kind }
}

fn more(part: u32, delta: Delta) -> Event {
    Event::Delta { choice: 0, part, delta }
}

fn tool(id: &str) -> PartKind {
    PartKind::ToolCall { id: id.to_owned(), name: "t".to_owned() }
}

fn finish(stop: Stop) -> Event {
    Event::Finish { choice: 0, stop }
}

#[test]
fn interleaved_parts_come_one_after_another_and_counts_come_last() {
    let arguments = |text: &str| Delta::Arguments(text.to_owned());
    let events = [
        start("chatcmpl-1"),
        begin(0, PartKind::Text),
        more(0, Delta::Text("a".to_owned())),
        begin(1, tool("c1")),
        begin(2, tool("c2")),
        more(2, arguments("{}")),
        more(1, arguments("{\"x\":")),
        more(0, Delta::Text("b".to_owned())),
        Event::PartEnd { choice: 0, part: 0 },
        more(1, arguments("1}")),
        Event::PartStart { choice: 1, part: 0, kind: PartKind::Text },
        finish(Stop::Tools),
        Event::Usage(Usage { input: 10, cached_input: 4, cache_write: 1, output: 7, ..Usage::default() }),
        Event::End,
        Event::Alive,
    ];
    let out = String::from_utf8(write(&events)).unwrap();
    golden(&testdata("anthropic_messages/streams/interleaved.out"), &out);
}

#[test]
fn a_stream_cut_before_its_end_has_no_clean_end() {
    let events = [start("x"), begin(0, PartKind::Text), finish(Stop::End), Event::Usage(Usage::default())];
    let out = String::from_utf8(write(&events)).unwrap();
    assert!(!out.contains("message_delta") && !out.contains("message_stop"), "{out}");
}

#[test]
fn a_stream_that_ends_before_it_began_is_no_answer() {
    assert!(events(DIALECT, &[b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"]).is_err());
}

#[test]
fn more_than_can_be_held_back_ends_in_an_error_and_nothing_after_it() {
    let mut encoder = DIALECT.stream_encoder(StreamOptions::default());
    let mut out = Vec::new();
    for event in [start("x"), begin(0, PartKind::Text), begin(1, tool("c"))] {
        encoder.push(&event, &mut out);
    }
    let large = more(1, Delta::Arguments("x".repeat(1 << 20)));
    for _ in 0..8 {
        encoder.push(&large, &mut out);
    }
    encoder.push(&Event::End, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.len() < 2_000 && out.contains("event: error") && !out.contains("message_stop"), "{out}");
}

#[test]
fn a_refusal_said_in_the_content_is_the_stop_reason() {
    let events = [
        start("x"),
        begin(0, PartKind::Refusal),
        more(0, Delta::Text("No.".to_owned())),
        finish(Stop::End),
        Event::End,
    ];
    let out = String::from_utf8(write(&events)).unwrap();
    assert!(out.contains(r#""stop_reason":"refusal""#) && out.contains(r#""text":"No.""#), "{out}");
}

fn fixtures() -> Vec<Vec<u8>> {
    let folders = [("requests", ".json"), ("replies", ".json"), ("streams", ".sse"), ("errors", ".json")];
    let paths = folders.iter().flat_map(|(folder, end)| files(&testdata("anthropic_messages").join(folder), end));
    paths.map(|path| std::fs::read(path).unwrap()).collect()
}

fn feed(bytes: &[u8]) {
    if let Ok(call) = DIALECT.decode_call(bytes) {
        let _ = DIALECT.encode_call(&call, &ProviderProfile::default());
    }
    if let Ok(decoded) = DIALECT.decode_reply(bytes) {
        let _ = DIALECT.encode_reply(&decoded, b"").body;
    }
    let _ = DIALECT.encode_error(&DIALECT.decode_error(400, bytes), "r");
    let mut decoder = DIALECT.stream_decoder();
    let mut read = Vec::new();
    let _ = decoder.push(bytes, &mut read);
    let _ = decoder.finish(&mut read);
    write(&read);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        feed(&bytes);
    }

    #[test]
    fn nothing_panics_on_a_fixture_with_some_bytes_changed(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
    ) {
        let all = fixtures();
        let mut bytes = which.get(&all).clone();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); bytes.push(b' '); }
                _ => bytes.insert(at, byte),
            }
        }
        feed(&bytes);
    }
}
