//! Schemas of tools in a body that goes to a server which hands them on to a vendor as they are.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::splice::{Edit, splice};
use crate::open_api::in_open_api;
use crate::vendors::LookAlike;

/// The body with its tools' schemas in the words that the vendor behind the look-alike knows; itself, uncopied, where they are.
#[must_use]
pub fn fit_schemas(body: &Bytes, look_alike: Option<&LookAlike>, model: &str) -> Bytes {
    if !look_alike.is_some_and(|row| row.hands_on_to_gemini(model)) {
        return body.clone();
    }
    // What is broken goes on as it is: the provider says so.
    let Ok(ToolBody { tools: Some(tools) }) = serde_json::from_slice(body) else { return body.clone() };
    let edit = |raw: &&RawValue| {
        let tool: ListedTool<'_> = serde_json::from_str(raw.get()).ok()?;
        let schema = tool.function?.parameters?;
        let fitted = in_open_api(schema);
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
}
