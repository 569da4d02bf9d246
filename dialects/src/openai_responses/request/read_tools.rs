//! Reads a request's tools, and which of them is to be called.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::free_text::{self, Grammar};
use crate::hub::{Tool, ToolChoice};
use crate::json::{Object, Path, ROOT, string};
use crate::openai_responses::agents;
use crate::openai_responses::client_tools::ClientTool;
use crate::openai_responses::tool_name::flat;

/// The tools that were read, and the choice among them.
pub(super) struct Tools<'a> {
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Option<ToolChoice>,
    /// A choice that the hub has no word for.
    pub(super) other_choice: Option<&'a RawValue>,
}

const LIST: Path<'static> = ROOT.field("tools");
const CHOICE: Path<'static> = ROOT.field("tool_choice");

/// Reads `tools` and `tool_choice`, beside the tools that were found among the items. Namespaces are made flat, and custom tools are
/// functions of one text.
pub(super) fn tools<'a>(top: &mut Object<'a>, found: Vec<Tool>) -> Result<Tools<'a>, Refusal> {
    let mut tools = Vec::new();
    for (index, raw) in top.list("tools", &ROOT)?.unwrap_or_default().into_iter().enumerate() {
        tool(raw, &LIST.index(index), None, &mut tools)?;
    }
    add(found, &mut tools);
    let Some(raw) = top.take("tool_choice") else { return Ok(Tools { tools, choice: None, other_choice: None }) };
    if let Some(word) = string(raw) {
        return Ok(Tools { tools, choice: Some(mode(&word)), other_choice: None });
    }
    let mut object = Object::read(raw.get(), &CHOICE)?;
    let choice = match &*object.required("type", &CHOICE)? {
        "function" | "custom" => ToolChoice::Named(named(&mut object, &CHOICE)?),
        "allowed_tools" => allowed(&mut object, &mut tools)?,
        kind if is_given(kind, &tools) => ToolChoice::Named(kind.to_owned()),
        _ => return Ok(Tools { tools, choice: None, other_choice: Some(raw) }),
    };
    Ok(Tools { tools, choice: Some(choice), other_choice: None })
}

/// Reads the tools of an item.
pub(super) fn list(object: &mut Object<'_>, at: &Path<'_>, tools: &mut Vec<Tool>) -> Result<(), Refusal> {
    let list_at = at.field("tools");
    for (index, raw) in object.list("tools", at)?.unwrap_or_default().into_iter().enumerate() {
        tool(raw, &list_at.index(index), None, tools)?;
    }
    Ok(())
}

/// Adds tools that were found. One that is there already keeps its place and is what was said of it last.
fn add(found: Vec<Tool>, tools: &mut Vec<Tool>) {
    if found.is_empty() {
        return;
    }
    let name = |tool: &Tool| match tool {
        Tool::Function { name, .. } => Some(name.clone()),
        Tool::Other { .. } => None,
    };
    let mut places: HashMap<String, usize> =
        tools.iter().enumerate().filter_map(|(place, tool)| Some((name(tool)?, place))).collect();
    for tool in found {
        let known = name(&tool).map(|name| *places.entry(name).or_insert(tools.len()));
        match known.and_then(|place| tools.get_mut(place)) {
            Some(before) => *before = tool,
            None => tools.push(tool),
        }
    }
}

/// True if a tool of this kind is one that the client runs, and is among the tools.
fn is_given(kind: &str, tools: &[Tool]) -> bool {
    let is_it = |tool: &Tool| matches!(tool, Tool::Function { name, .. } if name == kind);
    ClientTool::named(kind).is_some() && tools.iter().any(is_it)
}

fn mode(word: &str) -> ToolChoice {
    match word {
        "none" => ToolChoice::None,
        "required" => ToolChoice::Required,
        // `auto`, or a vendor's own (Gemini's `validated`), by which the model may choose, too.
        _ => ToolChoice::Auto,
    }
}

fn named(object: &mut Object<'_>, at: &Path<'_>) -> Result<String, Refusal> {
    let name = object.required("name", at)?;
    Ok(match object.text("namespace", at)? {
        Some(namespace) => flat(&namespace, &name),
        None => name,
    })
}

/// A choice among some of the tools: others are not given to the model.
fn allowed(object: &mut Object<'_>, tools: &mut Vec<Tool>) -> Result<ToolChoice, Refusal> {
    const AT: Path<'static> = CHOICE.field("tools");
    let choice = mode(&object.text("mode", &CHOICE)?.unwrap_or_default());
    let mut names = Vec::new();
    for (index, raw) in object.list("tools", &CHOICE)?.unwrap_or_default().into_iter().enumerate() {
        let at = AT.index(index);
        let mut one = Object::read(raw.get(), &at)?;
        if one.take("name").is_some() {
            names.push(named(&mut Object::read(raw.get(), &at)?, &at)?);
        } else {
            names.extend(one.text("type", &at)?.filter(|kind| ClientTool::named(kind).is_some()));
        }
    }
    tools.retain(|tool| matches!(tool, Tool::Function { name, .. } if names.contains(name)));
    Ok(choice)
}

fn tool(raw: &RawValue, at: &Path<'_>, namespace: Option<&str>, tools: &mut Vec<Tool>) -> Result<(), Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    let name_in = |name: String| namespace.map_or_else(|| name.clone(), |space| flat(space, &name));
    let kind = object.required("type", at)?;
    if let Some(client) = ClientTool::of(&kind, raw) {
        tools.push(client.function(&mut object, at)?);
        return Ok(());
    }
    match (&*kind, namespace) {
        ("function", _) => {
            let name = name_in(object.required("name", at)?);
            let description = object.text("description", at)?;
            let parameters = object.take("parameters").map(|raw| agents::in_the_open(raw).into_owned());
            let strict = object.boolean("strict", at)?;
            // When a tool is looked for is OpenAI's affair: elsewhere all are there at once.
            object.take("defer_loading");
            tools.push(Tool::Function { name, description, parameters, strict, cache: None, extra: object.rest() });
        }
        ("custom", _) => {
            let name = name_in(object.required("name", at)?);
            tools.push(custom(name, &mut object, at)?);
        }
        ("namespace", None) => {
            let name = object.required("name", at)?;
            let inner_at = at.field("tools");
            for (index, raw) in object.list("tools", at)?.unwrap_or_default().into_iter().enumerate() {
                tool(raw, &inner_at.index(index), Some(&name), tools)?;
            }
        }
        // OpenAI would look for the tools that are told later; here all are there at once.
        ("tool_search", _) => {}
        _ => tools.push(Tool::Other { dialect: Dialect::OpenAiResponses, raw: raw.to_owned() }),
    }
    Ok(())
}

/// A custom tool as a function of one text.
fn custom(name: String, object: &mut Object<'_>, at: &Path<'_>) -> Result<Tool, Refusal> {
    let description = object.text("description", at)?;
    let grammar = object.object("format", at)?.map(|mut format| {
        let at = at.field("format");
        Ok(Grammar { syntax: format.text("syntax", &at)?, definition: format.text("definition", &at)? })
    });
    Ok(free_text::function(name, description, grammar.transpose()?))
}
