//! Reads a request's tools, and the choice among them.

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::gemini::schema;
use crate::hub::{Tool, ToolChoice};
use crate::json::{Object, Path, ROOT};

/// The tools; of the functions only those that may be called, where the choice names some.
pub(super) fn tools(top: &mut Object<'_>, allowed: Option<&[String]>) -> Result<Vec<Tool>, Refusal> {
    const AT: Path<'static> = ROOT.field("tools");
    let Some(raw) = top.take("tools") else { return Ok(Vec::new()) };
    let list: Vec<&RawValue> = match raw.get() {
        one if one.starts_with('{') => vec![raw],
        many => serde_json::from_str(many).map_err(|_| AT.refuse("must be an array"))?,
    };
    let mut tools = Vec::new();
    for (index, raw) in list.into_iter().enumerate() {
        let at = AT.index(index);
        let mut tool = Object::read_either(raw.get(), &at)?;
        let functions_at = at.field("functionDeclarations");
        let functions = tool.list("functionDeclarations", &at)?.unwrap_or_default();
        for (place, raw) in functions.into_iter().enumerate() {
            tools.push(function(raw, &functions_at.index(place))?);
        }
        // What the provider runs itself stands beside, under its own name.
        for (name, raw) in tool.rest() {
            let raw = RawValue::from_string(format!("{{\"{name}\":{raw}}}"));
            tools.extend(raw.ok().map(|raw| Tool::Other { dialect: Dialect::Gemini, raw }));
        }
    }
    if let Some(allowed) = allowed {
        tools.retain(|tool| !matches!(tool, Tool::Function { name, .. } if !allowed.contains(name)));
    }
    Ok(tools)
}

fn function(raw: &RawValue, at: &Path<'_>) -> Result<Tool, Refusal> {
    let mut function = Object::read_either(raw.get(), at)?;
    function.one_of(&["parametersJsonSchema", "parameters"], at)?;
    let (json, open_api) = (function.take("parametersJsonSchema"), function.take("parameters"));
    let parameters = match (json, open_api) {
        (Some(raw), _) => Some(raw.to_owned()),
        (None, Some(raw)) => Some(schema::to_json_schema(raw, &at.field("parameters"))?),
        (None, None) => None,
    };
    Ok(Tool::Function {
        name: function.required("name", at)?,
        description: function.text("description", at)?,
        parameters,
        strict: None,
        cache: None,
        extra: function.rest(),
    })
}

/// The choice, with the names of the functions that alone may be called.
type ReadChoice = (Option<ToolChoice>, Option<Vec<String>>);

/// Reads `toolConfig`.
pub(super) fn choice(top: &mut Object<'_>) -> Result<ReadChoice, Refusal> {
    const AT: Path<'static> = ROOT.field("toolConfig");
    const CALLING: Path<'static> = AT.field("functionCallingConfig");
    let Some(raw) = top.take("toolConfig") else { return Ok((None, None)) };
    let mut config = Object::read_either(raw.get(), &AT)?;
    let Some(raw) = config.take("functionCallingConfig") else { return Ok((None, None)) };
    let mut calling = Object::read_either(raw.get(), &CALLING)?;
    let allowed: Option<Vec<String>> = calling.parsed("allowedFunctionNames", &CALLING, "an array of strings")?;
    let allowed = allowed.filter(|names| !names.is_empty());
    let mode = calling.text("mode", &CALLING)?.map(|mode| mode.to_ascii_uppercase());
    let choice = match (mode.as_deref(), allowed.as_deref()) {
        (None | Some("MODE_UNSPECIFIED"), _) => None,
        // What VALIDATED promises beside it, that arguments match their schema, is the provider's to keep.
        (Some("AUTO" | "VALIDATED"), _) => Some(ToolChoice::Auto),
        (Some("NONE"), _) => Some(ToolChoice::None),
        (Some("ANY"), Some([name])) => Some(ToolChoice::Named(name.clone())),
        (Some("ANY"), _) => Some(ToolChoice::Required),
        (Some(other), _) => {
            return Err(CALLING
                .field("mode")
                .refuse(format_args!("`{other}` is none of `AUTO`, `ANY`, `NONE`, `VALIDATED`")));
        }
    };
    Ok((choice, allowed))
}
