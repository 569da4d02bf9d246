//! OpenAI Chat Completions against fixtures: golden translations, streams cut at every byte, round trips.
//!
//! `UPDATE_GOLDEN=1 cargo test -p sluicegate-dialects --test openai_chat` rewrites the golden files.

#![expect(clippy::unwrap_used, reason = "a test's helpers may say what they expect")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;
use sluicegate_dialects::hub::Event;
use sluicegate_dialects::vendors::LookAlike;
use sluicegate_dialects::{Dialect, Malformed, ProviderProfile, StreamOptions};

const CHAT: Dialect = Dialect::OpenAiChat;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/openai_chat").join(name)
}

/// The fixtures of a folder with this extension, by name; golden files are none.
fn fixtures(name: &str, extension: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let file = path.file_name().unwrap().to_str().unwrap();
            file.ends_with(extension) && !file.contains(".golden") && file != "refused.json"
        })
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no fixtures in {name}");
    found
}

#[expect(clippy::disallowed_methods, reason = "a test's switch, not a setting of the product")]
fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

fn golden(folder_name: &str, file: &str, actual: &str) {
    let path = folder(folder_name).join(file);
    if updating() {
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs; UPDATE_GOLDEN=1 rewrites it", path.display());
}

fn pretty(json: &[u8]) -> String {
    let value: Value = serde_json::from_slice(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap() + "\n"
}

fn compatible() -> ProviderProfile {
    ProviderProfile {
        look_alike: Some(LookAlike::default()),
        default_max_tokens: Some(500),
        default_temperature: serde_json::Number::from_f64(0.2),
        ..ProviderProfile::default()
    }
}

#[test]
fn requests_are_written_as_the_golden_files_say() {
    for (name, body) in fixtures("requests", ".json") {
        let call = CHAT.decode_call(&body).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        for (to, target) in [("openai", ProviderProfile::default()), ("compatible", compatible())] {
            let encoded = CHAT.encode_call(&call, &target).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
            let dropped = format!("dropped: {:?}\n", encoded.dropped);
            golden("requests", &format!("{name}.{to}.golden"), &(pretty(&encoded.body) + &dropped));
        }
    }
}

/// What differs in words only is made the same: absent and null, a lone text part and a string, old names.
fn plain(mut value: Value) -> Value {
    let top = value.as_object_mut().unwrap();
    top.retain(|_, value| !value.is_null());
    if let Some(most) = top.remove("max_tokens") {
        top.insert("max_completion_tokens".to_owned(), most);
    }
    if let Some(Value::String(one)) = top.get("stop") {
        let list = Value::from(vec![one.clone()]);
        top.insert("stop".to_owned(), list);
    }
    for message in top["messages"].as_array_mut().unwrap() {
        let message = message.as_object_mut().unwrap();
        message.retain(|_, value| !value.is_null());
        if let Some([Value::Object(part)]) = message.get("content").and_then(Value::as_array).map(Vec::as_slice)
            && part.len() == 2
            && part["type"] == "text"
        {
            let text = part["text"].clone();
            message.insert("content".to_owned(), text);
        }
    }
    value
}

/// Compares with member order ignored.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| same(value, other)))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        _ => left == right,
    }
}

#[test]
fn requests_come_back_as_they_went_in() {
    for (name, body) in fixtures("requests", ".json") {
        let call = CHAT.decode_call(&body).unwrap();
        let encoded = CHAT.encode_call(&call, &ProviderProfile::default()).unwrap();
        let before = plain(serde_json::from_slice(&body).unwrap());
        let after = plain(serde_json::from_slice(&encoded.body).unwrap());
        assert!(same(&before, &after), "{name}:\n{before:#}\n{after:#}");
        assert!(encoded.dropped.is_empty(), "{name}");
        // And once more, byte for byte.
        let again = CHAT.encode_call(&CHAT.decode_call(&encoded.body).unwrap(), &ProviderProfile::default()).unwrap();
        assert_eq!(String::from_utf8(again.body).unwrap(), String::from_utf8(encoded.body).unwrap(), "{name}");
    }
}

#[test]
fn wrong_requests_are_refused_by_field() {
    let cases: Vec<(Value, Option<String>, String)> =
        serde_json::from_slice(&fs::read(folder("requests").join("refused.json")).unwrap()).unwrap();
    for (body, param, message) in cases {
        let refusal = CHAT.decode_call(body.to_string().as_bytes()).unwrap_err();
        assert_eq!((refusal.param, refusal.message), (param, message), "{body}");
    }
    for (body, part) in [(&b"{\"model\":"[..], "not JSON"), (b"\xff", "not UTF-8"), (b"", "not JSON")] {
        assert!(CHAT.decode_call(body).unwrap_err().message.contains(part));
    }
}

#[test]
fn replies_are_written_as_the_golden_files_say() {
    for (name, body) in fixtures("replies", ".json") {
        let reply = CHAT.decode_reply(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let encoded = CHAT.encode_reply(&reply, b"").body;
        golden("replies", &format!("{name}.golden"), &(format!("{reply:#?}\n") + &pretty(&encoded)));
        let again = CHAT.encode_reply(&CHAT.decode_reply(&encoded).unwrap(), b"").body;
        assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(encoded).unwrap(), "{name}");
    }
    let cases: Vec<(String, String)> =
        serde_json::from_slice(&fs::read(folder("replies").join("refused.json")).unwrap()).unwrap();
    for (body, message) in cases {
        assert_eq!(CHAT.decode_reply(body.as_bytes()).unwrap_err().message, message);
    }
}

fn read(pieces: &[&[u8]]) -> Result<Vec<Event>, Malformed> {
    let mut decoder = CHAT.stream_decoder();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events)?;
    }
    decoder.finish(&mut events)?;
    Ok(events)
}

fn lines(events: &[Event]) -> String {
    events.iter().map(|event| format!("{event:?}\n")).collect()
}

fn write(events: &[Event], include_usage: bool) -> Vec<u8> {
    let mut encoder = CHAT.stream_encoder(StreamOptions {
        include_usage,
        created: Some(7),
        array: false,
        goes_on: None,
        call: None,
        prompt: None,
        answer: None,
    });
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.push(event, &mut out));
    out
}

#[test]
fn streams_are_read_and_written_as_the_golden_files_say() {
    for (name, body) in fixtures("streams", ".sse") {
        let events = read(&[&body]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = String::from_utf8(write(&events, true)).unwrap();
        golden("streams", &format!("{name}.golden"), &(lines(&events) + "----\n" + &written));
    }
}

#[test]
fn streams_cut_at_every_byte_say_the_same() {
    for (name, body) in fixtures("streams", ".sse") {
        let whole = lines(&read(&[&body]).unwrap());
        for at in 0..body.len() {
            let (head, tail) = body.split_at(at);
            assert_eq!(lines(&read(&[head, tail]).unwrap()), whole, "{name} split at {at}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(lines(&read(&bytes).unwrap()), whole, "{name} byte by byte");
    }
}

#[test]
fn what_is_written_reads_back_to_the_same() {
    for (name, body) in fixtures("streams", ".sse") {
        let written = write(&read(&[&body]).unwrap(), true);
        assert_eq!(write(&read(&[&written]).unwrap(), true), written, "{name}");
    }
}

#[test]
fn a_cut_stream_has_no_end_and_no_done() {
    let body = fs::read(folder("streams").join("cut.sse")).unwrap();
    let events = read(&[&body]).unwrap();
    assert!(!events.iter().any(|event| matches!(event, Event::End | Event::Finish { .. })));
    assert!(!String::from_utf8(write(&events, true)).unwrap().contains("[DONE]"));
}

#[test]
fn nonsense_chunks_are_malformed() {
    for chunk in [
        "{",
        "[1]",
        r#"{"choices":[{"delta":{"content":7}}]}"#,
        r#"{"choices":[{"index":4000000000,"delta":{}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"arguments":"{}"}}]}}]}"#,
    ] {
        assert!(read(&[format!("data: {chunk}\n\n").as_bytes()]).is_err(), "{chunk}");
    }
}

#[test]
fn a_stream_without_an_answer_is_none_whatever_it_ends_in() {
    for body in ["data: [DONE]\n\n", "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n"] {
        assert!(read(&[body.as_bytes()]).is_err(), "{body}");
    }
    let events = read(&[b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n"]).unwrap();
    assert!(!events.iter().any(|event| matches!(event, Event::End)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = CHAT.decode_call(&body);
        let _ = CHAT.decode_reply(&body);
        let _ = CHAT.decode_error(500, &body);
        let _ = read(&[&body]);
    }

    /// A fixture with one byte changed or a stretch cut out.
    #[test]
    fn no_damaged_fixture_panics(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0_usize..40) {
        let mut all = fixtures("requests", ".json");
        all.extend(fixtures("replies", ".json"));
        all.extend(fixtures("streams", ".sse"));
        let mut body = pick.get(&all).1.clone();
        let at = at.index(body.len());
        body[at] = byte;
        body.drain(at..(at + cut).min(body.len()));
        if let Ok(call) = CHAT.decode_call(&body) {
            // What is read is not all sayable: a refusal is an answer too.
            if let Ok(encoded) = CHAT.encode_call(&call, &ProviderProfile::default()) {
                prop_assert!(serde_json::from_slice::<Value>(&encoded.body).is_ok());
            }
        }
        if let Ok(reply) = CHAT.decode_reply(&body) {
            prop_assert!(serde_json::from_slice::<Value>(&CHAT.encode_reply(&reply, b"").body).is_ok());
        }
        let _ = read(&[&body]);
    }

    #[test]
    fn streams_in_any_pieces_say_the_same(pick in any::<prop::sample::Index>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let all = fixtures("streams", ".sse");
        let body = &pick.get(&all).1;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&body[from..cut]);
            from = cut;
        }
        pieces.push(&body[from..]);
        prop_assert_eq!(lines(&read(&pieces).unwrap()), lines(&read(&[body]).unwrap()));
    }
}
