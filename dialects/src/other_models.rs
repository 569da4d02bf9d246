//! Models that a call names beside its own: one that answers where its own does not, one that a vendor's tool asks. They pass with the call,
//! and whoever may not have one directly may not have it so either.

use serde::Deserialize;
use serde_json::Value;

use crate::mark::SeenMarks;

/// The models that a body names beside its own: `fallbacks` (Anthropic, and what looks like OpenAI), `models` (OpenRouter), those of its
/// tools (Anthropic's advisor, OpenAI's pictures). Each once.
#[must_use]
pub fn other_models(body: &[u8], seen: SeenMarks) -> Vec<String> {
    #[derive(Deserialize, Default)]
    struct Naming {
        #[serde(default)]
        fallbacks: Value,
        #[serde(default)]
        models: Value,
        #[serde(default)]
        tools: Value,
    }
    // Nearly every body ends here.
    if !seen.models {
        return Vec::new();
    }
    let Naming { fallbacks, models, tools } = serde_json::from_slice(body).unwrap_or_default();
    let mut found = Vec::new();
    for (list, may_be_names) in [(&fallbacks, true), (&models, true), (&tools, false)] {
        for one in list.as_array().into_iter().flatten() {
            let named = one.get("model").and_then(Value::as_str).or_else(|| one.as_str().filter(|_| may_be_names));
            found.extend(named.map(str::to_owned));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_beside_the_calls_own_is_found() {
        for (body, models) in [
            (
                r#"{"model":"m","fallbacks":[{"model":"a"},"b"],"tools":[{"type":"advisor","model":"c"}]}"#,
                &["a", "b", "c"][..],
            ),
            (r#"{"model":"m","models":["x","x"]}"#, &["x"]),
            (r#"{"model":"m","tools":[{"mod\u0065l":"a"}],"f\u0061llbacks":["b"]}"#, &["a", "b"]),
            (r#"{"model":"m","tools":[{"name":"model"}],"messages":[{"model":"m"}],"fallbacks":"x"}"#, &[]),
            (r#"{"model":"m"}"#, &[]),
        ] {
            let peek = crate::Dialect::OpenAiChat.peek(body.as_bytes(), crate::verbatim::PathSays::default()).unwrap();
            assert_eq!(other_models(body.as_bytes(), peek.marks), models, "{body}");
        }
    }
}
