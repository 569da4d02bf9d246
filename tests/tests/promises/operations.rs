//! Operations beside chat: legacy Completions and Embeddings, verbatim where a provider has them, translated or refused where
//! it has not.

use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Upstream, answer};

use crate::resources::{openai_whole, pool, provider, route};

const COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
/// Whatever only a provider of the same dialect can be asked, with spaces and an order that nobody writes twice.
const PROMPTS: &str = r#"{ "prompt":["one",  "two"], "model":"m","suffix":"!","echo":true,"best_of":2,"logprobs":3,"n":2,"new":{"a":1.50} }"#;
const VECTORS: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AAAAAA=="},{"object":"embedding","index":1,"embedding":"AAAAAA=="}],"model":"e","usage":{"prompt_tokens":5,"total_tokens":5}}"#;

#[tokio::test]
async fn a_legacy_completion_passes_byte_for_byte_where_the_provider_has_it() {
    let said = r#"{"id":"cmpl-1","object":"text_completion","choices":[{"text":" x","index":0,"logprobs":{"tokens":[" x"]},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1},"new":1}"#;
    let upstream = Upstream::always(vec![answer(200, JSON, said.as_bytes())]).unwrap();
    for kind in ["OpenAI", "OpenAICompatible"] {
        let text = pool("p", &[provider("only", kind, upstream.address, "")], "") + &route("m", "p");
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let got = proxy.client().post(COMPLETIONS, JSON, PROMPTS).await.unwrap();
        assert_eq!((got.status, got.text()), (200, said.to_owned()));
        let sent = upstream.received().pop().unwrap();
        assert!(sent.head.starts_with("POST /v1/completions "), "{}", sent.head);
        assert_eq!(String::from_utf8_lossy(&sent.body), PROMPTS);
        let labels = [("gen_ai_operation_name", "text_completion"), ("gen_ai_token_type", "input")];
        assert!((proxy.metrics().unwrap().sum("gen_ai_client_token_usage_sum", &labels) - 2.0).abs() < f64::EPSILON);
    }
}

#[tokio::test]
async fn a_prompt_is_a_turn_to_a_provider_without_completions_and_what_it_can_not_say_costs_no_attempt() {
    let upstream = Upstream::always(vec![answer(
        200,
        JSON,
        br#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"on"}],"stop_reason":"max_tokens","usage":{"input_tokens":3,"output_tokens":1}}"#,
    )])
    .unwrap();
    let text = pool("p", &[provider("only", "Anthropic", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let got = proxy.client().post(COMPLETIONS, JSON, r#"{"model":"m","prompt":"Go"}"#).await.unwrap();
    let value = got.json();
    assert_eq!((got.status, value["object"].as_str()), (200, Some("text_completion")), "{}", got.text());
    assert_eq!(
        (value["choices"][0]["text"].as_str(), value["choices"][0]["finish_reason"].as_str()),
        (Some("on"), Some("length"))
    );
    let sent: serde_json::Value = serde_json::from_slice(&upstream.received().pop().unwrap().body).unwrap();
    assert_eq!((sent["max_tokens"].as_u64(), sent["messages"][0]["content"].as_str()), (Some(16), Some("Go")));
    let asked = upstream.received().len();
    let got = proxy.client().post(COMPLETIONS, JSON, PROMPTS).await.unwrap();
    assert_eq!((got.status, got.json()["error"]["param"].as_str()), (400, Some("suffix")), "{}", got.text());
    assert_eq!(upstream.received().len(), asked);
}

#[tokio::test]
async fn embeddings_pass_with_failover_past_a_provider_that_has_none_and_are_metered() {
    let (deaf, ill) = (
        Upstream::always(vec![openai_whole("no")]).unwrap(),
        Upstream::always(vec![answer(503, JSON, b"{}")]).unwrap(),
    );
    let well = Upstream::always(vec![answer(200, JSON, VECTORS.as_bytes())]).unwrap();
    let providers = [
        provider("deaf", "Anthropic", deaf.address, "priority: 0"),
        provider("ill", "OpenAI", ill.address, "priority: 1"),
        provider("well", "OpenAICompatible", well.address, "priority: 2"),
    ];
    let text = pool("p", &providers, "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let asked = r#"{"input":[[1,2], "a"], "model":"m","encoding_format":"base64","dimensions":1}"#;
    let got = proxy.client().post(EMBEDDINGS, JSON, asked).await.unwrap();
    assert_eq!((got.status, got.text()), (200, VECTORS.to_owned()));
    assert_eq!((deaf.received().len(), ill.received().len()), (0, 1));
    let sent = well.received().pop().unwrap();
    assert!(sent.head.starts_with("POST /v1/embeddings "), "{}", sent.head);
    assert_eq!(String::from_utf8_lossy(&sent.body), asked);
    let labels = [("gen_ai_operation_name", "embeddings"), ("gen_ai_token_type", "input")];
    assert!((proxy.metrics().unwrap().sum("gen_ai_client_token_usage_sum", &labels) - 5.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn embeddings_that_nobody_offers_are_refused_in_clear_words() {
    let upstream = Upstream::always(vec![openai_whole("no")]).unwrap();
    let text = pool("p", &[provider("only", "Anthropic", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let got = proxy.client().post(EMBEDDINGS, JSON, r#"{"model":"m","input":"a"}"#).await.unwrap();
    let error = got.json();
    assert_eq!((got.status, error["error"]["param"].as_str()), (400, Some("model")), "{}", got.text());
    assert!(error["error"]["message"].as_str().unwrap().contains("do not offer embeddings"), "{}", got.text());
    assert!(upstream.received().is_empty());
    let got = proxy.client().get(EMBEDDINGS).await.unwrap();
    assert_eq!((got.status, got.header("allow")), (405, "POST, OPTIONS"));
}

#[tokio::test]
async fn embeddings_are_asked_for_and_given_in_each_dialect() {
    const GOOGLES: &str = r#"{"embeddings":[{"values":[0.5,-1]},{"values":[1,0]}]}"#;
    const OPENAIS: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1]},{"object":"embedding","index":1,"embedding":[1,0]}],"model":"e-1","usage":{"prompt_tokens":5,"total_tokens":5}}"#;
    let google = Upstream::always(vec![answer(200, JSON, GOOGLES.as_bytes())]).unwrap();
    let openai = Upstream::always(vec![answer(200, JSON, OPENAIS.as_bytes())]).unwrap();
    let renamed = "models: [{name: google, upstreamName: e-2}]";
    let text = pool("google", &[provider("only", "Gemini", google.address, renamed)], "")
        + &route("google", "google")
        + &pool("openai", &[provider("only", "OpenAI", openai.address, "")], "")
        + &route("openai", "openai");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let batch = |model: &str| format!("/v1beta/models/{model}:batchEmbedContents");
    // A caller of Google's: its own bytes but for the model's name, and OpenAI's words.
    let asked = r#"{"requests":[{"model":"models/google","content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING", "outputDimensionality":2},{"model":"models/google","content":{"parts":[{"text":"b"}]}, "outputDimensionality":2}]}"#;
    let got = proxy.client().post(&batch("google"), JSON, asked).await.unwrap();
    assert_eq!((got.status, got.text()), (200, GOOGLES.to_owned()));
    let sent = google.received().pop().unwrap();
    assert_eq!(String::from_utf8_lossy(&sent.body), asked.replace("models/google", "models/e-2"));
    assert!(sent.head.starts_with("POST /v1beta/models/e-2:batchEmbedContents "), "{}", sent.head);
    let got = proxy.client().post(&batch("openai"), JSON, asked).await.unwrap().json();
    assert_eq!(got["embeddings"], serde_json::json!([{"values": [0.5, -1]}, {"values": [1, 0]}]), "{got}");
    let sent: serde_json::Value = serde_json::from_slice(&openai.received().pop().unwrap().body).unwrap();
    let expected =
        serde_json::json!({"model": "openai", "input": ["a", "b"], "dimensions": 2, "encoding_format": "float"});
    assert_eq!(sent, expected);
    // One text has a path of its own, and one vector.
    let one = r#"{"content":{"parts":[{"text":"a"}]}}"#;
    let got = proxy.client().post("/v1beta/models/openai:embedContent", JSON, one).await.unwrap().json();
    assert_eq!(got["embedding"]["values"], serde_json::json!([0.5, -1]), "{got}");
    proxy.client().post("/v1beta/models/google:embedContent", JSON, one).await.unwrap();
    assert!(google.received().pop().unwrap().head.starts_with("POST /v1beta/models/e-2:embedContent "));
    // A caller of OpenAI's, before Google's models: what was used is estimated where nobody says it.
    let asked = r#"{"model":"google","input":["a","b"],"encoding_format":"base64"}"#;
    let got = proxy.client().post(EMBEDDINGS, JSON, asked).await.unwrap().json();
    assert_eq!((&got["data"][0]["embedding"], &got["model"]), (&"AAAAPwAAgL8=".into(), &"google".into()), "{got}");
    assert!(got["usage"]["prompt_tokens"].as_u64() > Some(0), "{got}");
    let sent: serde_json::Value = serde_json::from_slice(&google.received().pop().unwrap().body).unwrap();
    assert_eq!(sent["requests"][1], serde_json::json!({"model": "models/e-2", "content": {"parts": [{"text": "b"}]}}));
    let tokens = r#"{"model":"google","input":[[1,2]]}"#;
    let refused = proxy.client().post(EMBEDDINGS, JSON, tokens).await.unwrap();
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &"input[0]".into()), "{}", refused.text());
    let labels = [("gen_ai_operation_name", "embeddings"), ("gen_ai_token_type", "input")];
    assert!(proxy.metrics().unwrap().sum("gen_ai_client_token_usage_sum", &labels) > 10.0);
}
