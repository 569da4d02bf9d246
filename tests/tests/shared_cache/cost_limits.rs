//! A limit of cost over several proxies and a real cluster: what a provider is paid within a window is never more than the amount,
//! and all books agree to the last billionth of a dollar.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use sluicegate_tests::client::Client;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::RedisCluster;

use crate::budgets::{flood, ledgers, limited, proxies, sum, vendor};

/// Picodollars in what limits count.
const UNIT: u64 = 1_000;

/// All that Redis counts of the one limit there is.
fn counted(cluster: &mut RedisCluster) -> u64 {
    let keys = cluster.keys().unwrap();
    let key = keys.iter().find(|key| key.ends_with(":limit")).unwrap();
    let master = cluster.master_of(key).unwrap();
    cluster.node(master).unwrap().ask::<String>(&["HGET", key, "u"]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn four_proxies_use_a_limit_of_cost_to_its_end_and_no_further_and_all_books_agree() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let limit = "rate: [{per: Consumer, unit: Cost, amount: \"0.2\", window: 1h}]";
    let all = proxies(4, &cluster, &limited(&vendor, limit));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let good = flood(&clients, Duration::from_secs(20), &std::cell::Cell::new(false)).await;
    // What was settled is told a moment later.
    let until = Instant::now() + Duration::from_secs(30);
    while counted(&mut cluster) * UNIT != vendor.cost.load(SeqCst) && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (cost, counted) = (vendor.cost.load(SeqCst), counted(&mut cluster) * UNIT);
    assert!(cost <= 200_000_000_000, "{cost} were spent in {good} calls");
    assert_eq!((ledgers(&all), vendor.upstream.calls()), (cost, good));
    // Where Redis did not answer in time (a machine that is busy with other things), what is not told stays as it was reserved.
    let troubles =
        ["checks_unanswered", "corrections_lost"].map(|name| sum(&all, &format!("sluicegate_limit_{name}_total")));
    if troubles == [0, 0] {
        assert_eq!(counted, cost, "in {good} calls");
        // What is left is less than a call may cost.
        assert!(cost >= 200_000_000_000 - 1_400_000_000, "{cost} were spent in {good} calls");
    } else {
        assert!(counted >= cost, "{counted} of {cost}; {troubles:?}");
    }
}
