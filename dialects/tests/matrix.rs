//! Every dialect into every other, against goldens: one matrix, one loop.
//!
//! `testdata/cases/KIND/NAME/FROM.in.*` becomes `TO.out.*` beside it for every other dialect, `KIND` being `requests` (the
//! body, the headers and what was dropped, or the refusal; to providers of several makes), `replies`, `streams` (each cut
//! at every byte) and `errors` (the name begins with the status). A new case is one folder with one input, a new dialect a
//! row in `DIALECTS` and, where it is a provider's, in `makes`. `UPDATE_GOLDEN=1` writes the outputs: read the difference.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod cells;
mod errors;
mod fields;
mod look_alikes;
mod round_trips;
mod support;
mod unions;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluicegate_dialects::observe::ObserverMode;
use sluicegate_dialects::vendors::LookAlike;
use sluicegate_dialects::{Dialect, ProviderProfile, StreamOptions};
use support::{events, events_cut_anywhere, golden, testdata};

/// Every dialect, by the name of its folder.
const DIALECTS: &[(&str, Dialect)] = &[
    ("openai_chat", Dialect::OpenAiChat),
    ("anthropic_messages", Dialect::AnthropicMessages),
    ("openai_completions", Dialect::OpenAiCompletions),
    ("gemini", Dialect::Gemini),
    ("openai_responses", Dialect::OpenAiResponses),
    ("bedrock_invoke", Dialect::BedrockInvoke),
    ("cohere_chat", Dialect::CohereChat),
    ("bedrock_converse", Dialect::BedrockConverse),
];

/// A time for dialects whose answers say when they were made.
const CREATED: u64 = 1_700_000_000;

/// Makes of provider: what its goldens are called, what it speaks, and how it is spoken to.
fn makes() -> Vec<(&'static str, Dialect, ProviderProfile)> {
    let like = |host| ProviderProfile { look_alike: Some(LookAlike::at(host)), ..ProviderProfile::default() };
    let vendors = DIALECTS.iter().map(|(name, dialect)| (*name, *dialect, ProviderProfile::default()));
    let others = [
        ("look-alike", Dialect::OpenAiChat, like("models.example")),
        ("deepseek", Dialect::OpenAiChat, like("api.deepseek.com")),
    ];
    vendors.chain(others).collect()
}

/// A case's input.
struct Case {
    folder: PathBuf,
    name: String,
    from: Dialect,
    input: Vec<u8>,
}

impl Case {
    fn golden(&self, to: &str, end: &str, actual: &str) {
        golden(&self.folder.join(format!("{to}.out.{end}")), actual);
    }

    /// The dialects that the input is not in.
    fn others(&self) -> impl Iterator<Item = (&'static str, Dialect)> {
        DIALECTS.iter().copied().filter(|(_, to)| *to != self.from)
    }
}

/// The cases of a kind, by name.
fn cases(kind: &str, end: &str) -> Vec<Case> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(testdata("cases").join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let case = |folder: PathBuf| {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let inputs = DIALECTS.iter().filter_map(|(from, dialect)| {
            let input = std::fs::read(folder.join(format!("{from}.in.{end}"))).ok()?;
            Some((*dialect, input))
        });
        let inputs: Vec<_> = inputs.collect();
        assert_eq!(inputs.len(), 1, "{kind}/{name} needs one input: FROM.in.{end}");
        inputs.into_iter().map(move |(from, input)| Case { folder: folder.clone(), name: name.clone(), from, input })
    };
    folders.into_iter().flat_map(case).collect()
}

fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

fn translated(case: &Case, to: Dialect, target: &ProviderProfile) -> String {
    let encoded = case.from.decode_call(&case.input).and_then(|call| to.encode_call(&call, target));
    pretty(&match encoded {
        Ok(encoded) => {
            let (headers, dropped, body) = (encoded.headers, encoded.dropped, read(&encoded.body));
            match encoded.clamped {
                Some(most) => json!({ "headers": headers, "dropped": dropped, "body": body, "clamped": most }),
                None => json!({ "headers": headers, "dropped": dropped, "body": body }),
            }
        }
        Err(refusal) => match refusal.code {
            Some(code) => json!({ "refused": refusal.message, "param": refusal.param, "code": code }),
            None => json!({ "refused": refusal.message, "param": refusal.param }),
        },
    })
}

#[test]
fn requests() {
    for case in cases("requests", "json") {
        // Kin change envelopes only, and are not translated into one another.
        for (make, to, target) in makes().into_iter().filter(|(_, to, _)| !to.is_kin(case.from)) {
            let out = translated(&case, to, &target);
            // Most calls are no prompt, which one golden of many would not say better than this line.
            if to == Dialect::OpenAiCompletions && out.contains("only goes on from a prompt") {
                continue;
            }
            case.golden(make, "json", &out);
        }
    }
}

#[test]
fn replies() {
    for case in cases("replies", "json") {
        let reply = case.from.decode_reply(&case.input).unwrap();
        for (name, to) in case.others() {
            case.golden(name, "json", &pretty(&read(&to.encode_reply(&reply, b"").body)));
        }
    }
}

#[test]
fn errors() {
    for case in cases("errors", "json") {
        let status = case.name.split('_').next().unwrap().parse().unwrap();
        let error = case.from.decode_error(status, &case.input);
        for (name, to) in case.others() {
            let body = read(&to.encode_error(&error, "req_1"));
            case.golden(name, "json", &pretty(&json!({ "status": to.status(error.kind), "body": body })));
        }
    }
}

/// A binary event stream as lines that people can read: an event's name (`chunk` for what is packed once more) and its data. By
/// a reader of its own.
fn readable(mut bytes: &[u8]) -> String {
    use base64::Engine as _;
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    let mut out = String::new();
    while let Some((length, _)) = bytes.split_at_checked(4) {
        let (message, rest) = bytes.split_at(number(length));
        bytes = rest;
        let (mut headers, payload) = message[12..message.len() - 4].split_at(number(&message[4..8]));
        let mut name = String::new();
        while let Some((length, rest)) = headers.split_first() {
            let (header, rest) = rest.split_at(usize::from(*length));
            let (value, rest) = rest[3..].split_at(number(&rest[1..3]));
            headers = rest;
            if header.ends_with(b"-type") && header != b":content-type" && header != b":message-type" {
                name = String::from_utf8(value.to_vec()).unwrap();
            }
        }
        let mut data = String::from_utf8(payload.to_vec()).unwrap();
        if name == "chunk" {
            let packed: serde_json::Value = serde_json::from_str(&data).unwrap();
            let inner = base64::engine::general_purpose::STANDARD.decode(packed["bytes"].as_str().unwrap());
            data = String::from_utf8(inner.unwrap()).unwrap();
        }
        out += &format!("{name} {data}\n");
    }
    out
}

#[test]
fn streams() {
    for case in cases("streams", "sse") {
        let events = events_cut_anywhere(case.from, &case.input);
        for (name, to) in case.others() {
            let mut encoder = to.stream_encoder(StreamOptions {
                include_usage: true,
                created: Some(CREATED),
                array: false,
                goes_on: None,
                prompt: None,
                answer: None,
                call: None,
            });
            let mut out = Vec::new();
            events.iter().for_each(|event| encoder.push(event, &mut out));
            let text = if to.habits().is_binary { readable(&out) } else { String::from_utf8(out).unwrap() };
            case.golden(name, "sse", &text);
        }
        observed_cut_anywhere(&case);
    }
}

/// A stream that passes is the same stream, and known the same, wherever it is cut.
fn observed_cut_anywhere(case: &Case) {
    let observe = |pieces: &[&[u8]]| {
        let mut observer = case.from.observer(ObserverMode::Watch);
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| observer.pass(Bytes::copy_from_slice(piece), &mut out));
        observer.finish(&mut out);
        let known = (observer.usage(), observer.ended(), observer.finished(), observer.first_token_seen());
        // A line end that was cut in two may lose its other half behind the stream's end.
        let passed = out.concat().trim_ascii_end().to_vec();
        (passed, format!("{known:?} {:?}", observer.error()))
    };
    let whole = observe(&[&case.input]);
    for at in 0..=case.input.len() {
        let (head, tail) = case.input.split_at(at);
        assert_eq!(observe(&[head, tail]), whole, "{} cut at {at}", case.name);
    }
}

/// A whole answer of the Responses API, told as a stream and folded again, is the same, and so is what a reader of the
/// stream makes of it.
#[test]
fn a_response_is_the_same_whole_and_streamed() {
    const RESPONSES: Dialect = Dialect::OpenAiResponses;
    let call =
        br#"{"model":"m","instructions":"be brief","tools":[{"type":"custom","name":"patch"}],"metadata":{"a":"b"}}"#;
    for case in cases("replies", "json") {
        let reply = case.from.decode_reply(&case.input).unwrap();
        let whole = RESPONSES.encode_reply(&reply, call).body;
        let told = RESPONSES.stream_of_whole(&whole, true).unwrap();
        let fold = |stream: &[u8]| {
            let mut fold = RESPONSES.stream_fold(1 << 20);
            fold.push(stream).unwrap();
            fold.finish(None).unwrap()
        };
        assert_eq!(read(&fold(&told)), read(&whole), "{}", case.name);
        // Read as a stream and written again, it is the same answer: its ids are ours to make.
        let options = StreamOptions {
            include_usage: true,
            created: Some(0),
            array: false,
            goes_on: None,
            prompt: None,
            answer: None,
            call: Some(call.as_slice().into()),
        };
        let (mut encoder, mut again) = (RESPONSES.stream_encoder(options), Vec::new());
        for event in events(RESPONSES, &[&told]).unwrap() {
            encoder.push(&event, &mut again);
        }
        let again = RESPONSES.decode_reply(&fold(&again)).unwrap();
        assert_eq!(said(&again), said(&RESPONSES.decode_reply(&whole).unwrap()), "{}", case.name);
    }
}

/// What an answer says, whatever the ids of its items are.
fn said(reply: &sluicegate_dialects::hub::Reply) -> String {
    use sluicegate_dialects::hub::Content;
    let [choice] = reply.choices.as_slice() else { panic!("one answer") };
    let parts = choice.parts.iter().map(|part| match &part.content {
        Content::Thinking { text, signature } => format!("thought {text} {}", signature.is_some()),
        // The sources that an answer names are told in the words of one dialect only.
        Content::Text { text, citations: _ } => format!("text {text}"),
        other => format!("{other:?}"),
    });
    format!("{:?} {:?} {:?}", parts.collect::<Vec<_>>(), choice.stop, reply.usage)
}

fn inputs() -> Vec<(Dialect, Vec<u8>)> {
    let kinds = [("requests", "json"), ("replies", "json"), ("streams", "sse")];
    kinds.into_iter().flat_map(|(kind, end)| cases(kind, end)).map(|case| (case.from, case.input)).collect()
}

/// Whatever a fixture becomes, nothing panics on it, and what is written is JSON and text.
fn survives(from: Dialect, to: Dialect, bytes: &[u8]) {
    if let Ok(call) = from.decode_call(bytes) {
        let _ = to.encode_call(&call, &ProviderProfile::default());
    }
    if let Ok(reply) = from.decode_reply(bytes) {
        assert!(serde_json::from_slice::<Value>(&to.encode_reply(&reply, b"").body).is_ok());
    }
    let mut decoder = from.stream_decoder();
    let mut encoder = to.stream_encoder(StreamOptions {
        include_usage: true,
        created: Some(CREATED),
        array: false,
        goes_on: None,
        prompt: None,
        answer: None,
        call: None,
    });
    let (mut read, mut out) = (Vec::new(), Vec::new());
    if decoder.push(bytes, &mut read).is_ok() {
        let _ = decoder.finish(&mut read);
    }
    read.iter().for_each(|event| encoder.push(event, &mut out));
    assert!(to.habits().is_binary || std::str::from_utf8(&out).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_a_fixture_with_some_bytes_changed(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
    ) {
        let all = inputs();
        let (from, mut bytes) = which.get(&all).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        DIALECTS.iter().for_each(|(_, to)| survives(from, *to, &bytes));
    }
}

#[test]
fn every_dialect_has_a_row() {
    let rows: Vec<Dialect> = DIALECTS.iter().map(|(_, dialect)| *dialect).collect();
    assert!(Dialect::ALL.iter().all(|dialect| rows.contains(dialect)));
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert!(DIALECTS.iter().all(|(name, _)| folders.join(name).is_dir()));
}
