//! Files and batches that are kept by a provider: lists and what was counted are one for all proxies.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::RedisCluster;
use sluicegate_tests::upstream::{Act, Received, Upstream, answer};

use super::run;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A provider that keeps one file after the other, and has worked off every batch.
fn keeper() -> Upstream {
    let made = std::sync::atomic::AtomicUsize::new(0);
    Upstream::start(move |received| vec![told(received, &made)]).unwrap()
}

fn told(received: &Received, made: &std::sync::atomic::AtomicUsize) -> Act {
    let mut words = received.head.lines().next().unwrap().split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let file = |id: &str| json!({"id": id, "object": "file", "bytes": 3, "purpose": "batch", "status": "processed"});
    let of_one = path.strip_prefix("/v1/files/");
    let told = match (method, path, of_one) {
        ("POST", "/v1/files", _) => file(&format!("file-{}", made.fetch_add(1, std::sync::atomic::Ordering::Relaxed))),
        ("POST", "/v1/batches", _) => {
            json!({"id": "batch_0", "object": "batch", "input_file_id": "file-0", "output_file_id": "file-out", "error_file_id": null, "status": "completed"})
        }
        ("GET", _, Some("file-out/content")) => {
            let body = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}});
            json!({"custom_id": "a", "response": {"status_code": 200, "body": body}})
        }
        ("GET", _, Some(id)) => file(id),
        ("DELETE", _, Some(id)) => json!({"id": id, "object": "file", "deleted": true}),
        _ => json!({}),
    };
    answer(200, &JSON, format!("{told}\n").as_bytes())
}

async fn call(client: &Client, key: &str, (method, path): (&str, &str), (kind, body): (&str, &str)) -> Answer {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
    let request = request.header("content-type", kind).body(Full::new(Bytes::from(body.to_owned())));
    client.send(request.unwrap()).await.unwrap()
}

async fn uploaded(client: &Client, key: &str) -> String {
    let line = json!({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": []}});
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{line}\r\n--b--\r\n"
    );
    let made = call(client, key, ("POST", "/v1/files"), ("multipart/form-data; boundary=b", &body)).await;
    assert!(made.is_good(), "{}", made.text());
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn listed(client: &Client, key: &str) -> Vec<String> {
    let answer = call(client, key, ("GET", "/v1/files"), (JSON[0].1, "")).await;
    assert!(answer.is_good(), "{}", answer.text());
    let id = |file: &Value| file["id"].as_str().unwrap().to_owned();
    answer.json()["data"].as_array().unwrap().iter().map(id).collect()
}

/// Two proxies on one cluster and one keeper of files.
struct House {
    cluster: RedisCluster,
    _upstream: Upstream,
    proxies: [Proxy; 2],
}

impl House {
    fn start() -> Self {
        let (cluster, upstream) = (RedisCluster::start().unwrap(), keeper());
        let text = format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  providers:\n  \
             - {{name: one, type: OpenAI, url: \"http://{}\", models: [{{name: m, price: {{inputPerMillion: \"1000\", outputPerMillion: \"1000\"}}}}]}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  rules:\n  \
             - {{name: all, matches: [{{model: {{exact: m}}}}], targets: [{{poolRef: {{name: p}}}}]}}\n",
            upstream.address
        );
        let keys = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(keys.path(), "0123456789abcdef0123456789abcdef").unwrap();
        let urls = cluster.urls().join(",");
        let flags = ["--workers", "1", "--redis", &urls, "--response-keys", keys.path().to_str().unwrap()];
        let proxies = [0, 1].map(|_| Proxy::start(&[("all.yaml", &text)], &flags).unwrap());
        Self { cluster, _upstream: upstream, proxies }
    }

    /// The keys in Redis that end so, each with what a command says of it.
    fn kept<T: redis::FromRedisValue>(&self, end: &str, command: &str, more: &[&str]) -> Vec<T> {
        let keys = self.cluster.keys().unwrap().into_iter().filter(|key| key.ends_with(end));
        let asked = |key: String| {
            let node = &self.cluster.nodes()[self.cluster.master_of(&key).unwrap()];
            node.ask(&[&[command, key.as_str()], more].concat()).unwrap()
        };
        keys.map(asked).collect()
    }
}

#[test]
fn what_an_owner_has_made_is_listed_by_every_proxy() {
    run(async {
        let mut house = House::start();
        let [one, two] = [house.proxies[0].client(), house.proxies[1].client()];
        let mut made = vec![uploaded(&one, "k").await, uploaded(&two, "k").await, uploaded(&one, "k").await];
        made.reverse();
        uploaded(&two, "other").await;
        assert_eq!((listed(&one, "k").await, listed(&two, "k").await), (made.clone(), made.clone()));
        let gone = call(&two, "k", ("DELETE", &format!("/v1/files/{}", made[1])), (JSON[0].1, "")).await;
        assert!(gone.is_good(), "{}", gone.text());
        assert_eq!(listed(&one, "k").await, [made[0].clone(), made[2].clone()]);
        // They are in Redis as ids that only their owner's calls open, for a time.
        let left: Vec<i64> = house.kept(":owned", "PTTL", &[]);
        assert!(left.len() == 2 && left.iter().all(|left| (1..=90 * 86_400_000).contains(left)), "{left:?}");
        let ids = house.kept::<Vec<String>>(":owned", "ZRANGE", &["0", "-1"]).concat();
        let is_bare = |id: &String| ["file-0", "file-1", "file-2", "file-3"].contains(&id.as_str());
        assert!(ids.len() == 3 && !ids.iter().any(is_bare), "{ids:?}");

        // Without Redis nobody guesses what there is; what is known by its id is there.
        for node in 0..house.cluster.nodes().len() {
            house.cluster.node(node).unwrap().kill().unwrap();
        }
        let away = call(&one, "k", ("GET", "/v1/files"), (JSON[0].1, "")).await;
        assert_eq!((away.status, away.header("x-should-retry")), (503, "true"), "{}", away.text());
        let known = call(&one, "k", ("GET", &format!("/v1/files/{}", made[0])), (JSON[0].1, "")).await;
        assert!(known.is_good(), "{}", known.text());
    });
}

#[test]
fn what_a_batch_used_is_counted_once_by_all_proxies_together() {
    run(async {
        let house = House::start();
        let [one, two] = [house.proxies[0].client(), house.proxies[1].client()];
        let input = uploaded(&one, "k").await;
        let batch = json!({"input_file_id": input, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
        let batch = call(&one, "k", ("POST", "/v1/batches"), (JSON[0].1, &batch.to_string())).await;
        assert!(batch.is_good(), "{}", batch.text());
        let results = format!("/v1/files/{}/content", batch.json()["output_file_id"].as_str().unwrap());
        for client in [&one, &two, &one, &two] {
            let told = call(client, "k", ("GET", &results), (JSON[0].1, "")).await;
            assert!(told.is_good() && told.text().contains("custom_id"), "{}", told.text());
            // The mark that all is counted is written behind the answer.
            let mut looks = 0;
            while house.kept::<String>(":counted", "GET", &[]) != ["all"] {
                looks += 1;
                assert!(looks < 1_000, "nothing says that the batch is counted");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        let tokens = |proxy: &Proxy| proxy.metrics().unwrap().sum("sluicegate_tokens_total", &[]);
        let counted = house.proxies.each_ref().map(tokens);
        assert!((counted[0] - 110.0).abs() < 0.1 && counted[1] < 0.1, "{counted:?}");
    });
}
