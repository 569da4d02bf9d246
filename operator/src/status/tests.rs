//! Every case a status can be in, as a table.

use std::sync::LazyLock;
use std::time::Duration;

use sluicegate_config::compile::Reason;

use super::*;

static OURS: LazyLock<GatewayId> = LazyLock::new(|| GatewayId::new("sluicegate", "gw"));

const EARLIER: &str = "2026-01-01T00:00:00Z";

fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn verdict(severity: Severity, reason: Reason, path: &str, message: &str) -> Verdict {
    Verdict {
        kind: Kind::LlmRoute,
        object: ObjectId("a/r".to_owned()),
        file: None,
        line: None,
        path: path.to_owned(),
        severity,
        reason,
        message: message.to_owned(),
    }
}

fn error(reason: Reason) -> Verdict {
    verdict(Severity::Error, reason, "spec.rules[0]", "is wrong; write it right")
}

fn standing(running: usize, ready: usize, lagging: &[&str]) -> RolloutState {
    let lagging = lagging.iter().map(|&pod| pod.to_owned()).collect();
    RolloutState { known: true, ready, running, lagging, ..RolloutState::default() }
}

struct Given {
    verdicts: Vec<Verdict>,
    kept: bool,
    revision: Option<&'static str>,
    unpublished: Option<&'static str>,
    idle: Option<&'static str>,
    publishing: bool,
    standing: RolloutState,
    has: Option<Status>,
}

/// Good, published, and run by three of three.
fn good() -> Given {
    Given {
        verdicts: Vec::new(),
        kept: false,
        revision: Some("r1"),
        unpublished: None,
        idle: None,
        publishing: false,
        standing: standing(3, 3, &[]),
        has: None,
    }
}

impl Given {
    fn desired(&self, generation: i64) -> Option<Status> {
        let object = ObjectId("a/r".to_owned());
        let case = self.case(&object, generation);
        desired(&case, later())
    }

    fn case<'a>(&'a self, object: &'a ObjectId, generation: i64) -> Case<'a> {
        Case {
            gateway: &OURS,
            kind: Kind::LlmRoute,
            object,
            generation,
            status: self.has.as_ref(),
            verdicts: &self.verdicts,
            kept: self.kept,
            revision: self.revision,
            unpublished: self.unpublished,
            idle: self.idle,
            publishing: self.publishing,
            attached_routes: None,
            prices: None,
            budgets: &[],
            limits: &[],
            standing: &self.standing,
        }
    }

    /// `status reason: message` of each condition, and the proxies.
    fn told(&self) -> [String; 4] {
        let status = self.desired(1).unwrap();
        assert_eq!(status.observed_generation, Some(1));
        assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(1)));
        let told = CONDITIONS.map(|kind| {
            let found = condition(&status, kind).unwrap();
            format!("{:?} {}: {}", found.status, found.reason, found.message)
        });
        let [accepted, refs, programmed] = told;
        [accepted, refs, programmed, status.proxies.unwrap()]
    }
}

const ACCEPTED_TRUE: &str = "True Accepted: valid";
const REFS_TRUE: &str = "True ResolvedRefs: everything that it names is there";
const PROGRAMMED_TRUE: &str = "True Programmed: 3/3 proxies run it (revision r1)";

#[test]
fn what_is_good_and_runs_everywhere_is_programmed() {
    assert_eq!(good().told(), [ACCEPTED_TRUE, REFS_TRUE, PROGRAMMED_TRUE, "3/3"]);
}

#[test]
fn what_runs_everywhere_and_can_serve_nothing_is_not_programmed() {
    let shadowed = verdict(Severity::Error, Reason::Shadowed, "spec.rules[0]", "another comes first");
    let given = Given { verdicts: vec![shadowed], idle: Some("no call gets to it"), ..good() };
    let [accepted, refs, programmed, proxies] = given.told();
    // It is good, as far as it goes: what it names was judged.
    assert_eq!([accepted, refs], ["False Shadowed: spec.rules[0]: another comes first", REFS_TRUE]);
    assert_eq!(programmed, "False NotServed: no call gets to it; 3/3 proxies run it (revision r1)");
    assert_eq!(proxies, "3/3");
    // Who does not run it yet is told first.
    let [.., programmed, _] = Given { standing: standing(2, 3, &["p"]), ..given }.told();
    assert!(programmed.starts_with("False Pending"), "{programmed}");
}

#[test]
fn what_is_published_anew_is_programmed_no_longer() {
    let given = Given { publishing: true, ..good() };
    let [accepted, refs, programmed, proxies] = given.told();
    assert_eq!([accepted, refs], [ACCEPTED_TRUE, REFS_TRUE]);
    assert!(programmed.starts_with("False Pending: it is published anew"), "{programmed}");
    assert_eq!(proxies, "0/3");
    // A form that is kept was not programmed before either.
    let kept = Given { kept: true, verdicts: vec![error(Reason::Invalid)], ..given };
    assert!(kept.told()[2].starts_with("False KeepsPrevious: "));
}

#[test]
fn every_reason_turns_its_condition() {
    let wrong = "is wrong; write it right";
    let reasons = [
        Reason::Invalid,
        Reason::Duplicate,
        Reason::BackendNotFound,
        Reason::SecretNotFound,
        Reason::SecretInvalid,
        Reason::ServiceNotFound,
        Reason::ServiceInvalid,
        Reason::NoEndpoints,
        Reason::TooManyEndpoints,
        Reason::Unreachable,
        Reason::ModelNotServed,
    ];
    for reason in reasons {
        let given = Given { verdicts: vec![error(reason)], revision: None, standing: standing(0, 3, &[]), ..good() };
        let [accepted, refs, programmed, proxies] = given.told();
        let told = format!("False {}: spec.rules[0]: {wrong}", reason.as_str());
        if reason.condition() == ACCEPTED {
            assert_eq!(accepted, told);
            assert_eq!(refs, "Unknown NotAccepted: not judged while the object is not accepted");
        } else {
            assert_eq!((accepted.as_str(), refs), (ACCEPTED_TRUE, told));
        }
        assert_eq!(programmed, format!("False NotServed: nothing of it is served (see {})", reason.condition()));
        assert_eq!(proxies, "0/3");
    }
}

#[test]
fn what_is_kept_says_that_it_serves_as_it_was() {
    let verdicts = vec![error(Reason::Invalid), error(Reason::BackendNotFound)];
    let [accepted, refs, programmed, proxies] = Given { verdicts, kept: true, ..good() }.told();
    assert_eq!(accepted, "False Invalid: spec.rules[0]: is wrong; write it right");
    assert_eq!(refs, "False BackendNotFound: spec.rules[0]: is wrong; write it right");
    assert_eq!(
        programmed,
        "False KeepsPrevious: this generation is not served (see Accepted and ResolvedRefs); its last good form serves on: \
         3/3 proxies run it (revision r1)"
    );
    assert_eq!(proxies, "0/3", "the field counts this generation");
}

#[test]
fn what_is_published_in_spite_of_an_error_is_programmed_when_it_runs() {
    let given = Given { verdicts: vec![error(Reason::NoEndpoints)], ..good() };
    let [accepted, refs, programmed, _] = given.told();
    assert_eq!((accepted.as_str(), programmed.as_str()), (ACCEPTED_TRUE, PROGRAMMED_TRUE));
    assert!(refs.starts_with("False NoEndpoints"), "{refs}");
}

#[test]
fn a_warning_stands_in_the_message_of_an_accepted_object() {
    let warnings = vec![
        verdict(Severity::Warning, Reason::Unreachable, "spec.rules[1]", "never taken"),
        verdict(Severity::Warning, Reason::SecretInvalid, "", "odd"),
    ];
    let [accepted, refs, programmed, _] = Given { verdicts: warnings, ..good() }.told();
    assert_eq!(accepted, "True Accepted: valid, but: warning (Unreachable): spec.rules[1]: never taken");
    assert_eq!(refs, "True ResolvedRefs: everything that it names is there, but: warning (SecretInvalid): odd");
    assert_eq!(programmed, PROGRAMMED_TRUE);
}

#[test]
fn a_credential_that_is_refused_is_told_and_turns_nothing() {
    let refused_keys = [("one/spare".to_owned(), 1), ("two/".to_owned(), 3)].into();
    let given = Given { standing: RolloutState { refused_keys, ..standing(3, 3, &[]) }, ..good() };
    let [accepted, refs, programmed, _] = given.told();
    assert_eq!(
        refs,
        "True ResolvedRefs: everything that it names is there, but: warning (KeyRefused): provider one refuses the key spare, \
         as 1/3 proxies have found; warning (KeyRefused): provider two refuses its credential, as 3/3 proxies have found"
    );
    assert_eq!([accepted, programmed], [ACCEPTED_TRUE, PROGRAMMED_TRUE]);
}

#[test]
fn a_rollout_says_how_far_it_is() {
    let rejecting = |message: &str| RolloutState {
        rejected: vec![("pod-b".to_owned(), message.to_owned())],
        ..standing(2, 3, &["pod-b"])
    };
    let cases = [
        (
            standing(1, 3, &["pod-b", "pod-c"]),
            "False Pending: 1/3 proxies run revision r1; waiting for pod-b, pod-c",
            "1/3",
        ),
        (
            standing(1, 9, &["a", "b", "c"]),
            "False Pending: 1/9 proxies run revision r1; waiting for a, b, c and 5 more",
            "1/9",
        ),
        (standing(0, 0, &[]), "False NoProxies: no proxy is ready to run revision r1", "0/0"),
        (
            rejecting("unknown\nformat 9"),
            "False Rejected: 2/3 proxies run revision r1; refused by pod-b: unknown format 9",
            "2/3",
        ),
    ];
    for (standing, programmed, proxies) in cases {
        let told = Given { standing, ..good() }.told();
        assert_eq!(told, [ACCEPTED_TRUE, REFS_TRUE, programmed, proxies]);
    }
}

#[test]
fn what_is_not_published_is_not_programmed_whatever_runs() {
    let [.., programmed, proxies] = Given { unpublished: Some("too large"), ..good() }.told();
    assert_eq!(
        programmed,
        "False NotPublished: what proxies run on could not be written, and is tried again: too large; what was published \
         before serves on"
    );
    assert_eq!(proxies, "0/3");
    let [.., programmed, _] = Given { revision: None, ..good() }.told();
    assert_eq!(programmed, "False Pending: not published yet");
}

#[test]
fn many_and_long_verdicts_are_bounded_and_counted() {
    let mut verdicts: Vec<_> =
        (0..100).map(|_| verdict(Severity::Error, Reason::Invalid, "a", &"é".repeat(9_000))).collect();
    verdicts.push(verdict(Severity::Warning, Reason::Unreachable, "b", "never taken"));
    let [accepted, ..] = Given { verdicts, revision: None, ..good() }.told();
    assert!(accepted.len() < 8_192 && accepted.ends_with("; and 93 more"), "{}", accepted.len());
}

#[test]
fn nothing_is_written_when_nothing_differs() {
    let mut given = good();
    let mut status = given.desired(1).unwrap();
    for condition in &mut status.conditions {
        condition.last_transition_time = EARLIER.to_owned();
    }
    // Someone else's condition, and another order.
    let mut foreign = status.conditions[0].clone();
    foreign.kind = "Healthy".to_owned();
    status.conditions.insert(0, foreign);
    status.conditions.reverse();
    given.has = Some(status.clone());
    assert_eq!(given.desired(1), None);

    // Another generation, the same truth: written, and nothing turned.
    let next = given.desired(2).unwrap();
    assert!(next.conditions.iter().all(|condition| condition.last_transition_time == EARLIER), "{next:?}");
    assert!(!say_the_same(&next, &status), "its generation is another");

    given.standing = standing(4, 4, &[]);
    let scaled = given.desired(1).unwrap();
    assert!(say_the_same(&scaled, &status) && scaled.proxies.as_deref() == Some("4/4"));

    given.standing = standing(3, 4, &["pod-d"]);
    let turned = given.desired(1).unwrap();
    assert!(!say_the_same(&turned, &status));
    let since = |kind| condition(&turned, kind).unwrap().last_transition_time.as_str();
    assert_eq!(since(ACCEPTED), EARLIER);
    assert_eq!(since(PROGRAMMED), "2027-01-15T08:00:00Z");
}

#[test]
fn a_status_names_its_gateway_and_the_others_which_say_no_more_than_one_condition() {
    let (ours, theirs, object) = (&*OURS, GatewayId::new("other", "gw"), ObjectId("a/r".to_owned()));
    let mut given = good();
    let mut status = given.desired(1).unwrap();
    assert_eq!((status.gateway.as_deref(), status.other_gateways.len()), (Some("sluicegate/gw"), 0));
    // The other one finds it.
    given.has = Some(status.clone());
    let beside_of = |given: &Given| beside(&Case { gateway: &theirs, ..given.case(&object, 1) }, later());
    let told = beside_of(&given).unwrap();
    assert_eq!(told.kind, "gw.other.gateways.sluicegate.dev/Programmed");
    assert_eq!((told.status, told.message.as_str()), (ConditionStatus::True, "3/3 proxies run it (revision r1)"));
    status.conditions.push(told);
    given.has = Some(status);
    assert_eq!(beside_of(&given), None, "it says so already");
    // We name it, once, and nothing of what it says turns anything here.
    let status = given.desired(1).unwrap();
    assert_eq!(status.other_gateways, ["other/gw"]);
    assert!(status.conditions.iter().all(|found| CONDITIONS.contains(&found.kind.as_str())));
    let mut has = given.has.take().unwrap();
    has.other_gateways = status.other_gateways;
    given.has = Some(has);
    assert_eq!(given.desired(1), None);
    assert!(theirs.is_heeded(given.has.as_ref().unwrap(), 1) && ours.others(given.has.as_ref().unwrap()).len() == 1);
    // It may see it otherwise, and says why.
    given.verdicts = vec![error(Reason::Invalid)];
    let told = beside_of(&Given { revision: None, ..given }).unwrap();
    assert_eq!(
        (told.reason.as_str(), told.message.as_str()),
        ("NotServed", "nothing of it is served (see Accepted): spec.rules[0]: is wrong; write it right")
    );
}

#[test]
fn a_status_that_names_no_gateway_is_as_good() {
    let mut given = good();
    let status = given.desired(1).unwrap();
    given.has = Some(Status { gateway: None, ..status.clone() });
    assert_eq!(given.desired(1), None);
    given.has = Some(Status { gateway: Some("other/gw".to_owned()), ..status });
    assert_eq!(given.desired(1).unwrap().gateway.as_deref(), Some("sluicegate/gw"), "it was taken over");
}

#[test]
fn the_written_form_is_that_of_the_schema() {
    let text = serde_json::to_value(good().desired(1).unwrap()).unwrap();
    let read: Status = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(read.conditions.len(), 3);
    assert_eq!(text["proxies"], "3/3");
    assert!(text.get("attachedRoutes").is_none());
}

/// Reasons of the compiler, read from its source: one that is added there must be explained too.
fn compilers_reasons() -> Vec<String> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/src/compile/verdict.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let (_, reasons) = source.split_once("impl Reason").unwrap();
    let arms =
        reasons.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \"")?.1.split_once('"'));
    arms.map(|(reason, _)| reason.to_owned()).collect()
}

#[test]
fn every_reason_is_explained() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/status.md")).unwrap();
    let reasons = compilers_reasons();
    assert!(reasons.len() >= 11 && reasons.contains(&"BackendNotFound".to_owned()), "{reasons:?}");
    let own = Programmed::ALL.map(Programmed::as_str).into_iter().chain([ACCEPTED, RESOLVED_REFS, NOT_ACCEPTED]);
    for reason in own.chain(reasons.iter().map(String::as_str)) {
        let rows = page.lines().filter(|line| line.starts_with(&format!("| **{reason}** |"))).count();
        assert_eq!(rows, 1, "{reason} has {rows} rows");
    }
}
