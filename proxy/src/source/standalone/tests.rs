//! A folder is followed, and the last good configuration is never lost.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::super::ObjectState;
use super::*;
use crate::account::LogQueue;

fn pool(name: &str, weight: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: {name}}}\nspec:\n  providers:\n  \
         - name: sim\n    type: Simulated\n    weight: {weight}\n"
    )
}

fn route(name: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {name}}}\nspec:\n  rules:\n  \
         - name: all\n    targets:\n    - poolRef: {{name: pool}}\n"
    )
}

fn good() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "pool.yaml", &pool("pool", "1"));
    write(folder.path(), "route.yaml", &route("main"));
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

fn open(path: &Path) -> (Source, Subscription) {
    let (queue, _writer) = LogQueue::new();
    Source::open(path.to_owned(), Metrics::new(queue), Arc::default(), None)
}

fn runs(subscription: &Subscription) -> Option<Arc<Configuration>> {
    subscription.configuration.borrow().clone()
}

fn routes(subscription: &Subscription) -> Vec<String> {
    runs(subscription).map(|runs| runs.snapshot.routes.keys().map(|id| id.0.clone()).collect()).unwrap_or_default()
}

/// Follows the folder until the condition holds; a bound that only a failure reaches.
async fn until(source: Source, subscription: &mut Subscription, holds: impl Fn(&Subscription) -> bool) {
    let following = async {
        let mut watched = subscription.clone();
        while !holds(&watched) {
            watched.report.changed().await.unwrap();
        }
    };
    tokio::select! {
        () = source.run() => {}
        done = tokio::time::timeout(Duration::from_secs(20), following) => assert!(done.is_ok(), "{subscription:?}"),
    }
}

fn weight(subscription: &Subscription) -> u32 {
    runs(subscription).unwrap().snapshot.pools.values().next().unwrap().providers[0].weight
}

#[test]
fn a_good_folder_runs() {
    let folder = good();
    let (_source, subscription) = open(folder.path());
    assert_eq!(routes(&subscription), ["default/main"]);
    let report = subscription.report.borrow().clone();
    assert!(report.problems.is_empty(), "{report:?}");
    assert_eq!(report.objects.len(), 2);
    assert!(report.revision.is_some() && report.applied_at.is_some());
}

#[tokio::test]
async fn an_edit_is_followed() {
    let folder = good();
    let (source, mut subscription) = open(folder.path());
    write(folder.path(), "pool.yaml", &pool("pool", "7"));
    until(source, &mut subscription, |subscription| weight(subscription) == 7).await;
}

#[tokio::test]
async fn a_swapped_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, weight) in [("..1", "1"), ("..2", "9")] {
        fs::create_dir(at(version)).unwrap();
        write(&at(version), "all.yaml", &format!("{}---\n{}", pool("pool", weight), route("main")));
    }
    std::os::unix::fs::symlink("..1", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/all.yaml", at("all.yaml")).unwrap();
    let (source, mut subscription) = open(folder.path());
    assert_eq!(weight(&subscription), 1);
    std::os::unix::fs::symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    until(source, &mut subscription, |subscription| weight(subscription) == 9).await;
}

#[tokio::test]
async fn a_bad_edit_keeps_the_last_good_form_and_names_the_field() {
    let folder = good();
    let (source, mut subscription) = open(folder.path());
    let before = runs(&subscription);
    write(folder.path(), "pool.yaml", &pool("pool", "heavy"));
    until(source, &mut subscription, |subscription| !subscription.report.borrow().problems.is_empty()).await;
    assert_eq!(runs(&subscription), before);
    let report = subscription.report.borrow().clone();
    let problem = &report.problems[0];
    assert_eq!(problem.file.as_deref(), Some("pool.yaml"));
    assert_eq!(problem.object.as_deref(), Some("default/pool"));
    assert!(problem.field.as_deref().is_some_and(|field| field.contains("weight")), "{problem:?}");
    let kept = report.objects.iter().find(|object| object.name.0 == "default/pool").unwrap();
    assert_eq!(kept.state, ObjectState::KeptPrevious);
}

#[tokio::test]
async fn a_file_that_has_become_empty_keeps_what_it_held_however_long() {
    let folder = good();
    let (mut source, subscription) = open(folder.path());
    let before = runs(&subscription);
    write(folder.path(), "route.yaml", "");
    for _ in 0..3 {
        source.load();
        assert_eq!(runs(&subscription), before);
        tokio::time::sleep(SETTLE).await;
    }
    assert_eq!(subscription.report.borrow().problems[0].file.as_deref(), Some("route.yaml"));
    // One that says so in a comment holds nothing by somebody's will.
    write(folder.path(), "route.yaml", "# gone");
    source.load();
    tokio::time::sleep(SETTLE).await;
    source.load();
    assert_ne!(runs(&subscription), before);
}

#[test]
fn a_half_written_file_takes_nothing_down() {
    let folder = good();
    let (mut source, subscription) = open(folder.path());
    let before = runs(&subscription);
    for half in ["", "apiVersion: sluice", "{\"a\": [", "\u{0}"] {
        write(folder.path(), "route.yaml", half);
        let again = source.load();
        assert!(again || !half.is_empty(), "an emptied file is looked at again");
        assert_eq!(runs(&subscription), before, "{half:?}");
    }
    fs::write(folder.path().join("route.yaml"), b"\xff\xfe").unwrap();
    source.load();
    assert_eq!(runs(&subscription), before);
    assert_eq!(subscription.report.borrow().problems[0].file.as_deref(), Some("route.yaml"));
    write(folder.path(), "route.yaml", &route("main"));
    source.load();
    assert!(subscription.report.borrow().problems.is_empty());
}

#[tokio::test]
async fn a_removed_folder_keeps_what_ran_and_is_followed_when_it_is_back() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("manifests");
    fs::create_dir(&folder).unwrap();
    write(&folder, "all.yaml", &format!("{}---\n{}", pool("pool", "1"), route("main")));
    let (mut source, mut subscription) = open(&folder);
    let before = runs(&subscription);
    fs::remove_dir_all(&folder).unwrap();
    source.load();
    assert_eq!(runs(&subscription), before);
    assert_eq!(subscription.report.borrow().problems[0].reason, "NotRead");
    fs::create_dir(&folder).unwrap();
    source.load();
    assert_eq!(runs(&subscription), before);
    assert_eq!(subscription.report.borrow().problems[0].reason, "NoManifests");
    // A disk that is full leaves files so, or an editor that is killed.
    for nothing in ["", "\u{feff}# gone\r\n---\r\n\r\n...\r\n"] {
        write(&folder, "all.yaml", nothing);
        source.load();
        assert_eq!(runs(&subscription), before, "{nothing:?}");
        assert_eq!(subscription.report.borrow().problems[0].reason, "NoManifests");
    }
    write(&folder, "all.yaml", &format!("{}---\n{}", pool("pool", "5"), route("main")));
    until(source, &mut subscription, |subscription| weight(subscription) == 5).await;
}

#[tokio::test]
async fn what_is_deleted_goes_when_it_stays_away() {
    let folder = good();
    write(folder.path(), "second.yaml", &route("second"));
    let (mut source, mut subscription) = open(folder.path());
    fs::remove_file(folder.path().join("second.yaml")).unwrap();
    // Other changes do not wait for it.
    write(folder.path(), "pool.yaml", &pool("pool", "3"));
    assert!(source.load());
    assert_eq!(routes(&subscription), ["default/main", "default/second"]);
    assert_eq!(weight(&subscription), 3);
    source.again = true;
    until(source, &mut subscription, |subscription| routes(subscription) == ["default/main"]).await;
}

#[tokio::test]
async fn with_a_bad_object_at_the_start_the_rest_serves_and_with_nothing_valid_nothing() {
    let folder = good();
    write(folder.path(), "bad.yaml", &route("bad").replace("targets", "tragets"));
    let (_source, subscription) = open(folder.path());
    assert_eq!(routes(&subscription), ["default/main"]);
    let rejected = subscription.report.borrow().objects.iter().find(|object| object.name.0 == "default/bad").cloned();
    assert_eq!(rejected.unwrap().state, ObjectState::Rejected);

    let empty = tempfile::tempdir().unwrap();
    write(empty.path(), "bad.yaml", "kind: [");
    let (source, mut subscription) = open(empty.path());
    assert_eq!(runs(&subscription), None);
    assert_eq!(subscription.report.borrow().revision, None);
    write(empty.path(), "bad.yaml", &format!("{}---\n{}", pool("pool", "1"), route("main")));
    until(source, &mut subscription, |subscription| runs(subscription).is_some()).await;
}

/// The state of each object, by name.
fn states(subscription: &Subscription) -> Vec<(String, ObjectState)> {
    let report = subscription.report.borrow();
    report.objects.iter().map(|object| (object.name.0.clone(), object.state)).collect()
}

#[test]
fn which_objects_serve_a_previous_form_is_told_and_which_serve_in_part_or_not_at_all() {
    let named = |name: &str, pool: &str| route(name).replace("{name: pool}", &format!("{{name: {pool}}}"));
    let state = |name: &str, state| (format!("default/{name}"), state);
    let folder = good();
    write(folder.path(), "other.yaml", &named("other", "absent"));
    let (mut source, subscription) = open(folder.path());
    // Its rule has no pool: calls that it matches are refused, and fall to no other.
    let other = state("other", ObjectState::Partial);
    let applied = [state("main", ObjectState::Applied), other.clone(), state("pool", ObjectState::Applied)];
    assert_eq!(states(&subscription), applied);
    let report = subscription.report.borrow().clone();
    // The pool that is missing, and that `main` comes before it.
    assert_eq!((report.rejected(), report.problems.len()), (1, 2));
    assert!(report.objects.iter().all(|object| object.rejected.is_none()), "what serves in part was taken");

    // Now names a pool that is not there: the form before serves all it did.
    write(folder.path(), "route.yaml", &named("main", "absent"));
    source.load();
    let kept = [state("main", ObjectState::KeptPrevious), other, state("pool", ObjectState::Applied)];
    assert_eq!(states(&subscription), kept);
    let main = Arc::clone(&subscription.report.borrow().objects[0]);
    assert!(main.rejected.as_ref().is_some_and(|rejected| rejected.message.contains("absent")), "{main:?}");
    // A file that can not be read: what it said serves on, and that is told.
    write(folder.path(), "route.yaml", &route("main"));
    source.load();
    assert_eq!(states(&subscription), applied);
    fs::write(folder.path().join("route.yaml"), b"\xff\xfe").unwrap();
    source.load();
    assert_eq!(states(&subscription)[0], state("main", ObjectState::KeptPrevious));
}
