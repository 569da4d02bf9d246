//! A stream that breaks half-way goes on at another provider where its rule says so: the caller sees one answer of its own dialect,
//! from one beginning to one end; where nobody can go on it ends as a broken stream does.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, chunk, stream_head};

use crate::bedrock::packed;
use crate::resources::{CHAT, MESSAGES, events, openai_piece, openai_stream, pool, provider, rule};

const WHOLE: &str = "one two red six ten new";
/// Takes what was said as the beginning of its own answer.
const PREFILLED: &str = "claude-3-5-haiku";
/// Has to be asked to go on.
const ASKED: &str = "claude-sonnet-4-6";
const KEYS: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: aws}\nstringData: {api-key: \"AKIDEXAMPLE:se/cret+key:session==\"}\n---\n";

/// A provider that breaks off in this way behind three words.
fn breaking(how: &str) -> Simulator {
    Simulator::start(&["--text", WHOLE, "--fail", how, "--fail-after", "3"]).unwrap()
}

fn going_on() -> Simulator {
    Simulator::start(&["--text", " six ten new"]).unwrap()
}

/// A proxy that asks the one provider first, and then the other.
fn house(first: (&str, std::net::SocketAddr), second: (&str, std::net::SocketAddr), lines: &str) -> Proxy {
    let one = |name: &str, (kind, address): (&str, std::net::SocketAddr), tier: u32| {
        let signed = "credentials: {type: AWS, region: eu-west-1, secretRef: {name: aws}}, ";
        let more = format!("{}priority: {tier}", if kind == "Bedrock" { signed } else { "" });
        provider(name, kind, address, &more)
    };
    let times = "  timeouts: {firstToken: 5s, idle: 400ms, total: 20s}\n  circuitBreaker: {consecutiveFailures: 1000, minimumRequests: 1000}\n";
    let lines = format!("    targets: [{{poolRef: {{name: p}}}}]\n{lines}");
    let rules: String = [PREFILLED, ASKED, "m"].iter().map(|model| rule(&model.replace('.', "-"), &lines)).collect();
    let text = KEYS.to_owned() + &pool("p", &[one("first", first, 0), one("second", second, 1)], times) + &rules;
    Proxy::start(&[("all.yaml", &text)], &[]).unwrap()
}

/// A caller's dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Chat,
    Messages,
    Responses,
    Gemini,
    GeminiArray,
    Invoke,
    Converse,
    Cohere,
}

const CALLERS: [Caller; 8] = [
    Caller::Chat,
    Caller::Messages,
    Caller::Responses,
    Caller::Gemini,
    Caller::GeminiArray,
    Caller::Invoke,
    Caller::Converse,
    Caller::Cohere,
];

impl Caller {
    async fn call(self, client: &Client, model: &str) -> Answer {
        let turn = json!([{"role": "user", "content": "Say something."}]);
        let (path, body) = match self {
            Self::Chat => (
                CHAT.to_owned(),
                json!({"model": model, "stream": true, "stream_options": {"include_usage": true}, "messages": turn}),
            ),
            Self::Messages => {
                (MESSAGES.to_owned(), json!({"model": model, "stream": true, "max_tokens": 64, "messages": turn}))
            }
            Self::Responses => {
                ("/v1/responses".to_owned(), json!({"model": model, "stream": true, "input": "Say something."}))
            }
            Self::Gemini => (format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"), gemini_call()),
            Self::GeminiArray => (format!("/v1beta/models/{model}:streamGenerateContent"), gemini_call()),
            Self::Invoke => (
                format!("/model/{model}/invoke-with-response-stream"),
                json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": turn}),
            ),
            Self::Cohere => ("/v2/chat".to_owned(), json!({"model": model, "stream": true, "messages": turn})),
            Self::Converse => (
                format!("/model/{model}/converse-stream"),
                json!({"messages": [{"role": "user", "content": [{"text": "Say something."}]}]}),
            ),
        };
        client.post(&path, &[("content-type", "application/json")], body.to_string()).await.unwrap()
    }

    fn events(self, answer: &Answer) -> Vec<Value> {
        match self {
            Self::GeminiArray => serde_json::from_slice(&answer.body).unwrap_or_default(),
            Self::Invoke | Self::Converse => packed(&answer.body),
            _ => events(answer),
        }
    }

    fn said(self, events: &[Value]) -> String {
        let piece = |event: &Value| match self {
            Self::Chat => event["choices"][0]["delta"]["content"].as_str().map(str::to_owned),
            Self::Messages | Self::Invoke => event["delta"]["text"].as_str().map(str::to_owned),
            Self::Responses => {
                let is_text = event["type"] == "response.output_text.delta";
                event["delta"].as_str().filter(|_| is_text).map(str::to_owned)
            }
            Self::Gemini | Self::GeminiArray => {
                let parts = event["candidates"][0]["content"]["parts"].as_array();
                parts.map(|parts| parts.iter().filter_map(|part| part["text"].as_str()).collect())
            }
            Self::Cohere => event["delta"]["message"]["content"]["text"].as_str().map(str::to_owned),
            Self::Converse => {
                let said = &event["said"];
                said["delta"]["text"].as_str().map(str::to_owned)
            }
        };
        events.iter().filter_map(piece).collect()
    }

    /// One answer from one beginning to one end.
    fn check(self, told: &str, events: &[Value]) {
        let count = |is: &dyn Fn(&Value) -> bool| events.iter().filter(|event| is(event)).count();
        let of_type = |name: &str| count(&|event| event["type"] == name);
        match self {
            Self::Chat => {
                let ids: BTreeSet<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
                let roles = count(&|event| event["choices"][0]["delta"]["role"].is_string());
                let ends = count(&|event| event["choices"][0]["finish_reason"].is_string());
                assert_eq!((ids.len(), roles, ends), (1, 1, 1), "{told}");
                assert_eq!(count(&|event| event["usage"].is_object()), 1, "{told}");
            }
            Self::Messages | Self::Invoke => {
                for (name, times) in [
                    ("message_start", 1),
                    ("content_block_start", 1),
                    ("content_block_stop", 1),
                    ("message_delta", 1),
                    ("message_stop", 1),
                    ("error", 0),
                ] {
                    assert_eq!(of_type(name), times, "{name}: {told}");
                }
                let indexes: BTreeSet<u64> = events.iter().filter_map(|event| event["index"].as_u64()).collect();
                assert_eq!(indexes.into_iter().collect::<Vec<_>>(), [0], "{told}");
            }
            Self::Responses => {
                let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
                assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}: {told}");
                for name in ["response.created", "response.output_item.added", "response.output_item.done"] {
                    assert_eq!(of_type(name), 1, "{name}: {told}");
                }
                let items: BTreeSet<&str> = events.iter().filter_map(|event| event["item_id"].as_str()).collect();
                let whole = &events.iter().find(|event| event["type"] == "response.completed").unwrap()["response"];
                assert_eq!(whole["output"][0]["content"][0]["text"], WHOLE, "{told}");
                assert_eq!(whole["id"], events[0]["response"]["id"], "{told}");
                assert_eq!(items.into_iter().collect::<Vec<_>>(), [whole["output"][0]["id"].as_str().unwrap()]);
            }
            Self::Gemini | Self::GeminiArray => {
                assert_eq!(count(&|event| event["candidates"][0]["finishReason"].is_string()), 1, "{told}");
                let ids: BTreeSet<&str> = events.iter().filter_map(|event| event["responseId"].as_str()).collect();
                assert_eq!(ids.len(), 1, "{told}");
            }
            Self::Cohere => {
                for name in ["message-start", "content-start", "content-end", "message-end"] {
                    assert_eq!(of_type(name), 1, "{name}: {told}");
                }
            }
            Self::Converse => {
                assert_eq!(count(&|event| event["said"]["stopReason"].is_string()), 1, "{told}");
                assert_eq!(count(&|event| event["exception"] == true), 0, "{told}");
            }
        }
    }
}

fn gemini_call() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "Say something."}]}]})
}

async fn received(simulator: &Simulator) -> Vec<Value> {
    let journal = Client::new(simulator.address).get("/__journal").await.unwrap().json();
    let mut calls = journal.as_array().cloned().unwrap_or_default();
    for call in &mut calls {
        call["body"] = serde_json::from_str(call["body"].as_str().unwrap()).unwrap();
    }
    calls
}

const GOES_ON: &str = "    streamFailover: {}\n";

#[tokio::test]
async fn every_caller_has_one_answer_whoever_began_it_and_whoever_went_on() {
    let (first, second) = (breaking("cut"), going_on());
    for (one, other) in [
        ("OpenAI", "OpenAI"),
        ("OpenAI", "Anthropic"),
        ("Anthropic", "Anthropic"),
        ("Anthropic", "Gemini"),
        ("Gemini", "Gemini"),
        ("Gemini", "OpenAI"),
        ("Bedrock", "Bedrock"),
        ("Bedrock", "OpenAI"),
    ] {
        let proxy = house((one, first.address), (other, second.address), GOES_ON);
        for caller in CALLERS {
            for model in [PREFILLED, ASKED] {
                let answer = caller.call(&proxy.client(), model).await;
                let told = format!("{caller:?} of {one}, then {other}, {model}: {}", answer.text());
                assert!(answer.is_good(), "{told}");
                let events = caller.events(&answer);
                assert_eq!(caller.said(&events), WHOLE, "{told}");
                caller.check(&told, &events);
            }
        }
        let metrics = proxy.metrics().unwrap();
        let went_on = metrics.sum("sluicegate_continued_streams_total", &[]);
        assert_eq!(went_on, (CALLERS.len() * 2) as f64, "{one}, then {other}");
    }
}

#[tokio::test]
async fn whoever_goes_on_is_given_what_was_said_and_is_asked_where_it_has_to_be() {
    for (kind, model, prefilled) in
        [("Anthropic", PREFILLED, true), ("Anthropic", ASKED, false), ("OpenAI", PREFILLED, false)]
    {
        let (first, second) = (breaking("cut"), going_on());
        let proxy = house(("OpenAI", first.address), (kind, second.address), GOES_ON);
        let answer = Caller::Messages.call(&proxy.client(), model).await;
        assert!(answer.is_good() && answer.text().contains("message_stop"), "{}", answer.text());
        let sent = received(&second).await.pop().unwrap();
        let turns = sent["body"]["messages"].as_array().cloned().unwrap_or_default();
        let told = format!("{kind} {model}: {sent}");
        assert_eq!(turns.len(), if prefilled { 2 } else { 3 }, "{told}");
        assert_eq!(turns[1]["role"], "assistant", "{told}");
        assert!(turns[1]["content"].to_string().contains("one two red"), "{told}");
        assert!(prefilled || turns[2].to_string().contains("Go on with it"), "{told}");
        // What was said is no longer to be said.
        let most = sent["body"]["max_tokens"].as_u64().or(sent["body"]["max_completion_tokens"].as_u64()).unwrap();
        assert!(most < 64, "{told}");
    }
    // Whom the rule does not want asked is not.
    let (first, second) = (breaking("cut"), going_on());
    let proxy =
        house(("OpenAI", first.address), ("Anthropic", second.address), "    streamFailover: {method: Prefill}\n");
    let answer = Caller::Messages.call(&proxy.client(), ASKED).await;
    assert!(answer.text().contains("event: error") && received(&second).await.is_empty(), "{}", answer.text());
    let answer = Caller::Messages.call(&proxy.client(), PREFILLED).await;
    assert!(answer.text().contains("message_stop"), "{}", answer.text());
}

#[tokio::test]
async fn silence_and_errors_in_mid_answer_are_gone_on_from_too() {
    for how in ["stall", "stream-error"] {
        for kind in ["OpenAI", "Anthropic", "Gemini"] {
            let (first, second) = (breaking(how), going_on());
            let proxy = house((kind, first.address), ("OpenAI", second.address), GOES_ON);
            for caller in CALLERS {
                let answer = caller.call(&proxy.client(), PREFILLED).await;
                let (events, told) =
                    (caller.events(&answer), format!("{how}: {caller:?} of {kind}: {}", answer.text()));
                assert_eq!(caller.said(&events), WHOLE, "{told}");
                caller.check(&told, &events);
            }
        }
    }
}

#[tokio::test]
async fn what_is_told_once_more_is_left_out() {
    let first = breaking("cut");
    let again = Simulator::start(&["--text", WHOLE]).unwrap();
    let proxy = house(("OpenAI", first.address), ("OpenAI", again.address), GOES_ON);
    for caller in CALLERS {
        let answer = caller.call(&proxy.client(), "m").await;
        assert_eq!(caller.said(&caller.events(&answer)), WHOLE, "{caller:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn without_the_rules_word_and_where_nobody_can_go_on_it_ends_as_a_broken_stream_does() {
    let (first, second) = (breaking("cut"), going_on());
    let broken = |answer: &Answer| {
        let text = answer.text();
        answer.status == 200 && text.contains("\"error\"") && !text.contains("[DONE]") && text.contains("one")
    };
    for lines in ["", "    streamFailover: {method: Never}\n"] {
        let proxy = house(("OpenAI", first.address), ("OpenAI", second.address), lines);
        let answer = Caller::Chat.call(&proxy.client(), "m").await;
        assert!(broken(&answer), "{lines}: {}", answer.text());
        assert!(received(&second).await.is_empty(), "{lines}");
    }
    // Everybody else fails, or breaks off as well.
    let failing = Simulator::start(&["--fail", "status", "--fail-status", "500"]).unwrap();
    for (other, text) in [(failing.address, "one two red"), (breaking("cut").address, "one two red")] {
        let proxy = house(("OpenAI", first.address), ("OpenAI", other), GOES_ON);
        let answer = Caller::Chat.call(&proxy.client(), "m").await;
        assert!(broken(&answer), "{}", answer.text());
        assert!(Caller::Chat.said(&events(&answer)).starts_with(text), "{}", answer.text());
        let cut = |proxy: &Proxy| {
            let metrics = proxy.metrics().unwrap();
            metrics.sum("sluicegate_requests_total", &[("outcome", "upstream_cut")]) > 0.5
        };
        proxy.until("the call is counted as cut", cut).await.unwrap();
    }
    // What has to be of a form is not put together of two halves.
    let proxy = house(("OpenAI", first.address), ("OpenAI", second.address), GOES_ON);
    for more in [
        json!({"response_format": {"type": "json_object"}}),
        json!({"n": 2}),
        json!({"tools": [{"type": "function", "function": {"name": "t"}}], "tool_choice": "required"}),
    ] {
        let mut body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Say json."}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = proxy.client().post(CHAT, &[], body.to_string()).await.unwrap();
        assert!(!answer.text().contains("[DONE]"), "{more}: {}", answer.text());
    }
    assert!(received(&second).await.is_empty());
}

#[tokio::test]
async fn a_prompt_goes_on_where_prompts_are_taken_and_nowhere_else() {
    let (first, second) = (breaking("cut"), going_on());
    for (kind, goes_on) in [("OpenAI", true), ("Anthropic", false)] {
        let proxy = house(("OpenAI", first.address), (kind, second.address), GOES_ON);
        let body = json!({"model": PREFILLED, "stream": true, "prompt": "Say: "});
        let answer = proxy.client().post("/v1/completions", &[], body.to_string()).await.unwrap();
        let said: String = events(&answer)
            .iter()
            .filter_map(|event| event["choices"][0]["text"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(answer.text().contains("[DONE]"), goes_on, "{kind}: {}", answer.text());
        assert_eq!(said == WHOLE, goes_on, "{kind}: {}", answer.text());
    }
    let sent = received(&second).await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["body"]["prompt"], "Say: one two red");
}

/// An upstream that breaks off behind these pieces.
fn cut_behind(pieces: &[&str]) -> Upstream {
    let pieces: String = pieces.iter().map(|piece| openai_piece(piece, "null")).collect();
    Upstream::always(vec![stream_head(), chunk(pieces.as_bytes()), Act::Close]).unwrap()
}

#[tokio::test]
async fn nothing_goes_on_in_a_tool_call_or_in_thoughts() {
    let second = Upstream::start(|_| openai_stream("more")).unwrap();
    let text = r#"{"role":"assistant","content":"Let me look."}"#;
    let call = r#"{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"t","arguments":"{\"a"}}]}"#;
    for (pieces, goes_on) in [
        (vec![text], true),
        (vec![text, call], false),
        (vec![call], false),
        (vec![r#"{"role":"assistant","reasoning_content":"Hm"}"#], false),
    ] {
        let first = cut_behind(&pieces);
        let proxy = house(("OpenAICompatible", first.address), ("OpenAICompatible", second.address), GOES_ON);
        let before = second.calls();
        for caller in [Caller::Chat, Caller::Messages] {
            let answer = caller.call(&proxy.client(), "m").await;
            let ended = answer.text().contains("[DONE]") || answer.text().contains("message_stop");
            assert_eq!(ended, goes_on, "{pieces:?}: {caller:?}: {}", answer.text());
        }
        assert_eq!(second.calls() - before, if goes_on { 2 } else { 0 }, "{pieces:?}");
    }
}

#[tokio::test]
async fn both_attempts_are_metered_and_the_callers_usage_is_their_sum() {
    let (first, second) = (breaking("cut"), going_on());
    let proxy = house(("OpenAI", first.address), ("OpenAI", second.address), GOES_ON);
    let answer = Caller::Chat.call(&proxy.client(), "m").await;
    let usage = events(&answer).into_iter().find(|event| event["usage"].is_object()).unwrap()["usage"].clone();
    let counted = |proxy: &Proxy| proxy.log().iter().any(|line| line.contains("\"continued\":1"));
    proxy.until("the call is logged", counted).await.unwrap();
    let line = proxy.log().into_iter().find(|line| line.contains("\"continued\":1")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["attempts"], &line["failover"], &line["outcome"]), (&json!(2), &json!(true), &json!("done")));
    assert_eq!(line["usage_estimated"], true, "{line}");
    assert_eq!(line["usage"]["input"], usage["prompt_tokens"], "{line}");
    assert_eq!(line["usage"]["output"], usage["completion_tokens"], "{line}");
    let metrics = proxy.metrics().unwrap();
    let tokens = metrics.sum("sluicegate_tokens_total", &[("type", "output")]);
    assert_eq!(tokens, usage["completion_tokens"].as_f64().unwrap(), "{line}");
    for provider in ["first", "second"] {
        let of = metrics.sum("sluicegate_tokens_total", &[("type", "output"), ("provider", provider)]);
        assert!(of > 0.0, "{provider}");
    }
    for (provider, result) in [("first", "reset"), ("second", "success")] {
        let of = metrics.sum("sluicegate_attempts_total", &[("provider", provider), ("result", result)]);
        assert_eq!(of, 1.0, "{provider}: {}", metrics.0);
    }
}

#[tokio::test]
async fn who_shares_an_answer_has_the_same_one_and_the_cache_keeps_none_of_two_halves() {
    let (first, second) = (breaking("cut"), going_on());
    let lines = "    streamFailover: {}\n    coalesce: {scope: Pod}\n    cache: {ttl: 1h, scope: Route}\n";
    let proxy = house(("OpenAI", first.address), ("OpenAI", second.address), lines);
    let client = proxy.client();
    for _ in 0..2 {
        let asked = (0..4).map(|_| Caller::Chat.call(&client, "m"));
        let answers = futures_util::future::join_all(asked).await;
        for answer in &answers {
            assert_eq!(Caller::Chat.said(&events(answer)), WHOLE, "{}", answer.text());
            assert!(answer.text().contains("[DONE]"), "{}", answer.text());
        }
    }
    let hits = proxy.metrics().unwrap().sum("sluicegate_cache_hits_total", &[("layer", "memory")]);
    assert_eq!((received(&second).await.len(), hits), (2, 0.0));
}
