//! The HorizontalPodAutoscaler of the chart scales real pods by the calls that they have in flight.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use sluicegate_tests::binaries::binary;
use sluicegate_tests::process::Process;

use crate::gateway::{Gateway, NAME, PROXIES, quick, root};
use crate::load::Load;

const HPA: &str = "horizontalpodautoscaler/sluicegate-proxy";

/// Tells the API server that a group of metrics is to be had at this port of the node; to be applied in this namespace.
/// That of 1.33 looks for Endpoints, later ones find the slice that is made of these.
pub(crate) fn registration(namespace: &str, (version, group): (&str, &str), port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: adapter}}\nspec: {{ports: [{{port: 443, targetPort: {port}}}]}}\n---\n\
         apiVersion: v1\nkind: Endpoints\nmetadata: {{name: adapter}}\n\
         subsets: [{{addresses: [{{ip: 198.18.0.1}}], ports: [{{port: {port}}}]}}]\n---\n\
         apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {{name: {version}.{group}}}\n\
         spec:\n  group: {group}\n  version: {version}\n  groupPriorityMinimum: 100\n  versionPriority: 100\n\
         \x20 insecureSkipTLSVerify: true\n  service: {{namespace: {namespace}, name: adapter}}\n"
    )
}

/// Starts the adapter inside; the process, and its port.
fn adapter(gateway: &Gateway) -> (Process, u16) {
    let mut command = gateway.node.command(&binary("custom-metrics").unwrap()).unwrap();
    command.args(["--listen", "198.18.0.1:0"]).env("KUBECONFIG", gateway.node.folder().join("kubeconfig"));
    let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped())).unwrap();
    let mut line = String::new();
    BufReader::new(process.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
    (process, port.unwrap_or_else(|| panic!("the adapter did not start: {line:?}")))
}

/// How many pods the HorizontalPodAutoscaler wants, once it knows.
fn wanted(gateway: &Gateway) -> Option<u32> {
    let words = ["get", "-n", NAME, HPA, "-o", "jsonpath={.status.desiredReplicas}"];
    gateway.kubectl(&words).parse().ok()
}

#[tokio::test]
async fn the_hpa_scales_real_pods_up_under_load_and_down_after() {
    let scaling = "proxy.autoscaling.minReplicas=1,proxy.autoscaling.maxReplicas=3,proxy.autoscaling.hpa.enabled=true,\
                   proxy.autoscaling.hpa.inflightPerPod=4,proxy.autoscaling.hpa.cpuPercent=null,\
                   proxy.autoscaling.hpa.behavior.scaleDown.stabilizationWindowSeconds=3,\
                   proxy.autoscaling.hpa.behavior.scaleDown.policies=null";
    let Some(gateway) = Gateway::installed(scaling).await else { return };
    let (_adapter, port) = adapter(&gateway);
    gateway.apply("adapter", &registration("adapter", ("v1beta2", "custom.metrics.k8s.io"), port));
    let words = ["wait", "--for=condition=Available", "apiservice/v1beta2.custom.metrics.k8s.io", "--timeout=60s"];
    gateway.kubectl(&words);
    gateway.apply("scaled", &quick("scaled"));
    gateway.programmed("scaled");
    gateway.until("one proxy", |gateway| (gateway.ready().len() == 1 && wanted(gateway) == Some(1)).then_some(()));

    let way = gateway.service();
    let load = Load::start(way.address, "scaled", 24);
    gateway.until("three proxies", |gateway| (gateway.ready().len() == 3).then_some(()));
    load.calls();
    let seen = load.end();
    println!("1 → 3 under {} whole calls and {} streams", seen.whole, seen.streams);
    seen.is_flawless();
    gateway.until("one proxy again", |gateway| (gateway.pods().len() == 1).then_some(()));
    gateway.kubectl(&["delete", "apiservice", "v1beta2.custom.metrics.k8s.io"]);
    gateway.kubectl(&["delete", "-n", NAME, HPA]);
    gateway.forget(&["scaled", "adapter"]);
}

/// What a Deployment asks for and has, each time that either changes, from now on.
struct Numbers {
    process: Process,
    lines: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Numbers {
    fn of_the_proxies(gateway: &Gateway) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = folder.path().join("lines");
        let path = "jsonpath={.spec.replicas} {.status.readyReplicas}{\"\\n\"}";
        let mut command = gateway.command();
        command.args(["get", "-n", NAME, PROXIES, "--watch", "-o", path]).stdin(Stdio::null());
        command.stdout(std::fs::File::create(&lines).unwrap());
        let process = Process::start(&mut command).unwrap();
        let numbers = Self { process, lines, _folder: folder };
        gateway.until("the first line of a watch", |_| (!numbers.all().is_empty()).then_some(()));
        numbers
    }

    fn all(&self) -> Vec<String> {
        std::fs::read_to_string(&self.lines).unwrap().lines().map(str::to_owned).collect()
    }

    /// All that were seen, once this one has been.
    fn until(self, gateway: &Gateway, last: &str) -> Vec<String> {
        let all = gateway.until(last, |_| Some(self.all()).filter(|all| all.iter().any(|line| line == last)));
        drop(self.process);
        all
    }
}

#[tokio::test]
async fn scaling_switched_on_under_load_takes_no_pod_away() {
    let Some(gateway) = Gateway::bare().await else { return };
    let definitions = std::process::Command::new(root().join("tests/setup/definitions.sh")).output().unwrap();
    let folder = String::from_utf8_lossy(&definitions.stdout).trim().to_owned();
    let scaled_objects = format!("{folder}/keda.sh_scaledobjects.yaml");
    gateway.kubectl(&["apply", "--server-side", "-f", &scaled_objects]);
    gateway.kubectl(&["wait", "--for=condition=Established", "crd/scaledobjects.keda.sh", "--timeout=30s"]);
    for version in [3, 4] {
        for scaler in ["hpa", "keda"] {
            gateway.uninstall();
            gateway.upgrade(version, "proxy.replicas=4");
            gateway.apply("switched", &quick("switched"));
            gateway.programmed("switched");
            let (way, before) = (gateway.service(), gateway.ready());
            assert_eq!(before.len(), 4);
            let (load, numbers) = (Load::start(way.address, "switched", 8), Numbers::of_the_proxies(&gateway));
            load.calls();
            let on = format!("proxy.autoscaling.minReplicas=2,proxy.autoscaling.{scaler}.enabled=true");
            gateway.upgrade(version, &on);
            gateway.upgrade(version, &format!("{on},operator.log=debug"));
            load.calls();
            // Nothing that scales has numbers here, so it leaves all as it is; then somebody scales up.
            assert_eq!(gateway.ready(), before, "Helm {version}, {scaler}");
            gateway.kubectl(&["scale", "-n", NAME, PROXIES, "--replicas=5"]);
            let seen = numbers.until(&gateway, "5 5");
            assert!(seen.iter().all(|line| ["4 4", "5 4", "5 5"].contains(&line.as_str())), "{seen:?}");
            assert!(gateway.ready().is_superset(&before), "Helm {version}, {scaler}");
            let calls = load.end();
            println!("Helm {version}, {scaler} on: {} whole calls and {} streams", calls.whole, calls.streams);
            calls.is_flawless();
            gateway.delete(&["switched"]);
        }
    }
    gateway.uninstall();
    gateway.kubectl(&["delete", "crd", "scaledobjects.keda.sh"]);
}
