//! Every field of a caller's request before every provider's dialect: what becomes of it. The table is `docs/dialects-fields.md`, which
//! this writes and holds: each cell is what the code does with a call that has the field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sluicegate_dialects::{Dialect, ProviderProfile};

use crate::support::golden;
use crate::{DIALECTS, cases};

/// The dialects whose fields are told, and what calls in them are made of: a small one, and what each field adds to it.
const CALLERS: [(Dialect, &str); 6] = [
    (Dialect::OpenAiChat, include_str!("openai_chat.json")),
    (Dialect::AnthropicMessages, include_str!("anthropic_messages.json")),
    (Dialect::OpenAiResponses, include_str!("openai_responses.json")),
    (Dialect::Gemini, include_str!("gemini.json")),
    (Dialect::CohereChat, include_str!("cohere_chat.json")),
    (Dialect::BedrockConverse, include_str!("bedrock_converse.json")),
];

/// The providers that are told, each with a model that does what is asked.
const PROVIDERS: [(Dialect, &str); 6] = [
    (Dialect::OpenAiChat, "gpt-5.1"),
    (Dialect::AnthropicMessages, "claude-sonnet-4-5"),
    (Dialect::OpenAiResponses, "gpt-5.1"),
    (Dialect::Gemini, "gemini-2.5-pro"),
    (Dialect::CohereChat, "command-a-reasoning-08-2025"),
    (Dialect::BedrockConverse, "openai.gpt-oss-120b-1:0"),
];

/// What becomes of a field.
enum Fate {
    Refused(String),
    /// What differs from the same call without it.
    Told(Vec<String>),
    Passes,
    LeftOut,
    Nothing,
}

/// A call as a provider gets it, and what was left out of it.
type Sent = (Value, Vec<String>);

fn sent(from: Dialect, body: &Value, (to, model): (Dialect, &str)) -> Result<Sent, String> {
    let mut call = from.decode_call(body.to_string().as_bytes()).map_err(|refusal| refusal.message)?;
    model.clone_into(&mut call.model);
    let encoded = to.encode_call(&call, &ProviderProfile::default()).map_err(|refusal| refusal.message)?;
    Ok((serde_json::from_slice(&encoded.body).unwrap(), encoded.dropped))
}

fn with(body: &Value, patch: &Value) -> Value {
    let (Value::Object(body), Value::Object(patch)) = (body, patch) else { panic!("{body} {patch}") };
    let members = body.iter().chain(patch).map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(members.collect::<Map<_, _>>())
}

/// Each value of a body by its place, of lists the places without a number.
fn leaves(value: &Value, at: &str, out: &mut BTreeMap<String, Vec<Value>>) {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, value)| leaves(value, &below(name), out));
        }
        Value::Array(items) if !items.is_empty() => items.iter().for_each(|item| leaves(item, &format!("{at}[]"), out)),
        // Nothing stands in it, and it may say something all the same.
        leaf => out.entry(at.to_owned()).or_default().push(leaf.clone()),
    }
}

/// The shortest beginning of a place that was not there before.
fn shortest<'a>(place: &'a str, before: &BTreeMap<String, Vec<Value>>) -> &'a str {
    let ends = place.match_indices('.').map(|(at, _)| at).chain([place.len()]);
    let starts = |beginning: &str| {
        before.keys().any(|known| {
            known.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    };
    let new = ends.map(|end| &place[..end]).find(|beginning| !starts(beginning));
    new.unwrap_or(place)
}

/// A place, and what stands below it as long as that is one thing.
fn single<'a>(mut place: &'a str, changed: &[&'a String]) -> &'a str {
    loop {
        let below = |one: &&&'a String| {
            one.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let mut nexts = changed.iter().filter(below).map(|one| {
            let rest = &one[place.len()..];
            let end = rest.get(1..).and_then(|rest| rest.find(['.', '['])).map_or(one.len(), |at| place.len() + 1 + at);
            if rest.starts_with('.') { &one[..end] } else { place }
        });
        let Some(next) = nexts.next().filter(|next| *next != place) else { return place };
        if nexts.any(|other| other != next) {
            return place;
        }
        place = next;
    }
}

fn fate(from: Dialect, (body, patch): (&Value, &Value), to: (Dialect, &str)) -> Fate {
    // What a field stands beside is there without it, too.
    let name = patch.as_object().unwrap().keys().next_back().unwrap();
    let beside: Map<_, _> = patch
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| *key != name)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let plain = sent(from, &with(body, &Value::Object(beside)), to);
    let (plain, plain_dropped) = plain.or_else(|_| sent(from, body, to)).unwrap();
    let given = sent(from, &with(body, patch), to);
    let (given, dropped) = match given {
        Ok(given) => given,
        Err(why) => return Fate::Refused(why),
    };
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    leaves(&plain, "", &mut before);
    leaves(&given, "", &mut after);
    let changed = after.iter().filter(|(place, values)| before.get(*place) != Some(values));
    let changed: Vec<&String> = changed.map(|(place, _)| place).collect();
    let name_of = |place: &&String| format!("`{}`", single(shortest(place, &before), &changed));
    let mut told: BTreeSet<String> = changed.iter().map(name_of).collect();
    let gone = before.keys().filter(|place| !after.contains_key(*place));
    let is_more = |place: &&String| !after.keys().any(|now| now.starts_with(place.as_str()));
    told.extend(gone.filter(is_more).map(|place| format!("no `{}`", shortest(place, &after))));
    let same = patch.as_object().unwrap().iter().all(|(name, value)| given.get(name) == Some(value));
    match () {
        () if told.is_empty() && dropped.len() > plain_dropped.len() => Fate::LeftOut,
        () if told.is_empty() => Fate::Nothing,
        () if same => Fate::Passes,
        () => Fate::Told(told.into_iter().collect()),
    }
}

fn page() -> String {
    let mut page = String::from(include_str!("head.md"));
    for (caller, samples) in CALLERS {
        let samples: Value = serde_json::from_str(samples).unwrap();
        let providers: Vec<_> = PROVIDERS.iter().filter(|(to, _)| !to.is_kin(caller)).collect();
        let names: Vec<&str> = providers.iter().map(|(to, _)| to.name()).collect();
        page += &format!(
            "\n## {}\n\n| field | {} |\n|---|{}\n",
            caller.name(),
            names.join(" | "),
            "---|".repeat(names.len())
        );
        let mut whys: Vec<String> = Vec::new();
        for (field, patch) in samples["fields"].as_object().unwrap() {
            let mut cell = |to: &&(Dialect, &str)| match fate(caller, (&samples["body"], patch), **to) {
                Fate::Passes => "passes".to_owned(),
                Fate::LeftOut => "left out".to_owned(),
                Fate::Nothing => "nothing".to_owned(),
                Fate::Told(places) => places.join(", "),
                Fate::Refused(why) => {
                    let at = whys.iter().position(|known| *known == why).unwrap_or_else(|| {
                        whys.push(why);
                        whys.len() - 1
                    });
                    format!("refused ({})", at + 1)
                }
            };
            let cells: Vec<String> = providers.iter().map(&mut cell).collect();
            page += &format!("| {} | {} |\n", named(field), cells.join(" | "));
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

/// A row's name: the field as code, the words behind it as they are.
fn named(field: &str) -> String {
    match field.find([' ', ',']) {
        _ if field.starts_with("an ") => field.to_owned(),
        Some(end) => format!("`{}`{}", &field[..end], &field[end..]),
        None => format!("`{field}`"),
    }
}

/// Prints the table; `cargo test -p sluicegate-dialects --test matrix -- fields --nocapture` is the command that shows it.
#[test]
fn every_field_says_what_becomes_of_it() {
    let page = page();
    println!("{page}");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dialects-fields.md");
    golden(&path, &page);
}

/// The fields that may change nothing, each for a reason. Whatever else is neither said nor refused is counted as left out.
const OBEYED_ELSEWHERE: [(Dialect, &str); 11] = [
    // The gateway streams by it, and says usage and padding itself; where the path says that a stream is asked for, no field does.
    (Dialect::OpenAiChat, "stream"),
    (Dialect::OpenAiChat, "stream_options"),
    (Dialect::AnthropicMessages, "stream"),
    (Dialect::OpenAiResponses, "stream"),
    (Dialect::OpenAiResponses, "stream_options"),
    (Dialect::CohereChat, "stream"),
    // Nothing is kept, and the answer says so; sealed thoughts and summaries are given in any case.
    (Dialect::OpenAiResponses, "store"),
    (Dialect::OpenAiResponses, "include"),
    (Dialect::OpenAiResponses, "reasoning.summary"),
    // What a client tells OpenAI of itself.
    (Dialect::OpenAiResponses, "client_metadata"),
    // The usual tier, which others serve without a word.
    (Dialect::AnthropicMessages, "service_tier"),
];

/// Derived for all fields before all providers: none vanishes uncounted.
#[test]
fn no_field_vanishes_uncounted() {
    let mut vanished = Vec::new();
    for (caller, samples) in CALLERS {
        let samples: Value = serde_json::from_str(samples).unwrap();
        for (field, patch) in samples["fields"].as_object().unwrap() {
            if OBEYED_ELSEWHERE.contains(&(caller, field)) {
                continue;
            }
            let to = PROVIDERS.iter().filter(|(to, _)| !to.is_kin(caller));
            let nothing = to.filter(|to| matches!(fate(caller, (&samples["body"], patch), **to), Fate::Nothing));
            vanished.extend(nothing.map(|(to, _)| format!("{}: {field} to {}", caller.name(), to.name())));
        }
    }
    assert!(vanished.is_empty(), "{vanished:#?}");
}

/// Of what stands inside of a turn or a tool the table tells nothing by itself.
#[test]
fn no_part_of_a_turn_or_a_tool_vanishes_uncounted() {
    let user = json!({"role": "user", "content": "How deep is the sea?"});
    let turn = |more: Value| json!({"model": "m", "messages": [more, user]});
    let strict = json!({"type": "function", "function": {"name": "weather", "strict": true}});
    for (what, body) in [
        ("name", turn(json!({"role": "system", "name": "ann", "content": "Be brief."}))),
        ("name", turn(json!({"role": "developer", "name": "ann", "content": "Be brief."}))),
        ("name", turn(json!({"role": "user", "name": "ann", "content": "Hello."}))),
        ("name", turn(json!({"role": "assistant", "name": "ann", "content": "Hello."}))),
        ("strict", json!({"model": "m", "messages": [user], "tools": [strict]})),
    ] {
        for to in PROVIDERS.into_iter().filter(|(to, _)| !to.is_kin(Dialect::OpenAiChat)) {
            let (sent, dropped) = sent(Dialect::OpenAiChat, &body, to).unwrap();
            let is_said = sent.to_string().contains(&format!("\"{what}\":true"));
            let is_counted = dropped.iter().any(|name| name.ends_with(what));
            assert!(
                is_said || is_counted || (what == "strict" && sent["strict_tools"] == true),
                "{body} to {to:?}: {sent} {dropped:?}"
            );
        }
    }
}

/// A field that some case of translation has stands in the table.
#[test]
fn no_field_of_the_cases_is_missing() {
    // What every call has, and what a case has because nobody knows it.
    const OF_ALL: [&str; 8] =
        ["model", "messages", "input", "contents", "system_instruction", "generation_config", "x_unknown", "new_field"];
    let mut missing = BTreeSet::new();
    for case in cases("requests", "json") {
        let Some((_, samples)) = CALLERS.iter().find(|(caller, _)| *caller == case.from) else { continue };
        let samples: Value = serde_json::from_str(samples).unwrap();
        let told: BTreeSet<&String> = samples["fields"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|patch| patch.as_object().unwrap().keys())
            .collect();
        let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(&case.input) else { continue };
        let unknown = body.keys().filter(|name| !OF_ALL.contains(&name.as_str()) && !told.contains(name));
        missing.extend(unknown.map(|name| format!("{}: {name} ({})", case.from.name(), case.name)));
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert_eq!(DIALECTS.len(), CALLERS.len() + 2, "a dialect's fields are not told");
}
