//! Eight proxies on a real cluster, and a provider that keeps a book.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sluicegate_tests::client::Client;
use sluicegate_tests::process::pause;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::redis_cluster::{NODES, RedisCluster};
use sluicegate_tests::upstream::Upstream;

use crate::book::{Ask, Book, lane, provider};
use crate::load::{BUDGET, Kind, Plan};

const PROXIES: usize = 8;

/// A call as its caller made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    /// 0: no answer came.
    pub(crate) status: u16,
}

pub(crate) struct House {
    pub(crate) cluster: RefCell<RedisCluster>,
    pub(crate) book: Book,
    pub(crate) sent: RefCell<Vec<Sent>>,
    pub(crate) proxies: RefCell<Vec<Option<Proxy>>>,
    /// Limits that Redis did not answer for, at proxies that are gone.
    pub(crate) unanswered_by_the_dead: Cell<u64>,
    /// When masters were taken away, with what their replicas had not been sent.
    pub(crate) lost_masters: RefCell<Vec<Instant>>,
    clients: Vec<Client>,
    upstream: Upstream,
    clock: tempfile::TempDir,
}

pub(crate) fn key(consumer: usize) -> String {
    format!("key-{consumer:03}-that-nobody-can-guess")
}

pub(crate) fn name(consumer: usize) -> String {
    format!("c{consumer:03}")
}

/// The provider, the route, and the consumers with what limits them. All have budgets that nobody gets near, so that all is booked.
fn manifests(upstream: &Upstream, plan: &Plan) -> String {
    let mut text = format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  retry: {{attempts: 1}}\n  providers:\n  \
         - name: one\n    type: OpenAICompatible\n    url: \"http://{}\"\n    headers: {{pass: [x-lane]}}\n    \
         models: [{{name: m, price: {{inputPerMillion: \"2.5\", outputPerMillion: \"10\"}}}}]\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  \
         rules:\n  - {{name: all, targets: [{{poolRef: {{name: p}}}}]}}\n",
        upstream.address
    );
    for consumer in 0..plan.consumers {
        let (name, seconds) = (name(consumer), plan.window.as_secs());
        let kind = Kind::of(consumer);
        let amount = plan.amount_of(kind);
        let rate =
            |unit: &str| format!(", rate: [{{per: Consumer, unit: {unit}, amount: {amount}, window: {seconds}s}}]");
        let (limit, budget) = match kind {
            Kind::Requests => (rate("Requests"), String::new()),
            Kind::Tokens => (rate("Tokens"), String::new()),
            Kind::Budget => (String::new(), format!(", {{amount: \"{:.6}\", period: Total}}", BUDGET as f64 / 1e12)),
            Kind::Places => (format!(", concurrency: {{max: {amount}, queue: {{timeout: 60s}}}}"), String::new()),
        };
        text += &format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{api-key: {}}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec:\n  \
             keys: [{{name: k, secretRef: {{name: {name}}}}}]\n  limits: {{budgets: [{{amount: \"1000\", period: Yearly}}, \
             {{amount: \"1000000000\", unit: Tokens, period: Yearly}}{budget}]{limit}}}\n",
            key(consumer)
        );
    }
    text
}

/// Debian has it at /usr/lib/ARCHITECTURE/faketime.
fn faketime() -> PathBuf {
    let architectures = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
    let mut found = architectures.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let found = found.find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("libfaketime must be installed (tests/setup/packages.sh)"))
}

/// Limits and budgets that Redis did not answer for in time.
pub(crate) fn unanswered(proxy: &Proxy) -> u64 {
    let metrics = proxy.metrics().unwrap();
    let of = |what: &str| metrics.sum(&format!("sluicegate_{what}_checks_unanswered_total"), &[]) as u64;
    of("limit") + of("budget")
}

impl House {
    /// Eight proxies, the clocks of some of which are wrong by this much; `jumps`: by what `clock_jumps` says.
    pub(crate) fn start(plan: &Plan, clocks: &[&str]) -> Self {
        let (cluster, book, clock) = (RedisCluster::start().unwrap(), Book::default(), tempfile::tempdir().unwrap());
        let upstream = provider(&book);
        let (text, urls) = (manifests(&upstream, plan), cluster.urls().join(","));
        std::fs::write(clock.path().join("clock"), "+0").unwrap();
        let proxies: Vec<Option<Proxy>> = (0..PROXIES)
            .map(|at| {
                let (files, flags) = ([("all.yaml", text.as_str())], ["--workers", "1", "--redis", &urls]);
                let Some(clock_is) = clocks.get(at).filter(|clock| !clock.is_empty()) else {
                    return Some(Proxy::start(&files, &flags).unwrap());
                };
                let (library, file) = (faketime(), clock.path().join("clock"));
                let mut variables = vec![
                    ("LD_PRELOAD", library.to_str().unwrap()),
                    // What is measured with a stop-watch stays right, as it does where somebody sets a clock.
                    ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                ];
                if *clock_is == "jumps" {
                    variables.extend([
                        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
                        ("FAKETIME_CACHE_DURATION", "1"),
                    ]);
                } else {
                    variables.push(("FAKETIME", clock_is));
                }
                Some(Proxy::with_environment(&variables, &files, &flags).unwrap())
            })
            .collect();
        let clients = proxies.iter().flatten().map(Proxy::client).collect();
        let house = Self {
            cluster: RefCell::new(cluster),
            book,
            sent: RefCell::default(),
            proxies: RefCell::new(proxies),
            unanswered_by_the_dead: Cell::new(0),
            lost_masters: RefCell::default(),
            clients,
            upstream,
            clock,
        };
        house.wait_for_all();
        house
    }

    /// Waits until every proxy knows of all the others, and has its connections to Redis.
    fn wait_for_all(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        for proxy in self.proxies.borrow().iter().flatten() {
            while proxy.metrics().unwrap().sum("sluicegate_limit_proxies", &[]) as usize != self.clients.len() {
                assert!(Instant::now() < deadline, "they do not know of each other");
                pause(Duration::from_millis(20));
            }
        }
    }

    /// The clock that jumps is wrong by this much from now on.
    pub(crate) fn clock_jumps(&self, by: &str) {
        std::fs::write(self.clock.path().join("clock"), by).unwrap();
    }

    /// A proxy is killed.
    pub(crate) fn kill_proxy(&self, number: usize) {
        let proxy = self.proxies.borrow_mut()[number].take().unwrap();
        self.unanswered_by_the_dead.set(unanswered(&proxy));
        drop(proxy);
    }

    /// The master that holds the most budgets, which is asked all the time.
    fn busy_master(&self) -> usize {
        let cluster = self.cluster.borrow();
        let mut counts = [0; NODES];
        for key in cluster.keys().unwrap() {
            counts[cluster.master_of(&key).unwrap()] += 1;
        }
        (0..NODES).max_by_key(|node| counts[*node]).unwrap()
    }

    /// A master stands still for so long, and its replica takes its place.
    pub(crate) async fn freeze_a_master(&self, time: Duration) {
        let number = self.busy_master();
        self.lost_masters.borrow_mut().push(Instant::now());
        self.cluster.borrow_mut().node(number).unwrap().freeze().unwrap();
        tokio::time::sleep(time).await;
        self.cluster.borrow_mut().node(number).unwrap().thaw().unwrap();
    }

    pub(crate) fn kill_a_master(&self) {
        let number = self.busy_master();
        self.lost_masters.borrow_mut().push(Instant::now());
        self.cluster.borrow_mut().node(number).unwrap().kill().unwrap();
    }

    /// All nodes stand still for so long.
    pub(crate) async fn freeze_all(&self, time: Duration) {
        for number in 0..NODES {
            self.cluster.borrow_mut().node(number).unwrap().freeze().unwrap();
        }
        tokio::time::sleep(time).await;
        for number in 0..NODES {
            self.cluster.borrow_mut().node(number).unwrap().thaw().unwrap();
        }
    }

    /// Calls a proxy.
    pub(crate) async fn ask(&self, ask: &Ask) {
        let proxy = ask.proxy % self.clients.len();
        if self.proxies.borrow()[proxy].is_none() {
            return;
        }
        let ask = Ask { proxy, ..*ask };
        let number = {
            let mut sent = self.sent.borrow_mut();
            sent.push(Sent { at: Instant::now(), status: 0 });
            sent.len() - 1
        };
        let (lane, key) = (lane(&ask, number), key(ask.consumer));
        let body = format!(
            r#"{{"model":"m","max_tokens":{},"stream":{},"messages":[{{"role":"user","content":"Exact?"}}]}}"#,
            ask.max_tokens, ask.stream
        );
        let answer =
            self.clients[proxy].post("/v1/chat/completions", &[("x-api-key", &key), ("x-lane", &lane)], body).await;
        match answer {
            Ok(answer) => {
                assert!(answer.status == 429 || answer.is_good(), "{}: {}", answer.status, answer.text());
                self.sent.borrow_mut()[number].status = answer.status;
            }
            Err(error) => assert!(self.proxies.borrow()[proxy].is_none(), "{error:#}"),
        }
    }

    /// The provider's count of calls.
    pub(crate) fn calls(&self) -> u64 {
        self.upstream.calls()
    }
}
