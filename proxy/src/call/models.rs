//! `GET /v1/models`: the models that callers can ask for, in the shape of the SDK that asks. Written once per
//! configuration, when somebody asks.

use std::collections::BTreeMap;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::ErrorKind;

use crate::errors::Problem;

/// The most models that are listed; further ones are served, and found by name.
const MOST_LISTED: usize = 10_000;
/// Anthropic's own bound.
const MOST_ON_A_PAGE: usize = 1_000;

/// The list, in both shapes.
#[derive(Debug, Default)]
pub struct Models {
    /// By name.
    known: Vec<(String, i64)>,
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
        let known: Vec<_> = known.into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
        let openai = json!({"object": "list", "data": shaped(&known, openai)});
        Self { openai: openai.to_string().into(), anthropic: page(&known, false), known }
    }

    /// The list, or the part of it that an Anthropic caller asks for in its query; OpenAI's list has no parts.
    ///
    /// # Errors
    /// What is asked for makes no sense.
    pub fn list(&self, dialect: Dialect, query: Option<&str>) -> Result<Bytes, Problem> {
        if dialect == Dialect::OpenAiChat {
            return Ok(self.openai.clone());
        }
        let Wanted { limit, after, before } = Wanted::read(query.unwrap_or_default())?;
        if limit.is_none() && after.is_none() && before.is_none() {
            return Ok(self.anthropic.clone());
        }
        // A name that is gone since the page before still has its place.
        let start = after.as_ref().map_or(0, |id| self.known.partition_point(|(name, _)| name <= id));
        let end = before.as_ref().map_or(self.known.len(), |id| self.known.partition_point(|(name, _)| name < id));
        let listed = self.known.get(start..end).unwrap_or_default();
        let most = limit.unwrap_or(listed.len()).min(listed.len());
        // What stands before a name is asked for from there backwards.
        let backwards = after.is_none() && before.is_some();
        let (left, right) = listed.split_at(if backwards { listed.len() - most } else { most });
        let (shown, rest) = if backwards { (right, left) } else { (left, right) };
        Ok(page(shown, !rest.is_empty()))
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

/// Which part of the list is asked for, in Anthropic's words.
#[derive(Debug, Default)]
struct Wanted {
    limit: Option<usize>,
    after: Option<String>,
    before: Option<String>,
}

impl Wanted {
    fn read(query: &str) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            match name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST_ON_A_PAGE).contains(limit));
                    wanted.limit = Some(limit.ok_or_else(wrong_limit)?);
                }
                "after_id" => wanted.after = Some(value),
                "before_id" => wanted.before = Some(value),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

fn wrong_limit() -> Problem {
    let message = format!("limit: must be a whole number from 1 to {MOST_ON_A_PAGE}");
    Problem::client(ErrorKind::InvalidRequest, message).param("limit".to_owned())
}

fn page(models: &[(String, i64)], more: bool) -> Bytes {
    let id = |model: Option<&(String, i64)>| model.map(|(id, _)| id.clone());
    let (first, last) = (id(models.first()), id(models.last()));
    let page = json!({"data": shaped(models, anthropic), "has_more": more, "first_id": first, "last_id": last});
    page.to_string().into()
}

fn shaped(models: &[(String, i64)], shape: fn(&str, i64) -> Value) -> Vec<Value> {
    models.iter().map(|(id, at)| shape(id, *at)).collect()
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

    #[test]
    fn a_part_of_the_list_is_what_was_asked_for() {
        let models = Models::of(["a", "b", "c/d", "e", "f"].into_iter().map(|name| (name, 0)));
        let ask = |query: &str| {
            let page = models.list(Dialect::AnthropicMessages, Some(query)).unwrap();
            let page: Value = serde_json::from_slice(&page).unwrap();
            let ids: Vec<String> =
                page["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(page["first_id"].as_str(), ids.first().map(String::as_str), "{query}");
            assert_eq!(page["last_id"].as_str(), ids.last().map(String::as_str), "{query}");
            (ids.concat(), page["has_more"].as_bool().unwrap())
        };
        for (query, ids, more) in [
            ("", "abc/def", false),
            ("beta=true", "abc/def", false),
            ("limit=1000", "abc/def", false),
            ("limit=2", "ab", true),
            ("limit=2&after_id=b", "c/de", true),
            ("limit=2&after_id=c%2Fd", "ef", false),
            ("after_id=f", "", false),
            ("after_id=bb&limit=1", "c/d", true),
            ("before_id=e&limit=2", "bc/d", true),
            ("before_id=b&limit=2", "a", false),
            ("before_id=a", "", false),
            ("after_id=a&before_id=e", "bc/d", false),
            ("after_id=e&before_id=a", "", false),
        ] {
            assert_eq!(ask(query), (ids.to_owned(), more), "{query}");
        }
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit="] {
            let problem = models.list(Dialect::AnthropicMessages, Some(query)).unwrap_err();
            assert_eq!((problem.kind, problem.param.as_deref()), (ErrorKind::InvalidRequest, Some("limit")), "{query}");
        }
        assert_eq!(models.list(Dialect::OpenAiChat, Some("limit=1")).unwrap(), models.openai);
    }
}
