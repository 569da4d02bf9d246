//! Reads a request's top level: instructions, settings, the shape of the answer.
//!
//! Google's servers take each field in camelCase and in snake_case, and so does this.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{read_parts, read_tools};
use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::gemini::schema;
use crate::hub::{Call, Extra, Fields, Format, Reasoning, Sampling, SystemPart};
use crate::json::{self, Object, Path, ROOT, Writer, count, string};
use crate::verbatim::unpack;

const CONFIG: Path<'static> = ROOT.field("generationConfig");

/// Reads what a caller of `countTokens` sent: a request, or one in `generateContentRequest`, where instructions and tools are counted too.
/// Errors: as [`decode`]'s.
pub(crate) fn decode_counted(body: &[u8]) -> Result<Call, Refusal> {
    decode(&unpack(&Bytes::copy_from_slice(body), "generateContentRequest"))
}

/// Reads what a caller sent. The model, and whether the answer streams, stand in the path: both are left empty here.
/// Fields the hub has no word for are kept in `Call::extra`; `null` is absent.
///
/// Errors: the body is not what the dialect allows, or names a cache that only Google can read.
pub(crate) fn decode(body: &[u8]) -> Result<Call, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Refusal::body(format!("the body is not UTF-8: invalid byte at offset {}", error.valid_up_to()))
    })?;
    let mut top = Object::read_either(text, &ROOT).map_err(|refusal| json::broken(text).unwrap_or(refusal))?;
    // Some clients repeat the path's.
    top.take("model");
    let system = system(&mut top)?;
    let messages = read_parts::turns(&mut top)?;
    let (tool_choice, allowed) = read_tools::choice(&mut top)?;
    let tools = read_tools::tools(&mut top, allowed.as_deref())?;
    let mut config = match top.take("generationConfig") {
        Some(raw) => Object::read_either(raw.get(), &CONFIG)?,
        None => Object::default(),
    };
    let sampling = sampling(&mut config)?;
    let max_tokens = config.count("maxOutputTokens", &CONFIG)?;
    let stop = config.parsed("stopSequences", &CONFIG, "an array of strings")?.unwrap_or_default();
    let format = format(&mut config)?;
    let ThinkingSettings { reasoning, told: thoughts_told, whole } = thinking(&mut config)?;
    text_alone(&mut config)?;
    let likelihoods = likelihoods(&mut config)?;
    let mut rest = config.rest();
    rest.extend(whole.map(|raw| ("thinkingConfig".to_owned(), raw.to_owned())));
    let mut fields = top.rest();
    fields.extend(likelihoods);
    fields.extend(raw_object(&rest).map(|raw| ("generationConfig".to_owned(), raw)));
    Ok(Call {
        model: String::new(),
        system,
        messages,
        tools,
        tool_choice,
        parallel_tools: None,
        max_tokens,
        sampling,
        stop,
        format,
        reasoning,
        thoughts_told,
        stream: false,
        // Every chunk of a stream says it.
        stream_usage: true,
        end_user: None,
        extra: Extra { dialect: Dialect::Gemini, fields },
    })
}

/// The members of an object that were not read, as an object; `None`: nothing.
fn raw_object(fields: &Fields) -> Option<Box<RawValue>> {
    if fields.is_empty() {
        return None;
    }
    let mut json = Writer::default();
    json.open(b'{');
    json.fields(fields);
    json.close(b'}');
    RawValue::from_string(String::from_utf8(json.into_bytes()).ok()?).ok()
}

/// `systemInstruction`: a content, or as some clients have it a text.
fn system(top: &mut Object<'_>) -> Result<Vec<SystemPart>, Refusal> {
    const AT: Path<'static> = ROOT.field("systemInstruction");
    const PARTS: Path<'static> = AT.field("parts");
    let Some(raw) = top.take("systemInstruction") else { return Ok(Vec::new()) };
    if let Some(text) = string(raw) {
        return Ok(vec![SystemPart::new(text)]);
    }
    let mut content = Object::read_either(raw.get(), &AT)?;
    let parts = read_parts::list_of(&mut content, &AT)?;
    let read = |(index, raw): (usize, &RawValue)| {
        let at = PARTS.index(index);
        let mut part = Object::read_either(raw.get(), &at)?;
        part.one_of(&read_parts::PART, &at)?;
        let text = part.text("text", &at)?.ok_or_else(|| at.refuse("instructions can only be text"))?;
        Ok(SystemPart { extra: part.rest(), ..SystemPart::new(text) })
    };
    parts.into_iter().enumerate().map(read).collect()
}

fn sampling(config: &mut Object<'_>) -> Result<Sampling, Refusal> {
    Ok(Sampling {
        temperature: config.number("temperature", &CONFIG)?,
        top_p: config.number("topP", &CONFIG)?,
        top_k: match config.take("topK") {
            Some(raw) => Some(
                count(raw.get())
                    .ok_or_else(|| CONFIG.field("topK").refuse("must be a whole number that is not negative"))?,
            ),
            None => None,
        },
        seed: config.parsed("seed", &CONFIG, "a whole number")?,
        frequency_penalty: config.number("frequencyPenalty", &CONFIG)?,
        presence_penalty: config.number("presencePenalty", &CONFIG)?,
        choices: config.parsed("candidateCount", &CONFIG, "a whole number that is not negative")?,
    })
}

/// The answer's shape. A schema is JSON Schema, or OpenAPI's in `responseSchema`.
fn format(config: &mut Object<'_>) -> Result<Option<Format>, Refusal> {
    let kind = config.text("responseMimeType", &CONFIG)?;
    config.one_of(&["responseJsonSchema", "responseSchema"], &CONFIG)?;
    let (json, open_api) = (config.take("responseJsonSchema"), config.take("responseSchema"));
    let schema = match (json, open_api) {
        (Some(raw), _) => Some(raw.to_owned()),
        (None, Some(raw)) => Some(schema::to_json_schema(raw, &CONFIG.field("responseSchema"))?),
        (None, None) => None,
    };
    match (kind.as_deref(), schema) {
        (None | Some("text/plain"), None) => Ok(None),
        (Some("application/json"), None) => Ok(Some(Format::Json)),
        (None | Some("application/json"), Some(schema)) => {
            Ok(Some(Format::Schema { name: None, description: None, schema, strict: Some(true) }))
        }
        (Some(other), _) => Err(CONFIG.field("responseMimeType").refuse(format_args!(
            "`{other}` can not be asked of a provider of another dialect; use `application/json` with a schema"
        ))),
    }
}

/// The log probabilities that are asked for, as the hub has them: in Chat Completions' words.
fn likelihoods(config: &mut Object<'_>) -> Result<Fields, Refusal> {
    let asked = config.boolean("responseLogprobs", &CONFIG)?.unwrap_or(false);
    let count = config.count("logprobs", &CONFIG)?.filter(|count| asked && *count > 0);
    let said = [("logprobs", asked.then(|| "true".to_owned())), ("top_logprobs", count.map(|count| count.to_string()))];
    let field = |(name, text): (&str, Option<String>)| Some((name.to_owned(), RawValue::from_string(text?).ok()?));
    Ok(said.into_iter().filter_map(field).collect())
}

/// Refuses what only a Gemini model answers with: pictures and sound.
fn text_alone(config: &mut Object<'_>) -> Result<(), Refusal> {
    const AT: Path<'static> = CONFIG.field("responseModalities");
    let wanted: Vec<String> = config.parsed("responseModalities", &CONFIG, "an array of strings")?.unwrap_or_default();
    let other = wanted.iter().find(|word| !matches!(&*word.to_ascii_uppercase(), "TEXT" | "MODALITY_UNSPECIFIED"));
    match other {
        Some(other) => Err(AT.refuse(format_args!(
            "`{other}` can not be asked of a provider of another dialect, which answers with text; leave it out"
        ))),
        None => Ok(()),
    }
}

/// `thinkingConfig`, as read.
#[derive(Default)]
struct ThinkingSettings<'a> {
    reasoning: Option<Reasoning>,
    /// True if thoughts are asked to be told.
    told: bool,
    /// The settings whole, where they say more.
    whole: Option<&'a RawValue>,
}

/// The amount that the model may think, and what else is said of it.
fn thinking<'a>(config: &mut Object<'a>) -> Result<ThinkingSettings<'a>, Refusal> {
    const AT: Path<'static> = CONFIG.field("thinkingConfig");
    let Some(raw) = config.take("thinkingConfig") else { return Ok(ThinkingSettings::default()) };
    let mut thinking = Object::read_either(raw.get(), &AT)?;
    thinking.one_of(&["thinkingBudget", "thinkingLevel"], &AT)?;
    let budget = thinking.parsed::<i64>("thinkingBudget", &AT, "a whole number")?;
    let level = thinking.text("thinkingLevel", &AT)?.map(|level| level.to_ascii_lowercase());
    let told = thinking.boolean("includeThoughts", &AT)?.unwrap_or(false);
    let reasoning = match (budget, level) {
        (Some(0), _) => Some(Reasoning::Off),
        (Some(budget), _) => Some(u64::try_from(budget).map_or(Reasoning::Adaptive, Reasoning::Budget)),
        (None, Some(level)) if level != "thinking_level_unspecified" => Some(Reasoning::Effort(level)),
        // Thoughts are asked to be told: the model thinks as much as it finds right.
        (None, _) => told.then_some(Reasoning::Adaptive),
    };
    Ok(ThinkingSettings { reasoning, told, whole: (!thinking.is_empty()).then_some(raw) })
}
