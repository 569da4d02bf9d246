//! Each vendor's own words: headers that stay with its callers, paths that are its own, exceptions and ids that its clients look for.

use serde_json::Value;
use sluicegate_tests::client::Answer;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer, chunk, last_chunk};

use crate::resources::{CHAT, MESSAGES, chat, message, plain_upstream, pool, provider, route};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const CONVERSED: &str = r#"{"messages":[{"role":"user","content":[{"text":"?"}]}]}"#;
const INVOKED: &str =
    r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"?"}]}"#;
const GEMINI: &str = r#"{"contents":[{"role":"user","parts":[{"text":"?"}]}]}"#;

fn gateway(kind: &str, upstream: &Upstream) -> Proxy {
    let text = pool("p", &[provider("only", kind, upstream.address, "")], "  retry: {attempts: 1}") + &route("m", "p");
    Proxy::start(&[("all.yaml", &text)], &[]).unwrap()
}

/// A whole call in every dialect: its vendor, path and body.
fn calls() -> [(&'static str, String, String); 8] {
    let responses = r#"{"model":"m","input":"?"}"#.to_owned();
    let completions = r#"{"model":"m","prompt":"?"}"#.to_owned();
    let cohere = r#"{"model":"m","messages":[{"role":"user","content":"?"}]}"#.to_owned();
    [
        ("openai", CHAT.to_owned(), chat("m", false)),
        ("openai", "/v1/responses".to_owned(), responses),
        ("openai", "/v1/completions".to_owned(), completions),
        ("anthropic", MESSAGES.to_owned(), message("m", false)),
        ("google", "/v1beta/models/m:generateContent".to_owned(), GEMINI.to_owned()),
        ("amazon", "/model/m/invoke".to_owned(), INVOKED.to_owned()),
        ("amazon", "/model/m/converse".to_owned(), CONVERSED.to_owned()),
        ("cohere", "/v2/chat".to_owned(), cohere),
    ]
}

/// The name of an error in its vendor's shape; empty: it is in another one.
fn name_of(vendor: &str, answer: &Answer) -> String {
    let body = answer.json();
    let text = |at: &str| body.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    match vendor {
        "openai" if body["error"].get("param").is_some() => text("/error/type"),
        "anthropic" if body["type"] == "error" => text("/error/type"),
        "google" => text("/error/status"),
        "amazon" => answer.header("x-amzn-errortype").to_owned(),
        "cohere" if body.get("error").is_none() && !text("/message").is_empty() => text("/id"),
        _ => String::new(),
    }
}

#[tokio::test]
async fn a_vendors_headers_reach_its_own_callers_and_no_others() {
    let own = [
        ("content-type", "application/json"),
        ("x-amzn-errortype", "ValidationException"),
        ("x-amzn-requestid", "amzn-1"),
        ("x-amzn-bedrock-input-token-count", "3"),
        ("anthropic-ratelimit-tokens-limit", "9"),
        ("openai-processing-ms", "3"),
        ("x-ratelimit-limit-tokens", "9"),
        ("x-gemini-service-tier", "standard"),
        ("x-should-retry", "false"),
    ];
    let error = move |received: &Received| {
        let body: &[u8] = match () {
            () if received.head.contains("/model/") => br#"{"message":"no","__type":"ValidationException"}"#,
            () if received.head.contains("/v2/") => br#"{"message":"no","id":"theirs"}"#,
            () => br#"{"error":{"message":"no","type":"invalid_request_error","param":null,"status":"INVALID_ARGUMENT"},"type":"error"}"#,
        };
        vec![answer(400, &own, body)]
    };
    let upstream = Upstream::start(error).unwrap();
    for (kind, vendor) in [
        ("Bedrock", "amazon"),
        ("OpenAI", "openai"),
        ("Anthropic", "anthropic"),
        ("Gemini", "google"),
        ("Cohere", "cohere"),
    ] {
        let proxy = gateway(kind, &upstream);
        for (caller, path, body) in calls() {
            let got = proxy.client().post(&path, JSON, body).await.unwrap();
            let told = format!("{kind} to {path}: {:?} {}", got.headers, got.text());
            assert!(got.status == 400 && !name_of(caller, &got).is_empty(), "{told}");
            assert_eq!(got.header("x-should-retry"), "false", "{told}");
            let foreign = |name: &str| caller != vendor && !got.header(name).is_empty();
            for name in ["x-amzn-bedrock-input-token-count", "openai-processing-ms", "x-gemini-service-tier"] {
                assert!(!foreign(name), "{name}: {told}");
            }
            for name in ["anthropic-ratelimit-tokens-limit", "x-ratelimit-limit-tokens"] {
                assert!(!foreign(name), "{name}: {told}");
            }
            if caller != "amazon" && vendor != caller {
                assert_eq!(got.header("x-amzn-errortype"), "", "{told}");
                assert_eq!(got.header("x-amzn-requestid"), "", "{told}");
            }
            if (vendor, caller) == ("amazon", "openai") {
                assert_eq!(got.header("x-upstream-request-id"), "amzn-1", "{told}");
            }
            if vendor == caller {
                assert_eq!(got.header("openai-processing-ms"), "3", "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_streams_headers_are_chosen_as_an_errors_are() {
    let said = chunk(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    let head = Act::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nopenai-processing-ms: 3\r\nx-request-id: theirs\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
    );
    let upstream = Upstream::always(vec![head, said, last_chunk()]).unwrap();
    let proxy = gateway("OpenAI", &upstream);
    for (path, body, own) in [(CHAT, chat("m", true), "3"), (MESSAGES, message("m", true), "")] {
        let got = proxy.client().post(path, JSON, body).await.unwrap();
        assert!(got.is_good(), "{path}: {}", got.text());
        assert_eq!(
            (got.header("openai-processing-ms"), got.header("x-upstream-request-id")),
            (own, "theirs"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn paths_that_nobody_answers_are_told_of_in_their_vendors_words() {
    let proxy = gateway("OpenAI", &plain_upstream());
    for (vendor, name, path) in [
        ("amazon", "ResourceNotFoundException", "/model/m/invoke-model"),
        ("amazon", "ResourceNotFoundException", "/model/m/apply-guardrail"),
        ("amazon", "ResourceNotFoundException", "/guardrail/g/version/1/apply"),
        ("google", "NOT_FOUND", "/v1beta/models/m:predict"),
        ("google", "NOT_FOUND", "/v1/models/m:predict"),
        ("google", "NOT_FOUND", "/v1beta/cachedContents"),
        ("google", "NOT_FOUND", "/v1/projects/p/locations/l/publishers/google/models/m:predict"),
        ("google", "NOT_FOUND", "/v1/projects/p/locations/l/endpoints/e:predict"),
        ("anthropic", "not_found_error", "/v1/projects/p/locations/l/publishers/anthropic/models/m:predict"),
        ("anthropic", "not_found_error", "/v1/messages/batches"),
        ("openai", "invalid_request_error", "/openai/deployments/m/images/variations"),
        ("openai", "invalid_request_error", "/v1/uploads"),
    ] {
        let got = proxy.client().post(path, JSON, "{}").await.unwrap();
        assert_eq!((got.status, name_of(vendor, &got).as_str()), (404, name), "{path}: {}", got.text());
    }
    let got = proxy.client().post("/v2/classify", JSON, "{}").await.unwrap();
    assert!(got.status == 404 && name_of("cohere", &got) == got.header("x-request-id"), "{}", got.text());
}

#[tokio::test]
async fn a_whole_failure_is_told_by_an_exception_of_whole_answers() {
    let upstream = Upstream::always(vec![answer(502, &[("content-type", "text/html")], b"<html>")]).unwrap();
    let proxy = gateway("OpenAI", &upstream);
    for (path, body) in [
        ("/model/m/converse", CONVERSED),
        ("/model/m/converse-stream", CONVERSED),
        ("/model/m/invoke", INVOKED),
        ("/model/m/invoke-with-response-stream", INVOKED),
    ] {
        let got = proxy.client().post(path, JSON, body).await.unwrap();
        let told = (got.status, got.header("x-amzn-errortype"), got.json()["__type"].as_str().unwrap().to_owned());
        assert_eq!(told, (424, "ModelErrorException", "ModelErrorException".to_owned()), "{path}: {}", got.text());
    }
}

#[tokio::test]
async fn a_page_of_a_proxy_before_a_provider_is_told_in_the_callers_words() {
    for (page, is_page) in [("\n<html><body>Bad gateway</body></html>", true), ("", true), ("upstream is busy", false)]
    {
        let upstream = Upstream::always(vec![answer(502, &[("content-type", "text/html")], page.as_bytes())]).unwrap();
        let proxy = gateway("OpenAI", &upstream);
        let asked = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
        let got = proxy.client().post("/v1/chat/completions", JSON, asked).await.unwrap();
        assert_eq!((got.status, got.text() == page), (502, !is_page), "{}", got.text());
        if is_page {
            assert!(got.json()["error"]["message"].as_str().unwrap().contains("status 502"), "{}", got.text());
            assert_eq!(got.header("content-type"), "application/json");
        }
    }
}

#[tokio::test]
async fn vectors_for_coheres_callers_have_an_id() {
    let said = br#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}"#;
    let upstream = Upstream::always(vec![answer(200, JSON, said)]).unwrap();
    let proxy = gateway("OpenAI", &upstream);
    let asked = r#"{"model":"m","texts":["x"],"input_type":"search_query","embedding_types":["float"]}"#;
    let got = proxy.client().post("/v2/embed", JSON, asked).await.unwrap();
    let id = got.json()["id"].as_str().unwrap_or_default().to_owned();
    assert!(got.is_good() && !id.is_empty() && id == got.header("x-request-id"), "{}", got.text());
}
