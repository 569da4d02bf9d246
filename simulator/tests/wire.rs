//! What the simulated provider puts on the wire, seen as raw bytes over an in-memory connection.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use sluicegate_simulator::{Behaviour, Canned, Failure, FailureKind, SimulatedProvider, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::LocalSet;

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const CHAT_STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const MESSAGE: &str = r#"{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#;

/// How long an answer may take before it counts as never ending.
const PATIENCE: Duration = Duration::from_secs(2);

fn failing(kind: FailureKind, after_tokens: Option<u32>) -> SimulatedProvider {
    let failure = Failure { kind, percent: 100, status: None, after_tokens };
    SimulatedProvider::new(Behaviour { failure: Some(failure), ..Behaviour::default() })
}

/// A connection to a provider.
fn connect(model: &Arc<SimulatedProvider>) -> DuplexStream {
    let (here, there) = duplex(64 * 1024);
    tokio::task::spawn_local(serve(there, Arc::clone(model)));
    here
}

/// Sends one call that closes after it, and reads until the end; `None`: no end came.
async fn call_on(model: &Arc<SimulatedProvider>, path: &str, headers: &str, body: &str) -> Option<String> {
    let mut connection = connect(model);
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Everything is in memory and answers at once, except what is told to be slow, or never to end.
    let ended = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await;
    ended.ok()?.unwrap();
    Some(String::from_utf8(answer).unwrap())
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

fn ask(model: SimulatedProvider, path: &str, headers: &str, body: &str) -> Option<String> {
    run(call_on(&Arc::new(model), path, headers, body))
}

fn well() -> SimulatedProvider {
    SimulatedProvider::new(Behaviour::default())
}

#[test]
fn a_stream_is_framed_as_each_vendor_frames_it() {
    let openai = ask(well(), "/v1/chat/completions", "", CHAT_STREAM).unwrap();
    assert!(openai.contains("content-type: text/event-stream"), "{openai}");
    assert!(openai.contains("data: [DONE]\n\n") && !openai.contains("event:"), "{openai}");
    assert!(openai.ends_with("0\r\n\r\n"), "{openai}");
    let body = MESSAGE.replace(r#""model""#, r#""stream":true,"model""#);
    let anthropic = ask(well(), "/messages", "anthropic-version: 2023-06-01\r\n", &body).unwrap();
    assert!(anthropic.contains("event: message_start\ndata: {\"type\":\"message_start\""), "{anthropic}");
    assert!(anthropic.contains("event: message_stop\n") && !anthropic.contains("[DONE]"), "{anthropic}");
}

#[test]
fn a_reset_is_an_end_without_an_answer() {
    assert_eq!(ask(failing(FailureKind::Reset, None), "/v1/chat/completions", "", CHAT).unwrap(), "");
}

#[test]
fn silence_never_ends() {
    assert_eq!(ask(failing(FailureKind::Silent, None), "/v1/chat/completions", "", CHAT), None);
}

#[test]
fn a_cut_is_in_the_middle_of_a_chunk() {
    let cut = ask(failing(FailureKind::Cut, Some(2)), "/v1/chat/completions", "", CHAT_STREAM).unwrap();
    let (_, chunks) = cut.split_once("\r\n\r\n").unwrap();
    let (size, rest) = chunks.rsplit("\r\n").nth(1).zip(chunks.rsplit("\r\n").next()).unwrap();
    let promised = usize::from_str_radix(size, 16).unwrap();
    assert!(promised > rest.len() && !rest.is_empty(), "{promised} bytes were promised, {rest:?} came");
    assert_eq!(cut.matches(r#""content":"#).count(), 1 + 2 + usize::from(rest.contains(r#""content":"#)));
}

#[test]
fn a_cut_after_nothing_leaves_the_head() {
    let cut = ask(failing(FailureKind::Cut, Some(0)), "/v1/chat/completions", "", CHAT_STREAM).unwrap();
    assert!(cut.starts_with("HTTP/1.1 200") && cut.ends_with("\r\n\r\n"), "{cut}");
}

#[test]
fn a_whole_answer_that_is_cut_is_shorter_than_it_said() {
    let cut = ask(failing(FailureKind::Cut, Some(3)), "/v1/chat/completions", "", CHAT).unwrap();
    let (head, body) = cut.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    assert!(!body.is_empty() && body.len() < length, "{} of {length}", body.len());
}

#[test]
fn a_stall_stays_open() {
    assert_eq!(ask(failing(FailureKind::Stall, Some(2)), "/v1/chat/completions", "", CHAT_STREAM), None);
}

#[test]
fn an_error_in_the_stream_is_the_vendors_own() {
    let openai = ask(failing(FailureKind::StreamError, Some(1)), "/v1/chat/completions", "", CHAT_STREAM).unwrap();
    assert!(openai.contains(r#"data: {"error":{"message":"#) && !openai.contains("[DONE]"), "{openai}");
    let body = MESSAGE.replace(r#""model""#, r#""stream":true,"model""#);
    let headers = "anthropic-version: 2023-06-01\r\nx-simulate: fail=stream-error; after=0\r\n";
    let anthropic = ask(well(), "/v1/messages", headers, &body).unwrap();
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"";
    assert!(anthropic.contains(error) && !anthropic.contains("message_start"), "{anthropic}");
}

#[test]
fn a_pace_is_kept() {
    let behaviour = Behaviour {
        first_token: Duration::from_millis(50),
        token_interval: Duration::from_millis(10),
        tokens: Some(11),
        ..Behaviour::default()
    };
    let model = Arc::new(SimulatedProvider::new(behaviour));
    for body in [CHAT, CHAT_STREAM] {
        let took = run(async {
            let began = std::time::Instant::now();
            call_on(&model, "/v1/chat/completions", "", body).await.unwrap();
            began.elapsed()
        });
        // Eleven tokens have ten intervals between them; a busy machine may take longer, never less.
        assert!(took.as_millis() >= 150, "{took:?}");
    }
}

#[test]
fn a_minute_holds_so_many_calls() {
    let model = Arc::new(SimulatedProvider::new(Behaviour { requests_per_minute: Some(1), ..Behaviour::default() }));
    run(async {
        let first = call_on(&model, "/v1/chat/completions", "", CHAT).await.unwrap();
        assert!(first.contains("x-ratelimit-remaining-requests: 0"), "{first}");
        let second = call_on(&model, "/v1/chat/completions", "", CHAT).await.unwrap();
        assert!(second.starts_with("HTTP/1.1 429") && second.contains("retry-after: "), "{second}");
        assert!(second.contains(r#""code":"rate_limit_exceeded""#), "{second}");
        let third = call_on(&model, "/v1/messages", "anthropic-version: 1\r\n", MESSAGE).await.unwrap();
        assert!(
            third.contains("rate_limit_error") && third.contains("anthropic-ratelimit-requests-reset: "),
            "{third}"
        );
    });
}

#[test]
fn a_key_is_asked_for() {
    let model = Arc::new(well().with_api_key(Some("secret-1".to_owned())));
    assert!(!format!("{model:?}").contains("secret-1"));
    run(async {
        let path = "/v1/chat/completions";
        let none = call_on(&model, path, "", CHAT).await.unwrap();
        assert!(none.starts_with("HTTP/1.1 401") && none.contains("invalid_api_key"), "{none}");
        let right = call_on(&model, path, "authorization: Bearer secret-1\r\n", CHAT).await.unwrap();
        assert!(right.starts_with("HTTP/1.1 200"), "{right}");
        let headers = "anthropic-version: 1\r\nx-api-key: wrong\r\n";
        let wrong = call_on(&model, "/v1/messages", headers, MESSAGE).await.unwrap();
        assert!(wrong.contains("authentication_error") && wrong.contains("invalid x-api-key"), "{wrong}");
    });
}

#[test]
fn what_was_received_is_echoed_and_kept() {
    let model = Arc::new(well().with_journal(2));
    run(async {
        for n in 0..3 {
            let headers = format!("x-simulate-echo: 1\r\nx-number: {n}\r\nauthorization: Bearer secret-2\r\n");
            let echo = call_on(&model, "/v1/chat/completions?a=b", &headers, CHAT).await.unwrap();
            assert!(!echo.contains("secret-2"), "{echo}");
            assert!(echo.contains(&format!(r#"\"x-number\":\"{n}\""#)) && echo.contains("completions?a=b"), "{echo}");
        }
        let mut connection = connect(&model);
        connection.write_all(b"GET /__journal HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut journal = String::new();
        connection.read_to_string(&mut journal).await.unwrap();
        assert!(!journal.contains(r#""x-number":"0""#) && journal.contains(r#""x-number":"2""#), "{journal}");
        assert!(journal.contains(r#""outcome":"done""#) && journal.contains("Bearer secret-2"), "{journal}");
    });
}

#[test]
fn a_mistaken_header_is_told() {
    let told = ask(well(), "/v1/chat/completions", "x-simulate: fail=often\r\n", CHAT).unwrap();
    assert!(told.starts_with("HTTP/1.1 400") && told.contains("fail=often"), "{told}");
}

#[test]
fn paths_methods_and_bodies_that_no_vendor_takes() {
    for (path, body, status) in [
        ("/v1/nothing", CHAT, "404"),
        ("/v1/models", "", "405"),
        ("/v1/chat/completions", "{", "400"),
        ("/v1/chat/completions", "[]", "400"),
        ("/v1/chat/completions", "\u{feff}", "400"),
        ("/v1/messages", MESSAGE, "400"),
    ] {
        let answer = ask(well(), path, "", body).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(r#""error":{"#), "{answer}");
    }
}

#[test]
fn canned_answers_are_whole_answers() {
    let model = Arc::new(well().with_canned(Canned::new(64, Duration::ZERO)));
    run(async {
        let whole = call_on(&model, "/v1/chat/completions", "", CHAT).await.unwrap();
        assert!(whole.contains(r#""completion_tokens":64"#), "{whole}");
        let stream = call_on(&model, "/v1/messages", "", CHAT_STREAM).await.unwrap();
        assert_eq!(stream.matches("text_delta").count(), 64);
    });
}
