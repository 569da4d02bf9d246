//! The source as its follower sees it.

use sluicegate_config::FEATURES;

use super::*;
use crate::account::LogQueue;
use crate::source::published::Published;

fn gateway() -> (Gateway, mpsc::Sender<WatchMessage>) {
    let (words, heard) = mpsc::channel(64);
    (Gateway::of(Assembly::new("gw", &FEATURES), heard, Metrics::new(LogQueue::new().0)), words)
}

fn route(name: &str, revision: &str, body: Option<&str>) -> WatchMessage {
    let text = format!(r#"{{"format":1,"revision":"{revision}","created":0,"rules":[]}}"#);
    WatchMessage::Event(Event::Put(Published {
        name: format!("gw.route.ns.{name}"),
        version: "1".to_owned(),
        content: "route".to_owned(),
        object: format!("ns/{name}"),
        revision: revision.to_owned(),
        secret: false,
        withdrawn: false,
        body: Some(body.map_or(text, str::to_owned).into_bytes()),
    }))
}

async fn say(words: &mpsc::Sender<WatchMessage>, said: Vec<WatchMessage>) {
    for word in said {
        words.send(word).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_ready_before_both_lists_were_read() {
    let (mut gateway, words) = gateway();
    say(&words, vec![WatchMessage::Failing(WatchKind::Configs, "refused".to_owned())]).await;
    let report = gateway.next().await.unwrap().report;
    assert_eq!(report.revision, None);
    assert!(report.problems[0].message.contains("ConfigMaps can not be followed now: refused"), "{report:?}");
    let begun = [WatchKind::Configs, WatchKind::Secrets].map(|watched| WatchMessage::Event(Event::Begin(watched)));
    say(&words, begun.into()).await;
    say(&words, vec![route("r", "1", None), WatchMessage::Event(Event::End(WatchKind::Configs))]).await;
    // What fails no longer is told; what was listed is not applied yet.
    let update = gateway.next().await.unwrap();
    assert!(update.changes.is_empty() && update.report.revision.is_none() && update.report.problems.is_empty());
    say(&words, vec![WatchMessage::Event(Event::End(WatchKind::Secrets))]).await;
    let update = gateway.next().await.unwrap();
    assert_eq!((update.changes.len(), update.report.objects.len()), (1, 1));
    assert!(update.report.revision.is_some());
}

#[tokio::test]
async fn an_empty_gateway_is_ready_too() {
    let (mut gateway, words) = gateway();
    let ends = [WatchKind::Configs, WatchKind::Secrets].map(|watched| WatchMessage::Event(Event::End(watched)));
    say(&words, ends.into()).await;
    let update = gateway.next().await.unwrap();
    assert!(update.changes.is_empty() && update.report.revision.is_some());
}

#[tokio::test]
async fn the_revision_names_what_runs_however_it_came() {
    let ends = || [WatchKind::Configs, WatchKind::Secrets].map(|watched| WatchMessage::Event(Event::End(watched)));
    let (mut one, words) = gateway();
    say(&words, ends().into()).await;
    let empty = one.next().await.unwrap().report.revision.clone();
    say(&words, vec![route("a", "1", None), route("b", "1", None)]).await;
    let both = one.next().await.unwrap().report.revision.clone();
    say(&words, vec![route("b", "2", Some("{")), route("a", "2", None)]).await;
    let report = one.next().await.unwrap().report;
    assert_eq!(report.rejected(), 1);
    let changed = report.revision.clone();
    assert!(empty != both && both != changed);
    let (mut other, words) = gateway();
    say(&words, vec![route("b", "1", None), route("a", "2", None)]).await;
    say(&words, ends().into()).await;
    assert_eq!(other.next().await.unwrap().report.revision, changed);
    let gone = |name: &str| WatchMessage::Event(Event::Withdrawn(WatchKind::Configs, format!("gw.route.ns.{name}")));
    say(&words, vec![gone("a"), gone("b")]).await;
    let report = other.next().await.unwrap().report;
    assert_eq!(report.revision, empty);
    assert!(report.objects.is_empty() && report.problems.is_empty());
}

#[tokio::test]
async fn what_nobody_withdrew_is_told_of_and_runs_on() {
    let ends = [WatchKind::Configs, WatchKind::Secrets].map(|watched| WatchMessage::Event(Event::End(watched)));
    let (mut gateway, words) = gateway();
    say(&words, vec![route("a", "1", None)]).await;
    say(&words, ends.into()).await;
    let before = gateway.next().await.unwrap().report;
    say(&words, vec![WatchMessage::Event(Event::Gone(WatchKind::Configs, "gw.route.ns.a".to_owned()))]).await;
    let update = gateway.next().await.unwrap();
    assert!(update.changes.is_empty() && update.report.revision == before.revision, "{update:?}");
    assert_eq!((update.report.problems[0].reason.as_str(), update.report.rejected()), ("Missing", 0));
    say(&words, vec![route("a", "1", None)]).await;
    assert!(gateway.next().await.unwrap().report.problems.is_empty());
}
