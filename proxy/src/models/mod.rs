//! `GET /v1/models`: the models that callers can ask for and what is known of each, in the shape of the SDK that asks. The whole list is
//! written once per configuration and what providers' own lists say, when somebody asks.

mod facts;
mod filter;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::{Dialect, ListedModel};

use crate::errors::Problem;

pub(crate) use facts::{laid_over, of_pool};
pub(crate) use filter::ListFilter;

/// The most models that are listed; further ones are served, and found by name.
const MOST_LISTED: usize = 10_000;

/// The list, and what has been written of it.
#[derive(Debug, Default)]
pub(crate) struct Models {
    /// By name.
    known: Vec<ListedModel>,
    /// The whole list, by dialect, and whether as Vertex AI has it.
    written: Mutex<HashMap<(Dialect, bool), Bytes>>,
}

impl Models {
    /// The list, or the part of it that a caller asks for in the query, in the words of this dialect. `publisher`: as Vertex AI has it.
    ///
    /// # Errors
    /// The wish makes no sense.
    pub(crate) fn list(&self, dialect: Dialect, query: Option<&str>, publisher: bool) -> Result<Bytes, Problem> {
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            return Ok(dialect.model_list(&self.known, Some(query), publisher)?);
        }
        // Nothing panics while it is held, and what is in it is whole.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = written.get(&(dialect, publisher)) {
            return Ok(list.clone());
        }
        let list = dialect.model_list(&self.known, None, publisher)?;
        written.insert((dialect, publisher), list.clone());
        Ok(list)
    }
}

/// A list that is being put together: what each target and provider that serves a model adds to it.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    found: BTreeMap<String, ListedModel>,
}

impl Gathered {
    /// A model of a route that was created at this time. `false`: there are too many.
    pub(crate) fn name(&mut self, name: &str, created: i64) -> bool {
        let is_full = self.found.len() >= MOST_LISTED;
        match self.found.get_mut(name) {
            Some(known) => known.created = known.created.min(created),
            None if is_full => return false,
            None => {
                let listed = ListedModel { name: name.to_owned(), created, ..ListedModel::default() };
                self.found.insert(name.to_owned(), listed);
            }
        }
        true
    }

    /// That which one of those that serve it knows of a model.
    pub(crate) fn learn(&mut self, name: &str, known: ListedModel) {
        if let Some(listed) = self.found.get_mut(name) {
            facts::join(listed, known);
        }
    }

    /// The one model of this name, if it was found.
    pub(crate) fn only(mut self, name: &str) -> Option<ListedModel> {
        self.found.remove(name)
    }

    /// The list of those that a filter lets through.
    pub(crate) fn list(self, filter: Option<&ListFilter>) -> Models {
        let lets_through = |listed: &ListedModel| filter.is_none_or(|filter| filter.holds(listed));
        Models { known: self.found.into_values().filter(lets_through).collect(), written: Mutex::default() }
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
