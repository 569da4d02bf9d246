//! Reads a request's top level: settings and the shape of the answer.

use super::{read_items, read_tools};
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::hub::{Call, Extra, Fields, Format, Reasoning, Sampling, SystemPart};
use crate::json::{Object, Path, ROOT};
use crate::openai_responses::compaction;

/// Fields by whose loss nothing is lost: what clients tell OpenAI of themselves, what is asked for of every provider anyhow
/// (`include`), and what the answer itself says (`store`: nothing is kept).
const SILENT: [&str; 5] = ["background", "client_metadata", "include", "store", "stream_options"];

/// Reads what a caller sent, to be said in another dialect. Fields the hub has no word for are kept in `Call::extra`; `null`
/// is absent.
///
/// Errors: the body is not what the dialect allows, or builds on what only OpenAI keeps (`previous_response_id`).
pub(crate) fn decode(body: &[u8]) -> Result<Call, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Refusal::body(format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to()))
    })?;
    let mut object = Object::read_body(text)?;
    let top = &mut object;
    let model = top.required("model", &ROOT)?;
    if model.is_empty() {
        return Err(ROOT.field("model").refuse("must not be empty"));
    }
    refuse_kept(top)?;
    let read_items::Input { mut system, messages, tools: found, is_made_shorter } = read_items::input(top)?;
    if let Some(text) = top.text("instructions", &ROOT)?.filter(|text| !text.is_empty()) {
        system.insert(0, SystemPart::new(text));
    }
    let read_tools::Tools { tools, choice, other_choice } = read_tools::tools(top, found)?;
    let max_tokens = top.count("max_output_tokens", &ROOT)?;
    let sampling = Sampling {
        temperature: top.number("temperature", &ROOT)?,
        top_p: top.number("top_p", &ROOT)?,
        // Not OpenAI's, but servers that look like it take it.
        top_k: top.count("top_k", &ROOT)?,
        ..Sampling::default()
    };
    let stream = top.boolean("stream", &ROOT)?.unwrap_or(false);
    let parallel_tools = top.boolean("parallel_tool_calls", &ROOT)?;
    let end_user = top.text("user", &ROOT)?;
    let (reasoning, summary) = reasoning(top)?;
    let mut kept = Fields::new();
    let format = text_settings(top, &mut kept)?;
    let mut fields = object.rest();
    fields.retain(|name, _| !SILENT.contains(&&**name));
    fields.append(&mut kept);
    if let Some(raw) = other_choice {
        fields.insert("tool_choice".to_owned(), raw.to_owned());
    }
    let mut call = Call {
        model,
        system,
        messages,
        tools,
        tool_choice: choice,
        parallel_tools,
        max_tokens,
        sampling,
        stop: Vec::new(),
        format,
        reasoning,
        thoughts_told: summary.is_some(),
        stream,
        // The dialect's streams always say what they used.
        stream_usage: true,
        end_user,
        extra: Extra { dialect: Dialect::OpenAiResponses, fields },
    };
    if is_made_shorter {
        compaction::ask(&mut call);
    }
    Ok(call)
}

/// Refuses what builds on something that is kept at OpenAI, in words that say what to send instead.
fn refuse_kept(top: &mut Object<'_>) -> Result<(), Refusal> {
    const INSTEAD: &str = "is kept at the provider that made it, and this provider keeps none; \
                           send the whole conversation in `input`, with `store: false` and `include: [\"reasoning.encrypted_content\"]`";
    for name in ["previous_response_id", "conversation"] {
        if top.take(name).is_some() {
            return Err(ROOT.field(name).refuse(INSTEAD));
        }
    }
    if top.take("prompt").is_some() {
        let instead =
            "is a template kept at OpenAI, and this provider keeps none; send its text in `instructions` and `input`";
        return Err(ROOT.field("prompt").refuse(instead));
    }
    if top.boolean("background", &ROOT)?.unwrap_or(false) {
        let instead = "this provider keeps no answers that could be fetched later; leave it out, and set `stream` for long answers";
        return Err(ROOT.field("background").refuse(instead));
    }
    Ok(())
}

/// The effort of thinking, and what else is said of it.
fn reasoning(top: &mut Object<'_>) -> Result<(Option<Reasoning>, Option<String>), Refusal> {
    const AT: Path<'static> = ROOT.field("reasoning");
    let Some(mut object) = top.object("reasoning", &ROOT)? else { return Ok((None, None)) };
    let effort = object.text("effort", &AT)?.map(|effort| match &*effort {
        "none" => Reasoning::Off,
        _ => Reasoning::Effort(effort),
    });
    // Thoughts that a provider tells are passed on, asked for or not.
    let summary = object.text("summary", &AT)?;
    Ok((effort, summary))
}

/// The shape of the answer; how many words it has is kept under its own name.
fn text_settings(top: &mut Object<'_>, kept: &mut Fields) -> Result<Option<Format>, Refusal> {
    let Some(mut text) = top.object("text", &ROOT)? else { return Ok(None) };
    let format = format(&mut text)?;
    for (name, raw) in text.rest() {
        // Chat Completions has it at the top, under the same name.
        kept.insert(if name == "verbosity" { name } else { format!("text.{name}") }, raw);
    }
    Ok(format)
}

fn format(text: &mut Object<'_>) -> Result<Option<Format>, Refusal> {
    const TEXT: Path<'static> = ROOT.field("text");
    const AT: Path<'static> = TEXT.field("format");
    let Some(mut format) = text.object("format", &TEXT)? else { return Ok(None) };
    match &*format.required("type", &AT)? {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Json)),
        "json_schema" => Ok(Some(Format::Schema {
            name: format.text("name", &AT)?,
            description: format.text("description", &AT)?,
            schema: format.raw("schema").ok_or_else(|| AT.field("schema").refuse("the field is required"))?,
            strict: format.boolean("strict", &AT)?,
        })),
        _ => Err(AT.field("type").refuse("only `text`, `json_object` and `json_schema` can be said to this provider")),
    }
}
