//! Whole answers that pass: their usage, and what is none.

use crate::anthropic_messages::MessagesUsage;
use crate::bedrock_converse::ConverseUsage;
use crate::codec::StreamOptions;
use crate::cohere_chat::CohereUsage;
use crate::dialect::Dialect;
use crate::hub::{Choice, Content, Event, Extra, Fields, Part, PartKind, Reply, Stop, ToolCall, Usage};
use crate::openai_chat::ChatUsage;
use crate::openai_responses::ResponseUsage;

fn output(body: &str) -> Option<u64> {
    Dialect::OpenAiChat.usage_of_whole(body.as_bytes()).unwrap().map(|usage| usage.output)
}

#[test]
fn only_the_top_levels_usage_counts_wherever_it_stands() {
    let five = r#""usage" : {"completion_tokens": 5, "new": [{}]}"#;
    for body in [
        format!("{{{five}}}"),
        format!(
            " {{\"choices\":[], {five} , \"a\" : [1,{{}}], \"b\":null }}
"
        ),
        format!("{{{five},\"note\":\"usage\"}}"),
        format!("{{{five},\"extra\":{{\"usage\":{{\"completion_tokens\":9}}}}}}"),
        format!("{{\"extra\":[{{\"usage\":{{\"completion_tokens\":9}},\"x\":1}}],{five}}}"),
    ] {
        assert_eq!(output(&body), Some(5), "{body}");
    }
}

/// What a whole parser says of a usage object.
fn parsed(dialect: Dialect, usage: &str) -> Option<Usage> {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => {
            serde_json::from_str::<ChatUsage>(usage).ok().map(Usage::from)
        }
        Dialect::AnthropicMessages | Dialect::BedrockInvoke => {
            serde_json::from_str::<MessagesUsage>(usage).ok().map(|counts| counts.usage())
        }
        Dialect::Gemini => None,
        Dialect::BedrockConverse => serde_json::from_str::<ConverseUsage>(usage).ok().map(Usage::from),
        Dialect::CohereChat => serde_json::from_str::<CohereUsage>(usage).ok().map(Usage::from),
        Dialect::OpenAiResponses => serde_json::from_str::<ResponseUsage>(usage).ok().map(Usage::from),
    }
}

#[test]
fn counts_are_what_a_whole_parser_says_however_they_are_written() {
    const NAMES: [&str; 18] = [
        "service_tier",
        "speed",
        "prompt_tokens",
        "completion_tokens",
        "prompt_cache_hit_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "input_tokens",
        "input_tokens_details",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "output_tokens_details",
        "cache_creation",
        "prompt\\u005ftokens",
        "total_tokens",
        "cached_tokens",
        "thinking_tokens",
    ];
    const VALUES: [&str; 14] = [
        "0",
        "12",
        "007",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "1.0",
        "1e2",
        "null",
        "true",
        "[]",
        "{}",
        r#"{"cached_tokens":3,"cache_write_tokens":null,"reasoning_tokens":4,"thinking_tokens":5,"ephemeral_1h_input_tokens":6,"new":"x"}"#,
        r#"{"cached_tokens":3.5,"reasoning_tokens":"4","thinking_tokens":{}}"#,
    ];
    let members = NAMES.iter().flat_map(|name| VALUES.iter().map(move |value| format!("\"{name}\" : {value}")));
    let members: Vec<String> = members.collect();
    for (at, first) in members.iter().enumerate() {
        for second in members.iter().skip(at % 7).step_by(7) {
            let usage = format!("{{{first},{second}}}");
            let body = format!("{{\"usage\":{usage}}}");
            let whole = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
            for dialect in Dialect::ALL.iter().copied() {
                let said = dialect.usage_of_whole(body.as_bytes());
                assert_eq!(said.is_ok(), whole, "{body}");
                assert_eq!(said.ok().flatten(), parsed(dialect, &usage), "{body}");
            }
        }
    }
}

#[test]
fn an_error_under_a_good_status_is_no_answer() {
    let (openai, anthropic) = (Dialect::OpenAiChat, Dialect::AnthropicMessages);
    for (dialect, body) in [
        (openai, r#"{"choices":[{"message":{"content":"\"error\":1"}}],"error":null}"#),
        (anthropic, r#"{"type":"message","content":[],"stop_reason":"end_turn"}"#),
        (anthropic, r#"{"type":"message","content":[{"type":"text","text":""}]}"#),
    ] {
        assert_eq!(dialect.is_answer(body.as_bytes()), Ok(()));
    }
    for (dialect, body, said) in [
        (openai, r#"{"error":{"message":"no capacity","code":502}}"#, "no capacity"),
        (openai, r#"{"choices":[],"error":{"message":"no capacity"}}"#, "no capacity"),
        (anthropic, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "Overloaded"),
        (openai, r#"{"content":[]}"#, "choices"),
        (openai, r#"{"choices":null}"#, "choices"),
        (openai, r#"{"choices":[ ],"usage":{"prompt_tokens":1,"completion_tokens":0}}"#, "choices"),
        (openai, r#"{"choices":{}}"#, "choices"),
        (openai, "null", "object"),
        (openai, "[]", "object"),
        (openai, "\"\"", "object"),
        (openai, "{}", "choices"),
        (openai, "", "EOF"),
        (anthropic, r#"{"type":"message","content":[],"stop_reason":null}"#, "content"),
        (anthropic, "{}", "content"),
        (anthropic, r#"{"choices":[]}"#, "content"),
        (openai, "{", "EOF"),
    ] {
        let begins = dialect.usage_and_beginning(body.as_bytes()).is_ok_and(|(_, begins)| begins);
        assert!(!begins || body.contains("error"), "{body}");
        let message = dialect.is_answer(body.as_bytes()).unwrap_err().message;
        assert!(message.contains(said), "{body}: {message}");
    }
}

#[test]
fn what_is_cut_or_no_object_is_told_from_what_says_nothing() {
    let body =
        r#"{"choices":[{"text":"\"usage\":{\"completion_tokens\":7}"}],"usage":{"completion_tokens":5},"x":"y"}"#;
    let broken = |body: &str| Dialect::OpenAiChat.usage_of_whole(body.as_bytes()).is_err();
    assert_eq!(output(body), Some(5));
    for end in 0..body.len() {
        assert!(broken(&body[..end]), "{end}");
    }
    assert!(broken(&format!("[{body}]")));
    assert!(broken(&format!("{body}{{}}")));
    assert!(broken(&format!("{{\"broken\":[}},{}", &body[1..])));
    let said = Dialect::OpenAiChat.usage_of_whole(b"\"an answer\"").unwrap_err();
    assert_eq!(said.message, "not a JSON object");
    assert_eq!(output("{}"), None);
    assert_eq!(output(r#"{"usage":null}"#), None);
    assert_eq!(output(r#"{"usage":{"completion_tokens":"many"}}"#), None);
}

/// The parts that a model of this dialect may say, whole and as a stream begins them.
fn parts(dialect: Dialect) -> Vec<(Content, PartKind)> {
    let raw = || serde_json::value::to_raw_value(&serde_json::json!({"type": "x", "custom": {}})).unwrap();
    let call = ToolCall { id: "c".to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() };
    vec![
        (Content::Text { text: "a".to_owned(), citations: None }, PartKind::Text),
        (Content::Refusal("no".to_owned()), PartKind::Refusal),
        (Content::Thinking { text: "t".to_owned(), signature: None }, PartKind::Thinking),
        (Content::RedactedThinking("r".to_owned()), PartKind::RedactedThinking("r".to_owned())),
        (Content::ToolCall(call), PartKind::ToolCall { id: "c".to_owned(), name: "f".to_owned() }),
        (Content::Other { dialect, raw: raw() }, PartKind::Other { dialect, raw: raw() }),
    ]
}

#[test]
fn parts_without_words_are_counted_whole_and_streamed() {
    use Dialect::{AnthropicMessages, Gemini, OpenAiChat, OpenAiCompletions, OpenAiResponses};
    let cases = [
        (OpenAiChat, AnthropicMessages, 1, 1),
        (OpenAiChat, OpenAiChat, 1, 1),
        (OpenAiCompletions, AnthropicMessages, 4, 4),
        (OpenAiResponses, Gemini, 1, 1),
        (OpenAiResponses, OpenAiResponses, 0, 0),
        (AnthropicMessages, Gemini, 1, 1),
        (AnthropicMessages, AnthropicMessages, 0, 0),
        (Gemini, AnthropicMessages, 1, 1),
    ];
    for (to, from, whole, streamed) in cases {
        let mut encoder = to.stream_encoder(StreamOptions::default());
        let mut out = Vec::new();
        encoder.push(&Event::Start { id: "i".to_owned(), model: "m".to_owned(), created: None }, &mut out);
        let said = parts(from);
        for (part, (_, kind)) in (0..).zip(&said) {
            encoder.push(&Event::PartStart { choice: 0, part, kind: kind.clone() }, &mut out);
            encoder.push(&Event::PartEnd { choice: 0, part }, &mut out);
        }
        assert_eq!(encoder.skipped(), streamed, "{from:?} to {to:?}, streamed");
        let parts = said.into_iter().map(|(content, _)| Part::new(content)).collect();
        let choice = Choice { parts, stop: Stop::End, logprobs: None, extra: Fields::new() };
        let reply = Reply {
            id: "i".to_owned(),
            model: "m".to_owned(),
            created: None,
            choices: vec![choice],
            usage: None,
            extra: Extra::none(from),
        };
        assert_eq!(to.encode_reply(&reply, b"{}").skipped, whole, "{from:?} to {to:?}, whole");
    }
}

#[test]
fn an_answer_that_has_failed_is_none_whatever_it_has_said() {
    let choice = |more: &str| {
        format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"\"error\""}},{more}}}],"usage":{{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}}}"#
        )
    };
    let responses = |status: &str, error: &str| {
        format!(
            r#"{{"id":"r","object":"response","status":"{status}","error":{error},"output":[{{"type":"message","status":"failed"}}],"usage":{{"input_tokens":5,"output_tokens":1}}}}"#
        )
    };
    let said = r#"{"code":"server_error","message":"gone"}"#;
    let cohere = |reason: &str| {
        format!(
            r#"{{"id":"c","message":{{"role":"assistant","content":[]}},"finish_reason":"{reason}","usage":{{"tokens":{{"input_tokens":5,"output_tokens":1}}}}}}"#
        )
    };
    for (dialect, body, message) in [
        (
            Dialect::OpenAiChat,
            choice(r#""finish_reason":"error","error":{"code":502,"message":"Provider disconnected"}"#),
            Some("Provider disconnected"),
        ),
        (Dialect::OpenAiChat, choice(r#""finish_reason":null,"error":{"code":502,"message":"gone"}"#), Some("gone")),
        (Dialect::OpenAiChat, choice(r#""finish_reason":"error""#), Some("")),
        (Dialect::OpenAiChat, choice(r#""finish_reason":"stop","error":null"#), None),
        (Dialect::OpenAiResponses, responses("failed", said), Some("gone")),
        (Dialect::OpenAiResponses, responses("completed", "null"), None),
        (Dialect::CohereChat, cohere("ERROR"), Some("")),
        (Dialect::CohereChat, cohere("COMPLETE"), None),
    ] {
        let (usage, begins) = dialect.usage_and_beginning(body.as_bytes()).unwrap();
        let seen = (usage.is_some(), begins, dialect.is_answer(body.as_bytes()).is_ok());
        assert_eq!(seen, (true, message.is_none(), message.is_none()), "{body}");
        let error = dialect.error_of_whole(body.as_bytes());
        assert_eq!(error.is_some(), message.is_some(), "{body}");
        assert!(error.is_none_or(|error| error.message.contains(message.unwrap_or_default())), "{body}");
    }
}
