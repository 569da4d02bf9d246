//! A token that is kept fresh for all calls: what they carry, until when, and the wait for the first one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::{Notify, watch};
use tokio::time::timeout_at;

use super::aws::AwsSigner;

/// The thing that calls carry.
#[derive(Clone)]
pub(crate) enum CloudCredential {
    /// The value of `authorization`.
    Bearer(HeaderValue),
    /// A signature by keys that are good for a while.
    Signer(Arc<AwsSigner>),
}

/// A token as a service has answered it.
pub(super) struct Fetched {
    pub(super) held: CloudCredential,
    pub(super) life: Duration,
}

/// A token's place: calls read it, one keeper writes it.
pub(crate) struct Token {
    state: watch::Sender<TokenState>,
    /// Told when a provider has refused the token.
    refused: Arc<Notify>,
}

#[derive(Clone, Default)]
struct TokenState {
    /// The thing that calls carry, and the time until which it is good.
    held: Option<(CloudCredential, Instant)>,
    /// The attempts that have failed since the last good one, and why the last one has.
    failures: u32,
    why: Option<Arc<str>>,
}

impl TokenState {
    fn is_good(&self, now: Instant) -> bool {
        self.held.as_ref().is_some_and(|(_, until)| now < *until)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    pub(super) fn new() -> Self {
        Self { state: watch::Sender::default(), refused: Arc::default() }
    }

    /// True if there is one that is good now.
    pub(crate) fn is_good(&self, now: Instant) -> bool {
        self.state.borrow().is_good(now)
    }

    /// The thing that a request carries; the last one, as it was looked whether it is good when the call came here.
    pub(crate) fn held(&self) -> Option<CloudCredential> {
        self.state.borrow().held.as_ref().map(|(held, _)| held.clone())
    }

    /// Waits for the first token, but for no later one: whether there is one now.
    pub(crate) async fn is_here(&self, until: Instant) -> bool {
        let mut state = self.state.subscribe();
        let known = state.wait_for(|state| state.failures > 0 || state.is_good(Instant::now()));
        drop(timeout_at(until.into(), known).await);
        self.is_good(Instant::now())
    }

    /// A provider has refused it, as it does with one that was withdrawn: it is asked for anew.
    pub(crate) fn refused(&self) {
        self.refused.notify_one();
    }

    /// For so long it is good from now, and the words that say why there is no newer one, if that was tried.
    pub(super) fn standing(&self, now: Instant) -> (Duration, Option<Arc<str>>) {
        let state = self.state.borrow();
        let left = state.held.as_ref().map_or(Duration::ZERO, |(_, until)| until.saturating_duration_since(now));
        (left, state.why.clone())
    }

    pub(super) fn put(&self, held: CloudCredential, until: Instant) {
        self.state.send_replace(TokenState { held: Some((held, until)), ..TokenState::default() });
    }

    /// There is no newer one. The last is good until its end. So often it was tried.
    pub(super) fn fail(&self, why: &str) -> u32 {
        let mut failures = 0;
        self.state.send_modify(|state| {
            state.failures = state.failures.saturating_add(1);
            state.why = Some(why.into());
            failures = state.failures;
        });
        failures
    }

    pub(super) fn watch(&self) -> Watched {
        Watched { state: self.state.subscribe(), refused: Arc::clone(&self.refused) }
    }
}

/// A token's place, as its keeper looks at it.
pub(super) struct Watched {
    state: watch::Receiver<TokenState>,
    refused: Arc<Notify>,
}

impl Watched {
    /// Waits until nobody has any use for the token.
    pub(super) async fn is_let_go(&mut self) {
        while self.state.changed().await.is_ok() {}
    }

    /// Told when a provider has refused the token.
    pub(super) fn refusal(&self) -> Arc<Notify> {
        Arc::clone(&self.refused)
    }
}
