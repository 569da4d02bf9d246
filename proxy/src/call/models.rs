//! `GET /v1/models`: the models that callers can ask for, in the shape of the SDK that asks. Written once per
//! configuration, when somebody asks.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::ErrorKind;

use crate::errors::Problem;

/// The most models that are listed; further ones are served, and found by name.
const MOST_LISTED: usize = 10_000;

/// The list, in both shapes.
#[derive(Debug, Default)]
pub struct Models {
    openai: Bytes,
    anthropic: Bytes,
}

impl Models {
    /// Of these names, each with the time at which its route was created.
    #[must_use]
    pub fn of<'a>(names: impl Iterator<Item = (&'a str, i64)>) -> Self {
        let mut known = BTreeMap::new();
        for (name, at) in names {
            if known.len() >= MOST_LISTED && !known.contains_key(name) {
                continue;
            }
            let created = known.entry(name).or_insert(at);
            *created = at.min(*created);
        }
        let list = |shape: fn(&str, i64) -> Value| known.iter().map(|(id, at)| shape(id, *at)).collect::<Vec<_>>();
        let openai = json!({"object": "list", "data": list(openai)});
        let (first, last) = (known.keys().next(), known.keys().next_back());
        let anthropic = json!({"data": list(anthropic), "has_more": false, "first_id": first, "last_id": last});
        Self { openai: openai.to_string().into(), anthropic: anthropic.to_string().into() }
    }

    /// The whole list.
    #[must_use]
    pub fn list(&self, dialect: Dialect) -> Bytes {
        match dialect {
            Dialect::OpenAiChat => self.openai.clone(),
            Dialect::AnthropicMessages => self.anthropic.clone(),
        }
    }

    /// One model, listed or not.
    #[must_use]
    pub fn one(dialect: Dialect, id: &str, created: i64) -> Bytes {
        let shape = match dialect {
            Dialect::OpenAiChat => openai,
            Dialect::AnthropicMessages => anthropic,
        };
        shape(id, created).to_string().into()
    }
}

/// The answer to a model that no route takes.
pub(super) fn unknown(model: &str) -> Problem {
    let shown: String = model.chars().take(200).collect();
    let message = format!(
        "The model `{shown}` does not exist here: no route of this gateway takes it. GET /v1/models lists those that do."
    );
    Problem::client(ErrorKind::NotFound, message).code("model_not_found").param("model".to_owned()).retry(false, None)
}

fn openai(id: &str, created: i64) -> Value {
    json!({"id": id, "object": "model", "created": created, "owned_by": "sluicegate"})
}

fn anthropic(id: &str, created: i64) -> Value {
    // A time that no calendar has is told as the beginning of time.
    let at = jiff::Timestamp::from_second(created.max(0)).unwrap_or_default();
    json!({"type": "model", "id": id, "display_name": id, "created_at": format!("{at:.0}")})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_what_sdks_parse() {
        assert_eq!(anthropic("m", 784_111_777)["created_at"], "1994-11-06T08:49:37Z");
        assert_eq!(anthropic("m", -1)["created_at"], "1970-01-01T00:00:00Z");
        assert_eq!(anthropic("m", 0)["created_at"], "1970-01-01T00:00:00Z");
    }
}
