//! Google's Gemini API: byte for byte to a provider that speaks it, translated to and from every other; whole, as
//! server-sent events and as an array that grows. A key in the query goes nowhere.

use serde_json::Value;
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, SAVED, Way, chat, events, good, message, pool, provider, route};

const KINDS: [&str; 3] = ["Gemini", "OpenAI", "Anthropic"];
const ASKED: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Say something."}]}]}"#;

/// What a caller in Gemini's dialect may ask for, as the path has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Whole,
    Events,
    Array,
}

const ALL: [Asks; 3] = [Asks::Whole, Asks::Events, Asks::Array];

impl Asks {
    fn path(self, model: &str) -> String {
        match self {
            Self::Whole => format!("/v1beta/models/{model}:generateContent"),
            Self::Events => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Self::Array => format!("/v1beta/models/{model}:streamGenerateContent"),
        }
    }

    async fn call(self, client: &Client, model: &str, headers: &[(&str, &str)]) -> Answer {
        client.post(&self.path(model), headers, ASKED).await.unwrap()
    }

    /// What the answer consists of; nothing where it can not be read to its end.
    fn pieces(self, answer: &Answer) -> Vec<Value> {
        match self {
            Self::Whole => vec![answer.json()],
            Self::Events => events(answer),
            Self::Array => serde_json::from_slice(&answer.body).unwrap_or_default(),
        }
    }
}

fn text_of(pieces: &[Value]) -> String {
    let parts = pieces.iter().filter_map(|piece| piece["candidates"][0]["content"]["parts"].as_array()).flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// A model for each kind of provider, all at one address.
fn manifests(address: std::net::SocketAddr) -> String {
    let patience = "  timeouts: {firstToken: 5s, idle: 300ms, total: 20s}";
    let one = |kind: &str| {
        let name = kind.to_lowercase();
        pool(&name, &[provider("only", kind, address, "")], patience) + &route(&name, &name)
    };
    KINDS.map(one).concat()
}

#[tokio::test]
async fn a_provider_of_the_dialect_gets_and_gives_every_byte() {
    let asked = r#"{"contents" :[{"role":"user","parts":[{"text":"x","newPart":1.50e2}]}], "new":{"a":[ ]}}"#;
    let said = r#"{"candidates" :[{"content":{"parts":[{"text":"x", "n":1.0}],"role":"model"},"finishReason":"STOP","new":[ ]}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":7,"totalTokenCount":12}}"#;
    let (told, array) = (format!("data: {said}\r\n\r\n"), format!("[{said}\n]"));
    let (events, pieces) = (told.clone(), array.clone());
    let upstream = Upstream::start(move |received| {
        let json = [("content-type", "application/json")];
        match received.head.lines().next().unwrap_or_default() {
            line if line.contains("alt=sse") => vec![stream_head(), chunk(events.as_bytes()), last_chunk()],
            line if line.contains(":stream") => vec![answer(200, &json, pieces.as_bytes())],
            _ => vec![answer(200, &json, said.as_bytes())],
        }
    })
    .unwrap();
    let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address))], &[]).unwrap();
    for (asks, expected) in [(Asks::Whole, said), (Asks::Events, told.as_str()), (Asks::Array, array.as_str())] {
        let seen = proxy.client().post(&asks.path("gemini"), &[], asked).await.unwrap();
        assert_eq!((seen.status, seen.text().as_str()), (200, expected), "{asks:?}");
        let sent = upstream.received().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&sent.body), asked, "{asks:?}");
        assert!(sent.head.starts_with(&format!("POST {} ", asks.path("gemini"))), "{asks:?}: {}", sent.head);
    }
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_requests_total", &[("outcome", "done")]), 3.0, "{}", metrics.0);
}

#[tokio::test]
async fn every_provider_answers_and_every_caller_is_answered() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address))], &[]).unwrap();
    for (kind, asks) in KINDS.into_iter().flat_map(|kind| ALL.map(|asks| (kind, asks))) {
        let answer = asks.call(&proxy.client(), &kind.to_lowercase(), &[]).await;
        let pieces = asks.pieces(&answer);
        assert!(answer.is_good(), "{asks:?} of {kind}: {}", answer.text());
        assert_eq!(text_of(&pieces).trim(), SAVED, "{asks:?} of {kind}: {}", answer.text());
        let last = pieces.last().unwrap();
        assert_eq!(last["candidates"][0]["finishReason"], "STOP", "{asks:?} of {kind}: {last}");
        assert!(last["usageMetadata"]["totalTokenCount"].as_u64() > Some(0), "{asks:?} of {kind}: {last}");
    }
    for way in crate::resources::WAYS {
        let answer = way.call(&proxy.client(), "gemini", &[]).await;
        assert!(answer.is_good() && (!way.stream || way.says_end(&answer)), "{way:?}: {}", answer.text());
        assert_eq!(way.said(&answer).trim(), SAVED, "{way:?}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_never_looks_whole() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address))], &[]).unwrap();
    for why in ["fail=cut; after=3", "fail=stall; after=3", "fail=stream-error; after=3"] {
        let steered = |who: &str| format!("{why}; text=one two three four five six seven eight; id={who}{why}");
        for (kind, asks) in KINDS.into_iter().flat_map(|kind| [(kind, Asks::Events), (kind, Asks::Array)]) {
            let steer = steered(&format!("{kind}{asks:?}"));
            let answer = asks.call(&proxy.client(), &kind.to_lowercase(), &[("x-simulate", &steer)]).await;
            let told = format!("{why}: {asks:?} of {kind}: {}", answer.text());
            assert!(answer.status == 200 && answer.text().contains("one"), "{told}");
            assert!(!answer.text().contains("finishReason"), "it says that it is whole: {told}");
            // A provider's own array may end behind its error without being closed: that is no whole one either.
            let said = answer.text().contains("\"error\"") && answer.text().contains("\"message\"");
            assert!(said || !answer.whole, "neither an error nor broken off: {told}");
        }
        for anthropic in [false, true] {
            let way = Way { anthropic, stream: true };
            let steer = steered(&format!("{anthropic}"));
            let answer = way.call(&proxy.client(), "gemini", &[("x-simulate", &steer)]).await;
            assert!(way.said(&answer).starts_with("one") && !way.says_end(&answer), "{why}: {}", answer.text());
            assert!(!way.error(&answer).1.is_empty(), "{why}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_stream_that_says_no_more_than_why_it_ended_is_an_answer() {
    for (reason, word) in [("SAFETY", "content_filter"), ("MAX_TOKENS", "length")] {
        let event = format!(
            "data: {{\"candidates\":[{{\"finishReason\":\"{reason}\",\"index\":0}}],\"usageMetadata\":{{\"promptTokenCount\":5,\"totalTokenCount\":5}}}}\n\n"
        );
        let upstream = Upstream::always(vec![stream_head(), chunk(event.as_bytes()), last_chunk()]).unwrap();
        let text = pool("p", &[provider("only", "Gemini", upstream.address, "")], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for anthropic in [false, true] {
            let way = Way { anthropic, stream: true };
            let got = way.call(&proxy.client(), "m", &[]).await;
            assert!(got.status == 200 && way.says_end(&got), "{reason} {anthropic}: {} {}", got.status, got.text());
            assert!(anthropic || got.text().contains(word), "{reason}: {}", got.text());
        }
        assert_eq!(upstream.received().len(), 2, "{reason}: nobody is asked again");
    }
}

#[tokio::test]
async fn when_to_come_again_is_said_where_each_caller_looks_for_it() {
    let limited = r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"11s"}]}}"#;
    let google = Upstream::always(vec![answer(429, &[], limited.as_bytes())]).unwrap();
    let headers = [("retry-after", "11"), ("content-type", "application/json")];
    let openai = Upstream::always(vec![answer(429, &headers, br#"{"error":{"message":"slow"}}"#)]).unwrap();
    let once = "  retry: {attempts: 1}";
    for (kind, upstream) in [("Gemini", &google), ("OpenAI", &openai)] {
        // A provider for each call: it is left alone until it wants to be asked again.
        let one = |name: &str| pool(name, &[provider("only", kind, upstream.address, "")], once) + &route(name, name);
        let proxy = Proxy::start(&[("all.yaml", &["a", "b"].map(one).concat())], &[]).unwrap();
        let answer = proxy.client().post(CHAT, &[], chat("a", false)).await.unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (429, "11"), "{kind}: {}", answer.text());
        let answer = Asks::Whole.call(&proxy.client(), "b", &[]).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, "11"), "{kind}: {}", answer.text());
        assert_eq!(answer.json()["error"]["details"][0]["retryDelay"], "11s", "{kind}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_key_in_the_query_goes_nowhere() {
    const PLANTED: &str = "sk-planted-in-the-query";
    let refusing = Upstream::always(vec![answer(404, &[], b"{}")]).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &manifests(refusing.address))], &["--log", "trace"]).unwrap();
    let mut told = String::new();
    for model in ["gemini", "openai", "nobody"] {
        for asks in ALL {
            let path = asks.path(model);
            let mark = if path.contains('?') { '&' } else { '?' };
            let headers = [("x-request-id", "seen-it")];
            let answer = proxy.client().post(&format!("{path}{mark}key={PLANTED}"), &headers, ASKED).await.unwrap();
            told += &format!("{:?} {}", answer.headers, answer.text());
        }
    }
    for page in ["/metrics", "/config", "/status"] {
        told += &proxy.page(page).unwrap().1;
    }
    assert!(proxy.log().iter().any(|line| line.contains("seen-it")), "the log tells of these calls");
    let line = proxy.log().into_iter().find(|line| line.contains(PLANTED));
    assert!(line.is_none(), "in the log: {line:?}");
    assert!(!told.contains(PLANTED), "{told}");
    let sent = upstream_heads(&refusing);
    assert!(!sent.is_empty() && !sent.contains(PLANTED), "{sent}");
}

fn upstream_heads(upstream: &Upstream) -> String {
    upstream.received().iter().map(|sent| sent.head.clone()).collect()
}

#[tokio::test]
async fn a_pools_limits_are_said_among_the_callers_own_settings() {
    let upstream = Upstream::always(vec![answer(
        200,
        &[("content-type", "application/json")],
        br#"{"candidates":[{"content":{"parts":[{"text":"x"}],"role":"model"},"finishReason":"STOP"}]}"#,
    )])
    .unwrap();
    let more = "models: [{name: gemini, maxOutputTokens: 500}], defaults: {maxTokens: 99, temperature: \"0.5\"}";
    let text = pool("gemini", &[provider("only", "Gemini", upstream.address, more)], "") + &route("gemini", "gemini");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (asked, sent) in [
        (r#"{"contents":[]}"#, r#"{"generationConfig":{"maxOutputTokens":99,"temperature":0.5},"contents":[]}"#),
        (
            r#"{"contents":[], "generation_config":{"topK":1.0,"temperature":1}}"#,
            r#"{"contents":[], "generation_config":{"maxOutputTokens":99,"topK":1.0,"temperature":1}}"#,
        ),
        (
            r#"{"contents":[],"generationConfig":{ "max_output_tokens":9000,"temperature":1}}"#,
            r#"{"contents":[],"generationConfig":{ "max_output_tokens":500,"temperature":1}}"#,
        ),
    ] {
        proxy.client().post(&Asks::Whole.path("gemini"), &[], asked).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&upstream.received().pop().unwrap().body), sent);
    }
}

#[tokio::test]
async fn an_array_that_ends_in_an_error_is_closed() {
    let piece = r#"{"candidates":[{"content":{"parts":[{"text":"x"}],"role":"model"}}]}"#;
    let error = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    let acts = vec![stream_head(), chunk(format!("[{piece}\n,\r\n{error}\n]").as_bytes()), last_chunk()];
    let upstream = Upstream::always(acts).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address))], &[]).unwrap();
    let answer = Asks::Array.call(&proxy.client(), "gemini", &[]).await;
    let pieces = Asks::Array.pieces(&answer);
    assert_eq!(pieces.len(), 2, "{}", answer.text());
    assert_eq!(pieces[1]["error"]["status"], "UNAVAILABLE", "{}", answer.text());
}

#[tokio::test]
async fn an_array_that_is_cut_inside_an_element_ends_in_an_error_and_is_closed() {
    let piece =
        |more: &str| format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"x"}}],"role":"model"}}{more}}}]}}"#);
    let (said, last) = (piece(""), piece(r#","finishReason":"STOP""#));
    for (cut, whole) in [
        (format!("[{said}\n,\r\n{}", &said[..30]), false),
        (format!("[{said},"), false),
        (format!("[{said}"), false),
        // What was cut behind the answer's end takes nothing from it.
        (format!("[{said},{last},{{\"usageMe"), true),
        (format!("[{said},{last}\n"), true),
    ] {
        for size in [cut.len(), 5] {
            let pieces = cut.as_bytes().chunks(size).map(chunk);
            let upstream = Upstream::always([stream_head()].into_iter().chain(pieces).chain([last_chunk()]).collect());
            let upstream = upstream.unwrap();
            let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address))], &[]).unwrap();
            let answer = Asks::Array.call(&proxy.client(), "gemini", &[]).await;
            let pieces = Asks::Array.pieces(&answer);
            assert!(answer.whole && pieces.len() == 2, "{cut} in pieces of {size}: {}", answer.text());
            assert_eq!(pieces[1]["error"].is_null(), whole, "{cut}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_only_gemini_answers_with_is_refused_by_the_callers_own_words() {
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &manifests(simulator.address))], &[]).unwrap();
    for (config, param) in [
        (r#"{"responseModalities":["TEXT","IMAGE"]}"#, "generationConfig.responseModalities"),
        (
            r#"{"stopSequences":["a","b","c","d","e","f"],"responseMimeType":"text/x.enum"}"#,
            "generationConfig.responseMimeType",
        ),
    ] {
        let asked = ASKED.replace("]}]}", &format!("]}}],\"generationConfig\":{config}}}"));
        let refused = proxy.client().post(&Asks::Whole.path("openai"), &[], asked).await.unwrap();
        let error = &refused.json()["error"];
        assert_eq!((refused.status, error["status"].as_str()), (400, Some("INVALID_ARGUMENT")), "{error}");
        assert_eq!(error["details"][0]["fieldViolations"][0]["field"], param, "{error}");
    }
}

#[tokio::test]
async fn an_error_of_what_was_asked_for_as_an_array_is_its_only_element() {
    let said = br#"{"error":{"message":"busy","type":"server_error","param":null,"code":null}}"#;
    let upstream = Upstream::always(vec![answer(503, &[("content-type", "application/json")], said)]).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &manifests(upstream.address))], &[]).unwrap();
    for (model, status) in [("openai", 503), ("nobody", 404)] {
        for asks in ALL {
            let got = asks.call(&proxy.client(), model, &[]).await;
            let error = if asks == Asks::Array { got.json()[0]["error"].clone() } else { got.json()["error"].clone() };
            assert_eq!((got.status, error["code"].as_u64()), (status, Some(status.into())), "{asks:?}: {}", got.text());
        }
    }
}

#[tokio::test]
async fn a_prompt_that_is_blocked_is_an_answer_and_opens_no_circuit() {
    let body = br#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":20,"totalTokenCount":20},"modelVersion":"gemini"}"#;
    let upstream = Upstream::always(vec![answer(200, &[("content-type", "application/json")], body)]).unwrap();
    let text = pool("p", &[provider("only", "Gemini", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let prompt = r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}]}"#;
    for calls in 1..=6 {
        let got = proxy.client().post("/v1beta/models/m:generateContent", &[], prompt).await.unwrap();
        assert_eq!((got.status, got.text().as_bytes()), (200, &body[..]), "{}", got.text());
        assert_eq!(upstream.calls(), calls, "asked once each");
    }
    let input = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_tokens_total", &[("type", "input")]);
    proxy.until("the prompts are counted", |proxy| (input(proxy) - 120.0).abs() < 0.1).await.unwrap();
    assert!(proxy.metrics().unwrap().sum("sluicegate_endpoint_circuit_opened_total", &[]) < 0.1);
}

#[tokio::test]
async fn calls_of_answers_without_a_name_are_told_apart_from_turn_to_turn() {
    let gemini = r#"{"candidates":[{"index":0,"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#;
    let chat = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}},{"type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    for (kind, said) in [("Gemini", gemini), ("OpenAICompatible", chat)] {
        let upstream = Upstream::start(move |received| match received.streams() && kind == "Gemini" {
            true => vec![stream_head(), chunk(format!("data: {said}\n\n").as_bytes()), last_chunk()],
            false => vec![answer(200, &[("content-type", "application/json")], said.as_bytes())],
        })
        .unwrap();
        let text = pool("p", &[provider("only", kind, upstream.address, "")], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let mut ids = std::collections::BTreeSet::new();
        for stream in [false, true, false] {
            let told = proxy.client().post(MESSAGES, &[], message("m", stream)).await.unwrap().text();
            let found = told.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next());
            ids.extend(found.filter(|id| id.starts_with("call_")).map(str::to_owned));
        }
        assert_eq!(ids.len(), 6, "{kind}: {ids:?}");
    }
}
