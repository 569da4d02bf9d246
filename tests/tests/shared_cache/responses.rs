//! Conversations that the gateway keeps: begun at one proxy, gone on with at another; without Redis nobody guesses.

use serde_json::json;
use sluicegate_tests::redis_cluster::RedisCluster;

use super::{Proxy, run};

const RESPONSES: &str = "/v1/responses";

#[test]
fn a_conversation_goes_on_at_another_proxy_and_waits_for_redis() {
    run(async {
        let mut cluster = RedisCluster::start().unwrap();
        let keys = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(keys.path(), "0123456789abcdef0123456789abcdef").unwrap();
        let flags = ["--response-keys", keys.path().to_str().unwrap(), "--keep-responses", "1h"];
        let cache = "{ttl: 0s}";
        let (one, two) =
            (Proxy::start_with(&cluster, cache, &flags).await, Proxy::start_with(&cluster, cache, &flags).await);
        let first =
            one.call(RESPONSES, "k", &json!({"model": "m", "input": "My name is Ada-of-the-sea."})).await.json();
        let on = json!({"model": "m", "input": "x", "previous_response_id": first["id"]});
        let second = two.call(RESPONSES, "k", &on).await;
        assert_eq!(second.status, 200, "{second:?}");
        let tokens = |answer: &serde_json::Value| answer["usage"]["input_tokens"].as_u64().unwrap();
        assert!(tokens(&second.json()) > tokens(&first), "{second:?}");
        let foreign = two.call(RESPONSES, "other", &on).await;
        assert_eq!(
            (foreign.status.as_u16(), &foreign.json()["error"]["code"]),
            (400, &json!("previous_response_not_found"))
        );
        // Nobody reads prompts in Redis, and each goes after its time.
        let kept: Vec<String> = cluster.keys().unwrap().into_iter().filter(|key| key.ends_with(":response")).collect();
        assert_eq!(kept.len(), 2, "{kept:?}");
        for key in &kept {
            let at = cluster.master_of(key).unwrap();
            let node = cluster.node(at).unwrap();
            let text: Vec<u8> = node.ask(&["GET", key]).unwrap();
            assert!(!text.windows(3).any(|part| part == b"Ada"));
            let left: i64 = node.ask(&["PTTL", key]).unwrap();
            assert!((1..=3_600_000).contains(&left), "{left}");
        }
        // An item of the first proxy's answer is said by the other one, to its owner alone.
        let named = json!({"model": "m", "input": [{"type": "item_reference", "id": first["output"][0]["id"]}, {"role": "user", "content": "x"}]});
        let said = two.call(RESPONSES, "k", &named).await;
        assert!(said.status == 200 && tokens(&said.json()) > 1, "{said:?}");
        assert_eq!(two.call(RESPONSES, "other", &named).await.status.as_u16(), 404);
        for node in 0..cluster.nodes().len() {
            cluster.node(node).unwrap().kill().unwrap();
        }
        let away = two.call(RESPONSES, "k", &on).await;
        assert_eq!(away.status.as_u16(), 503, "{away:?}");
        assert!(String::from_utf8_lossy(&away.body).contains("send the whole conversation in `input`"), "{away:?}");
        // Who names nothing that is kept is answered.
        assert_eq!(two.call(RESPONSES, "k", &json!({"model": "m", "input": "x"})).await.status, 200);
    });
}
