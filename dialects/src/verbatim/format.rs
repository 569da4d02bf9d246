//! The form of an answer in a body that passes: a schema becomes words where a server takes none, and any JSON object is asked for; beside
//! tools every form becomes words where a server refuses both together.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::names;
use super::splice::{Edit, splice};
use crate::format_in_words::in_words;
use crate::hub::{Format, Raw};
use crate::json::Writer;
use crate::vendors::LookAlike;

/// The body with its form as an instruction, behind those that it begins with, and any JSON object asked for instead, or nothing beside
/// tools; `None`: there is none, or the look-alike takes it for this model.
#[must_use]
pub fn fit_format(body: &Bytes, look_alike: Option<&LookAlike>, model: &str) -> Option<Bytes> {
    let row = look_alike?;
    let has = |word: &[u8]| memmem::find(body, word).is_some();
    let no_schemas = !row.schemas && has(b"\"json_schema\"");
    let alone = !row.takes_form_beside_tools(model) && has(FORM) && has(b"\"tools\"");
    if !no_schemas && !alone {
        return None;
    }
    let FormatBody { response_format, messages, tools } = serde_json::from_slice(body).ok()?;
    let format = response_format?;
    let tools = tools.is_some_and(|tools| tools.get().contains('{'));
    let asked = asked(format)?;
    if !(tools && alone) && (!no_schemas || matches!(asked, Format::Json)) {
        return None;
    }
    let words = in_words(&asked, tools);
    let mut message = Writer::with_capacity(words.len() + 64);
    message.open(b'{');
    message.text_field("role", "system");
    message.text_field("content", &words);
    message.close(b'}');
    let message = String::from_utf8(message.into_bytes()).ok()?;
    let start = |raw: &RawValue| (raw.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
    let told = match messages.iter().find(|message| !instructs(message)) {
        Some(first) => Edit::write(start(first)..start(first), format!("{message},")),
        None => {
            let last = messages.last()?;
            let end = start(last) + last.get().len();
            Edit::write(end..end, format!(",{message}"))
        }
    };
    let place = start(format)..start(format) + format.get().len();
    let form = match tools && alone {
        true => {
            let (_, name, _) = names(body).into_iter().find(|(.., value)| *value == place)?;
            Edit::remove(name.start..place.end)
        }
        false => Edit::write(place, r#"{"type":"json_object"}"#),
    };
    Some(splice(body, &[told, form]))
}

/// The field of a form, as it is written.
const FORM: &[u8] = b"\"response_format\"";

#[derive(Deserialize)]
struct FormatBody<'a> {
    #[serde(borrow)]
    response_format: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

/// The form that is asked for; `None`: none, or another.
fn asked(format: &RawValue) -> Option<Format> {
    #[derive(Deserialize)]
    struct AskedForm {
        r#type: String,
        json_schema: Option<Schema>,
    }
    #[derive(Deserialize)]
    struct Schema {
        description: Option<String>,
        schema: Raw,
    }
    let AskedForm { r#type, json_schema } = serde_json::from_str(format.get()).ok()?;
    if r#type == "json_object" {
        return Some(Format::Json);
    }
    let Schema { description, schema } = json_schema.filter(|_| r#type == "json_schema")?;
    Some(Format::Schema { name: None, description, schema, strict: None })
}

fn instructs(message: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct RoleOf {
        role: String,
    }
    let turn: Option<RoleOf> = serde_json::from_str(message.get()).ok();
    turn.is_some_and(|turn| matches!(&*turn.role, "system" | "developer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_beside_tools_is_said_in_words_where_a_server_refuses_both() {
        let fitted = |body: &str, row: &str, model: &str| {
            let fitted = fit_format(&Bytes::copy_from_slice(body.as_bytes()), LookAlike::named(row).as_ref(), model);
            fitted.map(|body| String::from_utf8(body.to_vec()).unwrap())
        };
        let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
        for form in [r#"{"type":"json_object"}"#, r#"{"type":"json_schema","json_schema":{"schema":{"type":"array"}}}"#]
        {
            let body = format!(r#"{{"messages":[{{"role":"user","content":"u"}}],"response_format":{form},{tools}}}"#);
            let told = fitted(&body, "GeminiOpenAI", "gemini-2.5-flash").unwrap();
            assert!(
                told.starts_with(r#"{"messages":[{"role":"system","content":"When you answer instead of"#),
                "{told}"
            );
            assert!(told.ends_with(&format!(r#"{{"role":"user","content":"u"}}],{tools}}}"#)), "{told}");
            assert!(fitted(&body, "Groq", "m").is_some());
            assert_eq!(fitted(&body, "GeminiOpenAI", "gemini-3-pro-preview"), None);
            assert_eq!(fitted(&body, "OpenRouter", "google/gemini-2.5-flash"), None);
            assert_eq!(fitted(&body.replace(tools, r#""tools":[]"#), "GeminiOpenAI", "gemini-2.5-flash"), None);
        }
    }

    #[test]
    fn a_schema_is_said_in_words_where_a_server_takes_none() {
        let asked = r#""response_format" : {"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"array"}}}"#;
        let deepseek = LookAlike::at("api.deepseek.com");
        let fitted = |body: &str, row: &LookAlike| {
            let fitted = fit_format(&Bytes::copy_from_slice(body.as_bytes()), Some(row), "m");
            fitted.map(|body| String::from_utf8(body.to_vec()).unwrap())
        };
        for (before, behind) in [
            (r#""messages":[{"role":"system","content":"s"}, "#, r#"{"role":"user","content":"u"}]"#),
            (r#""messages":["#, r#"{"role":"user","content":"u"}]"#),
        ] {
            let body = format!(r#"{{"x":1.50,{before}{behind},{asked}}}"#);
            let told = fitted(&body, &deepseek).unwrap();
            assert!(
                told.starts_with(&format!(r#"{{"x":1.50,{before}{{"role":"system","content":"Answer with JSON that"#)),
                "{told}"
            );
            assert!(
                told.ends_with(&format!(
                    r#"{{\"type\":\"array\"}}"}},{behind},"response_format" : {{"type":"json_object"}}}}"#
                )),
                "{told}"
            );
            assert_eq!(fitted(&body, &LookAlike::at("models.example")), None);
            assert_eq!(fitted(&told, &deepseek), None);
        }
        let alone = format!(r#"{{{asked},"messages":[{{"role":"system","content":"s"}}]}}"#);
        assert!(fitted(&alone, &deepseek).unwrap().contains(r#"{"role":"system","content":"s"},{"role":"system""#));
        for body in [r#"{"messages":[],"response_format":{"type":"json_schema"}}"#, r#"{"messages":"json_schema"}"#] {
            assert_eq!(fitted(body, &deepseek), None);
        }
    }
}
