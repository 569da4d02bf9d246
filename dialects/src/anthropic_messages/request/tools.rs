//! Tools and the choice among them, in both directions.

use crate::anthropic_messages::blocks_out::BlockWriter;
use crate::codec::{ProviderProfile, Refusal, no_tool_to_call};
use crate::dialect::Dialect;
use crate::grammar;
use crate::hub::{CacheMark, Call, Fields, Tool, ToolChoice};
use crate::json::{Object, Path, ROOT};
use crate::schema_refs;
use crate::schema_root;
use crate::vendors;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Reads `tools`: a caller's own are of type `custom` or of none, all others are the provider's.
pub(super) fn read(tools: Vec<&RawValue>) -> Result<Vec<Tool>, Refusal> {
    const AT: Path<'static> = ROOT.field("tools");
    tools.into_iter().enumerate().map(|(i, raw)| tool(raw, &AT.index(i))).collect()
}

/// Reads a tool that is defined in mid-conversation. Errors: as [`read`]'s.
pub(crate) fn defined(raw: &RawValue) -> Result<Tool, Refusal> {
    tool(raw, &ROOT.field("tool").field("definition"))
}

fn tool(raw: &RawValue, at: &Path<'_>) -> Result<Tool, Refusal> {
    let mut object = Object::read(raw.get(), at)?;
    let kind = object.text("type", at)?;
    if kind.is_some_and(|kind| kind != "custom") {
        return Ok(Tool::Other { dialect: Dialect::AnthropicMessages, raw: raw.to_owned() });
    }
    Ok(Tool::Function {
        name: object.required("name", at)?,
        description: object.text("description", at)?,
        parameters: object.raw("input_schema"),
        strict: object.boolean("strict", at)?,
        cache: object.raw("cache_control").map(CacheMark),
        extra: object.rest(),
    })
}

/// Reads `tool_choice`: which tool, and whether several in one turn.
pub(super) fn choice(raw: Option<&RawValue>) -> Result<(Option<ToolChoice>, Option<bool>), Refusal> {
    let Some(raw) = raw else { return Ok((None, None)) };
    const AT: Path<'static> = ROOT.field("tool_choice");
    let mut object = Object::read(raw.get(), &AT)?;
    let kind = object.required("type", &AT)?;
    let choice = match &*kind {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(object.required("name", &AT)?),
        other => {
            let why = format_args!("`{other}` is none of `auto`, `any`, `tool` and `none`");
            return Err(AT.field("type").refuse(why));
        }
    };
    let single = object.boolean("disable_parallel_tool_use", &AT)?;
    Ok((Some(choice), single.map(|single| !single)))
}

/// A tool on the wire.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum ToolOut<'a> {
    Custom {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        input_schema: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
        #[serde(flatten)]
        extra: Option<&'a Fields>,
    },
    Raw(&'a RawValue),
}

/// Writes `tools`, strict ones where the model `keeps_to_schemas`. Errors: a tool that another provider runs.
pub(super) fn write<'a>(
    call: &'a Call,
    profile: &ProviderProfile,
    keeps_to_schemas: bool,
    writer: &mut BlockWriter,
) -> Result<Vec<ToolOut<'a>>, Refusal> {
    let cross_dialect = writer.cross_dialect();
    let mut tools = Vec::with_capacity(call.tools.len());
    for (index, tool) in call.tools.iter().enumerate() {
        tools.push(match tool {
            Tool::Function { name, description, parameters, strict, cache, extra } => {
                let is_held =
                    keeps_to_schemas && (!cross_dialect || parameters.as_deref().is_none_or(schema_refs::is_finite));
                ToolOut::Custom {
                    name,
                    description: description.as_deref(),
                    input_schema: {
                        let schema = object(parameters.as_deref(), index, cross_dialect)?;
                        match strict {
                            Some(true) if cross_dialect && is_held => grammar::held(schema, &grammar::ANTHROPIC),
                            _ => schema,
                        }
                    },
                    strict: match strict {
                        Some(true) if !is_held => {
                            writer.drop_field("tools.function.strict");
                            None
                        }
                        strict => strict.filter(|strict| *strict || !cross_dialect),
                    },
                    cache_control: cache.as_ref().map(|mark| &*mark.0),
                    extra: writer.extra("tools.function", extra),
                }
            }
            Tool::Other { dialect: Dialect::AnthropicMessages, raw } => ToolOut::Raw(raw),
            Tool::Other { dialect: _, raw } if profile.server_tools.leaves_out(raw) => {
                writer.drop_field(&format!("tools[{index}]"));
                continue;
            }
            Tool::Other { dialect, raw } => {
                let why = format_args!(
                    "`{}` is a tool of {} that Anthropic does not run; only functions can be translated",
                    kind(raw),
                    dialect.name()
                );
                return Err(Refusal::field(format!("tools[{index}]"), why));
            }
        });
    }
    Ok(tools)
}

/// The `type` of a tool kept raw.
fn kind(raw: &RawValue) -> String {
    crate::json::kind_of(raw.get())
}

/// Anthropic wants an object schema even for a tool without arguments, and one without a union at its root.
fn object(parameters: Option<&RawValue>, index: usize, cross_dialect: bool) -> Result<Cow<'_, RawValue>, Refusal> {
    const TOOLS: Path<'static> = ROOT.field("tools");
    let tool = TOOLS.index(index);
    let function = tool.field("function");
    let at = function.field("parameters");
    let given = parameters.map_or("{}", RawValue::get);
    let mut object = Object::read(given, &at)?;
    let plain = parameters.filter(|_| cross_dialect).map(schema_root::plain);
    if let Some(changed @ Cow::Owned(_)) = plain {
        return Ok(changed);
    }
    if let (Some(_), Some(parameters)) = (object.take("type"), parameters) {
        return Ok(Cow::Borrowed(parameters));
    }
    let rest = given.strip_prefix('{').unwrap_or(given);
    let comma = if object.is_empty() { "" } else { "," };
    let typed = format!("{{\"type\":\"object\"{comma}{rest}");
    RawValue::from_string(typed).map(Cow::Owned).map_err(|_| at.refuse("must be a JSON schema"))
}

/// `tool_choice` on the wire.
#[derive(Serialize)]
pub(super) struct ToolChoiceOut<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

/// The choice that forces a call, where the model does not take one; `None`: it does, or none is forced.
pub(super) fn unsaid_must<'a>(call: &'a Call, writer: &BlockWriter) -> Option<&'a ToolChoice> {
    let asks = call.tool_choice.as_ref().filter(|choice| choice.is_a_must() && writer.cross_dialect());
    asks.filter(|_| !vendors::claude(&call.model).takes_a_must())
}

/// Writes `tool_choice`, where it also says whether several tools may be called. Errors: a tool must be called, and there
/// is none.
pub(super) fn write_choice<'a>(
    call: &'a Call,
    tools: &[ToolOut<'_>],
    writer: &BlockWriter,
) -> Result<Option<ToolChoiceOut<'a>>, Refusal> {
    let (r#type, name) = match &call.tool_choice {
        None if call.parallel_tools.is_none() => return Ok(None),
        None | Some(ToolChoice::Auto) => ("auto", None),
        Some(_) if unsaid_must(call, writer).is_some() => ("auto", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(&**name)),
    };
    if tools.is_empty() && writer.cross_dialect() {
        // Anthropic refuses a choice where there is nothing to choose from; with these two nothing is lost.
        return match &call.tool_choice {
            Some(choice) if choice.is_a_must() => Err(no_tool_to_call()),
            _ => Ok(None),
        };
    }
    let single = call.parallel_tools.map(|parallel| !parallel).filter(|single| *single || !writer.cross_dialect());
    let default = matches!((&call.tool_choice, single), (None, None));
    let disable_parallel_tool_use = single.filter(|_| r#type != "none");
    Ok((!default).then_some(ToolChoiceOut { r#type, name, disable_parallel_tool_use }))
}
