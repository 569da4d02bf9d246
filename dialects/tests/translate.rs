//! Every dialect into every other, against goldens: one loop over `testdata/anthropic/translate/FROM_to_TO/`.
//!
//! `requests/NAME.in.json` becomes `NAME.out.json`: the body, the headers and what was dropped, or the refusal. `replies` become
//! replies; `streams/NAME.in.sse` becomes `NAME.out.sse`. `UPDATE_GOLDEN=1` rewrites the outputs: read the difference.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod support;

use serde_json::{Value, json};
use sluicegate_dialects::{Dialect, StreamOptions, Target};
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

#[test]
fn requests() {
    each("requests", "json", |from, to, body| {
        let encoded = from.decode_call(body).and_then(|call| to.encode_call(&call, &Target::default()));
        pretty(&match encoded {
            Ok(encoded) => {
                json!({ "headers": encoded.headers, "dropped": encoded.dropped, "body": read(&encoded.body) })
            }
            Err(refusal) => json!({ "refused": refusal.message, "param": refusal.param }),
        })
    });
}

#[test]
fn replies() {
    each("replies", "json", |from, to, body| {
        let reply = from.decode_reply(body).unwrap();
        pretty(&read(&to.encode_reply(&reply)))
    });
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
