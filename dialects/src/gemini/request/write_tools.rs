//! Writes a request's tools, and the choice among them.

use super::draft::Draft;
use crate::codec::{Refusal, no_tool_to_call};
use crate::dialect::Dialect;
use crate::gemini::schema;
use crate::hub::{Call, Tool, ToolChoice};
use crate::json::kind_of;

/// True if the call has tools that a Gemini model can be given.
pub(super) fn gives(call: &Call) -> bool {
    call.tools
        .iter()
        .any(|tool| matches!(tool, Tool::Function { .. } | Tool::Other { dialect: Dialect::Gemini, raw: _ }))
}

/// Writes `tools`; `false`: there are none, or all were left out. Errors: a tool that another provider runs.
pub(super) fn tools(call: &Call, draft: &mut Draft<'_>) -> Result<bool, Refusal> {
    let functions = call.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
    let mut written = functions;
    if functions {
        draft.json.open_field("tools", b'[');
        draft.json.open(b'{');
        draft.json.open_field("functionDeclarations", b'[');
        for (index, tool) in call.tools.iter().enumerate() {
            function(index, tool, draft);
        }
        draft.json.close(b']');
        draft.json.close(b'}');
    }
    for (index, tool) in call.tools.iter().enumerate() {
        match tool {
            Tool::Function { .. } => {}
            Tool::Other { dialect: Dialect::Gemini, raw } => {
                if !std::mem::replace(&mut written, true) {
                    draft.json.open_field("tools", b'[');
                }
                draft.json.raw(raw.get());
            }
            Tool::Other { dialect: _, raw } if draft.target.server_tools.leaves_out(raw) => {
                draft.drop(format!("tools[{index}]"));
            }
            Tool::Other { dialect, raw } => {
                let why = format!(
                    "`{}` is a tool of {} that Google does not run; only functions can be translated",
                    kind_of(raw.get()),
                    dialect.name()
                );
                return Err(Refusal::field(format!("tools[{index}]"), why));
            }
        }
    }
    if written {
        draft.json.close(b']');
    }
    Ok(written)
}

fn function(index: usize, tool: &Tool, draft: &mut Draft<'_>) {
    let Tool::Function { name, description, parameters, strict, cache, extra } = tool else { return };
    if *strict == Some(true) {
        draft.drop("tools.function.strict");
    }
    draft.json.open(b'{');
    draft.json.text_field("name", name);
    if let Some(description) = description {
        draft.json.text_field("description", description);
    }
    if let Some(parameters) = parameters {
        let mut lost = Vec::new();
        let schema = schema::for_gemini(parameters, &format!("tools[{index}].parameters"), &mut |path| lost.push(path));
        lost.into_iter().for_each(|path| draft.drop(path));
        // A function without parameters has none.
        if schema.get() != "{}" {
            draft.json.raw_field("parametersJsonSchema", &schema);
        }
    }
    draft.cache(cache.as_ref());
    draft.extra("tools.function", extra);
    draft.json.close(b'}');
}

/// Writes `toolConfig`, which says nothing where there are no `tools`. Errors: a tool must be called, and there is none.
pub(super) fn choice(call: &Call, tools: bool, draft: &mut Draft<'_>) -> Result<(), Refusal> {
    if call.parallel_tools == Some(false) {
        draft.drop("parallel_tool_calls");
    }
    let (mode, name) = match &call.tool_choice {
        None => return Ok(()),
        Some(choice) if !tools => return if choice.is_a_must() { Err(no_tool_to_call()) } else { Ok(()) },
        Some(ToolChoice::Auto) => ("AUTO", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Required) => ("ANY", None),
        Some(ToolChoice::Named(name)) => ("ANY", Some(name)),
    };
    draft.json.open_field("toolConfig", b'{');
    draft.json.open_field("functionCallingConfig", b'{');
    draft.json.text_field("mode", mode);
    if let Some(name) = name {
        draft.json.open_field("allowedFunctionNames", b'[');
        draft.json.text(name);
        draft.json.close(b']');
    }
    draft.json.close(b'}');
    draft.json.close(b'}');
    Ok(())
}
