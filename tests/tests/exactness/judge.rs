//! What is made of the books when all is over.
//!
//! A call is counted by a limit at some moment between when its caller sent it and when its provider has it, and this process keeps both
//! times by one clock. The limit holds within the window and a 64th more (docs/limits.md). So of calls that were all sent and had all
//! arrived within that time no more than the amount can be right, however late each of them was: nothing is tolerated, and nothing is
//! found that is not so. Beside it stand the provider's times alone, within the bare window: there a call counts unless it took longer
//! than that 64th to arrive, which a machine that is busy may do to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::book::Entry;
use crate::house::{House, Sent, unanswered};
use crate::load::{Kind, MOST_COST, Plan};

/// The part of a window for which a limit holds longer than the window.
const GRACE: u32 = 64;

/// A replica is sent what its master was told within this time.
const UNSENT: Duration = Duration::from_millis(100);

/// How it went with one consumer.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) amount: u64,
    /// The most within any window.
    pub(crate) most: u64,
    /// What was used within the windows of the load, and what might have been.
    pub(crate) used: u64,
    pub(crate) could_be_used: u64,
    pub(crate) at_once: u64,
    pub(crate) calls: usize,
    pub(crate) cost: u64,
    /// What came just before a master was taken away: its replica may not have been sent it.
    pub(crate) forgotten: u64,
}

impl Row {
    pub(crate) fn used_percent(&self) -> f64 {
        self.used as f64 * 100.0 / self.could_be_used as f64
    }
}

/// Tokens and money of each consumer.
type Sums = BTreeMap<usize, (u64, u64)>;

/// What is booked in Redis of each budget: spent, and its open reservations.
type Booked = Vec<(u64, u64)>;

#[derive(Debug)]
pub(crate) struct Verdict {
    rows: Vec<Row>,
    pub(crate) unanswered: u64,
    asked: usize,
    late: usize,
    /// The provider's book, without what it told proxies that were killed.
    provider: Sums,
    ledger: Sums,
    booked: Booked,
    /// What budgets ought to say.
    to_be_booked: Vec<u64>,
}

impl Verdict {
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.kind == kind)
    }

    /// The figures, for whoever runs it with `--nocapture`.
    pub(crate) fn print(&self, weather: &str) {
        let limited = || self.of(Kind::Requests).chain(self.of(Kind::Tokens));
        let over = limited().map(|row| row.most.saturating_sub(row.amount)).max().unwrap();
        let least = limited().map(Row::used_percent).fold(f64::MAX, f64::min);
        let share = limited().map(|row| row.most as f64 / row.amount as f64).fold(0.0, f64::max);
        let calls: usize = self.rows.iter().map(|row| row.calls).sum();
        println!(
            "{weather}: {} calls, {calls} let through; over {over} ({share:.3} of the amount), used {least:.1} % at least; {} unanswered, {} late",
            self.asked, self.unanswered, self.late
        );
    }

    /// Ledgers, budgets and the provider agree to the last token and the last picodollar.
    pub(crate) fn assert_books_agree(&self) {
        assert_eq!(self.ledger, self.provider, "ledgers and provider");
        let spent: Vec<u64> = self.booked.iter().map(|(spent, _)| *spent).collect();
        assert_eq!(spent, self.to_be_booked, "budgets and provider");
    }

    /// The same where a proxy was killed: what its last calls had reserved stays as it is, and nothing else. `lost`: the most calls of
    /// that proxy of which a master that was killed behind it had told no replica: the living tell theirs again, the dead can not.
    pub(crate) fn assert_books_agree_but_for_the_dead(&self, lost: u64) {
        assert_eq!(self.ledger, self.provider, "ledgers and provider");
        let (booked, open): (Vec<u64>, Vec<u64>) = self.booked.iter().copied().unzip();
        let (booked, open) = (booked.into_iter().sum::<u64>(), open.into_iter().sum::<u64>());
        let provider = self.to_be_booked.iter().sum::<u64>();
        let reserved = open * MOST_COST;
        let least = provider.saturating_sub(lost * MOST_COST);
        assert!((least..=provider + reserved).contains(&booked), "{booked} of {provider}, {open} open");
    }
}

impl House {
    pub(crate) async fn judge(&self, plan: &Plan) -> Verdict {
        let entries = self.book.entries();
        assert_eq!(u64::try_from(entries.len()).unwrap(), self.calls());
        let sent = self.sent.borrow().clone();
        let grace = plan.window / GRACE;
        let late = entries.iter().filter(|entry| entry.at - sent[entry.number].at > grace).count();
        let rows = (0..plan.consumers).map(|consumer| self.row(plan, consumer, &entries, &sent)).collect();
        let to_be_booked = to_be_booked(plan, &entries);
        let booked = self.settled(&to_be_booked).await;
        let (provider, unanswered) = self.by_the_living(&entries);
        let ledger = self.ledgers(&provider).await;
        Verdict { rows, unanswered, asked: sent.len(), late, provider, ledger, booked, to_be_booked }
    }

    /// What the provider told proxies that are there, and what Redis did not answer for in time.
    fn by_the_living(&self, entries: &[Entry]) -> (Sums, u64) {
        let proxies = self.proxies.borrow();
        let is_here = |entry: &&Entry| proxies[entry.proxy].is_some();
        let provider = sums(entries.iter().filter(is_here).map(|entry| (entry.consumer, entry.tokens, entry.cost)));
        let unanswered = proxies.iter().flatten().map(unanswered).sum::<u64>();
        (provider, unanswered + self.unanswered_by_the_dead.get())
    }

    fn row(&self, plan: &Plan, consumer: usize, entries: &[Entry], sent: &[Sent]) -> Row {
        let kind = Kind::of(consumer);
        let own: Vec<&Entry> = entries.iter().filter(|entry| entry.consumer == consumer).collect();
        let weight = |entry: &Entry| if kind == Kind::Tokens { entry.tokens } else { 1 };
        let mut times: Vec<(Instant, Instant, u64)> =
            own.iter().map(|entry| (sent[entry.number].at, entry.at, weight(entry))).collect();
        let grace = plan.window / GRACE;
        let most = most_within(&mut times, plan.window + grace).max(most_arrived(&times, plan.window, grace));
        let first = own.iter().map(|entry| entry.at).min();
        let used = own.iter().filter(|entry| first.is_some_and(|first| entry.at < first + plan.time()));
        let lost = self.lost_masters.borrow();
        let just_before = |entry: &&&Entry| lost.iter().any(|at| entry.at <= *at && *at - entry.at < UNSENT);
        let forgotten = own.iter().filter(just_before);
        let amount = plan.amount_of(kind);
        Row {
            kind,
            amount,
            most,
            used: used.map(|entry| weight(entry)).sum(),
            could_be_used: amount * u64::from(plan.windows),
            at_once: self.book.most_at_once(consumer),
            calls: own.len(),
            cost: own.iter().map(|entry| entry.cost).sum(),
            forgotten: forgotten.map(|entry| weight(entry)).sum(),
        }
    }

    /// What is booked, as soon as it is what it ought to be, or no reservation is open and nothing changes any longer.
    async fn settled(&self, to_be: &[u64]) -> Booked {
        let has_dead = self.proxies.borrow().iter().any(Option::is_none);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let booked = self.booked().unwrap_or_default();
            let spent: Vec<u64> = booked.iter().map(|(spent, _)| *spent).collect();
            let is_settled = spent == to_be || (has_dead && !booked.is_empty() && self.is_idle(&booked).await);
            if is_settled || Instant::now() > deadline {
                return booked;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Nothing has changed for some seconds.
    async fn is_idle(&self, booked: &Booked) -> bool {
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.booked().is_some_and(|now| now == *booked)
    }

    fn booked(&self) -> Option<Booked> {
        let cluster = self.cluster.borrow();
        let keys = cluster.keys().ok()?;
        let mut booked = Vec::new();
        for sums in keys.iter().filter(|key| key.contains(":budget:")) {
            let node = cluster.nodes().get(cluster.master_of(sums).ok()?)?;
            let spent: String = node.ask(&["HGET", sums, "u"]).ok()?;
            booked.push((spent.parse().ok()?, node.ask(&["ZCARD", &sums.replace(":budget:", ":open:")]).ok()?));
        }
        booked.sort_unstable();
        Some(booked)
    }

    /// What the access logs of the proxies that are there say, as soon as it is all there.
    async fn ledgers(&self, provider: &Sums) -> Sums {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let lines: Vec<String> = self.proxies.borrow().iter().flatten().flat_map(|proxy| proxy.log()).collect();
            let ledger = sums(lines.iter().filter_map(|line| line_of(line)));
            if ledger == *provider || Instant::now() > deadline {
                return ledger;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Consumer, tokens and cost of a call's line.
fn line_of(line: &str) -> Option<(usize, u64, u64)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let consumer = line["consumer"].as_str()?.strip_prefix("default/c")?.parse().ok()?;
    let usage = line.get("usage")?;
    let of = |member: &str| usage[member].as_u64().unwrap_or(0);
    let cost = (line["cost_usd"].as_f64()? * 1e12).round() as u64;
    Some((consumer, of("input") + of("output"), cost))
}

fn sums(calls: impl Iterator<Item = (usize, u64, u64)>) -> Sums {
    let mut sums = Sums::new();
    for (consumer, tokens, cost) in calls.filter(|(_, tokens, _)| *tokens > 0) {
        let sum = sums.entry(consumer).or_default();
        *sum = (sum.0 + tokens, sum.1 + cost);
    }
    sums
}

/// The sums of all budgets, sorted: their keys do not say whose they are.
fn to_be_booked(plan: &Plan, entries: &[Entry]) -> Vec<u64> {
    let all = sums(entries.iter().map(|entry| (entry.consumer, entry.tokens, entry.cost)));
    let mut booked: Vec<u64> = all
        .iter()
        .flat_map(|(consumer, (tokens, cost))| {
            let own = (Kind::of(*consumer) == Kind::Budget).then_some(*cost);
            [*tokens, *cost].into_iter().chain(own)
        })
        .collect();
    assert_eq!(all.len(), plan.consumers);
    booked.sort_unstable();
    booked
}

/// The most of what was sent and had arrived within so long.
fn most_within(times: &mut [(Instant, Instant, u64)], span: Duration) -> u64 {
    times.sort_unstable();
    let within = |start: usize| {
        let (from, ..) = times[start];
        let until = from + span;
        let sent = times[start..].iter().take_while(|(sent, ..)| *sent < until);
        sent.filter(|(_, arrived, _)| *arrived < until).map(|(.., weight)| weight).sum()
    };
    (0..times.len()).map(within).max().unwrap_or(0)
}

/// The most of what arrived within a window, those left out that were on their way for longer than the grace.
fn most_arrived(times: &[(Instant, Instant, u64)], window: Duration, grace: Duration) -> u64 {
    let in_time = times.iter().filter(|(sent, arrived, _)| *arrived - *sent <= grace);
    let mut arrived: Vec<(Instant, u64)> = in_time.map(|(_, arrived, weight)| (*arrived, *weight)).collect();
    arrived.sort_unstable();
    let within = |start: usize| {
        let until = arrived[start].0 + window;
        arrived[start..].iter().take_while(|(at, _)| *at < until).map(|(_, weight)| weight).sum()
    };
    (0..arrived.len()).map(within).max().unwrap_or(0)
}
