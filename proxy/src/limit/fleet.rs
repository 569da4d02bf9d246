//! The proxies that share limits: each says in Redis that it is there, and learns how many there are. What each may take while Redis
//! is away is its part by the last count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ::redis::Value;

use super::clock::SharedClock;
use crate::redis::{RedisClient, Script, Unanswered};

/// A proxy says that it is there this often, in microseconds …
const EVERY: u64 = 2_000_000;
/// … and is believed to be gone when it has not for this time, in milliseconds.
const BELIEVED: &str = "7000";
/// The time after which all proxies have found out that Redis is back, and have said that they are there and what they took meanwhile.
const CAREFUL: Duration = Duration::from_secs(15);

/// By the server's clock: who was heard of last when. Says how many there are, how many come before this one, and what time it is.
const SOURCE: &str = "
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local names, before = redis.call('ZRANGE', KEYS[1], 0, -1), 0
for _, name in ipairs(names) do
  if name < ARGV[1] then before = before + 1 end
end
return {#names, before, now}
";

/// This process among those that share limits.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// The key under which they say that they are there.
    key: String,
    /// This one's own name, for as long as it lives.
    name: String,
    /// The number of them, and of those that come before this one.
    known: AtomicU64,
    /// Any worker may be the one that says it.
    next: AtomicU64,
    started: Instant,
    /// The time that all of them share.
    pub(super) clock: SharedClock,
    /// Milliseconds from `started` to the time until when Redis may not have heard from all; 0: never.
    careful: AtomicU64,
}

impl Fleet {
    pub(super) fn new(gateway: &str) -> Self {
        let name = format!("{:032x}", rand::random::<u128>());
        Self {
            key: format!("sluicegate:{{proxies:{gateway}}}"),
            name,
            known: AtomicU64::new(1 << 32),
            next: AtomicU64::new(0),
            started: Instant::now(),
            clock: SharedClock::default(),
            careful: AtomicU64::new(0),
        }
    }

    /// This one's own name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The number of them, as last heard.
    pub(super) fn size(&self) -> u64 {
        (self.known.load(Relaxed) >> 32).max(1)
    }

    /// Redis was away just now.
    pub(super) fn was_away(&self) {
        let until = self.started.elapsed().saturating_add(CAREFUL).as_millis();
        self.careful.store(u64::try_from(until).unwrap_or(u64::MAX), Relaxed);
    }

    /// True until Redis has heard from all proxies what became of them while it was away.
    pub(super) fn is_careful(&self) -> bool {
        u128::from(self.careful.load(Relaxed)) > self.started.elapsed().as_millis()
    }

    /// This one's part of something: all parts together are the whole.
    pub(super) fn share(&self, of: u64) -> u64 {
        let known = self.known.load(Relaxed);
        let (size, before) = ((known >> 32).max(1), known & u64::from(u32::MAX));
        of / size + u64::from(before < of % size)
    }

    /// Says that it is there, when it is time to.
    pub(super) async fn beat(&self, script: &Script, redis: &RedisClient, now: u64) {
        let next = self.next.load(Relaxed);
        if now < next || self.next.compare_exchange(next, now + EVERY, Relaxed, Relaxed).is_err() {
            return;
        }
        let answer = redis.eval(script, &[&self.key], &[self.name.as_bytes(), BELIEVED.as_bytes()]).await;
        match read(answer) {
            Some((counted, clock)) => {
                self.clock.heard(clock);
                self.count(counted);
            }
            None => self.was_away(),
        }
    }

    /// So many are there, and come before this one. Those that have not said it yet since Redis was away are not gone.
    fn count(&self, (size, before): (u64, u64)) {
        if size >= self.size() || !self.is_careful() {
            self.known.store((size << 32) | before.min(u64::from(u32::MAX)), Relaxed);
        }
    }

    pub(super) fn script() -> Script {
        Script::new(SOURCE)
    }
}

/// The two counts, and the server's time.
pub(super) fn read(answer: Result<Value, Unanswered>) -> Option<((u64, u64), u64)> {
    let Ok(Value::Array(values)) = answer else { return None };
    let number = |at: usize| match values.get(at)? {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    number(0).filter(|size| (1..u64::from(u32::MAX)).contains(size)).zip(number(1)).zip(number(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_have_not_spoken_since_redis_was_away_are_not_gone() {
        let fleet = Fleet::new("");
        fleet.count((3, 1));
        fleet.was_away();
        fleet.count((1, 0));
        assert_eq!((fleet.size(), fleet.share(9)), (3, 3));
        fleet.count((4, 1));
        assert_eq!(fleet.size(), 4);
        fleet.careful.store(0, Relaxed);
        fleet.count((1, 0));
        assert_eq!((fleet.size(), fleet.share(9)), (1, 9));
    }

    #[test]
    fn parts_are_the_whole_together() {
        for size in 1..9_u64 {
            for whole in [0, 1, 7, 100] {
                let part = |before: u64| {
                    let fleet = Fleet::new("");
                    fleet.known.store((size << 32) | before, Relaxed);
                    fleet.share(whole)
                };
                assert_eq!((0..size).map(part).sum::<u64>(), whole, "{whole} among {size}");
            }
        }
        assert_eq!(Fleet::new("").share(5), 5, "alone as long as it has not heard of others");
    }
}
