//! The leases of all limits that are in use, asked for and given back beside the calls: one question at a time for each limit,
//! by whichever worker comes first.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::redis::Value;
use futures_util::future::join_all;

use super::active::ActiveList;
use super::gate::Gate;
use super::lease::{LIFE, LeaseAnswer, LeaseDemand};
use crate::redis::{RedisClient, Script, Unanswered};

/// Limits that are in use are looked at this often, by one worker.
const TICK: Duration = Duration::from_millis(20);
/// Workers that do not, look this often whether one does.
const LOOK: Duration = Duration::from_millis(500);
/// At the end places are given back for no longer than this.
const FAREWELL: Duration = Duration::from_millis(500);

const SOURCE: &str = include_str!("lease.lua");

/// One worker's keeper of leases.
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    active: Arc<ActiveList<Gate>>,
    redis: Option<RedisClient>,
    script: Script,
    gateway: Box<str>,
    /// This process's name among those that share limits.
    name: Box<str>,
}

impl LeaseKeeper {
    pub(super) fn new(active: &Arc<ActiveList<Gate>>, redis: Option<RedisClient>, names: (&str, &str)) -> Rc<Self> {
        let (gateway, name) = (names.0.into(), names.1.into());
        Rc::new(Self { active: Arc::clone(active), redis, script: Script::new(SOURCE), gateway, name })
    }

    /// Asks for leases and gives them back, for ever. `share`: this process's part of what there is, while Redis is away.
    pub(crate) async fn run(&self, share: impl Fn(u64) -> u64) {
        let Some(redis) = &self.redis else { return };
        let mut last = None;
        loop {
            let pause = if last.is_some() { TICK } else { LOOK };
            let woken = tokio::time::timeout(pause, self.active.wake.notified()).await.is_ok();
            last = if self.active.is_empty() { None } else { self.active.watch(last) };
            if last.is_some() || woken {
                self.look(redis, &share).await;
            }
        }
    }

    async fn look(&self, redis: &RedisClient, share: &impl Fn(u64) -> u64) {
        let all = self.active.all();
        let now = Instant::now();
        let due = all.iter().filter_map(|gate| Some((gate, gate.ask(now, share)?)));
        join_all(due.map(|(gate, demand)| self.ask(redis, gate, demand))).await;
        all.iter().filter(|gate| gate.rests()).for_each(|gate| self.active.remove(gate));
    }

    async fn ask(&self, redis: &RedisClient, gate: &Gate, demand: LeaseDemand) {
        let LeaseDemand { keep, need, want, max, grow, number } = demand;
        let life = u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX);
        let numbers = [keep, need, want, max, grow.into(), life, number].map(|number| number.to_string());
        let place = self.place(gate);
        let mut asking = Asking { gate, active: &self.active, redis, place: &place, is_over: false, is_refused: false };
        let mut arguments = vec![self.name.as_bytes()];
        arguments.extend(numbers.iter().map(String::as_bytes));
        let answer = redis.eval(&self.script, &[&place], &arguments).await;
        asking.is_refused = answer == Err(Unanswered::Refused);
        if let Some(answer) = answer.ok().and_then(|value| read(&value)) {
            asking.is_over = true;
            gate.answered(demand, answer);
        }
    }

    /// The key of a limit in Redis.
    fn place(&self, gate: &Gate) -> String {
        let mut digest = blake3::Hasher::new_derive_key("sluicegate identity of a concurrency limit v1");
        for part in [&*self.gateway, &*gate.name] {
            digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(part.as_bytes());
        }
        let digest = digest.finalize().to_hex();
        format!("sluicegate:{{{}}}:places", digest.get(..32).unwrap_or_default())
    }

    /// Gives back what no call has.
    pub(crate) async fn finish(&self) {
        let Some(redis) = &self.redis else { return };
        let all = self.active.all();
        let telling = all.iter().filter_map(|gate| Some(self.ask(redis, gate, gate.leave()?)));
        let _ = tokio::time::timeout(FAREWELL, join_all(telling)).await;
    }
}

/// A question under way. Dropped, it has not been answered.
struct Asking<'a> {
    gate: &'a Gate,
    active: &'a ActiveList<Gate>,
    redis: &'a RedisClient,
    place: &'a str,
    is_over: bool,
    /// It was answered with a no.
    is_refused: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.active.unanswered.add();
            let now = Instant::now();
            self.gate.unanswered(now, if self.is_refused { Some(now) } else { self.redis.away_since(self.place) });
        }
    }
}

pub(super) fn read(value: &Value) -> Option<LeaseAnswer> {
    let Value::Array(values) = value else { return None };
    let number = |at: usize| match values.get(at)? {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let contended = number(2)? == 1;
    (number(3)? == 1).then_some(LeaseAnswer { held: number(0)?, target: number(1)?, contended, others: number(4)? })
}

#[cfg(test)]
mod tests {
    use sluicegate_config::Concurrency;

    use super::super::wait_queue::Applicant;
    use super::super::{GateScope, Gates, NoPlace, PreparedGate};
    use super::*;
    use crate::redis::tests::{Server, worker};
    use crate::redis::{Login, RedisCounts};

    const CALL: Applicant = Applicant { flow: 0, priority: 0, bytes: 1 };
    const MINUTE: Duration = Duration::from_secs(60);

    /// A limit of two calls without a queue, which proxies share.
    fn two(gates: &Gates, route: &'static str) -> Arc<Gate> {
        PreparedGate::of(gates, GateScope::Route(route, None), &Concurrency { max: 2, min: None, queue: None }).gate
    }

    fn keeper(gates: &Gates, url: String, share: u64) -> tokio::task::JoinHandle<()> {
        let redis = RedisClient::open(&[url], Login::default(), &Arc::<RedisCounts>::default()).unwrap();
        let keeper = gates.keeper(Some(redis), ("gateway", "one"));
        tokio::task::spawn_local(async move { keeper.run(move |whole| whole.min(share)).await })
    }

    #[test]
    fn without_a_redis_no_call_within_the_share_is_refused_and_one_beyond_it_hears_why() {
        worker(async {
            let gates = Gates::default();
            gates.share();
            let kept = keeper(&gates, "redis://127.0.0.1:1".to_owned(), 1);
            for route in ["a/first", "a/second"] {
                let gate = two(&gates, route);
                let until = Instant::now() + MINUTE;
                let place = gate.take(CALL, until).await;
                assert!(place.is_ok(), "{place:?}");
                assert_eq!(gate.take(CALL, until).await.unwrap_err().why, NoPlace::Unanswered);
            }
            kept.abort();
        });
    }

    #[test]
    fn with_a_redis_the_limit_alone_refuses() {
        worker(async {
            let (server, gates) = (Server::start(&[]), Gates::default());
            gates.share();
            let kept = keeper(&gates, server.url(), 1);
            let (gate, until) = (two(&gates, "a/r"), Instant::now() + MINUTE);
            let _places = [gate.take(CALL, until).await.unwrap(), gate.take(CALL, until).await.unwrap()];
            assert_eq!(gate.take(CALL, until).await.unwrap_err().why, NoPlace::Full);
            kept.abort();
        });
    }
}
