//! `GET /v1/models`: the models that callers can ask for, in the shape of the SDK that asks. Written once per
//! configuration, when somebody asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::{Dialect, ListedModel};

use crate::errors::Problem;

/// The most models that are listed; further ones are served, and found by name.
const MOST_LISTED: usize = 10_000;

/// The list, and what has been written of it.
#[derive(Debug, Default)]
pub(crate) struct Models {
    /// By name.
    known: Vec<ListedModel>,
    /// The whole list, by dialect.
    written: Mutex<HashMap<Dialect, Bytes>>,
}

impl Models {
    /// Of these names, each with the time at which its route was created.
    #[must_use]
    pub(crate) fn of<'a>(names: impl Iterator<Item = (&'a str, i64)>) -> Self {
        let mut known = BTreeMap::new();
        for (name, at) in names {
            if known.len() >= MOST_LISTED && !known.contains_key(name) {
                continue;
            }
            let created = known.entry(name).or_insert(at);
            *created = at.min(*created);
        }
        let known: Vec<_> = known.into_iter().map(|(name, at)| (name.to_owned(), at)).collect();
        Self { known, written: Mutex::default() }
    }

    /// The list, or the part of it that a caller asks for in the query, in the words of this dialect.
    ///
    /// # Errors
    /// What is asked for makes no sense.
    pub(crate) fn list(&self, dialect: Dialect, query: Option<&str>) -> Result<Bytes, Problem> {
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            return Ok(dialect.model_list(&self.known, Some(query))?);
        }
        // Nothing panics while it is held, and what is in it is whole.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = written.get(&dialect) {
            return Ok(list.clone());
        }
        let list = dialect.model_list(&self.known, None)?;
        written.insert(dialect, list.clone());
        Ok(list)
    }
}

/// The answer to a model that no route takes.
pub(crate) fn unknown(model: &str) -> Problem {
    let shown: String = model.chars().take(200).collect();
    let message = format!(
        "The model `{shown}` does not exist here: no route of this gateway takes it. GET /v1/models lists those that do."
    );
    Problem::client(ErrorKind::NotFound, message).code("model_not_found").param("model".to_owned()).retry(false, None)
}
