//! Where caller and provider speak the same dialect, bytes pass as they are, in both directions.

use std::ops::Range;

use serde_json::Value;
use sluicegate_tests::client::{Client, raw};
use sluicegate_tests::load::post;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, openai_whole, plain_upstream, pool, provider, route, rule};

/// Odd, and valid: spaces, escapes, numbers no double can hold, unknown fields, keys twice where nobody looks.
const ODD_CHAT: &str = "\r\n { \"zeta\" : [1 , 2.50e+003,\t-0.0, 123456789012345678901234567890],\n  \"messages\":[ {\"role\":\"user\" , \"content\":\"caf\\u00e9 \\ud83d\\ude00 \\/ \u{1F600} \\u0000\",\"x\":{\"a\":1,\"a\":2}} ],\"model\" : \"m\", \"seed\":1e400 ,\"future_field\":{\"deep\":[[[{}]]]}  }  \n";
const ODD_MESSAGE: &str = "{\"max_tokens\" : 1.0e1,\"model\":\"m\",\"system\":[{\"type\":\"text\",\"text\":\"a\\tb\",\"cache_control\":{\"type\":\"ephemeral\"}}] ,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"future\",\"n\":0.10000000000000000001}]}],\"future\":null}";

fn one(kind: &str, upstream: &Upstream, more: &str) -> String {
    pool("p", &[provider("only", kind, upstream.address, more)], "") + &route("m", "p")
}

/// What of `after` stands where `before` had something else: both share everything outside of these ranges.
fn difference(before: &[u8], after: &[u8]) -> (Range<usize>, Range<usize>) {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let most = before.len().min(after.len()) - start;
    let end = before.iter().rev().zip(after.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    (start..before.len() - end, start..after.len() - end)
}

#[tokio::test]
async fn a_whole_call_passes_byte_by_byte_in_both_directions() {
    let reply = "{\n\t\"id\" : \"x\\u0041\", \"content\":[{}],\"choices\":[{\"message\":{\"content\":\"\\ud83d\\ude00\"},\"n\":1.000000000000000000001}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1},\"new\":[ ] }\r\n";
    let upstream = Upstream::always(vec![answer(
        200,
        &[("content-type", "application/json"), ("x-theirs", "kept")],
        reply.as_bytes(),
    )])
    .unwrap();
    let cases =
        [("OpenAI", CHAT, ODD_CHAT), ("Anthropic", MESSAGES, ODD_MESSAGE), ("OpenAICompatible", CHAT, ODD_CHAT)];
    for (kind, path, body) in cases {
        let proxy = Proxy::start(&[("all.yaml", &one(kind, &upstream, ""))], &[]).unwrap();
        let got = proxy.client().post(path, &[], body).await.unwrap();
        assert_eq!((got.status, got.text().as_str()), (200, reply));
        assert_eq!(got.header("x-theirs"), "kept");
        let sent = upstream.received().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&sent.body), body, "{kind}");
    }
}

#[tokio::test]
async fn only_the_spliced_fields_change_in_a_request() {
    let upstream = plain_upstream();
    let models = "models: [{name: m, upstreamName: the-provider's-own/name}]";
    let proxy = Proxy::start(&[("all.yaml", &one("OpenAI", &upstream, models))], &[]).unwrap();
    proxy.client().post(CHAT, &[], ODD_CHAT).await.unwrap();
    let sent = upstream.received().pop().unwrap().body;
    let (old, new) = difference(ODD_CHAT.as_bytes(), &sent);
    assert_eq!(&ODD_CHAT[old], "m");
    assert_eq!(String::from_utf8_lossy(&sent[new]), "the-provider's-own/name");
}

#[tokio::test]
async fn a_stream_without_usage_is_asked_for_it_and_the_caller_sees_none() {
    let usage = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}\n\n";
    let text = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}],\"usage\":null}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
    let acts =
        vec![stream_head(), chunk(text.as_bytes()), chunk(usage.as_bytes()), chunk(b"data: [DONE]\n\n"), last_chunk()];
    let upstream = Upstream::always(acts).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("OpenAI", &upstream, ""))], &[]).unwrap();
    let body = "{ \"stream\" :true, \"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"model\":\"m\" ,\"n\":1.0}";
    let got = proxy.client().post(CHAT, &[], body).await.unwrap();
    assert_eq!(got.text(), format!("{text}data: [DONE]\n\n"));
    assert!(got.whole);
    let sent = upstream.received().pop().unwrap().body;
    let (old, new) = difference(body.as_bytes(), &sent);
    assert!(old.is_empty(), "bytes of the caller's were changed: {}", String::from_utf8_lossy(&sent));
    assert!(String::from_utf8_lossy(&sent[new]).contains("include_usage"));
    let value: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!(value["stream_options"]["include_usage"], true);
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_tokens_total", &[("type", "input")]), 7.0, "{}", metrics.0);
    assert_eq!(metrics.sum("sluicegate_tokens_total", &[("type", "output")]), 5.0);
}

#[tokio::test]
async fn a_stream_passes_byte_by_byte_however_it_is_cut() {
    let openai = ": hello\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}], \"n\":1.0}\r\n\r\nevent: odd\ndata:{\"choices\":[{\"delta\":{\"content\":\"\\u00e9\u{e9}\"},\"finish_reason\":null}],\"unknown\": 12345678901234567890123}\n\nid: 7\nretry: 5\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    let anthropic = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: new_thing\ndata: {\"type\":\"new_thing\",\"x\":[1, 2]}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\\ud83d\\ude00\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":4}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for (kind, path, text) in [("OpenAI", CHAT, openai), ("Anthropic", MESSAGES, anthropic)] {
        let body = "{\"model\":\"m\",\"max_tokens\":9,\"stream\": true,\"stream_options\":{\"include_usage\":true , \"x\":1},\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
        for size in [1, 7, 64, 4096] {
            let mut acts = vec![stream_head()];
            acts.extend(text.as_bytes().chunks(size).map(chunk));
            acts.push(last_chunk());
            let upstream = Upstream::always(acts).unwrap();
            let proxy = Proxy::start(&[("all.yaml", &one(kind, &upstream, ""))], &[]).unwrap();
            let got = proxy.client().post(path, &[], body).await.unwrap();
            assert!(got.is_good());
            assert_eq!(got.text(), text, "{kind} in pieces of {size}");
            assert_eq!(String::from_utf8_lossy(&upstream.received().pop().unwrap().body), body);
        }
    }
}

#[tokio::test]
async fn an_event_larger_than_any_buffer_passes_and_what_follows_is_counted() {
    let picture = "x".repeat(17 << 20);
    let large = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{picture}\"}}}}]}}\n\n");
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\n";
    let done = "data: [DONE]\n\n";
    let acts =
        vec![stream_head(), chunk(large.as_bytes()), chunk(usage.as_bytes()), chunk(done.as_bytes()), last_chunk()];
    let upstream = Upstream::always(acts).unwrap();
    let proxy = Proxy::start(&[("all.yaml", &one("OpenAI", &upstream, ""))], &[]).unwrap();
    let body = "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"model\":\"m\"}";
    let got = proxy.client().post(CHAT, &[], body).await.unwrap();
    assert!(got.whole && got.body == format!("{large}{done}"), "{} bytes, whole: {}", got.body.len(), got.whole);
    let metrics = proxy.metrics().unwrap();
    assert_eq!(metrics.sum("sluicegate_tokens_total", &[("type", "output")]), 5.0, "{}", metrics.0);
}

#[tokio::test]
async fn the_callers_credentials_stay_here_and_the_providers_go_with_the_call() {
    let upstream = Upstream::always(vec![openai_whole("fine")]).unwrap();
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {api-key: sk-of-the-provider}\n---\n";
    let with = "credentials: {secretRef: {name: key}}, headers: {pass: [x-mine]}";
    let text = secret.to_owned()
        + &pool("openai", &[provider("only", "OpenAI", upstream.address, with)], "")
        + &pool("anthropic", &[provider("only", "Anthropic", upstream.address, with)], "")
        + &pool("bare", &[provider("only", "OpenAI", upstream.address, "headers: {pass: [X-Mine]}")], "")
        + &route("openai", "openai")
        + &route("anthropic", "anthropic")
        + &route("bare", "bare");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let headers = [
        ("authorization", "Bearer sk-of-the-caller"),
        ("x-api-key", "sk-of-the-caller"),
        ("api-key", "sk-of-the-caller"),
        ("x-goog-api-key", "sk-of-the-caller"),
        ("cookie", "session=sk-of-the-caller"),
        ("proxy-authorization", "Basic sk-of-the-caller"),
        ("anthropic-beta", "kept-1"),
        ("x-mine", "kept-2"),
        ("anthropic-version", "2026-10-21"),
        ("user-agent", "kept-3"),
    ];
    for (model, path) in
        [("openai", CHAT), ("openai", MESSAGES), ("anthropic", MESSAGES), ("anthropic", CHAT), ("bare", CHAT)]
    {
        let body = format!(r#"{{"model":"{model}","max_tokens":5,"messages":[{{"role":"user","content":"a"}}]}}"#);
        proxy.client().post(path, &headers, body).await.unwrap();
        let sent = upstream.received().pop().unwrap();
        assert!(!sent.head.contains("sk-of-the-caller"), "{model} {path}: {}", sent.head);
        assert_eq!(sent.header("x-mine"), "kept-2");
        let key = match model {
            "openai" => sent.header("authorization").strip_prefix("Bearer ").unwrap_or_default(),
            "anthropic" => sent.header("x-api-key"),
            _ => "sk-of-the-provider",
        };
        assert_eq!(key, "sk-of-the-provider", "{model}: {}", sent.head);
        if (model, path) == ("anthropic", MESSAGES) {
            assert_eq!((sent.header("anthropic-beta"), sent.header("anthropic-version")), ("kept-1", "2026-10-21"));
        }
        if model == "bare" {
            assert_eq!(sent.header("authorization"), "", "none is sent where none is configured");
        }
        assert_eq!(sent.header("host"), upstream.address.to_string());
    }
}

#[tokio::test]
async fn of_a_query_only_anthropics_beta_goes_on_and_only_to_anthropic() {
    let upstream = plain_upstream();
    let text = pool("openai", &[provider("only", "OpenAI", upstream.address, "")], "")
        + &pool("anthropic", &[provider("only", "Anthropic", upstream.address, "")], "")
        + &route("openai", "openai")
        + &route("anthropic", "anthropic");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (model, path, line) in [
        ("anthropic", "/v1/messages?key=sk-of-the-caller&beta=true", "POST /v1/messages?beta=true HTTP/1.1"),
        ("anthropic", "/v1/messages/count_tokens?beta=true", "POST /v1/messages/count_tokens?beta=true HTTP/1.1"),
        ("anthropic", "/v1/messages?beta=false", "POST /v1/messages HTTP/1.1"),
        ("openai", "/v1/messages?beta=true", "POST /v1/chat/completions HTTP/1.1"),
        ("anthropic", "/v1/chat/completions?beta=true", "POST /v1/messages HTTP/1.1"),
        ("openai", "/v1/chat/completions?api-version=1&beta=true", "POST /v1/chat/completions HTTP/1.1"),
    ] {
        let body = format!(r#"{{"model":"{model}","max_tokens":5,"messages":[{{"role":"user","content":"a"}}]}}"#);
        let answer = proxy.client().post(path, &[], body).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(upstream.received().pop().unwrap().head.lines().next(), Some(line), "{path}");
    }
}

#[tokio::test]
async fn a_stream_is_one_whatever_its_provider_calls_it() {
    let said = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    for kind in
        [&[("content-type", "text/plain; charset=utf-8")][..], &[("content-type", "Text/Event-Stream;x=1")], &[]]
    {
        let upstream = Upstream::always(vec![answer(200, kind, said.as_bytes())]).unwrap();
        let proxy = Proxy::start(&[("all.yaml", &one("OpenAI", &upstream, ""))], &[]).unwrap();
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}"#;
        let got = proxy.client().post(CHAT, &[], body).await.unwrap();
        assert!(got.is_good() && got.text() == said, "{kind:?}: {}", got.text());
        assert!(got.header("content-type").to_lowercase().starts_with("text/event-stream"), "{kind:?}");
    }
}

#[tokio::test]
async fn headers_of_one_connection_go_no_further() {
    let reply = answer(
        200,
        &[
            ("content-type", "application/json"),
            ("connection", "keep-alive, x-hop"),
            ("keep-alive", "timeout=5"),
            ("set-cookie", "theirs=1"),
            ("x-kept", "1"),
        ],
        br#"{"id":"x","choices":[{"index":0}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
    );
    let upstream = Upstream::always(vec![reply]).unwrap();
    let proxy = Proxy::start(
        &[("all.yaml", &one("OpenAI", &upstream, "headers: {set: [{name: x-set, value: here}], remove: [x-removed]}"))],
        &[],
    )
    .unwrap();
    let headers = [
        ("connection", "close, x-private"),
        ("x-private", "secret"),
        ("connection", "x-private-too"),
        ("x-private-too", "secret"),
        ("keep-alive", "timeout=9"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("proxy-connection", "keep-alive"),
        ("x-removed", "gone"),
        ("x-set", "theirs"),
        ("x-forwarded-for", "1.2.3.4"),
        ("expect", "nothing"),
    ];
    let request = post(CHAT, &headers, r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#);
    let (seen, _) = raw(proxy.address, &request, usize::MAX).await.unwrap();
    let seen = String::from_utf8_lossy(&seen).to_lowercase();
    assert!(seen.starts_with("http/1.1 200"), "{seen}");
    for name in ["keep-alive: timeout=5", "set-cookie", "x-hop"] {
        assert!(!seen.contains(name), "{name} came back: {seen}");
    }
    assert!(seen.contains("x-kept: 1") && seen.contains("x-request-id: "), "{seen}");
    let sent = upstream.received().pop().unwrap();
    for name in [
        "x-private",
        "x-private-too",
        "keep-alive",
        "te",
        "upgrade",
        "proxy-connection",
        "x-removed",
        "x-forwarded-for",
        "expect",
    ] {
        assert_eq!(sent.header(name), "", "{name} went on: {}", sent.head);
    }
    assert_eq!(sent.header("x-set"), "here");
}

#[tokio::test]
async fn models_are_listed_in_both_shapes() {
    let upstream = plain_upstream();
    let models = "models: [{name: large}, {name: small}]";
    let all = "    targets: [{poolRef: {name: p}}]\n";
    let text = pool("p", &[provider("only", "OpenAI", upstream.address, models)], "")
        + &rule("named", all)
        + &rule("also", "    targets: [{poolRef: {name: p}, model: large}]\n")
        + &rule("any", all)
            .replace("{exact: any}", "{prefix: \"\"}")
            .replace("    matches: [{model: {prefix: \"\"}}]\n", "");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client: Client = proxy.client();
    // A name that a rule takes and nobody behind it answers to is none that can be asked for.
    let openai = client.get("/v1/models").await.unwrap().json();
    assert_eq!(openai["object"], "list", "{openai}");
    let ids: Vec<_> = openai["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["also", "large", "small"]);
    assert!(
        openai["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|m| m["object"] == "model" && m["created"].is_i64() && m["owned_by"].is_string())
    );
    let ask = |path: &str| {
        http::Request::get(path)
            .header("anthropic-version", "2023-06-01")
            .body(http_body_util::Full::default())
            .unwrap()
    };
    let anthropic = client.send(ask("/v1/models")).await.unwrap().json();
    assert_eq!(
        (&anthropic["has_more"], &anthropic["first_id"], &anthropic["last_id"]),
        (&false.into(), &"also".into(), &"small".into())
    );
    assert!(
        anthropic["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|m| m["type"] == "model" && m["created_at"].is_string() && m["display_name"].is_string())
    );
    // Page by page, as Anthropic's SDKs do; OpenAI's list is whole but for who asks for a page.
    let page = client.send(ask("/v1/models?limit=2&after_id=also")).await.unwrap().json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&"large".into(), &false.into()), "{page}");
    let page = client.send(ask("/v1/models?limit=1")).await.unwrap().json();
    assert_eq!((&page["last_id"], &page["has_more"]), (&"also".into(), &true.into()), "{page}");
    let wrong = client.send(ask("/v1/models?limit=none")).await.unwrap();
    assert_eq!((wrong.status, &wrong.json()["error"]["type"]), (400, &"invalid_request_error".into()));
    assert_eq!(client.get("/v1/models?beta=true").await.unwrap().json(), openai);
    let page = client.get("/v1/models?limit=1").await.unwrap().json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&"also".into(), &true.into()), "{page}");
    assert_eq!(client.get("/v1/models/large").await.unwrap().json()["id"], "large");
    assert_eq!(client.get("/v1/models/named").await.unwrap().status, 404);
    assert_eq!(client.send(ask("/v1/models/large")).await.unwrap().json()["type"], "model");
    let missing = client.send(ask("/v1/models/huge")).await.unwrap();
    assert_eq!((missing.status, &missing.json()["error"]["type"]), (404, &"not_found_error".into()));
    assert_eq!(client.get("/v1/models/huge").await.unwrap().json()["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn a_model_that_would_be_answered_is_found_though_nobody_lists_it() {
    let upstream = plain_upstream();
    let any = |prefix: &str| format!("{{prefix: \"{prefix}\"}}");
    let text = pool("open", &[provider("only", "OpenAI", upstream.address, "")], "")
        + &pool("closed", &[provider("only", "OpenAI", upstream.address, "models: [{name: real}]")], "")
        + &rule("open", "    targets: [{poolRef: {name: open}}]\n").replace("{exact: open}", &any("open-"))
        + &rule("renamed", "    targets: [{poolRef: {name: closed}, model: real}]\n")
            .replace("{exact: renamed}", &any("re-"))
        + &rule("closed", "    targets: [{poolRef: {name: closed}}]\n").replace("{exact: closed}", &any("cl-"));
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (model, status) in [("open-1", 200), ("re-1", 200), ("cl-1", 404), ("other", 404)] {
        let answer = proxy.client().get(&format!("/v1/models/{model}")).await.unwrap();
        assert_eq!(answer.status, status, "{model}: {}", answer.text());
    }
}
