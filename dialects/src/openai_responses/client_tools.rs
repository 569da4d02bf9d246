//! Tools of OpenAI's own kinds that the caller's client runs: elsewhere they are functions, and their calls come back in the form in
//! which that client knows them.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::codec::Refusal;
use crate::hub::{Fields, Part, Tool, ToolCall};
use crate::json::{Object, Path, Writer, one_line, string};

/// A tool that OpenAI's models know by its kind, and that a client runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientTool {
    /// Finds further tools (`tool_search`).
    Search,
    /// Runs commands (`shell`).
    Shell,
    /// Runs one program (`local_shell`).
    LocalShell,
    /// Changes files (`apply_patch`).
    Patch,
}

impl ClientTool {
    /// The tool of a kind that is the client's to run; `None`: OpenAI runs it, or it is none of these.
    pub(super) fn of(kind: &str, raw: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Run {
            execution: Option<String>,
            environment: Option<Environment>,
        }
        #[derive(Deserialize)]
        struct Environment {
            r#type: Option<String>,
        }
        let tool = Self::named(kind)?;
        let Run { execution, environment } = serde_json::from_str(raw.get()).ok()?;
        let place = environment.and_then(|environment| environment.r#type);
        let is_client = match tool {
            Self::Search => execution.as_deref() == Some("client"),
            Self::Shell => place.is_none_or(|place| place == "local"),
            Self::LocalShell | Self::Patch => true,
        };
        is_client.then_some(tool)
    }

    /// The tool of this name, which is its kind too.
    pub(super) fn named(kind: &str) -> Option<Self> {
        [Self::Search, Self::Shell, Self::LocalShell, Self::Patch].into_iter().find(|tool| tool.name() == kind)
    }

    /// The tool that an item calls.
    pub(super) fn called_by(kind: &str) -> Option<Self> {
        Self::named(kind.strip_suffix("_call")?)
    }

    /// The tool that an item is a result of.
    pub(super) fn answered_by(kind: &str) -> Option<Self> {
        let of = kind.strip_suffix("_output")?;
        // The search has no `call` in the name of its result.
        Self::named(of.strip_suffix("_call").unwrap_or(of))
    }

    /// Its kind, and its name as a function.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Search => "tool_search",
            Self::Shell => "shell",
            Self::LocalShell => "local_shell",
            Self::Patch => "apply_patch",
        }
    }

    /// The beginning of its items' ids.
    pub(super) const fn id_kind(self) -> &'static str {
        match self {
            Self::Search => "tsc",
            Self::Shell => "sh",
            Self::LocalShell => "lsh",
            Self::Patch => "apc",
        }
    }

    /// The member of its items that says what is to be done.
    const fn member(self) -> &'static str {
        match self {
            Self::Search => "arguments",
            Self::Shell | Self::LocalShell => "action",
            Self::Patch => "operation",
        }
    }

    /// It as a function.
    pub(super) fn function(self, object: &mut Object<'_>, at: &Path<'_>) -> Result<Tool, Refusal> {
        let (description, parameters) = (object.text("description", at)?, object.raw("parameters"));
        let (about, schema) = self.about();
        Ok(Tool::Function {
            name: self.name().to_owned(),
            description: description.or_else(|| Some(about.to_owned())),
            parameters: parameters.or_else(|| RawValue::from_string(schema.to_string()).ok()),
            strict: None,
            cache: None,
            extra: Fields::new(),
        })
    }

    /// The words by which a model learns what OpenAI's models know, and the schema of what it is to say.
    fn about(self) -> (&'static str, Value) {
        let text = json!({"type": "string"});
        let texts = json!({"type": "array", "items": text});
        let count = json!({"type": "integer"});
        let (about, properties, required) = match self {
            Self::Search => {
                ("Finds further tools, which can be called then.", json!({"query": text}), json!(["query"]))
            }
            Self::Shell => (
                "Runs shell commands on the user's machine, each by itself, and gives what they print.",
                json!({"commands": texts, "timeout_ms": count, "max_output_length": count}),
                json!(["commands"]),
            ),
            Self::LocalShell => (
                "Runs a program on the user's machine and gives what it prints. `command` is the program and its \
                 arguments.",
                json!({"command": texts, "working_directory": text, "timeout_ms": count,
                    "env": {"type": "object", "additionalProperties": text}}),
                json!(["command"]),
            ),
            Self::Patch => (
                "Creates, updates or deletes one file. `diff` is in the V4A format: sections begin with a line `@@`, \
                 which may name the class or function they are in, and have no line numbers; each further line begins \
                 with a space (context, some three lines around a change), `-` (removed) or `+` (added). Of a new file \
                 each line begins with `+`. A deleted file has none.",
                json!({"type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]}, "path": text,
                    "diff": text}),
                json!(["type", "path"]),
            ),
        };
        (about, json!({"type": "object", "properties": properties, "required": required}))
    }

    /// The call that an item is; `None`: OpenAI has run it itself, which names no call.
    pub(super) fn call(self, object: &mut Object<'_>, at: &Path<'_>) -> Result<Option<ToolCall>, Refusal> {
        let Some(id) = object.text("call_id", at)? else { return Ok(None) };
        let said = object.raw(self.member());
        let mut said: Map<String, Value> = said
            .and_then(|raw| serde_json::from_str(&string(&raw).unwrap_or_else(|| raw.get().to_owned())).ok())
            .unwrap_or_default();
        said.retain(|_, value| !value.is_null());
        if self == Self::LocalShell {
            said.shift_remove("type");
        }
        Ok(Some(ToolCall { id, name: self.name().to_owned(), arguments: Value::Object(said).to_string() }))
    }

    /// A function's arguments as its items say them. Arguments that are no JSON ask for nothing.
    pub(super) fn said(self, arguments: &str) -> String {
        let mut said: Map<String, Value> = serde_json::from_str(arguments).unwrap_or_default();
        let unsaid: &[(&str, Value)] = match self {
            Self::Search => &[],
            Self::Shell => &[("commands", json!([])), ("timeout_ms", Value::Null), ("max_output_length", Value::Null)],
            Self::LocalShell => &[("type", json!("exec")), ("command", json!([])), ("env", json!({}))],
            Self::Patch => &[("type", json!("update_file")), ("path", json!("")), ("diff", json!(""))],
        };
        let deletes = said.get("type").is_some_and(|kind| kind == "delete_file");
        for (name, value) in unsaid.iter().filter(|(name, _)| !(deletes && *name == "diff")) {
            said.entry(*name).or_insert_with(|| value.clone());
        }
        for name in ["commands", "command"] {
            if let Some(one @ Value::String(_)) = said.get_mut(name) {
                *one = json!([one.take()]);
            }
        }
        Value::Object(said).to_string()
    }

    /// Writes the members of an item that calls it, but for its id and status.
    pub(super) fn write(self, call_id: &str, said: &str, json: &mut Writer) {
        json.text_field("call_id", call_id);
        match self {
            Self::Search => json.text_field("execution", "client"),
            Self::Shell => {
                json.open_field("environment", b'{');
                json.text_field("type", "local");
                json.close(b'}');
            }
            Self::LocalShell | Self::Patch => {}
        }
        json.key(self.member());
        json.raw(said);
    }

    /// The kind of the items that call it.
    pub(super) fn item(self) -> &'static str {
        match self {
            Self::Search => "tool_search_call",
            Self::Shell => "shell_call",
            Self::LocalShell => "local_shell_call",
            Self::Patch => "apply_patch_call",
        }
    }
}

/// The output of a shell, command by command, as a model reads it.
pub(super) fn printed(output: &RawValue) -> Vec<Part> {
    #[derive(Deserialize)]
    struct Printed {
        #[serde(default)]
        stdout: String,
        #[serde(default)]
        stderr: String,
        outcome: Option<Outcome>,
    }
    #[derive(Deserialize)]
    struct Outcome {
        r#type: Option<String>,
        exit_code: Option<i64>,
    }
    if let Some(text) = string(output) {
        return if text.is_empty() { Vec::new() } else { vec![Part::text(text)] };
    }
    let Ok(list) = serde_json::from_str::<Vec<Printed>>(output.get()) else {
        return vec![Part::text(one_line(output))];
    };
    let one = |Printed { stdout, stderr, outcome }: Printed| {
        let end = outcome.map(|outcome| match outcome.exit_code {
            Some(code) => format!("Exit code: {code}"),
            None => format!("Ended by: {}", outcome.r#type.as_deref().unwrap_or("unknown")),
        });
        let lines = [stdout, stderr, end.unwrap_or_default()];
        let lines = lines.iter().map(|text| text.trim_end()).filter(|text| !text.is_empty());
        Part::text(lines.collect::<Vec<_>>().join("\n"))
    };
    list.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::ROOT;

    fn of(json: &str) -> Option<ClientTool> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        ClientTool::of(&crate::json::kind_of(json), &raw)
    }

    #[test]
    fn tools_that_a_client_runs_are_told_from_those_that_openai_runs() {
        for (json, tool) in [
            (r#"{"type":"tool_search","execution":"client"}"#, Some(ClientTool::Search)),
            (r#"{"type":"tool_search"}"#, None),
            (r#"{"type":"shell"}"#, Some(ClientTool::Shell)),
            (r#"{"type":"shell","environment":{"type":"local"}}"#, Some(ClientTool::Shell)),
            (r#"{"type":"shell","environment":{"type":"container_auto"}}"#, None),
            (r#"{"type":"local_shell"}"#, Some(ClientTool::LocalShell)),
            (r#"{"type":"apply_patch"}"#, Some(ClientTool::Patch)),
            (r#"{"type":"web_search"}"#, None),
        ] {
            assert_eq!(of(json), tool, "{json}");
        }
        assert_eq!(ClientTool::answered_by("tool_search_output"), Some(ClientTool::Search));
        assert_eq!(ClientTool::answered_by("shell_call_output"), Some(ClientTool::Shell));
        assert_eq!(ClientTool::answered_by("computer_call_output"), None);
        for tool in [ClientTool::Search, ClientTool::Shell, ClientTool::LocalShell, ClientTool::Patch] {
            assert_eq!(ClientTool::called_by(tool.item()), Some(tool));
        }
    }

    #[test]
    fn a_call_is_a_functions_and_its_own_again() {
        for (item, arguments) in [
            (
                r#"{"type":"tool_search_call","call_id":"c","arguments":{"query":"a","limit":1}}"#,
                r#"{"query":"a","limit":1}"#,
            ),
            (
                r#"{"type":"shell_call","call_id":"c","action":{"commands":["ls"],"timeout_ms":null,"max_output_length":null}}"#,
                r#"{"commands":["ls"]}"#,
            ),
            (
                r#"{"type":"local_shell_call","call_id":"c","action":{"command":["ls"],"env":{},"type":"exec"}}"#,
                r#"{"command":["ls"],"env":{}}"#,
            ),
            (
                r#"{"type":"apply_patch_call","call_id":"c","operation":{"type":"delete_file","path":"a"}}"#,
                r#"{"type":"delete_file","path":"a"}"#,
            ),
        ] {
            let tool = ClientTool::called_by(&crate::json::kind_of(item)).unwrap();
            let call = tool.call(&mut Object::read(item, &ROOT).unwrap(), &ROOT).unwrap().unwrap();
            assert_eq!((&*call.name, &*call.arguments), (tool.name(), arguments));
            let (said, all): (Value, Value) =
                (serde_json::from_str(&tool.said(arguments)).unwrap(), serde_json::from_str(item).unwrap());
            assert_eq!(said, all[tool.member()]);
        }
        assert_eq!(ClientTool::Shell.said("{\"comm"), r#"{"commands":[],"timeout_ms":null,"max_output_length":null}"#);
        let one: Value = serde_json::from_str(&ClientTool::Shell.said(r#"{"commands":"ls"}"#)).unwrap();
        assert_eq!(one["commands"], json!(["ls"]));
    }

    #[test]
    fn what_a_shell_printed_is_text() {
        let texts = |json: &str| {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            let text = |part: Part| match part.content {
                crate::hub::Content::Text { text, .. } => text,
                _ => String::new(),
            };
            printed(&raw).into_iter().map(text).collect::<Vec<_>>()
        };
        let two = r#"[{"stdout":"a\n","stderr":"b","outcome":{"type":"exit","exit_code":1}},{"stdout":"","stderr":"","outcome":{"type":"timeout"}}]"#;
        assert_eq!(texts(two), ["a\nb\nExit code: 1", "Ended by: timeout"]);
        assert_eq!(texts(r#""a""#), ["a"]);
        assert_eq!(texts(r#"{"x":1}"#), [r#"{"x":1}"#]);
        assert!(texts(r#""""#).is_empty());
    }

    const CALL: &[u8] = br#"{"model":"m","input":"x","tools":[{"type":"tool_search","execution":"client"},{"type":"function","name":"f"}]}"#;

    #[test]
    fn a_whole_answer_calls_it_in_its_own_form() {
        let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"tool_use","usage":{},"content":[
            {"type":"tool_use","id":"toolu_1","name":"tool_search","input":{"query":"a"}},{"type":"tool_use","id":"toolu_2","name":"f","input":{}}]}"#;
        let reply = crate::Dialect::AnthropicMessages.decode_reply(body).unwrap();
        let told: Value =
            serde_json::from_slice(&crate::Dialect::OpenAiResponses.encode_reply(&reply, CALL).body).unwrap();
        let search = json!({"id": "tsc_1_0", "type": "tool_search_call", "status": "completed", "call_id": "toolu_1",
            "execution": "client", "arguments": {"query": "a"}});
        assert_eq!(told["output"][0], search);
        assert_eq!(told["output"][1]["type"], "function_call");
    }

    #[test]
    fn a_stream_tells_it_whole_from_its_beginning() {
        use crate::hub::{Delta, Event, PartKind};
        let options = crate::StreamOptions { call: Some(CALL.into()), ..crate::StreamOptions::default() };
        let mut stream = crate::Dialect::OpenAiResponses.stream_encoder(options);
        let mut out = Vec::new();
        let kind = PartKind::ToolCall { id: "toolu_1".to_owned(), name: "tool_search".to_owned() };
        let piece = |text: &str| Event::Delta { choice: 0, part: 0, delta: Delta::Arguments(text.to_owned()) };
        let call = [
            Event::PartStart { choice: 0, part: 0, kind },
            piece("{\"query\":"),
            piece("\"a\"}"),
            Event::PartEnd { choice: 0, part: 0 },
            Event::End,
        ];
        call.iter().for_each(|event| stream.push(event, &mut out));
        let told = String::from_utf8(out).unwrap();
        let names: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("event: response.")).collect();
        let all = ["created", "in_progress", "output_item.added", "output_item.done", "completed"];
        assert_eq!(names, all);
        assert_eq!(told.matches(r#""arguments":{"query":"a"}"#).count(), 3);
    }
}
