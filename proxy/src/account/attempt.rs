//! An attempt's entry in the ledger: its own times, usage and end. Several of one call may be open at once.
//!
//! The attempt whose answer the caller gets becomes part of the call's entry. What any other one used is counted beside it, under
//! its own provider, so that nothing a provider is paid for is lost.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sluicegate_config::{PicoUsd, Price};
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::{ServiceTier, Usage};

use super::cells::{CallKey, token_counts};
use super::held::{Costs, Held, Settlement};
use super::ledger::{Ledger, LedgerEntry};
use super::outcome::AttemptEnd;
use super::record::{AttemptFacts, ModelName};
use super::table::{NameTable, ProviderIx};
use crate::pricing::{cost, prompt_cache};

/// No call has so many tokens: the longest contexts are a hundredth of it. Who says so is not believed.
const MOST_TOKENS: u64 = 1_000_000_000;

/// An open attempt. Dropped without an end, it was cancelled.
#[derive(Debug)]
pub struct AttemptEntry {
    ledger: Rc<Ledger>,
    table: Arc<NameTable>,
    /// Under which call it is counted; the provider and the model that answered are the attempt's own.
    call: CallKey,
    facts: AttemptFacts,
    open: bool,
    /// Held until its end.
    held: Option<Box<dyn Held>>,
}

impl LedgerEntry {
    /// An attempt of this call begins. The second and later ones are retries; at another provider, a failover.
    #[must_use]
    pub fn attempt(&mut self, table: &Arc<NameTable>, provider: ProviderIx, now: Instant) -> AttemptEntry {
        self.open_attempt(table, provider, now, false)
    }

    /// An attempt of this call begins beside one that keeps its caller waiting: that is neither a retry nor a failover.
    #[must_use]
    pub fn hedge(&mut self, table: &Arc<NameTable>, provider: ProviderIx, now: Instant) -> AttemptEntry {
        self.open_attempt(table, provider, now, true)
    }

    fn open_attempt(
        &mut self,
        table: &Arc<NameTable>,
        provider: ProviderIx,
        now: Instant,
        beside: bool,
    ) -> AttemptEntry {
        let call = self.begin_attempt(provider, now, beside);
        let facts = AttemptFacts::at(provider);
        AttemptEntry { ledger: Rc::clone(self.ledger()), table: Arc::clone(table), call, facts, open: true, held: None }
    }
}

impl AttemptEntry {
    /// Notes the request that it sends: to which endpoint, in which dialect, asking for which model.
    pub fn sent(&mut self, endpoint: Option<&Arc<str>>, dialect: Dialect, model: &str) {
        self.facts.endpoint = endpoint.map(Arc::clone);
        self.facts.dialect = Some(dialect);
        self.facts.sent_model = ModelName::of(&self.table, model);
    }

    /// So many fields of the call its provider is not sent, or parts that it could not be told.
    pub fn dropped_fields(&self, count: usize) {
        if count > 0 {
            let cells = self.ledger.attempt_cells(&self.table, self.facts.provider);
            cells.dropped.add(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// So many parts of its answer the caller is not given: its dialect has no words for them.
    pub fn skipped_parts(&self, count: usize) {
        if count > 0 {
            let cells = self.ledger.attempt_cells(&self.table, self.facts.provider);
            cells.skipped.add(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// Its answer begins to arrive (its head; for a stream held back, its first token).
    pub fn upstream_head(&mut self, now: Instant) {
        self.facts.head = Some(now);
    }

    /// The model that answered, as the provider names it.
    pub fn answered_model(&mut self, model: &str) {
        self.facts.answered_model = ModelName::of(&self.table, model);
    }

    /// Notes the service tier that answers, where it is said apart from the usage.
    pub fn tier(&mut self, tier: ServiceTier) {
        self.facts.tier = tier.or(self.facts.tier);
    }

    /// Notes the usage that the provider has said so far (each word replaces the one before), and what that costs. What
    /// nobody can have used is counted as such, and nowhere else.
    pub fn usage(&mut self, usage: Usage, price: Option<&Price>) {
        if token_counts(&usage).iter().any(|count| *count > MOST_TOKENS) {
            return self.ledger.disbelieve();
        }
        let usage = Usage { tier: usage.tier.or(self.facts.tier), ..usage.believed() };
        self.facts.cost = price.and_then(|price| cost(&usage, price));
        let cached = usage.cached_input > 0 || usage.cache_write > 0;
        self.facts.prompt_cache =
            price.filter(|_| cached).and_then(|price| prompt_cache(&usage, price)).unwrap_or_default();
        self.facts.usage = Some(usage);
        (self.facts.estimated, self.facts.unknown) = (false, false);
    }

    /// Notes the usage of several answers together, and what they cost; `None`: nobody knows.
    pub fn summed_usage(&mut self, usage: Usage, cost: Option<PicoUsd>) {
        self.usage(usage, None);
        self.facts.cost = cost.filter(|_| self.facts.usage.is_some());
    }

    /// Notes the usage that is most likely of an attempt that ended before its provider said it.
    pub fn estimated_usage(&mut self, usage: Usage, price: Option<&Price>) {
        self.usage(usage, price);
        self.is_estimated();
    }

    /// Some of the usage that was noted nobody has said.
    pub fn is_estimated(&mut self) {
        self.facts.estimated = self.facts.usage.is_some();
    }

    /// Notes that it may have used something of which nobody says how much.
    pub fn unknown_usage(&mut self) {
        self.facts.unknown = self.facts.usage.is_none();
    }

    /// The cost of its usage; `None`: nobody knows.
    #[must_use]
    pub const fn cost(&self) -> Option<PicoUsd> {
        self.facts.cost
    }

    /// True if its usage is known, or has been estimated.
    #[must_use]
    pub fn has_usage(&self) -> bool {
        self.facts.usage.is_some()
    }

    /// The model that was asked for, as the provider names it.
    #[must_use]
    pub fn sent_model(&self) -> &str {
        self.facts.sent_model.text(&self.table).unwrap_or_default()
    }

    /// Holds something until it is over.
    pub fn hold(&mut self, held: Box<dyn Held>) {
        if self.open {
            self.held = Some(held);
        }
    }

    /// It is over; only the first word counts. A success is what the caller gets, if the call's entry has no answer yet.
    pub fn close(&mut self, end: AttemptEnd, call: &mut LedgerEntry) {
        if let Some(facts) = self.end(end) {
            let rest = call.attempt_closed(facts, end);
            rest.into_iter().for_each(|facts| self.count_alone(&facts));
        }
    }

    fn end(&mut self, end: AttemptEnd) -> Option<AttemptFacts> {
        if !std::mem::take(&mut self.open) {
            return None;
        }
        // An answer without a word on what it used.
        if end == AttemptEnd::Success && self.call.operation.is_metered() {
            self.unknown_usage();
        }
        self.ledger.attempt_cells(&self.table, self.facts.provider).ended(end);
        let facts = std::mem::take(&mut self.facts);
        if let Some(held) = self.held.take() {
            held.settle(settlement(&facts, end), Costs { answer: facts.cost, ..Costs::default() });
        }
        Some(facts)
    }

    /// Counts what no call's entry tells.
    fn count_alone(&self, facts: &AttemptFacts) {
        if facts.is_counted() {
            let key = CallKey { provider: facts.provider, answered: facts.answered_model.known, ..self.call };
            self.ledger.call_cells(&self.table, key).count_usage(facts);
        }
    }
}

/// The facts by which what it has taken beforehand is settled.
const fn settlement(facts: &AttemptFacts, end: AttemptEnd) -> Settlement {
    match end {
        // Nothing of it has reached its provider.
        AttemptEnd::ConnectFailed | AttemptEnd::Gateway => Settlement::Unasked,
        _ if facts.unknown => Settlement::Unknown,
        _ => Settlement::Used(facts.usage),
    }
}

impl Drop for AttemptEntry {
    fn drop(&mut self) {
        if let Some(facts) = self.end(AttemptEnd::Cancelled) {
            self.count_alone(&facts);
        }
    }
}
