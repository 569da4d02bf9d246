//! Every dialect into every other, against goldens: one loop over `testdata/anthropic/translate/FROM_to_TO/`.
//!
//! `requests/NAME.in.json` becomes `NAME.out.json`: the body, the headers and what was dropped, or the refusal. `replies` become
//! replies; `streams/NAME.in.sse` becomes `NAME.out.sse`. Beside them `testdata/cases/NAME/FROM.in.json` is what callers of
//! one dialect say to providers of every make that speaks another, in `TO.out.json`. `UPDATE_GOLDEN=1` rewrites the
//! outputs: read the difference.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluicegate_dialects::vendors::look_alike;
use sluicegate_dialects::{Dialect, ProviderProfile, StreamOptions};
use std::path::Path;
use support::{events_cut_anywhere, files, golden, testdata};

const PAIRS: [(&str, Dialect, Dialect); 2] = [
    ("openai_to_anthropic", Dialect::OpenAiChat, Dialect::AnthropicMessages),
    ("anthropic_to_openai", Dialect::AnthropicMessages, Dialect::OpenAiChat),
];

/// A time for dialects whose answers say when they were made.
const CREATED: u64 = 1_700_000_000;

fn each(kind: &str, end: &str, translate: impl Fn(Dialect, Dialect, &[u8]) -> String) {
    for (folder, from, to) in PAIRS {
        let folder = testdata("anthropic/translate").join(folder).join(kind);
        for path in files(&folder, &format!(".in.{end}")) {
            let out = translate(from, to, &std::fs::read(&path).unwrap());
            golden(&output(&path), &out);
        }
    }
}

fn output(input: &Path) -> std::path::PathBuf {
    let name = input.file_name().unwrap().to_str().unwrap().replace(".in.", ".out.");
    input.with_file_name(name)
}

fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}

fn translated(from: Dialect, to: Dialect, target: &ProviderProfile, body: &[u8]) -> String {
    let encoded = from.decode_call(body).and_then(|call| to.encode_call(&call, target));
    pretty(&match encoded {
        Ok(encoded) => {
            let (headers, dropped, body) = (encoded.headers, encoded.dropped, read(&encoded.body));
            match encoded.clamped {
                Some(most) => json!({ "headers": headers, "dropped": dropped, "body": body, "clamped": most }),
                None => json!({ "headers": headers, "dropped": dropped, "body": body }),
            }
        }
        Err(refusal) => json!({ "refused": refusal.message, "param": refusal.param }),
    })
}

#[test]
fn requests() {
    each("requests", "json", |from, to, body| translated(from, to, &ProviderProfile::default(), body));
}

/// Makes of provider: what its goldens are called, what it speaks, and how it is spoken to.
fn makes() -> [(&'static str, Dialect, ProviderProfile); 4] {
    let like = |host| ProviderProfile { look_alike: Some(look_alike(host)), ..ProviderProfile::default() };
    [
        ("anthropic", Dialect::AnthropicMessages, ProviderProfile::default()),
        ("openai", Dialect::OpenAiChat, ProviderProfile::default()),
        ("look-alike", Dialect::OpenAiChat, like("models.example")),
        ("deepseek", Dialect::OpenAiChat, like("api.deepseek.com")),
    ]
}

#[test]
fn cases() {
    let mut names: Vec<_> = std::fs::read_dir(testdata("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for folder in names {
        for (name, from) in [("openai", Dialect::OpenAiChat), ("anthropic", Dialect::AnthropicMessages)] {
            let Ok(body) = std::fs::read(folder.join(format!("{name}.in.json"))) else { continue };
            for (make, to, target) in makes().into_iter().filter(|(_, to, _)| *to != from) {
                golden(&folder.join(format!("{make}.out.json")), &translated(from, to, &target, &body));
            }
        }
    }
}

#[test]
fn replies() {
    each("replies", "json", |from, to, body| {
        let reply = from.decode_reply(body).unwrap();
        pretty(&read(&to.encode_reply(&reply)))
    });
}

#[test]
fn errors() {
    for (folder, from, to) in PAIRS {
        let folder = testdata("anthropic/translate").join(folder).join("errors");
        for path in files(&folder, ".in.json") {
            let status = path.file_name().unwrap().to_str().unwrap().split('_').next().unwrap().parse().unwrap();
            let error = from.decode_error(status, &std::fs::read(&path).unwrap());
            let body = read(&to.encode_error(&error, "req_1"));
            golden(&output(&path), &pretty(&json!({ "status": to.status(error.kind), "body": body })));
        }
    }
}

#[test]
fn streams() {
    each("streams", "sse", |from, to, bytes| {
        let mut encoder = to.stream_encoder(StreamOptions { include_usage: true, created: Some(CREATED) });
        let mut out = Vec::new();
        for event in events_cut_anywhere(from, bytes) {
            encoder.push(&event, &mut out);
        }
        String::from_utf8(out).unwrap()
    });
}

fn inputs() -> Vec<(Dialect, Dialect, Vec<u8>)> {
    let mut all = Vec::new();
    for (folder, from, to) in PAIRS {
        for (kind, end) in [("requests", ".in.json"), ("replies", ".in.json"), ("streams", ".in.sse")] {
            for path in files(&testdata("anthropic/translate").join(folder).join(kind), end) {
                all.push((from, to, std::fs::read(path).unwrap()));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_a_fixture_with_some_bytes_changed(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
    ) {
        let all = inputs();
        let (from, to, mut bytes) = which.get(&all).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(call) = from.decode_call(&bytes) {
            let _ = to.encode_call(&call, &ProviderProfile::default());
        }
        if let Ok(reply) = from.decode_reply(&bytes) {
            prop_assert!(serde_json::from_slice::<Value>(&to.encode_reply(&reply)).is_ok());
        }
        let mut decoder = from.stream_decoder();
        let mut encoder = to.stream_encoder(StreamOptions { include_usage: true, created: Some(CREATED) });
        let (mut read, mut out) = (Vec::new(), Vec::new());
        if decoder.push(&bytes, &mut read).is_ok() {
            let _ = decoder.finish(&mut read);
        }
        for event in &read {
            encoder.push(event, &mut out);
        }
        prop_assert!(std::str::from_utf8(&out).is_ok());
    }
}
