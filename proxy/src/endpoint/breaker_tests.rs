//! The circuit through its states, by tables and by chance.

use proptest::prelude::*;
use sluicegate_config::Millis;

use super::*;

fn settings() -> CircuitBreaker {
    CircuitBreaker {
        error_percent: 50,
        minimum_requests: 10,
        window: Millis(10_000),
        consecutive_failures: 5,
        open_for: Millis(1_000),
        max_open_for: Millis(8_000),
        half_open_requests: 2,
        max_open_percent: 50,
    }
}

struct TestClock(Instant);

impl TestClock {
    fn at(&self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }
}

fn fresh(settings: CircuitBreaker) -> (Breaker, TestClock) {
    let start = Instant::now();
    (Breaker::new(settings, start), TestClock(start))
}

fn call(breaker: &Breaker, outcome: Outcome, now: Instant) {
    let pass = breaker.try_pass(now).unwrap();
    breaker.record(pass, outcome, now);
}

fn fail(breaker: &Breaker, times: u32, now: Instant) {
    for _ in 0..times {
        call(breaker, Outcome::Failure, now);
    }
}

#[test]
fn what_opens_a_circuit() {
    use Outcome::{Failure as F, Neutral as N, Success as S};
    let never_in_a_row = CircuitBreaker { consecutive_failures: 0, ..settings() };
    let never_by_share = CircuitBreaker { error_percent: 0, ..settings() };
    let cases: [(&str, CircuitBreaker, Vec<Outcome>, bool); 9] = [
        ("four in a row", settings(), vec![F; 4], false),
        ("five in a row", settings(), vec![F; 5], true),
        ("a success between", settings(), vec![F, F, F, F, S, F, F, F], false),
        ("a cancelled call between is nothing", settings(), vec![F, F, F, F, N, F], true),
        ("half of ten", settings(), [F, S].repeat(5).into_iter().chain([F]).collect(), true),
        ("half of too few", never_in_a_row, vec![F; 9], false),
        ("enough of them", never_in_a_row, vec![F; 10], true),
        ("by share is off", never_by_share, [F, S].repeat(50), false),
        ("under the share", settings(), [F, S, S].repeat(50), false),
    ];
    for (name, settings, outcomes, opens) in cases {
        let (breaker, clock) = fresh(settings);
        for outcome in outcomes {
            call(&breaker, outcome, clock.at(0));
        }
        assert_eq!(breaker.state(clock.at(0)) == CircuitState::Open, opens, "{name}");
    }
}

#[test]
fn failures_are_forgotten_after_the_window() {
    let (breaker, clock) = fresh(CircuitBreaker { consecutive_failures: 0, ..settings() });
    fail(&breaker, 9, clock.at(0));
    fail(&breaker, 1, clock.at(20_000));
    assert_eq!(breaker.state(clock.at(20_000)), CircuitState::Closed);
}

#[test]
fn open_then_a_few_probes_then_closed() {
    let (breaker, clock) = fresh(settings());
    fail(&breaker, 5, clock.at(0));
    assert_eq!(breaker.try_pass(clock.at(999)), Err(clock.at(1_000)));
    let first = breaker.try_pass(clock.at(1_000)).unwrap();
    let second = breaker.try_pass(clock.at(1_000)).unwrap();
    assert!(breaker.try_pass(clock.at(1_000)).is_err(), "no third probe");
    breaker.record(first, Outcome::Success, clock.at(1_100));
    assert_eq!(breaker.state(clock.at(1_100)), CircuitState::HalfOpen);
    breaker.record(second, Outcome::Success, clock.at(1_100));
    assert_eq!(breaker.state(clock.at(1_100)), CircuitState::Closed);
    fail(&breaker, 1, clock.at(1_200));
    assert_eq!(breaker.state(clock.at(1_200)), CircuitState::Closed, "failures of before the opening are forgotten");
}

#[test]
fn a_probe_given_back_makes_room_for_another() {
    let (breaker, clock) = fresh(CircuitBreaker { half_open_requests: 1, ..settings() });
    fail(&breaker, 5, clock.at(0));
    let probe = breaker.try_pass(clock.at(1_000)).unwrap();
    assert!(breaker.try_pass(clock.at(1_000)).is_err());
    breaker.give_back(probe);
    let probe = breaker.try_pass(clock.at(1_000)).unwrap();
    breaker.record(probe, Outcome::Neutral, clock.at(1_000));
    assert!(breaker.try_pass(clock.at(1_000)).is_ok());
}

#[test]
fn the_open_time_doubles_up_to_its_bound_and_begins_anew_after_quiet() {
    let (breaker, clock) = fresh(settings());
    fail(&breaker, 5, clock.at(0));
    let mut now = 0;
    for length in [1_000, 2_000, 4_000, 8_000, 8_000] {
        assert_eq!(breaker.try_pass(clock.at(now)), Err(clock.at(now + length)), "after {length} ms");
        now += length;
        fail(&breaker, 1, clock.at(now));
    }
    now += 8_000;
    for _ in 0..2 {
        call(&breaker, Outcome::Success, clock.at(now));
    }
    now += 20_000;
    fail(&breaker, 5, clock.at(now));
    assert_eq!(breaker.try_pass(clock.at(now)), Err(clock.at(now + 1_000)));
}

#[test]
fn who_has_just_been_ill_is_believed_to_be_ill_sooner_and_forgiven_with_time() {
    let (breaker, clock) = fresh(settings());
    let heal = |at| {
        for _ in 0..2 {
            call(&breaker, Outcome::Success, clock.at(at));
        }
        assert_eq!(breaker.state(clock.at(at)), CircuitState::Closed);
    };
    fail(&breaker, 5, clock.at(0));
    heal(1_000);
    // Half of five in a row are enough now, and it is open for twice as long.
    fail(&breaker, 1, clock.at(1_500));
    assert_eq!(breaker.state(clock.at(1_500)), CircuitState::Closed);
    fail(&breaker, 1, clock.at(1_500));
    assert_eq!(breaker.try_pass(clock.at(1_500)), Err(clock.at(3_500)));
    heal(3_500);
    // It has been well for as long as it was open: one opening is forgotten, but not the other.
    fail(&breaker, 2, clock.at(5_600));
    assert_eq!(breaker.try_pass(clock.at(5_600)), Err(clock.at(7_600)));
    heal(7_600);
    // Well for twice as long: all is as it was at first.
    fail(&breaker, 4, clock.at(12_000));
    assert_eq!(breaker.state(clock.at(12_000)), CircuitState::Closed);
    fail(&breaker, 1, clock.at(12_000));
    assert_eq!(breaker.try_pass(clock.at(12_000)), Err(clock.at(13_000)));
}

#[test]
fn proxies_do_not_try_together() {
    let start = Instant::now();
    let mut ends = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let breaker = Breaker::new(settings(), start).spread(SPREAD);
        fail(&breaker, 5, start);
        let until = breaker.try_pass(start).unwrap_err();
        assert!((1_000..=1_100).contains(&(until - start).as_millis()));
        ends.insert(until);
    }
    assert!(ends.len() > 25, "{}", ends.len());
}

#[test]
fn late_answers_of_calls_from_before_change_nothing() {
    let (breaker, clock) = fresh(settings());
    let early: Vec<Pass> = (0..20).map(|_| breaker.try_pass(clock.at(0)).unwrap()).collect();
    fail(&breaker, 5, clock.at(0));
    for pass in early {
        breaker.record(pass, Outcome::Failure, clock.at(500));
    }
    assert!(breaker.try_pass(clock.at(1_000)).is_ok(), "the open time is not made longer");
    let (breaker, clock) = fresh(settings());
    fail(&breaker, 5, clock.at(0));
    let stale = breaker.try_pass(clock.at(1_000)).unwrap();
    fail(&breaker, 1, clock.at(1_000));
    breaker.record(stale, Outcome::Success, clock.at(1_500));
    assert_eq!(breaker.try_pass(clock.at(1_500)), Err(clock.at(3_000)), "a probe of the opening before");
}

#[test]
fn settings_change_without_losing_what_was_learnt() {
    let (breaker, clock) = fresh(settings());
    fail(&breaker, 4, clock.at(0));
    breaker.configure(CircuitBreaker { open_for: Millis(3_000), ..settings() });
    fail(&breaker, 1, clock.at(0));
    assert_eq!(breaker.try_pass(clock.at(0)), Err(clock.at(3_000)));
    breaker.configure(settings());
    assert_eq!(breaker.state(clock.at(0)), CircuitState::Open);
}

proptest! {
    /// Whatever happens: never more probes out than allowed, never a pass before the open time is over, and a
    /// provider that is well again closes its circuit in the end.
    #[test]
    fn any_history(
        half_open in 1_u32..4,
        consecutive in 0_u32..4,
        steps in prop::collection::vec((0_u64..3_000, 0_u8..5, 0_usize..8), 1..200),
    ) {
        let (breaker, clock) = fresh(CircuitBreaker {
            half_open_requests: half_open, consecutive_failures: consecutive, minimum_requests: 3, ..settings()
        });
        let mut now = 0;
        let mut out: Vec<Pass> = Vec::new();
        for (wait, action, which) in steps {
            now += wait;
            let at = clock.at(now);
            let before = breaker.state(at);
            if action < 2 || out.is_empty() {
                if let Ok(pass) = breaker.try_pass(at) {
                    prop_assert_ne!(before, CircuitState::Open);
                    out.push(pass);
                }
            } else {
                let pass = out.swap_remove(which % out.len());
                match action {
                    2 => breaker.record(pass, Outcome::Success, at),
                    3 => breaker.record(pass, Outcome::Failure, at),
                    _ => breaker.give_back(pass),
                }
            }
            let opening = breaker.lock().opening;
            let probes = out.iter().filter(|pass| **pass == Pass::Probe(opening)).count();
            prop_assert!(probes <= half_open as usize, "{} probes of {}", probes, half_open);
        }
        for pass in out {
            breaker.give_back(pass);
        }
        for _ in 0..2 {
            now += 8_000;
            for _ in 0..half_open {
                call(&breaker, Outcome::Success, clock.at(now));
            }
        }
        prop_assert_eq!(breaker.state(clock.at(now)), CircuitState::Closed);
    }
}
