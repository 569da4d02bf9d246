//! Amazon Bedrock: as a provider that is signed for, and as callers speak to it, by InvokeModel for Anthropic's models and by Converse
//! for all; bodies in either envelope, streams in either framing, every byte of a body as it came.

use base64::Engine as _;
use serde_json::Value;
use sluicegate_tests::client::Client;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, SAVED, WAYS, chat, good, message, pool, provider, route};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const INVOKE: &str = "/model/claude-m/invoke";
const STREAM: &str = "/model/claude-m/invoke-with-response-stream";
const ASKED: &str = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":64,"messages":[{"role":"user","content":"Say something."}]}"#;
const KEYS: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: aws}\nstringData: {api-key: \"AKIDEXAMPLE:se/cret+key:session==\"}\n---\n";
const SIGNED: &str = "credentials: {type: AWS, region: eu-west-1, secretRef: {name: aws}}";

/// The events that are packed in chunks, or the names of exceptions.
pub(crate) fn packed(body: &[u8]) -> Vec<Value> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    let (mut rest, mut seen) = (body, Vec::new());
    while rest.len() >= 16 {
        let length = number(&rest[..4]);
        let (message, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        let head = String::from_utf8_lossy(&message[12..12 + number(&message[4..8])]).into_owned();
        let payload: Value = serde_json::from_slice(&message[12 + number(&message[4..8])..length - 4]).unwrap();
        match payload["bytes"].as_str() {
            Some(bytes) => {
                let inner = base64::engine::general_purpose::STANDARD.decode(bytes).unwrap();
                seen.push(serde_json::from_slice(&inner).unwrap());
            }
            None => seen.push(serde_json::json!({ "exception": head.contains("exception"), "said": payload })),
        }
    }
    seen
}

fn text_of(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect()
}

fn one(kind: &str, address: std::net::SocketAddr, more: &str) -> String {
    pool("p", &[provider("only", kind, address, more)], "") + &route("claude-m", "p") + &route("m", "p")
}

#[tokio::test]
async fn every_provider_answers_and_every_caller_is_answered() {
    let simulator = good();
    for kind in ["Bedrock", "Anthropic", "OpenAI", "Gemini"] {
        let more = if kind == "Bedrock" { SIGNED } else { "" };
        let text = KEYS.to_owned() + &one(kind, simulator.address, more);
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let whole = proxy.client().post(INVOKE, JSON, ASKED).await.unwrap();
        assert!(whole.is_good(), "{kind}: {}", whole.text());
        assert_eq!(whole.json()["content"][0]["text"], SAVED, "{kind}");
        let streamed = proxy.client().post(STREAM, JSON, ASKED).await.unwrap();
        assert_eq!(
            (streamed.status, streamed.header("content-type")),
            (200, "application/vnd.amazon.eventstream"),
            "{kind}"
        );
        let events = packed(&streamed.body);
        assert_eq!(
            (text_of(&events).trim(), &events.last().unwrap()["type"]),
            (SAVED, &Value::from("message_stop")),
            "{kind}"
        );
        for way in WAYS {
            let answer = way.call(&proxy.client(), "claude-m", &[]).await;
            assert!(answer.is_good() && (!way.stream || way.says_end(&answer)), "{kind} {way:?}: {}", answer.text());
            assert_eq!(way.said(&answer).trim(), SAVED, "{kind} {way:?}");
        }
        let metrics = proxy.metrics().unwrap();
        assert_eq!(metrics.sum("sluicegate_requests_total", &[("outcome", "done")]), 6.0, "{}", metrics.0);
        let labels = [("gen_ai_token_type", "output")];
        assert!(metrics.sum("gen_ai_client_token_usage_count", &labels) >= 6.0, "{}", metrics.0);
    }
}

#[tokio::test]
async fn each_envelope_becomes_the_providers_and_what_is_in_it_stays() {
    let said = r#"{"id":"msg_1" ,"type":"message","role":"assistant","content":[{"type":"text","text":"x", "new":1.50}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;
    let upstream = Upstream::always(vec![answer(200, JSON, said.as_bytes())]).unwrap();
    let plain = r#"{"max_tokens":9, "model":"claude-m","messages" :[{"role":"user","content":"x", "n":1.50e2}],"new":{"a":[ ]}}"#;
    let packed = r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9, "messages" :[{"role":"user","content":"x", "n":1.50e2}],"new":{"a":[ ]}}"#;
    let betas = packed.replace(",\"max", ",\"anthropic_beta\":[\"a-1\",\"b-2\"],\"max");
    let headed =
        plain.replace("\"max_tokens\":9, \"model\":\"claude-m\",", "\"model\":\"claude-m\",\"max_tokens\":9, ");
    let beta = [("content-type", "application/json"), ("anthropic-beta", "a-1,b-2")];
    // Those that Bedrock refuses stay behind.
    let all = "claude-code-20250219,a-1,prompt-caching-scope-2026-01-05,b-2";
    let all = [("content-type", "application/json"), ("anthropic-beta", all)];
    for (kind, path, headers, body, at, sent, told) in [
        ("Bedrock", MESSAGES, &all[..], plain, INVOKE, betas.as_str(), false),
        ("Bedrock", INVOKE, JSON, packed, INVOKE, packed, false),
        ("Bedrock", INVOKE, JSON, betas.as_str(), INVOKE, betas.as_str(), false),
        ("Bedrock", MESSAGES, JSON, plain, INVOKE, packed, false),
        ("Bedrock", MESSAGES, &beta[..], plain, INVOKE, betas.as_str(), false),
        ("Anthropic", INVOKE, JSON, packed, "/v1/messages", headed.as_str(), false),
        ("Anthropic", INVOKE, JSON, betas.as_str(), "/v1/messages", headed.as_str(), true),
    ] {
        let proxy = Proxy::start(&[("all.yaml", &one(kind, upstream.address, ""))], &[]).unwrap();
        let got = proxy.client().post(path, headers, body.to_owned()).await.unwrap();
        assert_eq!((got.status, got.text().as_str()), (200, said), "{kind} {path}");
        let received = upstream.received().pop().unwrap();
        assert!(received.head.starts_with(&format!("POST {at} ")), "{}", received.head);
        assert_eq!(String::from_utf8_lossy(&received.body), sent, "{kind} {path}");
        assert_eq!(received.head.to_lowercase().contains("anthropic-beta: a-1,b-2"), told, "{}", received.head);
    }
}

#[tokio::test]
async fn a_conversation_that_anthropic_holds_is_refused_in_the_words_upon_which_sdks_go_on_without() {
    let said = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;
    let upstream = Upstream::always(vec![answer(200, JSON, said.as_bytes())]).unwrap();
    let text = one("Bedrock", upstream.address, "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let body =
        r#"{"model":"claude-m","max_tokens":9,"thread":{"type":"create"},"messages":[{"role":"user","content":"x"}]}"#;
    let refused = proxy.client().post(MESSAGES, JSON, body).await.unwrap();
    let details = serde_json::json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
    assert_eq!((refused.status, &refused.json()["error"]["details"]), (400, &details), "{}", refused.text());
    assert!(upstream.received().is_empty());
    let without = body.replace(r#"{"type":"create"}"#, "null");
    assert_eq!(proxy.client().post(MESSAGES, JSON, without).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_stream_between_the_two_of_amazon_passes_byte_for_byte() {
    let simulator = good();
    let text = one("Bedrock", simulator.address, "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let streamed = proxy.client().post(STREAM, JSON, ASKED).await.unwrap();
    // The simulated provider pads its chunks as Bedrock does, and nobody here would.
    assert!(streamed.text().contains("\"p\":\"abcdefghijklmno\""), "{}", streamed.text());
}

#[tokio::test]
async fn requests_are_signed_and_keys_stay_here() {
    let upstream = Upstream::always(vec![answer(200, JSON, b"{}")]).unwrap();
    let text = KEYS.to_owned() + &one("Bedrock", upstream.address, SIGNED);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let callers = [("authorization", "Bearer callers-own")];
    proxy.client().post(MESSAGES, &callers, message("claude-m", false)).await.unwrap();
    let head = upstream.received().pop().unwrap().head.to_lowercase();
    for part in [
        "authorization: aws4-hmac-sha256 credential=akidexample/",
        "/eu-west-1/bedrock/aws4_request, signedheaders=host;x-amz-date;x-amz-security-token, signature=",
        "x-amz-security-token: session==",
    ] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(!head.contains("se/cret") && !head.contains("callers-own"), "{head}");
    let key = KEYS.replace("AKIDEXAMPLE:se/cret+key:session==", "bedrock-api-key");
    let text = key + &one("Bedrock", upstream.address, "credentials: {secretRef: {name: aws}}");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    proxy.client().post(MESSAGES, &callers, message("claude-m", false)).await.unwrap();
    let head = upstream.received().pop().unwrap().head.to_lowercase();
    assert!(head.contains("authorization: bearer bedrock-api-key"), "{head}");
}

#[tokio::test]
async fn errors_have_each_sides_words() {
    let slow = [
        ("content-type", "application/json"),
        ("x-amzn-errortype", "ThrottlingException"),
        ("x-amzn-requestid", "r-1"),
    ];
    let amazon = Upstream::start(move |received| match received.head.contains("long") {
        true => vec![answer(400, JSON, br#"{"message":"Input is too long for requested model."}"#)],
        false => vec![answer(429, &slow, br#"{"message":"Too many tokens, please wait before trying again."}"#)],
    })
    .unwrap();
    let once = "  retry: {attempts: 1}";
    let of =
        |name: &str, kind: &str, address| pool(name, &[provider("only", kind, address, "")], once) + &route(name, name);
    let all = ["a", "b", "c", "long"].map(|name| of(name, "Bedrock", amazon.address)).concat();
    let proxy = Proxy::start(&[("all.yaml", &all)], &[]).unwrap();
    let got = proxy.client().post("/model/a/invoke", JSON, ASKED).await.unwrap();
    assert_eq!((got.status, got.header("x-amzn-errortype")), (429, "ThrottlingException"));
    assert_eq!(got.text(), r#"{"message":"Too many tokens, please wait before trying again."}"#);
    let got = proxy.client().post(CHAT, JSON, chat("b", false)).await.unwrap();
    assert_eq!(
        (got.status, got.json()["error"]["code"].as_str()),
        (429, Some("rate_limit_exceeded")),
        "{}",
        got.text()
    );
    let got = proxy.client().post(MESSAGES, JSON, message("c", false)).await.unwrap();
    assert_eq!((got.status, got.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")), "{}", got.text());
    let got = proxy.client().post(MESSAGES, JSON, message("long", false)).await.unwrap();
    assert!(got.status == 400 && got.text().contains("prompt is too long"), "{}", got.text());
    let got = proxy.client().post("/model/nobody/invoke", JSON, ASKED).await.unwrap();
    assert_eq!((got.status, got.header("x-amzn-errortype")), (404, "ResourceNotFoundException"), "{}", got.text());
    assert!(got.json()["message"].as_str().unwrap().contains("nobody"), "{}", got.text());
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_never_that_it_is_whole() {
    let simulator = good();
    for kind in ["Bedrock", "Anthropic", "OpenAI"] {
        let proxy = Proxy::start(&[("all.yaml", &one(kind, simulator.address, ""))], &[]).unwrap();
        for why in ["fail=cut; after=3", "fail=stream-error; after=3"] {
            let steer = format!("{why}; text=one two three four five six seven eight; id={kind}{why}");
            let got = proxy.client().post(STREAM, &[("x-simulate", steer.as_str())], ASKED).await.unwrap();
            let raw = String::from_utf8_lossy(&got.body).into_owned();
            let events = if got.whole { packed(&got.body) } else { Vec::new() };
            let told = events.last().is_some_and(|event| event["exception"] == true);
            assert!(got.status == 200 && told, "{kind} {why}: {raw}");
            assert!(!events.iter().any(|event| event["type"] == "message_stop"), "{kind} {why}: {raw}");
        }
    }
    let proxy = Proxy::start(&[("all.yaml", &one("Bedrock", simulator.address, ""))], &[]).unwrap();
    for way in WAYS.into_iter().filter(|way| way.stream) {
        for why in ["fail=cut; after=3", "fail=stream-error; after=3"] {
            let steer = format!("{why}; text=one two three four five six seven eight; id={way:?}{why}");
            let got = way.call(&proxy.client(), "claude-m", &[("x-simulate", &steer)]).await;
            assert!(way.said(&got).starts_with("one") && !way.says_end(&got), "{why}: {}", got.text());
        }
    }
    // A damaged message is no answer.
    let torn = Upstream::always(vec![stream_head(), chunk(&[0, 0, 0, 99, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6]), last_chunk()])
        .unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("Bedrock", torn.address, ""))], &[]).unwrap();
    let got = proxy.client().post(MESSAGES, JSON, message("claude-m", true)).await.unwrap();
    assert_eq!(got.status, 502, "{}", got.text());
}

const CONVERSE: &str = "/model/m/converse";
const CONVERSE_STREAM: &str = "/model/m/converse-stream";
const CONVERSED: &str =
    r#"{"messages": [{"role":"user","content":[{"text":"Say something."}]}],"inferenceConfig":{"maxTokens":64}}"#;

/// The messages of a binary event stream: names and payloads.
fn conversed(body: &[u8]) -> Vec<(String, Value)> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    let (mut rest, mut seen) = (body, Vec::new());
    while rest.len() >= 16 {
        let (message, behind) = rest.split_at(number(&rest[..4]).min(rest.len()));
        rest = behind;
        let end = 12 + number(&message[4..8]);
        let head = String::from_utf8_lossy(&message[12..end]).into_owned();
        let name = head.split("-type\u{7}\u{0}").nth(1).unwrap_or_default();
        let name = name[1..].split(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
        seen.push((name.to_owned(), serde_json::from_slice(&message[end..message.len() - 4]).unwrap()));
    }
    seen
}

fn told(events: &[(String, Value)]) -> String {
    events.iter().filter_map(|(_, event)| event["delta"]["text"].as_str()).collect()
}

#[tokio::test]
async fn a_model_that_takes_tools_in_whole_answers_only_is_asked_for_one_and_told_as_a_stream() {
    const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";
    let said = br#"{"output":{"message":{"role":"assistant","content":[{"text":"Well."},{"toolUse":{"toolUseId":"t1","name":"f","input":{"a":1}}}]}},"stopReason":"tool_use","usage":{"inputTokens":5,"outputTokens":7,"totalTokens":12}}"#;
    let upstream = Upstream::always(vec![answer(200, JSON, said)]).unwrap();
    let named = format!("models: [{{name: m, upstreamName: \"{LLAMA}\"}}]");
    let text = pool("p", &[provider("only", "Bedrock", upstream.address, &named)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let call = r#"{"model":"m","max_tokens":90,"stream":true,"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}"#;
    let got = proxy.client().post(MESSAGES, JSON, call).await.unwrap();
    assert_eq!(got.status, 200, "{}", got.text());
    assert!(got.text().contains("input_json_delta") && got.text().contains("message_stop"), "{}", got.text());
    let head = upstream.received().pop().unwrap().head;
    assert!(head.lines().next().unwrap().contains("/converse "), "{head}");
}

#[tokio::test]
async fn converse_is_answered_by_every_provider() {
    let simulator = good();
    for kind in ["Bedrock", "Anthropic", "OpenAI", "Gemini"] {
        let more = if kind == "Bedrock" { SIGNED } else { "" };
        let text = KEYS.to_owned() + &one(kind, simulator.address, more);
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let whole = proxy.client().post(CONVERSE, JSON, CONVERSED).await.unwrap();
        assert!(whole.is_good(), "{kind}: {}", whole.text());
        let said = whole.json();
        assert_eq!(said["output"]["message"]["content"][0]["text"], SAVED, "{kind}");
        assert_eq!(said["stopReason"], "end_turn", "{kind}");
        assert!(said["usage"]["outputTokens"].as_u64().unwrap() > 0, "{kind}");
        let streamed = proxy.client().post(CONVERSE_STREAM, JSON, CONVERSED).await.unwrap();
        let kind_of = streamed.header("content-type");
        assert_eq!((streamed.status, kind_of), (200, "application/vnd.amazon.eventstream"), "{kind}");
        let events = conversed(&streamed.body);
        assert_eq!(told(&events).trim(), SAVED, "{kind}");
        let (name, last) = events.last().unwrap();
        assert_eq!(name, "metadata", "{kind}");
        assert!(last["usage"]["outputTokens"].as_u64().unwrap() > 0, "{kind}: {last}");
    }
}

#[tokio::test]
async fn amazons_sdks_count_tokens_whoever_counts_or_nobody() {
    const COUNT: &str = "/model/m/count-tokens";
    let simulator = good();
    let conversed = format!(r#"{{"input":{{"converse":{CONVERSED}}}}}"#);
    // {"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"Say something."}]}
    let coded = "eyJhbnRocm9waWNfdmVyc2lvbiI6ImJlZHJvY2stMjAyMy0wNS0zMSIsIm1heF90b2tlbnMiOjksIm1lc3NhZ2VzIjpbeyJyb2xlIjoidXNlciIsImNvbnRlbnQiOiJTYXkgc29tZXRoaW5nLiJ9XX0=";
    let invoked = format!(r#"{{"input":{{"invokeModel":{{"body":"{coded}"}}}}}}"#);
    for (kind, counts) in
        [("Anthropic", true), ("Gemini", true), ("OpenAI", true), ("OpenAICompatible", false), ("Bedrock", false)]
    {
        let more = if kind == "Bedrock" { SIGNED } else { "" };
        let text = KEYS.to_owned() + &one(kind, simulator.address, more);
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for body in [&conversed, &invoked] {
            let got = proxy.client().post(COUNT, JSON, body.clone()).await.unwrap();
            assert_eq!(got.status, 200, "{kind}: {}", got.text());
            let said = got.json();
            assert!(said["inputTokens"].as_u64().is_some_and(|tokens| tokens > 0), "{kind}: {}", got.text());
            assert_eq!(said.as_object().unwrap().len(), 1, "{kind}: {}", got.text());
            assert_eq!(got.header("x-sluicegate-estimated"), if counts { "" } else { "inputTokens" }, "{kind}: {body}");
        }
        let refused = proxy.client().post(COUNT, JSON, CONVERSED).await.unwrap();
        assert_eq!((refused.status, refused.header("x-amzn-errortype")), (400, "ValidationException"), "{kind}");
        assert!(refused.text().contains("input"), "{}", refused.text());
    }
}

#[tokio::test]
async fn each_model_at_bedrock_is_asked_in_the_words_that_it_is_served_in() {
    let simulator = Upstream::start(|received| {
        let said: &[u8] = match received.head.contains("/converse") {
            true => br#"{"output":{"message":{"role":"assistant","content":[{"text":"x"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5},"metrics":{"latencyMs":1}}"#,
            false => br#"{"id":"msg_1","model":"c","type":"message","role":"assistant","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#,
        };
        vec![answer(200, JSON, said)]
    })
    .unwrap();
    let arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc";
    for (model, upstream, invoked) in [
        ("m", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", true),
        ("claude-by-arn", arn, true),
        ("m", arn, false),
        ("m", "us.amazon.nova-2-lite-v1:0", false),
    ] {
        let more = format!("models: [{{name: {model}, upstreamName: \"{upstream}\"}}]");
        let text = pool("p", &[provider("only", "Bedrock", simulator.address, &more)], "") + &route(model, "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for (path, body) in [(MESSAGES, message(model, false)), (CHAT, chat(model, false))] {
            let got = proxy.client().post(path, JSON, body).await.unwrap();
            assert!(got.is_good(), "{upstream} {path}: {}", got.text());
            let head = simulator.received().pop().unwrap().head;
            let line = head.lines().next().unwrap();
            assert_eq!(line.contains("/invoke "), invoked, "{upstream}: {line}");
            assert_eq!(line.contains("/converse "), !invoked, "{upstream}: {line}");
            // An answer names its model and has an id, whatever the provider says.
            let said = got.json();
            assert!(said["id"].as_str().unwrap().len() > 4, "{said}");
            if !invoked {
                assert_eq!(said["model"], model, "{said}");
            }
        }
    }
}

#[tokio::test]
async fn converse_passes_byte_for_byte_both_ways() {
    let said = r#"{"output":{"message":{"role":"assistant","content":[{"text":"x", "new":1.50}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5},"metrics":{"latencyMs":1}}"#;
    let upstream = Upstream::always(vec![answer(200, JSON, said.as_bytes())]).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("Bedrock", upstream.address, ""))], &[]).unwrap();
    let body = r#"{"guardrailConfig" :{"guardrailIdentifier":"g"},"messages": [{"role":"user","content":[{"text":"x", "n":1.50e2}]}],"new":{"a":[ ]}}"#;
    let got = proxy.client().post(CONVERSE, JSON, body).await.unwrap();
    assert_eq!((got.status, got.text().as_str()), (200, said));
    let received = upstream.received().pop().unwrap();
    assert!(received.head.starts_with("POST /model/m/converse "), "{}", received.head);
    assert_eq!(String::from_utf8_lossy(&received.body), body);
    let simulator = good();
    let proxy = Proxy::start(&[("all.yaml", &one("Bedrock", simulator.address, ""))], &[]).unwrap();
    let streamed = proxy.client().post(CONVERSE_STREAM, JSON, CONVERSED).await.unwrap();
    // The simulated provider pads its events as Bedrock does, and nobody here would.
    assert!(streamed.text().contains("\"p\":\"abcdefghijklm\""), "{}", streamed.text());
}

#[tokio::test]
async fn a_conversation_that_breaks_says_so_and_never_that_it_is_whole() {
    let simulator = good();
    for kind in ["Bedrock", "Anthropic", "OpenAI"] {
        let proxy = Proxy::start(&[("all.yaml", &one(kind, simulator.address, ""))], &[]).unwrap();
        for why in ["fail=cut; after=3", "fail=stream-error; after=3"] {
            let steer = format!("{why}; text=one two three four five six seven eight; id=converse{kind}{why}");
            let got = proxy.client().post(CONVERSE_STREAM, &[("x-simulate", steer.as_str())], CONVERSED).await.unwrap();
            let raw = String::from_utf8_lossy(&got.body).into_owned();
            assert!(got.status == 200 && raw.contains("Exception") && got.whole, "{kind} {why}: {raw}");
            assert!(!raw.contains("metadata") && !raw.contains("messageStop"), "{kind} {why}: {raw}");
        }
    }
    // Others are told of an exception in mid-stream, too.
    let proxy = Proxy::start(&[("all.yaml", &one("Bedrock", simulator.address, ""))], &[]).unwrap();
    for way in WAYS.into_iter().filter(|way| way.stream) {
        let steer = format!("fail=stream-error; after=3; text=one two three four five six; id=converse{way:?}");
        let got = way.call(&proxy.client(), "m", &[("x-simulate", &steer)]).await;
        assert!(way.said(&got).starts_with("one") && !way.says_end(&got), "{}", got.text());
    }
    let got = proxy.client().post("/model/nobody/converse", JSON, CONVERSED).await.unwrap();
    assert_eq!((got.status, got.header("x-amzn-errortype")), (404, "ResourceNotFoundException"), "{}", got.text());
}

/// Where the messages of a binary event stream end.
fn message_ends(body: &[u8]) -> Vec<usize> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    let mut ends = Vec::new();
    while let Some(prelude) = body.get(ends.last().copied().unwrap_or(0)..).and_then(|rest| rest.get(..4)) {
        ends.push(ends.last().copied().unwrap_or(0) + number(prelude));
    }
    ends
}

/// A stream that breaks in its sixth message: cut in its middle, or with a byte that is another one, in its payload or in what is
/// before all sums.
fn broken_streams(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let ends = message_ends(body);
    let (begin, end) = (ends[4], ends[5]);
    let turned = |at: usize| {
        let mut body = body.to_vec();
        body[at] ^= 0x20;
        body
    };
    vec![
        ("cut in an event", body[..begin + (end - begin) / 2].to_vec()),
        ("cut in a prelude", body[..begin + 3].to_vec()),
        ("a wrong sum", turned(end - 8)),
        ("a wrong sum of a prelude", turned(begin + 6)),
        ("a wrong length", turned(begin)),
    ]
}

#[tokio::test]
async fn a_stream_that_breaks_inside_an_event_ends_in_an_error_of_the_callers_dialect() {
    let simulator = good();
    let steer = [("x-simulate", "text=one two three four five six seven eight")];
    for (path, body) in [(STREAM, ASKED), (CONVERSE_STREAM, CONVERSED)] {
        let whole = Client::new(simulator.address).post(path, &steer, body).await.unwrap();
        for (why, bytes) in broken_streams(&whole.body) {
            // In one piece, and in pieces of a few bytes.
            for size in [bytes.len(), 7] {
                let pieces = bytes.chunks(size).map(chunk);
                let acts: Vec<Act> = [stream_head()].into_iter().chain(pieces).chain([last_chunk()]).collect();
                let upstream = Upstream::always(acts).unwrap();
                let proxy = Proxy::start(&[("all.yaml", &one("Bedrock", upstream.address, ""))], &[]).unwrap();
                let client = proxy.client();
                let told = format!("{path}: {why} in pieces of {size}");
                // The callers of the same words: every message is sound, and the last one an exception.
                let got = client.post(path, JSON, body).await.unwrap();
                let ends = message_ends(&got.body);
                assert!(
                    got.status == 200 && got.whole && ends.last() == Some(&got.body.len()),
                    "{told}: {}",
                    got.text()
                );
                assert!(whole.body.starts_with(&got.body[..ends[ends.len() - 2]]), "{told}: {}", got.text());
                let raw = String::from_utf8_lossy(&got.body[ends[ends.len() - 2]..]).into_owned();
                assert!(raw.contains("exception") && raw.contains("modelStreamErrorException"), "{told}: {raw}");
                assert_eq!(raw.matches("exception-type").count(), 1, "{told}: {raw}");
                for way in WAYS.into_iter().filter(|way| way.stream) {
                    let model = if path == STREAM { "claude-m" } else { "m" };
                    let got = way.call(&client, model, &[]).await;
                    let told = format!("{told}: {way:?}: {}", got.text());
                    assert!(way.said(&got).starts_with("one") && got.whole && !way.says_end(&got), "{told}");
                    assert!(!way.error(&got).1.is_empty(), "{told}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_block_that_is_two_things_is_refused_and_loses_none() {
    let upstream = Upstream::always(vec![answer(200, JSON, b"{}")]).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("OpenAI", upstream.address, ""))], &[]).unwrap();
    let picture = r#"{"format":"png","source":{"bytes":"eA=="}}"#;
    let body = format!(r#"{{"messages":[{{"role":"user","content":[{{"text":"x","image":{picture}}}]}}]}}"#);
    for path in [CONVERSE, CONVERSE_STREAM] {
        let got = proxy.client().post(path, JSON, body.clone()).await.unwrap();
        assert_eq!((got.status, got.header("x-amzn-errortype")), (400, "ValidationException"), "{}", got.text());
        let said = got.json()["message"].as_str().unwrap().to_owned();
        assert!(said.contains("messages[0].content[0]") && said.contains("`text` and `image`"), "{said}");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_conversation_begins_once_though_its_provider_is_alive() {
    let said = [
        r#"{"type":"message_start","message":{"id":"msg_1","model":"c","usage":{"input_tokens":3,"output_tokens":1}}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"one"}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let events = said.map(|data| {
        let kind = data.split('"').nth(3).unwrap();
        format!("event: {kind}\ndata: {data}\n\n")
    });
    let upstream = Upstream::always(vec![stream_head(), chunk(events.concat().as_bytes()), last_chunk()]).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("Anthropic", upstream.address, ""))], &[]).unwrap();
    let got = proxy.client().post(CONVERSE_STREAM, JSON, CONVERSED).await.unwrap();
    let events = conversed(&got.body);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let [text, alive] = ["contentBlockDelta"; 2];
    assert_eq!(names, ["messageStart", text, alive, "contentBlockStop", "messageStop", "metadata"], "{events:?}");
    assert_eq!(told(&events), "one");
}

#[tokio::test]
async fn a_guardrail_that_invoke_model_asks_for_goes_to_bedrock_and_nobody_answers_without_it() {
    let said = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;
    let upstream = Upstream::always(vec![answer(200, JSON, said.as_bytes())]).unwrap();
    let guarded = [
        ("content-type", "application/json"),
        ("x-amzn-bedrock-guardrailidentifier", "gr-1"),
        ("x-amzn-bedrock-guardrailversion", "DRAFT"),
        ("x-amzn-bedrock-trace", "ENABLED"),
        ("x-amzn-bedrock-performanceconfig-latency", "optimized"),
        ("x-amzn-oidc-identity", "somebody"),
    ];
    let proxy = Proxy::start(&[("all.yaml", &one("Bedrock", upstream.address, ""))], &[]).unwrap();
    assert!(proxy.client().post(INVOKE, &guarded, ASKED).await.unwrap().is_good());
    let head = upstream.received().pop().unwrap().head.to_lowercase();
    for (name, value) in &guarded[1..5] {
        assert!(head.contains(&format!("{name}: {}", value.to_lowercase())), "{head}");
    }
    assert!(!head.contains("oidc"), "{head}");
    // Another caller's header of the name says nothing, and another provider would answer without the guardrail.
    assert!(proxy.client().post(MESSAGES, &guarded, message("claude-m", false)).await.unwrap().is_good());
    assert!(!upstream.received().pop().unwrap().head.contains("guardrail"));
    let proxy = Proxy::start(&[("all.yaml", &one("Anthropic", upstream.address, ""))], &[]).unwrap();
    let refused = proxy.client().post(INVOKE, &guarded, ASKED).await.unwrap();
    assert_eq!(
        (refused.status, refused.header("x-amzn-errortype")),
        (400, "ValidationException"),
        "{}",
        refused.text()
    );
    assert!(refused.text().contains("guardrail"), "{}", refused.text());
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test]
async fn a_body_that_is_not_anthropics_costs_nobody_an_answer() {
    let upstream = Upstream::always(vec![answer(200, JSON, br#"{"generation":"x","stop_reason":"stop"}"#)]).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("Bedrock", upstream.address, ""))], &[]).unwrap();
    let refused = proxy.client().post("/model/m/invoke", JSON, r#"{"prompt":"x","max_gen_len":5}"#).await.unwrap();
    assert_eq!(
        (refused.status, refused.header("x-amzn-errortype")),
        (400, "ValidationException"),
        "{}",
        refused.text()
    );
    assert!(refused.text().contains("anthropic_version"), "{}", refused.text());
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test]
async fn an_error_that_a_header_names_moves_on_where_it_is_not_the_callers() {
    for (status, name) in [
        (400, "ServiceQuotaExceededException"),
        (400, "ThrottlingException"),
        (424, "ModelErrorException"),
        (408, "ModelTimeoutException"),
    ] {
        let head = [("content-type", "application/json"), ("x-amzn-errortype", name)];
        let upstream = Upstream::start(move |received| match received.head.contains("/one/") {
            true => vec![answer(status, &head, br#"{"message":"x"}"#)],
            false => vec![answer(200, JSON, br#"{"output":{"message":{"role":"assistant","content":[{"text":"fine"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}"#)],
        })
        .unwrap();
        let address = upstream.address;
        let of = |name: &str| format!("  - {{name: {name}, type: Bedrock, url: \"http://{address}/{name}\"}}\n");
        let text = pool("p", &[of("one"), of("two")], "  loadBalancing: {strategy: RoundRobin}") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for _ in 0..4 {
            let got = proxy.client().post(CHAT, JSON, chat("m", false)).await.unwrap();
            assert!(got.is_good(), "{name}: {}", got.text());
        }
        let firsts = upstream.received().iter().filter(|received| received.head.contains("/one/")).count();
        assert!(firsts > 0, "{name}: nobody asked the one that fails");
    }
}
