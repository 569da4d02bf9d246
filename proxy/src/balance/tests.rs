//! Who is picked, and in which order reasons count.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use sluicegate_config::{CircuitBreaker, Millis, Strategy};

use super::*;
use crate::endpoint::{Admission, Endpoint, Health, Latency, LatencyClock, Permit, TimedAnswer};

fn well() -> Candidate {
    let health = Health::Healthy;
    Candidate {
        serves: true,
        weight: 1,
        priority: 0,
        is_away: false,
        is_below: false,
        is_busy: false,
        health,
        in_flight: 0,
        told: 0,
        identity: 0,
        measure: Measure::None,
    }
}

fn circuit() -> CircuitBreaker {
    CircuitBreaker {
        error_percent: 50,
        minimum_requests: 10,
        window: Millis(30_000),
        consecutive_failures: 5,
        open_for: Millis(10_000),
        max_open_for: Millis(300_000),
        half_open_requests: 3,
        max_open_percent: 50,
    }
}

fn health(health: Health) -> Candidate {
    Candidate { health, ..well() }
}

fn picker<'a>(strategy: Strategy, percent: u32, (cursor, rng): (&'a AtomicU64, &'a mut SmallRng)) -> Picker<'a> {
    Picker { strategy, max_open_percent: percent, conversation: None, cursor, rng }
}

fn pick_by(strategy: Strategy, max_open_percent: u32, candidates: &[Candidate], tried: &[usize]) -> Option<Chosen> {
    let (cursor, mut rng) = (AtomicU64::new(0), SmallRng::seed_from_u64(7));
    let mut had = Tried::default();
    tried.iter().for_each(|index| had.add(*index));
    pick(&mut picker(strategy, max_open_percent, (&cursor, &mut rng)), candidates, had)
}

fn picked(candidates: &[Candidate], tried: &[usize]) -> Option<(usize, bool)> {
    pick_by(Strategy::RoundRobin, 100, candidates, tried).map(|chosen| (chosen.index, chosen.forced))
}

/// What it is, the candidates, who was tried, and who is expected (and whether by force).
type Case<'a> = (&'a str, Vec<Candidate>, &'a [usize], Option<(usize, bool)>);

#[test]
fn filters_then_tiers_then_pick() {
    let now = Instant::now();
    let at = |seconds| now + Duration::from_secs(seconds);
    let mute = Candidate { serves: false, ..well() };
    let weightless = Candidate { weight: 0, ..well() };
    let second = Candidate { priority: 1, ..well() };
    let open = |seconds| health(Health::Ejected(at(seconds)));
    let cooling = |seconds| health(Health::CoolingDown(at(seconds)));
    let away = Candidate { is_away: true, ..well() };
    let cases: [Case<'_>; 18] = [
        ("the nearer region first", vec![away, well()], &[], Some((1, false))),
        ("another region when the own can not", vec![away, well()], &[1], Some((0, false))),
        ("another region before the next tier", vec![second, away], &[], Some((1, false))),
        ("a healthy one far away before a near one that cools down", vec![cooling(1), away], &[], Some((1, false))),
        ("nobody", vec![], &[], None),
        ("does not serve the model", vec![mute, well()], &[], Some((1, false))),
        ("only those that do not", vec![mute, weightless], &[], None),
        ("no weight", vec![weightless, well()], &[], Some((1, false))),
        ("tried already", vec![well(), well()], &[0], Some((1, false))),
        ("all tried", vec![well(), well()], &[0, 1], None),
        ("open", vec![open(5), well()], &[], Some((1, false))),
        ("the lower tier first", vec![second, well()], &[], Some((1, false))),
        ("the higher tier when the lower one is open", vec![open(5), second], &[], Some((1, false))),
        ("the higher tier when the lower one was tried", vec![well(), second], &[0], Some((1, false))),
        ("a cooling one only when nobody else can", vec![cooling(5), second], &[], Some((1, false))),
        ("the one whose quiet ends first", vec![cooling(5), cooling(3), open(1)], &[], Some((1, false))),
        ("all open: the least bad one", vec![open(5), open(3), open(4)], &[], Some((1, true))),
        ("all open, the least bad one tried", vec![open(5), open(3), open(4)], &[1], Some((2, true))),
    ];
    for (name, candidates, tried, expected) in cases {
        assert_eq!(picked(&candidates, tried), expected, "{name}");
    }
    let trying = health(Health::Probing);
    assert_eq!(picked(&[trying, second], &[]), Some((0, false)), "a circuit is tried by calls of its tier");
}

#[test]
fn at_most_a_share_of_a_pool_is_left_alone() {
    let now = Instant::now();
    let open = |seconds| health(Health::Ejected(now + Duration::from_secs(seconds)));
    let cases: [(&str, u32, Vec<Candidate>, &[usize]); 5] = [
        ("half of four", 50, vec![open(9), open(8), well(), well()], &[2, 3]),
        (
            "three open of four, half allowed: the first to close serves",
            50,
            vec![open(9), open(8), open(7), well()],
            &[2, 3],
        ),
        ("a quarter of four", 25, vec![open(9), open(8), well(), well()], &[1, 2, 3]),
        ("none", 0, vec![open(9), well()], &[0, 1]),
        ("half of one is none", 50, vec![open(9)], &[0]),
    ];
    for (name, percent, candidates, expected) in cases {
        let (cursor, mut rng) = (AtomicU64::new(0), SmallRng::seed_from_u64(7));
        let mut seen: Vec<usize> = (0..20)
            .filter_map(|_| {
                let mut picker = picker(Strategy::RoundRobin, percent, (&cursor, &mut rng));
                pick(&mut picker, &candidates, Tried::default())
            })
            .map(|chosen| chosen.index)
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, expected, "{name}");
    }
}

#[test]
fn round_robin_goes_round() {
    let (cursor, mut rng) = (AtomicU64::new(0), SmallRng::seed_from_u64(7));
    let mut next = || {
        let mut picker = picker(Strategy::RoundRobin, 100, (&cursor, &mut rng));
        pick(&mut picker, &[well(), well(), well()], Tried::default()).unwrap().index
    };
    assert_eq!([next(), next(), next(), next()], [0, 1, 2, 0]);
}

#[test]
fn weights_are_shares() {
    let (cursor, mut rng) = (AtomicU64::new(0), SmallRng::seed_from_u64(7));
    let heavy = Candidate { weight: 3, ..well() };
    let mut counts = [0; 2];
    for _ in 0..4_000 {
        let mut picker = picker(Strategy::Weighted, 100, (&cursor, &mut rng));
        counts[pick(&mut picker, &[well(), heavy], Tried::default()).unwrap().index] += 1;
    }
    assert!((900..1_100).contains(&counts[0]), "{counts:?}");
}

#[test]
fn of_two_the_one_with_fewer_calls_for_its_weight() {
    let busy = Candidate { in_flight: 10, ..well() };
    let heavy = Candidate { in_flight: 10, weight: 20, ..well() };
    let idle = Candidate { in_flight: 3, ..well() };
    assert_eq!(pick_by(Strategy::LeastRequest, 100, &[busy, idle], &[]).unwrap().index, 1);
    assert_eq!(pick_by(Strategy::LeastRequest, 100, &[idle, heavy], &[]).unwrap().index, 1);
    assert_eq!(pick_by(Strategy::LeastRequest, 100, &[busy], &[]).unwrap().index, 0);
    let others = Candidate { told: 10, ..well() };
    assert_eq!(pick_by(Strategy::LeastRequest, 100, &[others, idle], &[]).unwrap().index, 1);
}

/// Calls of a minute at three endpoints, by a clock that the test drives: each waits as long as its endpoint says, so many at once.
fn shares_by_latency(waits: [u64; 3], every_ms: u64) -> [u32; 3] {
    let start = Instant::now();
    let endpoints: Vec<_> = (0..3).map(|_| Arc::new(Endpoint::new(circuit(), start))).collect();
    let (cursor, mut rng) = (AtomicU64::new(0), SmallRng::seed_from_u64(7));
    let (mut counts, mut waiting) = ([0; 3], Vec::<(Instant, LatencyClock, Permit)>::new());
    for number in 0..60_000 / every_ms {
        let now = start + Duration::from_millis(number * every_ms);
        let (over, rest) = waiting.into_iter().partition(|(at, ..)| *at <= now);
        waiting = rest;
        let over: Vec<(Instant, LatencyClock, Permit)> = over;
        over.into_iter().for_each(|(at, clock, _)| clock.answered(at));
        let calls = cursor.load(std::sync::atomic::Ordering::Relaxed);
        let candidate = |endpoint: &Arc<Endpoint>| {
            let measure = Measure::Latency(endpoint.latency(TimedAnswer::Stream, now, calls));
            Candidate { in_flight: endpoint.in_flight(), measure, ..well() }
        };
        let candidates: Vec<Candidate> = endpoints.iter().map(candidate).collect();
        let mut picker = picker(Strategy::LeastLatency, 100, (&cursor, &mut rng));
        let chosen = pick(&mut picker, &candidates, Tried::default()).unwrap().index;
        let endpoint = &endpoints[chosen];
        if candidates[chosen].is_due() {
            endpoint.is_tried(calls);
        }
        let Admission::Closed(permit) = endpoint.try_admit(now) else { panic!("its circuit is closed") };
        let clock = LatencyClock::start(Arc::clone(endpoint), TimedAnswer::Stream, now);
        waiting.push((now + Duration::from_millis(waits[chosen]), clock, permit));
        // The first five seconds are for learning.
        counts[chosen] += u32::from(number * every_ms >= 5_000);
    }
    counts
}

#[test]
fn the_quickest_get_the_calls_and_the_slow_one_is_tried_now_and_then() {
    for every_ms in [5, 20, 100, 500] {
        let counts = shares_by_latency([50, 1_000, 50], every_ms);
        let all: u32 = counts.iter().sum();
        assert!(counts[1] * 100 <= all * 3, "a call each {every_ms} ms: {counts:?}");
        assert!(counts[0] * 10 >= all * 4 && counts[2] * 10 >= all * 4, "{every_ms} ms: {counts:?}");
    }
    let counts = shares_by_latency([50, 1_000, 50], 20);
    assert!(counts[1] > 0, "nobody would notice that it is quick again: {counts:?}");
}

#[test]
fn of_times_an_unknown_one_is_found_out_by_one_call() {
    let of = |expected, in_flight| {
        let measure = Measure::Latency(Latency { expected, is_due: false });
        Candidate { measure, in_flight, ..well() }
    };
    let pick = |candidates: &[Candidate]| pick_by(Strategy::LeastLatency, 100, candidates, &[]).unwrap().index;
    assert_eq!(pick(&[of(Some(5), 0), of(None, 0)]), 1);
    assert_eq!(pick(&[of(Some(5), 0), of(None, 1)]), 0);
    assert_eq!(pick(&[of(Some(100), 0), of(Some(9), 9)]), 1);
    assert_eq!(pick(&[of(Some(100), 0), of(Some(9), 20)]), 0);
    // Others' calls there keep nobody from finding out, nor do they count where it is known.
    let told = |expected| Candidate { told: 3, ..of(expected, 0) };
    assert_eq!(pick(&[of(Some(5), 0), told(None)]), 1);
    assert_eq!(pick(&[of(Some(100), 0), told(Some(99))]), 1);
    let due = Candidate { measure: Measure::Latency(Latency { expected: Some(99), is_due: true }), ..well() };
    assert_eq!(pick(&[of(Some(5), 0), due, of(Some(5), 0)]), 1);
}

#[test]
fn the_cheapest_goes_first_and_what_nobody_knows_the_cost_of_last() {
    let of = |cost| Candidate { measure: Measure::Cost(cost), ..well() };
    let pick = |candidates: &[Candidate], tried: &[usize]| {
        pick_by(Strategy::CostOptimized, 100, candidates, tried).unwrap().index
    };
    let all = [of(None), of(Some(30)), of(Some(20)), Candidate { weight: 0, ..of(Some(1)) }];
    assert_eq!([pick(&all, &[]), pick(&all, &[2]), pick(&all, &[1, 2])], [2, 1, 0]);
    let second = Candidate { priority: 1, ..of(Some(1)) };
    assert_eq!(pick(&[second, of(Some(30))], &[]), 1, "a tier goes before a price");
    let poor = Candidate { is_below: true, ..of(Some(1)) };
    let all = [poor, of(Some(30)), Candidate { is_away: true, ..of(Some(2)) }, second];
    let order = [pick(&all, &[]), pick(&all, &[1]), pick(&all, &[1, 2]), pick(&all, &[0, 1, 2])];
    assert_eq!(order, [1, 2, 0, 3], "a good one of the tier goes before a cheap one, wherever it is");
}

fn at(number: u64, in_flight: u32) -> Candidate {
    Candidate { identity: number.wrapping_mul(0x1234_5678_9abc_def1), in_flight, ..well() }
}

fn pick_for(key: u64, is_crowd: bool, candidates: &[Candidate]) -> usize {
    let (cursor, mut rng) = (AtomicU64::new(0), SmallRng::seed_from_u64(key));
    let mut picker = picker(Strategy::LeastRequest, 100, (&cursor, &mut rng));
    picker.conversation = Some(ConversationKey { key, max_load_milli: 1_250, is_crowd });
    pick(&mut picker, candidates, Tried::default()).unwrap().index
}

#[test]
fn a_conversation_stays_where_it_is_and_the_others_stay_when_one_goes() {
    let all = [at(1, 0), at(2, 0), at(3, 0)];
    let until = Instant::now() + Duration::from_secs(5);
    let mut counts = [0; 3];
    for key in 0..3_000 {
        let own = pick_for(key, false, &all);
        counts[own] += 1;
        // The same endpoints in another order, as another proxy may have them.
        let turned = [all[2], all[0], all[1]];
        assert_eq!(turned[pick_for(key, false, &turned)].identity, all[own].identity);
        for gone in 0..3 {
            let mut fewer = all;
            fewer[gone].health = Health::CoolingDown(until);
            let now = pick_for(key, false, &fewer);
            assert!(now != gone && (now == own || gone == own), "only what was there moves");
        }
        let conversation = ConversationKey { key, max_load_milli: 1_250, is_crowd: false };
        assert_eq!(home(conversation, &all), Some(own));
    }
    assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    // A weight is a share of the conversations.
    let heavy = [Candidate { weight: 3, ..at(1, 0) }, at(2, 0)];
    let first = (0..4_000).filter(|key| pick_for(*key, false, &heavy) == 0).count();
    assert!((2_850..3_150).contains(&first), "{first}");
}

#[test]
fn a_crowd_is_spread_and_chance_moves_nobody() {
    // Sixty calls of one conversation at once, at one proxy and at three.
    for calls in [60, 20] {
        let mut all = [at(1, 0), at(2, 0), at(3, 0)];
        for number in 0..calls {
            let chosen = pick_for(7, number >= 4, &all);
            all[chosen].in_flight += 1;
        }
        let most = all.iter().map(|candidate| candidate.in_flight).max().unwrap();
        assert!(most * 3 * 100 <= calls * 125, "{calls}: {most}");
        assert!(all.iter().all(|candidate| candidate.in_flight > 0), "{calls}");
    }
    // Calls of as many conversations, each at its own place: hardly one of them moves.
    let mut rng = SmallRng::seed_from_u64(7);
    let (mut all, mut under_way, mut moved) = ([at(1, 0), at(2, 0), at(3, 0)], std::collections::VecDeque::new(), 0);
    for _ in 0..10_000 {
        let key = rand::RngExt::random_range(&mut rng, 0..1_000_000_u64);
        let home = home(ConversationKey { key, max_load_milli: 1_250, is_crowd: false }, &all).unwrap();
        let chosen = pick_for(key, false, &all);
        moved += u32::from(chosen != home);
        all[chosen].in_flight += 1;
        under_way.push_back(chosen);
        if under_way.len() > 30 {
            let over = under_way.pop_front().unwrap();
            all[over].in_flight -= 1;
        }
    }
    assert!(moved < 500, "{moved} of 10 000 moved");
}

#[test]
fn a_split_is_exact_over_a_round_and_mixed_within_it() {
    let split = Split::new([90, 10, 0]);
    let round: Vec<usize> = (0..10).map(|n| split.at(n).unwrap()).collect();
    assert_eq!(round.iter().filter(|target| **target == 0).count(), 9);
    let even = Split::new([1, 1]);
    assert_eq!([even.at(0), even.at(1), even.at(2)], [Some(0), Some(1), Some(0)]);
    assert_eq!(Split::new([0, 0]).at(3), None);
    assert_eq!(Split::new([]).at(3), None);
}

proptest! {
    #[test]
    fn any_split_gives_each_target_its_weight(weights in prop::collection::vec(0_u32..200, 1..6), start in any::<u32>()) {
        let split = Split::new(weights.iter().copied());
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut counts = vec![0_u32; weights.len()];
        for n in 0..total {
            counts[split.at(u64::from(start) + n).unwrap()] += 1;
        }
        prop_assert_eq!(counts, weights);
    }

    /// Nobody who cannot serve is ever picked, and somebody is whenever anybody can.
    #[test]
    fn any_pool(
        kinds in prop::collection::vec((any::<bool>(), 0_u32..3, 0_u32..3, 0_u8..4, 0_u32..9), 0..8),
        strategy in prop_oneof![
            Just(Strategy::RoundRobin), Just(Strategy::Weighted), Just(Strategy::LeastRequest),
            Just(Strategy::LeastLatency), Just(Strategy::CostOptimized),
        ],
        tried in 0_usize..8,
        percent in 0_u32..=100,
    ) {
        let now = Instant::now();
        let candidates: Vec<Candidate> = kinds.iter().map(|(serves, weight, priority, kind, in_flight)| Candidate {
            serves: *serves, weight: *weight, priority: *priority, in_flight: *in_flight, told: *in_flight / 2, identity: 0, is_away: in_flight % 2 == 1, is_below: in_flight % 3 == 1, is_busy: in_flight % 5 == 1,
            measure: Measure::None,
            health: match kind {
                0 => Health::Healthy,
                1 => Health::Probing,
                2 => Health::CoolingDown(now + Duration::from_secs(u64::from(*in_flight))),
                _ => Health::Ejected(now + Duration::from_secs(u64::from(*in_flight))),
            },
        }).collect();
        let able = |(index, c): &(usize, &Candidate)| c.serves && c.weight > 0 && *index != tried;
        let chosen = pick_by(strategy, percent, &candidates, &[tried]);
        prop_assert_eq!(chosen.is_some(), candidates.iter().enumerate().any(|pair| able(&pair)));
        if let Some(chosen) = chosen {
            let candidate = &candidates[chosen.index];
            prop_assert!(able(&(chosen.index, candidate)));
            prop_assert_eq!(chosen.forced, matches!(candidate.health, Health::Ejected(_)));
        }
    }
}
