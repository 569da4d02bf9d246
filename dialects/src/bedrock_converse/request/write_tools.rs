//! Writes `toolConfig`: the tools, and the choice among them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::draft::ConverseDraft;
use crate::codec::{Refusal, no_tool_to_call};
use crate::dialect::Dialect;
use crate::grammar;
use crate::hub::{Call, Content, Tool, ToolChoice};
use crate::json::{Object, Path, ROOT, Writer, kind_of};
use crate::schema_refs;
use crate::schema_root;
use crate::vendors::{self, ForcedCall};

/// A schema that takes anything.
const ANYTHING: &str = r#"{"type":"object","properties":{}}"#;

/// Writes it, if there are tools. Errors: a tool that another provider runs; a tool must be called, and there is none.
pub(super) fn config(call: &Call, draft: &mut ConverseDraft<'_>) -> Result<(), Refusal> {
    if call.parallel_tools == Some(false) {
        draft.drop("parallel_tool_calls");
    }
    let body = std::mem::take(&mut draft.json);
    let only = named_alone(call, draft);
    for (index, tool) in call.tools.iter().enumerate().filter(|(_, tool)| only.is_none_or(|only| is_named(tool, only)))
    {
        self::tool(index, tool, draft)?;
    }
    let tools = std::mem::take(&mut draft.json).into_bytes();
    draft.json = body;
    let called = called(call);
    let choice = match &call.tool_choice {
        Some(choice) if choice.is_a_must() && tools.is_empty() => return Err(no_tool_to_call()),
        // There is no word for it: what is not declared is not called. A conversation with calls has to declare some.
        Some(ToolChoice::None) if called.is_empty() => return Ok(()),
        Some(ToolChoice::None) => {
            draft.drop("tool_choice");
            None
        }
        Some(_) if unsaid_must(call, draft).is_some() => Some(&ToolChoice::Auto),
        Some(_) if only.is_some() => Some(&ToolChoice::Required),
        choice => choice.as_ref().filter(|_| !tools.is_empty()),
    };
    if tools.is_empty() && called.is_empty() {
        return Ok(());
    }
    draft.json.open_field("toolConfig", b'{');
    draft.json.open_field("tools", b'[');
    draft.json.open_written(&tools);
    if tools.is_empty() {
        called.into_iter().for_each(|name| spec(name, ANYTHING, &mut draft.json));
    }
    draft.json.close(b']');
    if let Some(choice) = choice {
        write_choice(choice, &mut draft.json);
    }
    draft.json.close(b'}');
    Ok(())
}

/// The choice that forces a call, where the model does not take one; `None`: it does, or none is forced.
pub(super) fn unsaid_must<'a>(call: &'a Call, draft: &ConverseDraft<'_>) -> Option<&'a ToolChoice> {
    let asks = call.tool_choice.as_ref().filter(|choice| choice.is_a_must() && !draft.same());
    let is_taken = vendors::claude(&call.model).takes_a_must() && draft.model.forced_call != ForcedCall::Never;
    asks.filter(|_| !is_taken)
}

/// The tool that has to be called, where the model takes that one has to be and not which: then no other is declared.
fn named_alone<'a>(call: &'a Call, draft: &ConverseDraft<'_>) -> Option<&'a str> {
    match &call.tool_choice {
        Some(ToolChoice::Named(name)) if draft.model.forced_call == ForcedCall::Any && !draft.same() => {
            call.tools.iter().any(|tool| is_named(tool, name)).then_some(name)
        }
        _ => None,
    }
}

fn is_named(tool: &Tool, wanted: &str) -> bool {
    matches!(tool, Tool::Function { name, .. } if name == wanted)
}

/// The tools that were called in the conversation, each once.
fn called(call: &Call) -> Vec<&str> {
    let mut names = Vec::new();
    for part in call.messages.iter().flat_map(|message| &message.parts) {
        if let Content::ToolCall(call) = &part.content
            && !names.contains(&call.name.as_str())
        {
            names.push(&*call.name);
        }
    }
    names
}

fn tool(index: usize, tool: &Tool, draft: &mut ConverseDraft<'_>) -> Result<(), Refusal> {
    match tool {
        Tool::Function { name, description, parameters, strict, cache, extra } => {
            let schema = object(parameters.as_deref(), index, draft.same())?;
            draft.json.open(b'{');
            draft.json.open_field("toolSpec", b'{');
            draft.json.text_field("name", name);
            if let Some(description) = description.as_deref().filter(|text| !text.is_empty()) {
                draft.json.text_field("description", description);
            }
            let takes_strict =
                draft.same() || (draft.model.strict_tools && parameters.as_deref().is_none_or(schema_refs::is_finite));
            let is_held = *strict == Some(true) && takes_strict && !draft.same();
            write_schema(&if is_held { held(schema) } else { schema }, &mut draft.json);
            if *strict == Some(true) {
                if takes_strict {
                    draft.json.value_field("strict", true);
                } else {
                    draft.drop("tools.function.strict");
                }
            }
            draft.json.close(b'}');
            draft.json.close(b'}');
            draft.extra("tools.function", extra);
            draft.cache_tool(cache.as_ref());
        }
        Tool::Other { dialect: Dialect::BedrockConverse, raw } => draft.json.raw(raw.get()),
        Tool::Other { dialect: _, raw } if draft.target.server_tools.leaves_out(raw) => {
            draft.drop(format!("tools[{index}]"));
        }
        Tool::Other { dialect, raw } => {
            let why = format!(
                "`{}` is a tool of {} that Bedrock does not run; only functions can be translated",
                kind_of(raw.get()),
                dialect.name()
            );
            return Err(Refusal::field(format!("tools[{index}]"), why));
        }
    }
    Ok(())
}

/// The schema that a model can be held to.
fn held(schema: Cow<'_, str>) -> Cow<'_, str> {
    match serde_json::from_str::<&RawValue>(&schema) {
        Ok(raw) => Cow::Owned(grammar::held(Cow::Borrowed(raw), &grammar::ANTHROPIC).get().to_owned()),
        Err(_) => schema,
    }
}

fn spec(name: &str, schema: &str, json: &mut Writer) {
    json.open(b'{');
    json.open_field("toolSpec", b'{');
    json.text_field("name", name);
    write_schema(schema, json);
    json.close(b'}');
    json.close(b'}');
}

fn write_schema(schema: &str, json: &mut Writer) {
    json.open_field("inputSchema", b'{');
    json.key("json");
    json.raw(schema);
    json.close(b'}');
}

/// Converse wants the schema of an object even for a tool without arguments; its models want none with a union at its root.
fn object(parameters: Option<&RawValue>, index: usize, same: bool) -> Result<Cow<'_, str>, Refusal> {
    const TOOLS: Path<'static> = ROOT.field("tools");
    let tool = TOOLS.index(index);
    let Some(given) = parameters.map(RawValue::get) else { return Ok(ANYTHING.into()) };
    let mut object = Object::read(given, &tool.field("parameters"))?;
    if let Some(Cow::Owned(changed)) = parameters.filter(|_| !same).map(schema_root::plain) {
        return Ok(changed.get().to_owned().into());
    }
    if object.take("type").is_some() {
        return Ok(given.into());
    }
    let rest = given.strip_prefix('{').unwrap_or(given);
    let comma = if object.is_empty() { "" } else { "," };
    Ok(format!("{{\"type\":\"object\"{comma}{rest}").into())
}

fn write_choice(choice: &ToolChoice, json: &mut Writer) {
    json.open_field("toolChoice", b'{');
    let (word, name) = match choice {
        ToolChoice::Required => ("any", None),
        ToolChoice::Named(name) => ("tool", Some(name)),
        ToolChoice::Auto | ToolChoice::None => ("auto", None),
    };
    json.open_field(word, b'{');
    if let Some(name) = name {
        json.text_field("name", name);
    }
    json.close(b'}');
    json.close(b'}');
}
