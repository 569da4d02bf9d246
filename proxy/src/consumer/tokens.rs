//! The index of consumers by the tokens of issuers that they are known by, and the tokens that were found good.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluicegate_config::{Consumer, ConsumerJwt};

use super::identified::Identified;
use super::known::KnownConsumer;
use super::subjects::Subjects;
use crate::jwt::{Claims, JwksKeeper, JwksSource, KeySet, TokenRules, is_too_long, seconds, untrusted};
use crate::limit::SharedLimits;
use crate::persistent::{OrderedMap, PersistentMap};

/// The most tokens that are remembered as good, in parts, so that workers do not wait for each other.
const MOST: usize = 10_000;
const SHARDS: usize = 16;

/// A consumer that is known by tokens of an issuer.
#[derive(Clone)]
struct TokenHolder {
    consumer: Arc<KnownConsumer>,
    rules: Arc<TokenRules>,
    source: Arc<JwksSource>,
    /// Each subject is a consumer of its own.
    subjects: Option<Arc<Subjects>>,
}

/// A token that was found good.
struct Verified {
    holder: TokenHolder,
    consumer: Arc<KnownConsumer>,
    keys: Arc<KeySet>,
    /// It is not good any longer, in seconds since 1970.
    until: i64,
}

/// The reason why a token is not of a consumer that it would be of.
enum NotVerified {
    /// None of its keys has signed it.
    Never(&'static str),
    /// Its issuer has to be asked for the key.
    MayBe,
}

/// The consumers of an issuer in the order in which one of several is known by a token: when each was created, and its id.
type Holders = OrderedMap<(i64, Arc<str>), TokenHolder>;

/// All consumers that are known by tokens, by issuer. Copies are cheap.
#[derive(Clone, Default)]
pub(super) struct TokenIndex {
    by_issuer: PersistentMap<Box<str>, Holders>,
    /// Anew whenever a consumer comes, changes or goes.
    verified: Arc<VerifiedTokens>,
}

/// The tokens that were found good, by their digests.
#[derive(Default)]
struct VerifiedTokens([Mutex<HashMap<[u8; 32], Verified>>; SHARDS]);

impl VerifiedTokens {
    fn shard(&self, digest: &[u8; 32]) -> MutexGuard<'_, HashMap<[u8; 32], Verified>> {
        let (Self([first, ..]), [byte, ..]) = (self, digest);
        let shard = self.0.get(usize::from(*byte) % SHARDS).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Its place among the consumers of its issuer.
fn place(consumer: &KnownConsumer) -> (i64, Arc<str>) {
    let (created, id) = consumer.order();
    (created, id.into())
}

impl TokenIndex {
    /// A consumer is known by tokens. Of several that a token would be of, and whose keys verify it, the older is known by it, then the one
    /// with the smaller id.
    pub(super) fn insert(
        &mut self,
        consumer: &Arc<KnownConsumer>,
        (whole, from): (&Consumer, &ConsumerJwt),
        (keeper, limits): (&JwksKeeper, &Arc<SharedLimits>),
    ) {
        let source = match &from.jwks {
            Some(jwks) => keeper.given(&from.issuer, jwks),
            None => keeper.kept(&from.issuer, from.jwks_url.as_deref(), from.ca_pem.as_deref()),
        };
        let subjects = from.subjects.as_ref().map(|by| Arc::new(Subjects::new(consumer.id(), whole, by, limits)));
        let (consumer, rules) = (Arc::clone(consumer), Arc::new(TokenRules::new(from)));
        let holder = TokenHolder { consumer: Arc::clone(&consumer), rules, source, subjects };
        let mut holders = self.by_issuer.get(from.issuer.as_str()).cloned().unwrap_or_default();
        holders.insert_mut(place(&consumer), holder);
        self.by_issuer.insert_mut(from.issuer.as_str().into(), holders);
        self.verified = Arc::default();
    }

    /// True if this form of a consumer is known by tokens already.
    pub(super) fn holds(&self, consumer: &Arc<KnownConsumer>) -> bool {
        let holders = consumer.issuer.as_deref().and_then(|issuer| self.by_issuer.get(issuer));
        let holder = holders.and_then(|holders| holders.get(&place(consumer)));
        holder.is_some_and(|holder| Arc::ptr_eq(&holder.consumer, consumer))
    }

    /// A consumer is gone, or is about to come in another form.
    pub(super) fn remove(&mut self, consumer: &KnownConsumer) {
        let Some(issuer) = &consumer.issuer else { return };
        let Some(mut holders) = self.by_issuer.get(issuer).cloned() else { return };
        holders.remove_mut(&place(consumer));
        if holders.is_empty() {
            self.by_issuer.remove_mut(issuer);
        } else {
            self.by_issuer.insert_mut(issuer.clone(), holders);
        }
        self.verified = Arc::default();
    }

    /// The consumer that a token is of. One that was found good before costs no check of its signature.
    pub(super) fn known_by(&self, token: &[u8], digest: &[u8; 32], now: impl FnOnce() -> i64) -> Identified {
        if self.by_issuer.is_empty() {
            return Identified::Unknown;
        }
        let now = now();
        self.remembered(digest, now).unwrap_or_else(|| self.looked_at(token, digest, now))
    }

    /// The consumer of a token that is to be checked.
    fn looked_at(&self, token: &[u8], digest: &[u8; 32], now: i64) -> Identified {
        let Some(said) = untrusted(token) else {
            if is_too_long(token) {
                tell_of_length(token.len(), now);
            }
            return Identified::Unknown;
        };
        let holders = said.issuer().and_then(|issuer| self.by_issuer.get(issuer));
        let Some(holders) = holders else { return Identified::Unknown };
        let mut selecting = holders.values().filter(|holder| holder.rules.select(&said)).peekable();
        if selecting.peek().is_none() {
            return refused(holders.values().next(), "no consumer has its audience and claims", now);
        }
        // A token is of nobody whose keys have not signed it, whatever he says that his issuer is.
        let (mut waiting, mut first) = (Vec::new(), None);
        for holder in selecting {
            match self.checked(holder, (token, digest), now) {
                Ok(found) => return found,
                Err(NotVerified::MayBe) => waiting.push(Arc::clone(&holder.source)),
                Err(NotVerified::Never(why)) => drop(first.get_or_insert((holder, why))),
            }
        }
        match (waiting.first(), first) {
            (None, Some((holder, why))) => refused(Some(holder), why, now),
            (None, None) => Identified::Refused,
            (Some(source), _) => {
                source.counts.unverifiable.add();
                Identified::Unverifiable(waiting)
            }
        }
    }

    /// The word of one consumer's keys on a token that would be of it.
    fn checked(
        &self,
        holder: &TokenHolder,
        (token, digest): (&[u8], &[u8; 32]),
        now: i64,
    ) -> Result<Identified, NotVerified> {
        let source = &holder.source;
        loop {
            let Some(keys) = source.keys() else {
                return Err(match source.may_come() {
                    true => NotVerified::MayBe,
                    false => NotVerified::Never("none of the keys in its consumer can be used"),
                });
            };
            match holder.rules.verify(token, &keys) {
                Ok(_) if holder.consumer.disabled => {
                    return Ok(refused(Some(holder), "its consumer is disabled", now));
                }
                Ok(claims) => return Ok(self.verified(holder, (&claims, keys), digest, now)),
                // The issuer may have published it by now.
                Err((_, Some(key))) if !source.lacks(&key) => return Err(NotVerified::MayBe),
                // Its keys came while these were looked at.
                Err((_, Some(_))) if !source.keys().is_some_and(|newest| Arc::ptr_eq(&newest, &keys)) => {}
                Err((why, _)) => return Err(NotVerified::Never(why)),
            }
        }
    }

    /// The consumer of a token that is good.
    fn verified(
        &self,
        holder: &TokenHolder,
        (claims, keys): (&Claims, Arc<KeySet>),
        digest: &[u8; 32],
        now: i64,
    ) -> Identified {
        let consumer = match &holder.subjects {
            None => Arc::clone(&holder.consumer),
            Some(subjects) => match subjects.of(claims) {
                Some(consumer) => consumer,
                None => return refused(Some(holder), "it names no subject", now),
            },
        };
        let until = seconds(claims, "exp").unwrap_or_default().saturating_add(holder.rules.skew);
        let verified = Verified { holder: holder.clone(), consumer: Arc::clone(&consumer), keys, until };
        self.remember(*digest, verified, now);
        holder.source.counts.verified.add();
        Identified::Known(consumer, None)
    }

    fn remembered(&self, digest: &[u8; 32], now: i64) -> Option<Identified> {
        let verified = self.verified.shard(digest);
        let Verified { holder, consumer, keys, until } = verified.get(digest)?;
        // A key that the issuer has taken back makes what it signed nothing.
        let is_current = holder.source.keys().is_some_and(|now| Arc::ptr_eq(&now, keys));
        (now < *until && is_current).then(|| {
            holder.source.counts.cached.add();
            Identified::Known(Arc::clone(consumer), None)
        })
    }

    fn remember(&self, digest: [u8; 32], token: Verified, now: i64) {
        let mut verified = self.verified.shard(&digest);
        if verified.len() >= MOST / SHARDS {
            verified.retain(|_, token| now < token.until);
        }
        if verified.len() >= MOST / SHARDS {
            verified.clear();
        }
        verified.insert(digest, token);
    }
}

/// A token that nobody looks at. The log says so, once a second at most; to its caller it is a key that is not known.
fn tell_of_length(bytes: usize, now: i64) {
    static LAST: AtomicI64 = AtomicI64::new(0);
    if LAST.swap(now, Ordering::Relaxed) != now {
        let why = "it is too long to be looked at";
        tracing::info!(bytes, why, "a caller's token is refused");
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
