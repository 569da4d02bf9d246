//! The keeper of providers' own lists of models: asked for before anybody wants them, and anew now and then. One task for each provider,
//! on the control thread: no call waits for a list, and what was had last is kept whatever comes of the next question.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::account::DiscoveryStat;
use crate::upstream::UpstreamClient;

use super::fetch::DiscoveryQuestion;
use super::source::DiscoveredModels;

/// Between two questions of which the first failed, the shortest time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A pool, a provider of it, and its address: the list of another address is another list.
type ProviderAt = (Box<str>, Box<str>, Box<str>);

/// All lists that are kept.
#[derive(Default)]
pub(crate) struct DiscoveryKeeper {
    known: Mutex<HashMap<ProviderAt, Weak<DiscoveredModels>>>,
    /// Those that no task keeps yet: as many as a configuration brought.
    new: Mutex<Vec<(ProviderAt, Weak<DiscoveredModels>)>>,
    came: Notify,
    /// Rises with each list that says something new.
    generation: AtomicU64,
}

impl fmt::Debug for DiscoveryKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiscoveryKeeper(…)")
    }
}

impl DiscoveryKeeper {
    /// The list of a pool's provider at a URL, kept already or from now on.
    pub(crate) fn kept(
        &self,
        (pool, provider, url): (&str, &str, &str),
        question: DiscoveryQuestion,
    ) -> Arc<DiscoveredModels> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at: ProviderAt = (pool.into(), provider.into(), url.into());
        if let Some(source) = known.get(&at).and_then(Weak::upgrade) {
            source.ask(question);
            return source;
        }
        known.retain(|_, source| source.strong_count() > 0);
        let source = Arc::new(DiscoveredModels::new(question));
        known.insert(at.clone(), Arc::downgrade(&source));
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push((at, Arc::downgrade(&source)));
        self.came.notify_one();
        source
    }

    /// A number that rises with each list that says something new.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The lists as they stand, for the metrics.
    pub(crate) fn stats(&self) -> Vec<DiscoveryStat> {
        let now = Instant::now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stat = |((pool, provider, _), source): (&ProviderAt, &Weak<DiscoveredModels>)| {
            let (list, [ok, failed]) = source.upgrade()?.stat(now);
            let (pool, provider) = (pool.as_ref().into(), provider.as_ref().into());
            Some(DiscoveryStat { pool, provider, list, questions: [("ok", ok), ("failed", failed)] })
        };
        known.iter().filter_map(stat).collect()
    }

    /// Keeps them, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let client = UpstreamClient::new(1, Arc::default());
        loop {
            let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
            for (at, source) in new {
                tokio::task::spawn_local(keep(at, source, client.clone(), Arc::clone(&self)));
            }
            self.came.notified().await;
        }
    }
}

async fn keep(at: ProviderAt, kept: Weak<DiscoveredModels>, client: UpstreamClient, keeper: Arc<DiscoveryKeeper>) {
    let (pool, provider, _) = at;
    let mut failures = 0_u32;
    loop {
        let Some(source) = kept.upgrade() else { return };
        let question = source.question();
        let interval = question.interval;
        let pause = match question.ask(&client).await {
            Ok(found) => {
                failures = 0;
                let models = found.len();
                if source.put(found) {
                    keeper.generation.fetch_add(1, Ordering::AcqRel);
                    tracing::info!(
                        pool = &*pool,
                        provider = &*provider,
                        models,
                        "a provider's list of models has come"
                    );
                }
                // Up to a fifth earlier by chance, so that not all proxies ask at once.
                interval.mul_f64(0.8 + 0.2 * rand::rng().random::<f64>())
            }
            Err(why) => {
                failures = failures.saturating_add(1);
                source.fail();
                let has_list = source.models().is_some();
                tracing::warn!(
                    pool = &*pool,
                    provider = &*provider,
                    why,
                    failures,
                    has_list,
                    "a provider's list of models can not be had; it is asked for again"
                );
                FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(interval)
            }
        };
        let changed = source.changed();
        // Whoever lets go of the source ends this: it is not held while nothing is asked.
        drop((source, question));
        tokio::select! {
            () = sleep(pause) => {}
            () = changed.notified() => {}
        }
    }
}
