//! The part of a call that is about answers which a provider keeps: whose it is, and what it goes on from.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use sluicegate_dialects::stored;

use crate::sealing::{IdKind, IdOwner, IdSealer, SealedId};

use super::sealed_stream::{Keep, SealedStream};

/// The name by which its provider knows an answer, as soon as that has said it.
pub(super) type GivenName = Rc<RefCell<Option<SealedId>>>;

/// Of a call in a dialect whose providers keep answers, where the gateway has keys.
pub(super) struct StoredCall {
    pub(super) sealer: Arc<IdSealer>,
    pub(super) owner: IdOwner,
    /// The answer that it goes on from.
    pub(super) previous: Option<PreviousResponse>,
    /// The name that the gateway gives its answer, where the provider's is none that a call could go on from.
    own: OnceCell<Option<OwnName>>,
    /// The name that the provider gives its answer.
    pub(super) given: GivenName,
}

/// A name that the gateway has given, and as the caller knows it.
struct OwnName {
    opened: SealedId,
    sealed: String,
}

/// Stands for the gateway itself where what is named is kept by no endpoint.
pub(super) const GATEWAY: u64 = 0;

/// An answer that a call goes on from.
pub(super) struct PreviousResponse {
    /// As the caller names it.
    sealed: String,
    pub(super) opened: SealedId,
}

impl PreviousResponse {
    fn same(&self) -> Self {
        Self { sealed: self.sealed.clone(), opened: self.opened.clone() }
    }
}

impl StoredCall {
    /// `previous`: the id that the caller names.
    ///
    /// # Errors
    /// The id, where it is none of this owner's.
    pub(super) fn new(sealer: Arc<IdSealer>, owner: IdOwner, previous: Option<String>) -> Result<Self, String> {
        let open = |sealed: String| match sealer.open(&owner, IdKind::Response, &sealed) {
            Some(opened) => Ok(PreviousResponse { sealed, opened }),
            None => Err(sealed),
        };
        let previous = previous.map(open).transpose()?;
        Ok(Self { sealer, owner, previous, own: OnceCell::new(), given: GivenName::default() })
    }

    /// The same for the same call with another body.
    pub(super) fn same(&self) -> Self {
        let previous = self.previous.as_ref().map(PreviousResponse::same);
        let given = Rc::clone(&self.given);
        Self { sealer: Arc::clone(&self.sealer), owner: self.owner, previous, own: OnceCell::new(), given }
    }

    /// The same for the call that says by itself what it goes on from.
    pub(super) fn on_its_own(&self) -> Self {
        Self { previous: None, ..self.same() }
    }

    /// True if what it goes on from is kept by the gateway alone.
    pub(super) fn is_kept_here(&self) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.opened.target == GATEWAY)
    }

    /// The gateway's own name for its answer, as the caller is told it, and opened.
    pub(super) fn own_name(&self) -> Option<(&str, &SealedId)> {
        let make = || {
            let opened = SealedId { target: GATEWAY, id: format!("resp_{:016x}", rand::random::<u64>()) };
            Some(OwnName { sealed: self.sealer.seal(&self.owner, IdKind::Response, &opened)?, opened })
        };
        self.own.get_or_init(make).as_ref().map(|own| (&*own.sealed, &own.opened))
    }

    /// True if nobody but another endpoint than this one knows what it goes on from.
    pub(super) fn is_bound_elsewhere(&self, target: u64) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.opened.target != target)
    }

    /// An endpoint's whole answer as the caller is given it.
    pub(super) fn sealed_answer(&self, body: &Bytes, target: u64) -> Bytes {
        let previous = self.previous.as_ref().map(|previous| (&*previous.opened.id, &*previous.sealed));
        let seal = |id: &str| {
            let named = SealedId { target, id: id.to_owned() };
            let sealed = self.sealer.seal(&self.owner, IdKind::Response, &named);
            self.given.replace(Some(named));
            sealed
        };
        stored::renamed_answer(body, seal, previous)
    }

    /// The engine that seals the ids in an endpoint's stream.
    pub(super) fn sealed_stream(&self, target: u64, keep: Option<Keep>) -> SealedStream {
        let (sealer, owner, given) = (Arc::clone(&self.sealer), self.owner, Rc::clone(&self.given));
        let previous = self.previous.as_ref().map(|previous| (previous.opened.id.clone(), previous.sealed.clone()));
        SealedStream::new(
            Rc::new(move |id| {
                let named = SealedId { target, id };
                let sealed = sealer.seal(&owner, IdKind::Response, &named);
                given.replace(Some(named));
                sealed
            }),
            previous,
            keep,
        )
    }
}
