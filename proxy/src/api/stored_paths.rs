//! The paths of things that providers keep and callers come back for, one row each: by their ids, and what is to be done about them.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;
use sluicegate_dialects::Dialect;

use crate::account::Operation;

/// The thing to be done about what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredAction {
    /// It is fetched.
    Retrieve,
    /// Its making is ended.
    Cancel,
    /// It is forgotten.
    Delete,
    /// The items that led to it are listed.
    InputItems,
}

/// A row.
#[derive(Debug)]
pub(crate) struct StoredPath {
    /// The path's pattern; `{id}` stands for one segment.
    path: &'static str,
    pub(crate) dialect: Dialect,
    pub(crate) operation: Operation,
    /// The methods it takes.
    pub(crate) methods: &'static str,
    actions: &'static [(&'static str, StoredAction)],
    /// The part behind the id in the provider's path.
    pub(crate) behind: &'static str,
    /// The members of its query that go on.
    pub(crate) query: &'static [&'static str],
}

const RESPONSE: StoredPath = StoredPath {
    path: "/v1/responses/{id}",
    dialect: Dialect::OpenAiResponses,
    operation: Operation::StoredResponse,
    methods: "GET, DELETE, OPTIONS",
    actions: &[("GET", StoredAction::Retrieve), ("DELETE", StoredAction::Delete)],
    behind: "",
    query: &["include", "include[]", "stream", "starting_after", "include_obfuscation"],
};
const INPUT_ITEMS: StoredPath = StoredPath {
    path: "/v1/responses/{id}/input_items",
    methods: "GET, OPTIONS",
    actions: &[("GET", StoredAction::InputItems)],
    behind: "/input_items",
    query: &["include", "include[]", "limit", "order", "after", "before"],
    ..RESPONSE
};
const CANCEL: StoredPath = StoredPath {
    path: "/v1/responses/{id}/cancel",
    methods: "POST, OPTIONS",
    actions: &[("POST", StoredAction::Cancel)],
    behind: "/cancel",
    query: &[],
    ..RESPONSE
};

/// Every row; no two have patterns that fit one path.
const STORED_PATHS: [StoredPath; 9] = [
    RESPONSE,
    INPUT_ITEMS,
    CANCEL,
    StoredPath { path: "/openai/v1/responses/{id}", ..RESPONSE },
    StoredPath { path: "/openai/v1/responses/{id}/input_items", ..INPUT_ITEMS },
    StoredPath { path: "/openai/v1/responses/{id}/cancel", ..CANCEL },
    StoredPath { path: "/openai/responses/{id}", ..RESPONSE },
    StoredPath { path: "/openai/responses/{id}/input_items", ..INPUT_ITEMS },
    StoredPath { path: "/openai/responses/{id}/cancel", ..CANCEL },
];

/// A path of the table.
#[derive(Debug)]
pub(crate) struct StoredMatch {
    pub(crate) row: &'static StoredPath,
    /// The id that it names, unescaped: whatever a caller may write there.
    pub(crate) id: String,
}

/// Finds a path's row.
pub(crate) fn find(path: &str) -> Option<StoredMatch> {
    STORED_PATHS.iter().find_map(|row| {
        let (before, behind) = row.path.split_once("{id}")?;
        let id = path.strip_prefix(before)?.strip_suffix(behind)?;
        let is_one = !id.is_empty() && !id.contains('/');
        is_one.then(|| StoredMatch { row, id: unescaped(id) })
    })
}

impl StoredPath {
    /// The thing to be done by this method; `None`: it takes none such.
    pub(crate) fn action(&self, method: &Method) -> Option<StoredAction> {
        self.actions.iter().find(|(taken, _)| *taken == method.as_str()).map(|(_, action)| *action)
    }

    /// The part of a caller's query that goes on, as it stands there.
    pub(crate) fn query(&self, said: Option<&str>) -> String {
        let passes = |member: &&str| {
            let name = member.split('=').next().unwrap_or_default();
            self.query.contains(&&*unescaped(name))
        };
        let members = said.into_iter().flat_map(|query| query.split('&'));
        members.filter(passes).collect::<Vec<_>>().join("&")
    }
}

fn unescaped(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_what_is_kept() {
        use StoredAction::{Cancel, Delete, InputItems, Retrieve};
        for (method, path, wanted) in [
            (Method::GET, "/v1/responses/resp_1", Some((Retrieve, "resp_1"))),
            (Method::DELETE, "/openai/v1/responses/resp_1", Some((Delete, "resp_1"))),
            (Method::GET, "/v1/responses/resp_1/input_items", Some((InputItems, "resp_1"))),
            (Method::POST, "/openai/responses/a%2Fb/cancel", Some((Cancel, "a/b"))),
            (Method::GET, "/v1/responses/..%2F..%2Ffiles", Some((Retrieve, "../../files"))),
            (Method::POST, "/v1/responses/resp_1", None),
            (Method::GET, "/v1/responses/", None),
            (Method::GET, "/v1/responses//input_items", None),
            (Method::GET, "/v1/responses/a/b", None),
            (Method::GET, "/v1/responses/../files/input_items", None),
        ] {
            let found = find(path);
            let action = found.as_ref().and_then(|found| Some((found.row.action(&method)?, &*found.id)));
            assert_eq!(action, wanted, "{method} {path}");
        }
    }

    #[test]
    fn of_a_query_goes_on_what_the_path_knows() {
        let of = |said| RESPONSE.query(Some(said));
        assert_eq!(of("stream=true&starting_after=3&key=secret&x=1"), "stream=true&starting_after=3");
        assert_eq!(of("include[]=a&include%5B%5D=b&&=&api-version=1"), "include[]=a&include%5B%5D=b");
        assert_eq!((CANCEL.query(Some("stream=true")), RESPONSE.query(None)), (String::new(), String::new()));
    }
}
