//! The index of consumers by the tokens of issuers that they are known by, and the tokens that were found good.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sluicegate_config::ConsumerJwt;

use super::identified::Identified;
use super::known::KnownConsumer;
use crate::jwt::{JwksKeeper, JwksSource, KeySet, TokenRules, seconds, untrusted};
use crate::persistent::{self, PersistentMap};

/// The most tokens that are remembered as good.
const MOST: usize = 10_000;

/// A consumer that is known by tokens of an issuer.
#[derive(Clone)]
struct TokenHolder {
    consumer: Arc<KnownConsumer>,
    rules: Arc<TokenRules>,
    source: Arc<JwksSource>,
}

/// A token that was found good.
struct Verified {
    holder: TokenHolder,
    keys: Arc<KeySet>,
    /// It is not good any longer, in seconds since 1970.
    until: i64,
}

/// All consumers that are known by tokens, by issuer. Copies are cheap.
#[derive(Clone, Default)]
pub(super) struct TokenIndex {
    by_issuer: PersistentMap<Box<str>, Arc<[TokenHolder]>>,
    /// By the digests of tokens; anew whenever a consumer comes, changes or goes.
    verified: Arc<Mutex<HashMap<[u8; 32], Verified>>>,
}

impl TokenIndex {
    /// A consumer is known by tokens. Of several that a token would be of, the older is known by it, then the one with the smaller
    /// id.
    pub(super) fn insert(&mut self, consumer: &Arc<KnownConsumer>, from: &ConsumerJwt, keeper: &JwksKeeper) {
        let source = keeper.kept(&from.issuer, from.jwks_url.as_deref());
        let holder = TokenHolder { consumer: Arc::clone(consumer), rules: Arc::new(TokenRules::new(from)), source };
        persistent::change(&mut self.by_issuer, from.issuer.as_str().into(), |list| {
            let at = list.partition_point(|other| other.consumer.order() < consumer.order());
            list.insert(at, holder);
        });
        self.verified = Arc::default();
    }

    /// True if this form of a consumer is known by tokens already.
    pub(super) fn holds(&self, consumer: &Arc<KnownConsumer>) -> bool {
        let holders = consumer.issuer.as_deref().and_then(|issuer| self.by_issuer.get(issuer));
        holders.into_iter().flat_map(|holders| holders.iter()).any(|holder| Arc::ptr_eq(&holder.consumer, consumer))
    }

    /// A consumer is gone, or is about to come in another form.
    pub(super) fn remove(&mut self, consumer: &KnownConsumer) {
        let Some(issuer) = &consumer.issuer else { return };
        persistent::change(&mut self.by_issuer, issuer.clone(), |list: &mut Vec<TokenHolder>| {
            list.retain(|holder| holder.consumer.id() != consumer.id());
        });
        self.verified = Arc::default();
    }

    /// The consumer that a token is of. One that was found good before costs no check of its signature.
    pub(super) fn known_by(&self, token: &[u8], digest: &[u8; 32], now: impl FnOnce() -> i64) -> Identified {
        if self.by_issuer.is_empty() {
            return Identified::Unknown;
        }
        let now = now();
        if let Some(consumer) = self.remembered(digest, now) {
            return consumer;
        }
        let Some(said) = untrusted(token) else { return Identified::Unknown };
        let holders = said.issuer().and_then(|issuer| self.by_issuer.get(issuer));
        let Some(holders) = holders else { return Identified::Unknown };
        let Some(holder) = holders.iter().find(|holder| holder.rules.select(&said)) else {
            return refused(holders.first(), "no consumer has its audience and claims", now);
        };
        let Some(keys) = holder.source.keys() else {
            holder.source.counts.unverifiable.add();
            return Identified::Unverifiable;
        };
        match holder.rules.verify(token, &keys) {
            Ok(_) if holder.consumer.disabled => refused(Some(holder), "its consumer is disabled", now),
            Ok(claims) => {
                let end = seconds(&claims, "exp").unwrap_or_default();
                let until = end.saturating_add(holder.rules.skew);
                self.remember(*digest, Verified { holder: holder.clone(), keys, until }, now);
                holder.source.counts.verified.add();
                Identified::Known(Arc::clone(&holder.consumer))
            }
            Err((why, is_unknown_key)) => {
                if is_unknown_key {
                    holder.source.want_newer();
                }
                refused(Some(holder), why, now)
            }
        }
    }

    fn remembered(&self, digest: &[u8; 32], now: i64) -> Option<Identified> {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let Verified { holder, keys, until } = verified.get(digest)?;
        // A key that the issuer has taken back makes what it signed nothing.
        let is_current = holder.source.keys().is_some_and(|now| Arc::ptr_eq(&now, keys));
        (now < *until && is_current).then(|| {
            holder.source.counts.cached.add();
            Identified::Known(Arc::clone(&holder.consumer))
        })
    }

    fn remember(&self, digest: [u8; 32], token: Verified, now: i64) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MOST {
            verified.retain(|_, token| now < token.until);
        }
        if verified.len() >= MOST {
            verified.clear();
        }
        verified.insert(digest, token);
    }
}

/// A token of a known issuer that is not good. Why, the log says, once a second at most; the caller is not told.
fn refused(holder: Option<&TokenHolder>, why: &'static str, now: i64) -> Identified {
    static LAST: AtomicI64 = AtomicI64::new(0);
    if let Some(holder) = holder {
        holder.source.counts.refused.add();
        if LAST.swap(now, Ordering::Relaxed) != now {
            tracing::info!(source = ?holder.source, why, "a caller's token is refused");
        }
    }
    Identified::Refused
}
