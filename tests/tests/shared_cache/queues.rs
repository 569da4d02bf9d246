//! Limits of concurrency over several proxies and a real cluster: the provider, by its own count, never works on more calls at once.

use std::cell::Cell;
use std::time::{Duration, Instant};

use sluicegate_tests::client::Client;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::RedisCluster;
use sluicegate_tests::upstream::{Act, AtWork, Gate, Upstream, answer};

const MAX: u64 = 6;
const CHAT: &str = "/v1/chat/completions";
/// By then a proxy that is gone has given its places back.
const LIFE: Duration = Duration::from_secs(7);

fn fine() -> Act {
    let body = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    answer(200, &[("content-type", "application/json")], body.as_bytes())
}

/// An upstream that counts what it works on, each call for so long.
fn counting(at_work: &AtWork, time: Duration) -> Upstream {
    let at_work = at_work.clone();
    Upstream::start(move |_| {
        at_work.come();
        vec![Act::Wait(time), Act::Over(at_work.clone()), fine()]
    })
    .unwrap()
}

fn proxies(count: usize, cluster: &RedisCluster, upstream: &Upstream) -> Vec<Proxy> {
    limited(count, cluster, upstream, "queue: {timeout: 60s}")
}

fn limited(count: usize, cluster: &RedisCluster, upstream: &Upstream, queue: &str) -> Vec<Proxy> {
    let text = format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  providers:\n  \
         - {{name: one, type: OpenAICompatible, url: \"http://{}\"}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  \
         limits: {{concurrency: {{max: {MAX}, {queue}}}}}\n  \
         rules:\n  - {{name: all, targets: [{{poolRef: {{name: p}}}}]}}\n",
        upstream.address
    );
    let urls = cluster.urls().join(",");
    (0..count).map(|_| Proxy::start(&[("all.yaml", &text)], &["--workers", "2", "--redis", &urls]).unwrap()).collect()
}

async fn ask(client: &Client) -> anyhow::Result<u16> {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"?"}]}"#;
    Ok(client.post(CHAT, &[], body).await?.status)
}

/// So many callers of each proxy call it again and again, until the time is over. Says how many were answered.
async fn flood(clients: &[Client], each: usize, time: Duration, gone: &Cell<bool>) -> u64 {
    let (until, answered) = (Instant::now() + time, Cell::new(0_u64));
    let callers = clients.iter().flat_map(|client| (0..each).map(move |_| client)).map(|client| {
        let answered = &answered;
        async move {
            while Instant::now() < until {
                match ask(client).await {
                    Ok(status) => assert_eq!(status, 200),
                    Err(error) => {
                        assert!(gone.get(), "{error:#}");
                        return;
                    }
                }
                answered.set(answered.get() + 1);
            }
        }
    });
    futures_util::future::join_all(callers).await;
    answered.get()
}

/// The number of scripts that the cluster has run.
fn scripts(cluster: &RedisCluster) -> u64 {
    let mut sum = 0;
    for node in cluster.nodes() {
        let said: String = node.ask(&["INFO", "commandstats"]).unwrap();
        let lines = said.lines().filter(|line| line.starts_with("cmdstat_eval"));
        sum += lines.filter_map(|line| line.split(['=', ',']).nth(1)?.parse::<u64>().ok()).sum::<u64>();
    }
    sum
}

#[tokio::test]
async fn over_three_proxies_one_of_which_is_killed_a_provider_never_works_on_more_than_the_limit() {
    let (cluster, at_work, gone) = (RedisCluster::start().unwrap(), AtWork::default(), Cell::new(false));
    let upstream = counting(&at_work, Duration::from_millis(20));
    let mut all = proxies(3, &cluster, &upstream);
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let before = scripts(&cluster);
    let answered = flood(&clients, 8, Duration::from_secs(4), &gone).await;
    assert_eq!(at_work.most(), MAX);
    let asked = scripts(&cluster) - before;
    assert!(asked < answered, "{asked} scripts for {answered} calls");
    // Each of them has had some: a third, about.
    for proxy in &all {
        let done = proxy.metrics().unwrap().sum("sluicegate_requests_total", &[("outcome", "done")]);
        assert!(done * 6.0 > answered as f64, "{done} of {answered}");
    }
    // One is killed with what it has; in time the others have all of it.
    let kill = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        gone.set(true);
        drop(all.pop());
        tokio::time::sleep(LIFE).await;
        at_work.look_again();
    };
    tokio::join!(flood(&clients, 8, LIFE + Duration::from_secs(3), &gone), kill);
    // More than the two had before; on a busy machine one may lie idle just then.
    assert!((MAX - 1..=MAX).contains(&at_work.most()), "{}", at_work.most());
}

#[tokio::test]
async fn a_master_that_is_killed_gives_nobody_more_and_fails_no_call() {
    let (mut cluster, at_work, gone) = (RedisCluster::start().unwrap(), AtWork::default(), Cell::new(false));
    let upstream = counting(&at_work, Duration::from_millis(20));
    let all = proxies(3, &cluster, &upstream);
    let clients: Vec<Client> = all.iter().map(Proxy::client).collect();
    let kill = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let key = cluster.keys().unwrap().into_iter().find(|key| key.ends_with(":places")).unwrap();
        let master = cluster.master_of(&key).unwrap();
        cluster.node(master).unwrap().kill().unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let most = at_work.most();
        at_work.look_again();
        most
    };
    let (answered, most) = tokio::join!(flood(&clients, 6, Duration::from_secs(16), &gone), kill);
    assert!(most <= MAX, "{most} while it was away");
    assert_eq!(at_work.most(), MAX, "{answered} calls");
}

#[tokio::test(flavor = "local")]
async fn places_that_lie_idle_at_one_proxy_are_another_ones() {
    let (cluster, gate) = (RedisCluster::start().unwrap(), Gate::default());
    let waits = gate.clone();
    let upstream =
        Upstream::start(
            move |received| {
                if received.number == 0 { vec![fine()] } else { vec![Act::Until(waits.clone()), fine()] }
            },
        )
        .unwrap();
    let all = proxies(2, &cluster, &upstream);
    assert_eq!(ask(&all[0].client()).await.unwrap(), 200);
    let begin = |proxy: &Proxy| {
        let client = proxy.client();
        tokio::task::spawn_local(async move { ask(&client).await.unwrap() })
    };
    let calls: Vec<_> = (0..10).map(|_| begin(&all[1])).collect();
    all[1].until("it has all places", |_| upstream.calls() == 1 + MAX).await.unwrap();
    // The first one wants some of them, and has some as they become free.
    let other = begin(&all[0]);
    all[0].until("it waits", |proxy| proxy.metrics().unwrap().sum("sluicegate_queued_calls", &[]) > 0.5).await.unwrap();
    assert_eq!(upstream.calls(), 1 + MAX);
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert_eq!(other.await.unwrap(), 200);
}

#[tokio::test(flavor = "local")]
async fn without_a_queue_the_first_calls_have_their_places_and_the_next_is_refused() {
    let (cluster, gate) = (RedisCluster::start().unwrap(), Gate::default());
    let upstream = Upstream::always(vec![Act::Until(gate.clone()), fine()]).unwrap();
    let all = limited(2, &cluster, &upstream, "");
    let calls: Vec<_> = (0..MAX)
        .map(|number| {
            let client = all[usize::from(number % 2 == 1)].client();
            tokio::task::spawn_local(async move {
                // On a busy machine Redis may be asked too late: then the caller comes again.
                loop {
                    match ask(&client).await.unwrap() {
                        429 | 503 => tokio::time::sleep(Duration::from_millis(100)).await,
                        status => return status,
                    }
                }
            })
        })
        .collect();
    all[0].until("all are at work", |_| upstream.calls() == MAX).await.unwrap();
    for proxy in &all {
        assert_eq!(ask(&proxy.client()).await.unwrap(), 429);
    }
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
}
