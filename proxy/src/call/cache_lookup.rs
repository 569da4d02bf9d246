//! The cache's outcome for a call: an answer, the lead to fetch one and keep it, or nothing to do with it.

use std::sync::Arc;

use http::header::{AGE, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::account::{CacheLayer, CacheStatus, End};
use crate::cache::{self, CacheLookup, Hit, Key, Layer, Lead, RedisQuestion};
use crate::coalescing::ExpectedFlight;
use crate::state::{Rule, TargetRef};

use super::exchange::{Exchange, Whole};
use super::inbound::InboundCall;
use super::keys::{self, KEY_HEADERS, bearer, query_keys};
use super::{headers, outgoing};

/// The layer that a hit came from.
pub(super) const X_SLUICEGATE_CACHE: HeaderName = HeaderName::from_static("x-sluicegate-cache");

/// The outcome of the cache for a call.
pub(super) enum CacheOutcome {
    /// The answer is here.
    Hit(Exchange),
    /// The answer is to be fetched; the lead, where there is one, keeps it. The flight, if Redis has been asked for it too.
    Fetch(Option<Lead>, Option<ExpectedFlight>),
}

/// Asks the cache for a call.
pub(super) async fn look(call: &InboundCall, rule: &Rule, plan: &Arc<cache::Plan>) -> CacheOutcome {
    match look_here(call, rule, plan) {
        Ok(outcome) => outcome,
        // Boxed: a call that asks no Redis has no use for the room.
        Err(question) => Box::pin(ask_redis(call, rule, (plan, question))).await,
    }
}

/// Asks the cache of this process for a call.
///
/// # Errors
/// Redis has to be asked.
fn look_here(call: &InboundCall, rule: &Rule, plan: &Arc<cache::Plan>) -> Result<CacheOutcome, RedisQuestion> {
    if !call.operation.generates() {
        return Ok(CacheOutcome::Fetch(None, None));
    }
    let goes_on = |name: &HeaderName| headers::may_go_on(call, rule, name);
    let asked = query(call, rule, (plan.recipe(), &goes_on));
    let known = match call.context.worker.cache.look_here(plan, &asked)? {
        CacheLookup::Lead(lead) => {
            let slot = slot(call, rule, lead.key());
            CacheLookup::Lead(lead.in_slot_of(slot))
        }
        known => known,
    };
    Ok(told(call, known, None))
}

/// Asks Redis for a call, and waits for it, but not for long: for what it keeps and, where proxies share flights, for the lease of one.
async fn ask_redis(
    call: &InboundCall,
    rule: &Rule,
    (plan, question): (&Arc<cache::Plan>, RedisQuestion),
) -> CacheOutcome {
    let worker = &call.context.worker;
    let slot = slot(call, rule, question.key());
    let question = question.in_slot_of(slot);
    let shared = slot.filter(|_| may_share(call)).zip(worker.remote_flights.as_ref());
    let expected = shared.and_then(|(key, remote)| ExpectedFlight::of(remote, &worker.shared.flights, &key));
    let Some(mut expected) = expected else {
        return told(call, worker.cache.ask_redis(plan, question).await, None);
    };
    let kept = expected.ask(&question.place()).await;
    told(call, worker.cache.heard(plan, &question, kept.as_ref()), Some(expected))
}

/// The key in whose slot the answer is kept in Redis: that of the flight, where proxies share it.
fn slot(call: &InboundCall, rule: &Rule, own: &Key) -> Option<Key> {
    let coalesce = rule.coalesce.as_ref().filter(|coalesce| coalesce.with_proxies)?;
    Some(flight_key(call, rule, (&coalesce.recipe, *own)))
}

/// True if a call may share its answer with others while it comes. An array is no stream that a whole answer can be made of.
fn may_share(call: &InboundCall) -> bool {
    let is_one = call.operation.generates() && !call.context.caller.array && !cache::wants_its_own(&call.headers);
    is_one && !call.context.lands_softly()
}

/// The key of the flight of a call: its own, unless those who ask for the same in another dialect share it, where every dialect can say what is
/// asked.
fn flight_key(call: &InboundCall, rule: &Rule, (recipe, own): (&cache::Recipe, Key)) -> Key {
    let meaning = call.dialect().meaning(&call.body);
    let goes_on = |name: &HeaderName| headers::may_go_on(call, rule, name);
    let shared = meaning
        .and_then(|meaning| recipe.key_of_meaning(&query(call, rule, (recipe, &goes_on)), (call.model(), &meaning)));
    call.context.caller.hops.apart(shared.unwrap_or(own))
}

/// The outcome, of which the call's caller and the ledger are told.
fn told(call: &InboundCall, known: CacheLookup, expected: Option<ExpectedFlight>) -> CacheOutcome {
    call.context.cache_said(known.as_str());
    let (status, outcome) = match known {
        CacheLookup::Hit(hit) => (CacheStatus::Hit(layer(hit.layer)), CacheOutcome::Hit(answer(call, hit))),
        CacheLookup::Lead(lead) => (CacheStatus::Miss, CacheOutcome::Fetch(Some(lead), expected)),
        CacheLookup::Bypass(_) => (CacheStatus::Bypass, CacheOutcome::Fetch(None, None)),
    };
    call.context.note(|entry| entry.cache(status));
    outcome
}

/// The key under which a call shares its answer with those that ask for the same meanwhile; `None`: it does not.
pub(super) fn shared_key(call: &InboundCall, rule: &Rule, lead: Option<&Lead>) -> Option<Key> {
    let recipe = &rule.coalesce.as_ref()?.recipe;
    if !may_share(call) {
        return None;
    }
    let own = match (lead, &rule.cache) {
        (Some(lead), _) if lead.slot().is_some() => return lead.slot().copied(),
        (Some(lead), _) => Some(*lead.key()),
        (None, Some(_)) => None,
        (None, None) => {
            let goes_on = |name: &HeaderName| headers::may_go_on(call, rule, name);
            recipe.key(&query(call, rule, (recipe, &goes_on))).ok()
        }
    }?;
    Some(flight_key(call, rule, (recipe, own)))
}

fn query<'a>(
    call: &'a InboundCall,
    rule: &Rule,
    (recipe, goes_on): (&cache::Recipe, &'a dyn Fn(&HeaderName) -> bool),
) -> cache::CacheQuery<'a> {
    cache::CacheQuery {
        dialect: call.dialect(),
        // A digest of keys costs as much as a look at the body.
        caller: if recipe.tells_callers_apart() { caller(call) } else { None },
        headers: call.sent_headers(),
        goes_on,
        beta: outgoing::query_words(call).any(|word| Some(word) != call.dialect().habits().events_word),
        served_by: served_by(call, rule),
        model: call.path_model(),
        body: &call.body,
        // An array is written around the whole.
        stream: call.streams() && !call.context.caller.array,
        stream_usage: call.sees_usage(),
        accepts: call.context.caller.accepts,
    }
}

/// Stands for a caller where answers are kept apart by caller: the consumer, by whichever of its keys, or else the keys.
pub(super) fn caller(call: &InboundCall) -> Option<[u8; 32]> {
    let known = call.context.consumer().map(|consumer| consumer.identity());
    known.or_else(|| by_keys(&call.headers, query_keys(call.query())))
}

/// Stands for a caller that nobody knows: a digest of every key that it sends, wherever SDKs put one.
/// The keys themselves go nowhere. `None`: it sends none.
fn by_keys<'a>(headers: &HeaderMap, in_query: impl Iterator<Item = &'a str>) -> Option<[u8; 32]> {
    let mut digest = blake3::Hasher::new_derive_key("sluicegate caller identity for cached answers v2");
    let mut known = false;
    // In an address no byte is 255: where one key ends and the next begins is plain.
    for key in in_query {
        known = true;
        digest.update(&[u8::MAX]);
        digest.update(key.as_bytes());
    }
    for (place, name) in (0_u8..).zip([AUTHORIZATION.as_str()].into_iter().chain(KEY_HEADERS)) {
        for value in headers.get_all(name) {
            let value = if place == 0 { bearer(value.as_bytes()) } else { value.as_bytes() }.trim_ascii();
            if !value.is_empty() {
                known = true;
                digest.update(&[place]);
                digest.update(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
                digest.update(value);
            }
        }
    }
    known.then(|| *digest.finalize().as_bytes())
}

/// Stands for whom a rule asks: its pools, the models it asks them for, and what they put into requests. An answer of
/// before one of these changed is not an answer of now. Where a pool is asked with the caller's own key, answers are that key's
/// whatever the rule says of sharing them: another key may not be good for them.
fn served_by(call: &InboundCall, rule: &Rule) -> [u8; 32] {
    let ready = &call.context.ready;
    let mut digest = blake3::Hasher::new();
    let takes_keys = |target: &TargetRef| ready.target(target).is_some_and(|target| target.pool.takes_callers_keys);
    if rule.targets.iter().chain(&rule.fallbacks).any(takes_keys) {
        digest.update(&keys::digest(call));
    }
    // By the id in it nobody else can go on.
    if let Some(owner) = call.owner_of_answer() {
        digest.update(owner);
    }
    for (kind, aims) in [(1, &rule.targets), (2, &rule.fallbacks)] {
        for target in aims.iter().map(|target| ready.target(target)) {
            digest.update(&[kind]);
            let Some(target) = target else { continue };
            digest.update(&target.pool.answers);
            let model = target.model.unwrap_or_default();
            digest.update(&u64::try_from(model.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(model.as_bytes());
        }
    }
    *digest.finalize().as_bytes()
}

fn layer(layer: Layer) -> CacheLayer {
    match layer {
        Layer::Memory => CacheLayer::Memory,
        Layer::Redis => CacheLayer::Redis,
    }
}

fn answer(call: &InboundCall, hit: Hit) -> Exchange {
    let kind = if hit.stream { call.context.stream_type() } else { "application/json" };
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_SLUICEGATE_CACHE, HeaderValue::from_static(hit.layer.as_str()));
    headers.insert(AGE, HeaderValue::from(hit.age.as_secs()));
    let array = call.context.caller.array;
    if let Some(coding) = hit.coding.filter(|_| !array) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    }
    let hit = if array { Hit { body: [b"[", &hit.body[..], b"]"].concat().into(), ..hit } } else { hit };
    let body = match hit.layer {
        // The memory layer's own bytes, which its bound counts.
        Layer::Memory => hit.body,
        Layer::Redis => call.context.worker.memory.nothing().hold(hit.body),
    };
    Exchange::Whole(Whole { status: StatusCode::OK, headers, body, end: End::Done })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Option<[u8; 32]> {
        let headers =
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        by_keys(&headers, std::iter::empty())
    }

    #[test]
    fn every_key_counts_wherever_it_is() {
        let nobody = [&[][..], &[("authorization", "")], &[("authorization", "Bearer ")], &[("x-api-key", " ")]];
        assert!(nobody.iter().all(|headers| of(headers).is_none()));
        let callers = [
            of(&[("authorization", "Bearer one")]),
            of(&[("authorization", "Bearer two")]),
            of(&[("authorization", "Basic one")]),
            of(&[("x-api-key", "one")]),
            of(&[("api-key", "one")]),
            of(&[("x-goog-api-key", "one")]),
            of(&[("authorization", "Bearer one"), ("x-api-key", "one")]),
            of(&[("authorization", "Bearer one"), ("x-api-key", "two")]),
            of(&[("x-api-key", "one"), ("x-api-key", "two")]),
        ];
        let different: std::collections::BTreeSet<_> = callers.iter().flatten().collect();
        assert_eq!(different.len(), callers.len());
        let same = [
            of(&[("authorization", ""), ("x-api-key", "one")]),
            of(&[("authorization", "Bearer"), ("x-api-key", "one")]),
            of(&[("x-api-key", "one ")]),
        ];
        assert!(same.iter().all(|caller| *caller == callers[3]));
        assert_eq!(of(&[("authorization", "bearer  one")]), callers[0]);
    }
}
