//! Unions: where one of several members may stand, two are refused by their names, so that none is lost beside another; of a
//! provider's answer both are told, or it is broken.

use serde_json::{Value, json};
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::{Content, Delta, Event, PartKind};

/// A call in each dialect around one piece of content.
fn around(dialect: Dialect, piece: &Value) -> Value {
    match dialect {
        Dialect::BedrockConverse => json!({"messages": [{"role": "user", "content": [piece]}]}),
        Dialect::Gemini => json!({"contents": [{"role": "user", "parts": [piece]}]}),
        Dialect::OpenAiResponses => json!({"model": "m", "input": [{"role": "user", "content": [piece]}]}),
        _ => json!({"model": "m", "messages": [{"role": "user", "content": [piece]}]}),
    }
}

#[test]
fn two_members_of_a_union_are_refused_by_name() {
    let picture = json!({"format": "png", "source": {"bytes": "eA=="}});
    let blob = json!({"mimeType": "image/png", "data": "eA=="});
    let result = |piece: Value| json!({"toolResult": {"toolUseId": "t", "content": [piece]}});
    let both_sources = json!({"bytes": "eA==", "s3Location": {"uri": "s3://a/b"}});
    let (converse, gemini, responses, chat) =
        (Dialect::BedrockConverse, Dialect::Gemini, Dialect::OpenAiResponses, Dialect::OpenAiChat);
    for (dialect, piece, at) in [
        (converse, json!({"text": "x", "image": picture}), "messages[0].content[0]"),
        (converse, json!({"text": "x", "cachePoint": {"type": "default"}}), "messages[0].content[0]"),
        (converse, json!({"toolUse": {"toolUseId": "t", "name": "f"}, "text": ""}), "messages[0].content[0]"),
        (converse, json!({"image": picture, "searchResult": {}}), "messages[0].content[0]"),
        (converse, json!({"image": {"format": "png", "source": both_sources}}), "messages[0].content[0].image.source"),
        (
            converse,
            json!({"document": {"name": "n", "source": both_sources}}),
            "messages[0].content[0].document.source",
        ),
        (
            converse,
            json!({"reasoningContent": {"redactedContent": "eA==", "reasoningText": {"text": "x"}}}),
            "messages[0].content[0].reasoningContent",
        ),
        (
            converse,
            json!({"guardContent": {"text": {"text": "x"}, "image": picture}}),
            "messages[0].content[0].guardContent",
        ),
        (converse, result(json!({"text": "x", "json": {}})), "messages[0].content[0].toolResult.content[0]"),
        (gemini, json!({"text": "x", "inlineData": blob}), "contents[0].parts[0]"),
        (gemini, json!({"text": "", "function_call": {"name": "f"}}), "contents[0].parts[0]"),
        (gemini, json!({"inline_data": blob, "fileData": {"fileUri": "https://a/b"}}), "contents[0].parts[0]"),
        (gemini, json!({"text": "x", "executableCode": {}}), "contents[0].parts[0]"),
        (responses, json!({"type": "input_image", "image_url": "https://a/b", "file_id": "f"}), "input[0].content[0]"),
        (
            responses,
            json!({"type": "input_file", "file_data": "eA==", "file_url": "https://a/b"}),
            "input[0].content[0]",
        ),
        (chat, json!({"type": "file", "file": {"file_data": "eA==", "file_id": "f"}}), "messages[0].content[0].file"),
    ] {
        let body = around(dialect, &piece).to_string();
        let refusal = dialect.decode_call(body.as_bytes()).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some(at), "{piece}: {refusal:?}");
        assert!(refusal.message.contains("both"), "{piece}: {refusal:?}");
    }
}

#[test]
fn what_stands_around_turns_is_looked_at_too() {
    let turn = json!([{"role": "user", "content": [{"text": "x"}]}]);
    let part = json!([{"role": "user", "parts": [{"text": "x"}]}]);
    let guarded = json!({"text": {"text": "y"}});
    let spec = json!({"name": "f", "inputSchema": {"json": {}}});
    let schemas = json!({"name": "f", "parameters": {}, "parametersJsonSchema": {}});
    for (dialect, body, at) in [
        (
            Dialect::BedrockConverse,
            json!({"messages": turn, "system": [{"text": "x", "guardContent": guarded}]}),
            "system[0]",
        ),
        (
            Dialect::BedrockConverse,
            json!({"messages": turn, "toolConfig": {"tools": [{"toolSpec": spec, "cachePoint": {}}]}}),
            "toolConfig.tools[0]",
        ),
        (
            Dialect::BedrockConverse,
            json!({"messages": turn, "toolConfig": {"tools": [{"toolSpec": spec}], "toolChoice": {"auto": {}, "any": {}}}}),
            "toolConfig.toolChoice",
        ),
        (
            Dialect::Gemini,
            json!({"contents": part, "systemInstruction": {"parts": [{"text": "x", "inlineData": {}}]}}),
            "systemInstruction.parts[0]",
        ),
        (
            Dialect::Gemini,
            json!({"contents": part, "generationConfig": {"responseSchema": {}, "responseJsonSchema": {}}}),
            "generationConfig",
        ),
        (
            Dialect::Gemini,
            json!({"contents": part, "generationConfig": {"thinkingConfig": {"thinkingBudget": 9, "thinkingLevel": "LOW"}}}),
            "generationConfig.thinkingConfig",
        ),
        (
            Dialect::Gemini,
            json!({"contents": part, "tools": [{"functionDeclarations": [schemas]}]}),
            "tools[0].functionDeclarations[0]",
        ),
    ] {
        let refusal = dialect.decode_call(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some(at), "{body}: {refusal:?}");
    }
}

#[test]
fn one_member_beside_what_is_none_is_taken() {
    for (dialect, piece) in [
        (Dialect::BedrockConverse, json!({"text": "x", "image": null, "new": 1})),
        (Dialect::Gemini, json!({"text": "x", "inlineData": null, "thought": true, "videoMetadata": {}})),
    ] {
        let call = dialect.decode_call(around(dialect, &piece).to_string().as_bytes()).unwrap();
        assert_eq!(call.messages[0].parts.len(), 1, "{piece}");
    }
}

#[test]
fn an_answer_of_two_members_loses_none() {
    let call = json!({"functionCall": {"name": "f", "args": {}}, "text": "x"});
    let shown = json!({"text": "x", "inlineData": {"mimeType": "image/png", "data": "eA=="}});
    for part in [call, shown] {
        let body = json!({"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}).to_string();
        let reply = Dialect::Gemini.decode_reply(body.as_bytes()).unwrap();
        let parts: Vec<&Content> = reply.choices[0].parts.iter().map(|part| &part.content).collect();
        let whole = matches!(parts[..], [Content::Text { .. }, Content::ToolCall(_) | Content::Image { .. }]);
        assert!(whole, "{parts:?}");
        let mut events = Vec::new();
        let mut decoder = Dialect::Gemini.stream_decoder();
        decoder.push(format!("data: {body}\n\n").as_bytes(), &mut events).unwrap();
        let said =
            events.iter().any(|event| matches!(event, Event::Delta { delta: Delta::Text(text), .. } if text == "x"));
        let kind = |event: &Event| {
            matches!(event, Event::PartStart { kind: PartKind::ToolCall { .. } | PartKind::Picture { .. }, .. })
        };
        assert!(said && events.iter().any(kind), "{events:?}");
    }
    let two = json!({"text": "x", "toolUse": {"toolUseId": "t", "name": "f", "input": {}}});
    let body = json!({"output": {"message": {"role": "assistant", "content": [two]}}, "stopReason": "tool_use"});
    assert!(Dialect::BedrockConverse.decode_reply(body.to_string().as_bytes()).is_err());
}
