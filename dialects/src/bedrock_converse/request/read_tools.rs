//! Reads `toolConfig`: the tools, and the choice among them.

use serde_json::value::RawValue;

use crate::bedrock_converse::blocks;
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Tool, ToolChoice};
use crate::json::{Object, Path, ROOT};

const CONFIG: Path<'static> = ROOT.field("toolConfig");
const CHOICE: Path<'static> = CONFIG.field("toolChoice");

/// Reads it. Errors: a tool without a name, a choice that there is not.
pub(super) fn config(top: &mut Object<'_>) -> Result<(Vec<Tool>, Option<ToolChoice>), Refusal> {
    const AT: Path<'static> = CONFIG.field("tools");
    let Some(mut config) = top.object("toolConfig", &ROOT)? else { return Ok((Vec::new(), None)) };
    let mut tools: Vec<Tool> = Vec::new();
    for (index, raw) in config.list("tools", &CONFIG)?.unwrap_or_default().into_iter().enumerate() {
        let at = AT.index(index);
        let mut entry = Object::read(raw.get(), &at)?;
        entry.one_of(&["toolSpec", "systemTool", "cachePoint"], &at)?;
        if let Some(point) = entry.take("cachePoint") {
            if let Some(Tool::Function { cache, .. }) = tools.last_mut() {
                *cache = blocks::cache_mark(point);
            }
            continue;
        }
        tools.push(match entry.object("toolSpec", &at)? {
            Some(spec) => function(spec, &at.field("toolSpec"))?,
            None => Tool::Other { dialect: Dialect::BedrockConverse, raw: raw.to_owned() },
        });
    }
    let choice = config.take("toolChoice").map(choice).transpose()?;
    Ok((tools, choice))
}

fn function(mut spec: Object<'_>, at: &Path<'_>) -> Result<Tool, Refusal> {
    let schema = spec.object("inputSchema", at)?.and_then(|mut schema| schema.raw("json"));
    Ok(Tool::Function {
        name: spec.required("name", at)?,
        description: spec.text("description", at)?,
        parameters: schema,
        strict: spec.boolean("strict", at)?,
        cache: None,
        extra: spec.rest(),
    })
}

fn choice(raw: &RawValue) -> Result<ToolChoice, Refusal> {
    let mut choice = Object::read(raw.get(), &CHOICE)?;
    choice.one_of(&["auto", "any", "tool"], &CHOICE)?;
    if let Some(mut tool) = choice.object("tool", &CHOICE)? {
        return Ok(ToolChoice::Named(tool.required("name", &CHOICE.field("tool"))?));
    }
    match (choice.take("any"), choice.take("auto")) {
        (Some(_), _) => Ok(ToolChoice::Required),
        (None, Some(_)) => Ok(ToolChoice::Auto),
        (None, None) => Err(CHOICE.refuse("must be one of `auto`, `any` and `tool`")),
    }
}
