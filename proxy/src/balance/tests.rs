//! Who is picked, and in which order reasons count.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use sluicegate_config::Strategy;

use super::*;
use crate::endpoint::Health;

fn well() -> Candidate {
    Candidate { serves: true, weight: 1, priority: 0, health: Health::Healthy, in_flight: 0 }
}

fn health(health: Health) -> Candidate {
    Candidate { health, ..well() }
}

fn pick_by(strategy: Strategy, max_open_percent: u32, candidates: &[Candidate], tried: &[usize]) -> Option<Chosen> {
    let (cursor, mut rng) = (AtomicU64::new(0), SmallRng::seed_from_u64(7));
    let mut had = Tried::default();
    tried.iter().for_each(|index| had.add(*index));
    pick(&mut Picker { strategy, max_open_percent, cursor: &cursor, rng: &mut rng }, candidates, had)
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
    let cases: [Case<'_>; 14] = [
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
                let strategy = Strategy::RoundRobin;
                let mut picker = Picker { strategy, max_open_percent: percent, cursor: &cursor, rng: &mut rng };
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
        let strategy = Strategy::RoundRobin;
        let mut picker = Picker { strategy, max_open_percent: 100, cursor: &cursor, rng: &mut rng };
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
        let strategy = Strategy::Weighted;
        let mut picker = Picker { strategy, max_open_percent: 100, cursor: &cursor, rng: &mut rng };
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
        strategy in prop_oneof![Just(Strategy::RoundRobin), Just(Strategy::Weighted), Just(Strategy::LeastRequest)],
        tried in 0_usize..8,
        percent in 0_u32..=100,
    ) {
        let now = Instant::now();
        let candidates: Vec<Candidate> = kinds.iter().map(|(serves, weight, priority, kind, in_flight)| Candidate {
            serves: *serves, weight: *weight, priority: *priority, in_flight: *in_flight,
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
