//! What is recorded, whole or streamed, is one answer; what is not good is none.

use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};
use sluicegate_config::{CacheKey, CacheScope, MemoryCache, Millis, ObjectId, Route, Rule, Snapshot, Timeouts};

use super::*;
use crate::cache::{CacheLookup, CacheQuery, Hit, Plan, SharedCache, Store};

struct House {
    shared: Arc<SharedCache>,
    plan: Arc<Plan>,
    store: Rc<Store>,
    dialect: Dialect,
}

fn house(dialect: Dialect, change: impl FnOnce(&mut Cache)) -> House {
    let mut cache = Cache {
        ttl: Millis(60_000),
        scope: CacheScope::Route,
        memory: Some(MemoryCache { max_entries: 100, max_bytes: 1 << 22 }),
        redis: false,
        promotion: None,
        key: CacheKey { trim: false, lowercase: false, temperature_decimals: None, ignore: Vec::new() },
        min_content_length: 3,
        store_length: false,
        max_bytes: 1 << 20,
        compress_over: Some(200),
        generation: 1,
    };
    change(&mut cache);
    let (matches, targets, fallbacks) = (Vec::new(), Vec::new(), Vec::new());
    let timeouts = Timeouts::default();
    let rule = Rule {
        unlisted: false,
        name: "r".into(),
        matches,
        targets,
        fallbacks,
        cache: Some(cache.clone()),
        coalesce: None,
        prompt_cache: None,
        limits: Vec::new(),
        own_limits: false,
        budgets: Vec::new(),
        request: None,
        hedge: None,
        stream_failover: None,
        mirror: None,
        concurrency: None,
        own_concurrency: false,
        timeouts,
    };
    let route =
        Route { format: 1, revision: String::new(), requires: Vec::new(), created: 0, access: None, rules: vec![rule] };
    let id = ObjectId("team/route".into());
    let shared = SharedCache::new();
    shared.apply(&Snapshot { routes: [(id.clone(), route)].into(), ..Snapshot::default() });
    let plan = shared.plan(&id, "r", &cache);
    let store = Store::new(&shared, None);
    House { shared, plan, store, dialect }
}

impl House {
    fn look_up(&self, stream: bool, stream_usage: bool) -> CacheLookup {
        let headers = HeaderMap::new();
        let body = br#"{"model":"m","messages":[]}"#;
        let dialect = self.dialect;
        let (beta, served_by) = (false, [0; 32]);
        let asked = CacheQuery {
            dialect,
            caller: None,
            headers: &headers,
            goes_on: &|_| true,
            beta,
            served_by,
            model: None,
            body,
            stream,
            stream_usage,
            accepts: None,
        };
        // Without Redis nothing waits.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.store.look_up(&self.plan, &asked))
    }

    fn lead(&self) -> Lead {
        let CacheLookup::Lead(lead) = self.look_up(false, false) else { panic!("a hit in an empty cache") };
        lead
    }

    fn hit(&self, stream: bool, stream_usage: bool) -> Hit {
        let CacheLookup::Hit(hit) = self.look_up(stream, stream_usage) else { panic!("no hit") };
        hit
    }

    fn is_empty(&self) -> bool {
        self.shared.filled().0 == 0
    }

    fn refused(&self) -> Vec<&'static str> {
        self.shared.stats().refused().filter(|(_, count)| *count > 0).map(|(why, _)| why).collect()
    }

    fn record(&self, stream: &[u8], piece: usize) {
        let mut recorder = self.lead().recorder();
        for piece in stream.chunks(piece) {
            recorder.push(&Bytes::copy_from_slice(piece));
        }
        recorder.conclude();
    }
}

fn openai(text: &str, finish: &str) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null},
            "logprobs": null, "finish_reason": finish}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}})
}

fn anthropic(text: &str, stop: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [{"type": "text", "text": text}], "stop_reason": stop, "stop_sequence": null,
        "usage": {"input_tokens": 5, "output_tokens": 7}})
}

fn gemini(text: &str, finish: &str) -> Value {
    json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish, "index": 0}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12},
        "modelVersion": "gemini-x", "responseId": "r"})
}

fn responses(text: &str) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": "completed", "error": null,
        "model": "gpt-x", "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}]}],
        "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}})
}

fn answer(dialect: Dialect, text: &str) -> Value {
    match dialect {
        Dialect::OpenAiChat => openai(text, "stop"),
        Dialect::AnthropicMessages | Dialect::BedrockInvoke => anthropic(text, "end_turn"),
        Dialect::OpenAiCompletions => json!({"id": "cmpl-1", "object": "text_completion", "created": 1_700_000_000,
            "model": "gpt-x", "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}),
        Dialect::Gemini => gemini(text, "STOP"),
        Dialect::OpenAiResponses => responses(text),
        Dialect::CohereChat => json!({"id": "c", "finish_reason": "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
            "usage": {"billed_units": {"input_tokens": 5, "output_tokens": 7}}}),
        Dialect::BedrockConverse => json!({"output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": "end_turn", "usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12},
            "metrics": {"latencyMs": 3}}),
    }
}

fn text_of(dialect: Dialect, whole: &[u8]) -> String {
    let value: Value = serde_json::from_slice(whole).unwrap();
    let text = match dialect {
        Dialect::OpenAiChat => &value["choices"][0]["message"]["content"],
        Dialect::AnthropicMessages | Dialect::BedrockInvoke => &value["content"][0]["text"],
        Dialect::OpenAiCompletions => &value["choices"][0]["text"],
        Dialect::Gemini => &value["candidates"][0]["content"]["parts"][0]["text"],
        Dialect::OpenAiResponses => &value["output"][0]["content"][0]["text"],
        Dialect::CohereChat => &value["message"]["content"][0]["text"],
        Dialect::BedrockConverse => &value["output"]["message"]["content"][0]["text"],
    };
    text.as_str().unwrap().to_owned()
}

fn told(dialect: Dialect, whole: &[u8], usage: bool) -> Bytes {
    dialect.stream_of_whole(whole, usage).unwrap().into()
}

const EACH: &[Dialect] = Dialect::ALL;

#[test]
fn a_whole_answer_is_kept_as_it_was_and_streamed_on_request() {
    for dialect in EACH.iter().copied() {
        for text in ["short".to_owned(), "long enough to be compressed ".repeat(50)] {
            let house = house(dialect, |_| {});
            let whole = Bytes::from(answer(dialect, &text).to_string());
            house.lead().conclude(&whole);
            let hit = house.hit(false, false);
            assert_eq!(hit.body, whole, "byte for byte");
            assert_eq!(hit.meta.usage.unwrap().output, 7);
            assert_eq!(house.hit(false, false).body, whole);
            let stream = house.hit(true, true);
            assert!(stream.stream);
            assert_eq!(house.hit(true, true).body, stream.body);
            let mut fold = dialect.stream_fold(1 << 20);
            fold.push(&stream.body).unwrap();
            let folded: Value = serde_json::from_slice(&fold.finish(None).unwrap()).unwrap();
            assert_eq!(folded, serde_json::from_slice::<Value>(&whole).unwrap());
        }
    }
}

#[test]
fn a_stream_is_kept_as_a_whole_answer_wherever_it_was_cut_into_pieces() {
    for dialect in EACH.iter().copied() {
        let text = "words and words ".repeat(3);
        let whole = answer(dialect, &text).to_string();
        let stream = told(dialect, whole.as_bytes(), true);
        for piece in [1, 7, 100, 5000, 1 << 20] {
            let house = house(dialect, |_| {});
            house.record(&stream, piece);
            assert_eq!(text_of(dialect, &house.hit(false, false).body), text, "{:?}", house.refused());
            assert_eq!(house.hit(true, true).meta.usage.unwrap().output, 7);
        }
    }
}

#[test]
fn a_long_stream_is_decoded_in_batches() {
    for dialect in EACH.iter().copied() {
        let text = "x".repeat(300_000);
        let whole = answer(dialect, &text).to_string();
        let stream = told(dialect, whole.as_bytes(), true);
        let house = house(dialect, |_| {});
        house.record(&stream, 3000);
        assert_eq!(text_of(dialect, &house.hit(false, false).body).len(), text.len());
    }
}

#[test]
fn usage_the_stream_does_not_tell_may_be_added() {
    let whole = answer(Dialect::OpenAiChat, "some text").to_string();
    let stream = told(Dialect::OpenAiChat, whole.as_bytes(), false);
    let house = house(Dialect::OpenAiChat, |_| {});
    let mut recorder = house.lead().recorder();
    recorder.push(&stream);
    recorder.usage(Usage { input: 1, output: 2, ..Usage::default() });
    recorder.conclude();
    let value: Value = serde_json::from_slice(&house.hit(false, false).body).unwrap();
    assert_eq!(value["usage"]["total_tokens"], 3);
    let text = |usage| String::from_utf8(house.hit(true, usage).body.to_vec()).unwrap();
    assert!(text(true).contains("\"total_tokens\":3") && !text(false).contains("usage"));
}

#[test]
fn a_cut_stream_is_not_kept() {
    for dialect in EACH.iter().copied() {
        let whole = answer(dialect, "some text").to_string();
        let stream = told(dialect, whole.as_bytes(), true);
        let end = match dialect {
            // After it nothing of the answer is missing, and some look-alikes never send `[DONE]`.
            Dialect::OpenAiChat | Dialect::OpenAiCompletions => "\"finish_reason\":\"stop\"",
            Dialect::AnthropicMessages => "event: message_stop",
            Dialect::Gemini => "data: ",
            // The last chunk.
            Dialect::BedrockInvoke => "eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=",
            Dialect::OpenAiResponses => "event: response.completed",
            Dialect::CohereChat => "event: message-end",
            Dialect::BedrockConverse => "metadata",
        };
        let last = stream.windows(end.len()).position(|w| w == end.as_bytes()).unwrap();
        for cut in [0, 1, last / 2, last] {
            let house = house(dialect, |_| {});
            house.record(&stream[..cut], 50);
            assert!(house.is_empty(), "{dialect:?} cut at {cut}");
            assert_eq!(house.refused().len(), 1);
        }
        // All came, but the client left before its end was seen.
        let house = house(dialect, |_| {});
        let mut recorder = house.lead().recorder();
        recorder.push(&stream);
        drop(recorder);
        assert!(house.is_empty());
        assert_eq!(house.refused(), ["cut"]);
    }
}

#[test]
fn an_error_in_mid_stream_keeps_nothing() {
    for (dialect, error) in [
        (Dialect::OpenAiChat, "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}\n\n"),
        (
            Dialect::AnthropicMessages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
        ),
        (
            Dialect::OpenAiResponses,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"m\"}\n\n",
        ),
    ] {
        let whole = answer(dialect, "some text").to_string();
        let stream = told(dialect, whole.as_bytes(), true);
        let text = String::from_utf8(stream.to_vec()).unwrap();
        let (first, rest) = text.split_once("\n\n").unwrap();
        let house = house(dialect, |_| {});
        house.record(format!("{first}\n\n{error}{rest}").as_bytes(), 1000);
        assert!(house.is_empty(), "{dialect:?}");
    }
}

/// Answers of OpenAI's, and why each is not kept; empty: it is.
fn openai_answers() -> Vec<(Value, &'static str)> {
    let mut refusing = openai("", "stop");
    refusing["choices"][0]["message"]["refusal"] = "no".into();
    let mut calling = openai("", "tool_calls");
    calling["choices"][0]["message"] = json!({"role": "assistant", "content": null,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]});
    let mut none = openai("text", "stop");
    none["choices"] = json!([]);
    let mut unsaid = openai("text", "stop");
    unsaid["choices"][0]["finish_reason"] = Value::Null;
    let mut thinking = openai("", "stop");
    thinking["choices"][0]["message"]["reasoning_content"] = "hm, hm".into();
    // Of several answers each has to be good.
    let with_second = |second: Value| {
        let mut both = openai("text", "stop");
        both["choices"].as_array_mut().unwrap().push(second);
        both
    };
    let second = with_second(
        json!({"index": 1, "message": {"role": "assistant", "content": "text"}, "finish_reason": "content_filter"}),
    );
    let quiet =
        with_second(json!({"index": 1, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}));
    let mut audio = openai("text", "stop");
    audio["choices"][0]["message"]["audio"] = json!({"id": "a", "data": "QQ==", "transcript": "a"});
    let mut custom = openai("", "tool_calls");
    custom["choices"][0]["message"] = json!({"role": "assistant", "content": null,
        "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}]});
    vec![
        (openai("text", "stop"), ""),
        (openai("text", "length"), "finish_reason"),
        (unsaid, "finish_reason"),
        (openai("", "stop"), "empty"),
        (openai(" \n", "stop"), "empty"),
        (thinking, "empty"),
        (second, "finish_reason"),
        (quiet, "empty"),
        (audio, "not_foldable"),
        (custom, ""),
        (calling, ""),
        (openai("text", "content_filter"), "finish_reason"),
        (refusing, "finish_reason"),
        (openai("ab", "stop"), "too_short"),
        (openai(&"long".repeat(1 << 18), "stop"), "too_large"),
        (json!({"error": {"message": "m"}}), "malformed"),
        (none, "malformed"),
    ]
}

#[test]
fn only_good_answers_are_kept() {
    let (o, a) = (Dialect::OpenAiChat, Dialect::AnthropicMessages);
    let anthropic_answers = [
        (anthropic("text", "end_turn"), ""),
        (anthropic("text", "max_tokens"), "finish_reason"),
        (anthropic("text", "model_context_window_exceeded"), "finish_reason"),
        (anthropic("text", "stop_sequence"), ""),
        (anthropic("text", "refusal"), "finish_reason"),
        (anthropic("text", "pause_turn"), "finish_reason"),
        (anthropic("text", "a_word_from_the_future"), "finish_reason"),
        (anthropic("", "end_turn"), "empty"),
    ];
    let first = openai_answers().into_iter().map(|(whole, why)| (o, whole, why));
    let all = first.chain(anthropic_answers.into_iter().map(|(whole, why)| (a, whole, why)));
    for (dialect, whole, why) in all {
        let house = house(dialect, |_| {});
        house.lead().conclude(&Bytes::from(whole.to_string()));
        assert_eq!(house.refused().concat(), why, "{whole:.300}");
        assert_eq!(house.is_empty(), !why.is_empty());
    }
    for (dialect, whole) in [(o, openai("text", "length")), (a, anthropic("text", "max_tokens"))] {
        let house = house(dialect, |cache| cache.store_length = true);
        house.lead().conclude(&Bytes::from(whole.to_string()));
        assert!(!house.is_empty());
    }
    let house = house(o, |_| {});
    house.lead().whole(500, &Bytes::from(openai("text", "stop").to_string()));
    assert_eq!(house.refused(), ["status"]);
}

#[test]
fn a_stream_that_grows_too_large_is_given_up_on_the_way() {
    let dialect = Dialect::OpenAiChat;
    let whole = answer(dialect, &"x".repeat(200_000)).to_string();
    let stream = told(dialect, whole.as_bytes(), true);
    let house = house(dialect, |cache| cache.max_bytes = 1000);
    let mut recorder = house.lead().recorder();
    for piece in stream.chunks(4000) {
        recorder.push(&Bytes::copy_from_slice(piece));
    }
    // One event of 200 kB is only seen when it is whole; from then on nothing is held.
    recorder.push(&Bytes::from(vec![b'\n'; BATCH]));
    assert!(recorder.lead.is_none());
    assert!(recorder.pieces.is_empty() && recorder.tail.is_empty());
    recorder.conclude();
    assert!(house.is_empty());
    assert_eq!(house.refused().len(), 1);
}

#[test]
fn a_lead_may_be_taken_back_for_another_attempt() {
    let house = house(Dialect::OpenAiChat, |_| {});
    let mut recorder = house.lead().recorder();
    recorder.push(&Bytes::from_static(b": waiting\n\n"));
    let lead = recorder.into_lead().unwrap();
    assert!(house.refused().is_empty());
    lead.conclude(&Bytes::from(openai("text", "stop").to_string()));
    assert!(!house.is_empty());
}

mod property;
