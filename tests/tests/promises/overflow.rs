//! A prompt that does not fit its model: told in the words that agents act on, tried once, held against no provider.

use std::net::SocketAddr;

use sluicegate_tests::client::Answer;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{MESSAGES, WAYS, Way, events, message, openai_piece, pool, provider, route};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const SSE: &[(&str, &str)] = &[("content-type", "text/event-stream")];

/// What a look-alike of OpenAI's says, and how an Anthropic caller is told.
const SAID: [(&str, &str); 5] = [
    (
        r#"{"object":"error","type":"BadRequestError","message":"This model's maximum context length is 1000 tokens. However, you requested 1300 tokens (1200 in the messages, 100 in the completion).","code":400}"#,
        "prompt is too long: 1200 tokens > 1000 maximum",
    ),
    (
        r#"{"object":"error","type":"BadRequestError","message":"This model's maximum context length is 1000 tokens. However, you requested 1150 tokens (900 in the messages, 250 in the completion).","code":400}"#,
        "input length and `max_tokens` exceed context limit: 900 + 250 > 1000",
    ),
    (
        r#"{"error":{"message":"The input (1200 tokens) is longer than the model's context length (1000 tokens).","type":"BadRequestError"}}"#,
        "prompt is too long: 1200 tokens > 1000 maximum",
    ),
    (
        r#"{"error":{"message":"prompt token count of 1200 exceeds the limit of 1000","code":"model_max_prompt_tokens_exceeded"}}"#,
        "prompt is too long: 1200 tokens > 1000 maximum",
    ),
    (
        r#"{"error":{"message":"too big","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        "prompt is too long",
    ),
];
const ANTHROPIC: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 1200 tokens > 1000 maximum"},"request_id":"req_1"}"#;
const LOOKALIKE: &str =
    r#"{"type":"error","error":{"type":"invalid_request_error","message":"Input is too long for requested model."}}"#;

fn proxy(kind: &str, address: SocketAddr) -> Proxy {
    let text = pool("p", &[provider("only", kind, address, "")], "") + &route("m", "p");
    Proxy::start(&[("all.yaml", &text)], &[]).unwrap()
}

fn is_told(way: Way, answer: &Answer, words: &str) {
    let told = format!("{way:?}: {}", answer.text());
    assert_eq!((answer.status, answer.header("x-should-retry")), (400, "false"), "{told}");
    let (kind, message) = way.error(answer);
    assert_eq!(kind, "invalid_request_error", "{told}");
    if way.anthropic {
        assert!(message.contains(words), "{told}");
    } else {
        assert_eq!(answer.json()["error"]["code"], "context_length_exceeded", "{told}");
    }
}

/// Calls in every way, and shows that each went out once and is nobody's failure.
async fn each_way_is_told(kind: &str, acts: impl Fn(bool) -> Vec<Act> + Send + Sync + 'static, words: &str) {
    let upstream = Upstream::start(move |received| acts(received.streams())).unwrap();
    let proxy = proxy(kind, upstream.address);
    for way in WAYS {
        is_told(way, &way.call(&proxy.client(), "m", &[]).await, words);
    }
    assert_eq!(upstream.calls(), WAYS.len() as u64, "tried again");
    let metrics = proxy.metrics().unwrap();
    let ended = metrics.sum("sluicegate_attempts_total", &[("result", "client_error")]);
    assert_eq!(ended, WAYS.len() as f64, "{}", metrics.0);
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_told_in_the_words_that_agents_act_on() {
    for (body, words) in SAID {
        each_way_is_told("OpenAICompatible", move |_| vec![answer(400, JSON, body.as_bytes())], words).await;
    }
    let words = "prompt is too long: 1200 tokens > 1000 maximum";
    each_way_is_told("Anthropic", |_| vec![answer(400, JSON, ANTHROPIC.as_bytes())], words).await;
    // A look-alike of either dialect, whose status would have it tried again.
    each_way_is_told("Anthropic", |_| vec![answer(500, JSON, LOOKALIKE.as_bytes())], "prompt is too long (").await;
    let llama = r#"{"error":{"code":500,"message":"the request exceeds the available context size. try increasing it","type":"server_error"}}"#;
    each_way_is_told("OpenAICompatible", move |_| vec![answer(500, JSON, llama.as_bytes())], "prompt is too long (")
        .await;
}

#[tokio::test]
async fn in_a_stream_it_is_the_same_before_and_behind_the_first_event() {
    let role = openai_piece(r#"{"role":"assistant","content":""}"#, "null");
    for first in [String::new(), role] {
        for (body, words) in SAID {
            let event =
                if body.contains("\"object\":\"error\"") { format!("{{\"error\":{body}}}") } else { body.to_owned() };
            let stream = format!("{first}data: {event}\n\ndata: [DONE]\n\n");
            let acts = move |streams| match streams {
                true => vec![answer(200, SSE, stream.as_bytes())],
                false => vec![answer(400, JSON, body.as_bytes())],
            };
            each_way_is_told("OpenAICompatible", acts, words).await;
        }
    }
    let stream = format!("event: error\ndata: {ANTHROPIC}\n\n");
    let acts = move |streams| match streams {
        true => vec![answer(200, SSE, stream.as_bytes())],
        false => vec![answer(400, JSON, ANTHROPIC.as_bytes())],
    };
    each_way_is_told("Anthropic", acts, "prompt is too long: 1200 tokens > 1000 maximum").await;
}

#[tokio::test]
async fn under_a_good_status_it_is_the_same() {
    for (body, words) in SAID {
        each_way_is_told("OpenAICompatible", move |_| vec![answer(200, JSON, body.as_bytes())], words).await;
    }
    let words = "prompt is too long: 1200 tokens > 1000 maximum";
    each_way_is_told("Anthropic", |_| vec![answer(200, JSON, ANTHROPIC.as_bytes())], words).await;
}

#[tokio::test]
async fn behind_the_first_token_it_is_told_in_the_same_words() {
    let token = openai_piece(r#"{"role":"assistant","content":"so far"}"#, "null");
    for (body, words) in SAID {
        let event =
            if body.contains("\"object\":\"error\"") { format!("{{\"error\":{body}}}") } else { body.to_owned() };
        let error = format!("data: {event}\n\ndata: [DONE]\n\n");
        let together = vec![stream_head(), chunk(format!("{token}{error}").as_bytes()), last_chunk()];
        let (half, rest) = error.split_at(error.len() / 3);
        let cut = [token.as_bytes(), half.as_bytes(), rest.as_bytes()].map(chunk);
        let apart = std::iter::once(stream_head()).chain(cut).chain([last_chunk()]).collect();
        for acts in [together, apart] {
            let upstream = Upstream::always(acts).unwrap();
            let proxy = proxy("OpenAICompatible", upstream.address);
            for anthropic in [false, true] {
                let way = Way { anthropic, stream: true };
                let told = way.call(&proxy.client(), "m", &[]).await;
                assert_eq!((told.status, way.said(&told).as_str()), (200, "so far"), "{}", told.text());
                let last = events(&told).pop().unwrap_or_default();
                if anthropic {
                    assert!(way.error(&told).1.contains(words), "{}", told.text());
                } else {
                    assert_eq!(last["error"]["code"], "context_length_exceeded", "{}", told.text());
                }
                assert!(!way.says_end(&told), "{}", told.text());
            }
        }
    }
    let start = r#"{"type":"message_start","message":{"id":"a","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}"#;
    let begin = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"so far"}}"#;
    for (error, passes) in [(ANTHROPIC, true), (LOOKALIKE, false)] {
        let event = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
        let before =
            event("message_start", start) + &event("content_block_start", begin) + &event("content_block_delta", delta);
        let whole = format!("{before}{}", event("error", error));
        let upstream = Upstream::always(vec![stream_head(), chunk(whole.as_bytes()), last_chunk()]).unwrap();
        let proxy = proxy("Anthropic", upstream.address);
        let way = Way { anthropic: true, stream: true };
        let told = way.call(&proxy.client(), "m", &[]).await;
        assert!(told.text().starts_with(&before), "{}", told.text());
        assert_eq!(told.text() == whole, passes, "{}", told.text());
        assert!(way.error(&told).1.contains("prompt is too long"), "{}", told.text());
    }
}

#[tokio::test]
async fn the_right_words_of_the_callers_own_dialect_pass_as_they_are_and_others_do_not() {
    for (body, passes) in [(ANTHROPIC, true), (LOOKALIKE, false)] {
        let upstream = Upstream::always(vec![answer(400, JSON, body.as_bytes())]).unwrap();
        let proxy = proxy("Anthropic", upstream.address);
        for path in [MESSAGES, "/v1/messages/count_tokens"] {
            let told = proxy.client().post(path, &[], message("m", false)).await.unwrap();
            assert_eq!((told.text() == body, told.header("x-should-retry")), (passes, "false"), "{}", told.text());
            is_told(Way { anthropic: true, stream: false }, &told, "prompt is too long");
        }
    }
}
