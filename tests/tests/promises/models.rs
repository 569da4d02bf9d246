//! Lists of models: what is known of each, who is told of which, what providers' own lists add; and calls sent by windows and reasons.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use serde_json::{Value, json};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Gate, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{
    CHAT, MESSAGES, chat, message, openai_piece, openai_stream, openai_whole, pool, provider, route, rule,
};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const BIG: &str = "models: [{name: big, upstreamName: big-1, contextWindow: 200000, maxOutputTokens: 64000, \
     inputModalities: [Text, Image], outputModalities: [Text], capabilities: [Tools, Thinking], \
     price: {inputPerMillion: '2.5', cachedInputPerMillion: '0.25', outputPerMillion: '10'}}]";
const VECTORS: &str = "models: [{name: vectors, contextWindow: 8192, capabilities: [Embeddings]}]";

/// A route with rules of its own.
fn routed(name: &str, rules: &[&str]) -> String {
    let rules = rules.iter().map(|rule| format!("  - {rule}\n")).collect::<String>();
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {name}}}\nspec:\n  rules:\n{rules}---\n"
    )
}

async fn get(proxy: &Proxy, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = http::Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = proxy.client().send(request.body(Default::default()).unwrap()).await.unwrap();
    (answer.status, answer.json())
}

async fn ids(proxy: &Proxy, path: &str) -> Vec<String> {
    let (status, list) = get(proxy, path, &[]).await;
    assert_eq!(status, 200, "{path}: {list}");
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a list is as it is to be.
async fn until_listed(proxy: &Proxy, path: &str, expected: &[&str]) {
    let mut found = Vec::new();
    for _ in 0..300 {
        found = ids(proxy, path).await;
        if found == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{path}: {found:?}");
}

#[tokio::test]
async fn what_is_known_of_a_model_is_told_in_each_dialects_words() {
    let upstream = Upstream::always(vec![openai_whole("fine")]).unwrap();
    let providers =
        [provider("main", "OpenAI", upstream.address, BIG), provider("side", "Gemini", upstream.address, VECTORS)];
    let alias = "targets: [{poolRef: {name: p}, model: big}]";
    let text = pool("p", &providers, "")
        + &routed("all", &["{name: all, targets: [{poolRef: {name: p}}]}"])
        + &rule("best", &format!("    {alias}\n"));
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    // An alias is told with what is known of the model that it stands for.
    assert_eq!(ids(&proxy, "/v1/models").await, ["best", "big", "vectors"]);
    for id in ["big", "best"] {
        let (_, one) = get(&proxy, &format!("/v1/models/{id}"), &[]).await;
        assert_eq!(
            (&one["id"], &one["context_length"], &one["max_completion_tokens"]),
            (&json!(id), &json!(200_000), &json!(64_000))
        );
        assert_eq!(one["architecture"]["input_modalities"], json!(["text", "image"]));
        let price = &one["pricing"];
        assert_eq!((&price["prompt"], &price["completion"]), (&json!("0.0000025"), &json!("0.00001")));
        assert_eq!(price["input_cache_read"], "0.00000025");
    }
    let anthropic = &[("anthropic-version", "2023-06-01")];
    let (_, one) = get(&proxy, "/v1/models/big", anthropic).await;
    assert_eq!((&one["max_input_tokens"], &one["max_tokens"]), (&json!(200_000), &json!(64_000)));
    let can = |place: &str| one.pointer(&format!("/capabilities/{place}/supported")).cloned();
    assert_eq!(
        (can("image_input"), can("pdf_input"), can("thinking")),
        (Some(json!(true)), Some(json!(false)), Some(json!(true)))
    );
    let (_, one) = get(&proxy, "/v1beta/models/big", &[]).await;
    assert_eq!((&one["inputTokenLimit"], &one["outputTokenLimit"]), (&json!(200_000), &json!(64_000)));
    assert_eq!(one["thinking"], true);
    let (_, vectors) = get(&proxy, "/v1beta/models/vectors", &[]).await;
    assert_eq!(vectors["supportedGenerationMethods"], json!(["embedContent"]));
    // What callers of clouds ask.
    let (_, list) = get(&proxy, "/v1beta1/publishers/google/models", &[]).await;
    assert_eq!(list["publisherModels"][1]["name"], "publishers/google/models/big");
    let (_, one) = get(&proxy, "/v1beta1/publishers/google/models/big", &[]).await;
    assert_eq!(one["name"], "publishers/google/models/big");
    let (_, list) = get(&proxy, "/foundation-models?byOutputModality=EMBEDDING", &[]).await;
    assert_eq!(list["modelSummaries"].as_array().unwrap().len(), 1);
    let (_, one) = get(&proxy, "/foundation-models/big", &[]).await;
    assert_eq!(one["modelDetails"]["inputModalities"], json!(["TEXT", "IMAGE"]));
    let (status, _) = get(&proxy, "/foundation-models/nothing-such", &[]).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_list_is_filtered_by_provider_and_ability_and_cut_into_pages() {
    let upstream = Upstream::always(vec![openai_whole("fine")]).unwrap();
    let providers =
        [provider("main", "OpenAI", upstream.address, BIG), provider("side", "Gemini", upstream.address, VECTORS)];
    let text = pool("p", &providers, "") + &routed("all", &["{name: all, targets: [{poolRef: {name: p}}]}"]);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for (query, expected) in [
        ("", &["big", "vectors"][..]),
        ("?provider=main", &["big"]),
        ("?provider=gemini", &["vectors"]),
        ("?provider=main,side", &["big", "vectors"]),
        ("?provider=nobody", &[]),
        ("?capability=tools", &["big"]),
        ("?capability=vision&capability=thinking", &["big"]),
        ("?capability=embeddings", &["vectors"]),
        ("?capability=audio", &[]),
        ("?limit=1", &["big"]),
        ("?limit=1&after=big", &["vectors"]),
    ] {
        assert_eq!(ids(&proxy, &format!("/v1/models{query}")).await, expected, "{query}");
    }
    let anthropic = &[("anthropic-version", "2023-06-01")];
    let (_, page) = get(&proxy, "/v1/models?limit=1&capability=tools", anthropic).await;
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!("big"), &json!(false)));
    let (_, page) = get(&proxy, "/v1beta/models?pageSize=1", &[]).await;
    assert_eq!((&page["models"][0]["name"], &page["nextPageToken"]), (&json!("models/big"), &json!("big")));
    let (status, refused) = get(&proxy, "/v1/models?capability=flight", &[]).await;
    assert_eq!((status, &refused["error"]["param"]), (400, &json!("capability")), "{refused}");
}

#[tokio::test]
async fn a_hidden_model_is_served_and_found_and_not_listed() {
    let text =
        pool("p", &["  - {name: only, type: Simulated, models: [{name: a}, {name: b}, {name: c}]}\n".to_owned()], "")
            + &routed(
                "mixed",
                &[
                    "{name: hidden, listed: false, matches: [{model: {exact: b}}], targets: [{poolRef: {name: p}}]}",
                    "{name: rest, targets: [{poolRef: {name: p}}]}",
                ],
            );
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    assert_eq!(ids(&proxy, "/v1/models").await, ["a", "c"]);
    assert_eq!(get(&proxy, "/v1/models/b", &[]).await.0, 200);
    assert!(proxy.client().post(CHAT, &[], chat("b", false)).await.unwrap().is_good());
}

fn listing(names: &[&str]) -> Act {
    let data: Vec<Value> =
        names.iter().map(|name| json!({"id": name, "object": "model", "context_length": 4096})).collect();
    answer(200, JSON, json!({"object": "list", "data": data}).to_string().as_bytes())
}

#[tokio::test]
async fn a_providers_own_list_is_told_where_a_pool_asks_for_it_and_the_last_one_is_kept() {
    let upstream = Upstream::start(|received| {
        let asked = received.head.starts_with("GET /v1/models ");
        let is_known = received.header("authorization") == "Bearer providers-key";
        match () {
            () if !asked => vec![openai_whole("fine")],
            () if !is_known => vec![answer(401, JSON, b"{}")],
            () => vec![listing(&["llama-small", "llama-large", "other"])],
        }
    })
    .unwrap();
    let key = "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {api-key: providers-key}\n---\n";
    let more = "discovery: {interval: 10s}, credentials: {secretRef: {name: key}}";
    let named =
        "models: [{name: mine, upstreamName: llama-large}], discovery: {}, credentials: {secretRef: {name: key}}";
    let text = key.to_owned()
        + &pool("open", &[provider("only", "OpenAICompatible", upstream.address, more)], "")
        + &pool("named", &[provider("only", "OpenAICompatible", upstream.address, named)], "")
        + &routed("open", &["{name: some, matches: [{model: {prefix: llama-}}], targets: [{poolRef: {name: open}}]}"])
        + &route("mine", "named");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    until_listed(&proxy, "/v1/models", &["llama-large", "llama-small", "mine"]).await;
    // What it says of a model is told of a name that the pool has for it, too.
    let (_, one) = get(&proxy, "/v1/models/mine", &[]).await;
    assert_eq!(one["context_length"], 4096, "{one}");
    let (_, one) = get(&proxy, "/v1/models/llama-small", &[]).await;
    assert_eq!(one["context_length"], 4096, "{one}");
    // A configuration that changes something else loses nothing of it, and nobody waits for it.
    proxy
        .write(
            "more.yaml",
            &routed("more", &["{name: all, matches: [{model: {exact: x}}], targets: [{poolRef: {name: open}}]}"]),
        )
        .unwrap();
    until_listed(&proxy, "/v1/models", &["llama-large", "llama-small", "mine", "x"]).await;
}

#[tokio::test]
async fn anthropics_and_googles_own_lists_are_read_page_by_page() {
    let upstream = Upstream::start(|received| {
        let first = !received.head.contains("after_id") && !received.head.contains("pageToken");
        let body = match (received.head.starts_with("GET /v1beta/"), first) {
            (true, true) => json!({"models": [{"name": "models/g-1", "inputTokenLimit": 9}], "nextPageToken": "t"}),
            (true, false) => json!({"models": [{"name": "models/g-2"}]}),
            (false, true) => json!({"data": [{"type": "model", "id": "c-1", "max_input_tokens": 7}], "has_more": true, "last_id": "c-1"}),
            (false, false) => json!({"data": [{"type": "model", "id": "c-2"}], "has_more": false, "last_id": "c-2"}),
        };
        vec![answer(200, JSON, body.to_string().as_bytes())]
    })
    .unwrap();
    let providers = [
        provider("a", "Anthropic", upstream.address, "discovery: {}"),
        provider("g", "Gemini", upstream.address, "discovery: {}"),
    ];
    let text = pool("p", &providers, "") + &routed("all", &["{name: all, targets: [{poolRef: {name: p}}]}"]);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    until_listed(&proxy, "/v1/models", &["c-1", "c-2", "g-1", "g-2"]).await;
    let asked = upstream.received();
    assert!(asked.iter().any(|one| one.header("anthropic-version") == "2023-06-01"), "{asked:?}");
}

/// Two upstreams that answer well, and a rule over their two pools.
fn two(targets: &str) -> (Upstream, Upstream, Proxy) {
    let small = Upstream::always(vec![openai_whole("small")]).unwrap();
    let large = Upstream::always(vec![openai_whole("large")]).unwrap();
    let window = |tokens: u64| format!("models: [{{name: m, contextWindow: {tokens}}}]");
    let text = pool("small", &[provider("only", "OpenAICompatible", small.address, &window(1_000))], "")
        + &pool("large", &[provider("only", "OpenAICompatible", large.address, &window(100_000))], "")
        + &rule("m", targets);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    (small, large, proxy)
}

fn long(words: usize) -> String {
    chat("m", false).replace("Say something.", &"word ".repeat(words))
}

#[tokio::test]
async fn a_call_that_is_too_long_for_a_window_goes_where_there_is_room() {
    let lines = "    targets: [{poolRef: {name: small}, weight: 1000}, {poolRef: {name: large}, weight: 1}]\n";
    let (small, large, proxy) = two(lines);
    for _ in 0..4 {
        assert!(proxy.client().post(CHAT, &[], long(4_000)).await.unwrap().text().contains("large"));
    }
    assert_eq!((small.calls(), large.calls()), (0, 4));
    // One that fits goes as ever.
    assert!(proxy.client().post(CHAT, &[], chat("m", false)).await.unwrap().text().contains("small"));
    // An estimate keeps nobody from being asked: where no window has room, the vendor says so.
    assert!(proxy.client().post(CHAT, &[], long(400_000)).await.unwrap().is_good());
}

#[tokio::test]
async fn a_fallback_for_long_prompts_takes_those_and_no_others() {
    let lines = "    targets: [{poolRef: {name: small}}]\n    fallbacks: [{poolRef: {name: large}, reasons: [ContextWindow]}]\n";
    let (small, large, proxy) = two(lines);
    assert!(proxy.client().post(CHAT, &[], long(4_000)).await.unwrap().text().contains("large"));
    assert!(proxy.client().post(CHAT, &[], chat("m", false)).await.unwrap().text().contains("small"));
    assert_eq!((small.calls(), large.calls()), (1, 1));
    // Without that reason, a fallback is for targets that can not serve.
    let lines = "    targets: [{poolRef: {name: small}}]\n    fallbacks: [{poolRef: {name: large}}]\n";
    let (_small, large, proxy) = two(lines);
    assert!(proxy.client().post(CHAT, &[], long(4_000)).await.unwrap().text().contains("small"));
    assert_eq!(large.calls(), 0);
}

const OVERFLOW: &str = r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
const FILTERED: &str = r#"{"error":{"message":"The response was filtered due to the prompt triggering a policy","type":null,"param":"prompt","code":"content_filter","status":400}}"#;
const FLAGGED: &str = r#"{"error":{"code":403,"message":"m requires moderation on V. Your input was flagged for \"violence\".","metadata":{"reasons":["violence"],"flagged_input":"x","provider_name":"V"}}}"#;
const REFUSED: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"content_filter"}],"usage":{"prompt_tokens":3,"completion_tokens":0,"total_tokens":3}}"#;

#[tokio::test]
async fn a_refusal_goes_to_the_fallbacks_that_are_for_its_reason() {
    for (status, body, reason, other) in [
        (400, OVERFLOW, "ContextWindow", "ContentPolicy"),
        (400, FILTERED, "ContentPolicy", "ContextWindow"),
        (403, FLAGGED, "ContentPolicy", "ContextWindow"),
        (200, REFUSED, "ContentPolicy", "Unavailable"),
    ] {
        for (reasons, is_saved) in
            [(reason.to_owned(), true), (other.to_owned(), false), (format!("Unavailable, {reason}"), true)]
        {
            let refuses = Upstream::always(vec![answer(status, JSON, body.as_bytes())]).unwrap();
            let saves = Upstream::always(vec![openai_whole("saved")]).unwrap();
            let lines = format!(
                "    targets: [{{poolRef: {{name: first}}}}]\n    fallbacks: [{{poolRef: {{name: second}}, reasons: [{reasons}]}}]\n"
            );
            let text = pool("first", &[provider("only", "OpenAICompatible", refuses.address, "")], "")
                + &pool("second", &[provider("only", "OpenAICompatible", saves.address, "")], "")
                + &rule("m", &lines);
            let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
            for (path, body) in [(CHAT, chat("m", false)), (MESSAGES, message("m", false))] {
                let answer = proxy.client().post(path, &[], body).await.unwrap();
                assert_eq!(answer.text().contains("saved"), is_saved, "{reasons} {path}: {}", answer.text());
            }
            assert_eq!((refuses.calls(), saves.calls()), (2, if is_saved { 2 } else { 0 }), "{reasons}");
        }
    }
}

/// The streams of vendors whose filter ends them: with nothing before that, and behind a piece of an answer.
fn filtered(kind: &str, before: &str) -> Vec<Act> {
    let stream = match kind {
        "Anthropic" => {
            let piece = format!(
                "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\nevent: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{before}\"}}}}\n\nevent: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\n"
            );
            let piece = if before.is_empty() { "" } else { piece.as_str() };
            format!(
                "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{{\"input_tokens\":3,\"output_tokens\":1}}}}}}\n\n{piece}event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"refusal\",\"stop_sequence\":null}},\"usage\":{{\"output_tokens\":1}}}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
            )
        }
        "Gemini" if before.is_empty() => "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":3,\"totalTokenCount\":3},\"modelVersion\":\"m\"}\r\n\r\n".to_owned(),
        "Gemini" => format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{before}\"}}],\"role\":\"model\"}},\"index\":0,\"finishReason\":\"SAFETY\"}}],\"usageMetadata\":{{\"promptTokenCount\":3,\"candidatesTokenCount\":1,\"totalTokenCount\":4}},\"modelVersion\":\"m\"}}\r\n\r\n"
        ),
        _ => {
            let piece = openai_piece(&format!(r#"{{"role":"assistant","content":"{before}"}}"#), "null");
            piece + &openai_piece("{}", "\"content_filter\"") + "data: [DONE]\n\n"
        }
    };
    vec![stream_head(), chunk(stream.as_bytes()), last_chunk()]
}

#[tokio::test]
async fn a_stream_that_a_filter_ends_before_any_token_goes_to_the_fallback_that_is_for_it_and_no_other_does() {
    for kind in ["OpenAICompatible", "Anthropic", "Gemini"] {
        for (before, reason, is_saved) in
            [("", "ContentPolicy", true), ("half", "ContentPolicy", false), ("", "ContextWindow", false)]
        {
            let refuses = Upstream::always(filtered(kind, before)).unwrap();
            let saves = Upstream::always(openai_stream("saved")).unwrap();
            let lines = format!(
                "    targets: [{{poolRef: {{name: first}}}}]\n    fallbacks: [{{poolRef: {{name: second}}, reasons: [{reason}]}}]\n"
            );
            let text = pool("first", &[provider("only", kind, refuses.address, "")], "")
                + &pool("second", &[provider("only", "OpenAICompatible", saves.address, "")], "")
                + &rule("m", &lines);
            let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
            for (path, body) in [(CHAT, chat("m", true)), (MESSAGES, message("m", true))] {
                let answer = proxy.client().post(path, &[], body).await.unwrap();
                let text = answer.text();
                assert_eq!(text.contains("saved"), is_saved, "{kind} {before:?} {reason} {path}: {text}");
                assert_eq!(text.contains("half"), before == "half", "{kind} {reason} {path}: {text}");
                let says_so = text.contains("content_filter") || text.contains("\"refusal\"");
                assert_eq!(says_so, !is_saved, "{kind} {before:?} {reason} {path}: {text}");
            }
            assert_eq!(
                (refuses.calls(), saves.calls()),
                (2, if is_saved { 2 } else { 0 }),
                "{kind} {before:?} {reason}"
            );
            assert_eq!(proxy.metrics().unwrap().sum("sluicegate_endpoint_circuit_state", &[]), 0.0, "{kind}");
        }
    }
}

#[tokio::test]
async fn the_last_list_is_kept_when_it_can_not_be_had_again_and_no_call_waits_for_one() {
    let (hangs, gate) = (Arc::new(AtomicBool::new(false)), Gate::default());
    let (is_hanging, held) = (Arc::clone(&hangs), gate.clone());
    let upstream = Upstream::start(move |received| match received.head.starts_with("GET ") {
        false => vec![openai_whole("fine")],
        true if received.number == 0 => vec![listing(&["llama-small"])],
        true if is_hanging.load(SeqCst) => vec![Act::Until(held.clone()), answer(500, JSON, b"{}")],
        true => vec![answer(500, JSON, b"{}")],
    })
    .unwrap();
    let text = |interval: &str| {
        let more = format!("discovery: {{interval: {interval}}}");
        pool("p", &[provider("only", "OpenAICompatible", upstream.address, &more)], "")
            + &routed("all", &["{name: all, targets: [{poolRef: {name: p}}]}"])
    };
    let proxy = Proxy::start(&[("all.yaml", &text("1h"))], &[]).unwrap();
    until_listed(&proxy, "/v1/models", &["llama-small"]).await;
    let questions = |proxy: &Proxy, outcome| {
        proxy.metrics().unwrap().sum("sluicegate_discovery_questions_total", &[("outcome", outcome)])
    };
    assert_eq!(
        (questions(&proxy, "ok"), proxy.metrics().unwrap().sum("sluicegate_discovered_models", &[])),
        (1.0, 1.0)
    );
    // Another interval is another question, and that is asked at once.
    proxy.write("all.yaml", &text("2h")).unwrap();
    proxy.until("the list can not be had", |proxy| questions(proxy, "failed") > 0.0).await.unwrap();
    until_listed(&proxy, "/v1/models", &["llama-small"]).await;
    assert_eq!(proxy.metrics().unwrap().sum("sluicegate_discovered_models", &[]), 1.0);
    // While a question is not answered, calls are, and lists are.
    hangs.store(true, SeqCst);
    let asked = upstream.calls();
    proxy.write("all.yaml", &text("3h")).unwrap();
    proxy.until("it is asked again", |_| upstream.calls() > asked).await.unwrap();
    assert!(proxy.client().post(CHAT, &[], chat("llama-small", false)).await.unwrap().is_good());
    until_listed(&proxy, "/v1/models", &["llama-small"]).await;
    gate.open();
}

#[tokio::test]
async fn a_target_that_is_down_goes_to_a_fallback_for_that_and_to_no_other() {
    let down = Upstream::always(vec![answer(503, JSON, b"{}")]).unwrap();
    let saves = Upstream::always(vec![openai_whole("saved")]).unwrap();
    for (reasons, is_saved) in [("ContextWindow, ContentPolicy", false), ("Unavailable", true)] {
        let lines = format!(
            "    targets: [{{poolRef: {{name: first}}}}]\n    fallbacks: [{{poolRef: {{name: second}}, reasons: [{reasons}]}}]\n"
        );
        let text = pool("first", &[provider("only", "OpenAICompatible", down.address, "")], "")
            + &pool("second", &[provider("only", "OpenAICompatible", saves.address, "")], "")
            + &rule("m", &lines);
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let answer = proxy.client().post(CHAT, &[], chat("m", false)).await.unwrap();
        assert_eq!(answer.text().contains("saved"), is_saved, "{reasons}: {}", answer.text());
    }
}
