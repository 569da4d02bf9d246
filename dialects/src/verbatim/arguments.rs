//! Arguments of tool calls for a server that reads them, put into a body that stays as it is otherwise: a model is known to have written
//! broken ones, or another server none, and the conversation would be refused from there on.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::splice::{Edit, splice};
use crate::call_arguments::as_object;
use crate::json::string;
use crate::vendors::LookAlike;

/// The body with arguments that are JSON objects where the look-alike reads them; itself, uncopied, where they are so already.
#[must_use]
pub fn fit_arguments(body: &Bytes, look_alike: Option<&LookAlike>) -> Bytes {
    if !look_alike.is_some_and(|row| row.reads_arguments) || memmem::find(body, b"\"arguments\"").is_none() {
        return body.clone();
    }
    // What is broken goes on as it is: the provider says so.
    let Ok(ToldBody { messages }) = serde_json::from_slice(body) else { return body.clone() };
    let mut edits = Vec::new();
    for message in messages {
        let Ok(ToldTurn { tool_calls }) = serde_json::from_str(message.get()) else { continue };
        let calls = tool_calls.into_iter().flatten().filter_map(|call| call.function?.arguments);
        for raw in calls {
            let Some(arguments) = string(raw) else { continue };
            let object = as_object(&arguments);
            if object != arguments.trim() {
                let start = (raw.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
                let span = start..start + raw.get().len();
                edits.push(Edit::write(span, serde_json::to_string(&object).unwrap_or_default()));
            }
        }
    }
    splice(body, &edits)
}

#[derive(Deserialize)]
struct ToldBody<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToldTurn<'a> {
    #[serde(borrow)]
    tool_calls: Option<Vec<ToldCall<'a>>>,
}

#[derive(Deserialize)]
struct ToldCall<'a> {
    #[serde(borrow)]
    function: Option<ToldFunction<'a>>,
}

#[derive(Deserialize)]
struct ToldFunction<'a> {
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_objects_where_they_are_read() {
        let of = |arguments: &str| {
            Bytes::from(format!(
                r#"{{"messages":[{{"role":"user","content":"\"arguments\""}},{{"role":"assistant","tool_calls":[{{"id":"a","function":{{"name":"f","arguments":{arguments} }}}},{{"id":"b"}}]}}],"x":1.50}}"#
            ))
        };
        let row = LookAlike::named("vLLM");
        for (given, made) in [
            (r#""""#, r#""{}""#),
            (r#""{\"value\": ""#, r#""{\"_unparsed_arguments\":\"{\\\"value\\\": \"}""#),
            (r#"" {\"a\": 1}\n""#, r#"" {\"a\": 1}\n""#),
            ("{}", "{}"),
        ] {
            assert_eq!(fit_arguments(&of(given), row.as_ref()), of(made), "{given}");
            assert_eq!(fit_arguments(&of(given), LookAlike::named("Groq").as_ref()), of(given), "{given}");
            assert_eq!(fit_arguments(&of(given), None), of(given), "{given}");
        }
    }
}
