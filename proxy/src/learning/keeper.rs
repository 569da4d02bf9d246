//! Tells other proxies the news of this one and hears theirs. One worker does it for the process.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::message::{self, HeardNews, MOST_NEWS};
use crate::count::Count;
use crate::endpoint::{News, Registry};
use crate::redis::{LogEntry, RedisClient};

/// The most messages that the log holds …
const MOST_MESSAGES: usize = 512;
/// … and for how long: no news holds for longer than half of it.
const LIFE: Duration = Duration::from_secs(7_200);
/// News is gathered for so long before it is told: no process tells more than 50 messages in a second.
const GATHER: Duration = Duration::from_millis(20);
/// The times that it is tried to tell a message: two seconds in all. News that is older than that is known by itself.
const TRIES: u32 = 13;
/// The first pause between them, which doubles up to the longest: what fails for a moment is told within a tenth of a second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// A cooldown that was heard of ends later than it was said to, by up to this share of it, at random: proxies do not come
/// back together, and whoever saw it begin comes first.
const SPREAD: f64 = 0.1;

/// The things that proxies learn from one another, in one process: counts, and the name of the log.
#[derive(Debug)]
pub struct Learning {
    registry: Arc<Registry>,
    /// The key of the log.
    key: String,
    /// This process's name.
    name: String,
    /// News that was told.
    pub told: Count,
    /// News that Redis could not be told.
    pub untold: Count,
    /// News of other proxies on endpoints that are known here.
    pub heard: Count,
    /// Messages that are none.
    pub unreadable: Count,
}

impl Learning {
    /// Of the endpoints of a process of this gateway.
    #[must_use]
    pub fn new(gateway: &str, registry: &Arc<Registry>) -> Self {
        let mut digest = blake3::Hasher::new_derive_key("sluicegate log of what proxies learn v1");
        digest.update(gateway.as_bytes());
        let digest = digest.finalize().to_hex();
        Self {
            registry: Arc::clone(registry),
            key: format!("sluicegate:{{{}}}:learned", digest.get(..32).unwrap_or_default()),
            name: format!("{:032x}", rand::random::<u128>()),
            told: Count::default(),
            untold: Count::default(),
            heard: Count::default(),
            unreadable: Count::default(),
        }
    }

    /// News of this process that there was no room for.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.registry.outbox.dropped.get()
    }

    fn hear(&self, entry: &LogEntry) {
        let Some(news) = message::read(&self.name, &entry.bytes, entry.age) else {
            self.unreadable.add();
            return;
        };
        let now = Instant::now();
        for HeardNews { name, subject, holds } in news {
            let until = now + holds.mul_f64(1.0 + SPREAD * rand::random::<f64>());
            if self.registry.hear(News { name, subject, until }, now) {
                self.heard.add();
            }
        }
    }
}

/// One worker's access to what proxies learn from one another.
#[derive(Debug)]
pub struct LearningKeeper {
    learning: Arc<Learning>,
    redis: Option<RedisClient>,
}

impl LearningKeeper {
    /// Of one worker.
    #[must_use]
    pub fn new(learning: &Arc<Learning>, redis: Option<RedisClient>) -> Rc<Self> {
        Rc::new(Self { learning: Arc::clone(learning), redis })
    }

    /// Tells and hears, for ever. Without a Redis there is nobody to tell.
    pub async fn run(&self) {
        match &self.redis {
            Some(redis) => _ = tokio::join!(self.tell_all(redis), self.hear_all(redis)),
            None => loop {
                self.learning.registry.outbox.bell.notified().await;
                drop(self.learning.registry.outbox.take(usize::MAX));
            },
        }
    }

    async fn tell_all(&self, redis: &RedisClient) {
        let outbox = &self.learning.registry.outbox;
        loop {
            if outbox.is_empty() {
                outbox.bell.notified().await;
            }
            let news = outbox.take(MOST_NEWS);
            if !news.is_empty() {
                self.tell(redis, &news).await;
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    async fn tell(&self, redis: &RedisClient, news: &[News]) {
        let count = u64::try_from(news.len()).unwrap_or(u64::MAX);
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(pause(attempt)).await;
            }
            let message = message::write(&self.learning.name, news, Instant::now());
            if redis.append(&self.learning.key, &message, (MOST_MESSAGES, LIFE)).await.is_ok() {
                self.learning.told.plus(count);
                return;
            }
        }
        self.learning.untold.plus(count);
    }

    async fn hear_all(&self, redis: &RedisClient) {
        let mut follower = redis.follow(&self.learning.key);
        loop {
            follower.next().await.iter().for_each(|entry| self.learning.hear(entry));
        }
    }
}

/// The pause before a further attempt, of which the first has the number 1.
fn pause(attempt: u32) -> Duration {
    let (first, longest) = AGAIN;
    first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_for_a_moment_is_told_soon_and_what_fails_for_two_seconds_not_at_all() {
        let pauses: Vec<Duration> = (1..TRIES).map(pause).collect();
        assert_eq!(pauses[..5].iter().map(Duration::as_millis).collect::<Vec<_>>(), [20, 40, 80, 160, 200]);
        let all: Duration = pauses.iter().sum();
        assert!((Duration::from_millis(1_700)..=Duration::from_secs(2)).contains(&all), "{all:?}");
        assert!(pauses[..2].iter().sum::<Duration>() < Duration::from_millis(100));
    }
}
