//! Look-alikes: a row of the tables and a folder of fixtures each, `testdata/look_alikes/NAME`.
//!
//! `stream.in.sse` is an answer with the server's habits, `error.in.json` an error as it says one, and `request.out.json` what it
//! is sent. `docs/providers.md` is written from the rows and the fixtures. `UPDATE_GOLDEN=1` writes what comes out.

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use sluicegate_dialects::hub::{Delta, Event, PartKind, Usage};
use sluicegate_dialects::observe::ObserverMode;
use sluicegate_dialects::vendors::{
    CallHabit, CallIds, HostFieldRule, KeyUse, LookAlike, OffWord, ReasoningBack, SideOperation, SystemMessages,
    UsageHabit,
};
use sluicegate_dialects::{Dialect, ProviderProfile, verbatim};

use crate::support::{events_cut_anywhere, golden, testdata};
use crate::{pretty, read};

/// A call that has something of everything that rows differ about, in Anthropic's words.
const CALL: &str = r#"{
    "model": "m", "max_tokens": 64, "stream": true, "temperature": 0.5, "top_k": 40, "system": "Be brief.",
    "metadata": {"user_id": "u1"}, "output_config": {"effort": "medium"},
    "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Where"}, {"type": "text", "text": "is it warm?"}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Ask.", "signature": "s"},
            {"type": "tool_use", "id": "toolu_01A", "name": "weather", "input": {"city": "Rome"}}
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_01A", "content": "30 degrees"}, {"type": "text", "text": "Hurry."}
        ]},
        {"role": "system", "content": "In Celsius."}
    ]
}"#;

/// The same of a caller who speaks the dialect: what passes as it came but for the rows' rules.
const PASSES: &str = r#"{"model":"m","max_completion_tokens":64,"seed":7,"user":"u1","top_k":40,"verbosity":"low","logit_bias":null,"stream":true,"stream_options":{"include_usage":true},"store":false,"prompt_cache_key":"k","prompt_cache_options":{},"safety_identifier":"s","messages":[{"role":"developer","content":"d"},{"role":"user","content":"hi"},{"role":"assistant","refusal":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"x"}]}"#;

fn folder(row: &LookAlike) -> std::path::PathBuf {
    testdata("look_alikes").join(row.name)
}

fn stream(row: &LookAlike) -> Vec<u8> {
    std::fs::read(folder(row).join("stream.in.sse"))
        .unwrap_or_else(|error| panic!("{} needs a stream with its habits, stream.in.sse: {error}", row.name))
}

/// An error as the row's server says it: the status and the body.
fn error(row: &LookAlike) -> (u16, Vec<u8>) {
    let file = std::fs::read(folder(row).join("error.in.json"))
        .unwrap_or_else(|error| panic!("{} needs an error as it says one, error.in.json: {error}", row.name));
    let value = read(&file);
    (u16::try_from(value["status"].as_u64().unwrap()).unwrap(), value["body"].to_string().into_bytes())
}

/// The chunks of a stream.
fn chunks(row: &LookAlike) -> Vec<Value> {
    let text = String::from_utf8(stream(row)).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

#[test]
fn every_row_has_its_fixtures_and_every_fixture_its_row() {
    let rows: Vec<&str> = LookAlike::all().map(|row| row.name).collect();
    for folder in std::fs::read_dir(testdata("look_alikes")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(rows.contains(&name.as_str()), "{name} has fixtures and no row");
    }
    for row in LookAlike::all() {
        let (status, body) = error(row);
        assert!(!stream(row).is_empty() && status >= 400 && !body.is_empty(), "{}", row.name);
    }
}

#[test]
fn a_stream_with_any_of_their_habits_is_read_right() {
    for row in LookAlike::all() {
        let name = row.name;
        let events = events_cut_anywhere(Dialect::OpenAiChat, &stream(row));
        let (mut text, mut thoughts, mut calls, mut usage) = (String::new(), String::new(), Vec::new(), None);
        let mut kinds = Vec::new();
        for event in &events {
            match event {
                Event::PartStart { part, kind, .. } => {
                    kinds.push((*part, kind.clone()));
                    if let PartKind::ToolCall { id, name } = kind {
                        calls.push((id.clone(), name.clone(), String::new()));
                    }
                }
                Event::Delta { part, delta: Delta::Text(more), .. } => {
                    let kind = kinds.iter().rev().find(|(known, _)| known == part).map(|(_, kind)| kind).unwrap();
                    match kind {
                        PartKind::Thinking => thoughts.push_str(more),
                        _ => text.push_str(more),
                    }
                }
                Event::Delta { delta: Delta::Arguments(more), .. } => calls.last_mut().unwrap().2.push_str(more),
                Event::Usage(said) => usage = Some(*said),
                _ => {}
            }
        }
        assert!(matches!(events.last(), Some(Event::End)), "{name}");
        assert_eq!(text, "It is sunny.", "{name}");
        assert!(thoughts == "Hm." || (thoughts.is_empty() && row.thoughts != "reasoning_details"), "{name}");
        let used = Usage { input: 20, output: 9, ..Usage::default() };
        assert_eq!(usage, Some(used), "{name}: what it says last counts, once");
        let takes_tools = !row.fields.contains(&("tools", HostFieldRule::Refuse));
        assert_eq!(calls.len(), if takes_tools { 2 } else { 0 }, "{name}");
        for (at, (id, tool, arguments)) in calls.iter().enumerate() {
            let city = ["Paris", "Rome"][at];
            assert_eq!((tool.as_str(), read(arguments.as_bytes())), ("weather", json!({ "city": city })), "{name}");
            assert!(!id.is_empty() && calls.iter().filter(|(other, ..)| other == id).count() == 1, "{name}: {id}");
        }
        let mut observer = Dialect::OpenAiChat.observer(ObserverMode::Watch);
        observer.push(&stream(row));
        assert_eq!((observer.usage(), observer.finished()), (Some(used), true), "{name}");
    }
}

/// A fixture that does not have the habits that its row says would prove nothing.
#[test]
fn fixtures_have_the_habits_that_their_rows_say() {
    for row in LookAlike::all() {
        let chunks = chunks(row);
        let name = row.name;
        let says = |chunk: &Value| chunk["usage"].is_object();
        let choices = |chunk: &Value| !chunk["choices"].as_array().unwrap().is_empty();
        let said = chunks.iter().filter(|chunk| says(chunk)).count();
        match row.usage {
            UsageHabit::WhenAsked | UsageHabit::AtTheEnd => {
                assert!(said == 1 && says(chunks.last().unwrap()), "{name}");
            }
            UsageHabit::InEveryChunk => assert!(chunks.iter().all(|chunk| says(chunk) && choices(chunk)), "{name}"),
        }
        let pieces: Vec<&Value> =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array()).flatten().collect();
        let arguments = |piece: &&Value| piece["function"]["arguments"].as_str().unwrap().to_owned();
        let whole = pieces.iter().all(|piece| serde_json::from_str::<Value>(&arguments(piece)).is_ok());
        for habit in row.calls {
            let has = match habit {
                CallHabit::Whole => whole,
                CallHabit::NoIndex => pieces.iter().all(|piece| piece["index"].as_u64().unwrap_or(0) == 0),
                CallHabit::EmptyId => pieces.iter().any(|piece| piece["id"] == ""),
            };
            assert!(has, "{name} {habit:?}");
        }
        if row.call_ids == CallIds::NineLetters {
            assert!(pieces.iter().all(|piece| piece["id"].as_str().is_none_or(|id| id.len() == 9)), "{name}");
        }
        let thinks = |chunk: &Value| {
            let told = &chunk["choices"][0]["delta"][row.thoughts];
            told.is_string() || told.is_array()
        };
        let another = ["reasoning", "reasoning_content"].into_iter().filter(|field| *field != row.thoughts);
        for field in another {
            assert!(chunks.iter().all(|chunk| chunk["choices"][0]["delta"][field].is_null()), "{name}: {field}");
        }
        let shows = chunks.iter().any(thinks);
        assert!(shows || chunks.iter().all(|chunk| chunk["choices"][0]["delta"]["reasoning"].is_null()), "{name}");
    }
}

#[test]
fn each_is_sent_what_it_takes() {
    for row in LookAlike::all() {
        let profile = ProviderProfile { look_alike: Some(*row), fields: row.policy(), ..ProviderProfile::default() };
        let sent = |body: Bytes| {
            let seen = sluicegate_dialects::SeenMarks::of(&body);
            let body = verbatim::fit_messages(&verbatim::fit_call_ids(&body, (Some(row), "m"), seen), Some(row), seen);
            match verbatim::govern(&body, &profile.fields) {
                Ok(governed) => json!({ "body": read(&governed.body), "dropped": governed.dropped }),
                Err(refusal) => json!({ "refused": refusal.message }),
            }
        };
        let call = Dialect::AnthropicMessages.decode_call(CALL.as_bytes()).unwrap();
        let translated = match Dialect::OpenAiChat.encode_call(&call, &profile) {
            Ok(encoded) => sent(encoded.body.into()),
            Err(refusal) => json!({ "refused": refusal.message }),
        };
        let passed = sent(Bytes::from_static(PASSES.as_bytes()));
        let out = json!({ "translated": translated, "passed": passed });
        golden(&folder(row).join("request.out.json"), &pretty(&out));
    }
}

/// What a server says of a prompt that does not fit; `None`: its fixture is another error.
fn overflow(row: &LookAlike) -> Option<String> {
    let (status, body) = error(row);
    let error = Dialect::OpenAiChat.decode_error(status, &body);
    error.is_context_overflow().then_some(error.message)
}

#[test]
fn their_errors_are_told_in_words_that_agents_act_on() {
    for row in LookAlike::all() {
        let (status, body) = error(row);
        let said = Dialect::OpenAiChat.decode_error(status, &body);
        assert!(!said.message.contains("no error message"), "{}: {}", row.name, String::from_utf8_lossy(&body));
        if overflow(row).is_some() {
            let told = Dialect::AnthropicMessages.encode_error(&said, "req_1");
            assert!(Dialect::AnthropicMessages.tells_overflow(&told), "{}", row.name);
        }
    }
}

const HEAD: &str = "\
# Providers that look like OpenAI

<!-- Written from `dialects/src/vendors/look_alikes` by a test (`make golden`). -->

A server that speaks Chat Completions is a provider of type `OpenAICompatible`. Where its host is in this table the gateway knows what
differs there; where it is not, because you run it yourself or call it through another host, name it:

```yaml
- name: local
  type: OpenAICompatible
  url: http://models.example:8000
  compatibility: {profile: vLLM}
```

In a cluster a proxy rejects a pool with a name that it does not know, and the pool's status says so; on a folder it warns of it.
What you write in `compatibility`, or as `connection.idleTimeout`, goes over the row. A server that is neither named nor known by its host gets the most careful form.
How to add one is in [adding-a-provider.md](adding-a-provider.md#a-look-alike).

";

fn address(row: &LookAlike) -> String {
    let Some(base) = row.base else { return "yours".to_owned() };
    let others = row.hosts.iter().filter(|host| !base.contains(*host)).map(|host| format!("`{host}`"));
    let others: Vec<String> = others.collect();
    if others.is_empty() { format!("`{base}`") } else { format!("`{base}`; also {}", others.join(", ")) }
}

fn operations(row: &LookAlike) -> String {
    let side = |operation| match operation {
        SideOperation::Completions => "completions",
        SideOperation::Embeddings => "embeddings",
        SideOperation::Files => "files, batches",
        SideOperation::ImageGenerations => "images",
        SideOperation::ImageEdits => "edits of images",
        SideOperation::ImageVariations => "variations of images",
        SideOperation::Speech => "speech",
        SideOperation::Transcriptions => "transcripts",
        SideOperation::Translations => "translated transcripts",
        SideOperation::Moderations => "moderation",
        SideOperation::Rerank => "ranking",
    };
    let named: Vec<&str> = std::iter::once("chat").chain(row.beside_chat.iter().copied().map(side)).collect();
    named.join(", ")
}

fn fields(row: &LookAlike) -> String {
    let rule = |(name, rule): &(&str, HostFieldRule)| match rule {
        HostFieldRule::Drop => format!("`{name}` dropped"),
        HostFieldRule::Refuse => format!("`{name}` refused"),
        HostFieldRule::Rename(to) => format!("`{name}` → `{to}`"),
    };
    let mut said: Vec<String> = row.fields.iter().map(rule).collect();
    if row.usage != UsageHabit::WhenAsked {
        said.push("`stream_options` dropped".to_owned());
    }
    said.extend(row.always.iter().map(|(name, json)| format!("`{name}: {json}` in translated calls")));
    if said.is_empty() { "–".to_owned() } else { said.join(", ") }
}

fn thoughts(row: &LookAlike) -> String {
    let back = match row.reasoning {
        ReasoningBack::Never => "",
        ReasoningBack::Sent => ", sent back",
        ReasoningBack::Required => ", sent back, empty if need be",
    };
    let efforts = match row.efforts {
        None => "efforts by the model".to_owned(),
        Some([]) => "no efforts".to_owned(),
        Some(efforts) => format!("efforts {}", efforts.join(", ")),
    };
    let own = |(model, efforts): &(&str, &[&str])| format!("; of `{model}…` {}", efforts.join(", "));
    let own: String = row.model_efforts.iter().map(own).collect();
    let off = match row.off {
        None => "",
        Some(OffWord::Thinking) => "; off by `thinking`",
        Some(OffWord::EnableThinking) => "; off by `enable_thinking`",
        Some(OffWord::Reasoning) => "; off by `reasoning`",
    };
    format!("`{}`{back}; {efforts}{own}{off}", row.thoughts)
}

fn habits(row: &LookAlike) -> String {
    let mut said = vec![match row.usage {
        UsageHabit::WhenAsked => "usage when asked".to_owned(),
        UsageHabit::AtTheEnd => "usage at the end, unasked".to_owned(),
        UsageHabit::InEveryChunk => "usage so far in every chunk".to_owned(),
    }];
    said.extend(row.calls.iter().map(|habit| {
        match habit {
            CallHabit::Whole => "calls come whole",
            CallHabit::NoIndex => "calls without an index",
            CallHabit::EmptyId => "empty ids in later pieces",
        }
        .to_owned()
    }));
    if row.call_ids == CallIds::NineLetters {
        said.push("call ids of nine letters".to_owned());
    }
    if !row.user_after_results {
        said.push("no user's turn behind results".to_owned());
    }
    if let Some(mark) = row.prefill {
        said.push(format!("a last turn of the model's marked `{}`", mark.field));
    }
    if let Some((path, mark)) = row.prefill_at {
        said.push(format!("a last turn of the model's marked `{}` at `{path}`", mark.field));
    }
    if !row.format_beside_tools {
        said.push("no form of the answer beside tools".to_owned());
    }
    if row.documents_by_address {
        said.push("documents as `document_url`".to_owned());
    }
    if !row.schemas {
        said.push("no schemas of the answer".to_owned());
    }
    if !row.must_beside_thoughts {
        said.push("no forced tool while a model thinks".to_owned());
    }
    if row.greedy_alone {
        said.push("no `top_p` beside a `temperature` of 0".to_owned());
    }
    if row.reads_arguments {
        said.push("arguments of calls are JSON objects".to_owned());
    }
    if row.typed_schemas {
        said.push("a type in every schema".to_owned());
    }
    if !row.any_pattern {
        said.push("patterns that every engine compiles".to_owned());
    }
    if row.content_lists {
        said.push("takes lists of texts".to_owned());
    }
    if row.system_messages == SystemMessages::InPlace {
        said.push("takes later system messages".to_owned());
    }
    if let Some(seconds) = row.idle_seconds {
        said.push(format!("idle connections for {seconds} s"));
    }
    said.join("; ")
}

#[test]
fn the_page_of_providers_is_what_the_rows_say() {
    let mut page = HEAD.to_owned();
    page += "| `profile` | address | key | operations | fields | thoughts | habits |\n|---|---|---|---|---|---|---|\n";
    for row in LookAlike::all() {
        let key = if row.key == KeyUse::Needed { "needed" } else { "yours, if any" };
        let cells = [address(row), key.into(), operations(row), fields(row), thoughts(row), habits(row)];
        writeln!(page, "| `{}` | {} |", row.name, cells.join(" | ")).unwrap();
    }
    page += "\nA host's own path (`/openai/v1`) is added where the `url` has none. Where the facts are from, and the words that say of a\n";
    page += "prompt that it does not fit, which every caller gets in those that its agent acts on:\n\n";
    page += "| `profile` | source, November 2026 | a prompt that does not fit |\n|---|---|---|\n";
    for row in LookAlike::all() {
        let words = overflow(row).unwrap_or_else(|| "–".to_owned());
        writeln!(page, "| `{}` | {} | {} |", row.name, row.source, words.replace('|', "\\|")).unwrap();
    }
    golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers.md"), &page);
}
