//! Reads a request's conversation: turns and their parts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::dialect::Dialect;
use crate::gemini::signature::{self, SignedThoughts};
use crate::hub::{Content, Fields, Message, Part, Role, Source, ToolCall};
use crate::json::{Object, Path, ROOT, string};

/// The members of a part, of which it has one.
pub(crate) const PART: [&str; 9] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];
const CONTENTS: Path<'static> = ROOT.field("contents");

/// The conversation. Errors: a turn is of no role there is, or holds what no turn may.
pub(super) fn turns(top: &mut Object<'_>) -> Result<Vec<Message>, Refusal> {
    let raw = top.take("contents").ok_or_else(|| CONTENTS.refuse("the field is required"))?;
    let list: Vec<&RawValue> = match raw.get().starts_with('{') {
        // Google takes a single one as the list of it.
        true => vec![raw],
        false => serde_json::from_str(raw.get()).map_err(|_| CONTENTS.refuse("must be an array"))?,
    };
    let mut turns: Vec<Message> = Vec::with_capacity(list.len());
    let mut calls = Calls::default();
    for (index, raw) in list.into_iter().enumerate() {
        let at = CONTENTS.index(index);
        let mut content = Object::read_either(raw.get(), &at)?;
        let role = match content.text("role", &at)?.as_deref() {
            None | Some("user" | "function" | "tool" | "") => Role::User,
            Some("model") => Role::Assistant,
            Some(other) => {
                return Err(at.field("role").refuse(format_args!("`{other}` is neither `user` nor `model`")));
            }
        };
        let parts_at = at.field("parts");
        let mut parts = Vec::new();
        for (place, raw) in list_of(&mut content, &at)?.into_iter().enumerate() {
            read(raw, &parts_at.index(place), calls.at(index, place), &mut parts)?;
        }
        let extra = content.rest();
        match turns.last_mut() {
            Some(before) if role == Role::Assistant && before.role == role => goes_on(before, parts),
            _ => turns.push(begun(Message { extra, at: index, ..Message::new(role, Vec::new()) }, parts)),
        }
    }
    turns.iter_mut().for_each(without_told_thoughts);
    Ok(turns)
}

/// A turn with these parts. The model's follow one another without anything between: a stream was cut wherever it came.
fn begun(mut turn: Message, parts: Vec<Part>) -> Message {
    if turn.role == Role::Assistant && parts.len() > 1 {
        goes_on(&mut turn, parts);
    } else {
        turn.parts = parts;
    }
    turn
}

/// More of the model's turn: SDKs send a streamed answer back as they got it, event by event.
fn goes_on(turn: &mut Message, parts: Vec<Part>) {
    for part in parts {
        match (turn.parts.last_mut().map(|part| &mut part.content), &part.content) {
            (Some(Content::Text { text, .. }), Content::Text { text: more, .. }) if part.extra.is_empty() => {
                text.push_str(more);
            }
            (Some(Content::Thinking { text, signature: None }), Content::Thinking { text: more, signature: None }) => {
                text.push_str(more);
            }
            (_, Content::Text { text, .. }) if text.is_empty() => {}
            _ => turn.parts.push(part),
        }
    }
}

/// `parts`: a list, or as some clients have it a single one.
pub(crate) fn list_of<'a>(content: &mut Object<'a>, at: &Path<'_>) -> Result<Vec<&'a RawValue>, Refusal> {
    match content.take("parts") {
        Some(raw) if raw.get().starts_with('{') => Ok(vec![raw]),
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| at.field("parts").refuse("must be an array")),
        None => Ok(Vec::new()),
    }
}

/// Thoughts that came to the caller as text stand once more, signed, where signed ones stand at all.
fn without_told_thoughts(turn: &mut Message) {
    let signed = |part: &Part| {
        matches!(part.content, Content::Thinking { signature: Some(_), .. } | Content::RedactedThinking(_))
    };
    if turn.parts.iter().any(signed) {
        turn.parts.retain(|part| !matches!(part.content, Content::Thinking { signature: None, .. }));
    }
}

/// The calls so far that have no result. Gemini's need no ids: a result answers the first call of its name.
#[derive(Default)]
struct Calls {
    open: Vec<(String, String)>,
    content: usize,
    part: usize,
}

impl Calls {
    fn at(&mut self, content: usize, part: usize) -> &mut Self {
        (self.content, self.part) = (content, part);
        self
    }

    /// A call's id: its own, or one that says where it stands.
    fn begin(&mut self, id: Option<String>, name: &str) -> String {
        let id = id.filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| format!("call_{}_{}", self.content, self.part));
        self.open.push((id.clone(), name.to_owned()));
        id
    }

    /// The id of the call that a result answers; `None`: there is no such call.
    fn answer(&mut self, id: Option<String>, name: &str) -> Option<String> {
        let id = id.filter(|id| !id.is_empty());
        let same = |(open, called): &(String, String)| match &id {
            Some(id) => open == id,
            None => called == name,
        };
        let place = self.open.iter().position(same);
        place.map(|place| self.open.remove(place).0).or(id)
    }
}

/// Reads one part; its signature may be a part of its own in the hub.
fn read(raw: &RawValue, at: &Path<'_>, calls: &mut Calls, out: &mut Vec<Part>) -> Result<(), Refusal> {
    let mut part = Object::read_either(raw.get(), at)?;
    part.one_of(&PART, at)?;
    let thought = part.boolean("thought", at)?.unwrap_or(false);
    let signed = part.text("thoughtSignature", at)?.filter(|wire| !wire.is_empty());
    let signed = signed.map(|wire| signature::read(&wire));
    if let Some(text) = part.text("text", at)? {
        let content = match thought {
            true => Content::Thinking { text, signature: None },
            false => Content::Text { text, citations: None },
        };
        let bare = matches!(&content, Content::Text { text, .. } | Content::Thinking { text, .. } if text.is_empty());
        let rest = part.rest();
        let is_said = !bare || (signed.is_none() && rest.is_empty());
        let (before, behind) = SignedThoughts::around_text(signed);
        out.extend(before.into_iter().map(Part::new));
        if is_said {
            out.push(Part { extra: rest, ..Part::new(content) });
        }
        out.extend(behind.into_iter().map(Part::new));
        return Ok(());
    }
    out.extend(SignedThoughts::all(signed).into_iter().map(Part::new));
    let content = if let Some(call) = part.take("functionCall") {
        call_of(call, &at.field("functionCall"), calls)?
    } else if let Some(result) = part.take("functionResponse") {
        result_of(result, &at.field("functionResponse"), calls)?
    } else if let Some(blob) = part.take("inlineData") {
        inline(blob, &at.field("inlineData"), raw)?
    } else if let Some(file) = part.take("fileData") {
        file_of(file, &at.field("fileData"), raw)?
    } else {
        out.push(Part::new(other(raw)));
        return Ok(());
    };
    out.push(Part { extra: part.rest(), ..Part::new(content) });
    Ok(())
}

fn other(raw: &RawValue) -> Content {
    Content::Other { dialect: Dialect::Gemini, raw: raw.to_owned() }
}

fn call_of(raw: &RawValue, at: &Path<'_>, calls: &mut Calls) -> Result<Content, Refusal> {
    let mut call = Object::read_either(raw.get(), at)?;
    let name = call.required("name", at)?;
    let id = calls.begin(call.text("id", at)?, &name);
    let arguments = call.take("args").map_or("{}", RawValue::get).to_owned();
    Ok(Content::ToolCall(ToolCall { id, name, arguments }))
}

fn result_of(raw: &RawValue, at: &Path<'_>, calls: &mut Calls) -> Result<Content, Refusal> {
    let mut result = Object::read_either(raw.get(), at)?;
    let name = result.required("name", at)?;
    let call_id = calls.answer(result.text("id", at)?, &name);
    let call_id =
        call_id.ok_or_else(|| at.refuse(format_args!("answers no call of `{name}` that waits for a result")))?;
    let (text, is_error) = result.take("response").map_or_else(|| (String::new(), false), told);
    let mut parts = vec![Part::text(text)];
    let parts_at = at.field("parts");
    for (index, raw) in list_of(&mut result, at)?.into_iter().enumerate() {
        let at = parts_at.index(index);
        let mut part = Object::read_either(raw.get(), &at)?;
        part.one_of(&["inlineData", "fileData"], &at)?;
        parts.push(Part::new(match (part.take("inlineData"), part.take("fileData")) {
            (Some(blob), _) => inline(blob, &at.field("inlineData"), raw)?,
            (None, Some(file)) => file_of(file, &at.field("fileData"), raw)?,
            (None, None) => other(raw),
        }));
    }
    Ok(Content::ToolResult { call_id, parts, is_error })
}

/// The result of a tool, and `true` where it failed: the text of `output` or of `error` where there is nothing else, else
/// the object as it is.
fn told(response: &RawValue) -> (String, bool) {
    let whole = || response.get().to_owned();
    let Ok(mut object) = Object::read(response.get(), &ROOT) else { return (whole(), false) };
    let said = |raw: &RawValue| string(raw).unwrap_or_else(|| raw.get().to_owned());
    match (object.take("error"), object.take("output"), object.is_empty()) {
        (Some(error), None, true) => (said(error), true),
        (None, Some(output), true) => (said(output), false),
        _ => (whole(), false),
    }
}

/// Data that stands in the request itself, by what it is.
fn inline(raw: &RawValue, at: &Path<'_>, part: &RawValue) -> Result<Content, Refusal> {
    let mut blob = Object::read_either(raw.get(), at)?;
    let media_type = bare(&blob.required("mimeType", at)?);
    let data = blob.required("data", at)?;
    let name = blob.text("displayName", at)?;
    // Google's Python SDK writes the URL's alphabet.
    let mut data = if data.contains(['-', '_']) { data.replace('-', "+").replace('_', "/") } else { data };
    // Google reads it without its end, which others want.
    data.push_str(match data.len() % 4 {
        2 => "==",
        3 => "=",
        _ => "",
    });
    let settings = Fields::new();
    Ok(match media_type.split_once('/').unwrap_or_default() {
        ("image", _) => Content::Image { source: Source::Base64 { media_type, data }, detail: None },
        ("audio", kind) => Content::Audio { data, format: sound(kind).to_owned() },
        ("text", _) | ("application", "json" | "xml" | "yaml" | "x-yaml") => {
            match BASE64.decode(&data).map(String::from_utf8) {
                Ok(Ok(text)) => Content::Document { source: Source::Text(text), name, settings },
                _ => return Err(at.field("data").refuse("is not UTF-8 text in base64")),
            }
        }
        ("application", _) => Content::Document { source: Source::Base64 { media_type, data }, name, settings },
        _ => other(part),
    })
}

/// A media type as other vendors take it: in small letters, without parameters.
fn bare(media_type: &str) -> String {
    let bare = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if bare == "image/jpg" { "image/jpeg".to_owned() } else { bare }
}

/// The name that other dialects have for a kind of sound.
fn sound(kind: &str) -> &str {
    match kind {
        "mpeg" | "mp3" | "mpga" => "mp3",
        "x-wav" | "wave" => "wav",
        other => other,
    }
}

/// A file by its address. What only Google can read, and films, stay in Google's words.
fn file_of(raw: &RawValue, at: &Path<'_>, part: &RawValue) -> Result<Content, Refusal> {
    const GOOGLES: [&str; 4] = [
        "https://generativelanguage.googleapis.com/",
        "https://www.youtube.com/",
        "https://youtube.com/",
        "https://youtu.be/",
    ];
    let mut file = Object::read_either(raw.get(), at)?;
    let url = file.required("fileUri", at)?;
    let media_type = file.text("mimeType", at)?.unwrap_or_default();
    let name = file.text("displayName", at)?;
    let foreign = url.starts_with("https://") && !GOOGLES.iter().any(|place| url.starts_with(place));
    Ok(match media_type.split('/').next().unwrap_or_default() {
        "image" if foreign => Content::Image { source: Source::Url(url), detail: None },
        "application" | "text" if foreign => {
            Content::Document { source: Source::Url(url), name, settings: Fields::new() }
        }
        _ => other(part),
    })
}
