//! The part of a call that is about answers which a provider keeps: whose it is, and what it goes on from.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use sluicegate_dialects::stored;

use crate::sealing::{IdOwner, IdSealer, SealedId};

use super::sealed_stream::SealedStream;

/// Of a call in a dialect whose providers keep answers, where the gateway has keys.
pub(super) struct StoredCall {
    sealer: Arc<IdSealer>,
    pub(super) owner: IdOwner,
    /// The answer that it goes on from.
    pub(super) previous: Option<PreviousResponse>,
}

/// An answer that a call goes on from.
pub(super) struct PreviousResponse {
    /// As the caller names it.
    sealed: String,
    pub(super) opened: SealedId,
}

impl StoredCall {
    /// `previous`: the id that the caller names.
    ///
    /// # Errors
    /// The id, where it is none of this owner's.
    pub(super) fn new(sealer: Arc<IdSealer>, owner: IdOwner, previous: Option<String>) -> Result<Self, String> {
        let open = |sealed: String| match sealer.open(&owner, &sealed) {
            Some(opened) => Ok(PreviousResponse { sealed, opened }),
            None => Err(sealed),
        };
        let previous = previous.map(open).transpose()?;
        Ok(Self { sealer, owner, previous })
    }

    /// True if nobody but another endpoint than this one knows what it goes on from.
    pub(super) fn is_bound_elsewhere(&self, target: u64) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.opened.target != target)
    }

    /// An endpoint's whole answer as the caller is given it.
    pub(super) fn sealed_answer(&self, body: &Bytes, target: u64) -> Bytes {
        let previous = self.previous.as_ref().map(|previous| (&*previous.opened.id, &*previous.sealed));
        let seal = |id: &str| self.sealer.seal(&self.owner, &SealedId { target, id: id.to_owned() });
        stored::renamed_answer(body, seal, previous)
    }

    /// The engine that seals the ids in an endpoint's stream.
    pub(super) fn sealed_stream(&self, target: u64) -> SealedStream {
        let (sealer, owner) = (Arc::clone(&self.sealer), self.owner);
        let previous = self.previous.as_ref().map(|previous| (previous.opened.id.clone(), previous.sealed.clone()));
        SealedStream::new(Rc::new(move |id| sealer.seal(&owner, &SealedId { target, id })), previous)
    }
}
