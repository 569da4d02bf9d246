//! The status an object ought to have. Pure: what is known goes in, a status comes out, or nothing when it has it already.
//!
//! - `Accepted`: the compiler has no error to say about the object itself. What it warns of stands in the message: an
//!   object is never accepted with something left out in silence.
//! - `ResolvedRefs`: everything that it names is there. `Unknown` while the object is not accepted: an object that makes
//!   no sense names nothing for certain.
//! - `Programmed`: every ready proxy runs this generation. It hangs on what is published and on what proxies say, not on
//!   verdicts.

mod gateway_id;
mod limits;
mod message;
mod moment;
mod spend;

use std::time::SystemTime;

use k8s_openapi::jiff::Timestamp;
use sluicegate_config::ObjectId;
use sluicegate_config::compile::{Kind, Reason, Severity, Verdict};
use sluicegate_crds::{BudgetStatus, Condition, ConditionStatus, LimitStatus};

pub use sluicegate_crds::Status;

pub use gateway_id::GatewayId;
pub use limits::limits;
pub use spend::{budgets, renewal};
pub(crate) use spend::{in_words, is_same_count};

use crate::rollout::RolloutState;

/// Condition: the object is valid.
pub const ACCEPTED: &str = "Accepted";
/// Condition: everything that it names exists.
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// Condition: every ready proxy runs this generation of it.
pub const PROGRAMMED: &str = "Programmed";
/// The conditions that are written here; others in a status are someone else's.
const CONDITIONS: [&str; 3] = [ACCEPTED, RESOLVED_REFS, PROGRAMMED];
/// Reason of `ResolvedRefs=Unknown`.
const NOT_ACCEPTED: &str = "NotAccepted";

/// A condition of a status by its type.
#[must_use]
pub fn condition<'a>(status: &'a Status, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.kind == kind)
}

/// True if two statuses of the same generation say the same but for numbers and words: how many proxies, how many routes.
/// Such a status may be written late, and together with others.
#[must_use]
pub fn say_the_same(one: &Status, other: &Status) -> bool {
    let essence = |status: &Status| {
        CONDITIONS.map(|kind| condition(status, kind).map(|found| (found.status, found.reason.clone())))
    };
    one.observed_generation == other.observed_generation && essence(one) == essence(other)
}

/// The reason why `Programmed` is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Programmed {
    /// Every ready proxy runs this generation.
    Programmed,
    /// Some ready proxy does not run it yet.
    Pending,
    /// No proxy is ready.
    NoProxies,
    /// A proxy could not take it.
    Rejected,
    /// This generation is refused; the last good form serves on.
    KeepsPrevious,
    /// Nothing of it serves: this generation is refused and there is no other form of it, or no rule of it can serve.
    NotServed,
    /// It is good, but the API server did not take what was compiled of it.
    NotPublished,
}

impl Programmed {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Programmed,
        Self::Pending,
        Self::NoProxies,
        Self::Rejected,
        Self::KeepsPrevious,
        Self::NotServed,
        Self::NotPublished,
    ];

    /// As the condition's reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Programmed => "Programmed",
            Self::Pending => "Pending",
            Self::NoProxies => "NoProxies",
            Self::Rejected => "Rejected",
            Self::KeepsPrevious => "KeepsPrevious",
            Self::NotServed => "NotServed",
            Self::NotPublished => "NotPublished",
        }
    }
}

/// True if a condition says the same in two statuses but for words.
#[must_use]
pub fn says_alike(one: &Status, other: &Status, kind: &str) -> bool {
    let essence =
        |status| condition(status, kind).map(|found| (found.status, found.reason.clone(), found.observed_generation));
    essence(one) == essence(other)
}

/// Everything that decides an object's status.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// The gateway whose word it is.
    pub gateway: &'a GatewayId,
    /// The object's kind.
    pub kind: Kind,
    /// The object's id.
    pub object: &'a ObjectId,
    /// `metadata.generation` that was compiled.
    pub generation: i64,
    /// The status that it has.
    pub status: Option<&'a Status>,
    /// The compiler's words about it.
    pub verdicts: &'a [Verdict],
    /// It serves in its previous form.
    pub kept: bool,
    /// Revision of what is published of it; `None`: nothing is.
    pub revision: Option<&'a str>,
    /// The reason why what was compiled could not be published.
    pub unpublished: Option<&'a str>,
    /// The reason why no rule of it can serve, whoever runs it.
    pub idle: Option<&'a str>,
    /// Another form of it is about to be published: what runs of the one before is no answer any more.
    pub publishing: bool,
    /// Routes that name it; only of pools.
    pub attached_routes: Option<u32>,
    /// Its prices in words; only of pools.
    pub prices: Option<&'a str>,
    /// The state of its budgets.
    pub budgets: &'a [BudgetStatus],
    /// The use of its limits.
    pub limits: &'a [LimitStatus],
    /// Its rollout over the proxies.
    pub standing: &'a RolloutState,
}

/// The status to write, or `None` when nothing differs from the one it has.
#[must_use]
pub fn desired(case: &Case<'_>, now: SystemTime) -> Option<Status> {
    let accepted = judged(case, ACCEPTED);
    let refs = judged(case, RESOLVED_REFS);
    // Of an object that is only not reached what it names was judged all the same.
    let is_refused = accepted.status == ConditionStatus::False && accepted.reason != Reason::Shadowed.as_str();
    let refs = match &refs {
        Judgement { status: ConditionStatus::True, .. } if is_refused => {
            Judgement::new(ConditionStatus::Unknown, NOT_ACCEPTED, "not judged while the object is not accepted".into())
        }
        _ => refs,
    };
    let (programmed, running) = programmed(case);
    let judgements = [(ACCEPTED, accepted), (RESOLVED_REFS, refs), (PROGRAMMED, programmed)];
    let conditions = judgements.map(|(kind, judgement)| judgement.condition(kind, case, now));
    let status = Status {
        gateway: Some(case.gateway.as_str().to_owned()),
        other_gateways: case.status.map(|has| case.gateway.others(has)).unwrap_or_default(),
        observed_generation: Some(case.generation),
        conditions: conditions.into(),
        proxies: Some(format!("{running}/{}", case.standing.ready)),
        attached_routes: case.attached_routes.map(|count| i32::try_from(count).unwrap_or(i32::MAX)),
        prices: case.prices.map(str::to_owned),
        spend: spend::summary(case.budgets),
        budgets: case.budgets.to_vec(),
        usage: limits::summary(case.limits),
        limits: case.limits.to_vec(),
    };
    (!case.status.is_some_and(|has| holds(has, &status))).then_some(status)
}

/// The condition to write where the status is another gateway's word; `None`: it stands so, or there is no room for one more.
#[must_use]
pub fn beside(case: &Case<'_>, now: SystemTime) -> Option<Condition> {
    let (mut judgement, _) = programmed(case);
    // `Accepted` and `ResolvedRefs` are the other one's.
    let errors = case.verdicts.iter().filter(|verdict| verdict.severity == Severity::Error);
    let told = message::of_verdicts(errors);
    if !told.is_empty() {
        judgement.message = format!("{}: {told}", judgement.message);
    }
    let kind = case.gateway.condition();
    let wanted = judgement.condition(kind, case, now);
    let has = case.status.and_then(|status| condition(status, kind));
    let may_be_written = case.status.is_none_or(|status| case.gateway.has_room(status));
    (has != Some(&wanted) && may_be_written).then_some(wanted)
}

/// True if a status that was found holds what is to be there. Conditions of others do not matter, nor does their order.
fn holds(found: &Status, wanted: &Status) -> bool {
    let Status {
        gateway,
        other_gateways,
        observed_generation,
        conditions,
        proxies,
        attached_routes,
        prices,
        spend,
        budgets,
        usage,
        limits,
    } = wanted;
    // One that names no gateway was written before statuses did: it need not be written anew for that alone.
    (found.gateway.is_none() || found.gateway == *gateway)
        && found.other_gateways == *other_gateways
        && found.observed_generation == *observed_generation
        && found.proxies == *proxies
        && found.attached_routes == *attached_routes
        && found.prices == *prices
        && found.spend == *spend
        && found.budgets == *budgets
        && found.usage == *usage
        && found.limits == *limits
        && conditions.iter().all(|condition| found.conditions.contains(condition))
}

/// The contents of a condition.
struct Judgement {
    status: ConditionStatus,
    reason: &'static str,
    message: String,
}

impl Judgement {
    const fn new(status: ConditionStatus, reason: &'static str, message: String) -> Self {
        Self { status, reason, message }
    }

    fn condition(self, kind: &str, case: &Case<'_>, now: SystemTime) -> Condition {
        let found = case.status.and_then(|status| condition(status, kind));
        let since = found.filter(|found| found.status == self.status).map(|found| found.last_transition_time.clone());
        Condition {
            kind: kind.to_owned(),
            status: self.status,
            observed_generation: Some(case.generation),
            last_transition_time: since.unwrap_or_else(|| written(now)),
            reason: self.reason.to_owned(),
            message: self.message,
        }
    }
}

/// A time as the API writes it, in whole seconds.
fn written(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
    Timestamp::from_second(seconds.try_into().unwrap_or(i64::MAX)).unwrap_or_default().to_string()
}

/// A condition that hangs on the compiler's verdicts.
fn judged(case: &Case<'_>, condition: &'static str) -> Judgement {
    let of = |severity: Severity| {
        let told = move |verdict: &&Verdict| verdict.severity == severity && verdict.reason.condition() == condition;
        case.verdicts.iter().filter(told)
    };
    let fine = if condition == ACCEPTED { "valid" } else { "everything that it names is there" };
    // What a provider says of a key is no word of the compiler's, and turns nothing: other keys serve.
    let refused = Some(&case.standing.refused_keys).filter(|keys| condition == RESOLVED_REFS && !keys.is_empty());
    let refused = refused.map(|keys| message::of_refused_keys(keys, case.standing.ready));
    let with_refused = |told: String| match &refused {
        Some(refused) if told.is_empty() => refused.clone(),
        Some(refused) => format!("{told}; {refused}"),
        None => told,
    };
    match of(Severity::Error).next() {
        None => {
            let told = with_refused(message::of_verdicts(of(Severity::Warning)));
            let message = if told.is_empty() { fine.to_owned() } else { format!("{fine}, but: {told}") };
            Judgement::new(ConditionStatus::True, condition, message)
        }
        Some(first) => {
            let told = with_refused(message::of_verdicts(of(Severity::Error).chain(of(Severity::Warning))));
            Judgement::new(ConditionStatus::False, first.reason.as_str(), told)
        }
    }
}

/// `Programmed`, and how many ready proxies run this generation.
fn programmed(case: &Case<'_>) -> (Judgement, usize) {
    let RolloutState { known: _, ready, running, lagging, rejected, refused_keys: _ } = case.standing;
    let no = |reason: Programmed, message: String| Judgement::new(ConditionStatus::False, reason.as_str(), message);
    let revision = match case.revision {
        _ if case.unpublished.is_some() => {
            let why = message::cut(case.unpublished.unwrap_or_default());
            let meanwhile = if case.revision.is_some() { "; what was published before serves on" } else { "" };
            let message = format!("what proxies run on could not be written, and is tried again: {why}{meanwhile}");
            return (no(Programmed::NotPublished, message), 0);
        }
        Some(revision) if case.kept => {
            let message = format!(
                "this generation is not served ({}); its last good form serves on: {running}/{ready} proxies run it \
                 (revision {revision})",
                refused_by(case)
            );
            return (no(Programmed::KeepsPrevious, message), 0);
        }
        _ if case.publishing => {
            let message = "it is published anew, and no proxy is known to run that yet".to_owned();
            return (no(Programmed::Pending, message), 0);
        }
        Some(revision) => revision,
        None if refused_by(case).is_empty() => {
            return (no(Programmed::Pending, "not published yet".to_owned()), 0);
        }
        None => {
            let message = format!("nothing of it is served ({})", refused_by(case));
            return (no(Programmed::NotServed, message), 0);
        }
    };
    let judgement = if *ready == 0 {
        no(Programmed::NoProxies, format!("no proxy is ready to run revision {revision}"))
    } else if !rejected.is_empty() {
        let who = message::of_rejections(rejected);
        no(Programmed::Rejected, format!("{running}/{ready} proxies run revision {revision}; refused by {who}"))
    } else if running < ready {
        let who = message::of_lagging(lagging, ready - running);
        no(Programmed::Pending, format!("{running}/{ready} proxies run revision {revision}; waiting for {who}"))
    } else if let Some(idle) = case.idle {
        no(Programmed::NotServed, format!("{idle}; {running}/{ready} proxies run it (revision {revision})"))
    } else {
        let message = format!("{running}/{ready} proxies run it (revision {revision})");
        Judgement::new(ConditionStatus::True, Programmed::Programmed.as_str(), message)
    };
    (judgement, *running)
}

/// The conditions that say why a generation is refused, such as `see Accepted`; empty: none does.
fn refused_by(case: &Case<'_>) -> String {
    let says_no = |condition: &&&str| {
        let no = |verdict: &Verdict| verdict.severity == Severity::Error && verdict.reason.condition() == **condition;
        case.verdicts.iter().any(no)
    };
    let conditions: Vec<&str> = [ACCEPTED, RESOLVED_REFS].iter().filter(says_no).copied().collect();
    if conditions.is_empty() { String::new() } else { format!("see {}", conditions.join(" and ")) }
}

#[cfg(test)]
mod tests;
