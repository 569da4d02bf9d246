//! The form of an answer, and that it is to be the call of a tool, said in words: where a provider has no field for it, or does not
//! take that beside others.

use std::borrow::Cow;

use serde_json::Value;

use crate::hub::{Call, Content, Format, Role, ToolChoice};

const JSON_ONLY: &str =
    "Answer with one valid JSON object and nothing else: no prose before or after it, no code fence.";

/// The instruction that asks for a form. Beside `tools` a call of one is no answer yet.
pub(crate) fn in_words(format: &Format, tools: bool) -> Cow<'static, str> {
    let when = if tools { "When you answer instead of calling a tool, answer" } else { "Answer" };
    let Format::Schema { name: _, description, schema, strict: _ } = format else {
        return match JSON_ONLY.strip_prefix("Answer").filter(|_| tools) {
            Some(rest) => format!("{when}{rest}").into(),
            None => JSON_ONLY.into(),
        };
    };
    let about = description.as_deref().map(|text| format!("\n{text}")).unwrap_or_default();
    // Written for people it is longer than models need.
    let schema = serde_json::from_str::<Value>(schema.get()).map_or_else(|_| schema.get().into(), |it| it.to_string());
    format!(
        "{when} with JSON that matches the schema below and nothing else: no prose before or after it, no code fence.\
         {about}\n{schema}"
    )
    .into()
}

/// True if a call's own words say JSON: OpenAI and others refuse any JSON object that nobody has spoken of ("'messages' must contain the
/// word 'json' in some form").
pub(crate) fn says_json(call: &Call, with_system: bool) -> bool {
    let says = |text: &str| {
        let bytes = text.as_bytes();
        memchr::memchr2_iter(b'j', b'J', bytes)
            .any(|at| bytes.get(at..at + 4).is_some_and(|word| word.eq_ignore_ascii_case(b"json")))
    };
    let turns = call.messages.iter().filter(|message| message.role != Role::Assistant);
    (with_system && call.system.iter().any(|part| says(&part.text)))
        || turns.flat_map(|message| &message.parts).any(|part| match &part.content {
            Content::Text { text, citations: _ } => says(text),
            _ => false,
        })
}

/// The instruction that asks for the call of a tool; `None`: none has to be called.
pub(crate) fn must_in_words(choice: &ToolChoice) -> Option<Cow<'static, str>> {
    match choice {
        ToolChoice::Required => Some("Answer by calling one or more of the tools, and with nothing else.".into()),
        ToolChoice::Named(name) => Some(format!("Answer by calling the tool `{name}`, and with nothing else.").into()),
        ToolChoice::Auto | ToolChoice::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn a_form_is_said_whole() {
        let schema = RawValue::from_string(r#"{"type": "array"}"#.to_owned()).unwrap();
        let schema = Format::Schema { name: None, description: Some("Fjords.".to_owned()), schema, strict: None };
        assert_eq!(in_words(&Format::Json, false), JSON_ONLY);
        assert!(
            in_words(&Format::Json, true).starts_with("When you answer instead of calling a tool, answer with one")
        );
        assert!(in_words(&schema, false).starts_with("Answer with JSON that matches"));
        assert!(in_words(&schema, true).ends_with("no code fence.\nFjords.\n{\"type\":\"array\"}"));
    }
}
