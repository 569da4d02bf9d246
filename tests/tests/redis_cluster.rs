//! The Redis Cluster of the tests itself: it comes together, loses nodes, and leaves nothing behind.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

use std::path::Path;

use redis::Commands;
use sluicegate_tests::redis_cluster::{NODES, RedisCluster, RedisNode};

fn put(cluster: &RedisCluster, key: &str, value: &str) {
    let at = cluster.master_of(key).unwrap();
    cluster.nodes()[at].connection().unwrap().set::<_, _, ()>(key, value).unwrap();
}

fn get(cluster: &RedisCluster, key: &str) -> Option<String> {
    let at = cluster.master_of(key).unwrap();
    cluster.nodes()[at].connection().unwrap().get(key).unwrap()
}

#[test]
fn three_masters_share_the_keys() {
    let cluster = RedisCluster::start().unwrap();
    assert_eq!(cluster.masters().unwrap(), [0, 1, 2]);
    assert_eq!(cluster.urls().len(), NODES);
    let keys: Vec<String> = (0..30).map(|i| format!("key-{i:02}")).collect();
    for key in &keys {
        put(&cluster, key, "value");
    }
    assert_eq!(cluster.keys().unwrap(), keys);
    let mut used: Vec<usize> = keys.iter().map(|key| cluster.master_of(key).unwrap()).collect();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used, [0, 1, 2]);
}

#[test]
fn a_replica_takes_over_from_a_killed_master_and_the_dead_may_return() {
    let mut cluster = RedisCluster::start().unwrap();
    put(&cluster, "kept", "1");
    let dead = cluster.master_of("kept").unwrap();
    // The write has to be on the replica before its master dies.
    cluster.nodes()[dead].ask::<i64>(&["WAIT", "1", "1000"]).unwrap();
    cluster.node(dead).unwrap().kill().unwrap();
    cluster.wait_until_whole().unwrap();
    let heir = cluster.master_of("kept").unwrap();
    assert_ne!(heir, dead);
    assert_eq!(get(&cluster, "kept").as_deref(), Some("1"));
    cluster.node(dead).unwrap().restart().unwrap();
    cluster.wait_until_whole().unwrap();
    assert_eq!(get(&cluster, "kept").as_deref(), Some("1"));
}

#[test]
fn a_frozen_node_answers_nothing_until_it_is_thawed() {
    let mut node = RedisNode::alone().unwrap();
    node.freeze().unwrap();
    assert!(node.ask::<String>(&["PING"]).is_err());
    assert!(!node.is_running());
    node.thaw().unwrap();
    assert_eq!(node.ask::<String>(&["PING"]).unwrap(), "PONG");
    node.stop().unwrap();
    assert!(node.ask::<String>(&["PING"]).is_err());
}

#[test]
fn a_panic_leaves_no_process_behind() {
    let ids = std::sync::Mutex::new(Vec::new());
    let panicked = std::panic::catch_unwind(|| {
        let mut node = RedisNode::alone().unwrap();
        let id: String = node.ask::<String>(&["INFO", "server"]).unwrap();
        let id = id.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().to_owned();
        ids.lock().unwrap().push(id);
        node.freeze().unwrap();
        panic!("as a failing test does");
    });
    assert!(panicked.is_err());
    for id in ids.into_inner().unwrap() {
        assert!(!Path::new("/proc").join(&id).exists(), "process {id} is still there");
    }
}
