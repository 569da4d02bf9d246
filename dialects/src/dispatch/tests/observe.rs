//! The observer on streams whole, cut at every byte, and against the decoder.

use bytes::Bytes;

use crate::dialect::Dialect;
use crate::hub::{Event, Usage};
use crate::observe::{ObserverMode, StreamObserver};
use crate::sse;

const OPENAI: &[&str] = &[
    ": keep-alive\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"say \\\"usage\\\":{} and \\\"error\\\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\n",
    "data: [DONE]\n\n",
];

fn used() -> Usage {
    Usage { input: 5, cached_input: 2, output: 7, ..Usage::default() }
}

fn passed(pieces: &[&[u8]], mode: ObserverMode) -> (Vec<u8>, StreamObserver) {
    let mut observer = Dialect::OpenAiChat.observer(mode);
    let mut out = Vec::new();
    for piece in pieces {
        observer.pass(Bytes::copy_from_slice(piece), &mut out);
    }
    observer.finish(&mut out);
    (out.concat(), observer)
}

#[test]
fn drops_the_usage_chunk_wherever_it_is_cut() {
    let body = OPENAI.concat().into_bytes();
    let without = [&OPENAI[..4], &OPENAI[5..]].concat().concat();
    for at in 0..=body.len() {
        let (head, tail) = body.split_at(at);
        let (out, observer) = passed(&[head, tail], ObserverMode::DropUsage);
        assert_eq!(String::from_utf8(out).unwrap(), without, "split at {at}");
        assert_eq!(observer.usage(), Some(used()));
        assert!(observer.ended() && observer.first_token_seen() && !observer.errored());
        let (out, observer) = passed(&[head, tail], ObserverMode::Watch);
        assert_eq!(out, body);
        assert_eq!(observer.usage(), Some(used()));
    }
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(String::from_utf8(passed(&bytes, ObserverMode::DropUsage).0).unwrap(), without);
    let two: Vec<&[u8]> = OPENAI.iter().map(|event| event.as_bytes()).collect();
    assert_eq!(String::from_utf8(passed(&two, ObserverMode::DropUsage).0).unwrap(), without);
}

#[test]
fn whole_events_pass_uncopied_and_comments_at_once() {
    let mut observer = Dialect::OpenAiChat.observer(ObserverMode::DropUsage);
    for event in &OPENAI[..4] {
        let chunk = Bytes::copy_from_slice(event.as_bytes());
        let mut out = Vec::new();
        observer.pass(chunk.clone(), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].as_ptr(), out[0].len()), (chunk.as_ptr(), chunk.len()));
    }
}

#[test]
fn an_event_beyond_the_limit_passes_unheard_and_what_follows_is_heard() {
    let large = format!("data: {{\"choices\":[{{\"delta\":{{\"image\":\"{}\"}}}}]}}\n\n", "x".repeat(sse::MAX_EVENT));
    let body = [OPENAI[0], &large, OPENAI[4], OPENAI[5]].concat().into_bytes();
    let without = [OPENAI[0], &large, OPENAI[5]].concat().into_bytes();
    for (mode, expected) in [(ObserverMode::Watch, &body), (ObserverMode::DropUsage, &without)] {
        let mut observer = Dialect::OpenAiChat.observer(mode);
        let mut out = Vec::new();
        for piece in body.chunks(60_001) {
            observer.pass(Bytes::copy_from_slice(piece), &mut out);
        }
        assert!(observer.held() < 1 << 20, "{}", observer.held());
        observer.finish(&mut out);
        assert!(&out.concat() == expected, "{mode:?}: the bytes are not those that came");
        assert_eq!(observer.usage(), Some(used()));
        assert!(observer.ended() && observer.first_token_seen() && !observer.errored());
    }
}

#[test]
fn however_a_stream_is_cut_its_bytes_are_searched_at_most_twice() {
    let long = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(200_000));
    let body = [OPENAI[0], &long, OPENAI[4], OPENAI[5]].concat().into_bytes();
    for mode in [ObserverMode::Watch, ObserverMode::DropUsage] {
        for size in [1, 7, 1_000, body.len()] {
            let mut observer = Dialect::OpenAiChat.observer(mode);
            let mut out = Vec::new();
            body.chunks(size).for_each(|piece| observer.pass(Bytes::copy_from_slice(piece), &mut out));
            assert!(observer.ended());
            assert!(observer.searched() <= 2 * body.len(), "{size}: {} of {}", observer.searched(), body.len());
        }
    }
}

#[test]
fn usage_beside_choices_is_never_dropped() {
    let body = b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":5}}\n\n";
    let (out, observer) = passed(&[body], ObserverMode::DropUsage);
    assert_eq!(out, body);
    assert_eq!(observer.usage().unwrap().input, 5);
}

#[test]
fn a_cut_stream_gives_back_what_was_kept() {
    let (out, observer) = passed(&[b"data: {\"choices\":[],\"usa"], ObserverMode::DropUsage);
    assert_eq!(out, b"data: {\"choices\":[],\"usa");
    assert!(!observer.ended() && observer.usage().is_none());
}

#[test]
fn openai_first_tokens_and_errors() {
    for (delta, token) in [
        (r#"{"role":"assistant","content":""}"#, false),
        (r#"{"role":"assistant","content":null,"refusal":null,"tool_calls":[]}"#, false),
        (r#"{"content":"x"}"#, true),
        (r#"{"reasoning_content":"x"}"#, true),
        (r#"{"refusal":"x"}"#, true),
        (r#"{"tool_calls":[{"index":0,"id":"a"}]}"#, true),
    ] {
        let mut observer = Dialect::OpenAiChat.observer(ObserverMode::Watch);
        observer.push(format!("data: {{\"choices\":[{{\"delta\":{delta},\"finish_reason\":null}}]}}\n\n").as_bytes());
        assert_eq!(observer.first_token_seen(), token, "{delta}");
    }
    for body in ["data: {\"error\":{\"message\":\"m\"}}\n\n", "event: error\ndata: {\"message\":\"m\"}\n\n"] {
        for before in ["", OPENAI[2]] {
            let mut observer = Dialect::OpenAiChat.observer(ObserverMode::Watch);
            observer.push(before.as_bytes());
            observer.push(body.as_bytes());
            assert_eq!(observer.error().unwrap().message, "m");
        }
    }
    let mut observer = Dialect::OpenAiChat.observer(ObserverMode::Watch);
    observer.push(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"error\":null}\n\n");
    assert!(observer.first_token_seen() && !observer.errored());
}

const ANTHROPIC: &[(&str, bool)] = &[
    (
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":4,\"cache_creation_input_tokens\":5,\"output_tokens\":1}}}\n\n",
        false,
    ),
    ("event: ping\ndata: {\"type\":\"ping\"}\n\n", false),
    (
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        false,
    ),
    (
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n",
        true,
    ),
    (
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9,\"output_tokens_details\":{\"thinking_tokens\":6}}}\n\n",
        true,
    ),
    ("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", true),
];

#[test]
fn hears_anthropic_whole_cut_and_without_names() {
    let used = Usage { input: 12, cached_input: 4, cache_write: 5, output: 9, reasoning: 6, ..Usage::default() };
    let mut observer = Dialect::AnthropicMessages.observer(ObserverMode::Watch);
    for (event, token) in ANTHROPIC {
        assert!(!observer.ended());
        observer.push(event.as_bytes());
        assert_eq!(observer.first_token_seen(), *token, "{event}");
    }
    assert!(observer.ended());
    assert_eq!(observer.usage(), Some(used));
    let body: String = ANTHROPIC.iter().map(|(event, _)| *event).collect();
    let nameless: String =
        body.lines().filter(|line| !line.starts_with("event")).map(|line| format!("{line}\n")).collect();
    for body in [body, nameless] {
        for at in 0..body.len() {
            let mut observer = Dialect::AnthropicMessages.observer(ObserverMode::Watch);
            let (head, tail) = body.as_bytes().split_at(at);
            observer.push(head);
            observer.push(tail);
            assert!(observer.ended() && observer.first_token_seen());
            assert_eq!(observer.usage(), Some(used));
        }
    }
    let mut observer = Dialect::AnthropicMessages.observer(ObserverMode::Watch);
    observer.push(b"event: content_block_start\ndata: {\"content_block\":{\"type\":\"tool_use\",\"name\":\"f\"}}\n\n");
    assert!(observer.first_token_seen());
    observer.push(
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
    );
    assert!(observer.errored());
}

#[test]
fn reads_usage_of_whole_answers() {
    let body = br#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2}}}"#;
    assert_eq!(Dialect::OpenAiChat.usage_of_whole(body), Ok(Some(used())));
    let body = br#"{"content":[],"usage":{"input_tokens":5,"output_tokens":7}}"#;
    assert_eq!(Dialect::AnthropicMessages.usage_of_whole(body).unwrap().unwrap().output, 7);
    for dialect in Dialect::ALL.iter().copied() {
        for body in [&b"{}"[..], b"{\"usage\":null}"] {
            assert_eq!(dialect.usage_of_whole(body), Ok(None));
        }
        assert!(dialect.usage_of_whole(b"nonsense").is_err());
    }
}

#[test]
fn counts_the_thoughts_of_anthropic_as_the_decoder_does() {
    const COUNTS: &str = r#"{"input_tokens":1,"output_tokens":9,"output_tokens_details":{"thinking_tokens":4}}"#;
    let whole = format!(r#"{{"content":[],"usage":{COUNTS}}}"#);
    assert_eq!(Dialect::AnthropicMessages.usage_of_whole(whole.as_bytes()).unwrap().unwrap().reasoning, 4);
    let mut observer = Dialect::AnthropicMessages.observer(ObserverMode::Watch);
    let event = format!(r#"{{"type":"message_delta","delta":{{}},"usage":{COUNTS}}}"#);
    observer.push(format!("event: message_delta\ndata: {event}\n\n").as_bytes());
    assert_eq!(observer.usage().unwrap().reasoning, 4);
}

#[test]
fn hears_an_error_that_says_nothing_as_the_decoder_does() {
    const BODY: &[u8] = b"event: error\ndata:\n\n";
    let mut observer = Dialect::OpenAiChat.observer(ObserverMode::Watch);
    observer.push(BODY);
    let (mut decoder, mut events) = (Dialect::OpenAiChat.stream_decoder(), Vec::new());
    decoder.push(BODY, &mut events).unwrap();
    assert!(observer.errored() && matches!(events[..], [Event::Error(_)]));
}

#[test]
fn agrees_with_the_decoder() {
    let mut decoder = Dialect::OpenAiChat.stream_decoder();
    let mut events = Vec::new();
    decoder.push(OPENAI.concat().as_bytes(), &mut events).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::Usage(usage) if *usage == used())));
}

const RESPONSES: &[&str] = &[
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"usage\":null}}\n\n",
    "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"message\"}}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"event: error\"}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":2}}}}\n\n",
];

#[test]
fn a_responses_stream_is_whole_with_its_last_event() {
    let body = RESPONSES.concat().into_bytes();
    for at in 0..=body.len() {
        let mut observer = Dialect::OpenAiResponses.observer(ObserverMode::Watch);
        let (head, tail) = body.split_at(at);
        let mut out = Vec::new();
        observer.pass(Bytes::copy_from_slice(head), &mut out);
        observer.pass(Bytes::copy_from_slice(tail), &mut out);
        assert_eq!(out.concat(), body);
        assert_eq!(observer.usage(), Some(used()));
        assert!(observer.ended() && observer.finished() && observer.is_over() && !observer.errored());
    }
    let mut observer = Dialect::OpenAiResponses.observer(ObserverMode::Watch);
    for (event, token) in RESPONSES.iter().zip([false, false, true, true]) {
        observer.push(event.as_bytes());
        assert_eq!(observer.first_token_seen(), token, "{event}");
    }
    let unnamed = RESPONSES.concat().replace("event: response", ": response");
    let mut observer = Dialect::OpenAiResponses.observer(ObserverMode::Watch);
    observer.push(unnamed.as_bytes());
    assert!(observer.ended() && observer.usage() == Some(used()));
}

#[test]
fn the_answer_that_failed_passes_behind_the_error() {
    let error = "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"m\"}\n\n";
    let failed = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"m\"}}}\n\n";
    let mut observer = Dialect::OpenAiResponses.observer(ObserverMode::Watch);
    let mut out = Vec::new();
    observer.pass(Bytes::from([RESPONSES[0], error].concat()), &mut out);
    assert!(observer.errored() && !observer.is_over());
    observer.pass(Bytes::from([failed, RESPONSES[2]].concat()), &mut out);
    assert!(observer.is_over() && !observer.ended());
    assert_eq!(String::from_utf8(out.concat()).unwrap(), [RESPONSES[0], error, failed].concat());
}

#[test]
fn thoughts_are_seen_in_a_claude_stream_whatever_is_shown_of_them() {
    let start = |kind: &str| {
        format!(
            "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{kind}}}\n\n"
        )
    };
    for (blocks, begun, thought) in [
        (&[][..], false, false),
        (&[r#"{"type":"thinking","thinking":"","signature":""}"#], false, true),
        (&[r#"{"type":"redacted_thinking","data":"x"}"#], true, true),
        (&[r#"{"type":"text","text":"thinking"}"#], true, false),
        (&[r#"{"type":"tool_use","id":"a","name":"thinking","input":{}}"#, r#"{"type":"thinking"}"#], true, true),
    ] {
        let mut observer = Dialect::AnthropicMessages.observer(ObserverMode::Watch);
        observer.push(
            b"event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":2}}}\n\n",
        );
        for block in blocks {
            observer.push(start(block).as_bytes());
        }
        assert_eq!((observer.first_token_seen(), observer.thought_seen()), (begun, thought), "{blocks:?}");
        assert_eq!(observer.usage().map(|usage| usage.output), Some(2), "it is said, and not the last word");
    }
}

#[test]
fn a_count_at_an_answers_beginning_is_none_of_the_answer() {
    let text = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#;
    let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    for (usage, early) in [
        (r#","usage":{"output_tokens":7}"#, false),
        (r#","usage":{"output_tokens":0}"#, true),
        (r#","usage":{"input_tokens":9}"#, true),
        ("", true),
    ] {
        let end = format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}}{usage}}}"#);
        let start =
            r#"{"type":"message_start","message":{"id":"m","model":"m","usage":{"input_tokens":9,"output_tokens":1}}}"#;
        let stop = r#"{"type":"content_block_stop","index":0}"#;
        let events: String = [start, block, text, stop, &end, r#"{"type":"message_stop"}"#]
            .map(|data| {
                let name: serde_json::Value = serde_json::from_str(data).unwrap();
                format!("event: {}\ndata: {data}\n\n", name["type"].as_str().unwrap())
            })
            .concat();
        let mut decoder = Dialect::AnthropicMessages.stream_decoder();
        decoder.push(events.as_bytes(), &mut Vec::new()).unwrap();
        assert_eq!(decoder.usage_is_early(), early, "{usage}");
        let mut observer = Dialect::AnthropicMessages.observer(ObserverMode::Watch);
        observer.push(events.as_bytes());
        assert_eq!((observer.usage_is_early(), observer.usage().is_some()), (early, true), "{usage}");
    }
}
