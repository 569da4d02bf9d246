//! The gateway's own key in what a provider says: nobody is told it. And a model whose name is a way up in a path.

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, chat, message, openai_piece, pool, provider, route};

const KEY: &str = "sk-the-key-of-the-gateway-itself";
const KEYED: &str = "credentials: {secretRef: {name: vendor}}";

fn secret() -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: vendor}}\nstringData: {{api-key: {KEY}}}\n---\n")
}

#[tokio::test]
async fn a_key_that_a_provider_repeats_is_told_to_nobody() {
    for status in [400, 404, 422, 500] {
        let upstream = Upstream::start(move |received| {
            let sent = received.header("authorization").to_owned();
            let body = format!(r#"{{"error":{{"message":"you sent {sent}, that is {KEY}","type":"x"}}}}"#);
            vec![answer(status, &[("content-type", "application/json")], body.as_bytes())]
        })
        .unwrap();
        let text = secret() + &pool("p", &[provider("only", "OpenAI", upstream.address, KEYED)], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for (path, body) in [(CHAT, chat("m", false)), (CHAT, chat("m", true)), (MESSAGES, message("m", false))] {
            let told = proxy.client().post(path, &[], body).await.unwrap();
            assert!(!told.text().contains(KEY) && told.text().contains("***"), "{status} {path}: {}", told.text());
        }
        assert!(upstream.received().iter().all(|received| received.head.contains(KEY)));
        assert!(proxy.log().iter().all(|line| !line.contains(KEY)), "{:?}", proxy.log());
    }
}

/// An error that repeats the key, in the place that this model's name says.
fn repeating(received: &Received) -> Vec<Act> {
    let body = String::from_utf8_lossy(&received.body);
    let error = format!(r#"{{"error":{{"message":"you sent Bearer {KEY}","type":"x","code":"{KEY}"}}}}"#);
    let token = openai_piece(r#"{"role":"assistant","content":"one"}"#, "null");
    let event = format!("data: {error}\n\n");
    match () {
        () if body.contains("\"first\"") => vec![stream_head(), chunk(event.as_bytes()), last_chunk()],
        () if body.contains("\"behind\"") => {
            // In two pieces, with the key cut.
            let (head, rest) = event.split_at(event.find(KEY).unwrap() + 9);
            vec![stream_head(), chunk((token + head).as_bytes()), chunk(rest.as_bytes()), last_chunk()]
        }
        () if body.contains("\"whole\"") => {
            vec![answer(200, &[("content-type", "application/json")], error.as_bytes())]
        }
        () if body.contains("\"headers\"") => {
            let location = format!("http://x/?key={KEY}");
            let named = [
                ("content-type", "application/json"),
                ("x-debug", KEY),
                ("location", &location),
                ("x-request-id", KEY),
            ];
            vec![answer(400, &named, br#"{"error":{"message":"*** is told by headers","type":"x"}}"#)]
        }
        () => {
            let escaped = error.replace("sk-the", "\\u0073k\\u002Dthe");
            vec![answer(400, &[("content-type", "application/json")], escaped.as_bytes())]
        }
    }
}

#[tokio::test]
async fn no_place_of_an_error_tells_the_key() {
    let upstream = Upstream::start(repeating).unwrap();
    let names = ["first", "behind", "whole", "headers", "escaped"];
    let routes = names.map(|name| route(name, "p")).concat();
    let text = secret() + &pool("p", &[provider("only", "OpenAICompatible", upstream.address, KEYED)], "") + &routes;
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for name in names {
        let streams = matches!(name, "first" | "behind");
        let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#.to_owned();
        let way = if streams { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let responses = format!(r#"{{"model":"{name}","input":"hi","stream":{streams}}}"#);
        for (path, body) in [
            (CHAT, chat(name, streams)),
            (MESSAGES, message(name, streams)),
            ("/v1/responses", responses),
            (&*format!("/v1beta/models/{name}:{way}"), gemini),
        ] {
            let told = proxy.client().post(path, &[], body).await.unwrap();
            let shown = format!("{:?} {}", told.headers, told.text());
            let key = KEY.trim_start_matches("sk-");
            assert!(!shown.contains(key) && shown.contains("***"), "{name} {path}: {} {shown}", told.status);
        }
    }
    assert!(proxy.log().iter().all(|line| !line.contains(KEY)), "{:?}", proxy.log());
}

#[tokio::test]
async fn a_coding_that_is_no_word_is_not_repeated() {
    let upstream =
        Upstream::always(vec![answer(200, &[("content-type", "application/json"), ("content-encoding", KEY)], b"{}")])
            .unwrap();
    let text = secret() + &pool("p", &[provider("only", "OpenAI", upstream.address, KEYED)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let told = proxy.client().post(CHAT, &[], chat("m", false)).await.unwrap();
    assert!(told.status == 502 && !told.text().contains(KEY), "{}", told.text());
    assert!(proxy.log().iter().all(|line| !line.contains(KEY)), "{:?}", proxy.log());
}

#[tokio::test]
async fn no_models_name_is_a_way_up() {
    let upstream = Upstream::always(vec![answer(200, &[("content-type", "application/json")], b"{}")]).unwrap();
    for (kind, more) in [("Bedrock", ""), ("AzureOpenAI", "apiVersion: \"2024-10-21\""), ("Gemini", "")] {
        let everything = "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec: {rules: [{name: all, targets: [{poolRef: {name: p}}]}]}\n";
        let text = pool("p", &[provider("only", kind, upstream.address, more)], "") + everything;
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        for model in ["..", "."] {
            let refused = proxy.client().post(CHAT, &[], chat(model, false)).await.unwrap();
            assert_eq!(refused.status, 400, "{kind} {model}: {}", refused.text());
        }
    }
    assert_eq!(upstream.received().len(), 0);
}
