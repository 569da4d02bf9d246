//! Reads a request's settings: Converse's own, and those of a model's that stand in `additionalModelRequestFields`.

use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::hub::{Fields, Format, Raw, Reasoning, Sampling};
use crate::json::{Object, Path, ROOT, Writer};

const CONFIG: Path<'static> = ROOT.field("inferenceConfig");
const MORE: Path<'static> = ROOT.field("additionalModelRequestFields");
const OUTPUT: Path<'static> = ROOT.field("outputConfig");

/// The settings, as read.
pub(super) struct SettingsRead {
    pub(super) max_tokens: Option<u64>,
    pub(super) sampling: Sampling,
    pub(super) stop: Vec<String>,
    pub(super) format: Option<Format>,
    pub(super) reasoning: Option<Reasoning>,
    /// True if thoughts are asked to be told.
    pub(super) thoughts_told: bool,
    /// Fields the hub has no word for.
    pub(super) more: Fields,
}

/// Reads them. Errors: one has the wrong type.
pub(super) fn read(top: &mut Object<'_>) -> Result<SettingsRead, Refusal> {
    let mut config = top.object("inferenceConfig", &ROOT)?.unwrap_or_default();
    let mut additional = top.object("additionalModelRequestFields", &ROOT)?.unwrap_or_default();
    let mut output = top.object("outputConfig", &ROOT)?.unwrap_or_default();
    let sampling = Sampling {
        temperature: config.number("temperature", &CONFIG)?,
        top_p: config.number("topP", &CONFIG)?,
        top_k: additional.count("top_k", &MORE)?,
        ..Sampling::default()
    };
    let max_tokens = config.count("maxTokens", &CONFIG)?;
    let stop = config.parsed("stopSequences", &CONFIG, "an array of strings")?.unwrap_or_default();
    let effort = output.text("effort", &OUTPUT)?;
    let (reasoning, thoughts_told) = reasoning(&mut additional)?;
    let reasoning = reasoning.or(effort.map(Reasoning::Effort));
    let format = output.object("textFormat", &OUTPUT)?.map(format).transpose()?;
    let mut more = Fields::new();
    more.extend(object(&additional.rest()).map(|raw| ("additionalModelRequestFields".to_owned(), raw)));
    Ok(SettingsRead { max_tokens, sampling, stop, format, reasoning, thoughts_told, more })
}

/// The amount that the model may think, in the words of the models there, and whether its thoughts are to be told.
fn reasoning(additional: &mut Object<'_>) -> Result<(Option<Reasoning>, bool), Refusal> {
    for name in ["thinking", "reasoning_config"] {
        let Some(mut thinking) = additional.object(name, &MORE)? else { continue };
        let at = MORE.field(name);
        let reasoning = match thinking.text("type", &at)?.as_deref() {
            Some("enabled") => thinking.count("budget_tokens", &at)?.map(Reasoning::Budget),
            Some("adaptive") => Some(Reasoning::Adaptive),
            Some("disabled") => Some(Reasoning::Off),
            _ => None,
        };
        return Ok((reasoning, thinking.text("display", &at)?.as_deref() == Some("summarized")));
    }
    if let Some(mut config) = additional.object("reasoningConfig", &MORE)? {
        let at = MORE.field("reasoningConfig");
        let effort = config.text("maxReasoningEffort", &at)?;
        let off = config.text("type", &at)?.as_deref() == Some("disabled");
        return Ok((if off { Some(Reasoning::Off) } else { effort.map(Reasoning::Effort) }, false));
    }
    Ok((additional.text("reasoning_effort", &MORE)?.map(Reasoning::Effort), false))
}

fn format(mut format: Object<'_>) -> Result<Format, Refusal> {
    const AT: Path<'static> = OUTPUT.field("textFormat");
    const STRUCTURE: Path<'static> = AT.field("structure");
    const SCHEMA: Path<'static> = STRUCTURE.field("jsonSchema");
    let structure = format.object("structure", &AT)?;
    let schema = structure.map(|mut structure| structure.object("jsonSchema", &STRUCTURE)).transpose()?.flatten();
    let mut schema = schema.ok_or_else(|| STRUCTURE.refuse("only a `jsonSchema` is known"))?;
    let (name, description) = (schema.text("name", &SCHEMA)?, schema.text("description", &SCHEMA)?);
    let said = schema.required("schema", &SCHEMA)?;
    let read = RawValue::from_string(said).map_err(|_| SCHEMA.field("schema").refuse("must be JSON in a string"))?;
    Ok(Format::Schema { name, description, schema: read, strict: Some(true) })
}

/// Members that were not read, as an object; `None`: there are none.
fn object(fields: &Fields) -> Option<Raw> {
    if fields.is_empty() {
        return None;
    }
    let mut json = Writer::default();
    json.open(b'{');
    json.fields(fields);
    json.close(b'}');
    RawValue::from_string(String::from_utf8(json.into_bytes()).ok()?).ok()
}
