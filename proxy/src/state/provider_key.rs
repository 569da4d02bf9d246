//! The things that providers are called with: a credential, or one of several keys.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, HeaderValue};

use crate::api::profiles::Auth;
use crate::concurrency::PreparedGate;
use crate::endpoint::LiveKey;
use crate::identity::aws::AwsSigner;
use crate::identity::token::Token;
use crate::limit::AttemptLimits;

/// The credential that a provider is called with.
#[derive(Clone)]
pub(crate) enum Credential {
    /// A header that goes with each request.
    Header(HeaderName, HeaderValue),
    /// Each request is signed.
    Signed(Arc<AwsSigner>),
    /// Each request carries a token, which is kept fresh.
    Token(Arc<Token>),
    /// Each request carries its caller's own key, in this place.
    OfCaller(&'static Auth),
}

/// One of several keys.
#[derive(Clone)]
pub(crate) struct PreparedKey {
    /// Its name in the resource.
    pub(crate) name: Arc<str>,
    pub(crate) credential: Credential,
    pub(crate) live: Arc<LiveKey>,
    /// Its rate limits.
    pub(crate) limits: Option<Arc<AttemptLimits>>,
    /// The most calls with it at once.
    pub(crate) gate: Option<Arc<PreparedGate>>,
    /// Stands for it among the provider's, on every proxy alike.
    pub(crate) identity: u64,
}

impl PreparedKey {
    /// The end of any rest, if that is still to come: one that its provider's word began, or that of its own rate limits.
    pub(crate) fn rests_until(&self, now: Instant) -> Option<Instant> {
        let used_up = self.limits.as_ref().and_then(|limits| limits.rest_until(now));
        self.live.rests_until(now).max(used_up)
    }
}

/// The thing that an attempt is sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentWith {
    /// The place of the key, where the provider has several.
    pub(crate) key: Option<usize>,
    /// The number of the token, where it is one that is kept fresh.
    pub(crate) token: u64,
}
