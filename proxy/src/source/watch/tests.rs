//! What changes is told, in each of the ways that files are changed. Waits are bounded, and nothing is timed.

use super::*;

/// Whether a change is told within a bound that only a failure reaches.
async fn told(watch: &mut Watch) -> bool {
    tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.is_ok()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), "a").unwrap();
    folder
}

#[tokio::test]
async fn an_edit_and_a_rename_are_told() {
    let folder = folder();
    let mut watch = Watch::new(vec![folder.path().to_owned()]);
    fs::write(folder.path().join("a.yaml"), "b").unwrap();
    assert!(told(&mut watch).await);
    fs::write(folder.path().join(".a.yaml.swp"), "c").unwrap();
    fs::rename(folder.path().join(".a.yaml.swp"), folder.path().join("a.yaml")).unwrap();
    assert!(told(&mut watch).await);
    fs::remove_file(folder.path().join("a.yaml")).unwrap();
    assert!(told(&mut watch).await);
}

#[tokio::test]
async fn a_watched_file_swapped_by_kubernetes_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for version in ["..1", "..2"] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("tls.crt"), version).unwrap();
    }
    std::os::unix::fs::symlink("..1", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/tls.crt", at("tls.crt")).unwrap();
    let mut watch = Watch::new(vec![at("tls.crt")]);
    std::os::unix::fs::symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert!(told(&mut watch).await);
    assert_eq!(fs::read_to_string(at("tls.crt")).unwrap(), "..2");
}

#[tokio::test]
async fn a_folder_that_comes_back_is_watched_again() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("manifests");
    let mut watch = Watch::new(vec![inner.clone()]);
    for round in 0..3 {
        fs::create_dir(&inner).unwrap();
        assert!(told(&mut watch).await, "created {round}");
        fs::write(inner.join("a.yaml"), "a").unwrap();
        assert!(told(&mut watch).await, "written {round}");
        fs::remove_dir_all(&inner).unwrap();
        assert!(told(&mut watch).await, "removed {round}");
    }
}

#[tokio::test]
async fn a_folder_replaced_between_two_looks_is_watched_though_it_has_the_same_inode() {
    async fn until(holds: impl Fn() -> bool) {
        let holding = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), holding).await.unwrap();
    }
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("manifests");
    fs::create_dir(&inner).unwrap();
    let mut watch = Watch::new(vec![inner.clone()]);
    for _ in 0..3 {
        fs::remove_dir(&inner).unwrap();
        fs::create_dir(&inner).unwrap();
        until(|| watch.signal.state().removed).await;
        watch.arm();
        // Only the folder's own watch tells of a file in it.
        let file = inner.join("a.yaml");
        let open = fs::File::create(&file).unwrap();
        until(|| watch.signal.state().writing.contains_key(&file)).await;
        drop(open);
        fs::remove_file(&file).unwrap();
    }
}

#[tokio::test]
async fn without_events_files_are_looked_at() {
    let folder = folder();
    let mut watch = Watch::without_events(vec![folder.path().to_owned()]);
    fs::write(folder.path().join("b.yaml"), "b").unwrap();
    assert!(told(&mut watch).await);
}

#[test]
fn a_file_being_written_is_waited_for() {
    let signal = Signal::default();
    let (paths, path) = (vec![PathBuf::from("/m")], PathBuf::from("/m/a.yaml"));
    let event = |kind| Event::new(kind).add_path(path.clone());
    signal.hear(&event(EventKind::Access(AccessKind::Open(AccessMode::Any))), &paths);
    assert_eq!(signal.next(Instant::now()), WatchStep::Sleep);
    signal.hear(&event(EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any))), &paths);
    let now = signal.state().writing[&path];
    assert_eq!(signal.next(now), WatchStep::Writer(WRITING));
    signal.hear(&event(EventKind::Access(AccessKind::Close(AccessMode::Write))), &paths);
    assert_eq!(signal.next(now), WatchStep::Tell);
    assert_eq!(signal.next(now), WatchStep::Sleep);
    // A writer that never closes is waited for a while only.
    signal.hear(&event(EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any))), &paths);
    assert_eq!(signal.next(Instant::now() + WRITING), WatchStep::Tell);
}

#[test]
fn only_what_is_watched_concerns() {
    let paths = vec![PathBuf::from("/m"), PathBuf::from("/tls/tls.crt")];
    for (path, does) in [
        ("/m", true),
        ("/m/a.yaml", true),
        ("/m/..data", true),
        ("/m/.a.swp", false),
        ("/m/sub/a.yaml", false),
        ("/other", false),
        ("/tls/tls.crt", true),
        ("/tls/..data", true),
        ("/tls/tls.key", false),
    ] {
        assert_eq!(concerns(Path::new(path), &paths), does, "{path}");
    }
}
