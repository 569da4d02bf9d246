//! The Redis answers that are asked for often enough to be copied into memory: a small table of recent hits.
//!
//! The table has a fixed size and forgets: a key that falls on another's place takes it. Two often-asked keys on one
//! place may keep each other from memory for a while; they are still served from Redis.

use std::sync::atomic::{AtomicU64, Ordering};

use sluicegate_config::Promotion;

use super::entry::Wall;
use super::key::Key;

/// Places in the table: 64 KiB, shared by all routes and workers.
const PLACES: usize = 8192;
/// Time is counted in steps of 2⁶ ms, in 28 bits (it comes round after 198 days).
const STEP_BITS: u32 = 6;
const TIME_MASK: u64 = (1 << 28) - 1;
/// Hits are counted in 12 bits.
const HITS_MASK: u64 = (1 << 12) - 1;

/// Recent hits by key: in each place 24 bits of key, 28 of time, 12 of hits.
#[derive(Debug)]
pub struct Promotions(Box<[AtomicU64]>);

impl Default for Promotions {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Promotions {
    /// Counts a hit and says whether the answer has earned its place in memory.
    #[must_use]
    pub fn hit(&self, key: &Key, rule: Option<Promotion>, now: Wall) -> bool {
        let Some(rule) = rule else { return true };
        let [a, b, c, d, e, f, g, ..] = key.0;
        let at = usize::from(u16::from_le_bytes([a, b])) % PLACES;
        let Some(place) = self.0.get(at) else { return true };
        let tag = u64::from(u32::from_le_bytes([c, d, e, f ^ g])) & 0xff_ffff;
        let time = (now.0 >> STEP_BITS) & TIME_MASK;
        let old = place.load(Ordering::Relaxed);
        let (old_tag, old_time, old_hits) = (old >> 40, (old >> 12) & TIME_MASK, old & HITS_MASK);
        let within = (rule.within.0 >> STEP_BITS).min(TIME_MASK);
        let goes_on = old_tag == tag && old_hits > 0 && (time.wrapping_sub(old_time) & TIME_MASK) <= within;
        let (since, hits) = if goes_on { (old_time, (old_hits + 1).min(HITS_MASK)) } else { (time, 1) };
        let earned = hits >= u64::from(rule.hits).min(HITS_MASK);
        // A lost race loses one hit; what follows comes a hit later.
        let new = if earned { 0 } else { (tag << 40) | (since << 12) | hits };
        place.store(new, Ordering::Relaxed);
        earned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_config::Millis;

    const RULE: Option<Promotion> = Some(Promotion { hits: 3, within: Millis(10_000) });

    #[test]
    fn the_third_hit_within_the_time_earns_it() {
        let table = Promotions::default();
        let key = Key([7; 32]);
        assert!(!table.hit(&key, RULE, Wall(1_000_000)));
        assert!(!table.hit(&key, RULE, Wall(1_004_000)));
        assert!(table.hit(&key, RULE, Wall(1_008_000)));
        assert!(!table.hit(&key, RULE, Wall(1_009_000)), "counting begins again");
    }

    #[test]
    fn hits_too_far_apart_earn_nothing() {
        let table = Promotions::default();
        let key = Key([7; 32]);
        for i in 0..10 {
            assert!(!table.hit(&key, RULE, Wall(i * 6_000 + u64::from(i % 2 == 1))), "hit {i}");
            // Every second hit is more than ten seconds after the one that opened the window.
        }
    }

    #[test]
    fn without_a_rule_the_first_hit_earns_it() {
        assert!(Promotions::default().hit(&Key([1; 32]), None, Wall(5)));
    }

    #[test]
    fn another_key_on_the_same_place_takes_it() {
        let table = Promotions::default();
        let (mut one, mut two) = ([7; 32], [7; 32]);
        (one[2], two[2]) = (1, 2);
        assert!(!table.hit(&Key(one), RULE, Wall(0)));
        assert!(!table.hit(&Key(one), RULE, Wall(64)));
        assert!(!table.hit(&Key(two), RULE, Wall(128)));
        assert!(!table.hit(&Key(one), RULE, Wall(192)));
    }
}
