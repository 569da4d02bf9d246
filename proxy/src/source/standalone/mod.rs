//! The source that follows a folder: read → compile → publish, and what is wrong is said once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sluicegate_config::compile::{
    Compiled, Credentials, DeniedNetworks, Inputs, Kind, PriceList, Severity, Verdict, Verdicts, compile, manifests,
    steps,
};
use sluicegate_config::rollout::Rejection;
use sluicegate_config::{ObjectId, Snapshot};
use tokio::sync::watch;

use super::folder::{self, Folder};
use super::report::{ObjectReport, ObjectState, Report, SourceProblem};
use super::telling::Telling;
use super::watch::Watch;
use crate::account::{ConfigEvent, Metrics};

/// Objects that disappear are believed when they are still gone after this: a file being replaced, a folder being
/// filled or a volume being mounted looks like a deletion at first.
const SETTLE: Duration = Duration::from_millis(250);

/// A configuration to run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Names its content: equal content, equal revision. Says nothing of the credentials.
    pub revision: String,
    /// The snapshot to run on.
    pub snapshot: Snapshot,
    /// The credentials it names.
    pub credentials: Credentials,
}

/// The ends that others hold: what to run on, and what is to be said about it.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The newest configuration; `None` until there is one.
    pub configuration: watch::Receiver<Option<Arc<Configuration>>>,
    /// The report on what runs and what was wrong.
    pub report: watch::Receiver<Arc<Report>>,
}

/// The objects that serve in a form before what is written now.
type KeptObjects = BTreeSet<(Kind, ObjectId)>;

/// Objects that were missing at the last reading and wait to be believed.
#[derive(Debug, Default)]
struct MissingObjects {
    objects: BTreeSet<(Kind, ObjectId)>,
    /// The time when just these were missing for the first time.
    since: Option<Instant>,
    /// The time when any were; bounds the waiting while more and more go.
    first: Option<Instant>,
}

/// A folder of manifests (or one file), followed.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    watch: Watch,
    metrics: Arc<Metrics>,
    denied: Arc<DeniedNetworks>,
    prices: Option<PriceList>,
    configuration: watch::Sender<Option<Arc<Configuration>>>,
    report: watch::Sender<Arc<Report>>,
    missing: MissingObjects,
    /// Names of files that hold something.
    held: BTreeSet<String>,
    looked_again: bool,
    again: bool,
    telling: Telling,
}

impl Source {
    /// Begins to watch, reads once, and publishes what is valid. Never fails: what is wrong is logged and reported. No provider
    /// may be where it is denied. `prices` are those of models whose pools say none.
    #[must_use]
    pub fn open(
        path: PathBuf,
        metrics: Arc<Metrics>,
        denied: Arc<DeniedNetworks>,
        prices: Option<PriceList>,
    ) -> (Self, Subscription) {
        let (configuration, configurations) = watch::channel(None);
        let (report, reports) = watch::channel(Arc::default());
        // The watch comes first: a change between the reading and the watching would be missed.
        let watch = Watch::new(vec![path.clone()]);
        let (missing, telling) = (MissingObjects::default(), Telling::default());
        let mut source = Self {
            path,
            watch,
            metrics,
            denied,
            prices,
            configuration,
            report,
            missing,
            held: BTreeSet::new(),
            looked_again: false,
            again: false,
            telling,
        };
        source.again = source.load();
        (source, Subscription { configuration: configurations, report: reports })
    }

    /// Follows the folder until the task is dropped.
    pub async fn run(mut self) {
        loop {
            if self.again {
                // Whether or not something changes meanwhile.
                drop(tokio::time::timeout(SETTLE, self.watch.changed()).await);
            } else {
                self.watch.changed().await;
            }
            self.again = self.load();
        }
    }

    /// Reads, compiles and publishes once. Returns whether it should soon be read again.
    fn load(&mut self) -> bool {
        let mut folder = folder::read(&self.path);
        folder.keep_emptied(&mut self.held);
        let current = self.configuration.borrow().clone();
        // A folder that is gone or empty says nothing about what is to run: rather a volume not mounted than a wish.
        if folder.files.is_empty() {
            self.tell(current.as_deref(), None, folder.problems);
            return false;
        }
        let (mut compiled, mut problems) = self.build(&folder, current.as_deref(), false);
        let unsettled = self.unsettled(current.as_deref(), &compiled.snapshot, Instant::now());
        if unsettled {
            (compiled, problems) = self.build(&folder, current.as_deref(), true);
        }
        problems.extend(compiled.verdicts.iter().map(SourceProblem::from));
        let (verdicts, kept) = (compiled.verdicts.clone(), compiled.kept.clone());
        let runs = self.publish(compiled, current);
        self.tell(runs.as_deref(), Some((&verdicts, &kept)), problems);
        // A file that makes no sense may be half written, and its end come without an event: look once more.
        let broken =
            self.telling.told().iter().any(|problem| problem.object.is_none() && problem.severity == Severity::Error);
        self.looked_again = broken && !self.looked_again;
        unsettled || self.looked_again
    }

    /// Reads the objects out of the files and compiles them on top of what runs; `keep`: also what is no longer there.
    fn build(&self, folder: &Folder, current: Option<&Configuration>, keep: bool) -> (Compiled, Vec<SourceProblem>) {
        let (inputs, findings) = manifests::read(&folder.files);
        let inputs = Inputs {
            denied: Arc::clone(&self.denied),
            prices: self.prices.as_ref(),
            // What an unread file last said still counts.
            incomplete: inputs.incomplete || keep || !folder.unread.is_empty(),
            previous: current.map(|current| &current.snapshot),
            previous_credentials: current.map(|current| &current.credentials),
            ..inputs
        };
        let problems = folder.problems.iter().cloned().chain(findings.iter().map(SourceProblem::from)).collect();
        (compile(&inputs), problems)
    }

    /// True if objects disappeared so recently that they are not believed to be gone.
    fn unsettled(&mut self, current: Option<&Configuration>, next: &Snapshot, now: Instant) -> bool {
        let missing = current.map(|current| lost(&current.snapshot, next)).unwrap_or_default();
        if missing.is_empty() {
            self.missing = MissingObjects::default();
            return false;
        }
        let first = *self.missing.first.get_or_insert(now);
        if missing != self.missing.objects {
            (self.missing.objects, self.missing.since) = (missing, Some(now));
        }
        let settled = self.missing.since.is_some_and(|since| now.saturating_duration_since(since) >= SETTLE);
        let settled = settled || now.saturating_duration_since(first) >= SETTLE * 8;
        if settled {
            self.missing = MissingObjects::default();
        }
        !settled
    }

    /// Publishes what was compiled, if it is something and differs. Returns what runs then.
    fn publish(&self, compiled: Compiled, current: Option<Arc<Configuration>>) -> Option<Arc<Configuration>> {
        let Compiled { snapshot, credentials, verdicts: _, kept: _, withdrawn: _ } = compiled;
        if current.is_none() && snapshot.routes.is_empty() {
            return None;
        }
        let next = Configuration { revision: revision(&snapshot), snapshot, credentials };
        if current.as_deref() == Some(&next) {
            return current;
        }
        let (routes, pools) = (next.snapshot.routes.len(), next.snapshot.pools.len());
        tracing::info!(revision = %next.revision, routes, pools, "configuration applied");
        let next = Arc::new(next);
        self.configuration.send_replace(Some(Arc::clone(&next)));
        Some(next)
    }

    /// Logs what is newly wrong, and reports how everything stands.
    fn tell(
        &mut self,
        runs: Option<&Configuration>,
        said: Option<(&Verdicts, &KeptObjects)>,
        problems: Vec<SourceProblem>,
    ) {
        let now: BTreeSet<SourceProblem> = problems.into_iter().collect();
        let unsaid = self.telling.told().is_empty();
        let before = Arc::clone(&self.report.borrow());
        // What the folder said before it vanished is still how each object runs.
        let objects = said.map_or_else(|| before.objects.clone(), |(verdicts, kept)| objects(runs, verdicts, kept));
        let news = self.telling.tell(now, (runs.is_some(), &objects));
        if runs.is_none() && (unsaid || news) {
            tracing::error!(path = %self.path.display(), "no route is served: not ready until a valid LLMRoute is there");
        }
        let revision = runs.map(|runs| runs.revision.clone());
        let applied_at = if revision == before.revision { before.applied_at } else { seconds() };
        let problems = self.telling.told().iter().cloned().collect();
        let report = Report { revision, applied_at, objects, problems, operator: None };
        if let Some(revision) = report.revision.as_deref().filter(|_| report.revision != before.revision) {
            self.metrics.config(ConfigEvent::Applied { revision });
        }
        if news {
            self.metrics.config(ConfigEvent::Read { rejected: report.rejected() });
        }
        self.report.send_replace(Arc::new(report));
    }
}

/// The objects that ran and are no longer there.
fn lost(before: &Snapshot, after: &Snapshot) -> BTreeSet<(Kind, ObjectId)> {
    let lost = Kind::ALL.iter().flat_map(|kind| {
        let ran = steps(*kind).all(before).into_iter();
        ran.filter(|(id, _)| !steps(*kind).serves(after, id)).map(|(id, _)| (*kind, id.clone()))
    });
    lost.collect()
}

/// The reports on everything that runs or is wrong.
fn objects(runs: Option<&Configuration>, verdicts: &Verdicts, kept: &KeptObjects) -> Vec<Arc<ObjectReport>> {
    let empty = Snapshot::default();
    let snapshot = runs.map_or(&empty, |runs| &runs.snapshot);
    let running = Kind::ALL.iter().flat_map(|kind| {
        let running = steps(*kind).all(snapshot).into_iter();
        running.map(|(id, revision)| (*kind, id, revision))
    });
    let mut wrong: BTreeMap<(Kind, &ObjectId), &Verdict> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.severity == Severity::Error) {
        wrong.entry((verdict.kind, &verdict.object)).or_insert(verdict);
    }
    let mut objects = Vec::new();
    for (kind, id, revision) in running {
        let verdict = wrong.remove(&(kind, id));
        let state = match (kept.contains(&(kind, id.clone())), verdict) {
            (true, _) => ObjectState::KeptPrevious,
            (false, Some(_)) => ObjectState::Partial,
            (false, None) => ObjectState::Applied,
        };
        objects.push(object((kind, id), Some(revision), state, verdict));
    }
    for (of, verdict) in wrong {
        objects.push(object(of, None, ObjectState::Rejected, Some(verdict)));
    }
    objects.sort_by(|a, b| a.order(b));
    objects
}

fn object(
    (kind, id): (Kind, &ObjectId),
    revision: Option<&str>,
    state: ObjectState,
    wrong: Option<&Verdict>,
) -> Arc<ObjectReport> {
    // What was not taken was never compiled, so it has no revision. What serves in part was taken.
    let rejected = wrong
        .filter(|_| state != ObjectState::Partial)
        .map(|verdict| Rejection { revision: String::new(), message: SourceProblem::from(verdict).to_string() })
        .map(Box::new);
    let (kind, name) = (kind.as_str(), Arc::new(id.clone()));
    let (revision, version, credentials) = (revision.map(Into::into), None, None);
    Arc::new(ObjectReport { kind, name, revision, state, version, credentials, rejected })
}

/// Names a snapshot's content, shortly.
fn revision(snapshot: &Snapshot) -> String {
    let mut hash = blake3::Hasher::new();
    for kind in Kind::ALL.iter().rev() {
        for (id, revision) in steps(*kind).all(snapshot) {
            for part in [kind.compiled_label(), id.0.as_str(), revision] {
                hash.update(part.as_bytes());
                hash.update(b"\n");
            }
        }
    }
    hash.finalize().to_hex().chars().take(12).collect()
}

fn seconds() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests;
