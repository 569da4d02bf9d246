//! One entry per call, counted once, whatever happens; and what is counted reads as it should.

use std::time::Duration;

use sluicegate_config::{
    AllowedRoutes, Backoff, CircuitBreaker, Connection, Defaults, HttpVersion, Millis, Model, ObjectId, PicoUsd, Pool,
    PoolTimeouts, Price, Provider, ProviderKind, Rates, Retry, RetryOn, Route, Rule, Snapshot, Strategy, Timeouts,
};
use sluicegate_dialects::hub::Usage;

use super::super::access_log::{LogQueue, LogSettings, LogWriter};
use super::*;
use crate::account::CacheLayer;
use crate::account::table::ModelIx;

fn provider(name: &str, kind: ProviderKind) -> Provider {
    let models = [("gpt-x".to_owned(), Model { upstream_name: Some("gpt-x-2026".to_owned()), ..Model::default() })];
    Provider {
        name: name.to_owned(),
        kind,
        url: "http://127.0.0.1:1".to_owned(),
        api_version: None,
        service: None,
        model_server: None,
        endpoints: None,
        credential: None,
        keys: Vec::new(),
        identity: None,
        weight: 1,
        priority: 0,
        models: models.into_iter().collect(),
        region: None,
        regions: std::collections::BTreeMap::new(),
        discovery: None,
        defaults: Defaults::default(),
        connection: Connection {
            http: HttpVersion::Auto,
            max_connections: 1,
            max_idle: 1,
            idle_timeout: Millis(1),
            idle_said: true,
            tcp_keepalive: None,
            dns_ttl: None,
            compress_requests_over: None,
            drain_abandoned: None,
            ca_pem: None,
            server_name: None,
        },
        set_headers: Default::default(),
        pass_headers: Vec::new(),
        remove_headers: Vec::new(),
        compatibility: Default::default(),
        concurrency: None,
        endpoint_concurrency: None,
        rate: Vec::new(),
        simulated: None,
    }
}

fn pool() -> Pool {
    let second = Millis(1_000);
    Pool {
        format: 1,
        revision: "p".to_owned(),
        requires: Vec::new(),
        strategy: Strategy::Weighted,
        quality_floor_milli: None,
        affinity: None,
        health_check: None,
        providers: vec![provider("a", ProviderKind::OpenAi), provider("b", ProviderKind::Anthropic)],
        timeouts: PoolTimeouts {
            connect: second,
            first_token: second,
            idle: second,
            total: second,
            stream_total: None,
        },
        retry: Retry {
            attempts: 3,
            backoff: Backoff { initial: second, max: second, multiplier_milli: 2_000, jitter: true },
            on: RetryOn { connect: true, reset: true, timeout: true, statuses: vec![503] },
            budget_percent: 20,
        },
        circuit_breaker: CircuitBreaker {
            error_percent: 50,
            minimum_requests: 10,
            window: second,
            consecutive_failures: 5,
            open_for: second,
            max_open_for: second,
            half_open_requests: 1,
            max_open_percent: 50,
        },
        allowed_routes: AllowedRoutes::default(),
    }
}

fn snapshot() -> Snapshot {
    let rule = Rule {
        name: "chat".to_owned(),
        matches: Vec::new(),
        targets: Vec::new(),
        fallbacks: Vec::new(),
        cache: None,
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
        unlisted: false,
        timeouts: Timeouts::default(),
    };
    let route =
        |rules| Route { format: 1, revision: "r".to_owned(), requires: Vec::new(), created: 0, access: None, rules };
    Snapshot {
        routes: [
            (ObjectId("default/a".to_owned()), route(Vec::new())),
            (ObjectId("default/main".to_owned()), route(vec![rule])),
        ]
        .into_iter()
        .collect(),
        pools: [(ObjectId("default/pool".to_owned()), pool())].into_iter().collect(),
        ..Snapshot::default()
    }
}

struct LedgerBench {
    metrics: Arc<Metrics>,
    table: Arc<NameTable>,
    ledger: Rc<Ledger>,
    _writer: LogWriter,
}

fn bench() -> LedgerBench {
    let (queue, writer) = LogQueue::new();
    let metrics = Metrics::new(queue);
    let table = metrics.configure(&snapshot());
    let ledger = metrics.ledger(LogSettings { sample: 0.0 });
    LedgerBench { metrics, table, ledger, _writer: writer }
}

impl LedgerBench {
    fn text(&self) -> String {
        let mut text = String::new();
        self.metrics.write(&mut text).unwrap();
        text
    }

    fn samples(&self, name: &str) -> Vec<String> {
        let sample = |line: &&str| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']);
        self.text().lines().filter(sample).map(str::to_owned).collect()
    }

    fn open(&self) -> LedgerEntry {
        self.ledger.open(&self.table, Operation::Chat, Instant::now())
    }
}

#[test]
fn a_closed_entry_is_counted_once_and_its_drop_adds_nothing() {
    let bench = bench();
    let mut entry = bench.open();
    assert_eq!(bench.samples("sluicegate_inflight_requests"), ["sluicegate_inflight_requests 1"]);
    entry.route(bench.table.route(&ObjectId("default/main".to_owned())), 0);
    entry.answered(200, Instant::now());
    entry.close(End::Done);
    entry.close(End::Failed);
    entry.answered(500, Instant::now());
    drop(entry);
    assert_eq!(
        bench.samples("sluicegate_requests_total"),
        [
            r#"sluicegate_requests_total{route="default/main",pool="none",provider="none",model="none",code="200",outcome="done"} 1"#
        ]
    );
    assert_eq!(bench.samples("sluicegate_inflight_requests"), ["sluicegate_inflight_requests 0"]);
    assert_eq!(bench.ledger.in_flight(), 0);
}

#[test]
fn a_dropped_entry_is_counted_as_a_caller_that_left() {
    let bench = bench();
    drop(bench.open());
    let mut answered = bench.open();
    answered.answered(200, Instant::now());
    drop(answered);
    let counted = bench.samples("sluicegate_requests_total");
    assert_eq!(counted.len(), 2);
    assert!(counted[0].contains(r#"code="200",outcome="client_gone"} 1"#), "{counted:?}");
    assert!(counted[1].contains(r#"code="499",outcome="client_gone"} 1"#), "{counted:?}");
}

#[test]
fn an_entry_lost_in_a_panic_is_counted() {
    let bench = bench();
    let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _entry = bench.open();
        panic!("on purpose");
    }));
    assert!(lost.is_err());
    assert_eq!(bench.samples("sluicegate_requests_total").len(), 1);
    assert_eq!(bench.ledger.in_flight(), 0);
}

#[test]
fn every_call_is_counted_over_many_workers_and_configurations() {
    const CALLS: usize = 2_000;
    let bench = bench();
    let tables = [Arc::clone(&bench.table), bench.metrics.configure(&snapshot())];
    let threads: Vec<_> = (0..4)
        .map(|worker| {
            let (metrics, tables) = (Arc::clone(&bench.metrics), tables.clone());
            std::thread::spawn(move || {
                let ledger = metrics.ledger(LogSettings::default());
                let mut open = Vec::new();
                for call in 0..CALLS {
                    // Calls of the older configuration end after the newer has come.
                    let mut entry = ledger.open(&tables[(call + worker) % 2], Operation::Chat, Instant::now());
                    entry.answered(if call % 3 == 0 { 200 } else { 503 }, Instant::now());
                    open.push(entry);
                    if open.len() > 10 {
                        open.swap_remove(call % 10).close(End::Done);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let counted = bench.samples("sluicegate_requests_total");
    let total: usize = counted.iter().filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
    assert_eq!(total, 4 * CALLS, "{counted:?}");
    assert_eq!(bench.samples("sluicegate_inflight_requests"), ["sluicegate_inflight_requests 0"]);
}

#[test]
fn attempts_retries_and_failover_are_told_apart() {
    let bench = bench();
    let pool = ObjectId("default/pool".to_owned());
    let (a, b) = (bench.table.provider(&pool, "a"), bench.table.provider(&pool, "b"));
    let now = Instant::now();
    let mut entry = bench.open();
    for (provider, end) in [(a, AttemptEnd::ConnectFailed), (a, AttemptEnd::RateLimited), (b, AttemptEnd::Success)] {
        let mut attempt = entry.attempt(&bench.table, provider, now);
        attempt.close(end, &mut entry);
        attempt.close(AttemptEnd::Reset, &mut entry);
    }
    entry.close(End::Done);
    let mut left = bench.open();
    let attempt = left.attempt(&bench.table, b, now);
    drop(left);
    drop(attempt);
    assert_eq!(
        bench.samples("sluicegate_attempts_total"),
        [
            r#"sluicegate_attempts_total{pool="default/pool",provider="a",result="connect_failed"} 1"#,
            r#"sluicegate_attempts_total{pool="default/pool",provider="a",result="rate_limited"} 1"#,
            r#"sluicegate_attempts_total{pool="default/pool",provider="b",result="cancelled"} 1"#,
            r#"sluicegate_attempts_total{pool="default/pool",provider="b",result="success"} 1"#,
        ]
    );
    assert_eq!(
        bench.samples("sluicegate_retries_total"),
        [
            r#"sluicegate_retries_total{pool="default/pool",provider="a",reason="connect_failed"} 1"#,
            r#"sluicegate_retries_total{pool="default/pool",provider="a",reason="rate_limited"} 1"#,
        ]
    );
    assert_eq!(bench.samples("sluicegate_failovers_total"), [r#"sluicegate_failovers_total{route="none"} 1"#]);
}

#[test]
fn a_callers_own_words_never_become_a_label() {
    let bench = bench();
    for at in 0..100 {
        let mut entry = bench.open();
        entry.asked(&format!("evil\"}}\n{at}"));
        let mut attempt = entry.attempt(&bench.table, ProviderIx::default(), Instant::now());
        attempt.answered_model(&format!("made up {at}"));
        attempt.close(AttemptEnd::Success, &mut entry);
        entry.answered(404, Instant::now());
        entry.close(End::Refused);
    }
    let mut entry = bench.open();
    entry.asked("gpt-x");
    entry.close(End::Done);
    let counted = bench.samples("sluicegate_requests_total");
    assert_eq!(counted.len(), 2, "{counted:?}");
    assert!(counted[0].contains(r#"model="gpt-x""#) && counted[1].contains(r#"model="other",code="404""#));
    assert!(!bench.text().contains("evil") && !bench.text().contains("made up"));
}

#[test]
fn a_providers_status_codes_are_bounded_too() {
    let bench = bench();
    for code in 100..1_000 {
        let mut entry = bench.open();
        entry.answered(code, Instant::now());
        entry.close(End::Done);
    }
    let counted = bench.samples("sluicegate_requests_total");
    assert_eq!(counted.len(), 16);
    let rest = 900 - 15;
    let other = format!(r#"code="other",outcome="other"}} {rest}"#);
    assert!(counted.iter().any(|line| line.ends_with(&other)), "{counted:?}");
}

#[test]
fn tokens_cost_and_the_gen_ai_family() {
    let bench = bench();
    let rates = Rates::of(PicoUsd(2_500_000), PicoUsd(10_000_000));
    let price = Price::of(Rates { cached_input: PicoUsd(1_250_000), cache_write: PicoUsd(0), ..rates });
    let opened = Instant::now();
    let mut entry = bench.ledger.open(&bench.table, Operation::Chat, opened);
    entry.caller(Dialect::OpenAiChat, true);
    entry.asked("gpt-x");
    let provider = bench.table.provider(&ObjectId("default/pool".to_owned()), "a");
    let mut attempt = entry.attempt(&bench.table, provider, opened);
    attempt.answered_model("gpt-x-2026");
    entry.answered(200, opened);
    entry.first_token(opened + Duration::from_millis(3));
    // A stream says it twice: the last word counts, not the sum.
    attempt.usage(Usage { input: 1, ..Usage::default() }, Some(&price));
    attempt.usage(Usage { input: 1_000, cached_input: 400, output: 20, ..Usage::default() }, Some(&price));
    attempt.close(AttemptEnd::Success, &mut entry);
    entry.close(End::Done);
    let by = r#"{route="none",pool="default/pool",provider="a",model="gpt-x""#;
    assert_eq!(
        bench.samples("sluicegate_tokens_total"),
        [
            format!(r#"sluicegate_tokens_total{by},type="cached_input"}} 400"#),
            format!(r#"sluicegate_tokens_total{by},type="input"}} 1000"#),
            format!(r#"sluicegate_tokens_total{by},type="output"}} 20"#),
        ]
    );
    // 600 × 2.5 + 400 × 1.25 + 20 × 10 dollars per million.
    assert_eq!(bench.samples("sluicegate_cost_usd_total"), [format!("sluicegate_cost_usd_total{by}}} 0.0022")]);
    let gen_ai = r#"gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="gpt-x",gen_ai_response_model="gpt-x-2026""#;
    let sums = bench.samples("gen_ai_client_token_usage_sum");
    assert_eq!(sums.len(), 3);
    assert_eq!(sums[1], format!(r#"gen_ai_client_token_usage_sum{{{gen_ai},gen_ai_token_type="input"}} 1000.0"#));
    for name in [
        "gen_ai_server_request_duration_seconds",
        "gen_ai_server_time_to_first_token_seconds",
        "gen_ai_server_time_per_output_token_seconds",
    ] {
        let counts = bench.samples(&format!("{name}_count"));
        let error = if name.contains("duration") { r#",error_type="""# } else { "" };
        assert_eq!(counts, [format!("{name}_count{{{gen_ai}{error}}} 1")]);
    }
}

#[test]
fn calls_that_failed_are_told_apart_from_fast_ones() {
    let bench = bench();
    let provider = bench.table.provider(&ObjectId("default/pool".to_owned()), "a");
    for (status, end) in
        [(200, End::Done), (502, End::Failed), (502, End::Failed), (400, End::Refused), (500, End::Done)]
    {
        let opened = Instant::now();
        let mut entry = bench.ledger.open(&bench.table, Operation::Chat, opened);
        let mut attempt = entry.attempt(&bench.table, provider, opened);
        entry.answered(status, opened);
        attempt.close(AttemptEnd::Success, &mut entry);
        entry.close(end);
    }
    let counts = bench.samples("gen_ai_server_request_duration_seconds_count");
    for told in [r#"error_type=""} 1"#, r#"error_type="failed"} 3"#, r#"error_type="refused"} 1"#] {
        assert!(counts.iter().any(|line| line.ends_with(told)), "{told}: {counts:?}");
    }
    let all = bench.samples("sluicegate_request_duration_seconds_count");
    assert!(all.len() == 1 && all[0].ends_with("} 5"), "{all:?}");
}

#[test]
fn a_cached_answer_costs_nothing_again() {
    let bench = bench();
    let mut entry = bench.open();
    entry.cache(CacheStatus::Hit(CacheLayer::Memory));
    let mut attempt = entry.attempt(&bench.table, ProviderIx::default(), Instant::now());
    attempt.usage(Usage { input: 10, output: 10, ..Usage::default() }, None);
    attempt.close(AttemptEnd::Success, &mut entry);
    entry.close(End::Done);
    assert!(bench.samples("sluicegate_tokens_total").is_empty());
    assert_eq!(
        bench.samples("sluicegate_cache_hits_total"),
        [r#"sluicegate_cache_hits_total{route="none",layer="memory"} 1"#]
    );
}

#[test]
fn overhead_leaves_caller_and_provider_out() {
    let bench = bench();
    let opened = Instant::now();
    let at = |millis| opened + Duration::from_millis(millis);
    let mut entry = bench.ledger.open(&bench.table, Operation::Chat, opened);
    entry.received(5, at(100));
    entry.attempt(&bench.table, ProviderIx::default(), at(101)).close(AttemptEnd::Reset, &mut entry);
    let mut attempt = entry.attempt(&bench.table, ProviderIx::default(), at(150));
    attempt.upstream_head(at(300));
    attempt.close(AttemptEnd::Success, &mut entry);
    entry.answered(200, at(302));
    entry.close(End::Done);
    assert_eq!(
        bench.samples("sluicegate_gateway_overhead_seconds_sum"),
        [r#"sluicegate_gateway_overhead_seconds_sum{route="none"} 0.003"#]
    );
}

#[test]
fn names_are_found_by_number_and_nothing_else_is() {
    let table = bench().table;
    let id = |name: &str| ObjectId(name.to_owned());
    assert_eq!(table.route_name(table.route(&id("default/a"))), "default/a");
    assert_eq!(table.route_name(table.route(&id("default/main"))), "default/main");
    assert_eq!(table.route(&id("default/nobody")), RouteIx::default());
    assert_eq!(table.rule_name(table.route(&id("default/main")), 0), Some("chat"));
    assert_eq!(&*table.provider_names(table.provider(&id("default/pool"), "b")).unwrap().name, "b");
    assert_eq!(table.provider(&id("default/pool"), "c"), ProviderIx::default());
    assert_eq!(table.provider(&id("default/other"), "a"), ProviderIx::default());
    assert_eq!(table.model_name(table.model("gpt-x-2026")), "gpt-x-2026");
    assert_eq!(table.model("gpt-y"), ModelIx::OTHER);
}

#[test]
fn a_cost_that_nobody_knows_is_not_nothing() {
    let bench = bench();
    let opened = Instant::now();
    let mut entry = bench.ledger.open(&bench.table, Operation::Chat, opened);
    entry.asked("gpt-x");
    let provider = bench.table.provider(&ObjectId("default/pool".to_owned()), "a");
    let mut attempt = entry.attempt(&bench.table, provider, opened);
    attempt.usage(Usage { input: 1_000, output: 20, ..Usage::default() }, None);
    attempt.close(AttemptEnd::Success, &mut entry);
    entry.close(End::Done);
    let by = r#"{route="none",pool="default/pool",provider="a",model="gpt-x"}"#;
    assert_eq!(bench.samples("sluicegate_cost_unknown_total"), [format!("sluicegate_cost_unknown_total{by} 1")]);
    assert!(bench.samples("sluicegate_cost_usd_total").is_empty());
}

#[test]
fn several_attempts_are_open_at_once_and_what_each_used_is_counted() {
    let bench = bench();
    let pool = ObjectId("default/pool".to_owned());
    let (a, b) = (bench.table.provider(&pool, "a"), bench.table.provider(&pool, "b"));
    let now = Instant::now();
    let used = |output| Usage { input: 10, output, ..Usage::default() };
    let mut entry = bench.open();
    entry.asked("gpt-x");
    let (mut slow, mut quick) = (entry.attempt(&bench.table, a, now), entry.attempt(&bench.table, b, now));
    slow.usage(used(1), None);
    quick.usage(used(7), None);
    quick.close(AttemptEnd::Success, &mut entry);
    entry.answered(200, now);
    entry.close(End::Done);
    // The call is over, and the attempt that nobody waits for is an entry of its own.
    slow.usage(used(3), None);
    drop(slow);
    let by = |provider: &str, kind: &str, count: u32| {
        format!(
            r#"sluicegate_tokens_total{{route="none",pool="default/pool",provider="{provider}",model="gpt-x",type="{kind}"}} {count}"#
        )
    };
    let expected = [by("a", "input", 10), by("a", "output", 3), by("b", "input", 10), by("b", "output", 7)];
    assert_eq!(bench.samples("sluicegate_tokens_total"), expected);
    let ends: Vec<_> = bench.samples("sluicegate_attempts_total");
    assert!(ends[0].contains(r#"provider="a",result="cancelled"} 1"#), "{ends:?}");
    assert!(ends[1].contains(r#"provider="b",result="success"} 1"#), "{ends:?}");
    let counted = bench.samples("sluicegate_requests_total");
    assert!(counted.iter().any(|line| line.contains(r#"provider="b""#) && line.ends_with(" 1")), "{counted:?}");
}

#[test]
fn a_call_whose_caller_left_is_in_flight_no_longer_and_tells_what_it_used() {
    let bench = bench();
    let opened = Instant::now();
    let mut entry = bench.ledger.open(&bench.table, Operation::Chat, opened);
    let provider = bench.table.provider(&ObjectId("default/pool".to_owned()), "a");
    let mut attempt = entry.attempt(&bench.table, provider, opened);
    entry.answered(200, opened);
    entry.caller_left(opened + Duration::from_secs(1));
    assert_eq!(bench.samples("sluicegate_inflight_requests"), ["sluicegate_inflight_requests 0"]);
    assert_eq!(bench.ledger.in_flight(), 0);
    attempt.usage(Usage { input: 3, output: 4, ..Usage::default() }, None);
    attempt.close(AttemptEnd::Success, &mut entry);
    entry.close_at(End::Done, opened + Duration::from_secs(9));
    assert_eq!(bench.ledger.in_flight(), 0);
    let counted = bench.samples("sluicegate_requests_total");
    assert!(counted[0].contains(r#"outcome="client_gone"} 1"#), "{counted:?}");
    let sums = bench.samples("sluicegate_request_duration_seconds_sum");
    assert!(sums[0].ends_with(" 1.0"), "{sums:?}");
    assert!(bench.samples("sluicegate_tokens_total")[1].ends_with(r#"type="output"} 4"#));
}
