//! Endpoints: permits, cooldown, and who is remembered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_config::{CircuitBreaker, Millis, ObjectId};

use super::*;

fn settings() -> CircuitBreaker {
    CircuitBreaker {
        error_percent: 0,
        minimum_requests: 10,
        window: Millis(10_000),
        consecutive_failures: 1,
        open_for: Millis(1_000),
        max_open_for: Millis(1_000),
        half_open_requests: 1,
        max_open_percent: 100,
    }
}

fn key(provider: &str) -> EndpointKey {
    let pool = ObjectId("ns/pool".to_owned());
    EndpointKey { pool, provider: provider.to_owned(), address: "a.b:443".to_owned() }
}

fn admit(endpoint: &Arc<Endpoint>, now: Instant) -> Permit {
    match endpoint.try_admit(now) {
        Admission::Closed(permit) | Admission::HalfOpen(permit) => permit,
        Admission::Refused { .. } => panic!("refused"),
    }
}

#[test]
fn a_call_is_in_flight_until_its_permit_is_dropped() {
    let now = Instant::now();
    let endpoint = Arc::new(Endpoint::new(settings(), now));
    let mut first = admit(&endpoint, now);
    let second = admit(&endpoint, now);
    assert_eq!(endpoint.in_flight(), 2);
    first.outcome(Outcome::Success, now);
    assert_eq!(endpoint.in_flight(), 2, "its answer still streams");
    drop((first, second));
    assert_eq!(endpoint.in_flight(), 0);
    assert_eq!(endpoint.health(now), Health::Healthy);
}

#[test]
fn only_the_first_word_about_a_call_counts() {
    let now = Instant::now();
    let endpoint = Arc::new(Endpoint::new(settings(), now));
    let mut permit = admit(&endpoint, now);
    permit.outcome(Outcome::Success, now);
    permit.outcome(Outcome::Failure, now);
    assert_eq!(endpoint.circuit(now), CircuitState::Closed);
}

#[test]
fn an_open_endpoint_can_be_asked_all_the_same_and_is_healed_by_it() {
    let now = Instant::now();
    let endpoint = Arc::new(Endpoint::new(settings(), now));
    admit(&endpoint, now).outcome(Outcome::Failure, now);
    let until = now + Duration::from_secs(1);
    assert!(matches!(endpoint.try_admit(now), Admission::Refused { until: said } if said == until));
    assert_eq!(endpoint.health(now), Health::Ejected(until));
    endpoint.admit_anyway(now).outcome(Outcome::Failure, now);
    assert_eq!(endpoint.health(now), Health::Ejected(until), "no longer than before");
    endpoint.admit_anyway(now).outcome(Outcome::Success, now);
    assert_eq!(endpoint.health(now), Health::Healthy);
}

#[test]
fn a_cancelled_probe_makes_room() {
    let now = Instant::now();
    let endpoint = Arc::new(Endpoint::new(settings(), now));
    admit(&endpoint, now).outcome(Outcome::Failure, now);
    let later = now + Duration::from_secs(2);
    assert_eq!(endpoint.health(later), Health::Probing);
    let probe = admit(&endpoint, later);
    assert!(matches!(endpoint.try_admit(later), Admission::Refused { .. }));
    drop(probe);
    assert!(matches!(endpoint.try_admit(later), Admission::HalfOpen(_)));
}

#[test]
fn the_longest_cooldown_holds_and_ends() {
    let now = Instant::now();
    let endpoint = Arc::new(Endpoint::new(settings(), now));
    endpoint.cool_down(now + Duration::from_secs(20));
    endpoint.cool_down(now + Duration::from_secs(5));
    assert_eq!(endpoint.health(now), Health::CoolingDown(now + Duration::from_secs(20)));
    assert!(matches!(endpoint.try_admit(now), Admission::Closed(_)), "it weighs only in balancing");
    assert_eq!(endpoint.health(now + Duration::from_secs(20)), Health::Healthy);
}

#[test]
fn what_one_process_tells_another_one_hears_also_before_it_knows_the_endpoint() {
    let now = Instant::now();
    let (one, two) = (Registry::default(), Registry::default());
    let settings = CircuitBreaker { consecutive_failures: 4, ..settings() };
    let (here, there) = (one.endpoint(&key("a"), settings, now), two.endpoint(&key("a"), settings, now));
    let later = now + Duration::from_secs(9);
    here.cool_down(later);
    here.cool_down(later + Duration::from_millis(10));
    let told = one.outbox.take(9);
    assert_eq!(told.iter().map(|news| (news.subject, news.until)).collect::<Vec<_>>(), [(Subject::Cooldown, later)]);
    assert!(two.hear(told[0], now));
    assert_eq!(there.health(now), Health::CoolingDown(later));
    assert_eq!(there.cooldown_until(now), Some(later));
    // Nobody tells what it has only heard.
    assert!(two.outbox.is_empty());
    let three = Registry::default();
    assert!(!three.hear(told[0], now));
    assert_eq!(three.endpoint(&key("a"), settings, now).health(now), Health::CoolingDown(later));
    assert_eq!(three.endpoint(&key("b"), settings, now).health(now), Health::Healthy);
    assert_eq!(three.endpoint(&key("a"), settings, now).circuit(now), CircuitState::Closed);
}

#[test]
fn what_is_nearly_used_up_of_one_model_keeps_nobody_from_another_and_is_known_to_others() {
    let now = Instant::now();
    let (one, two) = (Registry::default(), Registry::default());
    let (here, there) = (one.endpoint(&key("a"), settings(), now), two.endpoint(&key("a"), settings(), now));
    let later = now + Duration::from_secs(9);
    here.nearly_used_up(model_number("m"), later, now);
    let told = one.outbox.take(9);
    assert!(told.len() == 1 && two.hear(told[0], now));
    for endpoint in [here, there] {
        assert_eq!(endpoint.health_for(|| model_number("m"), now), Health::CoolingDown(later));
        assert_eq!(endpoint.health_for(|| model_number("n"), now), Health::Healthy);
        assert_eq!(endpoint.health_for(|| model_number("m"), later), Health::Healthy);
        assert_eq!((endpoint.health(now), endpoint.times_nearly_used_up()), (Health::Healthy, 1));
    }
}

#[test]
fn a_circuit_that_callers_may_have_opened_is_told_to_nobody() {
    let now = Instant::now();
    let settings = CircuitBreaker { consecutive_failures: 4, ..settings() };
    let told = |own: usize| {
        let registry = Registry::default();
        let endpoint = registry.endpoint(&key("a"), settings, now);
        for number in 0..4 {
            admit(&endpoint, now).outcome(Outcome::Failure, now);
            if number >= 4 - own {
                endpoint.failed_by_itself(now);
            }
        }
        assert_eq!(endpoint.circuit(now), CircuitState::Open);
        let told: Vec<Subject> = registry.outbox.take(9).into_iter().map(|news| news.subject).collect();
        endpoint.admit_anyway(now).outcome(Outcome::Success, now);
        assert_eq!(registry.outbox.take(9).len(), 1, "it is closed again");
        told
    };
    assert_eq!((told(0), told(1)), (vec![], vec![]));
    assert_eq!((told(2), told(4)), (vec![Subject::Circuit], vec![Subject::Circuit]));
}

#[test]
fn an_endpoint_survives_reloads_and_is_forgotten_when_nobody_wants_it() {
    let now = Instant::now();
    let registry = Registry::default();
    let first = registry.endpoint(&key("one"), settings(), now);
    admit(&first, now).outcome(Outcome::Failure, now);
    let again = registry.endpoint(&key("one"), settings(), now);
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(again.circuit(now), CircuitState::Open);
    drop((first, again));
    let soon = now + Duration::from_secs(60);
    let kept = registry.endpoint(&key("one"), settings(), soon);
    assert_ne!(kept.circuit(now), CircuitState::Closed, "let go for a minute only");
    let late = soon + Duration::from_secs(3_600);
    registry.endpoint(&key("two"), settings(), late);
    assert_eq!(registry.endpoints().len(), 2, "what is held stays");
    drop(kept);
    registry.endpoint(&key("two"), settings(), late + Duration::from_secs(3_600));
    assert_eq!(registry.endpoints().len(), 1);
}

#[test]
fn counts_from_many_threads_add_up() {
    let now = Instant::now();
    let endpoint = Arc::new(Endpoint::new(settings(), now));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    admit(&endpoint, now).outcome(Outcome::Success, now);
                }
            });
        }
    });
    assert_eq!(endpoint.in_flight(), 0);
    assert_eq!(endpoint.circuit(now), CircuitState::Closed);
}

#[test]
fn a_failure_taken_back_leaves_the_circuit_as_it_was() {
    let now = Instant::now();
    let settings = CircuitBreaker { consecutive_failures: 2, ..settings() };
    let endpoint = Arc::new(Endpoint::new(settings, now));
    let permit = || admit(&endpoint, now);
    for _ in 0..10 {
        permit().fail(now).unwrap().take_back(now);
    }
    assert_eq!(endpoint.circuit(now), CircuitState::Closed);
    permit().outcome(Outcome::Failure, now);
    let second = permit().fail(now).unwrap();
    assert_eq!(endpoint.circuit(now), CircuitState::Open);
    second.take_back(now);
    assert_eq!(endpoint.circuit(now), CircuitState::Closed);
    // The first failure still counts.
    permit().outcome(Outcome::Failure, now);
    let later = now + Duration::from_secs(3600);
    assert_eq!((endpoint.circuit(now), endpoint.circuit(later)), (CircuitState::Open, CircuitState::HalfOpen));
    let Admission::HalfOpen(mut probe) = endpoint.try_admit(later) else { panic!("no probe") };
    let failed = probe.fail(later).unwrap();
    assert_eq!(endpoint.circuit(later), CircuitState::Open);
    failed.take_back(later);
    assert_eq!(endpoint.circuit(later), CircuitState::HalfOpen);
    assert!(probe.fail(later).is_none());
}

#[test]
fn a_provider_refuses_its_credential_until_it_answers_or_has_another_one() {
    let (registry, now) = (Registry::default(), Instant::now());
    let endpoint = registry.endpoint(&key("a"), settings(), now);
    let other = registry.endpoint(&key("b"), settings(), now);
    (0..2).for_each(|_| endpoint.credential_refused(now));
    assert_eq!(registry.refusing(), [], "it may be about what one caller asked for");
    (0..3).for_each(|_| other.credential_refused(now));
    endpoint.credential_refused(now);
    drop(other);
    let refusing = registry.refusing();
    assert_eq!(refusing, [(ObjectId("ns/pool".to_owned()), "a".to_owned())], "nobody uses the other one any longer");
    let lone = || {
        registry.lone_keys().into_iter().map(|((_, provider), is_refused)| (provider, is_refused)).collect::<Vec<_>>()
    };
    assert_eq!(lone(), [("a".to_owned(), true)]);
    endpoint.credential_is_new();
    assert_eq!(registry.refusing(), []);
    assert_eq!(lone(), [("a".to_owned(), false)]);
    let id = LiveKeyId { pool: ObjectId("ns/pool".to_owned()), provider: "a".to_owned(), key: "one".to_owned() };
    let _one = registry.key(&id, KeyValue { number: 1, tag: [0; 2] }, now);
    assert_eq!(lone(), [], "it has several, each of which is told by itself");
}
