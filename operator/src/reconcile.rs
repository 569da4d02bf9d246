//! One pass: what changed is gathered, compiled, published, and its status written. Everything else is left alone.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kube::Client;
use sluicegate_config::compile::{Compiled, DeniedNetworks, Reason, Severity, Verdict, steps};
use tokio::sync::Notify;

use crate::gather::{self, Batch};
use crate::generated_keys::KeyGenerator;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::publish::{self, Failures, Plan, Publisher};
use crate::status_writer::{Assessment, StatusWriter};
use crate::world::{Key, Shared, World};

/// The most objects of a pass. What comes while thousands are looked at (after a start) waits for a part of them only,
/// and a part of them only is in memory as trees.
const MOST: usize = 256;

/// The longest time, in seconds, until a thing that ends by itself is looked at: a clock may be set meanwhile.
const LONGEST_WAIT: u64 = 86_400;

/// Makes passes.
pub struct Reconciler {
    /// The world as it is known.
    pub world: Shared,
    /// Says that something changed.
    pub wake: Rc<Notify>,
    /// Reads.
    pub client: Client,
    /// Writes.
    pub publisher: Publisher,
    /// Says how it stands.
    pub status_writer: Rc<StatusWriter>,
    /// The leadership: whether this replica may write.
    pub leadership: Rc<Leadership>,
    /// Makes keys that consumers ask for.
    pub generator: KeyGenerator,
    /// The metrics.
    pub metrics: Rc<Metrics>,
    /// The addresses where no provider may be.
    pub denied: Arc<DeniedNetworks>,
}

impl Reconciler {
    /// Makes a pass whenever there is something to do: at once after the first change, and for all that came meanwhile
    /// after that.
    pub async fn run(&self) {
        loop {
            self.due().await;
            let begun = Instant::now();
            self.reconcile().await;
            self.metrics.reconcile_seconds.observe(begun.elapsed().as_secs_f64());
            // Watches and pages have their say between two passes, also when writes took no time.
            tokio::task::yield_now().await;
        }
    }

    async fn reconcile(&self) {
        let keys = self.world.borrow_mut().queue.take(MOST, Instant::now());
        let mut batch = gather::read(&self.world, &self.client, keys).await;
        batch.generated = self.generator.generate(&batch).await;
        let gathered = gather::collect(&self.world.borrow(), &batch);
        let generations = generations(&self.world.borrow(), &batch);
        let compiled = gathered.compile(&self.world.borrow(), &self.denied);
        let mut plan = publish::plan(&self.world.borrow(), &batch.keys, &compiled);
        plan.remove(self.world.borrow_mut().take_orphans());
        let anew = seen_anew(&self.world.borrow(), &batch, &compiled);
        let about = about(&self.world.borrow(), &plan, &generations, &compiled);
        let unsaid = self.status_writer.announce(about).await;
        let failures = self.publisher.carry_out(plan, unsaid).await;
        settle(&mut self.world.borrow_mut(), &batch, &anew, &failures);
        wake_at_ends(&mut self.world.borrow_mut(), &batch.keys, &compiled);
        for (key, generation) in generations {
            let assessment = assessment(&key, generation, &compiled, &failures);
            self.status_writer.consider(key, assessment);
        }
    }

    /// Waits until there is something to do and this replica may do it.
    async fn due(&self) {
        loop {
            let due = self.world.borrow().due(Instant::now()).filter(|_| self.leadership.holds());
            match due {
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(at.into()) => {}
                },
                None => tokio::select! {
                    () = self.wake.notified() => {}
                    () = self.leadership.gained() => self.world.borrow_mut().look_at_all(|_| true),
                },
            }
        }
    }
}

/// The generation that is compiled now: another may come before it is said.
fn generations(world: &World, batch: &Batch) -> BTreeMap<Key, Option<i64>> {
    batch.keys.iter().map(|key| (key.clone(), world.object(key).map(|object| object.generation))).collect()
}

/// Of what the plan changes: what will be said of it when it is done, as far as that is known.
fn about(
    world: &World,
    plan: &Plan,
    generations: &BTreeMap<Key, Option<i64>>,
    compiled: &Compiled,
) -> Vec<(Key, Assessment)> {
    let changed = plan.changed(world).into_iter();
    let assessment = changed.filter_map(|key| {
        let generation = *generations.get(&key)?;
        let assessment = assessment(&key, generation, compiled, &Failures::new())?;
        Some((key, assessment))
    });
    assessment.collect()
}

/// Objects whose new form is another to those that name them.
fn seen_anew(world: &World, batch: &Batch, compiled: &Compiled) -> Vec<Key> {
    let there = batch.keys.iter().filter(|key| world.object(key).is_some());
    let anew = there.filter(|key| !steps(key.kind).reads_alike(world.previous(key), compiled, &key.id));
    anew.cloned().collect()
}

/// Those that name an object look at it again when they see it anew; what went well is forgiven its failures.
fn settle(world: &mut World, batch: &Batch, anew: &[Key], failures: &Failures) {
    batch.keys.iter().filter(|key| !failures.contains_key(*key)).for_each(|key| world.queue.went_well(key));
    anew.iter().for_each(|key| world.look_at_those_that_name(key));
}

/// The assessment of an object; `None`: it is gone.
fn assessment(key: &Key, generation: Option<i64>, compiled: &Compiled, failures: &Failures) -> Option<Assessment> {
    let verdicts: Vec<Verdict> = compiled.verdicts.of(key.kind, &key.id).cloned().collect();
    let kept = compiled.kept.contains(&(key.kind, key.id.clone()));
    let unpublished = failures.get(key).cloned();
    Some(Assessment {
        generation: generation?,
        verdicts: verdicts.into(),
        kept,
        unpublished,
        serves: steps(key.kind).serves(&compiled.snapshot, &key.id),
        idle: idle(key, compiled, now()),
        budgets: steps(key.kind).budgets(&compiled.snapshot, &key.id).into(),
        limits: steps(key.kind).limits(&compiled.snapshot, &key.id).into(),
        prices: steps(key.kind).prices(&compiled.snapshot, &key.id),
    })
}

/// The reason why an object serves nobody, although every proxy may run it.
fn idle(key: &Key, compiled: &Compiled, now: i64) -> Option<&'static str> {
    let mut verdicts = compiled.verdicts.of(key.kind, &key.id);
    if verdicts.any(|verdict| verdict.reason == Reason::Shadowed && verdict.severity == Severity::Error) {
        return Some("no call gets to any of its rules, since other routes take them all (see Accepted)");
    }
    steps(key.kind).idle(compiled, &key.id, now)
}

/// Looks at things that end by themselves when they do.
fn wake_at_ends(world: &mut World, keys: &[Key], compiled: &Compiled) {
    for key in keys {
        let left = steps(key.kind).ends_at(&compiled.snapshot, &key.id).and_then(|end| u64::try_from(end - now()).ok());
        // A second more: the end lies within one.
        if let Some(left) = left {
            world.queue.wake_at(key, Instant::now() + Duration::from_secs(left.min(LONGEST_WAIT) + 1));
        }
    }
}

/// Unix time, in seconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
