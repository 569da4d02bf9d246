//! The thing that a call is about where a provider keeps it: what its caller calls it, what its provider does, and how one is put in the
//! other's place.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::stored;

use crate::api::stored_paths::StoredPath;
use crate::errors::Problem;
use crate::kept_responses::KeptName;
use crate::sealing::{IdOwner, IdSealer, SealedId};
use crate::state::Provider;

use super::sealed_stream::SealedStream;

/// The bytes that an id has in a provider's path as they are: none that means something there.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
/// The members of an answer that are ids of answers.
const NAMES: [&str; 2] = ["id", "previous_response_id"];

/// The thing that a call is about.
pub(super) struct StoredObject {
    pub(super) row: &'static StoredPath,
    pub(super) method: Method,
    /// The id, as the caller knows it.
    pub(super) sealed: String,
    pub(super) opened: SealedId,
    pub(super) owner: IdOwner,
    pub(super) sealer: Arc<IdSealer>,
    /// The part of the query that goes on.
    pub(super) query: String,
}

impl StoredObject {
    /// True if a provider's endpoint is the one that keeps it.
    pub(super) fn is_kept_by(&self, provider: &Provider) -> bool {
        self.opened.target == provider.stands_for
    }

    /// The method by which its provider is asked.
    pub(super) const fn method(&self) -> &Method {
        &self.method
    }

    /// Its URI behind that of the operation; `None`: there is none.
    pub(super) fn uri(&self, of: &Uri) -> Option<Uri> {
        let text = of.to_string();
        let (path, own) = text.split_once('?').unwrap_or((&text, ""));
        let id = utf8_percent_encode(&self.opened.id, IN_A_PATH);
        let query = [own, &self.query].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{path}/{id}{}{mark}{query}", self.row.behind).parse().ok()
    }

    /// The provider's whole answer as the caller is given it.
    ///
    /// # Errors
    /// It is no object in JSON.
    pub(super) fn told(&self, body: &Bytes) -> Result<Bytes, String> {
        stored::renamed_members(body, &NAMES, |id| self.seal(id)).ok_or_else(|| "it is no JSON object".to_owned())
    }

    /// A text of the provider's, an error's, in which its name for the thing gives way to the caller's.
    pub(super) fn renamed(&self, text: &Bytes) -> Bytes {
        let id = self.opened.id.as_bytes();
        if id.is_empty() || memchr::memmem::find(text, id).is_none() {
            return text.clone();
        }
        let (mut out, mut at) = (Vec::with_capacity(text.len() + self.sealed.len()), 0);
        for found in memchr::memmem::find_iter(text, id) {
            out.extend_from_slice(text.get(at..found).unwrap_or_default());
            out.extend_from_slice(self.sealed.as_bytes());
            at = found + id.len();
        }
        out.extend_from_slice(text.get(at..).unwrap_or_default());
        out.into()
    }

    /// The engine that seals the ids in its events, where it is told as a stream.
    pub(super) fn sealed_stream(&self) -> SealedStream {
        let (sealer, owner, target) = (Arc::clone(&self.sealer), self.owner, self.opened.target);
        SealedStream::new(Rc::new(move |id| sealer.seal(&owner, &SealedId { target, id })), None, None)
    }

    fn seal(&self, id: &str) -> Option<String> {
        if id == self.opened.id {
            return Some(self.sealed.clone());
        }
        self.sealer.seal(&self.owner, &SealedId { target: self.opened.target, id: id.to_owned() })
    }

    /// The name under which the gateway keeps what it has of it.
    pub(super) fn name(&self) -> KeptName<'_> {
        KeptName { owner: &self.owner, answer: &self.opened }
    }
}

/// The problem of a call whose keeper can not take it now.
pub(super) fn keeper_away() -> Problem {
    let message = "The one provider that keeps what this id names can not take a call now. Try again in a moment.";
    Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1)))
}
