//! The tap on streams whole, cut at every byte, and against the decoder.

use super::*;
use crate::hub::Event;

const OPENAI: &[&str] = &[
    ": keep-alive\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"say \\\"usage\\\":{} and \\\"error\\\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\n",
    "data: [DONE]\n\n",
];

const USED: Usage = Usage { input: 5, cached_input: 2, cache_write: 0, cache_write_1h: 0, output: 7, reasoning: 0 };

fn passed(pieces: &[&[u8]], mode: Mode) -> (Vec<u8>, UsageTap) {
    let mut tap = UsageTap::new(Dialect::OpenAiChat, mode);
    let mut out = Vec::new();
    for piece in pieces {
        tap.pass(Bytes::copy_from_slice(piece), &mut out);
    }
    tap.finish(&mut out);
    (out.concat(), tap)
}

#[test]
fn drops_the_usage_chunk_wherever_it_is_cut() {
    let body = OPENAI.concat().into_bytes();
    let without = [&OPENAI[..4], &OPENAI[5..]].concat().concat();
    for at in 0..=body.len() {
        let (head, tail) = body.split_at(at);
        let (out, tap) = passed(&[head, tail], Mode::DropUsage);
        assert_eq!(String::from_utf8(out).unwrap(), without, "split at {at}");
        assert_eq!(tap.usage(), Some(USED));
        assert!(tap.ended() && tap.first_token_seen() && !tap.errored());
        let (out, tap) = passed(&[head, tail], Mode::Watch);
        assert_eq!(out, body);
        assert_eq!(tap.usage(), Some(USED));
    }
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert_eq!(String::from_utf8(passed(&bytes, Mode::DropUsage).0).unwrap(), without);
    let two: Vec<&[u8]> = OPENAI.iter().map(|event| event.as_bytes()).collect();
    assert_eq!(String::from_utf8(passed(&two, Mode::DropUsage).0).unwrap(), without);
}

#[test]
fn whole_events_pass_uncopied_and_comments_at_once() {
    let mut tap = UsageTap::new(Dialect::OpenAiChat, Mode::DropUsage);
    for event in &OPENAI[..4] {
        let chunk = Bytes::copy_from_slice(event.as_bytes());
        let mut out = Vec::new();
        tap.pass(chunk.clone(), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].as_ptr(), out[0].len()), (chunk.as_ptr(), chunk.len()));
    }
}

#[test]
fn an_event_beyond_the_limit_passes_unheard_and_what_follows_is_heard() {
    let large = format!("data: {{\"choices\":[{{\"delta\":{{\"image\":\"{}\"}}}}]}}\n\n", "x".repeat(sse::MAX_EVENT));
    let body = [OPENAI[0], &large, OPENAI[4], OPENAI[5]].concat().into_bytes();
    let without = [OPENAI[0], &large, OPENAI[5]].concat().into_bytes();
    for (mode, expected) in [(Mode::Watch, &body), (Mode::DropUsage, &without)] {
        let mut tap = UsageTap::new(Dialect::OpenAiChat, mode);
        let mut out = Vec::new();
        for piece in body.chunks(60_001) {
            tap.pass(Bytes::copy_from_slice(piece), &mut out);
        }
        assert!(tap.held() < 1 << 20, "{}", tap.held());
        tap.finish(&mut out);
        assert!(&out.concat() == expected, "{mode:?}: the bytes are not those that came");
        assert_eq!(tap.usage(), Some(USED));
        assert!(tap.ended() && tap.first_token_seen() && !tap.errored());
    }
}

#[test]
fn however_a_stream_is_cut_its_bytes_are_searched_at_most_twice() {
    let long = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(200_000));
    let body = [OPENAI[0], &long, OPENAI[4], OPENAI[5]].concat().into_bytes();
    for mode in [Mode::Watch, Mode::DropUsage] {
        for size in [1, 7, 1_000, body.len()] {
            let mut tap = UsageTap::new(Dialect::OpenAiChat, mode);
            let mut out = Vec::new();
            body.chunks(size).for_each(|piece| tap.pass(Bytes::copy_from_slice(piece), &mut out));
            assert!(tap.ended());
            assert!(tap.frames.searched <= 2 * body.len(), "{size}: {} of {}", tap.frames.searched, body.len());
        }
    }
}

#[test]
fn usage_beside_choices_is_never_dropped() {
    let body = b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":5}}\n\n";
    let (out, tap) = passed(&[body], Mode::DropUsage);
    assert_eq!(out, body);
    assert_eq!(tap.usage().unwrap().input, 5);
}

#[test]
fn a_cut_stream_gives_back_what_was_kept() {
    let (out, tap) = passed(&[b"data: {\"choices\":[],\"usa"], Mode::DropUsage);
    assert_eq!(out, b"data: {\"choices\":[],\"usa");
    assert!(!tap.ended() && tap.usage().is_none());
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
        let mut tap = UsageTap::new(Dialect::OpenAiChat, Mode::Watch);
        tap.push(format!("data: {{\"choices\":[{{\"delta\":{delta},\"finish_reason\":null}}]}}\n\n").as_bytes());
        assert_eq!(tap.first_token_seen(), token, "{delta}");
    }
    for body in ["data: {\"error\":{\"message\":\"m\"}}\n\n", "event: error\ndata: {\"message\":\"m\"}\n\n"] {
        for before in ["", OPENAI[2]] {
            let mut tap = UsageTap::new(Dialect::OpenAiChat, Mode::Watch);
            tap.push(before.as_bytes());
            tap.push(body.as_bytes());
            assert_eq!(tap.error().unwrap().message, "m");
        }
    }
    let mut tap = UsageTap::new(Dialect::OpenAiChat, Mode::Watch);
    tap.push(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"error\":null}\n\n");
    assert!(tap.first_token_seen() && !tap.errored());
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
    let used = Usage { input: 12, cached_input: 4, cache_write: 5, cache_write_1h: 0, output: 9, reasoning: 6 };
    let mut tap = UsageTap::new(Dialect::AnthropicMessages, Mode::Watch);
    for (event, token) in ANTHROPIC {
        assert!(!tap.ended());
        tap.push(event.as_bytes());
        assert_eq!(tap.first_token_seen(), *token, "{event}");
    }
    assert!(tap.ended());
    assert_eq!(tap.usage(), Some(used));
    let body: String = ANTHROPIC.iter().map(|(event, _)| *event).collect();
    let nameless: String =
        body.lines().filter(|line| !line.starts_with("event")).map(|line| format!("{line}\n")).collect();
    for body in [body, nameless] {
        for at in 0..body.len() {
            let mut tap = UsageTap::new(Dialect::AnthropicMessages, Mode::Watch);
            let (head, tail) = body.as_bytes().split_at(at);
            tap.push(head);
            tap.push(tail);
            assert!(tap.ended() && tap.first_token_seen());
            assert_eq!(tap.usage(), Some(used));
        }
    }
    let mut tap = UsageTap::new(Dialect::AnthropicMessages, Mode::Watch);
    tap.push(b"event: content_block_start\ndata: {\"content_block\":{\"type\":\"tool_use\",\"name\":\"f\"}}\n\n");
    assert!(tap.first_token_seen());
    tap.push(
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
    );
    assert!(tap.errored());
}

#[test]
fn reads_usage_of_whole_answers() {
    let body = br#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2}}}"#;
    assert_eq!(usage_of_whole(Dialect::OpenAiChat, body), Ok(Some(USED)));
    let body = br#"{"content":[],"usage":{"input_tokens":5,"output_tokens":7}}"#;
    assert_eq!(usage_of_whole(Dialect::AnthropicMessages, body).unwrap().unwrap().output, 7);
    for dialect in [Dialect::OpenAiChat, Dialect::AnthropicMessages] {
        for body in [&b"{}"[..], b"{\"usage\":null}"] {
            assert_eq!(usage_of_whole(dialect, body), Ok(None));
        }
        assert!(usage_of_whole(dialect, b"nonsense").is_err());
    }
}

#[test]
fn counts_the_thoughts_of_anthropic_as_the_decoder_does() {
    const COUNTS: &str = r#"{"input_tokens":1,"output_tokens":9,"output_tokens_details":{"thinking_tokens":4}}"#;
    let whole = format!(r#"{{"content":[],"usage":{COUNTS}}}"#);
    assert_eq!(usage_of_whole(Dialect::AnthropicMessages, whole.as_bytes()).unwrap().unwrap().reasoning, 4);
    let mut tap = UsageTap::new(Dialect::AnthropicMessages, Mode::Watch);
    let event = format!(r#"{{"type":"message_delta","delta":{{}},"usage":{COUNTS}}}"#);
    tap.push(format!("event: message_delta\ndata: {event}\n\n").as_bytes());
    assert_eq!(tap.usage().unwrap().reasoning, 4);
}

#[test]
fn hears_an_error_that_says_nothing_as_the_decoder_does() {
    const BODY: &[u8] = b"event: error\ndata:\n\n";
    let mut tap = UsageTap::new(Dialect::OpenAiChat, Mode::Watch);
    tap.push(BODY);
    let (mut decoder, mut events) = (Dialect::OpenAiChat.stream_decoder(), Vec::new());
    decoder.push(BODY, &mut events).unwrap();
    assert!(tap.errored() && matches!(events[..], [Event::Error(_)]));
}

#[test]
fn agrees_with_the_decoder() {
    let mut decoder = Dialect::OpenAiChat.stream_decoder();
    let mut events = Vec::new();
    decoder.push(OPENAI.concat().as_bytes(), &mut events).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::Usage(usage) if *usage == USED)));
}
