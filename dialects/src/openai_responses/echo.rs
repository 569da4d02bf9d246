//! The parts of a call that its answer repeats or must know: a `Response` tells the settings it was made with, and
//! a tool's call is told in the form in which that tool was given.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::agents;
use super::client_tools::ClientTool;
use super::compaction;
use super::tool_name::flat;
use crate::hub::Raw;
use crate::json::{Object, ROOT, Writer, kind_of};

/// The settings an answer repeats, each with what stands there when the call did not say it. Who the end user is, and by
/// what key a prompt is kept, is the caller's own affair: an answer that is kept may be another caller's too.
const REPEATED: [(&str, &str); 14] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("reasoning", "null"),
    ("service_tier", "\"default\""),
    ("temperature", "null"),
    ("text", "{\"format\":{\"type\":\"text\"}}"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
];

/// The parts of a call that are kept for its answer.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    fields: Vec<(&'static str, Raw)>,
    shapes: BTreeMap<String, Shape>,
    /// True if the answer is a shorter conversation.
    pub(super) is_summary: bool,
}

/// The form of a tool that is not a plain function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// The kind of its calls.
    pub(super) form: Form,
    /// Its own name.
    pub(super) name: String,
    /// The namespace it stands in.
    pub(super) namespace: Option<String>,
    /// True if OpenAI would encrypt some of its arguments.
    pub(super) is_encrypted: bool,
}

/// The kind of a tool's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `function_call`.
    Function,
    /// `custom_tool_call`: it takes free text.
    FreeText,
    /// A kind of its own, which the client runs.
    Client(ClientTool),
}

/// The words of items in which tools stand too.
const WITH_TOOLS: [&str; 2] = ["additional_tools", "tool_search_output"];

#[derive(Deserialize)]
struct EchoedTool<'a> {
    r#type: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

impl Echo {
    /// Of a call's body. One that is no call has nothing to repeat.
    #[must_use]
    pub(crate) fn of(body: &[u8]) -> Self {
        let mut echo = Self::default();
        let Some(mut object) = std::str::from_utf8(body).ok().and_then(|text| Object::read(text, &ROOT).ok()) else {
            return echo;
        };
        for (name, _) in REPEATED {
            if let Some(raw) = object.raw(name) {
                if name == "tools" {
                    echo.shapes(&raw, None);
                }
                echo.fields.push((name, raw));
            }
        }
        let has_tools = WITH_TOOLS.iter().any(|kind| memchr::memmem::find(body, kind.as_bytes()).is_some());
        if has_tools || compaction::may_be_asked_for(body) {
            let input = object.take("input");
            let items: Vec<&RawValue> =
                input.and_then(|input| serde_json::from_str(input.get()).ok()).unwrap_or_default();
            echo.is_summary = compaction::is_asked_for(&items);
            echo.shapes_in_items(items);
        }
        echo
    }

    /// Of the tools that stand among the items.
    fn shapes_in_items(&mut self, items: Vec<&RawValue>) {
        for raw in items.into_iter().filter(|raw| WITH_TOOLS.contains(&&*kind_of(raw.get()))) {
            if let Ok(EchoedTool { tools: Some(tools), .. }) = serde_json::from_str(raw.get()) {
                self.shapes(tools, None);
            }
        }
    }

    fn shapes(&mut self, list: &RawValue, namespace: Option<&str>) {
        let list: Vec<&RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
        for raw in list {
            let Ok(EchoedTool { r#type, name, tools, parameters }) = serde_json::from_str(raw.get()) else { continue };
            if let Some(tool) = r#type.as_deref().and_then(|kind| ClientTool::of(kind, raw)) {
                let name = tool.name().to_owned();
                self.shapes.insert(
                    name.clone(),
                    Shape { form: Form::Client(tool), name, namespace: None, is_encrypted: false },
                );
            }
            let Some(name) = name else { continue };
            let is_encrypted = parameters.is_some_and(agents::encrypts_arguments);
            let form = if r#type.as_deref() == Some("custom") { Form::FreeText } else { Form::Function };
            match (r#type.as_deref(), namespace, tools) {
                (Some("namespace"), None, Some(tools)) => self.shapes(tools, Some(&name)),
                (Some("custom" | "function"), Some(space), _) => {
                    let shape = Shape { form, name: name.clone(), namespace: Some(space.to_owned()), is_encrypted };
                    self.shapes.insert(flat(space, &name), shape);
                }
                (Some("custom"), None, _) => {
                    self.shapes.insert(name.clone(), Shape { form, name, namespace: None, is_encrypted });
                }
                (Some("function"), None, _) if is_encrypted => {
                    self.shapes.insert(name.clone(), Shape { form, name, namespace: None, is_encrypted });
                }
                _ => {}
            }
        }
    }

    /// The form of the tool of this name; `None`: it is a plain function.
    pub(super) fn shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }

    /// Writes what is repeated, as members.
    pub(super) fn write(&self, json: &mut Writer) {
        for (name, unsaid) in REPEATED {
            json.key(name);
            match self.fields.iter().find(|(known, _)| *known == name) {
                Some((_, raw)) => json.raw(&crate::json::one_line(raw)),
                None => json.raw(unsaid),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_keep_the_form_in_which_they_were_given() {
        let body = br#"{"model":"m","user":"u","tools":[{"type":"function","name":"f"},{"type":"custom","name":"patch"},
            {"type":"namespace","name":"ns","tools":[{"type":"function","name":"g"},{"type":"custom","name":"h"}]},{"type":"web_search"}]}"#;
        let echo = Echo::of(body);
        assert_eq!(echo.shape("f"), None);
        assert_eq!(
            echo.shape("patch"),
            Some(&Shape { form: Form::FreeText, name: "patch".into(), namespace: None, is_encrypted: false })
        );
        assert_eq!(
            echo.shape("ns__g"),
            Some(&Shape { form: Form::Function, name: "g".into(), namespace: Some("ns".into()), is_encrypted: false })
        );
        assert_eq!(echo.shape("ns__h").unwrap().form, Form::FreeText);
        let mut json = Writer::default();
        json.open(b'{');
        echo.write(&mut json);
        json.close(b'}');
        let said: serde_json::Value = serde_json::from_slice(&json.into_bytes()).unwrap();
        assert_eq!((said["tools"].as_array().unwrap().len(), &said["temperature"]), (4, &serde_json::Value::Null));
        assert!(said.get("user").is_none());
    }

    #[test]
    fn tools_among_the_items_keep_their_form_too() {
        let body = br#"{"model":"m","tools":[{"type":"tool_search","execution":"client"},{"type":"shell","environment":{"type":"container_auto"}}],
            "input":[{"type":"additional_tools","tools":[{"type":"namespace","name":"ns","tools":[{"type":"custom","name":"h"}]}]},
            {"type":"tool_search_output","tools":[{"type":"custom","name":"patch"}]},{"type":"message","tools":[{"type":"custom","name":"no"}]}]}"#;
        let echo = Echo::of(body);
        assert_eq!(echo.shape("ns__h").map(|shape| shape.form), Some(Form::FreeText));
        assert_eq!(echo.shape("patch").map(|shape| shape.form), Some(Form::FreeText));
        assert_eq!(echo.shape("tool_search").map(|shape| shape.form), Some(Form::Client(ClientTool::Search)));
        assert_eq!((echo.shape("no"), echo.shape("shell")), (None, None));
    }

    #[test]
    fn what_is_no_call_has_nothing_to_repeat() {
        for body in [
            &b"\xff"[..],
            b"[]",
            b"{\"tools\":7}",
            b"{\"tools\":[1,{\"type\":\"namespace\",\"name\":\"n\",\"tools\":{}}]}",
        ] {
            assert!(Echo::of(body).shapes.is_empty());
        }
    }
}
