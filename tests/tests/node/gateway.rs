//! The product on a node, installed by Helm as its users do it, in the hands of one test at a time. Tests wait for pods far
//! more than they work, so two nodes stand side by side, and two tests are under way.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sluicegate_tests::binaries::{Simulator, binary};
use sluicegate_tests::client::{Answer, Client};
use sluicegate_tests::kube::assets;
use sluicegate_tests::kube::image::Image;
use sluicegate_tests::kube::node::{Forward, NODES, Node};
use sluicegate_tests::process::pause;
use tokio::sync::{Mutex, MutexGuard};

/// The chart, from the root of the checkout.
pub(crate) const CHART: &str = "charts/sluicegate";
/// What the chart's own values call the image, so that nothing has to be set to install it.
pub(crate) const IMAGE: &str = "ghcr.io/sluicegate/sluicegate:0.1.0";
/// The release, its namespace and, by that, its gateway.
pub(crate) const NAME: &str = "sluicegate";
/// The proxies' Deployment.
pub(crate) const PROXIES: &str = "deployment/sluicegate-proxy";
/// By which their pods are found.
const SELECTOR: &str = "app.kubernetes.io/component=proxy";
/// The node has few cores, and pods that only wait need little of them.
const SMALL: &str = "proxy.resources.requests.cpu=20m,operator.resources.requests.cpu=10m";
/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(180);
/// The node's address, as its pods see it.
const HOST: &str = "198.18.0.1";

/// A node, as tests take it in turns.
struct Lane {
    turn: Mutex<()>,
    /// A test failed in the middle of what it did, so that nobody knows what stands.
    spoilt: AtomicBool,
    /// The product's image is in it.
    loaded: OnceLock<()>,
}

static LANES: [Lane; NODES] = [const { Lane::new() }; NODES];

impl Lane {
    const fn new() -> Self {
        Self { turn: Mutex::const_new(()), spoilt: AtomicBool::new(false), loaded: OnceLock::new() }
    }

    /// The number of the first that is free, and the right to it.
    async fn free() -> (usize, MutexGuard<'static, ()>) {
        for (number, lane) in LANES.iter().enumerate() {
            if let Ok(turn) = lane.turn.try_lock() {
                return (number, turn);
            }
        }
        let waiting = LANES.iter().map(|lane| Box::pin(lane.turn.lock()));
        let (turn, number, _) = futures_util::future::select_all(waiting).await;
        (number, turn)
    }
}

/// A node with the product's image, and the right to do with the release what a test likes.
pub(crate) struct Gateway {
    pub(crate) node: &'static Node,
    lane: &'static Lane,
    _turn: MutexGuard<'static, ()>,
}

impl Gateway {
    /// The node alone, nothing installed; `None` without root.
    pub(crate) async fn bare() -> Option<Self> {
        let gateway = Self::turn().await?;
        gateway.uninstall();
        Some(gateway)
    }

    /// With the release as these values (`a=b,c=d`) make it. What stands is changed to that: most tests need the same
    /// but for the number of proxies, and to begin anew costs each of them a quarter of a minute.
    pub(crate) async fn installed(set: &str) -> Option<Self> {
        let gateway = Self::turn().await?;
        if gateway.lane.spoilt.swap(false, Ordering::Relaxed) {
            gateway.uninstall();
        }
        // What tests before changed by hand, replicas say, is the values' again.
        gateway.upgrade_from(CHART, 4, set, &["--server-side=true", "--force-conflicts"]);
        Some(gateway)
    }

    /// A node with the product's image in it, once no other test has it.
    async fn turn() -> Option<Self> {
        let (number, turn) = Lane::free().await;
        let (lane, node) = (&LANES[number], Node::nth(number).unwrap_or_else(|error| panic!("{error:#}"))?);
        lane.loaded.get_or_init(|| {
            let image = Image::of(IMAGE, &["sluicegate-proxy", "sluicegate-operator"]).unwrap();
            node.load(&image).unwrap();
        });
        Some(Self { node, lane, _turn: turn })
    }

    pub(crate) fn uninstall(&self) {
        self.helm(4, &["uninstall", NAME, "--namespace", NAME, "--ignore-not-found", "--wait", "--timeout", "180s"]);
    }

    /// `helm upgrade --install` with these values and no others, and waits as Helm does.
    pub(crate) fn upgrade(&self, version: u8, set: &str) -> String {
        self.upgrade_from(CHART, version, set, &[])
    }

    /// The same from another chart, or with further words.
    pub(crate) fn upgrade_from(&self, chart: &str, version: u8, set: &str, further: &[&str]) -> String {
        let words = ["upgrade", "--install", NAME, chart, "--namespace", NAME, "--create-namespace"];
        let more = ["--wait", "--timeout", "180s", "--reset-values", "--set", SMALL, "--set", set];
        self.helm(version, &[&words[..], &more[..], further].concat())
    }

    /// Runs Helm 3 or 4 from the root of the checkout; what it says.
    pub(crate) fn helm(&self, version: u8, words: &[&str]) -> String {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(helm(version));
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, home.path());
        }
        command.current_dir(root()).args(words).arg("--kubeconfig").arg(self.node.kubeconfig());
        self.said(&mut command)
    }

    /// Runs kubectl; what it says.
    pub(crate) fn kubectl(&self, words: &[&str]) -> String {
        self.said(self.command().args(words))
    }

    /// Whether it went well, and what it said.
    pub(crate) fn try_kubectl(&self, words: &[&str]) -> (bool, String) {
        let output = self.command().args(words).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// kubectl, for this cluster.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(assets().unwrap().join("kubectl"));
        command.arg("--kubeconfig").arg(self.node.kubeconfig());
        command
    }

    /// What a command says; what goes wrong is told with how the pods are.
    fn said(&self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{command:?}: {text}\n{}", self.state());
        text
    }

    /// How pods and resources are, for a message.
    pub(crate) fn state(&self) -> String {
        let (_, all) = self.try_kubectl(&["get", "pods,lr,pp", "-A", "-o", "wide"]);
        let (_, proxies) = self.try_kubectl(&["logs", "-n", NAME, "-l", SELECTOR, "--prefix", "--tail=15"]);
        let operator = "app.kubernetes.io/component=operator";
        let (_, operator) = self.try_kubectl(&["logs", "-n", NAME, "-l", operator, "--prefix", "--tail=15"]);
        let (_, events) = self.try_kubectl(&["get", "events", "-n", NAME, "--sort-by=.lastTimestamp"]);
        let last: Vec<&str> = events.lines().rev().take(30).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let unready = all.lines().filter(|line| line.contains("pod/sluicegate-proxy") && line.contains(" 0/1 "));
        let why = unready.filter_map(|line| line.split_whitespace().nth(1)?.strip_prefix("pod/")).map(|pod| {
            let page = format!("/api/v1/namespaces/{NAME}/pods/{pod}:9090/proxy/readyz");
            format!("{pod}: {}", self.try_kubectl(&["get", "--raw", &page]).1)
        });
        format!("{all}\n{proxies}\n{operator}\n{}\n{}", last.join("\n"), why.collect::<Vec<_>>().join("\n"))
    }

    /// Waits until something holds; an error is not yet.
    pub(crate) fn until<T>(&self, what: &str, mut holds: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = holds(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "{what}: not in time\n{}", self.state());
            // To ask costs a tenth of a second of a core, which what is waited for needs, too.
            pause(Duration::from_millis(250));
        }
    }

    /// Applies manifests in a namespace, which it makes.
    pub(crate) fn apply(&self, namespace: &str, yaml: &str) {
        if !self.try_kubectl(&["get", "namespace", namespace]).0 {
            self.kubectl(&["create", "namespace", namespace]);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        self.kubectl(&["apply", "-n", namespace, "-f", file.path().to_str().unwrap()]);
    }

    /// Waits until all routes and pools of a namespace are `Programmed`.
    pub(crate) fn programmed(&self, namespace: &str) {
        for kind in ["llmroutes", "providerpools"] {
            let words = ["wait", "-n", namespace, "--for=condition=Programmed", kind, "--all", "--timeout=120s"];
            self.kubectl(&words);
        }
    }

    /// Deletes namespaces of which nothing more is wanted, and whose names nobody uses again: it does not wait.
    pub(crate) fn forget(&self, namespaces: &[&str]) {
        self.kubectl(&[&["delete", "namespace", "--wait=false"], namespaces].concat());
    }

    /// Deletes namespaces and waits for their end.
    pub(crate) fn delete(&self, namespaces: &[&str]) {
        for namespace in namespaces {
            self.kubectl(&["delete", "namespace", namespace, "--timeout=120s"]);
        }
    }

    /// The proxies' pods that are not being deleted, and are ready.
    pub(crate) fn ready(&self) -> BTreeSet<String> {
        let text = self.kubectl(&["get", "pods", "-n", NAME, "-l", SELECTOR, "-o", "json"]);
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        let is_ready = |pod: &&serde_json::Value| {
            let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.iter().any(|found| found["type"] == "Ready" && found["status"] == "True");
            ready && pod["metadata"]["deletionTimestamp"].is_null()
        };
        let pods = all["items"].as_array().unwrap().iter().filter(is_ready);
        pods.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The proxies' pods, those that are being deleted too.
    pub(crate) fn pods(&self) -> BTreeSet<String> {
        let text = self.kubectl(&["get", "pods", "-n", NAME, "-l", SELECTOR, "-o", "name"]);
        text.lines().map(|line| line.trim_start_matches("pod/").to_owned()).collect()
    }

    /// One value of a pod, by a JSONPath.
    pub(crate) fn of_pod(&self, pod: &str, path: &str) -> String {
        self.kubectl(&["get", "pod", "-n", NAME, pod, "-o", &format!("jsonpath={{{path}}}")])
    }

    /// A way to the callers' Service, once it takes connections.
    pub(crate) fn service(&self) -> Forward {
        let address = self.kubectl(&["get", "service", "-n", NAME, NAME, "-o", "jsonpath={.spec.clusterIP}"]);
        self.way(&address, 80)
    }

    /// A way to a port of a pod.
    pub(crate) fn pod(&self, name: &str, port: u16) -> Forward {
        let address = self.of_pod(name, ".status.podIP");
        self.way(&address, port)
    }

    fn way(&self, address: &str, port: u16) -> Forward {
        let connect = format!("exec 3<>/dev/tcp/{address}/{port}");
        self.until(&format!("{address}:{port}"), |gateway| gateway.node.sh(&["bash", "-c", &connect]).ok());
        self.node.forward(SocketAddr::new(address.parse().unwrap(), port)).unwrap()
    }

    /// A simulated vendor that pods reach at its address.
    pub(crate) fn simulator(&self, flags: &[&str]) -> Simulator {
        let mut command = self.node.command(&binary("sluicegate-simulator").unwrap()).unwrap();
        command.args(["--listen", &format!("{HOST}:0")]).args(flags).stdin(Stdio::null());
        Simulator::spawn(&mut command).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.lane.spoilt.fetch_or(std::thread::panicking(), Ordering::Relaxed);
    }
}

/// A pool with a simulated provider whose streams outlast what a pod's end begins with, and a route to it by this
/// model's name.
pub(crate) fn slow(model: &str) -> String {
    paced(model, "100ms")
}

/// The same, where no stream has to outlast anything.
pub(crate) fn quick(model: &str) -> String {
    paced(model, "25ms")
}

fn paced(model: &str, interval: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: models}}\nspec:\n  providers:\n\
         \x20 - {{name: one, type: Simulated, simulated: {{firstToken: 50ms, tokenInterval: {interval}, tokens: 80}}}}\n\
         ---\n{}",
        route(model)
    )
}

/// A route by this model's name to the pool `models`.
pub(crate) fn route(model: &str) -> String {
    format!(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: {model}}}\nspec:\n  rules:\n\
         \x20 - {{name: all, matches: [{{model: {{exact: {model}}}}}], targets: [{{poolRef: {{name: models}}}}]}}\n"
    )
}

/// A call for a model, of at most so many tokens.
pub(crate) fn question(model: &str, stream: bool, tokens: u32) -> String {
    let messages = serde_json::json!([{"role": "user", "content": "How are you?"}]);
    serde_json::json!({"model": model, "stream": stream, "max_tokens": tokens, "messages": messages}).to_string()
}

/// Calls by a connection of its own.
pub(crate) async fn call(address: SocketAddr, body: String) -> anyhow::Result<Answer> {
    Client::new(address).post("/v1/chat/completions", &[], body).await
}

/// What is wrong with an answer, if anything is.
pub(crate) fn wrong(answer: &anyhow::Result<Answer>, stream: bool) -> Option<String> {
    match answer {
        Ok(answer) if answer.is_good() && (!stream || answer.text().ends_with("data: [DONE]\n\n")) => None,
        Ok(answer) => Some(format!("stream={stream} {} whole={} {}", answer.status, answer.whole, answer.text())),
        Err(error) => Some(format!("stream={stream} {error:#}")),
    }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Where Helm 3 or 4 is.
pub(crate) fn helm(version: u8) -> PathBuf {
    let output = Command::new(root().join("tests/setup/helm.sh")).arg(version.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().into()
}
