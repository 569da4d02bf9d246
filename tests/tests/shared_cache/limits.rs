//! Rate limits over several proxies and a real cluster: what reaches the provider is never more than the amount within any window,
//! and hardly less, by the provider's own clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::{RedisCluster, RedisNode};
use sluicegate_tests::upstream::{Upstream, answer};

const USERS: usize = 5;
const AMOUNT: usize = 40;
const WINDOW: Duration = Duration::from_secs(8);
const CHAT: &str = "/v1/chat/completions";

pub(crate) fn upstream() -> Upstream {
    let body = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    Upstream::always(vec![answer(200, &[("content-type", "application/json")], body.as_bytes())]).unwrap()
}

pub(crate) fn manifests(upstream: &Upstream, limits: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  providers:\n  \
         - {{name: one, type: OpenAICompatible, url: \"http://{}\", headers: {{pass: [x-lane]}}}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  limits: {{rate: [{limits}]}}\n  \
         rules:\n  - {{name: all, targets: [{{poolRef: {{name: p}}}}]}}\n",
        upstream.address
    )
}

pub(crate) fn proxies(count: usize, cluster: &RedisCluster, text: &str) -> Vec<Proxy> {
    let urls = cluster.urls().join(",");
    (0..count).map(|_| Proxy::start(&[("all.yaml", text)], &["--workers", "1", "--redis", &urls]).unwrap()).collect()
}

pub(crate) async fn ask(client: &Client, user: &str, max_tokens: usize) -> anyhow::Result<Answer> {
    let body = format!(r#"{{"model":"m","max_tokens":{max_tokens},"messages":[{{"role":"user","content":"?"}}]}}"#);
    client.post(CHAT, &[("x-lane", user)], body).await
}

/// Every user asks every proxy in turn, all together four times what its limit lets through, until the time is over.
async fn flood(clients: &[Client], time: Duration, gone: &std::cell::Cell<bool>) {
    let until = Instant::now() + time;
    let pause = WINDOW / u32::try_from(4 * AMOUNT).unwrap();
    let users = (0..USERS).map(|user| async move {
        let (name, mut at) = (format!("user-{user}"), user);
        while Instant::now() < until {
            at += 1;
            let (client, started) = (&clients[at % clients.len()], Instant::now());
            match ask(client, &name, 9).await {
                Ok(answer) => assert!(matches!(answer.status, 200 | 429), "{}: {}", answer.status, answer.text()),
                // One of them was killed.
                Err(error) => assert!(gone.get(), "{error:#}"),
            }
            tokio::time::sleep(pause.saturating_sub(started.elapsed())).await;
        }
    });
    futures_util::future::join_all(users).await;
}

/// For each user, all that came and the most that came within a window, by the provider's clock.
fn seen(upstream: &Upstream) -> BTreeMap<String, (usize, usize)> {
    let mut times: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for call in upstream.received() {
        times.entry(call.header("x-lane").to_owned()).or_default().push(call.at);
    }
    times
        .into_iter()
        .map(|(user, mut times)| {
            times.sort_unstable();
            let within = |start: usize| times[start..].iter().take_while(|at| **at - times[start] < WINDOW).count();
            let most = (0..times.len()).map(within).max().unwrap();
            (user, (times.len(), most))
        })
        .collect()
}

fn per_user() -> String {
    format!("{{per: Header, header: x-lane, unit: Requests, amount: {AMOUNT}, window: {}s}}", WINDOW.as_secs())
}

pub(crate) fn unanswered(proxies: &[Proxy]) -> f64 {
    proxies.iter().map(|proxy| proxy.metrics().unwrap().sum("sluicegate_limit_checks_unanswered_total", &[])).sum()
}

#[tokio::test]
async fn over_three_proxies_one_of_which_is_killed_the_limit_is_used_and_not_exceeded() {
    let (cluster, upstream) = (RedisCluster::start().unwrap(), upstream());
    let mut all = proxies(3, &cluster, &manifests(&upstream, &per_user()));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let gone = std::cell::Cell::new(false);
    let kill = async {
        tokio::time::sleep(WINDOW + WINDOW / 2).await;
        gone.set(true);
        drop(all.pop());
    };
    tokio::join!(flood(&clients, WINDOW * 5 / 2, &gone), kill);
    let seen = seen(&upstream);
    assert_eq!(seen.len(), USERS);
    // Where Redis did not answer in time (a machine that is busy with other things), proxies kept to their shares.
    let away = unanswered(&all) > 0.0;
    let (bound, used) = if away { (AMOUNT * 5 / 4, 60) } else { (AMOUNT, 97) };
    for (user, (count, most)) in &seen {
        assert!(*most <= bound, "{user}: {most} within a window, of {AMOUNT}; {} unanswered", unanswered(&all));
        // Three windows have begun.
        assert!(
            *count * 100 >= 3 * AMOUNT * used,
            "{user}: {count} of {}; {} unanswered",
            3 * AMOUNT,
            unanswered(&all)
        );
    }
    let shared = all[0].metrics().unwrap();
    assert_eq!(shared.sum("sluicegate_limit_corrections_lost_total", &[]) as u64, 0);
    // A round trip for each check, and next to none besides.
    let calls = scripts(&cluster);
    let checks: f64 = all.iter().map(|proxy| proxy.metrics().unwrap().sum("sluicegate_limit_checks_total", &[])).sum();
    // The third proxy's are in the scripts only: it made about a third for three fifths of the time.
    assert!((calls as f64) < checks * 1.5, "{calls} scripts for {checks} checks of two proxies");
}

/// The scripts that all nodes have run.
fn scripts(cluster: &RedisCluster) -> u64 {
    let of_node = |node: &RedisNode| {
        let said: String = node.ask(&["INFO", "commandstats"]).unwrap();
        let of = |name: &str| {
            let line = said.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).unwrap_or_default();
            line.split(['=', ',']).nth(1).and_then(|count| count.parse::<u64>().ok()).unwrap_or_default()
        };
        of("evalsha") + of("eval")
    };
    cluster.nodes().iter().map(of_node).sum()
}

#[tokio::test]
async fn a_limit_that_many_calls_a_second_take_of_is_taken_of_ahead_and_not_exceeded() {
    const MANY: usize = 1_200;
    let (cluster, upstream) = (RedisCluster::start().unwrap(), upstream());
    let limit =
        format!("{{per: Header, header: x-lane, unit: Requests, amount: {MANY}, window: {}s}}", WINDOW.as_secs());
    let all = proxies(3, &cluster, &manifests(&upstream, &limit));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let (begun, before) = (Instant::now(), scripts(&cluster));
    let asked = std::cell::Cell::new(0_usize);
    // So many callers at once, until so many calls were made or the time is over.
    let callers = async |calls: usize, until: Instant| {
        let one = async |caller: usize| {
            let client = &clients[caller % clients.len()];
            while asked.get() < calls && Instant::now() < until {
                asked.set(asked.get() + 1);
                match ask(client, "hot", 9).await.unwrap().status {
                    200 => {}
                    429 => tokio::time::sleep(Duration::from_millis(100)).await,
                    status => panic!("{status}"),
                }
            }
        };
        futures_util::future::join_all((0..30).map(one)).await;
    };
    callers(MANY / 2, begun + WINDOW).await;
    let (took, calls) = (begun.elapsed(), scripts(&cluster) - before);
    callers(usize::MAX, begun + WINDOW * 2 + WINDOW * 3 / 4).await;
    let (count, most) = seen(&upstream)["hot"];
    let away = unanswered(&all);
    assert!(most <= MANY || away > 0.0, "{most} within a window, of {MANY}; {away} unanswered");
    assert!(count * 100 >= 3 * MANY * 97 || away > 0.0, "{count} of {}; {away} unanswered", 3 * MANY);
    println!("{calls} scripts for {} calls in {took:?}; {count} of {} let through", MANY / 2, 3 * MANY);
    // Where a machine is so busy that there are few calls a second, each asks for itself.
    assert!(calls < 500 || took > Duration::from_millis(800), "{calls} scripts for {} calls in {took:?}", MANY / 2);
}

#[tokio::test]
async fn a_master_killed_under_load_admits_little_more_and_fails_no_call() {
    let (mut cluster, upstream) = (RedisCluster::start().unwrap(), upstream());
    let all = proxies(3, &cluster, &manifests(&upstream, &per_user()));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let gone = std::cell::Cell::new(false);
    let kill = async {
        tokio::time::sleep(WINDOW / 2).await;
        let master = cluster.masters().unwrap()[0];
        cluster.node(master).unwrap().kill().unwrap();
    };
    tokio::join!(flood(&clients, WINDOW * 5 / 2, &gone), kill);
    for (user, (count, most)) in seen(&upstream) {
        // While nobody serves the slot proxies decide alone: what they admit beyond the amount is bounded, and little.
        assert!(most <= AMOUNT * 5 / 4, "{user}: {most} within a window, of {AMOUNT}; {} unanswered", unanswered(&all));
        assert!(count >= AMOUNT, "{user}: {count}");
    }
}

#[tokio::test]
async fn tokens_are_settled_for_all_proxies_by_what_was_used() {
    let (cluster, upstream) = (RedisCluster::start().unwrap(), upstream());
    let all = proxies(2, &cluster, &manifests(&upstream, "{per: Route, unit: Tokens, amount: 10000, window: 1h}"));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let left = |answer: &Answer| answer.header("x-ratelimit-remaining-tokens").parse::<u64>().unwrap();
    let first = ask(&clients[0], "a", 1_000).await.unwrap();
    let reserved = 10_000 - left(&first);
    let mut used = 5;
    for round in 1..40 {
        // What was settled is told a moment later.
        tokio::time::sleep(Duration::from_millis(60)).await;
        let answer = ask(&clients[round % 2], "a", 1_000).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        if round > 30 {
            let now = 10_000 - left(&answer) - reserved;
            assert!((used..=used + reserved).contains(&now), "round {round}: {now} of {used}");
        }
        used += 5;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let last = ask(&clients[0], "a", 1_000).await.unwrap();
    assert_eq!(10_000 - left(&last) - reserved, used, "forty calls of five tokens each");
}

#[tokio::test]
async fn what_the_last_calls_used_is_told_before_a_proxy_stops() {
    let (cluster, upstream) = (RedisCluster::start().unwrap(), upstream());
    let text = manifests(&upstream, "{per: Route, unit: Tokens, amount: 100000, window: 1h}");
    let watching = proxies(1, &cluster, &text).remove(0);
    let left = |answer: &Answer| answer.header("x-ratelimit-remaining-tokens").parse::<u64>().unwrap();
    // The first ones may come before its connection to Redis is there.
    let (mut calls, mut first) = (1, ask(&watching.client(), "a", 10).await.unwrap());
    while left(&first) == 0 {
        assert!(calls < 50, "Redis does not answer");
        tokio::time::sleep(Duration::from_millis(500)).await;
        (calls, first) = (calls + 1, ask(&watching.client(), "a", 10).await.unwrap());
    }
    let reserved = 100_000 - left(&first) - 5 * (calls - 1);
    // Each has taken far more than it used when its proxy is told to stop, at once and within the time that is gathered.
    for pause in [0, 5, 15] {
        let mut stopped = proxies(1, &cluster, &text).remove(0);
        let answer = ask(&stopped.client(), "a", 20_000).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(pause)).await;
        stopped.terminate().unwrap();
        assert!(stopped.ended().await.unwrap().success());
        tokio::time::sleep(Duration::from_millis(100)).await;
        calls += 2;
        let used = 100_000 - left(&ask(&watching.client(), "a", 10).await.unwrap()) - reserved;
        assert_eq!(used, 5 * (calls - 1), "told to stop {pause} ms behind its answer's end");
    }
}

#[tokio::test]
async fn a_calls_own_reservation_refuses_no_call_that_follows_its_answer() {
    let (cluster, upstream) = (RedisCluster::start().unwrap(), upstream());
    let limit = "{per: Header, header: x-lane, unit: Tokens, amount: 1000, window: 1h}";
    let all = proxies(2, &cluster, &manifests(&upstream, limit));
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    // One after another, each of which reserves more than half: by one proxy and by both in turn.
    for (lane, over) in [("one", 1), ("both", 2)] {
        for round in 0..25 {
            let answer = ask(&clients[round % over], lane, 600).await.unwrap();
            assert_eq!(answer.status, 200, "{lane}, call {round}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn with_all_of_redis_gone_each_proxy_takes_its_share_and_none_more() {
    let (mut cluster, upstream) = (RedisCluster::start().unwrap(), upstream());
    let limit = |on: &str| {
        format!("{{per: Header, header: x-lane, unit: Requests, amount: 10, window: 1h, onUnavailable: {on}}}")
    };
    let text = manifests(&upstream, &limit("Share"));
    let rule = |name: &str| {
        format!(
            "  - {{name: {name}, matches: [{{headers: [{{name: x-lane, exact: {name}}}]}}], limits: {{rate: [{}]}}, targets: [{{poolRef: {{name: p}}}}]}}\n",
            limit(if name == "open" { "FailOpen" } else { "FailClosed" })
        )
    };
    let text = text.replace("  - {name: all", &(rule("open") + &rule("closed") + "  - {name: all"));
    let all = proxies(3, &cluster, &text);
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let known = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_limit_proxies", &[]) as u64 == 3;
    for proxy in &all {
        proxy.until("all know of each other", known).await.unwrap();
    }
    // Four are taken while Redis is there.
    for at in 0..4 {
        assert_eq!(ask(&clients[at % 3], "before", 9).await.unwrap().status, 200);
    }
    for number in 0..6 {
        cluster.node(number).unwrap().kill().unwrap();
    }
    let taken = |user: &'static str| {
        let clients = &clients;
        async move {
            let (mut good, mut others, mut left) = (Vec::new(), Vec::new(), Vec::new());
            for client in clients {
                let mut of_it = 0;
                for _ in 0..10 {
                    let answer = ask(client, user, 9).await.unwrap();
                    if answer.status == 200 {
                        of_it += 1;
                        left.push(answer.header("x-ratelimit-remaining-requests").to_owned());
                    } else {
                        others.push(answer.status);
                    }
                }
                good.push(of_it);
            }
            for list in [&mut good, &mut others] {
                list.sort_unstable();
            }
            others.dedup();
            left.sort_unstable();
            left.dedup();
            (good, others, left.join(" "))
        }
    };
    // Answers say what is left of the share, and nothing where nobody knows.
    assert_eq!(taken("new").await, (vec![3, 3, 4], vec![429], "0 1 2 3".to_owned()));
    let (good, others, _) = taken("before").await;
    assert!(good.iter().sum::<u16>() <= 6, "{good:?}");
    assert_eq!(others, [429]);
    assert_eq!(taken("open").await, (vec![10, 10, 10], vec![], String::new()));
    assert_eq!(taken("closed").await, (vec![0, 0, 0], vec![503], String::new()));
}
