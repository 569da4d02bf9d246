//! Budgets over several proxies and a real cluster: no more is spent than there is, and ledger, budget and provider agree to the last
//! picodollar, whoever is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::RedisCluster;
use sluicegate_tests::upstream::{Act, Upstream, answer, chunk, last_chunk, stream_head};

const CHAT: &str = "/v1/chat/completions";
const KEY: &str = "one-key-that-nobody-can-guess";
/// The prices of a token of prompt and of one of answer, in picodollars.
const PRICES: (u64, u64) = (2_500_000, 10_000_000);
/// Nobody answers with more tokens.
const MOST: u64 = 100;

/// A provider that counts what its answers cost.
pub(crate) struct Vendor {
    pub(crate) upstream: Upstream,
    pub(crate) cost: Arc<AtomicU64>,
}

pub(crate) fn vendor() -> Vendor {
    let (cost, calls) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
    let sum = Arc::clone(&cost);
    let upstream = Upstream::start(move |received| {
        if String::from_utf8_lossy(&received.body).contains("hang") {
            return vec![Act::Hang];
        }
        let number = calls.fetch_add(1, SeqCst);
        let (prompt, output) = (3 + number * 7 % 17, 1 + number * 13 % MOST);
        sum.fetch_add(prompt * PRICES.0 + output * PRICES.1, SeqCst);
        let usage = format!(
            r#""usage":{{"prompt_tokens":{prompt},"completion_tokens":{output},"total_tokens":{}}}"#,
            prompt + output
        );
        if received.streams() {
            let said = r#"data: {"choices":[{"index":0,"delta":{"content":"fine"},"finish_reason":"stop"}]}"#;
            let used = format!("data: {{\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n");
            return vec![stream_head(), chunk(format!("{said}\n\n").as_bytes()), chunk(used.as_bytes()), last_chunk()];
        }
        let body = format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"fine"}},"finish_reason":"stop"}}],{usage}}}"#
        );
        vec![answer(200, &[("content-type", "application/json")], body.as_bytes())]
    })
    .unwrap();
    Vendor { upstream, cost }
}

fn manifests(vendor: &Vendor, budget: &str) -> String {
    limited(vendor, &format!("budgets: [{budget}]"))
}

/// A route to the provider, and a consumer with these limits, in flow style.
pub(crate) fn limited(vendor: &Vendor, limits: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  providers:\n  \
         - name: one\n    type: OpenAICompatible\n    url: \"http://{}\"\n    \
         models: [{{name: m, price: {{inputPerMillion: \"2.5\", outputPerMillion: \"10\"}}}}]\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  \
         rules:\n  - {{name: all, targets: [{{poolRef: {{name: p}}}}]}}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: team}}\nstringData: {{api-key: {KEY}}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: team}}\nspec:\n  \
         keys: [{{name: k, secretRef: {{name: team}}}}]\n  limits: {{{limits}}}\n",
        vendor.upstream.address
    )
}

pub(crate) fn proxies(count: usize, cluster: &RedisCluster, text: &str) -> Vec<Proxy> {
    let urls = cluster.urls().join(",");
    (0..count).map(|_| Proxy::start(&[("all.yaml", text)], &["--workers", "1", "--redis", &urls]).unwrap()).collect()
}

async fn ask(client: &Client, word: &str, stream: bool) -> anyhow::Result<Answer> {
    let body = format!(
        r#"{{"model":"m","max_tokens":{MOST},"stream":{stream},"messages":[{{"role":"user","content":"{word}, and some more words that are not answered"}}]}}"#
    );
    client.post(CHAT, &[("x-api-key", KEY)], body).await
}

/// Many callers ask all proxies in turn until the time is over. Says how many calls were answered.
pub(crate) async fn flood(clients: &[Client], time: Duration, gone: &std::cell::Cell<bool>) -> u64 {
    let until = Instant::now() + time;
    let callers = (0..12_usize).map(|caller| async move {
        let (mut at, mut good) = (caller, 0);
        while Instant::now() < until {
            at += 1;
            match ask(&clients[at % clients.len()], "tell", at % 4 == 0).await {
                Ok(answer) if answer.status == 200 => good += 1,
                Ok(answer) => {
                    assert_eq!(answer.status, 429, "{}", answer.text());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                // One of them was killed.
                Err(error) => assert!(gone.get(), "{error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        good
    });
    futures_util::future::join_all(callers).await.into_iter().sum()
}

/// All that Redis holds of the one budget there is: all that is spent or reserved, and its open reservations.
fn booked(cluster: &mut RedisCluster) -> Option<(u64, u64)> {
    let keys = cluster.keys().ok()?;
    let sums = keys.iter().find(|key| key.contains(":budget:"))?.clone();
    let master = cluster.master_of(&sums).ok()?;
    let node = cluster.node(master).ok()?;
    let spent: String = node.ask(&["HGET", &sums, "u"]).ok()?;
    let open = node.ask(&["ZCARD", &sums.replace(":budget:", ":open:")]).ok()?;
    Some((spent.parse().unwrap(), open))
}

/// The same of every budget that was asked for.
fn booked_everywhere(cluster: &mut RedisCluster) -> Vec<(u64, u64)> {
    let keys = cluster.keys().unwrap();
    let sums = keys.iter().filter(|key| key.contains(":budget:")).cloned();
    let booked = sums.map(|sums| {
        let master = cluster.master_of(&sums).unwrap();
        let node = cluster.node(master).unwrap();
        let spent: String = node.ask(&["HGET", &sums, "u"]).unwrap();
        (spent.parse().unwrap(), node.ask(&["ZCARD", &sums.replace(":budget:", ":open:")]).unwrap())
    });
    booked.collect()
}

/// Waits until Redis has heard of everything, or says what it knows instead.
async fn settled(cluster: &mut RedisCluster, vendor: &Vendor) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let (now, cost) = (booked(cluster), vendor.cost.load(SeqCst));
        if now == Some((cost, 0)) {
            return;
        }
        assert!(Instant::now() < until, "{now:?} are booked of {cost}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The sum of these proxies' ledgers, in picodollars.
pub(crate) fn ledgers(proxies: &[Proxy]) -> u64 {
    let of = |proxy: &Proxy| (proxy.metrics().unwrap().sum("sluicegate_cost_usd_total", &[]) * 1e12).round() as u64;
    proxies.iter().map(of).sum()
}

pub(crate) fn sum(proxies: &[Proxy], name: &str) -> u64 {
    proxies.iter().map(|proxy| proxy.metrics().unwrap().sum(name, &[]) as u64).sum()
}

#[tokio::test]
async fn four_proxies_spend_a_budget_to_its_end_and_no_further_and_all_books_agree() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let all = proxies(4, &cluster, &manifests(&vendor, "{amount: \"0.2\", period: Total, alertAt: [50, 100]}"));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let gone = std::cell::Cell::new(false);
    let good = flood(&clients, Duration::from_secs(20), &gone).await;
    settled(&mut cluster, &vendor).await;
    let cost = vendor.cost.load(SeqCst);
    assert!(cost <= 200_000_000_000, "{cost} were spent in {good} calls");
    // What is left is less than a call may cost.
    assert!(cost >= 200_000_000_000 - 1_400_000_000, "{cost} were spent in {good} calls");
    assert_eq!(ledgers(&all), cost);
    assert_eq!(good, vendor.upstream.calls());
    let trouble =
        ["reservations_expired", "settlements_lost"].map(|name| sum(&all, &format!("sluicegate_budget_{name}_total")));
    assert_eq!(trouble, [0, 0]);
    assert_eq!(sum(&all, "sluicegate_budget_alerts_total"), 2, "half of it and all of it, each once, whoever saw it");
}

#[tokio::test]
async fn the_books_of_every_level_of_a_tree_agree_and_the_tightest_holds() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let budgets = "{amount: \"0.2\", period: Total}, {amount: \"0.3\", period: Total, per: Key}";
    let group = |name: &str, members: &str, amount: &str| {
        format!(
            "---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec:\n  \
             members: {{{members}}}\n  limits: {{budgets: [{{amount: \"{amount}\", period: Total}}]}}\n"
        )
    };
    let text = manifests(&vendor, budgets)
        + &group("group", "names: [team]", "0.1")
        + &group("namespace", "namespaces: [default]", "0.15")
        + &group("other", "names: [nobody]", "0.000001");
    let all = proxies(4, &cluster, &text);
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let good = flood(&clients, Duration::from_secs(12), &std::cell::Cell::new(false)).await;
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let (now, cost) = (booked_everywhere(&mut cluster), vendor.cost.load(SeqCst));
        // Key, consumer, group and namespace, to the last picodollar; whoever refused, the others gave back what they had reserved.
        if now == [(cost, 0); 4] {
            break;
        }
        assert!(Instant::now() < until, "{now:?} are booked of {cost}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let cost = vendor.cost.load(SeqCst);
    assert!((98_600_000_000..=100_000_000_000).contains(&cost), "{cost} were spent in {good} calls");
    assert_eq!((ledgers(&all), vendor.upstream.calls()), (cost, good));
}

#[tokio::test]
async fn what_a_killed_proxy_had_reserved_stays_spent_and_is_counted_once() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let mut all = proxies(3, &cluster, &manifests(&vendor, "{amount: \"1\", period: Yearly}"));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let hanging = tokio::time::timeout(Duration::from_secs(2), ask(&clients[2], "hang", false));
    let gone = std::cell::Cell::new(false);
    let (_, good) = tokio::join!(hanging, flood(&clients[..2], Duration::from_secs(1), &gone));
    assert!(good > 0);
    // The caller has left it, and its reservation would stay: but its proxy is killed before it can say so.
    let killed = all.pop().unwrap();
    let second = ask(&clients[2], "hang", false);
    let kill = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(killed);
    };
    let (answered, ()) = tokio::join!(second, kill);
    assert!(answered.is_err(), "{answered:?}");
    let (cost, reserved) = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (spent, open) = booked(&mut cluster).unwrap();
        let cost = vendor.cost.load(SeqCst);
        if open == 1 {
            break (cost, spent - cost);
        }
    };
    // Both hanging calls: the one that was left is settled at its estimate, the other one is open.
    let each = reserved / 2;
    assert!(reserved % 2 == 0 && (1_000_000_000..1_400_000_000).contains(&each), "{reserved}");
    let sums = cluster.keys().unwrap().into_iter().find(|key| key.contains(":open:")).unwrap();
    let master = cluster.master_of(&sums).unwrap();
    let node = cluster.node(master).unwrap();
    let names: Vec<String> = node.ask(&["ZRANGE", &sums, "0", "-1"]).unwrap();
    // Its deadline has come.
    let _: u64 = node.ask(&["ZADD", &sums, "1", &names[0]]).unwrap();
    assert_eq!(ask(&clients[0], "tell", false).await.unwrap().status, 200);
    for proxy in &all {
        let over = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_inflight_requests", &[]) as u64 == 0;
        proxy.until("its calls are over", over).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let spent = booked(&mut cluster).unwrap();
    assert_eq!(spent, (vendor.cost.load(SeqCst) + reserved, 0), "{cost} before");
    assert_eq!(sum(&all, "sluicegate_budget_reservations_expired_total"), 1);
}

#[tokio::test]
async fn with_a_master_killed_under_load_every_call_is_booked_once_and_all_books_agree() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let all = proxies(3, &cluster, &manifests(&vendor, "{amount: \"1000\", period: Monthly}"));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let gone = std::cell::Cell::new(false);
    let kill = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let sums = cluster.keys().unwrap().into_iter().find(|key| key.contains(":budget:")).unwrap();
        let master = cluster.master_of(&sums).unwrap();
        cluster.node(master).unwrap().kill().unwrap();
    };
    let (good, ()) = tokio::join!(flood(&clients, Duration::from_secs(12), &gone), kill);
    settled(&mut cluster, &vendor).await;
    assert_eq!(ledgers(&all), vendor.cost.load(SeqCst), "{good} calls");
    assert_eq!(good, vendor.upstream.calls());
    assert_eq!(sum(&all, "sluicegate_budget_settlements_lost_total"), 0);
}

#[tokio::test]
async fn with_all_of_redis_gone_each_proxy_spends_its_part_of_what_was_left_and_tells_it_later() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let all = proxies(3, &cluster, &manifests(&vendor, "{amount: \"0.06\", period: Total}"));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let known = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_limit_proxies", &[]) as u64 == 3;
    for proxy in &all {
        proxy.until("all know of each other", known).await.unwrap();
    }
    for client in &clients {
        assert_eq!(ask(client, "tell", false).await.unwrap().status, 200);
    }
    for number in 0..6 {
        cluster.node(number).unwrap().kill().unwrap();
    }
    let gone = std::cell::Cell::new(false);
    let good = flood(&clients, Duration::from_secs(6), &gone).await;
    let cost = vendor.cost.load(SeqCst);
    assert!(good > 20 && cost <= 60_000_000_000, "{cost} were spent in {good} calls");
    // Most of it has been: what Redis said last counted calls as they were reserved.
    assert!(cost >= 45_000_000_000, "{cost} were spent in {good} calls");
    assert_eq!(ledgers(&all), cost);
}

#[tokio::test]
async fn with_redis_away_and_back_with_all_it_had_nothing_is_spent_twice() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let all = proxies(3, &cluster, &manifests(&vendor, "{amount: \"0.06\", period: Total}"));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let known = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_limit_proxies", &[]) as u64 == 3;
    for proxy in &all {
        proxy.until("all know of each other", known).await.unwrap();
    }
    for client in &clients {
        assert_eq!(ask(client, "tell", false).await.unwrap().status, 200);
    }
    for number in 0..6 {
        cluster.node(number).unwrap().freeze().unwrap();
    }
    let gone = std::cell::Cell::new(false);
    let away = flood(&clients, Duration::from_secs(5), &gone).await;
    assert!(away > 20, "each spends its part: {away}");
    for number in 0..6 {
        cluster.node(number).unwrap().thaw().unwrap();
    }
    // As each finds out by itself that it is back, others have told nothing yet.
    let back = flood(&clients, Duration::from_secs(12), &gone).await;
    settled(&mut cluster, &vendor).await;
    let cost = vendor.cost.load(SeqCst);
    assert!(cost <= 60_000_000_000, "{cost} were spent in {away} calls and {back}");
    assert_eq!(ledgers(&all), cost);
    assert_eq!(sum(&all, "sluicegate_budget_settlements_lost_total"), 0);
}

#[tokio::test]
async fn calls_that_may_cost_more_than_redis_counts_are_booked_by_what_they_cost() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let all = proxies(2, &cluster, &manifests(&vendor, "{amount: \"0.01\", period: Total, onExceeded: Warn}"));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let huge = |at: usize| {
        let body = r#"{"model":"m","max_tokens":18446744073709551615,"messages":[{"role":"user","content":"tell"}]}"#;
        clients[at % clients.len()].post(CHAT, &[("x-api-key", KEY)], body)
    };
    for answer in futures_util::future::join_all((0..24).map(huge)).await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.header("x-sluicegate-budget-remaining")), (200, "0"), "{}", answer.text());
    }
    settled(&mut cluster, &vendor).await;
    assert_eq!(ask(&clients[0], "tell", false).await.unwrap().status, 200);
    settled(&mut cluster, &vendor).await;
    assert_eq!(sum(&all, "sluicegate_budget_settlements_lost_total"), 0);
}

#[tokio::test]
async fn what_redis_says_no_to_is_told_for_seconds_and_then_counted_as_lost() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let all = proxies(1, &cluster, &manifests(&vendor, "{amount: \"1\", period: Total}"));
    let client = all[0].client();
    assert_eq!(ask(&client, "tell", false).await.unwrap().status, 200);
    settled(&mut cluster, &vendor).await;
    let sums = cluster.keys().unwrap().into_iter().find(|key| key.contains(":budget:")).unwrap();
    let master = cluster.master_of(&sums).unwrap();
    let node = cluster.node(master).unwrap();
    let first = vendor.cost.load(SeqCst);
    // Somebody has put something else under the name.
    let _: String = node.ask(&["SET", &sums, "7"]).unwrap();
    assert_eq!(ask(&client, "tell", false).await.unwrap().status, 200);
    let lost =
        |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_budget_settlements_lost_total", &[]) as u64 >= 2;
    all[0].until("both entries of the call are given up", lost).await.unwrap();
    let node = cluster.node(master).unwrap();
    let _: u64 = node.ask(&["DEL", &sums]).unwrap();
    // What was told lately is told again, and what is new; what was given up is not.
    let given_up = vendor.cost.load(SeqCst) - first;
    assert_eq!(ask(&client, "tell", false).await.unwrap().status, 200);
    let until = Instant::now() + Duration::from_secs(20);
    while booked(&mut cluster) != Some((vendor.cost.load(SeqCst) - given_up, 0)) {
        assert!(Instant::now() < until, "{:?}", booked(&mut cluster));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "local")]
async fn what_calls_had_reserved_that_the_drain_timeout_cuts_is_settled_in_redis() {
    let (mut cluster, vendor) = (RedisCluster::start().unwrap(), vendor());
    let text = manifests(&vendor, "{amount: \"1\", period: Yearly}");
    for (second_signal, asked) in [(false, 3), (true, 6)] {
        let urls = cluster.urls().join(",");
        let timeout = if second_signal { "300s" } else { "1s" };
        let flags = ["--workers", "1", "--redis", &urls, "--drain-delay", "0s", "--drain-timeout", timeout];
        let mut proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
        let before = booked(&mut cluster).map_or(0, |(spent, _)| spent);
        let client = proxy.client();
        let calls: Vec<_> = (0..3)
            .map(|_| {
                let client = client.clone();
                tokio::task::spawn_local(async move { ask(&client, "hang", true).await })
            })
            .collect();
        let until = Instant::now() + Duration::from_secs(60);
        let reserved = loop {
            match booked(&mut cluster) {
                Some((spent, 3)) if vendor.upstream.calls() == asked => break spent - before,
                other => assert!(Instant::now() < until, "{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        proxy.terminate().unwrap();
        if second_signal {
            let leaving = |proxy: &Proxy| proxy.page("/readyz").is_ok_and(|(status, _)| status == 503);
            proxy.until("it is leaving", leaving).await.unwrap();
            proxy.terminate().unwrap();
        }
        assert!(!proxy.ended().await.unwrap().success(), "calls were cut");
        for call in calls {
            assert!(!call.await.unwrap().is_ok_and(|answer| answer.is_good()));
        }
        // What is left of each is its prompt, by an estimate; the tokens that it might have answered are free again.
        let (spent, open) = booked(&mut cluster).unwrap();
        let spent = spent - before;
        assert!(open == 0 && spent > 0 && spent * 4 < reserved, "{spent} of {reserved}, {open} open");
    }
}
