//! The thing that a call is about where a provider keeps it, or is to: what its caller calls it, what its provider does, and how one is put
//! in the other's place.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::{Dialect, Refusal, stored};

use crate::api::stored_paths::{RESULTS_URL, StoredAction, StoredPath};
use crate::errors::Problem;
use crate::kept_responses::KeptName;
use crate::owned::CountMark;
use crate::sealing::{IdKind, IdOwner, IdSealer, SealedId};
use crate::state::Provider;

use super::batch_usage::BatchUsage;
use super::caller::StoredAddress;
use super::sealed_stream::SealedStream;

/// The bytes that an id has in a provider's path as they are: none that means something there.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// An id of a caller's, and what it names.
pub(super) struct NamedThing {
    /// The id, as the caller knows it.
    pub(super) sealed: String,
    pub(super) kind: IdKind,
    pub(super) opened: SealedId,
}

/// The body that a provider is sent.
pub(super) enum SentBody {
    /// None: the path says it all.
    Nothing,
    /// The caller's.
    AsItCame,
    /// This one, in JSON.
    Written(Bytes),
    /// The caller's, with each request in it as its provider is to have it.
    Requests(Box<dyn RequestsWithin>),
}

/// The requests in a body, each a call of its own.
pub(super) trait RequestsWithin {
    /// The whole body with all of them as this provider is to have them.
    ///
    /// # Errors
    /// One of them is not asked of this provider, or it has no words for it.
    fn written(&self, whole: &Bytes, provider: &Provider) -> Result<Bytes, Refusal>;
}

/// The thing that a call is about.
pub(super) struct StoredObject {
    pub(super) row: &'static StoredPath,
    action: StoredAction,
    method: Method,
    /// The thing itself, where the call names it.
    named: Option<NamedThing>,
    /// Another thing that is named in the body, and kept where this one is to be.
    beside: Option<NamedThing>,
    sent: SentBody,
    pub(super) owner: IdOwner,
    pub(super) sealer: Arc<IdSealer>,
    /// The part of the query that goes on.
    pub(super) query: String,
    /// Says that what a batch used is counted with its results, as they are fetched now.
    mark: RefCell<Option<CountMark>>,
    /// The address of the gateway's paths, as the caller says it.
    base: String,
}

impl StoredObject {
    /// The one that is addressed, if its id is this owner's; the error is that id. `query` is the caller's, `base` the address of the
    /// gateway as it says that.
    pub(super) fn of(
        address: &StoredAddress,
        (owner, sealer): (IdOwner, Arc<IdSealer>),
        (query, base): (Option<&str>, String),
    ) -> Result<Self, Problem> {
        let named = match &address.id {
            None => None,
            Some(id) => {
                Some(opened(&owner, &sealer, (address.row.kinds, id)).ok_or_else(|| not_there(address.row, id))?)
            }
        };
        Ok(Self {
            row: address.row,
            action: address.action,
            method: address.method.clone(),
            named,
            beside: None,
            sent: SentBody::Nothing,
            owner,
            sealer,
            query: address.row.query(query),
            mark: RefCell::default(),
            base,
        })
    }

    /// It is sent with this body, in which another thing may be named.
    pub(super) fn sends(mut self, (sent, beside): (SentBody, Option<NamedThing>)) -> Self {
        (self.sent, self.beside) = (sent, beside);
        self
    }

    /// The thing whose results are fetched, of which what was used is to be counted once; `None`: it tells of none.
    pub(super) fn results(&self) -> Option<&SealedId> {
        let is_of_batch = |named: &&NamedThing| matches!(named.kind, IdKind::BatchOutput | IdKind::MessageBatch);
        self.named.as_ref().filter(|_| self.is_bytes()).filter(is_of_batch).map(|named| &named.opened)
    }

    /// The answer that is told again, by its provider's name; `None`: it is none.
    pub(super) fn answer_again(&self) -> Option<&SealedId> {
        let named = self.named.as_ref().filter(|named| named.kind == IdKind::Response)?;
        (self.action == StoredAction::Retrieve).then_some(&named.opened)
    }

    /// The mark of the usage that is counted from now on.
    pub(super) fn counts(&self, mark: Option<CountMark>) {
        drop(self.mark.replace(mark));
    }

    /// The reader of what was used, where it is counted now; only the first answer has one.
    pub(super) fn usage(&self, dialect: Dialect, provider: &Provider) -> Option<BatchUsage> {
        self.mark.take().map(|mark| BatchUsage::new(dialect, &provider.models, mark))
    }

    /// The part that it takes of budgets beforehand; `None`: it uses nothing that is paid for.
    pub(super) fn reserves(&self) -> Option<u64> {
        let makes_batch =
            self.action == StoredAction::Create && matches!(self.row.kind(), IdKind::Batch | IdKind::MessageBatch);
        if makes_batch { Some(1) } else { self.mark.borrow().as_ref().map(|_| 0) }
    }

    /// The endpoint that keeps it, or what is named beside it; `None`: any may.
    pub(super) fn target(&self) -> Option<u64> {
        let named = self.named.as_ref().or(self.beside.as_ref());
        named.map(|named| named.opened.target)
    }

    /// The id, as the caller knows it.
    pub(super) fn sealed(&self) -> &str {
        self.named.as_ref().map_or("", |named| &named.sealed)
    }

    /// True if a provider's endpoint keeps it, or may.
    pub(super) fn is_kept_by(&self, provider: &Provider) -> bool {
        self.target().is_none_or(|target| target == provider.stands_for)
    }

    /// True if the call makes it.
    pub(super) fn makes(&self) -> bool {
        self.action == StoredAction::Create
    }

    /// True if its answer is bytes, whatever they are called.
    pub(super) fn is_bytes(&self) -> bool {
        self.action == StoredAction::Content
    }

    /// The method by which its provider is asked.
    pub(super) const fn method(&self) -> &Method {
        &self.method
    }

    /// Its URI behind that of the operation; `None`: there is none.
    pub(super) fn uri(&self, of: &Uri) -> Option<Uri> {
        let text = of.to_string();
        let (path, own) = text.split_once('?').unwrap_or((&text, ""));
        let query = [own, &self.query].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        let Some(NamedThing { opened, .. }) = &self.named else { return format!("{path}{mark}{query}").parse().ok() };
        let id = utf8_percent_encode(&opened.id, IN_A_PATH);
        format!("{path}/{id}{}{mark}{query}", self.row.behind).parse().ok()
    }

    /// The body that goes out, made of the caller's where it is sent for a provider; `None`: that one as it came.
    ///
    /// # Errors
    /// A request in it can not be told this provider.
    pub(super) fn body(&self, whole: &Bytes, provider: &Provider) -> Result<Option<Bytes>, Refusal> {
        Ok(match &self.sent {
            SentBody::Nothing => Some(Bytes::new()),
            SentBody::AsItCame => None,
            SentBody::Written(body) => Some(body.clone()),
            SentBody::Requests(requests) => Some(requests.written(whole, provider)?),
        })
    }

    /// True if it has the media type of the caller's body.
    pub(super) const fn is_of_callers_type(&self) -> bool {
        matches!(self.sent, SentBody::AsItCame | SentBody::Requests(_))
    }

    /// The provider's whole answer as the caller is given it.
    ///
    /// # Errors
    /// It is no object in JSON.
    pub(super) fn told(&self, body: &Bytes, provider: &Provider) -> Result<Bytes, String> {
        let told = |name: &[u8], said: &str| {
            let (name, kind) = self.row.names.iter().find(|(wanted, _)| wanted.as_bytes() == name)?;
            if *name == RESULTS_URL {
                return Some(format!(
                    "{}/v1/messages/batches/{}/results",
                    self.base,
                    self.sealed_or_own(body, provider)?
                ));
            }
            // What is made here is of the kind that it was taken for.
            let kind = if *name == "id" && matches!(self.sent, SentBody::Requests(_)) && *kind == IdKind::File {
                IdKind::BatchInput
            } else {
                *kind
            };
            self.seal(kind, said, provider.stands_for)
        };
        stored::renamed_members(body, told).ok_or_else(|| "it is no JSON object".to_owned())
    }

    /// The caller's id of a batch, of which this is told.
    fn sealed_or_own(&self, body: &Bytes, provider: &Provider) -> Option<String> {
        let (id, _) = stored::id_of_answer(body)?;
        self.seal(self.row.kind(), id, provider.stands_for)
    }

    /// A text of the provider's, an error's, in which its names for things give way to the caller's.
    pub(super) fn renamed(&self, text: &Bytes) -> Bytes {
        let named = self.named.iter().chain(&self.beside).filter(|named| !named.opened.id.is_empty());
        named.fold(text.clone(), |text, named| replaced(&text, (&named.opened.id, &named.sealed)))
    }

    /// The engine that seals the ids in its events, where it is told as a stream; `None`: it has none.
    pub(super) fn sealed_stream(&self) -> Option<SealedStream> {
        let named = self.named.as_ref().filter(|named| named.kind == IdKind::Response)?;
        let (sealer, owner, target) = (Arc::clone(&self.sealer), self.owner, named.opened.target);
        let seal = move |id| sealer.seal(&owner, IdKind::Response, &SealedId { target, id });
        Some(SealedStream::new(Rc::new(seal), None, None))
    }

    fn seal(&self, kind: IdKind, id: &str, target: u64) -> Option<String> {
        let known = self.named.iter().chain(&self.beside).find(|named| named.opened.id == id);
        if let Some(known) = known {
            return Some(known.sealed.clone());
        }
        self.sealer.seal(&self.owner, kind, &SealedId { target, id: id.to_owned() })
    }

    /// The name under which the gateway keeps what it has of it; `None`: it is no answer.
    pub(super) fn name(&self) -> Option<KeptName<'_>> {
        let named = self.named.as_ref().filter(|named| named.kind == IdKind::Response)?;
        Some(KeptName { owner: &self.owner, answer: &named.opened })
    }
}

/// The thing that an id names, of one of these kinds; `None`: it is none of this owner's.
pub(super) fn opened(owner: &IdOwner, sealer: &IdSealer, (kinds, id): (&[IdKind], &str)) -> Option<NamedThing> {
    let open = |kind: &IdKind| {
        let opened = sealer.open(owner, *kind, id)?;
        Some(NamedThing { sealed: id.to_owned(), kind: *kind, opened })
    };
    kinds.iter().find_map(open)
}

fn replaced(text: &Bytes, (from, to): (&str, &str)) -> Bytes {
    if memchr::memmem::find(text, from.as_bytes()).is_none() {
        return text.clone();
    }
    let (mut out, mut at) = (Vec::with_capacity(text.len() + to.len()), 0);
    for found in memchr::memmem::find_iter(text, from) {
        out.extend_from_slice(text.get(at..found).unwrap_or_default());
        out.extend_from_slice(to.as_bytes());
        at = found + from.len();
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out.into()
}

/// The problem of an id that is not there for this caller, in the vendor's words: another's is told of as one that never was.
pub(super) fn not_there(row: &StoredPath, id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    Problem::client(ErrorKind::NotFound, row.is_missing(&shown)).retry(false, None)
}

/// The problem of a call whose keeper can not take it now, or that nobody can who could keep what it makes.
pub(super) fn keeper_away(object: &StoredObject) -> Problem {
    let message = match object.target() {
        Some(_) => "The one provider that keeps what this id names can not take a call now. Try again in a moment.",
        None => "No provider that could keep this can take a call now. Try again in a moment.",
    };
    Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1)))
}
