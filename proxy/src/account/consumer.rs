//! A consumer's name, and what is counted of its calls: a few series of its own, since a label on every other series would
//! multiply them all.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use sluicegate_config::{ObjectId, PicoUsd};
use sluicegate_dialects::hub::Usage;

use crate::count::Count;

/// The most consumers that are told apart; the calls of further ones are counted together.
const MOST: usize = 1_000;
/// The series of a consumer that is gone stay this long, so that a last scrape sees them.
const KEPT: Duration = Duration::from_secs(600);

/// A consumer, for logs and metrics. One for as long as the consumer is there, whatever changes of it.
pub struct ConsumerName {
    id: Arc<ObjectId>,
    /// Found at its first call.
    cells: OnceLock<Arc<ConsumerCells>>,
    /// The labels that its calls are told with beside its name.
    charged: ArcSwapOption<ChargedLabels>,
}

/// Labels of a consumer that are told of its calls.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChargedLabels {
    /// Names and values.
    pub(super) pairs: Vec<(String, String)>,
    /// All of them, as a line of the log has them.
    pub(super) text: String,
}

impl fmt::Debug for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsumerName({})", self.id.0)
    }
}

impl ConsumerName {
    /// Of the consumer with this id.
    #[must_use]
    pub fn new(id: Arc<ObjectId>) -> Self {
        Self { id, cells: OnceLock::new(), charged: ArcSwapOption::empty() }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Arc<ObjectId> {
        &self.id
    }

    /// These labels are told of its calls from now on.
    pub(crate) fn charge(&self, pairs: Vec<(String, String)>) {
        let text = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
        let labels = (!pairs.is_empty()).then(|| Arc::new(ChargedLabels { pairs, text }));
        if *self.charged.load() != labels {
            self.charged.store(labels);
        }
    }

    /// The labels that are told of its calls.
    pub(super) fn charged(&self) -> Option<Arc<ChargedLabels>> {
        self.charged.load_full()
    }

    /// Counts a closed call; `usage` and `cost` of what was asked of providers for it, as far as they are known.
    pub(super) fn count(&self, book: &ConsumerBook, usage: Option<&Usage>, cost: PicoUsd, is_limited: bool) {
        let cells = self.cells.get_or_init(|| book.cells(&self.id));
        let charged = self.charged.load_full();
        if charged.as_ref().map(Arc::as_ptr) != cells.charged.load_full().as_ref().map(Arc::as_ptr) {
            cells.charged.store(charged);
        }
        cells.calls.add();
        cells.limited.plus(u64::from(is_limited));
        if let Some(usage) = usage {
            cells.input.plus(usage.input);
            cells.output.plus(usage.output);
        }
        cells.cost.plus(cost.0);
    }
}

/// The counts of a consumer's calls, by all workers.
#[derive(Debug, Default)]
pub(super) struct ConsumerCells {
    pub(super) calls: Count,
    /// Those that a limit had no room for.
    pub(super) limited: Count,
    /// Tokens.
    pub(super) input: Count,
    /// Tokens.
    pub(super) output: Count,
    /// In picodollars.
    pub(super) cost: Count,
    /// The labels that are told of it.
    pub(super) charged: ArcSwapOption<ChargedLabels>,
}

#[derive(Debug)]
struct CountedConsumer {
    cells: Arc<ConsumerCells>,
    /// Since when nobody can add to them.
    gone: Option<Instant>,
}

/// The cells of all consumers that have called.
#[derive(Debug, Default)]
pub(super) struct ConsumerBook {
    known: Mutex<HashMap<Arc<ObjectId>, CountedConsumer>>,
    /// Of those that are not told apart.
    others: Arc<ConsumerCells>,
}

impl ConsumerBook {
    fn cells(&self, id: &Arc<ObjectId>) -> Arc<ConsumerCells> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(id) {
            return Arc::clone(&self.others);
        }
        let fresh = || CountedConsumer { cells: Arc::default(), gone: None };
        Arc::clone(&known.entry(Arc::clone(id)).or_insert_with(fresh).cells)
    }

    /// The counts by consumer. `None`: of those that are not told apart.
    pub(super) fn read(&self, now: Instant) -> Vec<(Option<Arc<ObjectId>>, Arc<ConsumerCells>)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, counted| {
            let is_held = Arc::strong_count(&counted.cells) > 1;
            counted.gone = counted.gone.or(Some(now)).filter(|_| !is_held);
            counted.gone.is_none_or(|since| now.saturating_duration_since(since) < KEPT)
        });
        let told = known.iter().map(|(id, counted)| (Some(Arc::clone(id)), Arc::clone(&counted.cells)));
        told.chain([(None, Arc::clone(&self.others))]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> ConsumerName {
        ConsumerName::new(Arc::new(ObjectId(format!("a/{number}"))))
    }

    #[test]
    fn consumers_beyond_the_most_are_counted_together_and_gone_ones_go() {
        let (book, now) = (ConsumerBook::default(), Instant::now());
        let names: Vec<ConsumerName> = (0..MOST + 5).map(name).collect();
        names.iter().for_each(|name| name.count(&book, None, PicoUsd(2), false));
        let read = book.read(now);
        assert_eq!(read.len(), MOST + 1);
        let others = read.iter().find(|(id, _)| id.is_none()).unwrap();
        assert_eq!((others.1.calls.get(), others.1.cost.get()), (5, 10));
        drop((read, names));
        assert_eq!(book.read(now).len(), MOST + 1, "a last scrape sees them");
        assert_eq!(book.read(now + KEPT).len(), 1);
    }
}
