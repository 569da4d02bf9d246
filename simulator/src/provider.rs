//! A simulated provider's state: how it behaves and what it remembers between calls. Shared by all its connections.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::behaviour::Behaviour;
use crate::canned::Canned;
use crate::digest::fnv;
use crate::fault::Fault;
use crate::ids::Ids;
use crate::journal::Journal;
use crate::kept::KeptStore;
use crate::limits::{Minute, Quota};
use crate::openai::look_alike::LookAlike;
use crate::openai::responses::store::ResponseStore;
use crate::plan::{Plan, lay_out};
use crate::prompts::Prompts;
use crate::steer;

/// The most `times=` headers remembered.
const MOST_REPEATS: usize = 4_096;

/// A simulated provider.
pub struct SimulatedProvider {
    behaviour: Behaviour,
    models: Vec<String>,
    api_key: Option<String>,
    journal: Option<Journal>,
    canned: Option<Canned>,
    look_alike: Option<LookAlike>,
    ids: Ids,
    calls: AtomicU64,
    minute: Mutex<Minute>,
    prompts: Mutex<Prompts>,
    responses: Mutex<ResponseStore>,
    kept: Mutex<KeptStore>,
    repeats: Mutex<Repeats>,
}

/// The count of each `x-simulate` value with `times=`.
#[derive(Debug, Default)]
struct Repeats {
    counts: HashMap<u64, u32>,
    order: VecDeque<u64>,
}

// By hand: the API key is a secret.
impl fmt::Debug for SimulatedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedProvider")
            .field("behaviour", &self.behaviour)
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

impl SimulatedProvider {
    /// A provider that behaves so, knows every model and asks for no key.
    #[must_use]
    pub fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            models: Vec::new(),
            api_key: None,
            journal: None,
            canned: None,
            look_alike: None,
            ids: Ids::new(),
            calls: AtomicU64::new(0),
            minute: Mutex::default(),
            prompts: Mutex::default(),
            responses: Mutex::default(),
            kept: Mutex::default(),
            repeats: Mutex::default(),
        }
    }

    /// Knows these models only, and answers 404 for others; none: knows every model.
    #[must_use]
    pub fn with_models(mut self, models: Vec<String>) -> Self {
        self.models = models;
        self
    }

    /// Asks for this key, as `Authorization: Bearer` or `x-api-key`.
    #[must_use]
    pub fn with_api_key(mut self, key: Option<String>) -> Self {
        self.api_key = key;
        self
    }

    /// Keeps what it received, the last `most` calls, and shows it at `GET /__journal`; `DELETE` forgets it.
    #[must_use]
    pub fn with_journal(mut self, most: usize) -> Self {
        self.journal = Some(Journal::new(most));
        self
    }

    /// Answers fixed bytes without reading requests: a fast upstream for load.
    #[must_use]
    pub fn with_canned(mut self, canned: Canned) -> Self {
        self.canned = Some(canned);
        self
    }

    /// Speaks Chat Completions as this look-alike does, with its refusals and habits.
    #[must_use]
    pub fn with_look_alike(mut self, look_alike: Option<LookAlike>) -> Self {
        self.look_alike = look_alike;
        self
    }

    pub(crate) fn look_alike(&self) -> Option<LookAlike> {
        self.look_alike
    }

    pub(crate) fn canned(&self) -> Option<&Canned> {
        self.canned.as_ref()
    }

    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    pub(crate) fn models(&self) -> &[String] {
        &self.models
    }

    /// True if a model of this name is known.
    pub(crate) fn knows(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|known| known == model)
    }

    /// True if a key opens the door; `None`: no key was sent.
    pub(crate) fn admits(&self, key: Option<&str>) -> bool {
        self.api_key.as_deref().is_none_or(|wanted| key == Some(wanted))
    }

    /// Lays out the next call, told so by its `x-simulate` header.
    pub(crate) fn plan(&self, header: Option<&str>) -> Result<Plan, Box<Fault>> {
        let steer = match header {
            Some(value) => steer::read(value).map_err(|message| Fault::new(400, message))?,
            None => steer::Steer::default(),
        };
        let spent = match (steer.times, header) {
            (Some(times), Some(value)) => self.repeat(value) >= times,
            _ => false,
        };
        let strikes = match &self.behaviour.failure {
            Some(failure) => failure.strikes(self.calls.fetch_add(1, Ordering::Relaxed)),
            None => false,
        };
        Ok(lay_out(&self.behaviour, strikes, steer, spent))
    }

    /// Counts a call against the minute.
    pub(crate) fn count(&self) -> Quota {
        held(&self.minute).count(self.behaviour.requests_per_minute, Instant::now())
    }

    /// The prompt cache.
    pub(crate) fn prompts(&self) -> MutexGuard<'_, Prompts> {
        held(&self.prompts)
    }

    /// The answers that it keeps.
    pub(crate) fn responses(&self) -> MutexGuard<'_, ResponseStore> {
        held(&self.responses)
    }

    /// The files and batches that it keeps.
    pub(crate) fn kept(&self) -> MutexGuard<'_, KeptStore> {
        held(&self.kept)
    }

    /// The source of its ids.
    pub(crate) fn ids(&self) -> &Ids {
        &self.ids
    }

    /// The number of times this value has been seen before.
    fn repeat(&self, value: &str) -> u32 {
        let mut repeats = held(&self.repeats);
        let key = fnv(value.as_bytes());
        if let Some(count) = repeats.counts.get_mut(&key) {
            *count = count.saturating_add(1);
            return *count;
        }
        repeats.counts.insert(key, 0);
        repeats.order.push_back(key);
        if repeats.order.len() > MOST_REPEATS
            && let Some(oldest) = repeats.order.pop_front()
        {
            repeats.counts.remove(&oldest);
        }
        0
    }
}

/// A lock whose holder panicked still guards plain data.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
