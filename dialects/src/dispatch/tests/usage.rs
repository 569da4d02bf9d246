//! Usage of every kind that prices tell apart, in each dialect: of a whole answer that passes, of one that is read, of a stream that
//! passes, cut anywhere, and of one that is read.

use crate::codec::StreamOptions;
use crate::dialect::Dialect;
use crate::hub::{Event, ServiceTier, Usage};
use crate::observe::ObserverMode;

/// What a dialect says, whole and streamed, and what that is.
struct Said {
    dialect: Dialect,
    whole: String,
    stream: String,
    used: Usage,
}

fn chat() -> Said {
    let usage = r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":40,"audio_tokens":20,"image_tokens":5,"cache_write_tokens":10},"completion_tokens_details":{"reasoning_tokens":8,"audio_tokens":30,"image_tokens":2,"accepted_prediction_tokens":0}}"#;
    Said {
        dialect: Dialect::OpenAiChat,
        whole: format!(
            r#"{{"id":"c","model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"x"}},"finish_reason":"stop"}}],"usage":{usage},"service_tier":"priority"}}"#
        ),
        stream: format!(
            "data: {{\"id\":\"c\",\"service_tier\":\"priority\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"x\"}},\"finish_reason\":\"stop\"}}]}}\n\n\
             data: {{\"id\":\"c\",\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
        ),
        used: Usage {
            input: 100,
            cached_input: 40,
            cache_write: 10,
            output: 50,
            reasoning: 8,
            audio_input: 20,
            image_input: 5,
            audio_output: 30,
            image_output: 2,
            tier: ServiceTier::Priority,
            ..Usage::default()
        },
    }
}

fn responses() -> Said {
    let response = r#"{"id":"resp_1","model":"m","status":"completed","service_tier":"flex","output":[{"type":"message","content":[{"type":"output_text","text":"x"}]}],"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":40,"cache_write_tokens":10},"output_tokens":50,"output_tokens_details":{"reasoning_tokens":8},"total_tokens":150}}"#;
    Said {
        dialect: Dialect::OpenAiResponses,
        whole: response.to_owned(),
        stream: format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\",\"service_tier\":\"auto\"}}}}\n\n\
             event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n"
        ),
        used: Usage {
            input: 100,
            cached_input: 40,
            cache_write: 10,
            output: 50,
            reasoning: 8,
            tier: ServiceTier::Flex,
            ..Usage::default()
        },
    }
}

fn messages() -> Said {
    let input = r#""input_tokens":50,"cache_creation_input_tokens":10,"cache_read_input_tokens":40,"cache_creation":{"ephemeral_5m_input_tokens":7,"ephemeral_1h_input_tokens":3},"service_tier":"batch","speed":"standard""#;
    Said {
        dialect: Dialect::AnthropicMessages,
        whole: format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"x"}}],"stop_reason":"end_turn","usage":{{{input},"output_tokens":50,"output_tokens_details":{{"thinking_tokens":8}}}}}}"#
        ),
        stream: format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{{{input},\"output_tokens\":1}}}}}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{{\"output_tokens\":50,\"output_tokens_details\":{{\"thinking_tokens\":8}}}}}}\n\n\
             event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        ),
        used: Usage {
            input: 100,
            cached_input: 40,
            cache_write: 10,
            cache_write_1h: 3,
            output: 50,
            reasoning: 8,
            tier: ServiceTier::Batch,
            ..Usage::default()
        },
    }
}

/// A conversation that was made shorter first, which its counts leave out.
fn compacted() -> Said {
    let usage = r#""usage":{"input_tokens":50,"output_tokens":50,"iterations":[{"type":"compaction","input_tokens":100,"cache_creation_input_tokens":20,"cache_read_input_tokens":60,"output_tokens":7},{"type":"message","input_tokens":50,"output_tokens":50}]}"#;
    Said {
        dialect: Dialect::AnthropicMessages,
        whole: format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"x"}}],"stop_reason":"end_turn",{usage}}}"#
        ),
        stream: format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{{\"input_tokens\":50,\"output_tokens\":1}}}}}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},{usage}}}\n\n\
             event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        ),
        used: Usage {
            input: 230,
            cached_input: 60,
            cache_write: 20,
            output: 57,
            longest_input: 180,
            ..Usage::default()
        },
    }
}

/// Thoughts that stand in the total alone, as at Google's endpoint in OpenAI's dialect.
fn google_in_openais_words() -> Said {
    let usage = r#""usage":{"prompt_tokens":100,"completion_tokens":42,"total_tokens":150}"#;
    let chunk = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":{choices}{usage}}}\n\n"
        )
    };
    Said {
        dialect: Dialect::OpenAiChat,
        whole: format!(
            r#"{{"id":"c","object":"chat.completion","model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"x"}},"finish_reason":"stop"}}],{usage}}}"#
        ),
        stream: chunk(r#"[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]"#, "")
            + &chunk("[]", &format!(",{usage}"))
            + "data: [DONE]\n\n",
        used: Usage { input: 100, output: 50, reasoning: 8, ..Usage::default() },
    }
}

fn gemini() -> Said {
    let answer = r#"{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"x"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":90,"toolUsePromptTokenCount":10,"cachedContentTokenCount":40,"candidatesTokenCount":42,"thoughtsTokenCount":8,"promptTokensDetails":[{"modality":"TEXT","tokenCount":60},{"modality":"AUDIO","tokenCount":20},{"modality":"IMAGE","tokenCount":5}],"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":4},{"modality":"TEXT","tokenCount":36}],"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":2},{"modality":"AUDIO","tokenCount":30}],"trafficType":"ON_DEMAND_PRIORITY"}}"#;
    Said {
        dialect: Dialect::Gemini,
        whole: answer.to_owned(),
        stream: format!("data: {answer}\r\n\r\n"),
        used: Usage {
            input: 100,
            cached_input: 40,
            output: 50,
            reasoning: 8,
            audio_input: 20,
            cached_audio: 4,
            image_input: 5,
            audio_output: 30,
            image_output: 2,
            tier: ServiceTier::Priority,
            ..Usage::default()
        },
    }
}

#[test]
fn every_kind_is_read_whole_and_streamed_wherever_it_is_cut() {
    for Said { dialect, whole, stream, used } in
        [chat(), google_in_openais_words(), responses(), messages(), compacted(), gemini()]
    {
        assert_eq!(dialect.usage_of_whole(whole.as_bytes()).unwrap(), Some(used), "{dialect:?}");
        assert_eq!(dialect.decode_reply(whole.as_bytes()).unwrap().usage, Some(used), "{dialect:?}");
        for at in 0..=stream.len() {
            let (first, second) = stream.as_bytes().split_at(at);
            let mut observer = dialect.observer(ObserverMode::Watch);
            observer.push(first);
            observer.push(second);
            observer.finish(&mut Vec::new());
            assert_eq!(observer.usage(), Some(used), "{dialect:?} {at}");
            let (mut decoder, mut events) = (dialect.stream_decoder(), Vec::new());
            decoder.push(first, &mut events).unwrap();
            decoder.push(second, &mut events).unwrap();
            decoder.finish(&mut events).unwrap();
            let said = events.iter().rev().find_map(|event| match event {
                Event::Usage(usage) => Some(*usage),
                _ => None,
            });
            assert_eq!(said, Some(used), "{dialect:?} {at}");
        }
    }
}

fn converse() -> Said {
    let usage = r#""usage":{"inputTokens":50,"outputTokens":50,"cacheReadInputTokens":40,"cacheWriteInputTokens":10,"cacheDetails":[{"ttl":"1h","inputTokens":3}]}"#;
    Said {
        dialect: Dialect::BedrockConverse,
        whole: format!(
            r#"{{"output":{{"message":{{"role":"assistant","content":[{{"text":"x"}}]}}}},"stopReason":"end_turn",{usage}}}"#
        ),
        stream: String::new(),
        used: Usage {
            input: 100,
            cached_input: 40,
            cache_write: 10,
            cache_write_1h: 3,
            output: 50,
            ..Usage::default()
        },
    }
}

fn cohere() -> Said {
    let usage = r#""usage":{"billed_units":{"input_tokens":100,"output_tokens":50},"cached_tokens":40}"#;
    Said {
        dialect: Dialect::CohereChat,
        whole: format!(
            r#"{{"id":"c","message":{{"role":"assistant","content":[{{"type":"text","text":"x"}}]}},"finish_reason":"COMPLETE",{usage}}}"#
        ),
        stream: String::new(),
        used: Usage { input: 100, cached_input: 40, output: 50, ..Usage::default() },
    }
}

/// A text with every whole number behind a colon written otherwise, but for what is no count.
fn written(text: &str, other: impl Fn(&str) -> String) -> String {
    let parts = text.split_inclusive(':').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        if digits == 0 { part.to_owned() } else { other(number) + rest }
    });
    parts.collect::<String>().replace(&format!("\"index\":{}", other("0")), "\"index\":0")
}

#[test]
fn a_count_is_one_however_its_server_writes_numbers() {
    let spellings: [fn(&str) -> String; 3] =
        [|number| format!("{number}.0"), |number| format!("\"{number}\""), |number| format!("{number}e0")];
    for Said { dialect, whole, stream, used } in
        [chat(), google_in_openais_words(), responses(), messages(), compacted(), gemini(), converse(), cohere()]
    {
        for spelling in spellings {
            let (whole, stream) = (written(&whole, spelling), written(&stream, spelling));
            assert_eq!(dialect.usage_of_whole(whole.as_bytes()).unwrap(), Some(used), "{dialect:?}: {whole}");
            assert_eq!(dialect.decode_reply(whole.as_bytes()).unwrap().usage, Some(used), "{dialect:?}: {whole}");
            if !stream.is_empty() {
                let mut observer = dialect.observer(ObserverMode::Watch);
                observer.push(stream.as_bytes());
                assert_eq!(observer.usage(), Some(used), "{dialect:?}: {stream}");
            }
        }
    }
    let billed =
        br#"{"id":"e","embeddings":{"float":[[0.5]]},"texts":["x"],"meta":{"billed_units":{"input_tokens":8}}}"#;
    let used = Usage { input: 8, ..Usage::default() };
    assert_eq!(Dialect::CohereChat.usage_of_whole(billed).unwrap(), Some(used));
    let pictures = br#"{"id":"e","embeddings":{"float":[[0.5]]},"meta":{"billed_units":{"input_tokens":8,"image_tokens":50,"images":1}}}"#;
    let used = Usage { input: 58, image_input: 50, ..Usage::default() };
    assert_eq!(Dialect::CohereChat.usage_of_whole(pictures).unwrap(), Some(used));
    let vectors = br#"{"embedding":{"values":[0.5]},"usageMetadata":{"promptTokenCount":80,"promptTokenDetails":[{"modality":"IMAGE","tokenCount":50}]}}"#;
    let used = Usage { input: 80, image_input: 50, ..Usage::default() };
    assert_eq!(Dialect::Gemini.usage_of_whole(vectors).unwrap(), Some(used));
    let searched = br#"{"results":[],"meta":{"billed_units":{"search_units":1}}}"#;
    assert_eq!(Dialect::CohereChat.usage_of_whole(searched).unwrap(), None);
    let vectors = br#"{"object":"list","data":[{"embedding":[0.5]}],"model":"m","usage":{"prompt_tokens":7.0}}"#;
    let read = Dialect::OpenAiChat.embedding_answer(vectors, (Dialect::Gemini, b"{}", "id")).unwrap();
    assert_eq!(read.usage.unwrap().input, 7);
    assert_eq!(
        Dialect::AnthropicMessages.count_for(br#"{"input_tokens":"7"}"#, Dialect::AnthropicMessages).unwrap(),
        br#"{"input_tokens":7}"#
    );
}

#[test]
fn the_tier_of_converse_stands_beside_its_usage() {
    let whole = r#"{"output":{"message":{"role":"assistant","content":[{"text":"x"}]}},"stopReason":"end_turn","usage":{"inputTokens":50,"outputTokens":50,"cacheReadInputTokens":40,"cacheWriteInputTokens":10,"cacheDetails":[{"ttl":"1h","inputTokens":3},{"ttl":"5m","inputTokens":7}]},"serviceTier":{"type":"flex"}}"#;
    let used = Usage {
        input: 100,
        cached_input: 40,
        cache_write: 10,
        cache_write_1h: 3,
        output: 50,
        tier: ServiceTier::Flex,
        ..Usage::default()
    };
    let converse = Dialect::BedrockConverse;
    assert_eq!(converse.usage_of_whole(whole.as_bytes()).unwrap(), Some(used));
    assert_eq!(converse.decode_reply(whole.as_bytes()).unwrap().usage, Some(used));
}

#[test]
fn a_stream_that_is_cut_has_said_its_tier() {
    let head =
        "data: {\"id\":\"c\",\"service_tier\":\"flex\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    let created = "event: response.created\ndata: {\"response\":{\"id\":\"r\",\"service_tier\":\"flex\"}}\n\n";
    for (dialect, stream) in [(Dialect::OpenAiChat, head), (Dialect::OpenAiResponses, created)] {
        let (mut observer, mut decoder) = (dialect.observer(ObserverMode::Watch), dialect.stream_decoder());
        observer.push(stream.as_bytes());
        decoder.push(stream.as_bytes(), &mut Vec::new()).unwrap();
        assert_eq!((observer.tier(), decoder.tier()), (ServiceTier::Flex, ServiceTier::Flex), "{dialect:?}");
    }
}

#[test]
fn reasoning_that_is_counted_beside_the_completion_is_output_too() {
    let of = |usage: &str| {
        let body = format!("{{\"choices\":[],\"usage\":{usage}}}");
        Dialect::OpenAiChat.usage_of_whole(body.as_bytes()).unwrap().map(|usage| (usage.output, usage.reasoning))
    };
    let beside = r#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}"#;
    let within = r#"{"prompt_tokens":32,"completion_tokens":103,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}"#;
    assert_eq!((of(beside), of(within)), (Some((103, 94)), Some((103, 94))));
}

#[test]
fn a_faster_answer_is_of_the_tier_that_costs_more() {
    let body = r#"{"type":"message","content":[],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1,"service_tier":"standard","speed":"fast"}}"#;
    let usage = Dialect::AnthropicMessages.usage_of_whole(body.as_bytes()).unwrap().unwrap();
    assert_eq!(usage.tier, ServiceTier::Priority);
}

#[test]
fn a_stream_that_counts_the_prompt_first_says_what_is_known_of_it_by_then() {
    let chat = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"c\",\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    let gemini = "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"Hi\"}]},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":90,\"candidatesTokenCount\":2},\"modelVersion\":\"g\"}\r\n\r\n";
    for (from, stream, first) in [(Dialect::OpenAiChat, chat, 84), (Dialect::Gemini, gemini, 90)] {
        let mut decoder = from.stream_decoder();
        let options = StreamOptions { prompt: Some(84), ..StreamOptions::default() };
        let mut encoder = Dialect::AnthropicMessages.stream_encoder(options);
        let (mut events, mut out) = (Vec::new(), Vec::new());
        decoder.push(stream.as_bytes(), &mut events).unwrap();
        decoder.finish(&mut events).unwrap();
        events.iter().for_each(|event| encoder.push(event, &mut out));
        let said = String::from_utf8(out).unwrap();
        let counts: Vec<&str> =
            said.match_indices("\"input_tokens\":").map(|(at, key)| &said[at + key.len()..]).collect();
        assert_eq!(counts.len(), 2, "{said}");
        assert!(counts[0].starts_with(&format!("{first},")) && counts[1].starts_with("90,"), "{from:?}: {said}");
    }
}
