//! The source that follows what an operator publishes for a gateway: words of the watches in, updates out, and what is
//! wrong is said once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sluicegate_config::ObjectId;
use sluicegate_config::compile::{Kind, Severity};
use sluicegate_config::published::KEPT_SECONDS;
use tokio::sync::mpsc;

use super::assembly::{Assembly, Event, ObjectStates, WatchKind};
use super::change::Change;
use super::cluster::{Cluster, WatchMessage};
use super::report::{Report, SourceProblem};
use super::telling::Telling;
use crate::account::{ConfigEvent, Metrics};

/// Words taken in before what they change is applied.
const MOST_WORDS: usize = 4_096;

/// A step from one configuration to the next.
#[derive(Debug)]
pub struct Update {
    /// To be applied in one step, in any order.
    pub changes: Vec<Change>,
    /// The report on what runs then, and what is wrong.
    pub report: Arc<Report>,
    /// True if there is no configuration any longer: all that was published is gone, and nobody has said that it is to go.
    pub deserted: bool,
}

/// A gateway's published objects, followed.
#[derive(Debug)]
pub struct Gateway {
    assembly: Assembly,
    words: mpsc::Receiver<WatchMessage>,
    metrics: Arc<Metrics>,
    report: Report,
    /// The sum of all running revisions: each is in it once, so a change costs two of them.
    sum: u128,
    refused: BTreeMap<(Kind, Arc<ObjectId>), SourceProblem>,
    failing: BTreeMap<&'static str, String>,
    telling: Telling,
}

impl Gateway {
    /// Begins to watch, on this thread, as a proxy that knows these features of compiled objects.
    ///
    /// # Errors
    /// No client can be made for that cluster.
    pub fn follow(cluster: &Cluster, features: &'static [&'static str], metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        Ok(Self::of(Assembly::new(cluster.gateway(), features), cluster.watch()?, metrics))
    }

    fn of(assembly: Assembly, words: mpsc::Receiver<WatchMessage>, metrics: Arc<Metrics>) -> Self {
        Self {
            assembly,
            words,
            metrics,
            report: Report::default(),
            sum: 0,
            refused: BTreeMap::new(),
            failing: BTreeMap::new(),
            telling: Telling::default(),
        }
    }

    /// The next step, as soon as there is one: what comes while the last one was applied is one step. `None`: the
    /// watches are gone for good.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            let first = match self.assembly.due() {
                Some(at) => tokio::time::timeout_at(at.into(), self.words.recv()).await,
                None => Ok(self.words.recv().await),
            };
            match first {
                Ok(Some(word)) => self.hear(word),
                Ok(None) => return None,
                // Something has waited for too long.
                Err(_) => {}
            }
            for _ in 0..MOST_WORDS {
                let Ok(word) = self.words.try_recv() else { break };
                self.hear(word);
            }
            if let Some(update) = self.update(Instant::now()) {
                return Some(update);
            }
        }
    }

    fn hear(&mut self, word: WatchMessage) {
        match word {
            WatchMessage::Failing(watched, why) => drop(self.failing.insert(said(watched), why)),
            WatchMessage::Event(event) => {
                let works = match &event {
                    // The list that is to follow may fail yet.
                    Event::Begin(_) => None,
                    Event::Put(object) if object.secret => Some(WatchKind::Secrets),
                    Event::Put(_) => Some(WatchKind::Configs),
                    Event::Gone(watched, _) | Event::Withdrawn(watched, _) | Event::End(watched) => Some(*watched),
                };
                if works.is_some_and(|watched| self.failing.remove(said(watched)).is_some()) {
                    tracing::info!("the API server answers again");
                }
                self.assembly.take(event, Instant::now());
            }
        }
    }

    fn update(&mut self, now: Instant) -> Option<Update> {
        let turn = self.assembly.turn(now);
        let begins = turn.is_some() && self.report.revision.is_none();
        let turn = turn.unwrap_or_default();
        turn.states.iter().for_each(|(kind, states)| self.note(*kind, states));
        let news = self.telling.tell(self.problems(), (self.assembly.complete(), &self.report.objects));
        let is_known_anew = self.report.operator.as_ref() != self.assembly.operator_token();
        if is_known_anew {
            self.report.operator = self.assembly.operator_token().cloned();
        }
        let moved = begins || is_known_anew || !(turn.changes.is_empty() && turn.states.is_empty());
        if !news && !moved {
            return None;
        }
        if begins || !turn.changes.is_empty() {
            self.report.applied_at = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
        }
        if self.assembly.complete() {
            let revision: String = format!("{:032x}", self.sum).chars().take(12).collect();
            if self.report.revision.as_ref() != Some(&revision) {
                tracing::info!(revision, changes = turn.changes.len(), "configuration applied");
                self.metrics.config(ConfigEvent::Applied { revision: &revision });
            }
            self.report.revision = Some(revision);
        }
        self.report.problems = self.telling.told().iter().cloned().collect();
        if news {
            self.metrics.config(ConfigEvent::Read { rejected: self.report.rejected() });
        }
        if turn.deserted {
            tracing::error!(
                "all that was published is gone: calls are answered 503 until there is a configuration again"
            );
        }
        Some(Update { changes: turn.changes, report: Arc::new(self.report.clone()), deserted: turn.deserted })
    }

    /// Enters how objects stand into the report, and what is wrong with them into the problems.
    fn note(&mut self, kind: Kind, standing: &ObjectStates) {
        for (id, stands) in standing {
            let before = self.report.running(kind.as_str(), &id.0);
            let after = stands.as_ref().and_then(|stands| stands.revision.as_deref());
            for revision in before.into_iter().chain(after) {
                self.sum ^= hash(kind, id, revision);
            }
            let rejected = stands.as_ref().and_then(|stands| stands.rejected.as_ref());
            match rejected {
                Some(rejected) => {
                    let problem = SourceProblem::of_object(kind.as_str(), &id.0, "Rejected", rejected.message.clone());
                    self.refused.insert((kind, Arc::clone(id)), problem);
                }
                None => drop(self.refused.remove(&(kind, Arc::clone(id)))),
            }
            match stands {
                Some(stands) => self.report.put(Arc::clone(stands)),
                None => self.report.remove(kind.as_str(), &id.0),
            }
        }
    }

    fn problems(&self) -> BTreeSet<SourceProblem> {
        let failing = self.failing.iter().map(|(watched, why)| {
            SourceProblem::of_source("NotWatched", format!("the gateway's {watched} can not be followed now: {why}"))
        });
        let strangers = self.assembly.strangers().iter().map(|(name, why)| {
            SourceProblem::of_source(
                "NotPublished",
                format!("{name} carries this gateway's label, and is none of its objects: {why}"),
            )
        });
        let missing = self.assembly.misses().then(|| SourceProblem {
            severity: Severity::Warning,
            ..SourceProblem::of_source(
                "Missing",
                format!(
                    "published objects were deleted, and not by the operator: what runs of them runs on for \
                     {KEPT_SECONDS} s, in which the operator puts them back"
                ),
            )
        });
        failing.chain(strangers).chain(missing).chain(self.refused.values().cloned()).collect()
    }
}

const fn said(watched: WatchKind) -> &'static str {
    match watched {
        WatchKind::Configs => "ConfigMaps",
        WatchKind::Secrets => "Secrets",
    }
}

fn hash(kind: Kind, id: &ObjectId, revision: &str) -> u128 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for part in [kind.as_str(), id.0.as_str(), revision] {
        hasher.update(part.as_bytes());
        hasher.update(b"\n");
    }
    hasher.digest128()
}

#[cfg(test)]
mod tests;
