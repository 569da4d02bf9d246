//! Calls of another dialect's callers, written for OpenAI: the rules of docs/dialects-openai.md one by one.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::decode;
use crate::codec::{Encoded, ProviderProfile, Refusal};
use crate::dialect::Dialect;
use crate::hub::*;
use crate::vendors::{FieldAction, LookAlike};

fn encode(call: &Call, profile: &ProviderProfile) -> Result<Encoded, Refusal> {
    super::encode(call, profile, crate::openai_chat::place::part_path)
}

fn raw(json: &Value) -> Raw {
    RawValue::from_string(json.to_string()).unwrap()
}

fn call(messages: Vec<Message>) -> Call {
    Call {
        model: "m".into(),
        system: Vec::new(),
        messages,
        tools: Vec::new(),
        tool_choice: None,
        parallel_tools: None,
        max_tokens: Some(9),
        sampling: Sampling::default(),
        stop: Vec::new(),
        format: None,
        reasoning: None,
        thoughts_told: false,
        stream: false,
        stream_usage: true,
        end_user: None,
        extra: Extra::none(Dialect::AnthropicMessages),
    }
}

fn body(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

fn written(call: &Call) -> (Value, Vec<String>) {
    let encoded = encode(call, &ProviderProfile::default()).unwrap();
    (body(&encoded), encoded.dropped)
}

fn mark() -> Option<CacheMark> {
    Some(CacheMark(raw(&json!({"type": "ephemeral"}))))
}

/// A turn in which two tools are called, with thoughts of Google's and of Anthropic's before the first, and of Google's behind.
fn signed_turn() -> Vec<Message> {
    let thought = |text: &str, signature: &str| {
        Part::new(Content::Thinking { text: text.into(), signature: Some(signature.into()) })
    };
    let called =
        |id: &str| Part::new(Content::ToolCall(ToolCall { id: id.into(), name: "f".into(), arguments: "{}".into() }));
    let unsigned = Part::new(Content::Thinking { text: "Two.".into(), signature: None });
    let parts = vec![unsigned, thought("Hm.", "S"), thought("", "gemini:T"), called("a"), called("b")];
    vec![Message::new(Role::Assistant, parts)]
}

#[test]
fn googles_signatures_go_back_to_the_calls_that_they_stood_on() {
    let calls = |first: Value, call: &Call, host: &str| {
        let row = LookAlike::at(host);
        let profile = ProviderProfile { look_alike: Some(row), ..ProviderProfile::default() };
        let encoded = encode(call, &profile).unwrap();
        let turn = body(&encoded)["messages"][0].clone();
        assert_eq!(turn["tool_calls"][0].get("extra_content"), first.get("extra_content"), "{host}");
        assert_eq!(turn["tool_calls"][1].get("extra_content"), None);
        (turn, encoded.dropped)
    };
    let call = call(signed_turn());
    let signed = json!({"extra_content": {"google": {"thought_signature": "T"}}});
    for host in ["generativelanguage.googleapis.com", "models.example"] {
        let (turn, dropped) = calls(signed.clone(), &call, host);
        assert_eq!(turn.get("reasoning_details"), None);
        assert_eq!(dropped, ["messages[0].content[0]", "messages[0].content[1]"], "{host}");
    }
    for host in ["api.groq.com", "openrouter.ai", "api.deepseek.com"] {
        let (_, dropped) = calls(json!({}), &call, host);
        assert!(dropped.contains(&"messages[0].content[2]".to_owned()), "{host}");
    }
}

#[test]
fn signatures_go_back_to_openrouter_in_the_list_that_it_gave_them_in() {
    let profile = ProviderProfile { look_alike: LookAlike::named("OpenRouter"), ..ProviderProfile::default() };
    let mut call = call(signed_turn());
    for (model, details) in [
        (
            "google/gemini-3-pro-preview",
            json!([{"type": "reasoning.encrypted", "data": "T", "id": "a", "format": "google-gemini-v1", "index": 0}]),
        ),
        (
            "anthropic/claude-sonnet-5",
            json!([{"type": "reasoning.text", "text": "Hm.", "signature": "S", "format": "anthropic-claude-v1", "index": 0}]),
        ),
        ("openai/gpt-6", Value::Null),
    ] {
        model.clone_into(&mut call.model);
        let turn = body(&encode(&call, &profile).unwrap())["messages"][0].clone();
        assert_eq!(turn["reasoning_details"], details, "{model}");
    }
}

#[test]
fn signatures_that_chat_callers_send_back_are_thoughts() {
    let turn = json!({"role": "assistant", "content": "So.", "reasoning": "Hm.",
        "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "S", "format": "anthropic-claude-v1"},
            {"type": "reasoning.encrypted", "data": "T", "id": "b", "format": "google-gemini-v1"}],
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "U"}}},
            {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let call = decode(json!({"model": "m", "messages": [turn]}).to_string().as_bytes()).unwrap();
    let told: Vec<String> = call.messages[0]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::Thinking { text, signature } => format!("{text}|{}", signature.as_deref().unwrap_or_default()),
            Content::ToolCall(call) => call.id.clone(),
            Content::Text { text, .. } => text.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["Hm.|S", "So.", "|gemini:U", "a", "|gemini:T", "b"]);
}

#[test]
fn what_is_marked_for_the_prompt_cache_is_marked_where_a_host_keeps_what_is() {
    let mut said = Part::text("Go on.");
    said.cache = mark();
    let result =
        Content::ToolResult { call_id: "c".into(), parts: vec![Part::text("a"), Part::text("b")], is_error: false };
    let mut result = Part::new(result);
    result.cache = mark();
    let mut call = call(vec![Message::new(Role::User, vec![result]), Message::new(Role::User, vec![said])]);
    call.system = vec![SystemPart { cache: mark(), ..SystemPart::new("a") }, SystemPart::new("b")];
    let text = |text: &str| json!({"type": "text", "text": text});
    let marked = |text: &str| json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}});
    for (name, model, keeps) in [
        ("OpenRouter", "anthropic/claude-sonnet-5", true),
        ("Databricks", "databricks-claude-sonnet-5", true),
        ("OpenRouter", "openai/gpt-6", false),
        ("Groq", "claude", false),
    ] {
        model.clone_into(&mut call.model);
        let profile = ProviderProfile { look_alike: LookAlike::named(name), ..ProviderProfile::default() };
        let encoded = encode(&call, &profile).unwrap();
        let out = body(&encoded);
        assert_eq!(encoded.dropped.is_empty(), keeps, "{name}: {:?}", encoded.dropped);
        if keeps {
            assert_eq!(out["messages"][0]["content"], json!([marked("a"), text("b")]), "{name}");
            assert_eq!(out["messages"][1]["content"], json!([text("a"), marked("b")]), "{name}");
            assert_eq!(out["messages"][2]["content"], json!([marked("Go on.")]), "{name}");
        } else {
            assert!(!out.to_string().contains("cache_control"), "{name}: {out}");
        }
    }
}

#[test]
fn thoughts_and_cache_marks_are_dropped_by_rule() {
    let thinking = Content::Thinking { text: "hm".into(), signature: Some("s".into()) };
    let mut said = Part::text("yes");
    said.cache = mark();
    let parts = vec![Part::new(thinking), Part::new(Content::RedactedThinking("x".into())), said];
    let mut call = call(vec![Message::new(Role::Assistant, parts)]);
    call.system = vec![SystemPart { cache: mark(), ..SystemPart::new("a") }, SystemPart::new("b")];
    let (out, dropped) = written(&call);
    assert_eq!(
        out["messages"],
        json!([
            {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "yes"}
        ])
    );
    assert_eq!(
        dropped,
        [
            "system[0].cache_control",
            "messages[0].content[2].cache_control",
            "messages[0].content[0]",
            "messages[0].content[1]"
        ]
    );
    let out = body(
        &encode(&call, &ProviderProfile { look_alike: Some(LookAlike::default()), ..ProviderProfile::default() })
            .unwrap(),
    );
    assert_eq!(out["messages"][0], json!({"role": "system", "content": "a\n\nb"}));
    assert_eq!((&out["max_tokens"], &out["max_completion_tokens"]), (&json!(9), &Value::Null));
}

#[test]
fn tool_results_become_messages_and_their_pictures_follow() {
    let picture =
        Content::Image { source: Source::Base64 { media_type: "image/png".into(), data: "AA==".into() }, detail: None };
    let result =
        |id: &str, parts: Vec<Part>, is_error| Part::new(Content::ToolResult { call_id: id.into(), parts, is_error });
    let turn = Message::new(
        Role::User,
        vec![
            result("c1", vec![Part::text("seen"), Part::new(picture)], false),
            result("c2", Vec::new(), true),
            Part::text("go on"),
        ],
    );
    let (out, dropped) = written(&call(vec![turn]));
    assert_eq!(
        out["messages"],
        json!([
            {"role": "tool", "tool_call_id": "c1", "content": "seen"},
            {"role": "tool", "tool_call_id": "c2", "content": ""},
            {"role": "user", "content": [
                {"type": "text", "text": "Attached to the result of tool call c1:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                {"type": "text", "text": "go on"}
            ]}
        ])
    );
    assert_eq!(dropped, ["messages[0].content[1].is_error"]);
}

#[test]
fn documents_become_files_or_text() {
    let document = |source: Source, name: Option<&str>| {
        let settings = [("citations".to_owned(), raw(&json!({"enabled": true})))].into_iter().collect();
        Part::new(Content::Document { source, name: name.map(str::to_owned), settings })
    };
    let pdf = Source::Base64 { media_type: "application/pdf".into(), data: "AA==".into() };
    let parts = vec![document(pdf, None), document(Source::Text("body".into()), Some("Title"))];
    let (out, dropped) = written(&call(vec![Message::new(Role::User, parts)]));
    assert_eq!(
        out["messages"][0]["content"],
        json!([
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AA=="}},
            {"type": "text", "text": "Title\n\nbody"}
        ])
    );
    assert_eq!(dropped, ["messages[0].content[0].citations", "messages[0].content[1].citations"]);
}

#[test]
fn settings_follow_the_table() {
    let mut call = call(vec![Message::new(Role::User, vec![Part::text("x")])]);
    call.model = "gpt-5".into();
    call.sampling.top_k = Some(5);
    call.end_user = Some("u".repeat(65));
    call.parallel_tools = Some(false);
    call.extra.fields.insert("service_tier".into(), raw(&json!("standard_only")));
    call.extra.fields.insert("context_management".into(), raw(&json!({})));
    call.stream = true;
    for (reasoning, effort, left) in [
        (Reasoning::Off, Value::Null, true),
        (Reasoning::Adaptive, Value::Null, true),
        (Reasoning::Budget(1024), json!("low"), false),
        (Reasoning::Budget(8192), json!("medium"), false),
        (Reasoning::Budget(8193), json!("high"), false),
        (Reasoning::Effort("max".into()), json!("high"), false),
        (Reasoning::Effort("medium".into()), json!("medium"), false),
    ] {
        call.reasoning = Some(reasoning);
        let (out, dropped) = written(&call);
        assert_eq!(out["reasoning_effort"], effort);
        assert_eq!(dropped.contains(&"thinking".to_owned()), left);
        assert_eq!(out["service_tier"], "default");
        assert_eq!(out["stream_options"], json!({"include_usage": true}));
        for field in ["top_k", "metadata.user_id", "context_management"] {
            assert!(dropped.contains(&field.to_owned()), "{field}");
        }
        assert_eq!(
            (&out["top_k"], &out["user"], &out["parallel_tool_calls"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }
}

#[test]
fn what_would_change_its_place_is_refused_by_field() {
    let call =
        |message: Value| json!({"model": "m", "messages": [{"role": "user", "content": "a"}, message]}).to_string();
    for (message, param) in [
        (json!({"role": "assistant", "tool_calls": [{"type": "text", "text": "a"}]}), "messages[1].tool_calls[0].type"),
        (json!({"role": "user", "content": [{"type": "custom", "custom": {}}]}), "messages[1].content[0].type"),
    ] {
        let refusal = decode(call(message).as_bytes()).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some(param), "{}", refusal.message);
    }
}

#[test]
fn what_has_no_equivalent_is_refused_by_field() {
    let anthropic = Dialect::AnthropicMessages;
    let block = raw(&json!({"type": "server_tool_use", "id": "s"}));
    let turn = |role, content| call(vec![Message::new(role, vec![Part::text("x"), Part::new(content)])]);
    let image = |source| Content::Image { source, detail: None };
    let document = |source| Content::Document { source, name: None, settings: Fields::new() };
    let said = || vec![Message::new(Role::User, vec![Part::text("x")])];
    let mut with_tool = call(said());
    with_tool.tools = vec![Tool::Other { dialect: anthropic, raw: raw(&json!({"type": "web_search_20250305"})) }];
    let mut with_many = call(said());
    with_many.tools = vec![with_tool.tools[0].clone(); 129];
    assert_eq!(encode(&with_many, &ProviderProfile::default()).unwrap_err().param.as_deref(), Some("tools"));
    let mut with_servers = call(said());
    with_servers.extra.fields.insert("mcp_servers".into(), raw(&json!([])));
    assert!(encode(&with_servers, &ProviderProfile::default()).is_ok(), "no server is none");
    with_servers.extra.fields.insert("mcp_servers".into(), raw(&json!([{"type": "url"}])));
    let mut with_thread = call(said());
    with_thread.extra.fields.insert("thread".into(), raw(&json!({"type": "create"})));
    assert_eq!(encode(&with_thread, &ProviderProfile::default()).unwrap_err().code, Some("thread_unsupported_request"));
    for (call, param) in [
        (turn(Role::Assistant, Content::Other { dialect: anthropic, raw: block }), "messages[0].content[1]"),
        (turn(Role::User, image(Source::File("f".into()))), "messages[0].content[1].source"),
        (turn(Role::User, document(Source::Url("u".into()))), "messages[0].content[1].source"),
        (with_tool, "tools[0]"),
        (with_servers, "mcp_servers"),
        (with_thread, "thread"),
    ] {
        let refusal = encode(&call, &ProviderProfile::default()).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some(param));
        assert!(refusal.message.starts_with(param), "{}", refusal.message);
    }
}

#[test]
fn a_form_beside_tools_is_said_in_words_to_who_refuses_it() {
    let mut call = call(vec![Message::new(Role::User, vec![Part::text("How deep?")])]);
    call.format = Some(Format::Json);
    let groq = ProviderProfile { look_alike: LookAlike::named("Groq"), ..ProviderProfile::default() };
    assert_eq!(body(&encode(&call, &groq).unwrap())["response_format"]["type"], "json_object");
    let (name, extra) = ("depth".to_owned(), Fields::new());
    call.tools.push(Tool::Function { name, description: None, parameters: None, strict: None, cache: None, extra });
    assert_eq!(written(&call).0["response_format"]["type"], "json_object");
    let encoded = encode(&call, &groq).unwrap();
    let written = body(&encoded);
    assert!(written.get("response_format").is_none());
    assert!(written["messages"][0]["content"].as_str().unwrap().starts_with("When you answer instead"), "{written}");
    assert_eq!(
        (&written["messages"][0]["role"], encoded.dropped),
        (&json!("system"), vec!["response_format".to_owned()])
    );
}

#[test]
fn a_last_turn_of_the_models_is_marked_where_the_server_refuses_one_that_is_not() {
    let turns = |last| vec![Message::new(Role::User, vec![Part::text("x")]), Message::new(Role::Assistant, last)];
    let tool = Part::new(Content::ToolCall(ToolCall { id: "c".into(), name: "f".into(), arguments: "{}".into() }));
    for (name, messages, mark) in [
        ("Mistral", turns(vec![Part::text("One,")]), json!(true)),
        ("Mistral", turns(vec![tool]), Value::Null),
        ("vLLM", turns(vec![Part::text("One,")]), Value::Null),
    ] {
        let profile = ProviderProfile { look_alike: LookAlike::named(name), ..ProviderProfile::default() };
        let body = body(&encode(&call(messages), &profile).unwrap());
        assert_eq!(body["messages"][1]["prefix"], mark, "{name}");
    }
}

#[test]
fn models_that_reason_are_asked_for_neither_log_probabilities_nor_stop_texts() {
    let asked = |model: &str, policy: &[(&str, FieldAction)]| {
        let mut call = call(vec![Message::new(Role::User, vec![Part::text("hi")])]);
        call.model = model.into();
        call.stop = vec!["END".into()];
        call.extra = Extra { dialect: Dialect::Gemini, fields: [("logprobs".to_owned(), raw(&json!(true)))].into() };
        let fields = policy.iter().map(|(name, action)| ((*name).to_owned(), action.clone())).collect();
        encode(&call, &ProviderProfile { fields, ..ProviderProfile::default() })
    };
    for model in ["gpt-4o", "m"] {
        let body = body(&asked(model, &[]).unwrap());
        assert_eq!((&body["logprobs"], &body["stop"]), (&json!(true), &json!(["END"])), "{model}");
    }
    for model in ["o3", "gpt-5-mini", "gpt-6-astra"] {
        assert_eq!(asked(model, &[]).unwrap_err().param.as_deref(), Some("logprobs"), "{model}");
    }
    // At rest it tells them.
    let encoded = asked("gpt-5.1", &[]).unwrap();
    assert_eq!((&body(&encoded)["logprobs"], &body(&encoded)["stop"]), (&json!(true), &Value::Null));
    assert_eq!(encoded.dropped, ["stop"]);
    let passed = asked("gpt-5.1", &[("stop", FieldAction::Pass)]).unwrap();
    assert_eq!(body(&passed)["stop"], json!(["END"]));
}

fn tool(name: &str, parameters: &Value) -> Tool {
    Tool::Function {
        name: name.into(),
        description: None,
        parameters: Some(raw(parameters)),
        strict: None,
        cache: None,
        extra: Fields::default(),
    }
}

/// A call of a model at a look-alike, and what is said of it there.
fn at(name: &str, model: &str, change: impl FnOnce(&mut Call)) -> (Value, Vec<String>) {
    let mut call = call(vec![Message::new(Role::User, vec![Part::text("hi")])]);
    call.model = model.into();
    change(&mut call);
    let profile = ProviderProfile { look_alike: LookAlike::named(name), ..ProviderProfile::default() };
    let encoded = encode(&call, &profile).unwrap();
    (body(&encoded), encoded.dropped)
}

#[test]
fn thinking_is_turned_off_by_the_word_that_the_provider_has() {
    let disabled = json!({"thinking": {"type": "disabled"}});
    for (name, model, said) in [
        ("DeepSeek", "deepseek-v4-flash", disabled.clone()),
        ("DeepSeek", "deepseek-chat", json!({})),
        ("Zhipu", "glm-5.2", disabled.clone()),
        ("Zhipu", "glm-5.3", json!({})),
        ("Moonshot", "kimi-k2.6", disabled.clone()),
        ("Moonshot", "kimi-k3", json!({})),
        ("MiniMax", "MiniMax-M3", disabled),
        ("Qwen", "qwen3.7-plus", json!({"enable_thinking": false})),
        ("Qwen", "qwen-plus", json!({})),
        ("OpenRouter", "z-ai/glm-5.2", json!({"reasoning": {"enabled": false}})),
        ("OpenRouter", "anthropic/claude-sonnet-5", json!({"reasoning": {"enabled": false}})),
        ("OpenRouter", "openai/gpt-5", json!({})),
        ("Mistral", "mistral-small-2603", json!({"reasoning_effort": "none"})),
        ("Mistral", "mistral-large-latest", json!({})),
        ("Groq", "qwen/qwen3-32b", json!({"reasoning_effort": "none"})),
        ("vLLM", "glm-5.2", json!({})),
    ] {
        let (body, dropped) = at(name, model, |call| call.reasoning = Some(Reasoning::Off));
        for field in ["thinking", "enable_thinking", "reasoning", "reasoning_effort"] {
            assert_eq!(body.get(field), said.get(field), "{name} {model}");
        }
        assert_eq!(dropped.is_empty(), said != json!({}), "{name} {model}: {dropped:?}");
    }
}

#[test]
fn efforts_are_those_that_the_provider_takes_for_the_model() {
    for (name, model, effort, said) in [
        ("Zhipu", "glm-5.3", "low", Some("low")),
        ("Zhipu", "glm-5.2", "low", Some("high")),
        ("Zhipu", "glm-4.7", "high", None),
        ("Mistral", "mistral-medium-latest", "medium", Some("high")),
        ("Mistral", "mistral-large-latest", "medium", None),
        ("xAI", "grok-4.5", "xhigh", Some("high")),
        ("xAI", "grok-4.6", "xhigh", Some("xhigh")),
        ("xAI", "grok-4", "high", None),
        ("Groq", "qwen/qwen3-32b", "high", None),
        ("Groq", "openai/gpt-oss-120b", "high", Some("high")),
    ] {
        let (body, _) = at(name, model, |call| call.reasoning = Some(Reasoning::Effort(effort.into())));
        assert_eq!(body.get("reasoning_effort").and_then(Value::as_str), said, "{name} {model}");
    }
}

#[test]
fn a_tool_is_forced_as_the_provider_lets_it_be() {
    let forced = |name: &str, model: &str, choice: ToolChoice| {
        at(name, model, |call| {
            call.tools = ["a", "b"].map(|name| tool(name, &json!({"type": "object", "properties": {}}))).into();
            call.tool_choice = Some(choice);
            call.reasoning = Some(Reasoning::Adaptive);
        })
    };
    let named = || ToolChoice::Named("b".into());
    // One that can rest does.
    let (body, dropped) = forced("DeepSeek", "deepseek-v4-pro", ToolChoice::Required);
    assert_eq!((&body["tool_choice"], &body["thinking"]["type"]), (&json!("required"), &json!("disabled")));
    assert_eq!(dropped, ["thinking"]);
    let (body, _) = forced("Qwen", "qwen3.7-plus", named());
    assert_eq!((&body["tool_choice"]["function"]["name"], &body["enable_thinking"]), (&json!("b"), &json!(false)));
    // Kimi K3 can be made to call the one tool that there is.
    let (body, _) = forced("Moonshot", "kimi-k3", named());
    assert_eq!(body["tool_choice"], "required");
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tools"][0]["function"]["name"], "b");
    // Another one that always thinks is asked in words.
    let (body, dropped) = forced("Moonshot", "kimi-k2.7-code", named());
    assert_eq!(body["tool_choice"], "auto");
    assert_eq!(body["messages"][0]["content"], "Answer by calling the tool `b`, and with nothing else.");
    assert_eq!(dropped, ["tool_choice", "thinking"]);
    for (name, model) in [("DeepSeek", "deepseek-chat"), ("vLLM", "deepseek-v4-pro"), ("Qwen", "qwen-plus")] {
        let (body, _) = forced(name, model, ToolChoice::Required);
        assert_eq!((&body["tool_choice"], body.get("thinking")), (&json!("required"), None), "{name} {model}");
    }
}

#[test]
fn arguments_that_are_no_object_stand_in_one_where_they_may_be_read() {
    let arguments = |name: Option<&str>| {
        let mut call = call(Vec::new());
        let called = ToolCall { id: "a".into(), name: "f".into(), arguments: "{\"a\": ".into() };
        call.messages = vec![Message::new(Role::Assistant, vec![Part::new(Content::ToolCall(called))])];
        let profile = ProviderProfile { look_alike: name.and_then(LookAlike::named), ..ProviderProfile::default() };
        body(&encode(&call, &profile).unwrap())["messages"][0]["tool_calls"][0]["function"]["arguments"].clone()
    };
    assert_eq!(arguments(Some("vLLM")), "{\"_unparsed_arguments\":\"{\\\"a\\\": \"}");
    assert_eq!(arguments(None), "{\"a\": ");
}

#[test]
fn thoughts_that_minimax_keeps_apart_go_back_as_they_came() {
    let thought = Part::new(Content::Thinking { text: "Hm.".into(), signature: None });
    let (body, dropped) = at("MiniMax", "MiniMax-M3", |call| {
        call.messages = vec![Message::new(Role::Assistant, vec![thought, Part::text("Hi.")])];
    });
    assert_eq!(body["reasoning_split"], true);
    let detail = json!({"type": "reasoning.text", "id": "reasoning-text-1", "format": "MiniMax-response-v1", "index": 0, "text": "Hm."});
    assert_eq!((&body["messages"][0]["reasoning_details"], dropped.len()), (&json!([detail]), 0));
    assert_eq!(body["messages"][0]["content"], "Hi.");
}

#[test]
fn what_mistral_refuses_beside_a_temperature_of_0_is_left_out() {
    let drawn = |name: &str, temperature: f64, top_p: f64| {
        let (body, dropped) = at(name, "mistral-large-latest", |call| {
            call.sampling.temperature = serde_json::Number::from_f64(temperature);
            call.sampling.top_p = serde_json::Number::from_f64(top_p);
        });
        (body.get("top_p").and_then(Value::as_f64), dropped)
    };
    assert_eq!(drawn("Mistral", 0.0, 0.95), (None, vec!["top_p".to_owned()]));
    assert_eq!(drawn("Mistral", 0.0, 1.0), (Some(1.0), vec![]));
    assert_eq!(drawn("Mistral", 0.5, 0.95), (Some(0.95), vec![]));
    assert_eq!(drawn("Groq", 0.0, 0.95), (Some(0.95), vec![]));
}
