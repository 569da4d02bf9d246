//! A limit made ready: what it counts, under which key.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use sluicegate_config::{Concurrency, LimitPer, LimitUnit, OnUnavailable, RateLimit, rate_identity};

use super::window::Terms;

/// The part of a window for which it counts longer than the window what was taken: providers see calls a little later than they are
/// counted, some more than others, and are not to see more than the amount within any window either.
const GRACE: u64 = 64;

/// The slots of a window that is counted alone, in Redis, and as a note of what Redis counts.
const ALONE: u64 = 64;
const SHARED: u64 = 128;
const NOTED: u64 = 16;

/// Stands for calls that are counted together by one limit: a digest, whatever they have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LimitKey(pub(super) [u8; 16]);

impl LimitKey {
    /// The key of it in Redis; all that belongs to it lies in one slot.
    pub(super) fn place(&self) -> String {
        let mut text = self.slot_name();
        text.push_str(":limit");
        text
    }

    /// The beginning of the keys in Redis of all that belongs to it, which says their slot.
    pub(crate) fn slot_name(&self) -> String {
        let mut text = String::with_capacity(64);
        text.push_str("sluicegate:{");
        self.0.iter().for_each(|byte| {
            // A text takes whatever it is given.
            let _ = write!(text, "{byte:02x}");
        });
        text.push('}');
        text
    }
}

/// The calls that a limit is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LimitScope<'a> {
    /// Those of the consumer with this id.
    Consumer(&'a str),
    /// Those of a consumer that was made of a template: its own id, and the template's.
    Subject { template: &'a str, of_it: &'a str },
    /// Those of the route with this id, or of one of its rules.
    Route(&'a str, Option<&'a str>),
    /// The attempts at a provider of the pool with this id.
    Provider { pool: &'a str, provider: &'a str },
    /// Those with one of its keys.
    Key { pool: &'a str, provider: &'a str, key: &'a str },
}

/// A limit, ready to run.
#[derive(Debug)]
pub(crate) struct PreparedLimit {
    pub(crate) per: Per,
    pub(crate) unit: LimitUnit,
    pub(crate) amount: u64,
    /// The place of the call that waits for the next room, and the queue in front of it; `None`: calls that there is no room for are
    /// refused.
    pub(crate) queue: Option<Concurrency>,
    /// For money: a model that nobody knows the price of counts as nothing.
    pub(crate) unpriced_is_free: bool,
    pub(crate) on_unavailable: OnUnavailable,
    /// It, in the words of its resource.
    pub(crate) name: Arc<str>,
    /// It, whatever its amount, as statuses are told of its use.
    pub(super) identity: Arc<str>,
    /// The length of its window, as people write it.
    pub(crate) window: Box<str>,
    micros: u64,
    /// Stands for everything that its calls have in common beforehand.
    seed: [u8; 32],
}

/// Calls that are counted together, within those that the limit is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Per {
    /// Those of one consumer.
    Consumer,
    /// Those of one route.
    Route,
    /// Those with one value of a header.
    Header(HeaderName),
    /// The attempts at one provider, or with one of its keys.
    Provider,
}

impl PreparedLimit {
    /// Makes it ready. The amount is no part of its identity: raised or lowered, it goes on from what has been taken.
    pub(crate) fn of(gateway: &str, scope: LimitScope<'_>, from: &RateLimit) -> Self {
        let mut seed = blake3::Hasher::new_derive_key("sluicegate identity of a rate limit v1");
        let mut part = |text: &str| {
            seed.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            seed.update(text.as_bytes());
        };
        part(gateway);
        let mut name = match scope {
            LimitScope::Consumer(id) | LimitScope::Subject { of_it: id, .. } => format!("LLMConsumer {id}"),
            LimitScope::Route(id, None) => format!("LLMRoute {id}"),
            LimitScope::Route(id, Some(rule)) => format!("LLMRoute {id}/{rule}"),
            LimitScope::Provider { pool, provider } => format!("ProviderPool {pool}/{provider}"),
            LimitScope::Key { pool, provider, key } => format!("ProviderPool {pool}/{provider}/keys/{key}"),
        };
        part(&name);
        let identity = match scope {
            LimitScope::Subject { template, .. } => rate_identity(&format!("LLMConsumer {template}"), from),
            _ => rate_identity(&name, from),
        };
        let (word, per) = match &from.per {
            LimitPer::Consumer => ("consumer", Per::Consumer),
            LimitPer::Route => ("route", Per::Route),
            LimitPer::Provider => ("provider", Per::Provider),
            // The compiler has checked its name.
            LimitPer::Header(header) => {
                part(header);
                ("header", HeaderName::try_from(header.as_str()).map_or(Per::Route, Per::Header))
            }
        };
        [word, from.unit.label(), &from.window.to_string()].into_iter().for_each(part);
        let window = from.window_in_words();
        let unit = from.unit.label();
        let unit = if from.amount == 1 { unit.trim_end_matches('s') } else { unit };
        let _ = match from.unit {
            LimitUnit::Cost => write!(name, ": {} per {window}", from.unit.written(from.amount)),
            _ => write!(name, ": {} {unit} per {window}", from.amount),
        };
        if per != Per::Provider {
            let _ = write!(name, ", per {word}");
        }
        Self {
            per,
            unit: from.unit,
            amount: from.amount,
            queue: from.queue.clone().map(|queue| Concurrency { max: 1, min: None, queue: Some(queue) }),
            unpriced_is_free: from.unpriced_is_free,
            on_unavailable: from.on_unavailable,
            name: name.into(),
            identity: identity.into(),
            window: window.into(),
            micros: from.window.saturating_mul(1_000),
            seed: *seed.finalize().as_bytes(),
        }
    }

    /// The key under which calls are counted that have these values in common; `None`: those that have none.
    pub(crate) fn key<'a>(&self, values: Option<impl Iterator<Item = &'a [u8]>>) -> LimitKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        for value in values.into_iter().flatten() {
            hasher.update(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(value);
        }
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        LimitKey(key)
    }

    /// The length of its window.
    pub(crate) const fn span(&self) -> Duration {
        Duration::from_micros(self.micros)
    }

    /// The longest that a call waits for room; `None`: it does not.
    pub(crate) fn patience(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.queue.as_ref()?.queue.as_ref()?.timeout))
    }

    /// The least time after which a call with so many before it in the queue has room, where the next room comes after `next`. Of calls it
    /// is known what each takes; `None`: of all else it is not.
    pub(crate) fn least_wait(&self, before: u64, next: Duration) -> Option<Duration> {
        let windows = Duration::from_micros(self.micros.saturating_mul(before / self.amount));
        (self.unit == LimitUnit::Requests).then(|| next.saturating_add(windows))
    }

    /// True if it counts what calls use, which is known at their end, and not the calls.
    pub(crate) fn counts_use(&self) -> bool {
        self.unit != LimitUnit::Requests
    }

    /// True if they are one limit, whatever the amount of each.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// The terms of a count of this process that no other one shares, with this amount.
    pub(super) fn alone(&self, amount: u64) -> Terms {
        self.terms(amount, ALONE)
    }

    /// The terms of the count in Redis, with this amount.
    pub(super) fn shared(&self, amount: u64) -> Terms {
        self.terms(amount, SHARED)
    }

    /// The terms of this process's note of what it has taken from the count in Redis, with this amount.
    pub(super) fn noted(&self, amount: u64) -> Terms {
        self.terms(amount, NOTED)
    }

    /// The longest that what was taken counts, in microseconds.
    pub(super) const fn counted(&self) -> u64 {
        self.micros + self.micros / GRACE
    }

    fn terms(&self, amount: u64, slots: u64) -> Terms {
        // A slot each, where there can not be more.
        let width = if self.counts_use() || amount > slots { self.micros / slots } else { 0 };
        Terms { amount, span: self.counted(), width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(amount: u64, window: u64, unit: LimitUnit) -> RateLimit {
        let per = LimitPer::Header("x-team".to_owned());
        RateLimit {
            per,
            unit,
            amount,
            window,
            queue: None,
            unpriced_is_free: false,
            on_unavailable: OnUnavailable::Share,
        }
    }

    #[test]
    fn what_is_counted_together_has_one_key_and_nothing_else_has_it() {
        let key = |gateway: &str, scope: LimitScope<'_>, from: &RateLimit, value: Option<&str>| {
            PreparedLimit::of(gateway, scope, from).key(value.map(|value| std::iter::once(value.as_bytes())))
        };
        let (route, from) = (LimitScope::Route("a/r", None), limit(5, 60_000, LimitUnit::Requests));
        let first = key("", route, &from, Some("x"));
        assert_eq!(first, key("", route, &limit(9, 60_000, LimitUnit::Requests), Some("x")), "whatever the amount");
        let others = [
            key("", route, &from, Some("y")),
            key("", route, &from, Some("")),
            key("", route, &from, None),
            key("gw", route, &from, Some("x")),
            key("", LimitScope::Route("a/r", Some("one")), &from, Some("x")),
            key("", LimitScope::Consumer("a/r"), &from, Some("x")),
            key("", route, &limit(5, 1_000, LimitUnit::Requests), Some("x")),
            key("", route, &limit(5, 60_000, LimitUnit::Tokens), Some("x")),
        ];
        let all: std::collections::BTreeSet<_> = others.iter().chain([&first]).collect();
        assert_eq!(all.len(), others.len() + 1);
        assert_eq!(first.place().len(), 51);
    }

    #[test]
    fn small_numbers_of_calls_are_kept_one_by_one_and_windows_are_told_as_written() {
        let of = |from: &RateLimit| PreparedLimit::of("", LimitScope::Route("a/r", None), from);
        let alone = |from: &RateLimit| of(from).alone(from.amount);
        assert_eq!(alone(&limit(64, 64_000, LimitUnit::Requests)).width, 0);
        assert_eq!(alone(&limit(65, 64_000, LimitUnit::Requests)).width, 1_000_000);
        assert_eq!(alone(&limit(1, 64_000, LimitUnit::Tokens)).width, 1_000_000);
        assert_eq!(alone(&limit(1, 64_000, LimitUnit::Tokens)).span, 65_000_000);
        let two = of(&limit(2, 10_000, LimitUnit::Requests));
        // Two go with the next room, and two after each window behind it.
        let least = |before: u64| two.least_wait(before, Duration::from_secs(4)).unwrap().as_secs();
        assert_eq!([0, 1, 2, 3, 4].map(least), [4, 4, 14, 14, 24]);
        assert!(of(&limit(2, 10_000, LimitUnit::Tokens)).least_wait(9, Duration::ZERO).is_none());
        let names = [(1, LimitUnit::Requests), (7, LimitUnit::InputTokens), (500_000_000, LimitUnit::Cost)];
        let names = names.map(|(amount, unit)| of(&limit(amount, 3_600_000, unit)).name.to_string());
        let told =
            ["1 request", "7 input_tokens", "0.50 USD"].map(|told| format!("LLMRoute a/r: {told} per 1h, per header"));
        assert_eq!(names, told);
        for (millis, text) in [(60_000, "1m"), (90_000, "90s"), (86_400_000, "24h"), (1_500, "1500ms")] {
            assert_eq!(limit(1, millis, LimitUnit::Requests).window_in_words(), text);
        }
    }
}
