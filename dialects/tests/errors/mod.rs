//! The table of errors in docs/errors.md: each kind in the words of every vendor, as its dialect writes it.

use std::fmt::Write as _;

use serde_json::Value;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::{ErrorKind, ProviderError};

const KINDS: [(ErrorKind, &str); 17] = [
    (ErrorKind::InvalidRequest, "a wrong call"),
    (ErrorKind::Authentication, "no key, or none that is known"),
    (ErrorKind::Permission, "not for this caller"),
    (ErrorKind::NotFound, "no such model or path"),
    (ErrorKind::Method, "not by this method"),
    (ErrorKind::RequestTimeout, "the body came too slowly"),
    (ErrorKind::Conflict, "a conflict at the provider"),
    (ErrorKind::TooLarge, "the body is too large"),
    (ErrorKind::MediaType, "the body is no JSON"),
    (ErrorKind::Unprocessable, "well formed, and wrong"),
    (ErrorKind::RateLimit, "too many calls"),
    (ErrorKind::Quota, "the quota is used up"),
    (ErrorKind::Internal, "the provider broke"),
    (ErrorKind::BadGateway, "no answer, or none that makes sense"),
    (ErrorKind::Overloaded, "nobody can take it now"),
    (ErrorKind::Unavailable, "the gateway can not take it now"),
    (ErrorKind::Timeout, "too late"),
];

/// A kind in a dialect's words: the status, and what stands at this place of the body.
fn told(dialect: Dialect, kind: ErrorKind, at: &str) -> String {
    let error = ProviderError { kind, message: "m".into(), r#type: None, code: None, param: None };
    let body: Value = serde_json::from_slice(&dialect.encode_error(&error, "id")).unwrap();
    match body.pointer(at).and_then(Value::as_str).filter(|_| !at.is_empty()) {
        Some(word) => format!("{} `{word}`", dialect.status(kind)),
        None => dialect.status(kind).to_string(),
    }
}

#[test]
fn the_document_has_each_kind_in_every_vendors_words() {
    let mut table =
        String::from("| | OpenAI | Anthropic | Gemini, Vertex AI | Bedrock | Cohere |\n|---|---|---|---|---|---|\n");
    for (kind, words) in KINDS {
        let columns = [
            told(Dialect::OpenAiChat, kind, "/error/type"),
            told(Dialect::AnthropicMessages, kind, "/error/type"),
            told(Dialect::Gemini, kind, "/error/status"),
            told(Dialect::BedrockConverse, kind, "/__type"),
            told(Dialect::CohereChat, kind, ""),
        ];
        for (one, other) in
            [(Dialect::OpenAiChat, Dialect::OpenAiResponses), (Dialect::OpenAiChat, Dialect::OpenAiCompletions)]
        {
            assert_eq!(told(one, kind, "/error/type"), told(other, kind, "/error/type"));
        }
        assert_eq!(columns[3], told(Dialect::BedrockInvoke, kind, "/__type"));
        writeln!(table, "| {words} | {} |", columns.join(" | ")).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
    let document = std::fs::read_to_string(path).unwrap();
    assert!(document.contains(&table), "docs/errors.md is to have this table:\n{table}");
}
