//! The Lease: of all replicas the one that holds it writes. The others keep what they know warm.
//!
//! A holder believes in its lease for ten seconds from the moment it *asked* for the last renewal; others wait fifteen
//! seconds from the moment they *saw* it. So a holder that cannot renew has stopped, its last write included, before
//! another starts, whatever the clocks say: only spans of time are compared, never two machines' clocks.
//!
//! Its versions only grow, by consistent reads and by its own writes. One that is lower than one before says that the cluster's state was
//! put back to an earlier one: no watch tells of that, nor of anything after it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::Notify;

use crate::client::error_text;
use crate::rewound::Rewound;
use crate::world::Shared;

/// Others may take the lease when it was not renewed for this long.
const DURATION: Duration = Duration::from_secs(15);
/// A holder stops writing when it could not renew for this long.
const BELIEF: Duration = Duration::from_secs(10);
/// A write takes no longer than this, so that the last one of a holder ends before another starts.
pub const LONGEST_WRITE: Duration = Duration::from_secs(4);
/// A holder renews this often.
const RENEW: Duration = Duration::from_secs(3);
/// Others look this often.
const LOOK: Duration = Duration::from_secs(1);

/// The leadership: whether this replica may write.
#[derive(Debug, Default)]
pub struct Leadership {
    until: Cell<Option<Instant>>,
    since: Cell<Option<Instant>>,
    gained: Notify,
}

impl Leadership {
    /// Of a replica that is alone: it may always.
    #[must_use]
    pub fn always() -> Self {
        let leadership = Self::default();
        let now = Instant::now();
        leadership.since.set(Some(now));
        leadership.until.set(now.checked_add(Duration::from_secs(u64::from(u32::MAX))));
        leadership.gained.notify_one();
        leadership
    }

    /// True if it may write now. Asked before every write.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.until.get().is_some_and(|until| Instant::now() < until)
    }

    /// Since when.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        self.since.get().filter(|_| self.holds())
    }

    /// Waits until it has become this replica's.
    pub async fn gained(&self) {
        self.gained.notified().await;
    }

    fn renewed(&self, asked: Instant) {
        let had = self.holds();
        self.until.set(Some(asked + BELIEF));
        if !had {
            self.since.set(Some(asked));
            tracing::info!("this replica leads");
            self.gained.notify_one();
        }
    }

    fn lost(&self) {
        if self.until.take().is_some() {
            self.since.set(None);
            tracing::warn!("this replica leads no longer");
        }
    }
}

/// The next step towards the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is none: create it.
    Create,
    /// It is ours: renew it.
    Renew,
    /// It was given up, or its holder is silent: take it.
    Take,
    /// It is another's.
    Wait,
}

/// The lease as it was last seen to change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ObservedLease {
    version: Option<String>,
    at: Instant,
    /// Until when another believes that it is his, also when the object is gone meanwhile: it may be collected with its
    /// owner, or deleted by hand.
    others_until: Option<Instant>,
}

impl ObservedLease {
    fn new(version: Option<String>) -> Self {
        Self { version, at: Instant::now(), others_until: None }
    }

    /// Takes in a look.
    fn look(&mut self, lease: Option<&Lease>, me: &str) {
        let version = lease.and_then(|lease| lease.metadata.resource_version.clone());
        if version != self.version {
            (self.version, self.at) = (version, Instant::now());
        }
        if let Some(lease) = lease {
            let holder = holder(lease);
            let is_others = !holder.is_empty() && holder != me;
            self.others_until = is_others.then(|| self.at + lasts(lease));
        }
    }
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

fn lasts(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(DURATION, Duration::from_secs)
}

fn decide(lease: Option<&Lease>, me: &str, seen: &ObservedLease, now: Instant) -> Step {
    let Some(lease) = lease else {
        return if seen.others_until.is_some_and(|until| now <= until) { Step::Wait } else { Step::Create };
    };
    let holder = holder(lease);
    if holder == me {
        Step::Renew
    } else if holder.is_empty() || now.duration_since(seen.at) > lasts(lease) {
        Step::Take
    } else {
        Step::Wait
    }
}

/// A replica that wants the lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    me: String,
    owner: Option<Shared>,
    leadership: Rc<Leadership>,
    rewound: Rc<Rewound>,
}

impl Candidate {
    /// One that is called `me` and wants the lease `name`.
    #[must_use]
    pub fn new(api: Api<Lease>, name: String, me: String, leadership: Rc<Leadership>, rewound: Rc<Rewound>) -> Self {
        Self { api, name, me, owner: None, leadership, rewound }
    }

    fn met(&self, lease: Option<&Lease>) {
        self.rewound.met(lease.and_then(|lease| lease.metadata.resource_version.as_deref()));
    }

    /// Whoever holds the lease puts it down to the owner of all that is published, so that it goes with an uninstallation.
    #[must_use]
    pub fn owned_as_in(self, world: Shared) -> Self {
        Self { owner: Some(world), ..self }
    }

    fn owners(&self) -> Option<Vec<OwnerReference>> {
        self.owner.as_ref().and_then(|world| world.borrow().owner().cloned()).map(|owner| vec![owner])
    }

    /// Contends for the lease and keeps it, for ever.
    pub async fn contend(&self) {
        let mut seen = ObservedLease::new(None);
        loop {
            let asked = Instant::now();
            let held = match tokio::time::timeout(LONGEST_WRITE, self.once(&mut seen)).await {
                Ok(Ok(held)) => held,
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = error_text(&error),
                        lease = self.name,
                        "the lease could not be read or written"
                    );
                    // What is believed is believed until its time is over: `holds` sees to that.
                    self.leadership.holds()
                }
                Err(_) => self.leadership.holds(),
            };
            match held {
                true if asked.elapsed() < BELIEF => self.note(&seen, asked),
                _ => self.leadership.lost(),
            }
            tokio::time::sleep(if held { RENEW } else { LOOK }).await;
        }
    }

    /// A renewal that was answered starts the belief anew; an unanswered one leaves it as it was.
    fn note(&self, seen: &ObservedLease, asked: Instant) {
        if seen.at >= asked {
            self.leadership.renewed(asked);
        }
    }

    /// Gives it up, so that another can take it at once.
    pub async fn release(&self) {
        if !self.leadership.holds() {
            return;
        }
        self.leadership.lost();
        let released = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
            let Some(spec) = lease.spec.as_mut() else { return Ok(()) };
            if spec.holder_identity.as_deref() == Some(&self.me) {
                spec.holder_identity = Some(String::new());
                spec.lease_duration_seconds = Some(1);
                self.api.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match tokio::time::timeout(LONGEST_WRITE, released).await {
            Ok(Ok(())) => tracing::info!(lease = self.name, "the lease is given up"),
            Ok(Err(error)) => {
                tracing::warn!(error = error_text(&error), lease = self.name, "the lease could not be given up");
            }
            Err(_) => tracing::warn!(lease = self.name, "the lease could not be given up in time"),
        }
    }

    /// One look, and what follows from it. Says whether the lease is ours then.
    async fn once(&self, seen: &mut ObservedLease) -> Result<bool, kube::Error> {
        let lease = self.api.get_opt(&self.name).await?;
        self.met(lease.as_ref());
        seen.look(lease.as_ref(), &self.me);
        let step = decide(lease.as_ref(), &self.me, seen, Instant::now());
        let written = match (step, lease) {
            (Step::Wait, _) => return Ok(false),
            (Step::Create, _) | (_, None) => {
                let spec = self.spec(None, false);
                let owner_references = self.owners();
                let metadata = ObjectMeta { name: Some(self.name.clone()), owner_references, ..ObjectMeta::default() };
                self.api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
            }
            (step, Some(mut lease)) => {
                lease.spec = Some(self.spec(lease.spec.as_ref(), step == Step::Renew));
                if self.owner.is_some() {
                    // One that an earlier installation left would be collected with that one's owner.
                    lease.metadata.owner_references = self.owners();
                }
                self.api.replace(&self.name, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(lease) => {
                self.met(Some(&lease));
                *seen = ObservedLease::new(lease.metadata.resource_version);
                Ok(true)
            }
            // Another was quicker.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>, is_mine: bool) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let before = before.cloned().unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: before.acquire_time.filter(|_| is_mine).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(i32::from(!is_mine))),
            ..LeaseSpec::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        Lease { metadata: ObjectMeta::default(), spec: Some(spec) }
    }

    #[test]
    fn what_a_replica_does_about_the_lease() {
        let start = Instant::now();
        let mut seen = ObservedLease { at: start, ..ObservedLease::new(None) };
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(decide(None, "me", &seen, start), Step::Create);
        assert_eq!(decide(Some(&lease("me")), "me", &seen, after(99)), Step::Renew);
        assert_eq!(decide(Some(&lease("")), "me", &seen, start), Step::Take);
        assert_eq!(decide(Some(&lease("other")), "me", &seen, after(15)), Step::Wait);
        assert_eq!(decide(Some(&lease("other")), "me", &seen, after(16)), Step::Take);
        // Another's lease that is deleted is waited for like one that is there: its holder still writes.
        seen.look(Some(&lease("other")), "me");
        assert_eq!(decide(None, "me", &seen, after(15)), Step::Wait);
        assert_eq!(decide(None, "me", &seen, after(16)), Step::Create);
        seen.look(Some(&lease("")), "me");
        assert_eq!(decide(None, "me", &seen, start), Step::Create);
    }

    #[test]
    fn a_holder_has_stopped_before_another_starts() {
        assert!(BELIEF + LONGEST_WRITE < DURATION);
        assert!(RENEW + LONGEST_WRITE < BELIEF);
        let leadership = Leadership::default();
        assert!(!leadership.holds() && leadership.since().is_none());
        leadership.renewed(Instant::now());
        assert!(leadership.holds() && leadership.since().is_some());
        leadership.lost();
        assert!(!leadership.holds() && leadership.since().is_none());
        leadership.until.set(Some(Instant::now()));
        assert!(!leadership.holds());
    }
}
