//! Events on an object when one of its conditions turns, and only then: never because the operator has started, never
//! again for what was told, none for an object that is good from the beginning.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use sluicegate_config::ObjectId;
use sluicegate_config::compile::Kind;
use sluicegate_crds::{BudgetStatus, Condition, ConditionStatus};

use crate::client::is_of_leaving_namespace;
use crate::status::{ACCEPTED, PROGRAMMED, Programmed, RESOLVED_REFS, Status, condition, in_words, is_same_count};

/// The reporting controller of every event.
pub(crate) const CONTROLLER: &str = "sluicegate.dev/operator";
const API_VERSION: &str = "sluicegate.dev/v1alpha1";
/// The longest note that the API takes, in bytes.
const MOST_NOTE: usize = 1_024;
/// So many events at once, then one each …
const BURST: u32 = 200;
/// … of these: a fleet that is gone turns thousands of objects, whose statuses say it.
const EACH: Duration = Duration::from_millis(200);

/// A status that was written over another.
#[derive(Debug, Clone)]
pub struct Transition {
    /// The object's kind.
    pub kind: Kind,
    /// The object's id.
    pub object: ObjectId,
    /// `metadata.uid`.
    pub uid: String,
    /// The status before; `None`: there was none.
    pub from: Option<Status>,
    /// The status now.
    pub to: Status,
}

/// A transition worth an event.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Notice {
    good: bool,
    /// The action that ended so.
    action: &'static str,
    reason: String,
    note: String,
}

/// The conditions that turned between two statuses.
fn notices(from: Option<&Status>, to: &Status) -> Vec<Notice> {
    let turned = |kind: &str| {
        let now = condition(to, kind)?;
        let before = from.and_then(|from| condition(from, kind)).map(|before| before.status);
        let worth = match (before, now.status) {
            (Some(ConditionStatus::False), ConditionStatus::True) => true,
            (before, ConditionStatus::False) => before != Some(ConditionStatus::False),
            _ => false,
        };
        worth.then_some(now)
    };
    let (accepted, refs, programmed) = (turned(ACCEPTED), turned(RESOLVED_REFS), turned(PROGRAMMED));
    // What a refusal brings with it is not news beside it.
    let refused = [accepted, refs].into_iter().flatten().any(|turned| turned.status == ConditionStatus::False);
    let follows = |turned: &&Condition| {
        let follows = [Programmed::KeepsPrevious, Programmed::NotServed];
        refused && follows.iter().any(|reason| reason.as_str() == turned.reason)
    };
    let programmed = programmed.filter(|turned| !follows(turned));
    let turned = [(accepted, "Accept"), (refs, "ResolveRefs"), (programmed, "Program")];
    let turned = turned.into_iter().filter_map(|(turned, action)| Some(notice(turned?, action)));
    let before = from.map(|from| from.budgets.as_slice()).unwrap_or_default();
    let spent = to.budgets.iter().flat_map(|budget| {
        let before = before.iter().find(|before| is_same_count(before, budget));
        of_budget(before, budget)
    });
    turned.chain(spent).collect()
}

/// The things that happened to a budget: each once in a period, since the status says that they did.
fn of_budget(before: Option<&BudgetStatus>, now: &BudgetStatus) -> impl Iterator<Item = Notice> {
    let of = now.name.as_deref().map_or_else(String::new, |name| format!(" of {name}"));
    let budget = format!("the budget{of}, {}", in_words(now));
    let anew = now.until.as_deref().map_or_else(String::new, |until| format!("; it begins anew at {until}"));
    let in_period = before.filter(|before| before.since == now.since);
    let notice =
        |good: bool, reason: &str, note: String| Notice { good, action: "Spend", reason: reason.to_owned(), note };
    let was_exceeded = |before: &BudgetStatus| before.exceeded_since.is_some();
    let renewed = (before.is_some_and(was_exceeded) && in_period.is_none() && now.exceeded_since.is_none())
        .then(|| notice(true, "BudgetRenewed", format!("{budget}, has begun anew: there is room again")));
    let reached = now.reached.filter(|reached| in_period.and_then(|before| before.reached) < Some(*reached));
    let alert = reached.map(|percent| {
        // A call that is refused for what is spent reaches 100 too, with whatever it would have needed left.
        let note = match percent == 100 && now.percent < 100 {
            true => format!(
                "{budget}, is spent but for less than a call was to cost (100 of alertAt): {} is used, {} is left{anew}",
                now.used, now.left
            ),
            false => format!("{percent}% of {budget}, is spent: {} is used, {} is left{anew}", now.used, now.left),
        };
        notice(false, "BudgetAlert", note)
    });
    let since = now.exceeded_since.as_deref().filter(|_| !in_period.is_some_and(was_exceeded));
    let exceeded = since.map(|since| {
        let note = format!(
            "{budget}, has had no room for calls since {since}: {} is used, {} is left{anew}",
            now.used, now.left
        );
        notice(false, "BudgetExceeded", note)
    });
    [renewed, alert, exceeded].into_iter().flatten()
}

fn notice(turned: &Condition, action: &'static str) -> Notice {
    let mut note = turned.message.clone();
    if note.len() > MOST_NOTE {
        note.truncate(note.floor_char_boundary(MOST_NOTE - '…'.len_utf8()));
        note.push('…');
    }
    // A rollout that takes a while is no fault.
    let good = turned.status == ConditionStatus::True || turned.reason == Programmed::Pending.as_str();
    Notice { good, action, reason: turned.reason.clone(), note }
}

/// A budget of events: some at once, then a few each second.
#[derive(Debug)]
struct Budget {
    left: u32,
    since: Instant,
    /// The last one was not told.
    withholds: bool,
}

impl Budget {
    const fn new(now: Instant) -> Self {
        Self { left: BURST, since: now, withholds: false }
    }

    fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.since).as_nanos() / EACH.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.since += EACH.saturating_mul(earned);
        self.left = self.left.saturating_add(earned).min(BURST);
        let Some(left) = self.left.checked_sub(1) else {
            self.withholds = true;
            return false;
        };
        (self.left, self.withholds) = (left, false);
        true
    }
}

/// Tells events. Cheap to clone.
#[derive(Clone)]
pub struct EventRecorder {
    client: Client,
    reporter: Reporter,
    budget: Rc<RefCell<Budget>>,
}

impl EventRecorder {
    /// Tells through this client.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        let budget = Rc::new(RefCell::new(Budget::new(Instant::now())));
        Self { client: client.clone(), reporter: CONTROLLER.into(), budget }
    }

    /// Tells what turned between two statuses, if anything. Never fails: an event that cannot be written is logged.
    pub async fn tell(&self, transition: &Transition) {
        let Transition { kind, object, uid, from, to } = transition;
        let (namespace, name) = object.0.split_once('/').unwrap_or(("default", &object.0));
        let reference = ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(kind.as_str().to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        };
        for Notice { good, action, reason, note } in notices(from.as_ref(), to) {
            if !self.may_tell() {
                continue;
            }
            let type_ = if good { EventType::Normal } else { EventType::Warning };
            let event = Event { type_, reason, note: Some(note), action: action.to_owned(), secondary: None };
            // One each: a recorder that lasts would repeat an old note for a new fault of the same reason.
            let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            if let Err(error) = recorder.publish(&event, &reference).await {
                // Its object goes with its namespace, and nobody reads it there.
                if matches!(&error, kube::Error::Api(refusal) if is_of_leaving_namespace(refusal)) {
                    continue;
                }
                tracing::warn!(%error, %kind, object = object.0, reason = event.reason, "an event could not be written");
            }
        }
    }

    fn may_tell(&self) -> bool {
        let mut budget = self.budget.borrow_mut();
        let withheld = budget.withholds;
        let may = budget.take(Instant::now());
        if !may && !withheld {
            tracing::warn!("too many conditions turn at once: statuses tell, not every one an event");
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(conditions: &[(&str, ConditionStatus, &str)]) -> Status {
        let condition = |(kind, status, reason): &(&str, ConditionStatus, &str)| Condition {
            kind: (*kind).to_owned(),
            status: *status,
            observed_generation: Some(1),
            last_transition_time: "2026-01-01T00:00:00Z".to_owned(),
            reason: (*reason).to_owned(),
            message: "é".repeat(700),
        };
        Status { conditions: conditions.iter().map(condition).collect(), ..Status::default() }
    }

    #[test]
    fn only_what_turns_is_told() {
        use ConditionStatus::{False, True, Unknown};
        let good = status(&[
            (ACCEPTED, True, "Accepted"),
            (RESOLVED_REFS, True, "ResolvedRefs"),
            (PROGRAMMED, True, "Programmed"),
        ]);
        let pending = status(&[
            (ACCEPTED, True, "Accepted"),
            (RESOLVED_REFS, True, "ResolvedRefs"),
            (PROGRAMMED, False, "Pending"),
        ]);
        let refused = status(&[
            (ACCEPTED, True, "Accepted"),
            (RESOLVED_REFS, True, "ResolvedRefs"),
            (PROGRAMMED, False, "Rejected"),
        ]);
        let kept = status(&[
            (ACCEPTED, False, "Invalid"),
            (RESOLVED_REFS, Unknown, "NotAccepted"),
            (PROGRAMMED, False, "KeepsPrevious"),
        ]);
        let lost = status(&[
            (ACCEPTED, True, "Accepted"),
            (RESOLVED_REFS, False, "BackendNotFound"),
            (PROGRAMMED, False, "NotServed"),
        ]);
        let cases: [(Option<&Status>, &Status, &[&str]); 10] = [
            (None, &good, &[]),
            (None, &pending, &["+Program Pending"]),
            (None, &lost, &["-ResolveRefs BackendNotFound"]),
            (Some(&good), &good, &[]),
            (Some(&good), &refused, &["-Program Rejected"]),
            (Some(&pending), &refused, &[]),
            (Some(&pending), &good, &["+Program Programmed"]),
            (Some(&good), &kept, &["-Accept Invalid"]),
            (Some(&kept), &good, &["+Accept Accepted", "+Program Programmed"]),
            (Some(&kept), &lost, &["+Accept Accepted", "-ResolveRefs BackendNotFound"]),
        ];
        for (from, to, told) in cases {
            let found = notices(from, to);
            let words = |notice: &Notice| {
                let sign = if notice.good { '+' } else { '-' };
                format!("{sign}{} {}", notice.action, notice.reason)
            };
            assert_eq!(found.iter().map(words).collect::<Vec<_>>(), told);
            assert!(found.iter().all(|notice| notice.note.len() <= MOST_NOTE && notice.note.ends_with('…')));
        }
    }

    #[test]
    fn what_happens_to_a_budget_is_told_once_in_a_period() {
        let budget = |since: &str, reached: Option<i32>, exceeded: bool| {
            let budgets = serde_json::json!([{
                "unit": "USD", "amount": "10", "period": "Daily", "used": "8", "left": "2", "percent": 80, "since": since,
                "until": "2026-11-29T00:00:00Z", "reached": reached, "exceededSince": exceeded.then_some("2026-11-28T12:00:00Z"),
            }]);
            Status { budgets: serde_json::from_value(budgets).unwrap(), ..Status::default() }
        };
        let (today, tomorrow) = ("2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z");
        let none = Status::default();
        let [fresh, half, most] = [None, Some(50), Some(80)].map(|reached| budget(today, reached, false));
        let (full, next) = (budget(today, Some(80), true), budget(tomorrow, None, false));
        let cases: [(Option<&Status>, &Status, &[&str]); 9] = [
            (None, &fresh, &[]),
            (Some(&fresh), &half, &["BudgetAlert"]),
            (Some(&half), &half, &[]),
            (Some(&half), &fresh, &[]),
            (Some(&fresh), &full, &["BudgetAlert", "BudgetExceeded"]),
            (Some(&full), &full, &[]),
            (Some(&most), &next, &[]),
            (Some(&full), &next, &["BudgetRenewed"]),
            (Some(&none), &full, &["BudgetAlert", "BudgetExceeded"]),
        ];
        for (from, to, told) in cases {
            let found = notices(from, to);
            assert_eq!(found.iter().map(|notice| notice.reason.as_str()).collect::<Vec<_>>(), told);
        }
        let said = |reached: i32| notices(Some(&fresh), &budget(today, Some(reached), false))[0].note.clone();
        let left = "8 is used, 2 is left; it begins anew at 2026-11-29T00:00:00Z";
        assert_eq!(said(80), format!("80% of the budget, 10 USD per day, is spent: {left}"));
        let all = "the budget, 10 USD per day, is spent but for less than a call was to cost (100 of alertAt)";
        assert_eq!(said(100), format!("{all}: {left}"));
        let note = &notices(Some(&half), &full)[1].note;
        assert_eq!(
            note,
            "the budget, 10 USD per day, has had no room for calls since 2026-11-28T12:00:00Z: 8 is used, 2 is left; it begins \
             anew at 2026-11-29T00:00:00Z"
        );
    }

    #[test]
    fn a_flood_is_cut_and_what_follows_is_told_again() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        let told = (0..1_000).filter(|_| budget.take(now)).count();
        assert_eq!(told, usize::try_from(BURST).unwrap());
        let told = (0..10).filter(|_| budget.take(now + EACH * 3)).count();
        assert_eq!(told, 3);
        assert!(budget.take(now + Duration::from_secs(600)));
    }
}
