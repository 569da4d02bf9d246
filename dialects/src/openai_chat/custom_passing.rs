//! Custom tools in bodies that pass, where a server knows functions only: the caller's are told as functions of one text, and their calls
//! are custom tools' again in the answer. Every other byte stays.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::custom::{self, CUSTOM, CustomTools};
use super::lines::Lines;
use crate::free_text::{FreeText, unwrapped};
use crate::hub::{Tool, ToolCall};
use crate::json::{Object, ROOT, Writer, string};
use crate::json_places::{elements, member, text};
use crate::verbatim::{Edit, splice};

/// The word of functions: a tool's and a call's type, and the member with all else.
const FUNCTION: &str = "function";
/// Of no more calls at once the texts are followed; others pass as functions'.
const MOST_CALLS: usize = 256;

/// A call whose custom tools, their choice and their calls are functions'; itself, uncopied, where there are none. What is not as the
/// dialect has it stays: its provider says so.
#[must_use]
pub fn custom_tools_as_functions(body: &Bytes) -> Bytes {
    let top = 0..body.len();
    let list = |place: Option<Range<usize>>| place.map(|place| elements(body, place)).unwrap_or_default();
    let tools = list(member(body, top.clone(), b"tools"));
    let messages = list(member(body, top.clone(), b"messages"));
    let calls = messages.into_iter().flat_map(|message| list(member(body, message, b"tool_calls")));
    let choice = member(body, top, b"tool_choice");
    let tools = tools.into_iter().filter_map(|place| edit(body, place, tool));
    let edits = tools.chain(calls.filter_map(|place| edit(body, place, call)));
    let edits: Vec<Edit> = edits.chain(choice.and_then(|place| edit(body, place, chosen))).collect();
    splice(body, &edits)
}

/// The edit of what is a custom tool's; `None`: it is none.
fn edit(body: &[u8], place: Range<usize>, written: fn(Object<'_>) -> Option<Vec<u8>>) -> Option<Edit> {
    (text(body, place.clone(), b"type") == Some(CUSTOM)).then_some(())?;
    let json = std::str::from_utf8(body.get(place.clone())?).ok()?;
    Some(Edit::write(place, written(Object::read(json, &ROOT).ok()?)?))
}

/// An object of a function's.
fn of_function(json: &mut Writer, write: impl FnOnce(&mut Writer)) {
    json.text_field("type", FUNCTION);
    json.open_field(FUNCTION, b'{');
    write(json);
    json.close(b'}');
}

fn tool(mut object: Object<'_>) -> Option<Vec<u8>> {
    let Tool::Function { name, description, parameters, .. } = custom::tool(&mut object, &ROOT).ok()? else {
        return None;
    };
    let mut json = Writer::default();
    json.open(b'{');
    of_function(&mut json, |json| {
        json.text_field("name", &name);
        description.into_iter().for_each(|text| json.text_field("description", &text));
        parameters.into_iter().for_each(|schema| json.raw_field("parameters", &schema));
    });
    json.close(b'}');
    Some(json.into_bytes())
}

fn call(mut object: Object<'_>) -> Option<Vec<u8>> {
    let ToolCall { id, name, arguments } = custom::call(&mut object, &ROOT).ok()?;
    let mut json = Writer::default();
    json.open(b'{');
    json.text_field("id", &id);
    of_function(&mut json, |json| {
        json.text_field("name", &name);
        json.text_field("arguments", &arguments);
    });
    object.members().filter(|(name, _)| *name != "type").for_each(|(name, raw)| json.raw_field(name, raw));
    json.close(b'}');
    Some(json.into_bytes())
}

fn chosen(mut object: Object<'_>) -> Option<Vec<u8>> {
    let name = custom::chosen(&mut object, &ROOT).ok()?;
    let mut json = Writer::default();
    json.open(b'{');
    of_function(&mut json, |json| json.text_field("name", &name));
    json.close(b'}');
    Some(json.into_bytes())
}

/// Tells calls of a caller's custom tools as those in an answer of a server that was told functions.
#[derive(Debug)]
pub struct CustomCalls {
    tools: CustomTools,
    lines: Lines,
    growing: Growing,
}

impl CustomCalls {
    /// Of the answer to this call, as its caller sent it; `None`: it gives no custom tools.
    #[must_use]
    pub fn of(call: &[u8]) -> Option<Self> {
        let tools = CustomTools::of(call);
        (!tools.is_empty()).then(|| Self { tools, lines: Lines::default(), growing: BTreeMap::new() })
    }

    /// A whole answer; itself, uncopied, where it calls none.
    #[must_use]
    pub fn whole(&self, body: &Bytes) -> Bytes {
        let edits: Vec<Edit> =
            calls(body, b"message").into_iter().filter_map(|(_, place)| self.edit(body, place)).collect();
        splice(body, &edits)
    }

    fn edit(&self, body: &[u8], place: Range<usize>) -> Option<Edit> {
        let (mut object, function) = read(body, place.clone())?;
        let Function { name, arguments } = function;
        let name = name.filter(|name| self.tools.has(name))?;
        Some(Edit::write(place, told(&mut object, Some(&name), &unwrapped(&arguments))))
    }

    /// Takes the next bytes of a stream of server-sent events, cut anywhere, and appends what they are.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Self { tools, lines, growing } = self;
        lines.push(bytes, out, |line, out| tell_line(line, (tools, growing), out));
    }

    /// The stream has come to its end: appends what was held.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let Self { tools, lines, growing } = self;
        lines.finish(out, |line, out| tell_line(line, (tools, growing), out));
    }

    /// The memory that a line takes whose end is still to come.
    #[must_use]
    pub fn held(&self) -> usize {
        self.lines.held()
    }
}

/// Calls that are being told, by their answer's number and their own, with the id of each.
type Growing = BTreeMap<(u64, u64), (Option<String>, FreeText)>;

fn tell_line(line: &[u8], (tools, growing): (&CustomTools, &mut Growing), out: &mut Vec<u8>) {
    let data = line.strip_prefix(b"data:").filter(|data| memmem::find(data, b"\"tool_calls\"").is_some());
    let Some(data) = data else { return out.extend_from_slice(line) };
    let data = Bytes::copy_from_slice(data);
    let pieces = calls(&data, b"delta").into_iter();
    let edits: Vec<Edit> = pieces.filter_map(|(choice, place)| piece(&data, (choice, place), tools, growing)).collect();
    out.extend_from_slice(b"data:");
    out.extend_from_slice(&splice(&data, &edits));
}

/// The edit of a piece of a call; `None`: it is a function's.
fn piece(
    data: &[u8],
    (choice, place): (u64, Range<usize>),
    tools: &CustomTools,
    growing: &mut Growing,
) -> Option<Edit> {
    let (mut object, Function { name, arguments }) = read(data, place.clone())?;
    let number = |name| object.members().find(|(known, _)| *known == name).and_then(|(_, raw)| raw.get().parse().ok());
    let key = (choice, number("index").unwrap_or(0));
    let id =
        object.members().find(|(name, _)| *name == "id").and_then(|(_, raw)| string(raw)).filter(|id| !id.is_empty());
    // Some servers say its name with every piece of a call.
    let goes_on = growing.get(&key).is_some_and(|(known, _)| id.is_none() || id == *known);
    let begins = name.filter(|name| !name.is_empty() && !goes_on);
    if let Some(name) = &begins {
        growing.remove(&key);
        if tools.has(name) && growing.len() < MOST_CALLS {
            growing.insert(key, (id, FreeText::default()));
        }
    }
    let (_, text) = growing.get_mut(&key)?;
    let said = text.push(&arguments);
    Some(Edit::write(place, told(&mut object, begins.as_deref(), &said)))
}

/// The places of the calls in each answer, with that one's number.
fn calls(json: &[u8], within: &[u8]) -> Vec<(u64, Range<usize>)> {
    let choices = member(json, 0..json.len(), b"choices").map(|list| elements(json, list)).unwrap_or_default();
    let of = |choice: Range<usize>| {
        let number =
            member(json, choice.clone(), b"index").and_then(|place| serde_json::from_slice(json.get(place)?).ok());
        let list = member(json, member(json, choice, within)?, b"tool_calls")?;
        let number = number.unwrap_or(0);
        Some(elements(json, list).into_iter().map(move |call| (number, call)))
    };
    choices.into_iter().filter_map(of).flatten().collect()
}

/// A function's call, or a piece of one.
struct Function {
    name: Option<String>,
    arguments: String,
}

/// The object of a call without its function, and that.
fn read(json: &[u8], place: Range<usize>) -> Option<(Object<'_>, Function)> {
    let mut object = Object::read(std::str::from_utf8(json.get(place)?).ok()?, &ROOT).ok()?;
    let mut function = object.object(FUNCTION, &ROOT).ok()??;
    let name = function.text("name", &ROOT).ok()?;
    // Some give the object itself rather than its text.
    let said = |raw: &RawValue| string(raw).unwrap_or_else(|| raw.get().to_owned());
    Some((object, Function { name, arguments: function.take("arguments").map(said).unwrap_or_default() }))
}

/// The call as a custom tool's, or a piece of it where it has no name.
fn told(object: &mut Object<'_>, name: Option<&str>, input: &str) -> Vec<u8> {
    object.take("type");
    let mut json = Writer::default();
    json.open(b'{');
    object.members().for_each(|(name, raw)| json.raw_field(name, raw));
    match name {
        Some(name) => custom::write(name, input, &mut json),
        None => {
            json.open_field(CUSTOM, b'{');
            json.text_field("input", input);
            json.close(b'}');
        }
    }
    json.close(b'}');
    json.into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CALL: &str = r#"{"model":"m", "n":1.50,"tools":[{"type":"custom","custom":{"name":"patch","format":{"type":"text"}}},{"type":"function","function":{"name":"f"}}],
        "messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"patch","input":"\"1\""}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]}],
        "tool_choice":{"type":"custom","custom":{"name":"patch"}}}"#;

    #[test]
    fn a_call_gives_functions_and_every_other_byte_stays() {
        let told = custom_tools_as_functions(&Bytes::from(CALL));
        assert!(told.starts_with(br#"{"model":"m", "n":1.50,"tools":[{"type":"function","#));
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["tools"][0]["function"]["name"], "patch");
        assert_eq!(told["tools"][0]["function"]["parameters"]["required"], json!(["input"]));
        assert_eq!(told["tools"][1], json!({"type": "function", "function": {"name": "f"}}));
        assert_eq!(
            told["messages"][1]["tool_calls"],
            json!([{"id": "a", "type": "function", "function": {"name": "patch", "arguments": "{\"input\":\"\\\"1\\\"\"}"}},
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}])
        );
        assert_eq!(told["tool_choice"], json!({"type": "function", "function": {"name": "patch"}}));
        let none = Bytes::from_static(br#"{"model":"m","tools":[{"type":"custom","name":"x"}]}"#);
        assert_eq!(custom_tools_as_functions(&none).as_ptr(), none.as_ptr(), "uncopied");
    }

    #[test]
    fn a_whole_answer_calls_custom_tools_again() {
        let calls = CustomCalls::of(CALL.as_bytes()).unwrap();
        let body = |first: &str| {
            Bytes::from(format!(
                r#"{{ "choices":[{{"index":0,"message":{{"content":null,"tool_calls":[{first}, {{"id":"b","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}}}}]}}"#
            ))
        };
        let given =
            body(r#"{"id":"a","type":"function","function":{"name":"patch","arguments":"{\"input\": \"x\\n\"}"}}"#);
        assert_eq!(calls.whole(&given), body(r#"{"id":"a","type":"custom","custom":{"name":"patch","input":"x\n"}}"#));
        assert!(CustomCalls::of(br#"{"tools":[{"type":"function","function":{"name":"custom"}}]}"#).is_none());
    }

    #[test]
    fn a_stream_calls_them_again_wherever_it_is_cut() {
        let chunk =
            |call: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{call}]}}}}]}}\n\n");
        let given = [
            chunk(r#"{"index":0,"id":"a","type":"function","function":{"name":"patch","arguments":""}}"#),
            chunk(r#"{"index":0,"function":{"arguments":"{\"inp"}}"#),
            chunk(r#"{"index":0,"function":{"arguments":"ut\": \"x\\"}}"#),
            chunk(r#"{"index":0,"function":{"arguments":"ny\"}"}}"#),
            chunk(r#"{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}"#),
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat();
        let made = [
            chunk(r#"{"index":0,"id":"a","type":"custom","custom":{"name":"patch","input":""}}"#),
            chunk(r#"{"index":0,"custom":{"input":""}}"#),
            chunk(r#"{"index":0,"custom":{"input":"x"}}"#),
            chunk(r#"{"index":0,"custom":{"input":"\ny"}}"#),
            chunk(r#"{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}"#),
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat();
        for at in 0..=given.len() {
            let (mut calls, mut out) = (CustomCalls::of(CALL.as_bytes()).unwrap(), Vec::new());
            calls.push(&given.as_bytes()[..at], &mut out);
            calls.push(&given.as_bytes()[at..], &mut out);
            calls.finish(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), made, "{at}");
        }
    }
}
