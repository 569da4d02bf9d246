//! The cache's key: white space and member order never matter, `stream` neither, the model always does.

use std::sync::LazyLock;

use http::HeaderMap;
use serde_json::{Map, Value};
use sluicegate_config::{Cache, CacheKey, CacheScope, Millis, ObjectId};

use super::super::key::{CacheQuery, Key, Recipe, Uncacheable};
use sluicegate_dialects::Dialect;

static RECIPES: LazyLock<[Recipe; 2]> = LazyLock::new(|| {
    let strict = CacheKey { trim: false, lowercase: false, temperature_decimals: None, ignore: Vec::new() };
    let ignore = vec!["user".to_owned()];
    let loose = CacheKey { trim: true, lowercase: true, temperature_decimals: Some(2), ignore };
    [strict, loose].map(|key| Recipe::new(&ObjectId("default/route".to_owned()), "rule", &settings(key)))
});

fn settings(key: CacheKey) -> Cache {
    Cache {
        ttl: Millis(60_000),
        scope: CacheScope::Route,
        memory: None,
        redis: false,
        promotion: None,
        key,
        min_content_length: 0,
        store_length: false,
        max_bytes: 1 << 20,
        compress_over: None,
        generation: 0,
    }
}

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let headers = HeaderMap::new();
    for recipe in &*RECIPES {
        for dialect in Dialect::ALL.iter().copied() {
            let key = |body: &[u8]| -> Result<Key, Uncacheable> {
                recipe.key(&CacheQuery {
                    dialect,
                    model: None,
                    caller: None,
                    headers: &headers,
                    goes_on: &|_| true,
                    beta: false,
                    served_by: [0; 32],
                    body,
                    stream: false,
                    stream_usage: false,
                    accepts: None,
                })
            };
            let first = key(data);
            assert_eq!(first, key(data), "the same body, the same key");
            assert_eq!(first, key(&spaced(data)), "white space: {}", String::from_utf8_lossy(&spaced(data)));
            if let (Ok(first), Ok(tree)) = (first, serde_json::from_slice::<Map<String, Value>>(data)) {
                meaning(&key, first, &tree);
            }
        }
    }
}

fn meaning(key: &impl Fn(&[u8]) -> Result<Key, Uncacheable>, first: Key, tree: &Map<String, Value>) {
    let written = |tree: &Map<String, Value>| serde_json::to_vec(tree).expect("a tree serialises");
    let once = key(&written(tree)).expect("it had a key");
    let reversed: Map<String, Value> = tree.iter().rev().map(|(name, value)| (name.clone(), value.clone())).collect();
    assert_eq!(key(&written(&reversed)), Ok(once), "member order");
    let mut streamed = tree.clone();
    streamed.insert("stream".to_owned(), Value::Bool(true));
    assert_eq!(key(&written(&streamed)), Ok(once), "streamed and whole are one");
    let mut other = tree.clone();
    other.insert("model".to_owned(), Value::String("no model has this name".to_owned()));
    if tree.get("model") != other.get("model") {
        let other = key(&written(&other)).expect("it had a key");
        assert!(other != once && other != first, "another model, another key");
    }
}

/// The same JSON with white space around everything that is no value.
fn spaced(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() * 2);
    let (mut inside, mut escaped) = (false, false);
    for &byte in data {
        if !inside && b"{}[]:,".contains(&byte) {
            out.extend_from_slice(b" \n");
            out.push(byte);
            out.extend_from_slice(b"\t\r");
            continue;
        }
        out.push(byte);
        if inside && !escaped && byte == b'"' {
            inside = false;
        } else if !inside && byte == b'"' {
            inside = true;
        }
        escaped = inside && !escaped && byte == b'\\';
    }
    out
}
