//! A provider's own list of models: calls and lists read it, one keeper writes it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use sluicegate_dialects::ListedModel;
use tokio::sync::Notify;

use super::fetch::DiscoveryQuestion;

/// A provider's own list, as it was had last.
pub(crate) struct DiscoveredModels {
    /// The way in which it is asked, as the newest configuration says.
    question: Mutex<Arc<DiscoveryQuestion>>,
    changed: Arc<Notify>,
    found: ArcSwapOption<BTreeMap<String, ListedModel>>,
    /// The smallest window of its models; the most there is where none is known.
    smallest: AtomicU64,
    /// The time when it was had last, the same list or another.
    had: Mutex<Option<Instant>>,
    /// The questions that were answered, and those that were not.
    answers: [AtomicU64; 2],
}

impl fmt::Debug for DiscoveredModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiscoveredModels(…)")
    }
}

impl DiscoveredModels {
    pub(super) fn new(question: DiscoveryQuestion) -> Self {
        Self {
            question: Mutex::new(Arc::new(question)),
            changed: Arc::default(),
            found: ArcSwapOption::empty(),
            smallest: AtomicU64::new(u64::MAX),
            had: Mutex::default(),
            answers: Default::default(),
        }
    }

    /// Its models by their own names; `None`: nothing has been had yet.
    pub(crate) fn models(&self) -> Option<Arc<BTreeMap<String, ListedModel>>> {
        self.found.load_full()
    }

    /// One of them.
    pub(crate) fn model(&self, name: &str) -> Option<ListedModel> {
        self.found.load().as_ref()?.get(name).cloned()
    }

    /// The window of one of them.
    pub(crate) fn window(&self, name: &str) -> Option<u64> {
        self.found.load().as_ref()?.get(name)?.context_window
    }

    /// The smallest of all their windows; `None`: none is known.
    pub(crate) fn smallest_window(&self) -> Option<u64> {
        Some(self.smallest.load(Ordering::Relaxed)).filter(|smallest| *smallest < u64::MAX)
    }

    pub(super) fn question(&self) -> Arc<DiscoveryQuestion> {
        Arc::clone(&self.question.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// From now on it is asked so; at once, if that is another way.
    pub(super) fn ask(&self, question: DiscoveryQuestion) {
        let mut own = self.question.lock().unwrap_or_else(PoisonError::into_inner);
        if !own.is_as(&question) {
            self.changed.notify_one();
        }
        // Even the same question has the newest configuration's connection settings.
        *own = Arc::new(question);
    }

    /// The number of its models, the seconds since it was had, and the questions that were answered and those that were not.
    pub(super) fn stat(&self, now: Instant) -> (Option<(u64, f64)>, [u64; 2]) {
        let had = *self.had.lock().unwrap_or_else(PoisonError::into_inner);
        let age = had.map(|had| now.saturating_duration_since(had).as_secs_f64());
        let models = self.models().map(|models| u64::try_from(models.len()).unwrap_or(u64::MAX));
        let [ok, failed] = &self.answers;
        (models.zip(age), [ok.load(Ordering::Relaxed), failed.load(Ordering::Relaxed)])
    }

    /// It could not be had: what there is stays.
    pub(super) fn fail(&self) {
        let [_, failed] = &self.answers;
        failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a list in. `false`: it is the one that is there.
    pub(super) fn put(&self, found: BTreeMap<String, ListedModel>) -> bool {
        let [ok, _] = &self.answers;
        ok.fetch_add(1, Ordering::Relaxed);
        *self.had.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if self.found.load().as_ref().is_some_and(|before| **before == found) {
            return false;
        }
        let smallest = found.values().filter_map(|model| model.context_window).min();
        self.found.store(Some(Arc::new(found)));
        self.smallest.store(smallest.unwrap_or(u64::MAX), Ordering::Relaxed);
        true
    }
}
