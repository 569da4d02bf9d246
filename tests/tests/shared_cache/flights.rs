//! Identical calls to several proxies are one call to a provider, whichever of them dies, leaves or loses its Redis.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use rustix::process::Signal;
use sluicegate_tests::client::{Answer, post, read};
use sluicegate_tests::proxy::{Metrics, Proxy};
use sluicegate_tests::redis_cluster::RedisCluster;
use sluicegate_tests::upstream::{Act, Gate, Received, Upstream, answer, chunk, last_chunk, stream_head};
use tokio::task::JoinHandle;

const SAID: &str = "one two";

/// A form of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    anthropic: bool,
    stream: bool,
}

const WHOLE: Form = Form { anthropic: false, stream: false };
const STREAM: Form = Form { anthropic: false, stream: true };
const FORMS: [Form; 4] =
    [WHOLE, STREAM, Form { anthropic: true, stream: false }, Form { anthropic: true, stream: true }];

impl Form {
    fn request(self, model: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
        let path = if self.anthropic { "/v1/messages" } else { "/v1/chat/completions" };
        let stream = self.stream;
        let body = format!(
            r#"{{"model":"{model}","max_tokens":64,"stream":{stream},"messages":[{{"role":"user","content":"Say it."}}]}}"#
        );
        post(path, &[], body).unwrap()
    }

    /// The text of an answer.
    fn said(self, answer: &Answer) -> String {
        let text = answer.text();
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok());
        let of_delta = |event: serde_json::Value| {
            let delta = if self.anthropic { &event["delta"]["text"] } else { &event["choices"][0]["delta"]["content"] };
            delta.as_str().unwrap_or_default().to_owned()
        };
        if self.stream {
            return events.map(of_delta).collect();
        }
        let body = answer.json();
        let said = if self.anthropic { &body["content"][0]["text"] } else { &body["choices"][0]["message"]["content"] };
        said.as_str().unwrap_or_default().to_owned()
    }

    fn ends(self, answer: &Answer) -> bool {
        let end = if self.anthropic { "message_stop" } else { "data: [DONE]" };
        !self.stream || answer.text().contains(end)
    }

    fn assert_whole(self, answer: &Answer) {
        assert!(answer.is_good() && self.ends(answer), "{self:?} {}: {}", answer.status, answer.text());
        assert_eq!(self.said(answer), SAID, "{self:?}: {}", answer.text());
    }
}

/// Proxies on one cluster and one upstream.
struct House {
    cluster: RedisCluster,
    upstream: Upstream,
    proxies: Vec<Proxy>,
    /// What each had counted before.
    before: Vec<Metrics>,
}

impl House {
    async fn start(count: usize, upstream: Upstream) -> Self {
        Self::on(count, upstream, "").await
    }

    /// `more`: what the route says beside.
    async fn on(count: usize, upstream: Upstream, more: &str) -> Self {
        let cluster = RedisCluster::start().unwrap();
        let text = format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  retry: {{attempts: 1}}\n  providers:\n  \
             - {{name: one, type: OpenAICompatible, url: \"http://{}\"}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: warm}}\nspec:\n  providers:\n  \
             - {{name: one, type: Simulated}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  coalesce: {{scope: Cluster}}\n{more}  \
             rules:\n  - {{name: warm, matches: [{{model: {{prefix: warm}}}}], targets: [{{poolRef: {{name: warm}}}}]}}\n  \
             - {{name: all, matches: [{{model: {{prefix: m}}}}], targets: [{{poolRef: {{name: p}}}}]}}\n",
            upstream.address
        );
        let urls = cluster.urls().join(",");
        let flags = ["--workers", "1", "--redis", &urls];
        let proxies: Vec<_> = (0..count).map(|_| Proxy::start(&[("all.yaml", &text)], &flags).unwrap()).collect();
        let mut before = Vec::new();
        for proxy in &proxies {
            before.push(warm(proxy).await);
        }
        Self { cluster, upstream, proxies, before }
    }

    /// The sum over the proxies that answer.
    fn sum(&self, name: &str, label: (&str, &str)) -> u64 {
        let counted = self.proxies.iter().zip(&self.before).filter_map(|(proxy, before)| {
            let (_, page) = proxy.page("/metrics").ok()?;
            Some(Metrics(page).sum(name, &[label]) - before.sum(name, &[label]))
        });
        let sum: f64 = counted.sum();
        format!("{sum:.0}").parse().unwrap()
    }

    fn leases(&self, outcome: &str) -> u64 {
        self.sum("sluicegate_flight_leases_total", ("outcome", outcome))
    }

    fn joined(&self) -> u64 {
        self.sum("sluicegate_coalesced_calls_total", ("outcome", "joined"))
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..3_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let counts = ["led", "followed", "taken_over", "alone"].map(|outcome| (outcome, self.leases(outcome)));
        panic!("{what}: not in time: {counts:?}, {} joined, {} asked", self.joined(), self.upstream.calls());
    }

    /// A call that goes on by itself.
    fn begin(&self, proxy: usize, form: Form) -> JoinHandle<anyhow::Result<Answer>> {
        let client = self.proxies[proxy].client();
        tokio::task::spawn_local(async move { client.send(form.request("m")).await })
    }

    /// The first call, to the first proxy, which leads.
    async fn lead(&self, form: Form) -> JoinHandle<anyhow::Result<Answer>> {
        let calls = self.upstream.calls();
        let leader = self.begin(0, form);
        self.until("it is asked", |house| house.upstream.calls() == calls + 1).await;
        leader
    }

    /// A call of each form to every proxy but the first, which have all joined.
    async fn follow(&self, forms: &[Form]) -> Vec<(Form, JoinHandle<anyhow::Result<Answer>>)> {
        let (followed, joined) = (self.leases("followed"), self.joined());
        let all = (1..self.proxies.len()).flat_map(|proxy| forms.iter().map(move |form| (proxy, *form)));
        let all: Vec<_> = all.map(|(proxy, form)| (form, self.begin(proxy, form))).collect();
        let others = u64::try_from(self.proxies.len() - 1).unwrap();
        let here = u64::try_from(all.len()).unwrap() - others;
        self.until("all have joined", |house| {
            house.leases("followed") == followed + others && house.joined() == joined + here
        })
        .await;
        all
    }

    /// Begins a stream and gives it back when its first word is here.
    async fn hear(&self, proxy: usize) -> http::Response<Incoming> {
        let mut response = self.proxies[proxy].client().open(STREAM.request("m")).await.unwrap();
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains("one ") {
            let frame = tokio::time::timeout(Duration::from_secs(30), response.body_mut().frame()).await.unwrap();
            heard.extend_from_slice(&frame.unwrap().unwrap().into_data().unwrap());
        }
        response
    }
}

/// Calls a proxy until it has its leases from every master, and gives what it has counted by then.
async fn warm(proxy: &Proxy) -> Metrics {
    const LED: (&str, &[(&str, &str)]) = ("sluicegate_flight_leases_total", &[("outcome", "led")]);
    let (client, mut in_a_row) = (proxy.client(), 0);
    for call in 0..2_000 {
        let led = proxy.metrics().unwrap().sum(LED.0, LED.1);
        let model = format!("warm-{}-{call}", proxy.address.port());
        assert!(client.send(WHOLE.request(&model)).await.unwrap().is_good());
        let metrics = proxy.metrics().unwrap();
        in_a_row = if metrics.sum(LED.0, LED.1) > led { in_a_row + 1 } else { 0 };
        if in_a_row > 15 {
            return metrics;
        }
    }
    panic!("{} is not connected to its Redis", proxy.address);
}

fn piece(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

/// The answer, a stream where one is asked for: its second word, or all of it, waits for the gate.
fn saying(received: &Received, gate: &Gate) -> Vec<Act> {
    if !received.streams() {
        let body = format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{SAID}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#
        );
        return vec![Act::Until(gate.clone()), answer(200, &[("content-type", "application/json")], body.as_bytes())];
    }
    let [first, second] = ["one ", "two"].map(|word| piece(&format!(r#"{{"content":"{word}"}}"#), "null"));
    let usage = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    let end = piece("{}", "\"stop\"") + usage + "\n\ndata: [DONE]\n\n";
    let [first, second, end] = [first, second, end].map(|text| chunk(text.as_bytes()));
    vec![stream_head(), first, Act::Until(gate.clone()), second, end, last_chunk()]
}

fn gated(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |received| saying(received, &gate)).unwrap()
}

/// The first call waits for a gate that nobody opens; the others are answered.
fn stuck_once() -> Upstream {
    let open = Gate::default();
    open.open();
    Upstream::start(move |received| saying(received, if received.number == 0 { &NEVER } else { &open })).unwrap()
}

static NEVER: std::sync::LazyLock<Gate> = std::sync::LazyLock::new(Gate::default);

#[tokio::test(flavor = "local")]
async fn a_thousand_identical_calls_to_eight_proxies_are_one_call_to_a_provider() {
    let gate = Gate::default();
    let house = House::start(8, gated(&gate)).await;
    // Nobody waits for anybody: whoever comes first leads, in whichever form and dialect.
    let all: Vec<_> =
        (0..1_000).map(|call| (FORMS[call / 8 % 4], house.begin(call % 8, FORMS[call / 8 % 4]))).collect();
    house.until("all have joined", |house| house.leases("followed") == 7 && house.joined() == 992).await;
    gate.open();
    for (form, answer) in all {
        form.assert_whole(&answer.await.unwrap().unwrap());
    }
    assert_eq!(house.upstream.calls(), 1);
    let [led, over, alone] = ["led", "taken_over", "alone"].map(|outcome| house.leases(outcome));
    assert_eq!((led, over, alone), (1, 0, 0));
    house.until("all are counted", |house| house.sum("sluicegate_requests_total", ("outcome", "done")) == 1_000).await;
    assert_eq!(house.sum("sluicegate_cache_hits_total", ("layer", "flight")), 999, "followers are hits");
    assert_eq!(house.sum("sluicegate_attempts_total", ("result", "success")), 1);
    assert_eq!(house.sum("sluicegate_tokens_total", ("type", "input")), house.upstream.calls() * 3, "billed once");
}

#[tokio::test(flavor = "local")]
async fn whoever_leads_all_forms_and_dialects_share_here_and_at_another_proxy() {
    for leads in FORMS {
        let gate = Gate::default();
        let house = House::start(2, gated(&gate)).await;
        let leader = house.lead(leads).await;
        let here: Vec<_> = FORMS.iter().map(|form| (*form, house.begin(0, *form))).collect();
        house.until("those here have joined", |house| house.joined() == 4).await;
        let mut all = house.follow(&FORMS).await;
        all.extend(here);
        all.push((leads, leader));
        gate.open();
        for (form, answer) in all {
            let answer = answer.await.unwrap().unwrap();
            form.assert_whole(&answer);
            // Each has its own dialect's whole furniture, usage too.
            let text = answer.text();
            let usage = if form.anthropic { "\"output_tokens\":2" } else { "\"completion_tokens\":2" };
            assert!(form == STREAM || text.contains(usage), "{leads:?} {form:?}: {text}");
        }
        assert_eq!(house.upstream.calls(), 1, "{leads:?}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_refusal_and_a_broken_stream_are_told_in_each_ones_own_dialect() {
    let gate = Gate::default();
    let refusal = answer(400, &[("content-type", "application/json")], br#"{"error":{"message":"no such tool"}}"#);
    let house = House::start(2, Upstream::always(vec![Act::Until(gate.clone()), refusal]).unwrap()).await;
    let leader = house.lead(STREAM).await;
    let mut all = house.follow(&FORMS).await;
    all.push((STREAM, leader));
    gate.open();
    for (form, answer) in all {
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.status == 400 && answer.text().contains("no such tool"), "{form:?}: {}", answer.text());
        assert_eq!(answer.json()["type"] == "error", form.anthropic, "{form:?}: {}", answer.text());
    }
    assert_eq!(house.upstream.calls(), 1);

    let gate = Gate::default();
    let acts = {
        let gate = gate.clone();
        move |_: &Received| {
            let first = chunk(piece(r#"{"content":"one "}"#, "null").as_bytes());
            vec![stream_head(), first, Act::Until(gate.clone()), Act::Reset]
        }
    };
    let house = House::start(2, Upstream::start(acts).unwrap()).await;
    let leader = house.lead(STREAM).await;
    let mut all = house.follow(&[STREAM, Form { anthropic: true, stream: true }]).await;
    all.push((STREAM, leader));
    gate.open();
    for (form, answer) in all {
        let answer = answer.await.unwrap().unwrap();
        assert!(form.said(&answer).contains("one") && !form.ends(&answer), "{form:?}: {}", answer.text());
        assert_eq!(answer.text().contains("event: error"), form.anthropic, "{form:?}: {}", answer.text());
    }
    assert_eq!(house.upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn a_stream_of_another_proxy_is_joined_from_its_beginning_as_it_comes() {
    let gate = Gate::default();
    let house = House::start(2, gated(&gate)).await;
    let leader = house.hear(0).await;
    // The second word is not here: what this one hears is what came before it did.
    let follower = house.hear(1).await;
    let whole = house.begin(1, WHOLE);
    house.until("it has joined", |house| house.joined() == 1).await;
    for key in house.cluster.keys().unwrap() {
        let digest = key.strip_prefix("sluicegate:{").and_then(|rest| rest.split_once('}')).unwrap();
        assert!(digest.0.len() == 64 && digest.0.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        assert!(digest.1.starts_with(":flight"), "{key}");
    }
    gate.open();
    for rest in [leader, follower] {
        let rest = read(rest).await.unwrap();
        assert!(rest.text().contains("two") && STREAM.ends(&rest), "{}", rest.text());
    }
    let whole = whole.await.unwrap().unwrap();
    WHOLE.assert_whole(&whole);
    assert_eq!((whole.header("x-cache"), whole.header("x-sluicegate-cache")), ("hit", "flight"));
    assert_eq!(house.upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn a_leader_killed_before_its_first_token_costs_one_more_call() {
    for form in [WHOLE, Form { anthropic: true, stream: true }] {
        let open = Gate::default();
        open.open();
        let silent_once =
            move |received: &Received| if received.number == 0 { vec![Act::Hang] } else { saying(received, &open) };
        let house = House::start(4, Upstream::start(silent_once).unwrap()).await;
        let leader = house.lead(form).await;
        let others = house.follow(&[form, Form { stream: !form.stream, ..form }]).await;
        house.proxies[0].process().signal(Signal::KILL).unwrap();
        assert!(leader.await.unwrap().is_err());
        for (form, answer) in others {
            form.assert_whole(&answer.await.unwrap().unwrap());
        }
        assert_eq!((house.upstream.calls(), house.leases("taken_over"), house.leases("alone")), (2, 1, 0), "{form:?}");
    }
}

#[tokio::test(flavor = "local")]
async fn a_leader_killed_after_its_first_token_cuts_streams_and_no_whole_answer() {
    let house = House::start(3, stuck_once()).await;
    let leader = house.hear(0).await;
    let streams = [house.hear(1).await, house.hear(2).await];
    let whole = [house.begin(1, WHOLE), house.begin(2, WHOLE)];
    house.until("both have joined", |house| house.joined() == 2).await;
    house.proxies[0].process().signal(Signal::KILL).unwrap();
    drop(leader);
    for stream in streams {
        let rest = read(stream).await.unwrap();
        assert!(rest.text().contains("\"error\"") && !STREAM.ends(&rest), "{}", rest.text());
    }
    for answer in whole {
        WHOLE.assert_whole(&answer.await.unwrap().unwrap());
    }
    // Whoever sees later that the leader is gone reads the answer of who saw it first, also when that has ended.
    assert_eq!((house.upstream.calls(), house.leases("taken_over")), (2, 1));
}

#[tokio::test(flavor = "local")]
async fn the_leaders_callers_may_leave_while_one_stays_at_another_proxy() {
    let gate = Gate::default();
    let house = House::start(2, gated(&gate)).await;
    let (leader, follower) = (house.hear(0).await, house.hear(1).await);
    drop(leader);
    // Longer than it takes the leading proxy to see that nobody is left there.
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.open();
    let rest = read(follower).await.unwrap();
    assert!(rest.text().contains("two") && STREAM.ends(&rest), "{}", rest.text());
    house
        .until("both are counted", |house| {
            let counted = |outcome| house.sum("sluicegate_requests_total", ("outcome", outcome));
            (counted("client_gone"), counted("done")) == (1, 1)
        })
        .await;
    assert_eq!(house.upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn a_flight_that_nobody_reads_at_any_proxy_is_given_up() {
    let gate = Gate::default();
    let house = House::start(2, gated(&gate)).await;
    let (leader, follower) = (house.hear(0).await, house.hear(1).await);
    drop((leader, follower));
    let cancelled = ("result", "cancelled");
    house.until("the provider is left", |house| house.sum("sluicegate_attempts_total", cancelled) == 1).await;
    house.until("Redis holds nothing of it", |house| house.cluster.keys().unwrap().is_empty()).await;
    gate.open();
    STREAM.assert_whole(&house.begin(1, STREAM).await.unwrap().unwrap());
    assert_eq!(house.upstream.calls(), 2);
}

#[tokio::test(flavor = "local")]
async fn a_refusal_is_told_at_every_proxy_in_the_same_words() {
    let gate = Gate::default();
    let refusal = answer(400, &[("content-type", "application/json")], br#"{"error":{"message":"no such tool"}}"#);
    let house = House::start(3, Upstream::always(vec![Act::Until(gate.clone()), refusal]).unwrap()).await;
    let leader = house.lead(WHOLE).await;
    let mut all = house.follow(&[WHOLE, STREAM]).await;
    all.push((WHOLE, leader));
    gate.open();
    for (form, answer) in all {
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.status == 400 && answer.text().contains("no such tool"), "{form:?}: {}", answer.text());
    }
    assert_eq!(house.upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn a_stream_beyond_the_bound_goes_on_for_those_who_joined_it() {
    let gate = Gate::default();
    let acts = {
        let gate = gate.clone();
        move |_: &Received| {
            let long = piece(&format!(r#"{{"content":"{}"}}"#, "x".repeat(30 << 10)), "null");
            let mut acts =
                vec![stream_head(), chunk(piece(r#"{"content":"one "}"#, "null").as_bytes()), Act::Until(gate.clone())];
            acts.extend((0..100).map(|_| chunk(long.as_bytes())));
            acts.extend([chunk((piece("{}", "\"stop\"") + "data: [DONE]\n\n").as_bytes()), last_chunk()]);
            acts
        }
    };
    let house = House::start(2, Upstream::start(acts).unwrap()).await;
    let (leader, follower) = (house.hear(0).await, house.hear(1).await);
    gate.open();
    for rest in [leader, follower] {
        let rest = read(rest).await.unwrap();
        assert!(rest.is_good() && STREAM.ends(&rest), "{} bytes", rest.body.len());
        assert_eq!(rest.text().matches("xx").count(), 100 * (15 << 10));
    }
    assert_eq!(house.upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn a_whole_answer_beyond_the_bound_is_fetched_by_each_proxy() {
    let gate = Gate::default();
    let acts = {
        let gate = gate.clone();
        move |_: &Received| {
            let text = "x".repeat(9 << 20);
            let body = format!(
                r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#
            );
            vec![Act::Until(gate.clone()), answer(200, &[("content-type", "application/json")], body.as_bytes())]
        }
    };
    let house = House::start(2, Upstream::start(acts).unwrap()).await;
    let leader = house.lead(WHOLE).await;
    let mut all = house.follow(&[WHOLE, WHOLE]).await;
    all.push((WHOLE, leader));
    gate.open();
    for (form, answer) in all {
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.is_good() && form.said(&answer).len() == 9 << 20, "{} bytes", answer.body.len());
    }
    // Those of the second proxy share one.
    assert_eq!((house.upstream.calls(), house.leases("alone")), (2, 1));
}

#[tokio::test(flavor = "local")]
async fn a_stream_beyond_the_bound_is_cut_at_other_proxies_and_goes_on_at_its_own() {
    let gate = Gate::default();
    let acts = {
        let gate = gate.clone();
        move |_: &Received| {
            let long = piece(&format!(r#"{{"content":"{}"}}"#, "x".repeat(240 << 10)), "null");
            let mut acts =
                vec![stream_head(), chunk(piece(r#"{"content":"one "}"#, "null").as_bytes()), Act::Until(gate.clone())];
            acts.extend((0..80).map(|_| chunk(long.as_bytes())));
            acts.extend([chunk((piece("{}", "\"stop\"") + "data: [DONE]\n\n").as_bytes()), last_chunk()]);
            acts
        }
    };
    let house = House::start(2, Upstream::start(acts).unwrap()).await;
    let (leader, follower) = (house.hear(0).await, house.hear(1).await);
    gate.open();
    let (leader, follower) = tokio::join!(read(leader), read(follower));
    let (leader, follower) = (leader.unwrap(), follower.unwrap());
    assert!(leader.is_good() && STREAM.ends(&leader) && leader.body.len() > 18 << 20, "{} bytes", leader.body.len());
    assert!(!STREAM.ends(&follower) && follower.text().contains("\"error\""), "{} bytes", follower.body.len());
    assert!(follower.body.len() <= 17 << 20, "{} bytes", follower.body.len());
    assert_eq!(house.upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn a_master_killed_in_flight_fails_nobody() {
    let gate = Gate::default();
    let mut house = House::start(3, gated(&gate)).await;
    let leader = house.lead(WHOLE).await;
    let mut all = house.follow(&[WHOLE, STREAM]).await;
    all.push((WHOLE, leader));
    let key = house.cluster.keys().unwrap().pop().unwrap();
    let dead = house.cluster.master_of(&key).unwrap();
    house.cluster.node(dead).unwrap().kill().unwrap();
    house.cluster.wait_until_whole().unwrap();
    gate.open();
    for (form, answer) in all {
        form.assert_whole(&answer.await.unwrap().unwrap());
    }
    // Who had nothing to read asked by itself, once for all its callers.
    assert!((1..=3).contains(&house.upstream.calls()), "{}", house.upstream.calls());
}

#[tokio::test(flavor = "local")]
async fn a_stream_outlives_the_master_that_it_was_told_by() {
    let gate = Gate::default();
    let mut house = House::start(2, gated(&gate)).await;
    let streams = [house.hear(0).await, house.hear(1).await];
    let key = house.cluster.keys().unwrap().pop().unwrap();
    let dead = house.cluster.master_of(&key).unwrap();
    house.cluster.node(dead).unwrap().kill().unwrap();
    house.cluster.wait_until_whole().unwrap();
    gate.open();
    for rest in streams {
        let rest = read(rest).await.unwrap();
        assert!(rest.is_good() && rest.text().contains("two") && STREAM.ends(&rest), "{}", rest.text());
    }
    assert_eq!(house.upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn what_redis_has_lost_is_told_again_by_a_leader_that_lives() {
    for begun in [false, true] {
        let gate = Gate::default();
        let house = House::start(2, gated(&gate)).await;
        let mut streams = Vec::new();
        let mut wholes = Vec::new();
        if begun {
            streams.extend([house.hear(0).await, house.hear(1).await]);
        } else {
            wholes.push(house.lead(WHOLE).await);
            wholes.extend(house.follow(&[WHOLE]).await.into_iter().map(|(_, answer)| answer));
        }
        for _ in 0..2 {
            // Replicas refuse it.
            let flushed = house.cluster.nodes().iter().filter(|node| node.ask::<String>(&["FLUSHALL"]).is_ok()).count();
            assert!(flushed >= 3);
            let is_held = |house: &House| house.cluster.keys().unwrap().iter().any(|key| is_lease(key));
            house.until("its lease is taken again", is_held).await;
        }
        gate.open();
        for rest in streams {
            let rest = read(rest).await.unwrap();
            assert!(rest.is_good() && rest.text().contains("two") && STREAM.ends(&rest), "{}", rest.text());
        }
        for answer in wholes {
            WHOLE.assert_whole(&answer.await.unwrap().unwrap());
        }
        assert_eq!(house.upstream.calls(), 1);
        house.until("nothing is left", |house| house.cluster.keys().unwrap().is_empty()).await;
    }
}

#[tokio::test(flavor = "local")]
async fn without_redis_each_proxy_shares_by_itself() {
    let gate = Gate::default();
    let mut house = House::start(2, gated(&gate)).await;
    for node in 0..house.cluster.nodes().len() {
        house.cluster.node(node).unwrap().kill().unwrap();
    }
    let all: Vec<_> = (0..20).map(|call| house.begin(call % 2, WHOLE)).collect();
    house.until("all have joined", |house| house.joined() == 18).await;
    gate.open();
    for answer in all {
        WHOLE.assert_whole(&answer.await.unwrap().unwrap());
    }
    assert_eq!((house.upstream.calls(), house.leases("alone")), (2, 2));
}

#[tokio::test(flavor = "local")]
async fn a_leader_that_is_stopped_goes_on_for_callers_of_other_proxies() {
    let gate = Gate::default();
    let mut house = House::start(2, gated(&gate)).await;
    let (leader, follower) = (house.hear(0).await, house.hear(1).await);
    house.proxies[0].terminate().unwrap();
    drop(leader);
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.open();
    let rest = read(follower).await.unwrap();
    assert!(rest.is_good() && rest.text().contains("two") && STREAM.ends(&rest), "{}", rest.text());
    house.proxies[0].ended().await.unwrap();
    assert_eq!(house.upstream.calls(), 1);
}

#[tokio::test(flavor = "local")]
async fn a_miss_that_nobody_else_asks_for_costs_two_questions_to_redis() {
    let open = Gate::default();
    open.open();
    let house = House::start(1, gated(&open)).await;
    for _ in 0..20 {
        WHOLE.assert_whole(&house.begin(0, WHOLE).await.unwrap().unwrap());
    }
    house.until("nothing is left", |house| house.cluster.keys().unwrap().is_empty()).await;
    let asked = |operation| house.sum("sluicegate_flight_redis_operations_total", ("operation", operation));
    assert_eq!((asked("claim"), asked("poll")), (20, 0));
    // One more where the answer took its time.
    assert!((20..=30).contains(&asked("publish")), "{}", asked("publish"));
}

#[tokio::test(flavor = "local")]
async fn with_a_cache_behind_it_an_answer_is_fetched_once_whenever_who_wants_it_comes() {
    const CACHE: &str = "  cache: {ttl: 1h, scope: Route, memory: {maxEntries: 0}, redis: {enabled: true}}\n";
    let open = Gate::default();
    open.open();
    let house = House::on(3, gated(&open), CACHE).await;
    for round in 0..20_usize {
        let model = format!("m-{round}");
        let mut all = Vec::new();
        // Some come before it is there, some while it is being kept, some when it is.
        for call in 0..24_usize {
            let form = if (call + round) % 3 == 0 { STREAM } else { WHOLE };
            let (client, model) = (house.proxies[(call + round) % 3].client(), model.clone());
            all.push((form, tokio::task::spawn_local(async move { client.send(form.request(&model)).await })));
            if call % 4 == round % 4 {
                tokio::time::sleep(Duration::from_millis(u64::try_from(call / 4).unwrap())).await;
            }
        }
        for (form, answer) in all {
            form.assert_whole(&answer.await.unwrap().unwrap());
        }
        assert_eq!(house.upstream.calls(), u64::try_from(round + 1).unwrap());
    }
    // A kept answer lies in the slot of its flight.
    let keys = house.cluster.keys().unwrap();
    let kept = keys.iter().filter(|key| key.contains(":cache:")).count();
    assert!(kept >= 20 && keys.iter().all(|key| !key.ends_with(":cache")), "{keys:?}");
    // One who wants it fresh fetches it, and the others have that.
    let mut fresh = WHOLE.request("m-0");
    fresh.headers_mut().insert("cache-control", "no-cache".parse().unwrap());
    WHOLE.assert_whole(&house.proxies[0].client().send(fresh).await.unwrap());
    assert_eq!(house.upstream.calls(), 21);
    for proxy in &house.proxies {
        let answer = proxy.client().send(WHOLE.request("m-0")).await.unwrap();
        assert_eq!(answer.header("x-sluicegate-cache"), "redis");
    }
    assert_eq!(house.upstream.calls(), 21);
}

#[tokio::test(flavor = "local")]
async fn who_finds_an_answer_that_is_too_old_for_them_share_a_new_one() {
    const CACHE: &str = "  cache: {ttl: 1h, scope: Route, memory: {maxEntries: 0}, redis: {enabled: true}}\n";
    let gate = Gate::default();
    let first = gate.clone();
    let open = Gate::default();
    open.open();
    let upstream = Upstream::start(move |received| saying(received, if received.number == 0 { &open } else { &first }));
    let house = House::on(2, upstream.unwrap(), CACHE).await;
    WHOLE.assert_whole(&house.begin(0, WHOLE).await.unwrap().unwrap());
    let is_kept = |house: &House| house.cluster.keys().unwrap().iter().any(|key| key.contains(":cache:"));
    house.until("it is kept", is_kept).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let calls: Vec<_> = (0..6_usize)
        .map(|call| {
            let (client, mut request) = (house.proxies[call % 2].client(), WHOLE.request("m"));
            request.headers_mut().insert("cache-control", "max-age=1".parse().unwrap());
            tokio::task::spawn_local(async move { client.send(request).await })
        })
        .collect();
    house.until("all share it", |house| house.joined() == 4 && house.leases("followed") == 1).await;
    gate.open();
    for answer in calls {
        WHOLE.assert_whole(&answer.await.unwrap().unwrap());
    }
    assert_eq!(house.upstream.calls(), 2);
}

/// True for the key of a lease: while it is there, its flight is under way.
fn is_lease(key: &str) -> bool {
    key.ends_with(":flight")
}

#[tokio::test(flavor = "local")]
async fn a_call_that_comes_after_the_whole_answer_has_one_of_its_own() {
    let open = Gate::default();
    open.open();
    let house = House::start(2, gated(&open)).await;
    for (round, form) in [WHOLE, STREAM].into_iter().enumerate() {
        for call in 0..12 {
            // Its end is told a moment after its caller has it, on a busy machine a longer one.
            house.until("it is closed", |house| !house.cluster.keys().unwrap().iter().any(|key| is_lease(key))).await;
            form.assert_whole(&house.begin(call % 2, form).await.unwrap().unwrap());
            assert_eq!(house.upstream.calls(), u64::try_from(round * 12 + call + 1).unwrap(), "{form:?}");
        }
    }
    house.until("nothing is left", |house| house.cluster.keys().unwrap().is_empty()).await;
}

#[tokio::test(flavor = "local")]
async fn a_call_that_comes_after_an_answer_that_was_shared_has_one_of_its_own() {
    let gate = Gate::default();
    let house = House::start(2, gated(&gate)).await;
    let streams = [house.hear(0).await, house.hear(1).await];
    gate.open();
    for rest in streams {
        let rest = read(rest).await.unwrap();
        assert!(rest.text().contains("two") && STREAM.ends(&rest), "{}", rest.text());
    }
    // Both have had it; its lease is gone though what was told still stands.
    house.until("it is closed", |house| !house.cluster.keys().unwrap().iter().any(|key| is_lease(key))).await;
    for proxy in [1, 0, 1] {
        let calls = house.upstream.calls();
        STREAM.assert_whole(&house.begin(proxy, STREAM).await.unwrap().unwrap());
        assert_eq!(house.upstream.calls(), calls + 1);
    }
}
