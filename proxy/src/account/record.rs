//! The facts of one call: what the ledger fills, the metrics count and the access log tells.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use sluicegate_config::PicoUsd;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::{ErrorKind, ServiceTier, Usage};

use super::consumer::ConsumerName;
use super::held::{Costs, Settlement};
use super::outcome::{AttemptEnd, CacheStatus, End, ErrorSource, Operation};
use super::table::{ModelIx, NameTable, ProviderIx, RouteIx};

/// The most of a name from outside that is kept for the log, in bytes.
const MOST_NAME: usize = 128;
/// The code a call is counted under when its caller left before there was one (nginx's word for it).
const CLIENT_CLOSED: u16 = 499;

/// A model's name: a number where the configuration knows it, else the words themselves, for the log alone.
#[derive(Debug, Clone, Default)]
pub struct ModelName {
    pub(super) known: ModelIx,
    pub(super) words: Option<Box<str>>,
}

impl ModelName {
    /// Looks the name up; a name the configuration does not know is kept, cut to 128 bytes.
    pub(super) fn of(table: &NameTable, name: &str) -> Self {
        let known = table.model(name);
        let words = (known == ModelIx::OTHER).then(|| clip(name, MOST_NAME).into());
        Self { known, words }
    }

    pub(super) fn text<'a>(&'a self, table: &'a NameTable) -> Option<&'a str> {
        if self.known == ModelIx::default() {
            return None;
        }
        Some(self.words.as_deref().unwrap_or_else(|| table.model_name(self.known)))
    }
}

/// The longest beginning of at most `most` bytes that is whole characters.
pub(super) fn clip(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// One attempt's facts.
#[derive(Debug, Default)]
pub(super) struct AttemptFacts {
    pub(super) provider: ProviderIx,
    pub(super) endpoint: Option<Arc<str>>,
    pub(super) dialect: Option<Dialect>,
    pub(super) sent_model: ModelName,
    pub(super) answered_model: ModelName,
    /// The time when its answer began.
    pub(super) head: Option<Instant>,
    pub(super) usage: Option<Usage>,
    /// The service tier that answers, where it is said apart from the usage.
    pub(super) tier: ServiceTier,
    /// True if the usage is the gateway's own estimate.
    pub(super) estimated: bool,
    /// True if something was used, and nobody has said how much.
    pub(super) unknown: bool,
    /// The cost of the usage; `None`: nobody configured a price, or none of the tier that answered.
    pub(super) cost: Option<PicoUsd>,
    /// The money that the provider's prompt cache saved, and that writing there added.
    pub(super) prompt_cache: (PicoUsd, PicoUsd),
}

impl AttemptFacts {
    /// An attempt at this provider, of which nothing else is known.
    pub(super) fn at(provider: ProviderIx) -> Self {
        Self { provider, ..Self::default() }
    }

    /// True if there is something to count: a usage, or that nobody knows it.
    pub(super) fn is_counted(&self) -> bool {
        self.usage.is_some() || self.unknown
    }
}

/// The sum of what a call's attempts used that were not its answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OtherAttempts {
    /// Their usage, as far as it was said or estimated; `None`: they used nothing.
    pub(super) usage: Option<Usage>,
    /// True if some of it is the gateway's own estimate.
    pub(super) estimated: bool,
    /// The cost of it, as far as there are prices.
    pub(super) cost: PicoUsd,
    /// The number of them whose usage has no price.
    pub(super) unpriced: u32,
    /// The number of them that used something of which nobody has said how much.
    pub(super) unknown: u32,
}

impl OtherAttempts {
    /// One more of them.
    fn add(&mut self, facts: &AttemptFacts) {
        let Some(usage) = facts.usage else {
            self.unknown = self.unknown.saturating_add(u32::from(facts.unknown));
            return;
        };
        self.usage = Some(self.usage.unwrap_or_default().plus(usage));
        self.estimated |= facts.estimated;
        match facts.cost {
            Some(cost) => self.cost = PicoUsd(self.cost.0.saturating_add(cost.0)),
            None => self.unpriced = self.unpriced.saturating_add(1),
        }
    }

    /// True if one of them used something, as far as anybody knows.
    pub(super) const fn have_used(&self) -> bool {
        self.usage.is_some() || self.unknown > 0
    }

    /// Their cost; `None`: that of one is unknown.
    pub(super) fn known_cost(&self) -> Option<PicoUsd> {
        (self.unpriced == 0 && self.unknown == 0).then_some(self.cost)
    }
}

/// One call's facts. Times are monotonic; `opened` is when the call's head had been read.
#[derive(Debug)]
pub struct Record {
    pub(super) table: Arc<NameTable>,
    pub(super) opened: Instant,
    pub(super) received: Option<Instant>,
    pub(super) sent: Option<Instant>,
    pub(super) answered: Option<Instant>,
    pub(super) duration: Duration,
    /// The time that it waited for its turn before the first attempt.
    pub(super) queued: Duration,
    pub(super) first_token: Option<Duration>,
    pub(super) operation: Operation,
    pub(super) request_id: Option<HeaderValue>,
    pub(super) client: Option<IpAddr>,
    /// The consumer that calls, where it is known.
    pub(super) consumer: Option<Arc<ConsumerName>>,
    pub(super) route: RouteIx,
    pub(super) rule: Option<u32>,
    /// The attempt that answered; until then the last one.
    pub(super) attempt: AttemptFacts,
    /// True if that is the one that answered.
    pub(super) has_answer: bool,
    /// The others, together.
    pub(super) others: OtherAttempts,
    pub(super) asked: ModelName,
    pub(super) dialect_in: Option<Dialect>,
    pub(super) stream: bool,
    pub(super) attempts: u32,
    pub(super) open_attempts: u32,
    pub(super) last_attempt: Option<AttemptEnd>,
    pub(super) failover: bool,
    /// True if a second attempt was made beside one that kept the caller waiting.
    pub(super) hedged: bool,
    /// The number of times that its stream broke off and went on at another provider.
    pub(super) continued: u32,
    /// Requests sent once more within an attempt.
    pub(super) resends: u32,
    pub(super) client_retry: u32,
    pub(super) cache: CacheStatus,
    /// The limit that had no room for it.
    pub(super) limited: Option<Arc<str>>,
    pub(super) status: Option<u16>,
    pub(super) error: Option<(ErrorSource, ErrorKind)>,
    pub(super) detail: Option<Cow<'static, str>>,
    /// True for a copy of a call: nobody waits for it.
    pub(super) aside: bool,
    /// The time when the caller left, where the call's provider was still listened to.
    pub(super) left: Option<Instant>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) end: End,
}

impl Record {
    pub(super) fn new(table: Arc<NameTable>, operation: Operation, opened: Instant) -> Self {
        Self {
            table,
            opened,
            received: None,
            sent: None,
            answered: None,
            duration: Duration::ZERO,
            queued: Duration::ZERO,
            first_token: None,
            operation,
            request_id: None,
            client: None,
            consumer: None,
            route: RouteIx::default(),
            rule: None,
            attempt: AttemptFacts::default(),
            has_answer: false,
            others: OtherAttempts::default(),
            asked: ModelName::default(),
            dialect_in: None,
            stream: false,
            attempts: 0,
            open_attempts: 0,
            last_attempt: None,
            failover: false,
            hedged: false,
            continued: 0,
            resends: 0,
            client_retry: 0,
            cache: CacheStatus::Off,
            limited: None,
            status: None,
            error: None,
            detail: None,
            aside: false,
            left: None,
            bytes_in: 0,
            bytes_out: 0,
            end: End::ClientGone,
        }
    }

    /// The facts by which what it has taken beforehand is settled.
    pub(super) fn settlement(&self) -> Settlement {
        match self.attempt.usage {
            _ if self.is_kept() => Settlement::Kept,
            Some(usage) => Settlement::Used(Some(usage)),
            None if self.is_unknown() => Settlement::Unknown,
            None if self.attempts == 0 => Settlement::Unasked,
            None => Settlement::Used(None),
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self.cache, CacheStatus::Hit(_))
    }

    /// True if something was used for it, and nobody has said how much: its provider has not, or an attempt is still under way.
    fn is_unknown(&self) -> bool {
        let may_use = self.attempt.unknown || (self.open_attempts > 0 && self.operation.is_metered());
        self.attempt.usage.is_none() && may_use
    }

    /// The money that it cost. An answer that was kept cost nothing again.
    pub(super) fn costs(&self) -> Costs {
        let OtherAttempts { usage, cost, unpriced, unknown, .. } = self.others;
        let tokens = usage.map_or(0, |usage| usage.input.saturating_add(usage.output));
        Costs {
            answer: self.attempt.cost,
            others: cost,
            others_tokens: tokens,
            others_unpriced: unpriced,
            others_unknown: unknown,
        }
    }

    /// An attempt that is not its answer used something.
    pub(super) fn used_beside(&mut self, facts: &AttemptFacts) {
        self.others.add(facts);
    }

    /// The usage of all attempts together; of an answer that was kept, that of its making.
    pub(super) fn usage(&self) -> Option<Usage> {
        match (self.attempt.usage, self.others.usage) {
            (Some(answer), Some(others)) => Some(answer.plus(others)),
            (answer, others) => answer.or(others),
        }
    }

    /// True if some of that is the gateway's own estimate.
    pub(super) fn is_estimated(&self) -> bool {
        self.attempt.estimated || self.others.estimated
    }

    /// The usage of what providers were asked for: nothing where its answer was kept.
    pub(super) fn usage_of_asked(&self) -> Option<Usage> {
        if self.is_kept() { self.others.usage } else { self.usage() }
    }

    /// The status code it is counted under.
    pub(super) fn code(&self) -> u16 {
        self.status.unwrap_or(CLIENT_CLOSED)
    }

    /// The error that the call ended in. A provider's that went out whole is one, too.
    pub(super) fn error(&self) -> Option<End> {
        match self.end {
            End::Done if self.code() >= 400 => Some(End::Failed),
            End::Done => None,
            end => Some(end),
        }
    }

    /// The cost of the answer, or of the last attempt. `None`: it used tokens, and how many, or their price, is unknown.
    fn answer_cost(&self) -> Option<PicoUsd> {
        match self.settlement() {
            Settlement::Used(Some(_)) | Settlement::Unknown => self.attempt.cost,
            Settlement::Unasked | Settlement::Kept | Settlement::Used(None) => Some(PicoUsd(0)),
        }
    }

    /// The cost of the call, all attempts together. `None`: that of one is unknown.
    pub(super) fn known_cost(&self) -> Option<PicoUsd> {
        let (answer, others) = self.answer_cost().zip(self.others.known_cost())?;
        Some(PicoUsd(answer.0.saturating_add(others.0)))
    }

    /// The part of the cost that is known.
    pub(super) fn least_cost(&self) -> PicoUsd {
        let answer = self.answer_cost().unwrap_or(PicoUsd(0));
        PicoUsd(answer.0.saturating_add(self.others.cost.0))
    }

    /// The time that the gateway itself took: from the request read whole to the first attempt, and from the answer's
    /// head (or, without attempts, from the request) to our own, but for the time in queues. `None` when no answer went out.
    pub(super) fn overhead(&self) -> Option<Duration> {
        let (received, answered) = (self.received.unwrap_or(self.opened), self.answered?);
        let Some((sent, head)) = self.sent.zip(self.attempt.head) else {
            let time = answered.saturating_duration_since(received).saturating_sub(self.queued);
            return self.sent.is_none().then_some(time);
        };
        let before = sent.saturating_duration_since(received).saturating_sub(self.queued);
        Some(before + answered.saturating_duration_since(head))
    }

    /// The time that was waited for providers, all attempts together, to the head of the answer.
    pub(super) fn upstream(&self) -> Option<Duration> {
        Some(self.attempt.head?.saturating_duration_since(self.sent?))
    }

    /// Time per output token after the first, of a stream that ended well.
    pub(super) fn per_token(&self) -> Option<Duration> {
        let rest = self.attempt.usage?.output.checked_sub(1).filter(|rest| *rest > 0)?;
        let first = self.first_token.filter(|_| self.stream && self.end == End::Done)?;
        let time = self.duration.saturating_sub(first);
        Some(time / u32::try_from(rest).unwrap_or(u32::MAX))
    }
}
