//! The paths of things that providers keep and callers come back for, one row each: by their ids, and what is to be done about them.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;
use sluicegate_dialects::Dialect;

use crate::account::Operation;
use crate::sealing::IdKind;

/// The thing to be done about what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredAction {
    /// It is made.
    Create,
    /// Those that their owner has made are listed.
    List,
    /// It is fetched.
    Retrieve,
    /// Its bytes are fetched.
    Content,
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
    /// The kinds of the ids that it takes. What is made here is of the first.
    pub(crate) kinds: &'static [IdKind],
    /// The members of an answer that are ids, and what each of them names.
    pub(crate) names: &'static [(&'static str, IdKind)],
    /// The methods it takes.
    pub(crate) methods: &'static str,
    actions: &'static [(&'static str, StoredAction)],
    /// The part behind the id in the provider's path.
    pub(crate) behind: &'static str,
    /// The members of its query that go on.
    pub(crate) query: &'static [&'static str],
    /// The vendor's words for one that is not there.
    missing: &'static str,
}

const RESPONSE: StoredPath = StoredPath {
    path: "/v1/responses/{id}",
    dialect: Dialect::OpenAiResponses,
    operation: Operation::StoredResponse,
    kinds: &[IdKind::Response],
    names: &[("id", IdKind::Response), ("previous_response_id", IdKind::Response)],
    methods: "GET, DELETE, OPTIONS",
    actions: &[("GET", StoredAction::Retrieve), ("DELETE", StoredAction::Delete)],
    behind: "",
    query: &["include", "include[]", "stream", "starting_after", "include_obfuscation"],
    missing: "Response with id '{id}' not found.",
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

const FILES: StoredPath = StoredPath {
    path: "/v1/files",
    dialect: Dialect::OpenAiChat,
    operation: Operation::File,
    kinds: &[IdKind::File, IdKind::BatchInput, IdKind::BatchOutput],
    names: &[("id", IdKind::File)],
    methods: "GET, POST, OPTIONS",
    actions: &[("GET", StoredAction::List), ("POST", StoredAction::Create)],
    behind: "",
    query: &[],
    missing: "No such File object: {id}",
};
const FILE: StoredPath =
    StoredPath { path: "/v1/files/{id}", methods: RESPONSE.methods, actions: RESPONSE.actions, ..FILES };
const FILE_CONTENT: StoredPath = StoredPath {
    path: "/v1/files/{id}/content",
    methods: "GET, OPTIONS",
    actions: &[("GET", StoredAction::Content)],
    behind: "/content",
    ..FILES
};
const BATCHES: StoredPath = StoredPath {
    path: "/v1/batches",
    operation: Operation::StoredBatch,
    kinds: &[IdKind::Batch],
    names: &[
        ("id", IdKind::Batch),
        ("input_file_id", IdKind::BatchInput),
        ("output_file_id", IdKind::BatchOutput),
        ("error_file_id", IdKind::BatchOutput),
    ],
    missing: "No batch found with id '{id}'.",
    ..FILES
};
const BATCH: StoredPath = StoredPath {
    path: "/v1/batches/{id}",
    methods: "GET, OPTIONS",
    actions: &[("GET", StoredAction::Retrieve)],
    ..BATCHES
};
const CANCEL_BATCH: StoredPath = StoredPath {
    path: "/v1/batches/{id}/cancel",
    methods: CANCEL.methods,
    actions: CANCEL.actions,
    behind: CANCEL.behind,
    ..BATCHES
};

const DOCUMENTS: StoredPath = StoredPath {
    dialect: Dialect::AnthropicMessages,
    kinds: &[IdKind::Document],
    names: &[("id", IdKind::Document)],
    query: &["beta"],
    missing: "File not found: {id}",
    ..FILES
};
const DOCUMENT: StoredPath = StoredPath { path: FILE.path, methods: FILE.methods, actions: FILE.actions, ..DOCUMENTS };
const DOCUMENT_CONTENT: StoredPath = StoredPath {
    path: FILE_CONTENT.path,
    methods: FILE_CONTENT.methods,
    actions: FILE_CONTENT.actions,
    behind: FILE_CONTENT.behind,
    ..DOCUMENTS
};
const MESSAGE_BATCHES: StoredPath = StoredPath {
    path: "/v1/messages/batches",
    operation: Operation::StoredBatch,
    kinds: &[IdKind::MessageBatch],
    names: &[("id", IdKind::MessageBatch), (RESULTS_URL, IdKind::MessageBatch)],
    missing: "Message batch '{id}' not found.",
    ..DOCUMENTS
};
const MESSAGE_BATCH: StoredPath = StoredPath {
    path: "/v1/messages/batches/{id}",
    methods: RESPONSE.methods,
    actions: RESPONSE.actions,
    ..MESSAGE_BATCHES
};
const CANCEL_MESSAGES: StoredPath = StoredPath {
    path: "/v1/messages/batches/{id}/cancel",
    methods: CANCEL.methods,
    actions: CANCEL.actions,
    behind: CANCEL.behind,
    ..MESSAGE_BATCHES
};
const MESSAGE_RESULTS: StoredPath = StoredPath {
    path: "/v1/messages/batches/{id}/results",
    methods: "GET, OPTIONS",
    actions: &[("GET", StoredAction::Content)],
    behind: "/results",
    ..MESSAGE_BATCHES
};

/// The member that is the address of a batch's results, and no id.
pub(crate) const RESULTS_URL: &str = "results_url";

/// Every row; no two have patterns that fit one path and one dialect.
static STORED_PATHS: [StoredPath; 34] = [
    RESPONSE,
    INPUT_ITEMS,
    CANCEL,
    StoredPath { path: "/openai/v1/responses/{id}", ..RESPONSE },
    StoredPath { path: "/openai/v1/responses/{id}/input_items", ..INPUT_ITEMS },
    StoredPath { path: "/openai/v1/responses/{id}/cancel", ..CANCEL },
    StoredPath { path: "/openai/responses/{id}", ..RESPONSE },
    StoredPath { path: "/openai/responses/{id}/input_items", ..INPUT_ITEMS },
    StoredPath { path: "/openai/responses/{id}/cancel", ..CANCEL },
    MESSAGE_BATCHES,
    MESSAGE_BATCH,
    CANCEL_MESSAGES,
    MESSAGE_RESULTS,
    DOCUMENTS,
    DOCUMENT,
    DOCUMENT_CONTENT,
    FILES,
    FILE,
    FILE_CONTENT,
    BATCHES,
    BATCH,
    CANCEL_BATCH,
    StoredPath { path: "/openai/v1/files", ..FILES },
    StoredPath { path: "/openai/v1/files/{id}", ..FILE },
    StoredPath { path: "/openai/v1/files/{id}/content", ..FILE_CONTENT },
    StoredPath { path: "/openai/v1/batches", ..BATCHES },
    StoredPath { path: "/openai/v1/batches/{id}", ..BATCH },
    StoredPath { path: "/openai/v1/batches/{id}/cancel", ..CANCEL_BATCH },
    StoredPath { path: "/openai/files", ..FILES },
    StoredPath { path: "/openai/files/{id}", ..FILE },
    StoredPath { path: "/openai/files/{id}/content", ..FILE_CONTENT },
    StoredPath { path: "/openai/batches", ..BATCHES },
    StoredPath { path: "/openai/batches/{id}", ..BATCH },
    StoredPath { path: "/openai/batches/{id}/cancel", ..CANCEL_BATCH },
];

/// The dialect of one answer in the results of a batch, of the vendor of this one.
pub(crate) fn dialect_of_result(vendor: Dialect, answer: &[u8]) -> Dialect {
    let is_response = memchr::memmem::find(answer.get(..512).unwrap_or(answer), b"\"response\"").is_some();
    match vendor {
        Dialect::OpenAiChat if is_response => Dialect::OpenAiResponses,
        vendor => vendor,
    }
}

/// The patterns of all rows.
#[cfg(test)]
pub(crate) fn patterns() -> impl Iterator<Item = &'static str> {
    STORED_PATHS.iter().map(|row| row.path)
}

/// A path of the table.
#[derive(Debug)]
pub(crate) struct StoredMatch {
    pub(crate) row: &'static StoredPath,
    /// The id that it names, unescaped: whatever a caller may write there. `None`: it names none.
    pub(crate) id: Option<String>,
}

/// Finds a path's row. Where two vendors have the path, `dialect` is whose it is.
pub(crate) fn find(path: &str, dialect: Dialect) -> Option<StoredMatch> {
    let found = STORED_PATHS.iter().filter_map(|row| Some(StoredMatch { row, id: named(row.path, path)? }));
    let mut last = None;
    for found in found {
        if found.row.dialect == dialect {
            return Some(found);
        }
        last = Some(found);
    }
    last
}

/// The id that a path names, by a pattern; `None`: it does not fit. `Some(None)`: the pattern has none.
fn named(pattern: &str, path: &str) -> Option<Option<String>> {
    let Some((before, behind)) = pattern.split_once("{id}") else { return (pattern == path).then_some(None) };
    let id = path.strip_prefix(before)?.strip_suffix(behind)?;
    (!id.is_empty() && !id.contains('/')).then(|| Some(unescaped(id)))
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

    /// True for a name in an answer's place that begins as none of its ids: the vendor has operations there.
    pub(crate) fn is_strange(&self, id: &str) -> bool {
        self.kinds == [IdKind::Response] && !id.starts_with(IdKind::Response.beginning())
    }

    /// The vendor's words for one that is not there.
    pub(crate) fn is_missing(&self, id: &str) -> String {
        self.missing.replace("{id}", id)
    }

    /// The row of one thing of those that are made here.
    pub(crate) fn one(&'static self) -> &'static Self {
        let is_it =
            |row: &&'static Self| row.kind() == self.kind() && row.action(&Method::GET) == Some(StoredAction::Retrieve);
        STORED_PATHS.iter().find(is_it).unwrap_or(self)
    }

    /// The kind of what is made here.
    pub(crate) fn kind(&self) -> IdKind {
        self.kinds.first().copied().unwrap_or(IdKind::File)
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
            let found = find(path, Dialect::OpenAiChat);
            let action = found.as_ref().and_then(|found| Some((found.row.action(&method)?, found.id.as_deref()?)));
            assert_eq!(action, wanted, "{method} {path}");
        }
    }

    #[test]
    fn a_path_of_two_vendors_is_the_callers_own() {
        for (path, dialect, kind) in [
            ("/v1/files", Dialect::OpenAiChat, IdKind::File),
            ("/v1/files", Dialect::AnthropicMessages, IdKind::Document),
            ("/v1/files/x/content", Dialect::AnthropicMessages, IdKind::Document),
            ("/v1/files/x", Dialect::Gemini, IdKind::File),
            ("/openai/files/x", Dialect::AnthropicMessages, IdKind::File),
            ("/v1/messages/batches", Dialect::OpenAiChat, IdKind::MessageBatch),
            ("/v1/messages/batches/x/results", Dialect::OpenAiChat, IdKind::MessageBatch),
            ("/v1/batches/x/cancel", Dialect::AnthropicMessages, IdKind::Batch),
        ] {
            assert_eq!(find(path, dialect).unwrap().row.kind(), kind, "{path}");
        }
        assert!(find("/v1/batches/x/results", Dialect::OpenAiChat).is_none());
    }

    #[test]
    fn of_a_query_goes_on_what_the_path_knows() {
        let of = |said| RESPONSE.query(Some(said));
        assert_eq!(of("stream=true&starting_after=3&key=secret&x=1"), "stream=true&starting_after=3");
        assert_eq!(of("include[]=a&include%5B%5D=b&&=&api-version=1"), "include[]=a&include%5B%5D=b");
        assert_eq!((CANCEL.query(Some("stream=true")), RESPONSE.query(None)), (String::new(), String::new()));
    }
}
