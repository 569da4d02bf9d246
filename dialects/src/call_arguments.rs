//! The arguments of a tool's call towards vendors that take an object only: models are known to write broken JSON.

use std::borrow::Cow;

/// The place of arguments that are no JSON object: the conversation must still show the model what it wrote.
pub(crate) const UNPARSED: &str = "_unparsed_arguments";

/// The arguments as a JSON object; none are an empty one.
pub(crate) fn as_object(arguments: &str) -> Cow<'_, str> {
    let text = arguments.trim();
    if text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Cow::Borrowed(text);
    }
    if text.is_empty() {
        return Cow::Borrowed("{}");
    }
    let said = serde_json::to_string(arguments).unwrap_or_default();
    Cow::Owned(format!("{{\"{UNPARSED}\":{said}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_stands_in_one() {
        for (arguments, object) in [
            (" {\"a\": 1}\n", "{\"a\": 1}"),
            (" ", "{}"),
            ("{\"a\":", r#"{"_unparsed_arguments":"{\"a\":"}"#),
            ("[1]", r#"{"_unparsed_arguments":"[1]"}"#),
        ] {
            assert_eq!(as_object(arguments), object);
        }
    }
}
