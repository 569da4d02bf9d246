//! A short log in Redis that many processes write to and follow: what one appends, the others have at once, and who comes later reads
//! what is left of it. A follower waits on a connection of its own, which it asks nothing else.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, Pipeline, Value};
use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::client::{RedisClient, Unanswered};
use super::node;

/// Before its first entry.
const FIRST: &str = "0-0";
/// A follower asks again after so long without an entry …
const BLOCK: Duration = Duration::from_secs(2);
/// … and takes a node for gone that has said nothing for so long.
const SILENCE: Duration = Duration::from_secs(3);
/// First and longest pause before it is tried again what failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The most entries that are read at once.
const MOST_READ: usize = 64;
/// An entry of a time to come by more than this was written by nobody who follows the rules.
const SKEW: u64 = 60_000;
/// The one field of an entry.
const FIELD: &str = "m";

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The time since it was written, by Redis's clock.
    pub age: Duration,
    /// Its text.
    pub bytes: Bytes,
}

/// A follower of one log.
pub struct LogFollower {
    redis: RedisClient,
    key: String,
    /// The id of the last entry that was read.
    after: String,
    link: Option<MultiplexedConnection>,
    pause: Duration,
}

impl std::fmt::Debug for LogFollower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogFollower").field("key", &self.key).finish_non_exhaustive()
    }
}

impl RedisClient {
    /// Appends an entry to a log of at most so many, which goes when nobody has written for so long.
    ///
    /// # Errors
    /// Redis has not answered, or said no.
    pub async fn append(&self, key: &str, entry: &[u8], (most, life): (usize, Duration)) -> Result<(), Unanswered> {
        let (mut add, mut expire) = (Cmd::new(), Cmd::new());
        add.arg("XADD").arg(key).arg("MAXLEN").arg(most).arg("*").arg(FIELD).arg(entry);
        expire.arg("PEXPIRE").arg(key).arg(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let answers = self.pipeline(&[key], &[add, expire]).await?;
        let added = answers.into_iter().next().unwrap_or(Err(Unanswered::Away));
        if added == Err(Unanswered::Refused) {
            // What stands there is no log, or one that takes no entry any more.
            self.del(key);
        }
        added.map(drop)
    }

    /// A follower of a log, from its first entry on.
    #[must_use]
    pub fn follow(&self, key: &str) -> LogFollower {
        let (redis, key, after) = (self.clone(), key.to_owned(), FIRST.to_owned());
        LogFollower { redis, key, after, link: None, pause: PAUSE.0 }
    }
}

impl LogFollower {
    /// The next entries. Waits for them, however long Redis is away; after that it begins anew with the first, for a replica may
    /// know less than its master did: entries may come twice.
    pub async fn next(&mut self) -> Vec<LogEntry> {
        loop {
            match self.read().await {
                Some(entries) => {
                    self.pause = PAUSE.0;
                    if !entries.is_empty() {
                        return entries;
                    }
                }
                None => {
                    self.link = None;
                    FIRST.clone_into(&mut self.after);
                    self.redis.look_again();
                    // Proxies lose their Redis together; they need not come back together.
                    sleep(self.pause.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
                    self.pause = (self.pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// `None`: there is no answer.
    async fn read(&mut self) -> Option<Vec<LogEntry>> {
        if self.link.is_none() {
            let info = self.redis.master_of(&self.key)?;
            self.link = Some(timeout(node::CONNECT, node::connect(&info)).await.ok()?.ok()?);
        }
        let link = self.link.as_mut()?;
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("XREAD").arg("COUNT").arg(MOST_READ).arg("BLOCK").arg(BLOCK.as_millis() as u64);
        pipeline.arg("STREAMS").arg(&self.key).arg(&self.after);
        pipeline.cmd("TIME");
        let answers = timeout(SILENCE, link.send_packed_commands(&pipeline, 0, 2)).await.ok()?.ok()?;
        let [read, time] = <[Value; 2]>::try_from(answers).ok()?;
        let now = time_of(time.extract_error().ok()?)?;
        let entries = entries_of(read.extract_error().ok()?);
        let last = entries.last().map(|(id, _)| id.clone());
        if entries.iter().any(|(id, _)| millis_of(id).is_none_or(|at| at > now + SKEW)) {
            // Nobody could append anything behind it.
            self.redis.del(&self.key);
            return None;
        }
        last.into_iter().for_each(|last| self.after = last);
        let aged = entries.into_iter().map(|(id, bytes)| {
            let age = now.saturating_sub(millis_of(&id).unwrap_or_default());
            LogEntry { age: Duration::from_millis(age), bytes }
        });
        Some(aged.collect())
    }
}

/// Milliseconds of an entry's id.
fn millis_of(id: &str) -> Option<u64> {
    id.split_once('-')?.0.parse().ok()
}

/// Milliseconds of what `TIME` answers.
pub(super) fn time_of(value: Value) -> Option<u64> {
    let Value::Array(parts) = value else { return None };
    let mut numbers = parts.into_iter().map(|part| text(part)?.parse::<u64>().ok());
    let (seconds, micros) = (numbers.next()??, numbers.next()??);
    seconds.checked_mul(1_000)?.checked_add(micros / 1_000)
}

/// The entries that `XREAD` answers with, by their ids; one in another form is empty.
pub(super) fn entries_of(value: Value) -> Vec<(String, Bytes)> {
    let streams = array(value);
    let of_key = streams.into_iter().filter_map(|stream| array(stream).into_iter().nth(1));
    let entries = of_key.flat_map(array).filter_map(|entry| {
        let mut parts = array(entry).into_iter();
        let (id, fields) = (text(parts.next()?)?, array(parts.next().unwrap_or(Value::Nil)));
        let bytes = match fields.into_iter().nth(1) {
            Some(Value::BulkString(bytes)) => Bytes::from(bytes),
            _ => Bytes::new(),
        };
        Some((id, bytes))
    });
    entries.collect()
}

fn array(value: Value) -> Vec<Value> {
    if let Value::Array(values) = value { values } else { Vec::new() }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn entries_are_read_and_other_forms_are_nothing() {
        let entry = |id: &str, fields: Vec<Value>| Value::Array(vec![bulk(id), Value::Array(fields)]);
        let entries = vec![entry("5-0", vec![bulk("m"), bulk("one")]), entry("7-1", vec![bulk("m")])];
        let whole = Value::Array(vec![Value::Array(vec![bulk("key"), Value::Array(entries)])]);
        let read = entries_of(whole);
        assert_eq!(read, [("5-0".to_owned(), Bytes::from("one")), ("7-1".to_owned(), Bytes::new())]);
        for other in [Value::Nil, Value::Int(3), Value::Array(vec![Value::Array(vec![Value::Nil]), bulk("x")])] {
            assert_eq!(entries_of(other), []);
        }
        assert_eq!((millis_of("7-1"), millis_of("7"), millis_of("x-1")), (Some(7), None, None));
        assert_eq!(time_of(Value::Array(vec![bulk("12"), bulk("345678")])), Some(12_345));
        assert_eq!((time_of(Value::Array(vec![bulk("12")])), time_of(Value::Int(1))), (None, None));
    }
}
