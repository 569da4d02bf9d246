//! What a call costs: by the kinds of its tokens, by the length of its prompt and by the service tier that answered; whole,
//! streamed and cut, passed and translated.

use serde_json::{Value, json};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

use crate::resources::{CHAT, MESSAGES, chat, message, pool, provider, route, rule};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
/// Each kind has a price of its own, so that a sum says what it is made of: a dollar per million tokens is a millionth per token.
const PRICE: &str = "models: [{name: m, price: {inputPerMillion: '1', cachedInputPerMillion: '0.1', cacheWritePerMillion: '1.25', \
     cacheWrite1hPerMillion: '2', outputPerMillion: '5', reasoningPerMillion: '6', audioInputPerMillion: '10', \
     cachedAudioPerMillion: '0.3', audioOutputPerMillion: '20', imageInputPerMillion: '3', imageOutputPerMillion: '30', \
     longContext: [{overTokens: 1000, inputPerMillion: '2', outputPerMillion: '7'}], \
     tiers: {flex: {factor: '0.5'}, batch: {factor: '0.5'}}}}]";

/// What the proxy wrote of its only call.
async fn line_of(proxy: &Proxy) -> Value {
    let told = |proxy: &Proxy| proxy.log().iter().any(|line| line.contains("\"cost_usd\""));
    proxy.until("the call is in the log", told).await.unwrap();
    let line = proxy.log().into_iter().find(|line| line.contains("\"cost_usd\"")).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// A call to a provider of this kind that answers so, and what was written of it.
async fn booked(kind: &str, acts: Vec<Act>, call: (&str, String)) -> (Value, f64, f64) {
    booked_of(kind, PRICE, acts, call).await
}

/// The same of a provider with these models.
async fn booked_of(kind: &str, models: &str, acts: Vec<Act>, (path, body): (&str, String)) -> (Value, f64, f64) {
    let upstream = Upstream::always(acts).unwrap();
    let text = pool("p", &[provider("only", kind, upstream.address, models)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let _ = proxy.client().post(path, &[], body).await;
    let line = line_of(&proxy).await;
    let metrics = proxy.metrics().unwrap();
    (line, metrics.sum("sluicegate_cost_usd_total", &[]), metrics.sum("sluicegate_cost_unknown_total", &[]))
}

fn stream(events: &str) -> Vec<Act> {
    vec![stream_head(), chunk(events.as_bytes()), last_chunk()]
}

fn chat_answer(usage: &Value, tier: &str) -> Vec<Act> {
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"});
    let body = json!({"id": "c", "model": "m", "choices": [choice], "usage": usage, "service_tier": tier});
    vec![answer(200, JSON, body.to_string().as_bytes())]
}

fn chat_stream(usage: &Value, tier: &str) -> Vec<Act> {
    let choice = json!({"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"});
    let first = json!({"id": "c", "model": "m", "choices": [choice], "service_tier": tier});
    let last = json!({"id": "c", "model": "m", "choices": [], "usage": usage});
    stream(&format!("data: {first}\n\ndata: {last}\n\ndata: [DONE]\n\n"))
}

fn messages_usage() -> Value {
    json!({"input_tokens": 50, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 40, "output_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 3}, "service_tier": "standard"})
}

fn millionths(line: &Value) -> f64 {
    (line["cost_usd"].as_f64().unwrap() * 1e9).round() / 1e3
}

#[tokio::test]
async fn every_kind_of_token_costs_what_its_price_says() {
    let chat_usage = json!({"prompt_tokens": 100, "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 20, "image_tokens": 5, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 8, "audio_tokens": 30, "image_tokens": 2}});
    // 25 of text, 20 of audio, 5 of images, 40 cached, 10 written; 10 said, 8 thought, 30 spoken, 2 drawn.
    let of_chat = 25.0 + 200.0 + 15.0 + 4.0 + 12.5 + 50.0 + 48.0 + 600.0 + 60.0;
    // 50 fresh, 40 cached, 7 written for minutes and 3 for an hour; 50 said.
    let of_messages = 50.0 + 4.0 + 8.75 + 6.0 + 250.0;
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "x"}], "usage": messages_usage()});
    let messages = vec![answer(200, JSON, whole.to_string().as_bytes())];
    let gemini = json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "x"}]},
            "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 42,
            "thoughtsTokenCount": 8, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 24}],
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 2}]}});
    // 40 of text and 20 of audio fresh, 36 and 4 cached; 40 said, 8 thought, 2 drawn.
    let of_gemini = 40.0 + 200.0 + 3.6 + 1.2 + 200.0 + 48.0 + 60.0;
    let gemini_whole = vec![answer(200, JSON, gemini.to_string().as_bytes())];
    for (kind, acts, call, expected) in [
        ("OpenAI", chat_answer(&chat_usage, "default"), (CHAT, chat("m", false)), of_chat),
        ("OpenAI", chat_stream(&chat_usage, "default"), (CHAT, chat("m", true)), of_chat),
        ("OpenAI", chat_answer(&chat_usage, "flex"), (CHAT, chat("m", false)), of_chat / 2.0),
        ("OpenAI", chat_stream(&chat_usage, "flex"), (CHAT, chat("m", true)), of_chat / 2.0),
        // Translated, too.
        ("OpenAI", chat_answer(&chat_usage, "flex"), (MESSAGES, message("m", false)), of_chat / 2.0),
        ("OpenAI", chat_stream(&chat_usage, "flex"), (MESSAGES, message("m", true)), of_chat / 2.0),
        ("Anthropic", messages.clone(), (MESSAGES, message("m", false)), of_messages),
        ("Anthropic", messages, (CHAT, chat("m", false)), of_messages),
        ("Gemini", gemini_whole, (CHAT, chat("m", false)), of_gemini),
        ("Gemini", stream(&format!("data: {gemini}\r\n\r\n")), (CHAT, chat("m", true)), of_gemini),
    ] {
        let (line, cost, unknown) = booked(kind, acts, call.clone()).await;
        assert!((millionths(&line) - expected).abs() < 0.001, "{kind} {call:?}: {line}, expected {expected}");
        assert!((cost * 1e6 - expected).abs() < 0.001, "{kind} {call:?}: {cost}");
        assert_eq!(unknown, 0.0);
    }
}

#[tokio::test]
async fn a_long_prompt_costs_more_and_a_tier_without_a_price_is_unknown() {
    let usage = |input: u64| json!({"prompt_tokens": input, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 500}});
    for (input, tier, expected) in [
        (1_000, "default", Some(500.0 + 50.0 + 50.0)),
        (1_001, "default", Some(2.0 * 501.0 + 50.0 + 70.0)),
        (1_001, "flex", Some((2.0 * 501.0 + 50.0 + 70.0) / 2.0)),
        (1_000, "priority", None),
        (1_000, "scale", None),
    ] {
        let (line, cost, unknown) = booked("OpenAI", chat_answer(&usage(input), tier), (CHAT, chat("m", false))).await;
        let Some(expected) = expected else {
            assert_eq!((&line["cost_usd"], cost, unknown), (&Value::Null, 0.0, 1.0), "{line}");
            assert!(line["service_tier"].is_string(), "{line}");
            continue;
        };
        assert!((millionths(&line) - expected).abs() < 0.001, "{line}, expected {expected}");
        assert_eq!(unknown, 0.0);
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_costs_by_the_tier_that_it_said() {
    let piece = json!({"id": "c", "service_tier": "flex", "choices": [{"index": 0, "delta": {"content": "one two three four"}}]});
    let cut = vec![stream_head(), chunk(format!("data: {piece}\n\n").as_bytes()), Act::Reset];
    let usual = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "one two three four"}}]});
    let whole_price = vec![stream_head(), chunk(format!("data: {usual}\n\n").as_bytes()), Act::Reset];
    for call in [(CHAT, chat("m", true)), (MESSAGES, message("m", true))] {
        let (flex, ..) = booked("OpenAI", cut.clone(), call.clone()).await;
        let (usual, ..) = booked("OpenAI", whole_price.clone(), call).await;
        assert_eq!((&flex["usage_estimated"], &flex["service_tier"]), (&json!(true), &json!("flex")), "{flex}");
        assert!((millionths(&flex) * 2.0 - millionths(&usual)).abs() < 0.001, "{flex} {usual}");
    }
}

#[tokio::test]
async fn each_model_that_has_a_part_in_an_answer_costs_its_own_price() {
    let models = "models: [{name: m, price: {inputPerMillion: '1', outputPerMillion: '5'}}, {name: large, price: {inputPerMillion: '100', outputPerMillion: '500'}}, {name: unpriced}]";
    let with = |body: String, more: &str| body.replacen('{', &format!("{{{more},"), 1);
    let whole = |model: &str, iterations: Value| {
        let usage = json!({"input_tokens": 10, "output_tokens": 2, "iterations": iterations});
        let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "x"}], "usage": usage});
        vec![answer(200, JSON, body.to_string().as_bytes())]
    };
    let streamed = |model: &str, iterations: Value| {
        let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
            "model": model, "content": [], "usage": {"input_tokens": 10, "output_tokens": 1}}});
        let delta = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 2, "iterations": iterations}});
        let text = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}});
        let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
        let stop = json!({"type": "content_block_stop", "index": 0});
        let end = json!({"type": "message_stop"});
        let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
        stream(&[start, block, text, stop, delta, end].iter().map(event).collect::<String>())
    };
    let fallbacks = r#""fallbacks":[{"model":"large"},{"model":"unpriced"}]"#;
    let advisor = r#""tools":[{"type":"advisor_20260301","name":"advisor","model":"large"}]"#;
    let declined = json!([{"type": "message", "model": "m", "input_tokens": 9, "output_tokens": 0},
        {"type": "fallback_message", "model": "large", "input_tokens": 10, "output_tokens": 2}]);
    let advice = json!([{"type": "message", "input_tokens": 10, "output_tokens": 2},
        {"type": "advisor_message", "model": "large", "input_tokens": 3, "output_tokens": 1}]);
    let (own, large) = (10.0 + 10.0, 1_000.0 + 1_000.0);
    for (more, model, iterations, expected) in [
        (r#""top_p":1"#, "large", Value::Null, Some(own)),
        (fallbacks, "m", Value::Null, Some(own)),
        (fallbacks, "large-20260101", declined, Some(large)),
        (fallbacks, "unpriced", Value::Null, None),
        (r#""fallbacks":"default""#, "large", Value::Null, Some(large)),
        (advisor, "m", advice, Some(own + 300.0 + 500.0)),
    ] {
        for is_stream in [false, true] {
            let acts = if is_stream { streamed(model, iterations.clone()) } else { whole(model, iterations.clone()) };
            let call = (MESSAGES, with(message("m", is_stream), more));
            let (line, cost, unknown) = booked_of("Anthropic", models, acts, call).await;
            match expected {
                Some(expected) => {
                    assert!((millionths(&line) - expected).abs() < 0.001, "{more} {is_stream}: {line}");
                    assert!((cost * 1e6 - expected).abs() < 0.001 && unknown < 0.1, "{more} {is_stream}: {cost}");
                }
                None => assert_eq!((&line["cost_usd"], unknown), (&Value::Null, 1.0), "{more} {is_stream}: {line}"),
            }
        }
    }
}

#[tokio::test]
async fn an_answer_whose_provider_says_that_it_used_nothing_is_estimated() {
    let nothing = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    let (whole, streamed) = (chat_answer(&nothing, "default"), chat_stream(&nothing, "default"));
    for (acts, call) in [
        (whole.clone(), (CHAT, chat("m", false))),
        (streamed.clone(), (CHAT, chat("m", true))),
        (whole, (MESSAGES, message("m", false))),
        (streamed, (MESSAGES, message("m", true))),
    ] {
        let (line, cost, unknown) = booked("OpenAI", acts, call.clone()).await;
        assert!(cost > 0.0 && unknown < 0.1, "{call:?}: {line}");
        assert_eq!(line["usage_estimated"], true, "{call:?}: {line}");
    }
}

#[tokio::test]
async fn usage_counts_wherever_a_chunk_has_it() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 50, "cached_tokens": 40});
    let choice = json!({"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"});
    let with_usage = json!({"index": 0, "delta": {"content": "x"}, "finish_reason": "stop", "usage": usage});
    for chunk in [
        json!({"id": "c", "model": "m", "choices": [with_usage]}),
        json!({"id": "c", "model": "m", "choices": [choice], "x_groq": {"id": "r", "usage": usage}}),
    ] {
        for call in [(CHAT, chat("m", true)), (MESSAGES, message("m", true))] {
            let acts = stream(&format!("data: {chunk}\n\ndata: [DONE]\n\n"));
            let (line, ..) = booked("OpenAI", acts, call).await;
            assert!((millionths(&line) - (60.0 + 4.0 + 250.0)).abs() < 0.001, "{line}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_word_costs_nothing() {
    let start = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":100,"output_tokens":1}}}"#;
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let events = format!("event: message_start\ndata: {start}\n\nevent: error\ndata: {error}\n\n");
    for call in [(MESSAGES, message("m", true)), (CHAT, chat("m", true))] {
        let (line, cost, unknown) = booked("Anthropic", stream(&events), call).await;
        assert_eq!((line["cost_usd"].as_f64(), cost, unknown), (Some(0.0), 0.0, 0.0), "{line}");
    }
}

#[tokio::test]
async fn a_tier_that_a_header_names_counts() {
    let whole = json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "x"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10}});
    let headers = [JSON[0], ("x-gemini-service-tier", "flex")];
    let acts = vec![answer(200, &headers, whole.to_string().as_bytes())];
    let (line, ..) = booked("Gemini", acts, (CHAT, chat("m", false))).await;
    assert!((millionths(&line) - 75.0).abs() < 0.001, "{line}");
}

#[tokio::test]
async fn a_model_without_a_price_costs_what_the_list_says() {
    let upstream =
        Upstream::start(|_| chat_answer(&json!({"prompt_tokens": 1_000, "completion_tokens": 100}), "default"));
    let upstream = upstream.unwrap();
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/sluicegate/files/prices.yaml");
    let models = "models: [{name: listed, upstreamName: gpt-4o-2024-11-20}, {name: unknown}, \
         {name: own, upstreamName: gpt-4o, price: {inputPerMillion: '1', outputPerMillion: '1'}}]";
    let routes = ["listed", "unknown", "own"].map(|model| route(model, "p")).concat();
    let text = pool("p", &[provider("only", "OpenAI", upstream.address, models)], "") + &routes;
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--prices", list]).unwrap();
    for (model, expected) in [("listed", Some(1_000.0 * 2.5 + 100.0 * 10.0)), ("own", Some(1_100.0)), ("unknown", None)]
    {
        proxy.client().post(CHAT, &[], chat(model, false)).await.unwrap();
        let told = |line: &String| line.contains("\"cost_usd\"") && line.contains(&format!("\"{model}\""));
        proxy.until("the call is in the log", |proxy| proxy.log().iter().any(told)).await.unwrap();
        let line: Value = serde_json::from_str(&proxy.log().into_iter().find(told).unwrap()).unwrap();
        match expected {
            Some(expected) => assert!((millionths(&line) - expected).abs() < 0.001, "{line}"),
            None => assert_eq!(line["cost_usd"], Value::Null, "{line}"),
        }
    }
    let metrics = proxy.metrics().unwrap();
    assert!(metrics.sum("sluicegate_price_list_timestamp_seconds", &[]) > 1_760_000_000.0);
    assert_eq!(metrics.sum("sluicegate_cost_unknown_total", &[]), 1.0);
}

#[test]
fn a_list_that_can_not_be_read_ends_the_start() {
    let error = Proxy::start(&[("all.yaml", &route("m", "p"))], &["--prices", "/nowhere/prices.yaml"]).unwrap_err();
    assert!(format!("{error:#}").contains("--prices"), "{error:#}");
}

/// The cost of a call, in the log and in the metrics, whose first provider gives an answer that nobody can use, and the second a good one: each
/// takes 100 and 50.
async fn with_a_lost_one(kind: &str, lost: Vec<Act>, (path, body, reason): (&str, String, &str)) -> (f64, f64) {
    let lost = Upstream::always(lost).unwrap();
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 50});
    let good =
        if body.contains("\"stream\":true") { chat_stream(&usage, "default") } else { chat_answer(&usage, "default") };
    let good = Upstream::always(good).unwrap();
    let first = provider("first", kind, lost.address, &format!("{PRICE}, priority: 0"));
    let second = provider("second", "OpenAI", good.address, &format!("{PRICE}, priority: 1"));
    let text = if reason.is_empty() {
        pool("p", &[first, second], "  retry: {attempts: 2}") + &route("m", "p")
    } else {
        let lines = format!(
            "    targets: [{{poolRef: {{name: p}}}}]\n    fallbacks: [{{poolRef: {{name: q}}, reasons: [{reason}]}}]\n"
        );
        pool("p", &[first], "") + &pool("q", &[second], "") + &rule("m", &lines)
    };
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let got = proxy.client().post(path, &[], body).await.unwrap();
    assert_eq!(got.status, 200, "{kind}: {}", got.text());
    let line = line_of(&proxy).await;
    assert_eq!(line["provider"], "second", "{kind}: {line}");
    (millionths(&line), (proxy.metrics().unwrap().sum("sluicegate_cost_usd_total", &[]) * 1e9).round() / 1e3)
}

#[tokio::test]
async fn an_answer_that_nobody_can_use_is_paid_for_too() {
    let whole = |body: Value| vec![answer(200, JSON, body.to_string().as_bytes())];
    let gemini_usage = json!({"promptTokenCount": 100, "candidatesTokenCount": 50});
    let malformed =
        json!({"candidates": [{"index": 0, "finishReason": "MALFORMED_FUNCTION_CALL"}], "usageMetadata": gemini_usage});
    let anthropic_usage = json!({"input_tokens": 100, "output_tokens": 50});
    let converse = json!({"stopReason": "malformed_tool_use", "output": {"message": {"role": "assistant", "content": []}},
        "usage": {"inputTokens": 100, "outputTokens": 50, "totalTokens": 150}});
    let chat_usage = json!({"prompt_tokens": 100, "completion_tokens": 50});
    let (asked, streamed) = ((CHAT, chat("m", false), ""), (CHAT, chat("m", true), ""));
    let filtered = (CHAT, chat("m", true), "ContentPolicy");
    let refusal = json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]});
    let behind = json!({"id": "c", "choices": [], "usage": chat_usage});
    for (kind, lost, asked) in [
        ("Gemini", whole(malformed.clone()), asked.clone()),
        ("Gemini", stream(&format!("data: {malformed}\n\n")), streamed.clone()),
        ("Gemini", whole(json!({"candidates": [], "usageMetadata": gemini_usage})), asked.clone()),
        ("OpenAI", whole(json!({"id": "c", "usage": chat_usage})), asked.clone()),
        ("OpenAI", whole(json!({"id": "c", "choices": [], "usage": chat_usage})), asked.clone()),
        (
            "OpenAI",
            stream(&format!("data: {}\n\ndata: [DONE]\n\n", json!({"id": "c", "choices": [], "usage": chat_usage}))),
            streamed.clone(),
        ),
        ("Anthropic", whole(json!({"id": "msg_1", "type": "message", "usage": anthropic_usage})), asked.clone()),
        ("Bedrock", whole(converse), asked.clone()),
        // What a refusal has used is said behind it.
        ("OpenAI", stream(&format!("data: {refusal}\n\ndata: {behind}\n\ndata: [DONE]\n\n")), filtered.clone()),
    ] {
        // 100 of input at a dollar per million and 50 of output at five, twice.
        let costs = with_a_lost_one(kind, lost, asked).await;
        assert_eq!(costs, (700.0, 700.0), "{kind}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_between_its_end_and_its_usage_is_estimated() {
    let choice = |delta: Value, reason: Value| json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    let text = "one two three four five six seven eight nine ten ".repeat(20);
    let events = format!(
        "data: {}\n\ndata: {}\n\n",
        choice(json!({"content": text}), Value::Null),
        choice(json!({}), json!("stop"))
    );
    // The connection ends without the body's own end.
    let (line, usd, unknown) =
        booked("OpenAI", vec![stream_head(), chunk(events.as_bytes())], (CHAT, chat("m", true))).await;
    assert_eq!((line["outcome"].as_str(), line["usage_estimated"].as_bool()), (Some("done"), Some(true)), "{line}");
    assert!(line["usage"]["output"].as_u64().unwrap() > 100 && usd > 0.0 && unknown == 0.0, "{line} {usd} {unknown}");
}

#[tokio::test]
async fn a_count_at_an_answers_beginning_is_not_believed() {
    let text = "one two three four five six seven eight nine ten ".repeat(20);
    let events: String = [
        json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ]
    .iter()
    .map(|data| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()))
    .collect();
    let (line, usd, unknown) = booked("Anthropic", stream(&events), (CHAT, chat("m", true))).await;
    assert_eq!((line["outcome"].as_str(), line["usage_estimated"].as_bool()), (Some("done"), Some(true)), "{line}");
    assert_eq!(line["usage"]["input"], 9, "{line}");
    assert!(line["usage"]["output"].as_u64().unwrap() > 100 && usd > 0.0 && unknown == 0.0, "{line} {usd} {unknown}");
}
