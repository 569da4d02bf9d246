//! Rate limits of a provider and of its keys over several proxies and a real cluster: what reaches the provider is never more than the
//! amount within any window, by the provider's own clock, and what it has no room for goes to another one.

use std::time::{Duration, Instant};

use sluicegate_tests::client::Client;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::RedisCluster;
use sluicegate_tests::upstream::{Received, Upstream};

use crate::limits::{ask, proxies, unanswered, upstream};

const AMOUNT: usize = 40;
const OF_KEYS: [(&str, usize); 2] = [("one", 12), ("two", 20)];
const WINDOW: Duration = Duration::from_secs(6);

fn manifests(first: &Upstream, other: &Upstream, provider: &str, keys: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{one: planted-one, two: planted-two}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  providers:\n  \
         - {{name: first, type: OpenAICompatible, url: \"http://{}\", {provider}{keys}}}\n  \
         - {{name: other, type: OpenAICompatible, url: \"http://{}\", priority: 1}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  \
         rules:\n  - {{name: all, targets: [{{poolRef: {{name: p}}}}]}}\n",
        first.address, other.address
    )
}

/// Asks every proxy in turn, four times what the limit lets through, until the time is over. Nobody is refused.
async fn flood(clients: &[Client], amount: usize, time: Duration) {
    const LANES: u32 = 5;
    let until = Instant::now() + time;
    let pause = WINDOW * LANES / u32::try_from(4 * amount).unwrap();
    let lanes = (0..LANES as usize).map(|lane| async move {
        let mut at = lane;
        while Instant::now() < until {
            at += 1;
            let started = Instant::now();
            let answer = ask(&clients[at % clients.len()], "nobody", 9).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            tokio::time::sleep(pause.saturating_sub(started.elapsed())).await;
        }
    });
    futures_util::future::join_all(lanes).await;
}

/// The most of these that came within a window.
fn most(mut times: Vec<Instant>) -> usize {
    times.sort_unstable();
    let within = |start: usize| times[start..].iter().take_while(|at| **at - times[start] < WINDOW).count();
    (0..times.len()).map(within).max().unwrap_or_default()
}

fn times(upstream: &Upstream, is_meant: impl Fn(&Received) -> bool) -> Vec<Instant> {
    upstream.received().iter().filter(|received| is_meant(received)).map(|received| received.at).collect()
}

/// Where Redis did not answer in time (a machine that is busy with other things), proxies kept to their shares.
fn bounds(all: &[Proxy], amount: usize) -> (usize, usize) {
    if unanswered(all) > 0.0 { (amount * 5 / 4, 60) } else { (amount, 95) }
}

#[tokio::test]
async fn over_three_proxies_a_provider_is_asked_for_no_more_than_its_amount_and_hardly_less() {
    let (cluster, first, other) = (RedisCluster::start().unwrap(), upstream(), upstream());
    let limit = format!("limits: {{rate: [{{unit: Requests, amount: {AMOUNT}, window: {}s}}]}}", WINDOW.as_secs());
    let all = proxies(3, &cluster, &manifests(&first, &other, &limit, ""));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    flood(&clients, AMOUNT, WINDOW * 5 / 2).await;
    let (bound, used) = bounds(&all, AMOUNT);
    let seen = times(&first, |_| true);
    // Three windows have begun.
    assert!(seen.len() * 100 >= 3 * AMOUNT * used, "{} of {}", seen.len(), 3 * AMOUNT);
    let most = most(seen);
    assert!(most <= bound, "{most} within a window, of {AMOUNT}; {} unanswered", unanswered(&all));
    assert!(other.calls() > 0);
    // Who is used up is looked at about once in a second by each proxy, and not for each call.
    let sum = |name: &str| all.iter().map(|proxy| proxy.metrics().unwrap().sum(name, &[])).sum::<f64>();
    assert_eq!(sum("sluicegate_retries_total"), 0.0);
    assert_eq!(sum("sluicegate_limit_corrections_lost_total"), 0.0);
}

#[tokio::test]
async fn over_three_proxies_each_key_is_used_for_no_more_than_its_amount() {
    let (cluster, first, other) = (RedisCluster::start().unwrap(), upstream(), upstream());
    let keys: Vec<String> = OF_KEYS
        .iter()
        .map(|(name, amount)| {
            let rate = format!("{{unit: Requests, amount: {amount}, window: {}s}}", WINDOW.as_secs());
            format!("{{name: {name}, secretRef: {{name: keys, key: {name}}}, limits: {{rate: [{rate}]}}}}")
        })
        .collect();
    let keys = format!("credentials: {{keys: [{}]}}", keys.join(", "));
    let all = proxies(3, &cluster, &manifests(&first, &other, "", &keys));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    flood(&clients, OF_KEYS.iter().map(|(_, amount)| amount).sum(), WINDOW * 5 / 2).await;
    for (name, amount) in OF_KEYS {
        let (bound, used) = bounds(&all, amount);
        let seen = times(&first, |received| received.header("authorization") == format!("Bearer planted-{name}"));
        assert!(seen.len() * 100 >= 3 * amount * used, "{name}: {} of {}", seen.len(), 3 * amount);
        let most = most(seen);
        assert!(most <= bound, "{name}: {most} within a window, of {amount}; {} unanswered", unanswered(&all));
    }
}
