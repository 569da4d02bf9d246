//! The chart's ScaledObject in the hands of KEDA itself and of a Prometheus: real pods are scaled by their calls in flight.
//! KEDA takes minutes to build, so `make test-keda` asks for it, and without it this says that it was skipped, and passes.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sluicegate_tests::process::Process;
use tempfile::TempDir;

use crate::gateway::{Gateway, NAME, quick, root};
use crate::load::Load;
use crate::scaling::registration;

/// Where the adapter listens; Prometheus has 9091, since 9090 is a port that pods have.
const ADAPTER: u16 = 6444;
const PROMETHEUS: &str = "198.18.0.1:9091";

/// KEDA's two programs and a Prometheus, in the node's network; gone with the value.
struct Parts {
    folder: TempDir,
    processes: Vec<Process>,
}

impl Parts {
    fn start(gateway: &Gateway, keda: &Path) -> Self {
        let mut parts = Self { folder: tempfile::tempdir().unwrap(), processes: Vec::new() };
        // The node's own certificate is for all its addresses, and for both sides of a connection.
        for (from, to) in [("ca.crt", "ca.crt"), ("server.crt", "tls.crt"), ("server.key", "tls.key")] {
            std::fs::copy(gateway.node.folder().join("pki").join(from), parts.folder.path().join(to)).unwrap();
        }
        let at = parts.folder.path().display().to_string();
        let config = gateway.node.folder().join("kubeconfig").display().to_string();
        let operator = [
            "--metrics-bind-address=127.0.0.1:9082",
            "--health-probe-bind-address=127.0.0.1:9083",
            "--metrics-service-bind-address=127.0.0.1:9666",
            &format!("--cert-dir={at}"),
            "--enable-webhook-patching=false",
            "--enable-apiservice-patching=false",
        ];
        parts.run(gateway, &keda.join("operator"), &operator);
        let adapter = [
            "--bind-address=198.18.0.1",
            &format!("--secure-port={ADAPTER}"),
            "--port=9084",
            "--metrics-service-address=127.0.0.1:9666",
            &format!("--cert-dir={at}"),
            &format!("--tls-cert-file={at}/tls.crt"),
            &format!("--tls-private-key-file={at}/tls.key"),
            &format!("--client-ca-file={at}/ca.crt"),
            &format!("--lister-kubeconfig={config}"),
            &format!("--authentication-kubeconfig={config}"),
            &format!("--authorization-kubeconfig={config}"),
        ];
        parts.run(gateway, &keda.join("adapter"), &adapter);
        std::fs::write(parts.folder.path().join("prometheus.yaml"), scraping(&parts.targets())).unwrap();
        let prometheus = [
            &format!("--config.file={at}/prometheus.yaml"),
            &format!("--storage.tsdb.path={at}/data"),
            &format!("--web.listen-address={PROMETHEUS}"),
        ];
        parts.run(gateway, Path::new("prometheus"), &prometheus.map(String::as_str));
        parts
    }

    fn targets(&self) -> PathBuf {
        self.folder.path().join("targets.json")
    }

    /// Lists the proxies that are ready to be scraped; how many they are.
    fn scrape(&self, gateway: &Gateway) -> usize {
        let ready = gateway.ready();
        let address = |pod: &String| format!("{}:9090", gateway.of_pod(pod, ".status.podIP"));
        let targets: Vec<String> = ready.iter().map(address).collect();
        // In one step: it is read whenever it changes.
        let new = self.targets().with_extension("new");
        std::fs::write(&new, serde_json::json!([{ "targets": targets }]).to_string()).unwrap();
        std::fs::rename(new, self.targets()).unwrap();
        ready.len()
    }

    fn log(&self, program: &Path) -> PathBuf {
        self.folder.path().join(program.file_name().unwrap()).with_extension("log")
    }

    fn run(&mut self, gateway: &Gateway, program: &Path, flags: &[&str]) {
        let log = File::create(self.log(program)).unwrap();
        let mut command = gateway.node.command(program).unwrap();
        command.args(flags).env("KUBECONFIG", gateway.node.folder().join("kubeconfig"));
        command.env("POD_NAMESPACE", "keda").env("KEDA_CLUSTER_OBJECT_NAMESPACE", "keda").env("WATCH_NAMESPACE", "");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.processes.push(Process::start(&mut command).unwrap());
    }

    /// The last words of each, for a message.
    fn said(&self) -> String {
        ["operator", "adapter", "prometheus"]
            .map(|name| {
                let text = std::fs::read_to_string(self.log(Path::new(name))).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(15)..].join("\n"))
            })
            .concat()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = std::io::stderr().write_all(self.said().as_bytes());
        }
    }
}

/// Scrapes what the file of targets lists, as the chart's monitors have it scraped. Debian's Prometheus can not ask a
/// Kubernetes for pods.
fn scraping(targets: &Path) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: proxies\n\
         \x20 file_sd_configs: [{{files: [{}]}}]\n\
         \x20 relabel_configs:\n\
         \x20 - {{target_label: namespace, replacement: {NAME}}}\n\
         \x20 - {{target_label: gateway, replacement: {NAME}}}\n",
        targets.display()
    )
}

/// Where KEDA is; `None` when it was not built, after a line that says so.
fn keda() -> Option<PathBuf> {
    let output = Command::new(root().join("tests/setup/keda.sh")).arg("built").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if folder.is_empty() {
        let _ = std::io::stderr().write_all(b"skipped: KEDA is not built (make test-keda builds it)\n");
        return None;
    }
    Some(folder.into())
}

#[tokio::test]
async fn keda_scales_real_pods_up_under_load_and_down_after() {
    let Some(keda) = keda() else { return };
    let Some(gateway) = Gateway::bare().await else { return };
    gateway.kubectl(&["apply", "--server-side", "-f", keda.join("definitions").to_str().unwrap()]);
    let (metrics, group) = ("v1beta1.external.metrics.k8s.io", "external.metrics.k8s.io");
    gateway.apply("keda", &registration("keda", ("v1beta1", group), ADAPTER));
    let parts = Parts::start(&gateway, &keda);
    let available = ["wait", "--for=condition=Available", &format!("apiservice/{metrics}"), "--timeout=120s"];
    gateway.kubectl(&available);

    // The chart's own question, which asks for the mean of the last minute.
    gateway.upgrade(
        4,
        &format!(
            "proxy.autoscaling.minReplicas=1,proxy.autoscaling.maxReplicas=3,proxy.autoscaling.keda.enabled=true,\
             proxy.autoscaling.keda.serverAddress=http://{PROMETHEUS},proxy.autoscaling.keda.inflightPerPod=4,\
             proxy.autoscaling.keda.cpuPercent=null,proxy.autoscaling.keda.pollingInterval=1,\
             proxy.autoscaling.keda.behavior.scaleDown.stabilizationWindowSeconds=3,\
             proxy.autoscaling.keda.behavior.scaleDown.policies=null"
        ),
    );
    gateway.apply("by-keda", &quick("by-keda"));
    gateway.programmed("by-keda");
    let object = ["wait", "-n", NAME, "--for=condition=Ready", "scaledobject/sluicegate-proxy", "--timeout=120s"];
    gateway.kubectl(&object);
    gateway.until("one proxy", |gateway| (parts.scrape(gateway) == 1).then_some(()));

    let way = gateway.service();
    let load = Load::start(way.address, "by-keda", 24);
    gateway.until("three proxies", |gateway| (parts.scrape(gateway) == 3).then_some(()));
    gateway.kubectl(&[
        "wait",
        "-n",
        NAME,
        "--for=condition=Fallback=false",
        "scaledobject/sluicegate-proxy",
        "--timeout=60s",
    ]);
    load.calls();
    let seen = load.end();
    println!("KEDA: 1 → 3 under {} whole calls and {} streams", seen.whole, seen.streams);
    seen.is_flawless();
    gateway.until("one proxy again", |gateway| (parts.scrape(gateway) == 1 && gateway.pods().len() == 1).then_some(()));
    // Its finalizers are taken off by the operator, which must still be there.
    gateway.uninstall();
    let gone = ["wait", "-n", NAME, "--for=delete", "scaledobject/sluicegate-proxy", "--timeout=60s"];
    gateway.kubectl(&gone);
    gateway.kubectl(&["delete", "apiservice", metrics]);
    gateway.forget(&["by-keda", "keda"]);
}
