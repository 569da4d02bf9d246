//! The way of a call through the layers.

use http::HeaderValue;
use sluicegate_config::{
    Cache, CacheKey, CacheScope, MemoryCache, Millis, ObjectId, Promotion, Route, Rule, Snapshot, Timeouts,
};
use sluicegate_dialects::Dialect;

use super::*;
use crate::cache::store::{SharedCache, place};
use crate::redis::tests::{Server, until, worker};
use crate::redis::{Login, RedisClient};

const ROUTE: &str = "team/route";
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;

fn settings() -> Cache {
    Cache {
        ttl: Millis(60_000),
        scope: CacheScope::Consumer,
        memory: Some(MemoryCache { max_entries: 100, max_bytes: 1 << 20 }),
        redis: true,
        promotion: None,
        key: CacheKey { trim: false, lowercase: false, temperature_decimals: None, ignore: Vec::new() },
        min_content_length: 0,
        store_length: false,
        max_bytes: 1 << 20,
        compress_over: Some(100),
        generation: 1,
    }
}

fn snapshot(cache: Option<Cache>) -> Snapshot {
    let timeouts = Timeouts::default();
    let (targets, fallbacks, matches) = (Vec::new(), Vec::new(), Vec::new());
    let rule = Rule {
        unlisted: false,
        name: "chat".into(),
        matches,
        targets,
        fallbacks,
        cache,
        coalesce: None,
        prompt_cache: None,
        limits: Vec::new(),
        own_limits: false,
        budgets: Vec::new(),
        request: None,
        hedge: None,
        stream_failover: None,
        mirror: None,
        concurrency: None,
        own_concurrency: false,
        timeouts,
    };
    let route =
        Route { format: 1, revision: String::new(), requires: Vec::new(), created: 0, access: None, rules: vec![rule] };
    Snapshot { routes: [(ObjectId(ROUTE.into()), route)].into(), ..Snapshot::default() }
}

fn shared(cache: &Cache) -> (Arc<SharedCache>, Arc<Plan>) {
    let shared = SharedCache::new();
    shared.apply(&snapshot(Some(cache.clone())));
    let plan = shared.plan(&ObjectId(ROUTE.into()), "chat", cache);
    (shared, plan)
}

fn asked(headers: &HeaderMap) -> CacheQuery<'_> {
    CacheQuery {
        dialect: Dialect::OpenAiChat,
        caller: None,
        headers,
        goes_on: &|_| true,
        beta: false,
        served_by: [0; 32],
        model: None,
        body: BODY.as_bytes(),
        stream: false,
        stream_usage: false,
        accepts: None,
    }
}

fn entry(store: &Store, whole: &str) -> CacheEntry {
    let (body, packed) = store.codec().pack(&Bytes::copy_from_slice(whole.as_bytes()), Some(100));
    let (dialect, stored_at) = (Dialect::OpenAiChat, Wall::now());
    let meta = Meta { dialect, model: "m".into(), usage: None, stored_at, ttl: 60_000 };
    CacheEntry { meta: Arc::new(meta), body, packed }
}

async fn look_up(store: &Rc<Store>, plan: &Arc<Plan>) -> CacheLookup {
    store.look_up(plan, &asked(&HeaderMap::new())).await
}

fn keep(store: &Store, plan: &Plan, found: &CacheLookup, whole: &str) {
    let CacheLookup::Lead(lead) = found else { panic!("{found:?} is no lead") };
    store.put(plan, (*lead.key(), None), entry(store, whole));
}

fn hit(found: CacheLookup) -> Hit {
    let CacheLookup::Hit(hit) = found else { panic!("{found:?} is no hit") };
    hit
}

#[test]
fn a_miss_leads_and_what_it_keeps_is_a_hit_for_every_worker() {
    worker(async {
        let (shared, plan) = shared(&settings());
        let (one, two) = (Store::new(&shared, None), Store::new(&shared, None));
        let lead = look_up(&one, &plan).await;
        assert_eq!(lead.as_str(), "miss");
        let whole = format!("{{\"text\":\"{}\"}}", "long ".repeat(100));
        keep(&one, &plan, &lead, &whole);
        let hit = hit(look_up(&two, &plan).await);
        assert_eq!((hit.body.as_ref(), hit.layer, hit.stream), (whole.as_bytes(), Layer::Memory, false));
        assert_eq!(hit.age.as_secs(), 0);
        let stats = shared.stats();
        assert_eq!((stats.misses.get(), stats.memory_hits.get(), stats.stores.get()), (1, 1, 1));
        assert_eq!((stats.memory_stores.get(), stats.redis_stores.get()), (1, 0));
    });
}

#[test]
fn a_route_of_another_generation_has_forgotten() {
    worker(async {
        let (shared, plan) = shared(&settings());
        let store = Store::new(&shared, None);
        keep(&store, &plan, &look_up(&store, &plan).await, "{}");
        let next = Cache { generation: 2, ..settings() };
        shared.apply(&snapshot(Some(next.clone())));
        let next = shared.plan(&ObjectId(ROUTE.into()), "chat", &next);
        assert_eq!(look_up(&store, &next).await.as_str(), "miss");
        assert_eq!(look_up(&store, &plan).await.as_str(), "hit", "a reload alone forgets nothing");
    });
}

#[test]
fn a_route_that_goes_takes_its_layer_with_it() {
    worker(async {
        let (shared, plan) = shared(&settings());
        let store = Store::new(&shared, None);
        keep(&store, &plan, &look_up(&store, &plan).await, "{}");
        assert_eq!(shared.filled().0, 1);
        shared.forget(&ObjectId(ROUTE.into()));
        assert_eq!(shared.filled(), (0, 0));
    });
}

#[test]
fn the_callers_cache_control_is_obeyed() {
    worker(async {
        let (shared, plan) = shared(&settings());
        let store = Store::new(&shared, None);
        keep(&store, &plan, &look_up(&store, &plan).await, "{}");
        for (told, expected) in [
            ("no-cache", "miss"),
            ("max-age=0", "miss"),
            ("max-age=x", "miss"),
            ("max-age=3600", "hit"),
            ("No-Store", "bypass"),
            ("max-age=3600, no-store", "bypass"),
            ("no-transform", "hit"),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(told))]);
            assert_eq!(store.look_up(&plan, &asked(&headers)).await.as_str(), expected, "{told}");
        }
        let none = HeaderMap::new();
        let stored = CacheQuery { body: br#"{"store":true}"#, ..asked(&none) };
        assert!(matches!(store.look_up(&plan, &stored).await, CacheLookup::Bypass(Uncacheable::Stored)));
        assert_eq!(shared.stats().bypasses.get(), 3);
    });
}

#[test]
fn what_one_proxy_keeps_another_finds_in_redis_and_copies_when_it_is_popular() {
    worker(async {
        let server = Server::start(&[]);
        let rule = Some(Promotion { hits: 3, within: Millis(60_000) });
        let cache = Cache { promotion: rule, ..settings() };
        let ((here, plan), (there, other)) = (shared(&cache), shared(&cache));
        let remote =
            |shared: &SharedCache| RedisClient::open(&[server.url()], Login::default(), shared.redis()).unwrap();
        let (one, two) = (Store::new(&here, Some(remote(&here))), Store::new(&there, Some(remote(&there))));
        until("the connections", || [&one, &two].iter().all(|s| s.remote.as_ref().unwrap().is_ready())).await;
        let whole = format!("{{\"text\":\"{}\"}}", "long ".repeat(100));
        let mut found = look_up(&two, &other).await;
        keep(&one, &plan, &look_up(&one, &plan).await, &whole);
        for _ in 0..100 {
            if matches!(found, CacheLookup::Hit(_)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            found = look_up(&two, &other).await;
        }
        let first = hit(found);
        assert_eq!((first.body.as_ref(), first.layer), (whole.as_bytes(), Layer::Redis));
        let layers =
            [hit(look_up(&two, &other).await), hit(look_up(&two, &other).await), hit(look_up(&two, &other).await)];
        assert_eq!(layers.map(|hit| hit.layer), [Layer::Redis, Layer::Redis, Layer::Memory]);
        assert_eq!((there.stats().promotions.get(), there.stats().redis_hits.get()), (1, 3));
    });
}

#[test]
fn nonsense_in_redis_is_a_miss() {
    worker(async {
        let server = Server::start(&[]);
        let (shared, plan) = shared(&Cache { memory: None, ..settings() });
        let store =
            Store::new(&shared, Some(RedisClient::open(&[server.url()], Login::default(), shared.redis()).unwrap()));
        let remote = store.remote.as_ref().unwrap();
        until("the connection", || remote.is_ready()).await;
        let CacheLookup::Lead(lead) = look_up(&store, &plan).await else { panic!("a hit in an empty cache") };
        remote.set(&place(lead.key(), None), b"SGC\x01 nonsense", Duration::from_secs(60));
        for _ in 0..100 {
            assert_eq!(look_up(&store, &plan).await.as_str(), "miss");
            if shared.stats().corrupt.get() > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never read back");
    });
}
