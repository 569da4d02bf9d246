//! Schemas of tools in a body that goes to a server which refuses the whole call for one that it does not take, or hands them on to a
//! vendor that does.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::splice::{Edit, splice};
use crate::open_api::in_open_api;
use crate::schema_patterns::portable;
use crate::vendors::LookAlike;

/// The body with its tools' schemas in the words that the look-alike knows, or the vendor behind it; itself, uncopied, where they are.
#[must_use]
pub fn fit_schemas(body: &Bytes, look_alike: Option<&LookAlike>, model: &str) -> Bytes {
    // Of an unknown make nobody knows.
    let Some(row) = look_alike.filter(|row| !row.name.is_empty() && (!row.any_pattern || row.typed_schemas)) else {
        return body.clone();
    };
    edited(body, |schema| match row.hands_on_to_gemini(model) {
        true => in_open_api(schema),
        false => row.schema(Cow::Borrowed(schema)),
    })
}

/// The body with those regular expressions alone in its tools' schemas that every engine compiles; itself, uncopied, where it has no others.
pub(crate) fn with_portable_patterns(body: &Bytes) -> Bytes {
    edited(body, |schema| portable(Cow::Borrowed(schema)))
}

/// The body with its tools' schemas as `fitted` writes them.
fn edited(body: &Bytes, fitted: impl Fn(&RawValue) -> Cow<'_, RawValue>) -> Bytes {
    // What is broken goes on as it is: the provider says so.
    let Ok(ToolBody { tools: Some(tools) }) = serde_json::from_slice(body) else { return body.clone() };
    let edit = |raw: &&RawValue| {
        let tool: ListedTool<'_> = serde_json::from_str(raw.get()).ok()?;
        let schema = tool.function.and_then(|function| function.parameters).or(tool.parameters)?;
        let made = fitted(schema);
        let start = (schema.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        (made.get() != schema.get()).then(|| Edit::write(start..start + schema.get().len(), made.get()))
    };
    splice(body, &tools.iter().filter_map(edit).collect::<Vec<_>>())
}

#[derive(Deserialize)]
struct ToolBody<'a> {
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct ListedTool<'a> {
    #[serde(borrow)]
    function: Option<ToolFunction<'a>>,
    /// The Responses API's place.
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolFunction<'a> {
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    #[test]
    fn schemas_are_fitted_where_they_are_handed_on() {
        let of = |words: &str| {
            format!(
                r#"{{"x":1.50,"tools":[{{"type":"function","function":{{"name":"f","parameters":{{{words}"type":"object"}} }}}},{{"type":"other"}}]}}"#
            )
        };
        let body = Bytes::from(of(r#""$schema":"s","#));
        let databricks = LookAlike::named("Databricks");
        let fitted = |row: Option<&LookAlike>, model| fit_schemas(&body, row, model);
        assert_eq!(fitted(databricks.as_ref(), "databricks-gemini-3-8-flash"), of(""));
        assert_eq!(fitted(databricks.as_ref(), "databricks-claude-sonnet-4-5"), body);
        assert_eq!(fitted(Some(&LookAlike::default()), "gemini-3-pro"), body);
        assert_eq!(fitted(None, "gemini-3-pro"), body);
    }

    #[test]
    fn patterns_that_openai_refuses_are_said_for_a_caller_of_another_model() {
        for tool in
            [r#"{"type":"function","parameters":SCHEMA }"#, r#"{"type":"function","function":{"parameters":SCHEMA}}"#]
        {
            let of =
                |schema: &str| Bytes::from(format!(r#"{{"x":1.50,"tools":[{}]}}"#, tool.replace("SCHEMA", schema)));
            let given = of(r#"{"pattern":"^(?!a)"}"#);
            let made = of(r#"{"description":"Constraints: pattern: \"^(?!a)\"."}"#);
            for (dialect, asked, model, fitted) in [
                (Dialect::OpenAiResponses, "claude-opus-5", "gpt-5.6", &made),
                (Dialect::OpenAiChat, "smart", "gpt-5.6", &made),
                (Dialect::OpenAiChat, "gpt-5.5", "gpt-5.6", &given),
                (Dialect::OpenAiChat, "smart", "smart", &given),
                (Dialect::CohereChat, "smart", "command-a", &given),
            ] {
                assert_eq!(dialect.fit_patterns(&given, asked, model), *fitted, "{asked} {model}");
            }
        }
    }

    #[test]
    fn a_server_that_refuses_a_schema_gets_it_in_other_words() {
        let of = |schema: &str| {
            format!(r#"{{"tools":[{{"type":"function","function":{{"name":"f","parameters":{schema} }}}}],"x":1.50}}"#)
        };
        let fitted = |name, schema: &str| {
            let body = fit_schemas(&Bytes::from(of(schema)), LookAlike::named(name).as_ref(), "m");
            String::from_utf8(body.to_vec()).unwrap()
        };
        let pattern = r#"{"pattern":"^(?!a)"}"#;
        assert_eq!(fitted("DeepSeek", pattern), of(r#"{"description":"Constraints: pattern: \"^(?!a)\"."}"#));
        assert_eq!(fitted("vLLM", pattern), of(pattern));
        assert_eq!(fitted("", pattern), of(pattern));
        assert_eq!(fitted("Moonshot", r#"{"enum":["a"]}"#), of(r#"{"type":"string","enum":["a"]}"#));
    }
}
