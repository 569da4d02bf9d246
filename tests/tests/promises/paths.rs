//! Paths that the gateway has no words for: they pass where a rule names them, as they came, and get round nothing that a known path holds.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use sluicegate_tests::client::{Answer, Client, raw};
use sluicegate_tests::listen::free_port;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, SAVED, chat, openai_whole, pool, provider, route};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {api-key: key-of-the-gateway}\n---\n";
const KEYED: &str = "credentials: {secretRef: {name: s}}";

/// A route named `paths` of one rule. `matches` are its conditions, `more` further lines of the rule.
fn named(matches: &str, more: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: paths}}\nspec:\n  rules:\n  - name: beside\n    \
         matches: [{matches}]\n    targets: [{{poolRef: {{name: p}}}}]\n{more}---\n"
    )
}

fn gateway(providers: &[String], matches: &str, more: &str) -> Proxy {
    let text = SECRET.to_owned() + &pool("p", providers, "") + &named(matches, more) + &route("m", "p");
    Proxy::start(&[("all.yaml", &text)], &[]).unwrap()
}

const BOTH: &str = "{path: {exact: /tokenize}}, {path: {prefix: /v1/fine_tuning/}}";

async fn call(client: &Client, (method, path): (&str, &str), headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send(request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_path_that_a_rule_names_passes_as_it_came_and_no_other_does() {
    let upstream = Upstream::start(|received| {
        let noise = b"\xff\xfe{not json".as_slice();
        vec![match received.head.split(' ').next().unwrap() {
            "POST" => answer(201, &[("content-type", "text/x-odd"), ("x-own", "kept")], noise),
            "DELETE" => Act::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            "PUT" => answer(200, &JSON, b""),
            "PATCH" => answer(409, &JSON, br#"{"odd":"error"}"#),
            _ => answer(200, &[("content-type", "text/plain")], b"here"),
        }]
    })
    .unwrap();
    let proxy = gateway(&[provider("only", "OpenAI", upstream.address, KEYED)], BOTH, "");
    let client = proxy.client();
    let headers =
        [("authorization", "Bearer key-of-the-caller"), ("content-type", "a/b; c=d"), ("x-forwarded-user", "x")];
    let jobs = "/v1/fine_tuning/jobs/ft%3A1?after=a%20b&key=key-of-the-caller&limit=2";
    for (method, path, sent, status, kind, body) in [
        ("GET", jobs, "/v1/fine_tuning/jobs/ft%3A1?after=a%20b&limit=2", 200, "text/plain", &b"here"[..]),
        ("POST", "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs", 201, "text/x-odd", b"\xff\xfe{not json"),
        ("DELETE", "/v1/fine_tuning/jobs/1", "/v1/fine_tuning/jobs/1", 204, "", b""),
        ("PUT", "/tokenize", "/tokenize", 200, "application/json", b""),
        ("PATCH", "/tokenize/", "/tokenize/", 409, "application/json", br#"{"odd":"error"}"#),
    ] {
        let request = format!("any bytes \0\u{7} of {method}");
        let got = call(&client, (method, path), &headers, request.as_bytes()).await;
        assert_eq!((got.status, got.header("content-type"), &got.body[..]), (status, kind, body), "{method}");
        let received = upstream.received().pop().unwrap();
        assert!(received.head.starts_with(&format!("{method} {sent} HTTP/1.1\r\n")), "{}", received.head);
        assert_eq!(received.header("authorization"), "Bearer key-of-the-gateway");
        assert_eq!((received.header("content-type"), received.header("x-forwarded-user")), ("a/b; c=d", ""));
        assert!(received.body == request.as_bytes() && !received.head.contains("key-of-the-caller"));
    }
    for path in ["/tokenize/x", "/v1/fine_tuning", "/v1/uploads", "/Tokenize", "/metrics", "/config"] {
        let got = call(&client, ("POST", path), &headers, b"{}").await;
        assert_eq!((got.status, &got.json()["error"]["code"]), (404, &Value::from("unknown_url")), "{path}");
    }
    assert_eq!(upstream.calls(), 5);
    let allowed = call(&client, ("OPTIONS", "/tokenize"), &[], b"").await;
    assert_eq!((allowed.status, allowed.header("allow")), (204, "GET, POST, PUT, PATCH, DELETE, OPTIONS"));
    let metrics = proxy.metrics().unwrap();
    let counted =
        |name| metrics.sum("gen_ai_server_request_duration_seconds_count", &[("gen_ai_operation_name", name)]);
    assert_eq!(counted("named_path"), 5.0, "{}", metrics.0);
    let done = [("route", "default/paths"), ("outcome", "done")];
    assert_eq!(metrics.sum("sluicegate_requests_total", &done), 4.0, "{}", metrics.0);
    let of_calls = |line: &&String| line.contains("\"operation\":\"named_path\"");
    proxy.until("the calls are in the log", |proxy| proxy.log().iter().filter(of_calls).count() == 5).await.unwrap();
}

#[tokio::test]
async fn a_path_stands_where_the_providers_own_version_does() {
    for (kind, below, path, sent) in [
        ("OpenAICompatible", "/openai/v1", "/v1/fine_tuning/x", "/openai/v1/fine_tuning/x"),
        ("OpenAICompatible", "/v1", "/tokenize", "/tokenize"),
        ("OpenAICompatible", "/vendor", "/tokenize", "/vendor/tokenize"),
        ("Anthropic", "", "/v1/fine_tuning/x", "/v1/fine_tuning/x"),
        ("Cohere", "", "/v1/fine_tuning/x", "/v1/fine_tuning/x"),
        ("Gemini", "", "/v1/fine_tuning/x", "/v1/fine_tuning/x"),
        ("AzureOpenAI", "", "/v1/fine_tuning/x", "/v1/fine_tuning/x"),
        ("Bedrock", "", "/tokenize", "/tokenize"),
    ] {
        let upstream = Upstream::always(vec![answer(200, &JSON, b"{}")]).unwrap();
        let at = format!("  - {{name: a, type: {kind}, url: \"http://{}{below}\", {KEYED}}}\n", upstream.address);
        let proxy = gateway(&[at], BOTH, "");
        let got = proxy.client().get(path).await.unwrap();
        assert_eq!(got.status, 200, "{kind} {below}: {}", got.text());
        let received = upstream.received().pop().unwrap();
        assert!(received.head.starts_with(&format!("GET {sent} ")), "{kind}: {}", received.head);
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_round_what_a_known_path_refuses() {
    let upstream = Upstream::always(vec![answer(200, &JSON, b"{}")]).unwrap();
    let below = "{path: {prefix: /v1/fine_tuning/}}, {path: {prefix: /proxy/}}";
    let proxy = gateway(&[provider("only", "OpenAI", upstream.address, KEYED)], below, "");
    let said = async |request: &str| {
        let (seen, _) = raw(proxy.address, request.as_bytes(), usize::MAX).await.unwrap();
        String::from_utf8_lossy(&seen).into_owned()
    };
    for (target, status) in [
        ("/v1/fine_tuning/../files/file-1", 404),
        ("/v1/fine_tuning/..%2Ffiles/file-1", 404),
        ("/v1/fine_tuning/%2e%2e/files/file-1", 404),
        ("/v1/fine_tuning/.%2E/files", 404),
        ("/v1/fine_tuning/..;/files", 404),
        ("/v1/fine_tuning/..\\files", 404),
        ("/v1/fine_tuning/%5c..%5cfiles", 404),
        ("/v1/fine_tuning/%252e%252e/files", 404),
        ("/v1/fine_tuning//files", 404),
        ("//v1/fine_tuning/jobs", 404),
        ("/v1//fine_tuning/jobs", 404),
        ("/v1/fine_tuning/jobs//", 404),
        ("/v1/./fine_tuning/jobs", 404),
        ("/v1/fine_tuning/a%00b", 404),
        ("/v1/fine_tuning/a%0d%0aHost:b", 404),
        ("/v1/fine_tuning/a%3fb", 404),
        ("/v1/%66ine_tuning/jobs", 404),
        ("/proxy/../v1/responses/resp_1", 404),
        ("/proxy/projects/p/locations/l/publishers/google/models/gemini:predict", 404),
        ("/v1/files/file-1", 404),
        ("/v1/responses/resp_1", 404),
        ("/v1/batches/batch_1", 404),
        ("/V1/FILES/file-1", 404),
        ("http://elsewhere.example/v1/files/file-1", 404),
        ("http://elsewhere.example/metrics", 404),
    ] {
        let got = said(&format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status}")) || got.starts_with("HTTP/1.1 400"), "{target}: {got}");
    }
    for method in ["HEAD", "TRACE", "PROPFIND", "LINK", "get"] {
        let got = said(&format!("{method} /proxy/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        assert!(got.starts_with("HTTP/1.1 405"), "{method}: {got}");
    }
    let upgrade = "GET /proxy/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n";
    assert!(said(upgrade).await.starts_with("HTTP/1.1 426"));
    assert_eq!(upstream.calls(), 0);
    // In the whole form of an address a path is a path.
    let whole = "GET http://elsewhere.example/proxy/x HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n";
    assert!(said(whole).await.starts_with("HTTP/1.1 200"));
    let received = upstream.received().pop().unwrap();
    assert!(received.head.starts_with("GET /proxy/x ") && received.header("host") == upstream.address.to_string());
}

#[tokio::test]
async fn what_may_be_repeated_is_saved_by_the_next_and_anything_else_is_sent_once() {
    let second = || Upstream::always(vec![answer(200, &JSON, SAVED.as_bytes())]).unwrap();
    let gateway = |first: &str, second: &Upstream| {
        let first = format!("  - {{name: first, type: OpenAI, url: \"http://{first}\"}}\n");
        gateway(&[first, provider("second", "OpenAI", second.address, "priority: 1")], BOTH, "")
    };
    let unavailable = answer(503, &JSON, br#"{"error":{"message":"full"}}"#);
    for (first, told) in [(vec![Act::Reset], 502), (vec![unavailable], 503)] {
        for (method, is_saved) in [("GET", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false)] {
            let (failing, next) = (Upstream::always(first.clone()).unwrap(), second());
            let proxy = gateway(&failing.address.to_string(), &next);
            let got = call(&proxy.client(), (method, "/tokenize"), &[], b"{}").await;
            let wanted = if is_saved { 200 } else { told };
            assert_eq!(
                (got.status, failing.calls(), next.calls()),
                (wanted, 1, u64::from(is_saved)),
                "{method} {told}"
            );
        }
    }
    // Nobody has seen it.
    let next = second();
    let proxy = gateway(&format!("127.0.0.1:{}", free_port().unwrap()), &next);
    let got = call(&proxy.client(), ("POST", "/tokenize"), &[], b"{}").await;
    assert_eq!((got.text(), next.calls()), (SAVED.to_owned(), 1));
}

#[tokio::test]
async fn a_path_is_for_those_whom_its_rule_lets_in_and_under_its_limits() {
    let upstream = Upstream::always(vec![answer(200, &JSON, b"{}")]).unwrap();
    let secret = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{api-key: key-of-{name}-that-nobody-knows}}\n---\n"
        )
    };
    let consumer = |name: &str| {
        format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec: {{keys: [{{name: k, secretRef: {{name: {name}}}}}], models: {{allow: [{{exact: nothing}}]}}}}\n---\n"
        )
    };
    let limited = "    limits: {rate: [{per: Consumer, unit: Requests, amount: 2, window: 1h}]}\n";
    let matches = "{path: {prefix: /v1/fine_tuning/}, consumers: {names: [ann]}}";
    let text = [secret("ann"), secret("bob"), consumer("ann"), consumer("bob")].concat()
        + &pool("p", &[provider("only", "OpenAI", upstream.address, "")], "")
        + &named(matches, limited);
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--access", "known"]).unwrap();
    let client = proxy.client();
    let jobs = "/v1/fine_tuning/jobs";
    let asked = async |path: &str, key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        call(&client, ("GET", path), if key.is_empty() { &[] } else { &headers }, b"").await
    };
    // Whoever may not have it can not tell it from one that is not there.
    for path in [jobs, "/v1/other/jobs"] {
        assert_eq!(asked(path, "").await.status, 401, "{path}");
        assert_eq!(asked(path, "wrong-key-that-nobody-has").await.status, 401, "{path}");
        let other = asked(path, "key-of-bob-that-nobody-knows").await;
        assert_eq!((other.status, &other.json()["error"]["code"]), (404, &Value::from("unknown_url")), "{path}");
    }
    assert_eq!(upstream.calls(), 0);
    for status in [200, 200, 429] {
        assert_eq!(asked(jobs, "key-of-ann-that-nobody-knows").await.status, status);
    }
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test]
async fn events_pass_as_they_come_and_a_cut_answer_never_looks_whole() {
    let event = b"event: odd\ndata: {\"usage\":{\"total_tokens\":9}}\n\n".as_slice();
    let upstream = Upstream::start(move |received| {
        let mut acts = vec![stream_head(), chunk(event), chunk(b"data: half")];
        acts.push(if received.head.starts_with("GET /tokenize") { last_chunk() } else { Act::Reset });
        acts
    })
    .unwrap();
    let proxy = gateway(&[provider("only", "OpenAI", upstream.address, "")], BOTH, "");
    let whole = call(&proxy.client(), ("GET", "/tokenize"), &[], b"").await;
    assert_eq!((whole.status, whole.whole, whole.header("content-type")), (200, true, "text/event-stream"));
    assert_eq!(whole.body, [event, b"data: half"].concat());
    let cut = call(&proxy.client(), ("GET", "/v1/fine_tuning/events"), &[], b"").await;
    assert!(!cut.whole && cut.body == [event, b"data: half"].concat(), "{}", cut.text());
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test]
async fn nothing_that_a_path_answers_keeps_other_calls_from_its_provider() {
    for status in [401, 403, 429, 500, 503] {
        let upstream = Upstream::start(move |received| match received.head.starts_with("GET") {
            true => vec![answer(status, &[JSON[0], ("retry-after", "60")], b"{}")],
            false => vec![openai_whole("fine")],
        })
        .unwrap();
        let proxy = gateway(&[provider("only", "OpenAI", upstream.address, KEYED)], BOTH, "");
        for _ in 0..12 {
            assert_ne!(proxy.client().get("/tokenize").await.unwrap().status, 200);
        }
        let got = proxy.client().post(CHAT, &[], chat("m", false)).await.unwrap();
        assert!(got.is_good(), "{status}: {}", got.text());
    }
}
