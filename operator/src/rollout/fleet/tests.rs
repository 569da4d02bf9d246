//! The rules of who counts and who runs, as scripts.

use super::*;

const ROUTE: Kind = Kind::LlmRoute;

struct Script {
    fleet: Fleet,
    now: Instant,
}

fn facts(name: &str, ready: bool) -> PodFacts {
    let address = Some("127.0.0.1:9".parse().unwrap());
    PodFacts { name: name.to_owned(), uid: format!("uid-{name}"), address, ready, deleting: false }
}

fn id() -> ObjectId {
    ObjectId("a/r".to_owned())
}

fn line(whole: bool, ready: bool, running: &[(&str, &str)]) -> Line {
    let running = running.iter().map(|(revision, version)| {
        let (revision, version) = (Some((*revision).to_owned()), Some((*version).to_owned()));
        (id(), Running { revision, version, ..Running::default() })
    });
    Line { whole, ready, objects: [(Kind::LlmRoute, running.collect())].into(), ..Line::default() }
}

fn wanted(revision: &str, version: &str) -> Wanted {
    Wanted { revision: revision.to_owned(), version: Some(version.to_owned()), credentials: None }
}

impl Script {
    /// These ready pods, heard, run revision `r1` of version `1`.
    fn running(names: &[&str]) -> Self {
        let mut script = Self { fleet: Fleet::default(), now: Instant::now() };
        let all = names.iter().map(|name| facts(name, true)).collect();
        script.fleet.seen(PodEvent::All(all), script.now);
        for name in names {
            script.tells(name, line(true, true, &[("r1", "1")]));
        }
        script.fleet.take_changed();
        script
    }

    fn number(&self, name: &str) -> Number {
        self.fleet.pods[name].number
    }

    fn tells(&mut self, name: &str, line: Line) {
        self.fleet.heard(self.number(name), line);
    }

    fn loses(&mut self, name: &str) {
        self.fleet.lost(self.number(name), "cut", self.now);
    }

    fn shows(&mut self, facts: PodFacts) {
        self.fleet.seen(PodEvent::Pod(facts), self.now);
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
        self.fleet.pass(self.now);
    }

    /// `running/ready` and who lags.
    fn stands(&self, wanted: &Wanted) -> (String, String) {
        let standing = self.fleet.standing(ROUTE, &id(), Some(wanted));
        (format!("{}/{}", standing.running, standing.ready), standing.lagging.join(" "))
    }

    #[track_caller]
    fn expect(&self, wanted: &Wanted, counts: &str, lagging: &str) {
        assert_eq!(self.stands(wanted), (counts.to_owned(), lagging.to_owned()));
    }
}

#[test]
fn every_ready_pod_is_counted_and_those_that_lag_are_named() {
    let mut script = Script::running(&["a", "b", "c"]);
    script.expect(&wanted("r1", "1"), "3/3", "");
    script.expect(&wanted("r2", "2"), "0/3", "a b c");
    script.tells("b", line(false, true, &[("r2", "2")]));
    assert_eq!(script.fleet.take_changed(), Some(Changed::Objects(vec![(ROUTE, id())])));
    assert_eq!(script.fleet.take_changed(), None);
    script.expect(&wanted("r2", "2"), "1/3", "a c");
}

#[test]
fn a_change_that_was_taken_back_is_not_run_by_who_never_saw_it() {
    let mut script = Script::running(&["a"]);
    script.expect(&wanted("r1", "3"), "0/1", "a");
    script.tells("a", line(false, true, &[("r1", "3")]));
    script.expect(&wanted("r1", "3"), "1/1", "");
    let any = Wanted { version: None, ..wanted("r1", "") };
    script.expect(&any, "1/1", "");
}

#[test]
fn credentials_are_part_of_what_is_wanted() {
    let mut script = Script::running(&["a"]);
    let with = |version: &str| Wanted { credentials: Some(version.to_owned()), ..wanted("r1", "1") };
    script.expect(&with("7"), "0/1", "a");
    let mut told = line(false, true, &[("r1", "1")]);
    told.objects.get_mut(&Kind::LlmRoute).unwrap().get_mut(&id()).unwrap().credentials = Some("7".to_owned());
    script.tells("a", told);
    script.expect(&with("7"), "1/1", "");
    script.expect(&with("8"), "0/1", "a");
}

#[test]
fn a_pod_counts_by_the_api_servers_word_or_by_its_own() {
    let r1 = wanted("r1", "1");
    let mut script = Script::running(&["a"]);
    // Not ready, not heard: nobody sends calls to it.
    script.shows(facts("b", false));
    script.expect(&r1, "1/1", "");
    assert_eq!(script.fleet.take_changed(), None);
    // It says that it takes calls before the API server knows.
    script.tells("b", line(true, false, &[]));
    script.expect(&r1, "1/1", "");
    script.tells("b", line(false, true, &[]));
    script.expect(&r1, "1/2", "b");
    script.tells("b", line(false, true, &[("r1", "1")]));
    script.expect(&r1, "2/2", "");
    // Ready by the API server's word, and never heard.
    script.shows(facts("c", true));
    script.expect(&r1, "2/3", "c");
    assert_eq!(script.fleet.take_changed(), Some(Changed::All));
    // It says that it takes none, but Services still send some.
    script.tells("c", line(true, false, &[("r0", "0")]));
    script.expect(&r1, "2/3", "c");
    script.shows(facts("c", false));
    script.expect(&r1, "2/2", "");
}

#[test]
fn a_pod_that_is_being_deleted_counts_as_long_as_it_takes_calls() {
    let mut script = Script::running(&["a", "b"]);
    script.shows(PodFacts { deleting: true, ..facts("b", true) });
    script.expect(&wanted("r2", "2"), "0/2", "a b");
    script.tells("b", line(false, false, &[]));
    script.expect(&wanted("r2", "2"), "0/1", "a");
    script.fleet.seen(PodEvent::Gone("b".to_owned()), script.now);
    script.expect(&wanted("r1", "1"), "1/1", "");
    assert!(script.fleet.cells[&Kind::LlmRoute][&id()].len() == 1, "nothing is kept of who is gone");
}

#[test]
fn a_lost_stream_is_forgiven_for_a_moment_and_then_nothing_is_known() {
    let r1 = wanted("r1", "1");
    let mut script = Script::running(&["a", "b"]);
    script.loses("b");
    assert_eq!(script.fleet.take_changed(), None);
    script.expect(&r1, "2/2", "");
    // What is published meanwhile it can not have told.
    script.expect(&wanted("r2", "2"), "0/2", "a b");
    assert_eq!(script.fleet.due(), Some(script.now + GRACE));
    script.passes(GRACE);
    script.expect(&r1, "1/2", "b");
    assert_eq!(script.fleet.take_changed(), Some(Changed::All));
    // A line that continues a stream which is no more says nothing.
    script.tells("b", line(false, true, &[("r1", "1")]));
    script.expect(&r1, "1/2", "b");
    script.tells("b", line(true, true, &[("r1", "1")]));
    script.expect(&r1, "2/2", "");
    // Its probe fails, and nobody hears of it: nobody sends calls to it.
    script.loses("b");
    script.passes(GRACE);
    script.shows(facts("b", false));
    script.expect(&r1, "1/1", "");
}

#[test]
fn a_silent_pod_is_not_forgiven() {
    let mut script = Script::running(&["a", "b"]);
    script.fleet.silent(script.number("b"), script.now);
    script.expect(&wanted("r1", "1"), "1/2", "b");
    assert_eq!(script.fleet.due(), None);
}

#[test]
fn a_restarted_proxy_is_another_one() {
    let mut script = Script::running(&["a"]);
    // The same pod, a new process: its first line replaces all.
    script.loses("a");
    script.tells("a", line(true, false, &[]));
    script.expect(&wanted("r1", "1"), "0/1", "a");
    script.tells("a", line(false, true, &[("r1", "1")]));
    script.expect(&wanted("r1", "1"), "1/1", "");
    // Another pod of the same name and address.
    let old = script.number("a");
    script.shows(PodFacts { uid: "other".to_owned(), ..facts("a", true) });
    script.expect(&wanted("r1", "1"), "0/1", "a");
    script.fleet.heard(old, line(true, true, &[("r1", "1")]));
    script.expect(&wanted("r1", "1"), "0/1", "a");
    assert_ne!(script.number("a"), old);
}

#[test]
fn a_list_of_pods_is_all_there_are() {
    let mut script = Script::running(&["a", "b", "c"]);
    script.fleet.seen(PodEvent::All(vec![facts("b", true)]), script.now);
    script.expect(&wanted("r1", "1"), "1/1", "");
    script.fleet.seen(PodEvent::All(Vec::new()), script.now);
    script.expect(&wanted("r1", "1"), "0/0", "");
    assert!(script.fleet.cells.values().all(HashMap::is_empty));
}

#[test]
fn who_refuses_is_told_with_its_reason_until_it_runs_it() {
    let mut script = Script::running(&["a", "b"]);
    let refusing = |revision: &str| {
        let mut told = line(false, true, &[("r1", "1")]);
        let rejection = Rejection { revision: revision.to_owned(), message: "é".repeat(MOST_MESSAGE) };
        told.objects.get_mut(&Kind::LlmRoute).unwrap().get_mut(&id()).unwrap().rejected = Some(rejection);
        told
    };
    script.tells("b", refusing("r2"));
    let standing = script.fleet.standing(ROUTE, &id(), Some(&wanted("r2", "2")));
    assert_eq!((standing.running, standing.ready, standing.lagging.as_slice()), (0, 2, ["a".to_owned()].as_slice()));
    assert_eq!(standing.rejected[0].0, "b");
    assert!(standing.rejected[0].1.len() <= MOST_MESSAGE + 3);
    assert!(!standing.is_settled(), "one may follow yet");
    script.tells("a", line(false, true, &[("r2", "2")]));
    assert!(script.fleet.standing(ROUTE, &id(), Some(&wanted("r2", "2"))).is_settled());
    script.tells("a", line(false, true, &[("r1", "1")]));
    // What was refused is not what is wanted now.
    let standing = script.fleet.standing(ROUTE, &id(), Some(&wanted("r3", "3")));
    assert!(standing.rejected.is_empty() && standing.lagging.len() == 2);
    script.expect(&wanted("r1", "1"), "2/2", "");
}

#[test]
fn what_is_to_run_nowhere_runs_nowhere_when_every_pod_has_dropped_it() {
    let mut script = Script::running(&["a", "b"]);
    let nowhere = |script: &Script| script.fleet.standing(ROUTE, &id(), None).running;
    assert_eq!(nowhere(&script), 0);
    script.tells("a", Line { ready: true, gone: [(Kind::LlmRoute, vec![id()])].into(), ..Line::default() });
    assert_eq!(nowhere(&script), 1);
    script.loses("b");
    script.passes(GRACE);
    assert_eq!(nowhere(&script), 1, "nobody knows what it runs");
}

#[test]
fn after_a_start_nothing_is_settled_until_each_pod_was_heard_or_time_is_up() {
    let r1 = wanted("r1", "1");
    let begin = || {
        let mut script = Script { fleet: Fleet::default(), now: Instant::now() };
        assert!(!script.fleet.standing(ROUTE, &id(), None).known, "the pods are not known yet");
        let all = vec![facts("a", true), facts("b", false), facts("c", true)];
        script.fleet.seen(PodEvent::All(all), script.now);
        script.tells("a", line(true, true, &[("r1", "1")]));
        script.tells("c", line(true, true, &[("r1", "1")]));
        let standing = script.fleet.standing(ROUTE, &id(), Some(&r1));
        assert!(standing.running == 2 && !standing.is_settled(), "b has not been heard: {standing:?}");
        script
    };
    let mut heard = begin();
    heard.tells("b", line(true, true, &[("r1", "1")]));
    assert!(heard.fleet.standing(ROUTE, &id(), Some(&r1)).is_settled());
    let mut unreachable = begin();
    unreachable.loses("b");
    assert!(unreachable.fleet.standing(ROUTE, &id(), Some(&r1)).is_settled());
    let mut slow = begin();
    slow.fleet.take_changed();
    assert_eq!(slow.fleet.due(), Some(slow.now + FIRST_WORDS));
    slow.passes(FIRST_WORDS);
    assert!(slow.fleet.standing(ROUTE, &id(), Some(&r1)).is_settled());
    assert_eq!(slow.fleet.take_changed(), Some(Changed::All));
    let mut nobody = Script { fleet: Fleet::default(), now: Instant::now() };
    nobody.fleet.seen(PodEvent::All(Vec::new()), nobody.now);
    let standing = nobody.fleet.standing(ROUTE, &id(), Some(&r1));
    assert!(standing.known && !standing.is_settled());
}

#[test]
fn many_changes_are_told_as_all() {
    let mut script = Script::running(&["a"]);
    let routes = (0..=MOST_CHANGED).map(|number| (ObjectId(format!("a/{number}")), Running::default())).collect();
    script.tells("a", Line { ready: true, objects: [(Kind::LlmRoute, routes)].into(), ..Line::default() });
    assert_eq!(script.fleet.take_changed(), Some(Changed::All));
}
