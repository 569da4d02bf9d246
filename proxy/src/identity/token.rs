//! A token that is kept fresh for all calls: what they carry, until when, and the wait for the first one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::{Notify, watch};
use tokio::time::timeout_at;

use super::aws::AwsSigner;
use crate::endpoint::Endpoint;

/// The most endpoints that are told of a newer token; one that is not goes through its cooldown.
const MOST_REFUSING: usize = 1_000;

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
    /// The endpoints that have refused it.
    refusing: Mutex<Vec<Weak<Endpoint>>>,
}

#[derive(Clone, Default)]
struct TokenState {
    /// The number of tokens that there have been.
    number: u64,
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
        Self { state: watch::Sender::default(), refused: Arc::default(), refusing: Mutex::default() }
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

    /// The number of the token that is held now, among all that there have been.
    pub(crate) fn number(&self) -> u64 {
        self.state.borrow().number
    }

    /// An endpoint has refused it, as it does with one that was withdrawn: it is asked for anew, and what the endpoint said of this one
    /// does not stand against the next.
    pub(crate) fn refused(&self, by: &Arc<Endpoint>) {
        let mut refusing = self.refusing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = refusing.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(by)));
        if !is_known && refusing.len() < MOST_REFUSING {
            refusing.push(Arc::downgrade(by));
        }
        drop(refusing);
        self.refused.notify_one();
    }

    /// For so long it is good from now, and the words that say why there is no newer one, if that was tried.
    pub(super) fn standing(&self, now: Instant) -> (Duration, Option<Arc<str>>) {
        let state = self.state.borrow();
        let left = state.held.as_ref().map_or(Duration::ZERO, |(_, until)| until.saturating_duration_since(now));
        (left, state.why.clone())
    }

    pub(super) fn put(&self, held: CloudCredential, until: Instant) {
        self.state.send_modify(|state| {
            let number = state.number.saturating_add(1);
            *state = TokenState { number, held: Some((held, until)), ..TokenState::default() };
        });
        let refusing = std::mem::take(&mut *self.refusing.lock().unwrap_or_else(PoisonError::into_inner));
        refusing.iter().filter_map(Weak::upgrade).for_each(|endpoint| endpoint.credential_is_new());
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

#[cfg(test)]
mod tests {
    use sluicegate_config::{CircuitBreaker, Millis};

    use super::*;

    #[test]
    fn what_was_said_of_a_withdrawn_token_does_not_stand_against_the_next() {
        let now = Instant::now();
        let second = Millis(1_000);
        let settings = CircuitBreaker {
            error_percent: 50,
            minimum_requests: 10,
            window: second,
            consecutive_failures: 5,
            open_for: second,
            max_open_for: second,
            half_open_requests: 1,
            max_open_percent: 50,
        };
        let (token, endpoint) = (Token::new(), Arc::new(Endpoint::new(settings, now)));
        let bearer = |text: &str| CloudCredential::Bearer(text.parse().unwrap());
        token.put(bearer("Bearer a"), now + Duration::from_secs(60));
        for _ in 0..5 {
            endpoint.credential_refused(now);
            token.refused(&endpoint);
        }
        assert!(endpoint.guessed_cooldown_until(now).is_some());
        assert_eq!((token.number(), token.refusing.lock().unwrap().len()), (1, 1));
        token.put(bearer("Bearer b"), now + Duration::from_secs(60));
        assert!(endpoint.guessed_cooldown_until(now).is_none());
        assert_eq!((token.number(), token.refusing.lock().unwrap().len()), (2, 0));
    }
}
