//! Every caller's dialect before every provider's, feature by feature: a cell passes, or says why it does not in one line. The table is
//! `docs/dialects-matrix.md`, which this writes and holds.
//!
//! A feature is a call, an answer and a question to each. The call is written in the caller's words, read, written in the
//! provider's and read there; the answer goes the other way. What is still there on the other side has passed.

use sluicegate_dialects::hub::{
    Call, Choice, Content, ErrorKind, Event, Extra, Fields, Format, Message, Part, ProviderError, Raw, Reasoning,
    Reply, Role, Sampling, Source, Stop, Tool, ToolCall, Usage,
};
use sluicegate_dialects::{Dialect, ProviderProfile, StreamOptions};

use crate::DIALECTS;
use crate::support::golden;

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/// A feature: what is asked for and answered, and how both are known again.
struct Feature {
    name: &'static str,
    /// What a call with it has.
    asks: fn(&mut Call),
    /// Whether a call that was read still has it.
    asked: fn(&Call) -> bool,
    /// What an answer with it says.
    says: fn() -> Vec<Part>,
    /// Whether an answer that was read still says it.
    said: fn(&Reply) -> bool,
}

fn raw(json: &str) -> Raw {
    serde_json::value::RawValue::from_string(json.to_owned()).unwrap()
}

fn call(id: &str, city: &str) -> Part {
    let arguments = format!("{{\"city\":\"{city}\"}}");
    Part::new(Content::ToolCall(ToolCall { id: id.into(), name: "weather".into(), arguments }))
}

fn result(id: &str) -> Part {
    Part::new(Content::ToolResult { call_id: id.into(), parts: vec![Part::text("12 degrees")], is_error: false })
}

fn weather() -> Tool {
    Tool::Function {
        name: "weather".into(),
        description: Some("The weather in a city.".into()),
        parameters: Some(raw(r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#)),
        strict: None,
        cache: None,
        extra: Fields::new(),
    }
}

fn with_tools(call: &mut Call, cities: &[&str]) {
    let ids: Vec<String> = (0..cities.len()).map(|at| format!("call_{at}")).collect();
    let calls = ids.iter().zip(cities).map(|(id, city)| self::call(id, city)).collect();
    call.tools = vec![weather()];
    call.messages.push(Message::new(Role::Assistant, calls));
    call.messages.push(Message::new(Role::User, ids.iter().map(|id| result(id)).collect()));
}

fn parts(call: &Call) -> impl Iterator<Item = &Content> {
    call.messages.iter().flat_map(|message| &message.parts).map(|part| &part.content)
}

/// How many tools were called before, and whether each of the calls has its result.
fn called(call: &Call) -> usize {
    let ids: Vec<&str> = parts(call)
        .filter_map(|part| if let Content::ToolCall(call) = part { Some(&*call.id) } else { None })
        .collect();
    let answered =
        |id: &&&str| parts(call).any(|part| matches!(part, Content::ToolResult { call_id, .. } if call_id == **id));
    ids.iter().filter(answered).count()
}

fn calls(reply: &Reply) -> Vec<&ToolCall> {
    let parts = reply.choices.iter().flat_map(|choice| &choice.parts);
    parts.filter_map(|part| if let Content::ToolCall(call) = &part.content { Some(call) } else { None }).collect()
}

fn says(reply: &Reply, words: &str) -> bool {
    let parts = reply.choices.iter().flat_map(|choice| &choice.parts);
    parts
        .filter_map(|part| if let Content::Text { text, .. } = &part.content { Some(text) } else { None })
        .any(|text| text.contains(words))
}

fn text() -> Vec<Part> {
    vec![Part::text("Deep enough.")]
}

const FEATURES: [Feature; 6] = [
    Feature {
        name: "text",
        asks: |_| {},
        asked: |call| parts(call).any(|part| matches!(part, Content::Text { text, .. } if text.contains("How deep"))),
        says: text,
        said: |reply| says(reply, "Deep enough.") && reply.choices.iter().all(|choice| choice.stop == Stop::End),
    },
    Feature {
        name: "tools",
        asks: |call| with_tools(call, &["Rome"]),
        asked: |call| {
            called(call) == 1 && matches!(&call.tools[..], [Tool::Function { name, .. }] if name == "weather")
        },
        says: || vec![self::call("call_9", "Rome")],
        said: |reply| matches!(&calls(reply)[..], [call] if call.name == "weather" && call.arguments.contains("Rome")),
    },
    Feature {
        name: "parallel tools",
        asks: |call| with_tools(call, &["Rome", "Oslo"]),
        asked: |call| called(call) == 2,
        says: || vec![self::call("call_8", "Rome"), self::call("call_9", "Oslo")],
        said: |reply| matches!(&calls(reply)[..], [one, other] if one.id != other.id && other.arguments.contains("Oslo")),
    },
    Feature {
        name: "images",
        asks: |call| {
            let source = Source::Base64 { media_type: "image/png".into(), data: PNG.into() };
            let image = Part::new(Content::Image { source, detail: None });
            call.messages.iter_mut().for_each(|message| message.parts.push(image.clone()));
        },
        asked: |call| parts(call).any(|part| matches!(part, Content::Image { .. })),
        says: text,
        said: |reply| says(reply, "Deep enough."),
    },
    Feature {
        name: "thinking",
        asks: |call| call.reasoning = Some(Reasoning::Effort("high".into())),
        asked: |call| call.reasoning.is_some() || call.extra.fields.contains_key("thinking"),
        says: || {
            let thought = Content::Thinking { text: "The sea is deep.".into(), signature: None };
            vec![Part::new(thought), Part::text("Deep enough.")]
        },
        said: |reply| {
            let parts = reply.choices.iter().flat_map(|choice| &choice.parts);
            let mut thoughts =
                parts.filter(|part| matches!(&part.content, Content::Thinking { text, .. } if text.contains("deep")));
            thoughts.next().is_some()
        },
    },
    Feature {
        name: "structured",
        asks: |call| {
            let schema = raw(
                r#"{"type":"object","properties":{"depth":{"type":"integer"}},"required":["depth"],"additionalProperties":false}"#,
            );
            call.format =
                Some(Format::Schema { name: Some("depth".into()), description: None, schema, strict: Some(true) });
        },
        asked: |call| matches!(&call.format, Some(Format::Schema { schema, .. }) if schema.get().contains("depth")),
        says: || vec![Part::text(r#"{"depth":10935}"#)],
        said: |reply| says(reply, "10935"),
    },
];

/// A model that does what the features ask for.
fn model(dialect: Dialect) -> &'static str {
    match dialect.name() {
        "Anthropic Messages" => "claude-sonnet-4-5",
        "Gemini" => "gemini-2.5-pro",
        "Cohere Chat" => "command-a-reasoning-08-2025",
        "Bedrock Converse" => "openai.gpt-oss-120b-1:0",
        _ => "gpt-5.1",
    }
}

fn base(dialect: Dialect) -> Call {
    Call {
        model: model(dialect).to_owned(),
        system: Vec::new(),
        messages: vec![Message::new(Role::User, vec![Part::text("How deep is the sea?")])],
        tools: Vec::new(),
        tool_choice: None,
        parallel_tools: None,
        max_tokens: Some(9000),
        sampling: Sampling::default(),
        stop: Vec::new(),
        format: None,
        reasoning: None,
        thoughts_told: false,
        stream: false,
        stream_usage: true,
        end_user: None,
        extra: Extra::none(dialect),
    }
}

fn reply(dialect: Dialect, parts: Vec<Part>) -> Reply {
    let called = parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let stop = if called { Stop::Tools } else { Stop::End };
    Reply {
        id: "r1".to_owned(),
        model: model(dialect).to_owned(),
        created: Some(1),
        choices: vec![Choice { parts, stop, logprobs: None, extra: Fields::new() }],
        usage: Some(Usage { input: 12, output: 7, ..Usage::default() }),
        extra: Extra::none(dialect),
    }
}

/// What a cell says: nothing where it passes.
type Cell = Result<(), String>;

fn lost(dialect: Dialect, what: &str) -> String {
    format!("{} has no word for it{what}", dialect.name())
}

/// A feature of a call and its answer.
fn told(feature: &Feature, caller: Dialect, provider: Dialect) -> Cell {
    let (plain, mut asked) = (ProviderProfile::default(), base(caller));
    (feature.asks)(&mut asked);
    let body = caller.encode_call(&asked, &plain).map_err(|_| lost(caller, ""))?.body;
    let mut read = caller.decode_call(&body).map_err(|_| lost(caller, ""))?;
    if !(feature.asked)(&read) {
        return Err(lost(caller, ""));
    }
    if caller == provider {
        return Ok(());
    }
    model(provider).clone_into(&mut read.model);
    let sent = provider.encode_call(&read, &plain).map_err(|refusal| format!("refused: {}", refusal.message))?;
    let arrived = provider.decode_call(&sent.body).map_err(|refusal| refusal.message)?;
    if !(feature.asked)(&arrived) {
        let left: Vec<String> = sent.dropped.iter().map(|field| format!("`{field}`")).collect();
        return Err(if left.is_empty() {
            "changed on the way".to_owned()
        } else {
            format!("left out: {}", left.join(", "))
        });
    }
    let said = provider.encode_reply(&reply(provider, (feature.says)()), &sent.body).body;
    let read = provider.decode_reply(&said).map_err(|error| error.message)?;
    if !(feature.said)(&read) {
        return Err(lost(provider, " in answers"));
    }
    let answer = caller.decode_reply(&caller.encode_reply(&read, &body).body).map_err(|error| error.message)?;
    if (feature.said)(&answer) { Ok(()) } else { Err(lost(caller, " in answers")) }
}

/// A stream with text and a call of a tool, event by event.
fn streamed(caller: Dialect, provider: Dialect) -> Cell {
    let text_alone = [caller, provider].iter().any(|dialect| dialect.name() == "OpenAI Completions");
    let mut parts = text();
    if !text_alone {
        parts.push(call("call_9", "Rome"));
    }
    let whole = provider.encode_reply(&reply(provider, parts), b"{}").body;
    let bytes = provider.stream_of_whole(&whole, true).ok_or_else(|| lost(provider, " in streams"))?;
    let passed = if caller == provider { bytes } else { translated(caller, provider, &bytes)? };
    let events = events(caller, &passed)?;
    let mut said = String::new();
    for event in &events {
        if let Event::Delta { delta, .. } = event {
            said += &format!("{delta:?}");
        }
    }
    let kept = said.contains("enough") && (text_alone || said.contains("Rome"));
    let ended = matches!(events.last(), Some(Event::End));
    if kept && ended { Ok(()) } else { Err("cut on the way".to_owned()) }
}

fn events(dialect: Dialect, bytes: &[u8]) -> Result<Vec<Event>, String> {
    let (mut decoder, mut events) = (dialect.stream_decoder(), Vec::new());
    decoder.push(bytes, &mut events).map_err(|error| error.message)?;
    decoder.finish(&mut events).map_err(|error| error.message)?;
    Ok(events)
}

fn translated(caller: Dialect, provider: Dialect, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = caller.stream_encoder(StreamOptions { include_usage: true, ..StreamOptions::default() });
    let mut out = Vec::new();
    events(provider, bytes)?.iter().for_each(|event| encoder.push(event, &mut out));
    Ok(out)
}

/// Each kind of error that a vendor says, whole; and a prompt that does not fit.
fn failed(caller: Dialect, provider: Dialect) -> Cell {
    use ErrorKind as K;
    for kind in
        [K::InvalidRequest, K::Authentication, K::Permission, K::NotFound, K::RateLimit, K::Internal, K::Overloaded]
    {
        let error = ProviderError { kind, message: "because".into(), r#type: None, code: None, param: None };
        let read = provider.decode_error(provider.status(kind), &provider.encode_error(&error, "req_1"));
        let told = caller.decode_error(caller.status(read.kind), &caller.encode_error(&read, "req_1"));
        if (told.kind, told.message.as_str()) != (kind, "because") {
            return Err(format!("{kind:?} is told as {:?}", told.kind));
        }
    }
    let code = Some("context_length_exceeded".to_owned());
    let full = ProviderError { kind: K::InvalidRequest, message: "too long".into(), r#type: None, code, param: None };
    let read = provider.decode_error(400, &provider.encode_error(&full, "req_1"));
    let told = caller.encode_error(&read, "req_1");
    if caller.tells_overflow(&told) { Ok(()) } else { Err("a prompt that does not fit is not known".to_owned()) }
}

/// The tokens used, whole and streamed.
fn used(caller: Dialect, provider: Dialect) -> Cell {
    let said = reply(provider, text());
    let whole = provider.encode_reply(&said, b"{}").body;
    let read = provider.decode_reply(&whole).map_err(|error| error.message)?;
    let told = caller.decode_reply(&caller.encode_reply(&read, b"{}").body).map_err(|error| error.message)?;
    let bytes = provider.stream_of_whole(&whole, true).ok_or_else(|| lost(provider, " in streams"))?;
    let bytes = if caller == provider { bytes } else { translated(caller, provider, &bytes)? };
    let streamed = events(caller, &bytes)?.into_iter().rev().find_map(|event| match event {
        Event::Usage(usage) => Some(usage),
        _ => None,
    });
    let same = |usage: Option<Usage>| usage.is_some_and(|usage| (usage.input, usage.output) == (12, 7));
    if same(told.usage) && same(streamed) { Ok(()) } else { Err("the counts differ".to_owned()) }
}

fn cells(caller: Dialect, provider: Dialect) -> Vec<(&'static str, Cell)> {
    let told = FEATURES.iter().map(|feature| (feature.name, told(feature, caller, provider)));
    let rest = [
        ("stream", streamed(caller, provider)),
        ("errors", failed(caller, provider)),
        ("usage", used(caller, provider)),
    ];
    told.chain(rest).collect()
}

fn page() -> String {
    let mut page = String::from(include_str!("head.md"));
    for (_, caller) in DIALECTS {
        let names: Vec<&str> = cells(*caller, *caller).iter().map(|(name, _)| *name).collect();
        page += &format!(
            "\n## A caller of {}\n\n| provider | {} |\n|---|{}\n",
            caller.name(),
            names.join(" | "),
            "---|".repeat(names.len())
        );
        let mut whys: Vec<String> = Vec::new();
        for (_, provider) in DIALECTS {
            let cell = |(_, cell): (&str, Cell)| match cell {
                Ok(()) if caller == provider => "as it came".to_owned(),
                Ok(()) => "yes".to_owned(),
                Err(why) => {
                    let known = whys.iter().position(|known| *known == why);
                    let at = known.unwrap_or_else(|| {
                        whys.push(why);
                        whys.len() - 1
                    });
                    format!("no ({})", at + 1)
                }
            };
            let row: Vec<String> = cells(*caller, *provider).into_iter().map(cell).collect();
            page += &format!("| {} | {} |\n", provider.name(), row.join(" | "));
        }
        if !whys.is_empty() {
            page.push('\n');
        }
        for (at, why) in whys.iter().enumerate() {
            page += &format!("{}. {why}\n", at + 1);
        }
    }
    page
}

/// Prints the table; `cargo test -p sluicegate-dialects --test matrix -- cells --nocapture` is the command that shows it.
#[test]
fn every_cell_passes_or_says_why() {
    let page = page();
    println!("{page}");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dialects-matrix.md");
    golden(&path, &page);
}

/// What has to pass between the dialects that people meet, whatever else changes.
#[test]
fn the_main_pairs_lose_nothing() {
    let main = [Dialect::OpenAiChat, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::OpenAiResponses];
    let providers = [Dialect::OpenAiChat, Dialect::AnthropicMessages, Dialect::Gemini];
    for (caller, provider) in main.iter().flat_map(|caller| providers.map(|provider| (*caller, provider))) {
        for (name, cell) in cells(caller, provider) {
            // OpenAI does not tell what its models think in Chat Completions, but what looks like it does.
            assert_eq!(cell, Ok(()), "{} before {}: {name}", caller.name(), provider.name());
        }
    }
}
