//! Google Vertex AI: Google's and Anthropic's models there as a provider, and callers who address the gateway as they would address it.

use serde_json::{Value, json};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};

use crate::resources::{CHAT, MESSAGES, SAVED, WAYS, chat, events, good, message, pool, provider, rule};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const PLACE: &str = "vertexAI: {project: own-1, location: europe-west1}";
const THEIRS: &str = "/projects/theirs/locations/us-east5/publishers";
const PREDICTED: &str = r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":64,"messages":[{"role":"user","content":"Say something."}]}"#;
const ASKED: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Say something."}]}]}"#;

fn named(model: &str, kind: &str, address: std::net::SocketAddr, more: &str) -> String {
    let more = if kind == "VertexAI" { format!("{PLACE}, {more}") } else { more.to_owned() };
    let name = if model.starts_with("claude") { "claude" } else { "gemini" };
    pool(name, &[provider("only", kind, address, &more)], "")
        + &rule(model, &format!("    targets: [{{poolRef: {{name: {name}}}}}]\n"))
}

fn said(events: &[Value]) -> String {
    let text = |event: &Value| {
        let (claudes, geminis) = (&event["delta"]["text"], &event["candidates"][0]["content"]["parts"][0]["text"]);
        claudes.as_str().or_else(|| geminis.as_str()).unwrap_or_default().to_owned()
    };
    events.iter().map(text).collect::<String>().trim().to_owned()
}

#[tokio::test]
async fn every_provider_answers_and_every_caller_is_answered() {
    let simulator = good();
    for kind in ["VertexAI", "Anthropic", "Gemini", "OpenAI"] {
        let both = ["claude-x", "gemini-x"].map(|model| named(model, kind, simulator.address, "")).concat();
        let proxy = Proxy::start(&[("all.yaml", &both)], &[]).unwrap();
        for version in ["/v1", "/v1beta1"] {
            let of = |end: &str| format!("{version}{THEIRS}{end}");
            let whole =
                proxy.client().post(&of("/anthropic/models/claude-x:rawPredict"), JSON, PREDICTED).await.unwrap();
            assert!(whole.is_good(), "{kind}: {}", whole.text());
            assert_eq!(whole.json()["content"][0]["text"], SAVED, "{kind}");
            let body = PREDICTED.replace("{\"anth", "{\"stream\":true,\"anth");
            let path = of("/anthropic/models/claude-x:streamRawPredict");
            let streamed = proxy.client().post(&path, JSON, body).await.unwrap();
            let seen = events(&streamed);
            assert_eq!(
                (said(&seen).as_str(), &seen.last().unwrap()["type"]),
                (SAVED, &json!("message_stop")),
                "{kind}"
            );
            for path in [of("/google/models/gemini-x:"), format!("{version}/publishers/google/models/gemini-x:")] {
                let whole = proxy.client().post(&format!("{path}generateContent"), JSON, ASKED).await.unwrap();
                assert!(whole.is_good(), "{kind} {path}: {}", whole.text());
                assert_eq!(said(&[whole.json()]), SAVED, "{kind}");
                let path = format!("{path}streamGenerateContent?alt=sse");
                let streamed = proxy.client().post(&path, JSON, ASKED).await.unwrap();
                assert_eq!(said(&events(&streamed)), SAVED, "{kind}");
            }
        }
        for (way, model) in WAYS.into_iter().flat_map(|way| [(way, "claude-x"), (way, "gemini-x")]) {
            let answer = way.call(&proxy.client(), model, &[]).await;
            assert!(answer.is_good() && (!way.stream || way.says_end(&answer)), "{kind} {way:?}: {}", answer.text());
            assert_eq!(way.said(&answer).trim(), SAVED, "{kind} {model} {way:?}");
        }
    }
}

#[tokio::test]
async fn each_publishers_models_are_asked_for_at_its_own_place_in_its_own_words() {
    let upstream = Upstream::start(|received| {
        let said = match received.head.contains("/google/") {
            true => r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"x"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}"#,
            false => r#"{"id":"msg_1" ,"type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"x", "new":1.50}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#,
        };
        vec![answer(200, JSON, said.as_bytes())]
    })
    .unwrap();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {api-key: ya29.own-token}\n---\n";
    let models = "models: [{name: claude-x, upstreamName: claude-sonnet-4-5@20250929}, {name: gemini-x}], credentials: {secretRef: {name: key}}";
    let all = ["claude-x", "gemini-x"].map(|model| named(model, "VertexAI", upstream.address, models)).concat();
    let proxy = Proxy::start(&[("all.yaml", &(secret.to_owned() + &all))], &[]).unwrap();
    let place = "/v1/projects/own-1/locations/europe-west1/publishers";
    let claude = format!("{place}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict");
    let gemini = format!("{place}/google/models/gemini-x:generateContent");
    let plain = r#"{"max_tokens":9, "model":"claude-x","messages" :[{"role":"user","content":"x", "n":1.50e2}],"new":{"a":[ ]}}"#;
    let packed = r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":9, "messages" :[{"role":"user","content":"x", "n":1.50e2}],"new":{"a":[ ]}}"#;
    let theirs = format!("/v1{THEIRS}/anthropic/models/claude-x:rawPredict");
    let google = format!("/v1beta1{THEIRS}/google/models/gemini-x:generateContent");
    for (path, body, at, sent) in [
        (MESSAGES, plain, &claude, packed),
        (theirs.as_str(), packed, &claude, packed),
        (google.as_str(), ASKED, &gemini, ASKED),
        ("/v1beta/models/gemini-x:generateContent", ASKED, &gemini, ASKED),
    ] {
        let callers = [("authorization", "Bearer callers-own"), ("anthropic-beta", "a-1"), JSON[0]];
        let got = proxy.client().post(path, &callers, body.to_owned()).await.unwrap();
        assert_eq!(got.status, 200, "{path}: {}", got.text());
        let received = upstream.received().pop().unwrap();
        assert!(received.head.starts_with(&format!("POST {at} ")), "{}", received.head);
        assert_eq!(String::from_utf8_lossy(&received.body), sent, "{path}");
        let head = received.head.to_lowercase();
        assert!(head.contains("authorization: bearer ya29.own-token") && !head.contains("callers-own"), "{head}");
        assert_eq!(head.contains("anthropic-beta: a-1"), at == &claude, "{head}");
    }
    for (path, body, at) in [(CHAT, chat("claude-x", false), &claude), (MESSAGES, message("gemini-x", false), &gemini)]
    {
        let got = proxy.client().post(path, JSON, body).await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
        assert!(upstream.received().pop().unwrap().head.starts_with(&format!("POST {at} ")));
    }
}

#[tokio::test]
async fn tokens_are_counted_as_each_host_wants_to_be_asked() {
    let simulator = good();
    let counted = |answer: &Value| answer["totalTokens"].as_u64().or_else(|| answer["input_tokens"].as_u64());
    let flat = r#"{"contents":[{"role":"user","parts":[{"text":"Say something."}]}]}"#;
    let packed = r#"{"generateContentRequest":{"model":"models/gemini-x","contents":[{"role":"user","parts":[{"text":"Say something."}]}]}}"#;
    let theirs = format!("/v1beta1{THEIRS}/google/models/gemini-x:countTokens");
    let predicted = format!("/v1{THEIRS}/anthropic/models/count-tokens:rawPredict");
    let claudes = r#"{"model":"claude-x","messages":[{"role":"user","content":"Say something."}]}"#;
    for kind in ["VertexAI", "Gemini", "Anthropic"] {
        let both = ["claude-x", "gemini-x"].map(|model| named(model, kind, simulator.address, "")).concat();
        let proxy = Proxy::start(&[("all.yaml", &both)], &[]).unwrap();
        for (path, body) in [
            (theirs.as_str(), flat.to_owned()),
            ("/v1beta/models/gemini-x:countTokens", flat.to_owned()),
            ("/v1beta/models/gemini-x:countTokens", packed.to_owned()),
            (predicted.as_str(), claudes.to_owned()),
            (predicted.as_str(), claudes.replace("{\"model", "{\"anthropic_version\":\"vertex-2023-10-16\",\"model")),
            ("/v1/messages/count_tokens", claudes.to_owned()),
            ("/v1/messages/count_tokens", claudes.replace("claude-x", "gemini-x")),
        ] {
            let got = proxy.client().post(path, JSON, body).await.unwrap();
            assert_eq!(got.status, 200, "{kind} {path}: {}", got.text());
            assert!(counted(&got.json()).is_some_and(|tokens| tokens > 0), "{kind} {path}: {}", got.text());
        }
    }
}
