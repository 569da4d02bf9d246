//! Schemas of tools in a body that goes to a server which refuses the whole call for one that it does not take, or hands them on to a
//! vendor that does.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::splice::{Edit, splice};
use crate::open_api::in_open_api;
use crate::vendors::LookAlike;

/// The body with its tools' schemas in the words that the look-alike knows, or the vendor behind it; itself, uncopied, where they are.
#[must_use]
pub fn fit_schemas(body: &Bytes, look_alike: Option<&LookAlike>, model: &str) -> Bytes {
    // Of an unknown make nobody knows.
    let Some(row) = look_alike.filter(|row| !row.name.is_empty() && (!row.any_pattern || row.typed_schemas)) else {
        return body.clone();
    };
    // What is broken goes on as it is: the provider says so.
    let Ok(ToolBody { tools: Some(tools) }) = serde_json::from_slice(body) else { return body.clone() };
    let edit = |raw: &&RawValue| {
        let tool: ListedTool<'_> = serde_json::from_str(raw.get()).ok()?;
        let schema = tool.function?.parameters?;
        let fitted = match row.hands_on_to_gemini(model) {
            true => in_open_api(schema),
            false => row.schema(Cow::Borrowed(schema)),
        };
        let start = (schema.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        (fitted.get() != schema.get()).then(|| Edit::write(start..start + schema.get().len(), fitted.get()))
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
}

#[derive(Deserialize)]
struct ToolFunction<'a> {
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

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
