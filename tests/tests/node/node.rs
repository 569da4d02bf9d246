//! The node of the tests itself: it runs an image of ours, its Services and names lead to it, and it leaves nothing.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::Api;
use sluicegate_tests::client::Client as Caller;
use sluicegate_tests::kube::image::Image;
use sluicegate_tests::kube::manifests;
use sluicegate_tests::kube::node::Node;
use sluicegate_tests::process::{Process, pause};

const IMAGE: &str = "sluicegate.test/proxy:1";

/// The proxy on a simulated provider, as two pods behind a Service. They ask for little: what a limit alone asks for would
/// leave no room beside them for a release with its own values, which another test may install meanwhile.
const MANIFESTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: manifests}
data:
  all.yaml: |
    apiVersion: sluicegate.dev/v1alpha1
    kind: ProviderPool
    metadata: {name: pool}
    spec: {providers: [{name: one, type: Simulated}]}
    ---
    apiVersion: sluicegate.dev/v1alpha1
    kind: LLMRoute
    metadata: {name: route}
    spec: {rules: [{name: all, matches: [{model: {exact: demo}}], targets: [{poolRef: {name: pool}}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: proxy}
spec:
  replicas: 2
  selector: {matchLabels: {app: proxy}}
  template:
    metadata: {labels: {app: proxy}}
    spec:
      terminationGracePeriodSeconds: 5
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: proxy
        image: sluicegate.test/proxy:1
        args: [--manifests, /manifests, --listen, "0.0.0.0:8080", --admin-listen, "0.0.0.0:9090", --workers, "1"]
        ports: [{name: http, containerPort: 8080}, {name: admin, containerPort: 9090}]
        readinessProbe: {httpGet: {path: /readyz, port: admin}, periodSeconds: 1}
        resources: {requests: {cpu: 20m}, limits: {cpu: 500m, memory: 128Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: manifests, mountPath: /manifests}]
      volumes: [{name: manifests, configMap: {name: manifests}}]
---
apiVersion: v1
kind: Service
metadata: {name: proxy}
spec: {selector: {app: proxy}, ports: [{name: http, port: 80, targetPort: http}]}
"#;

async fn available(client: &Client, namespace: &str, name: &str, wanted: i32) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let mut last = None;
    for _ in 0..600 {
        last = deployments.get(name).await.unwrap().status;
        if last.as_ref().and_then(|status| status.available_replicas) == Some(wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} is not available in time: {last:?}");
}

#[tokio::test]
async fn an_image_of_ours_runs_and_is_reached_by_service_and_by_name() {
    let Some(node) = Node::shared().unwrap() else { return };
    node.load(&Image::of(IMAGE, &["sluicegate-proxy"]).unwrap()).unwrap();
    let client = node.client().await.unwrap();
    let namespace = manifests::namespace(&client, "served", &[]).await.unwrap();
    manifests::apply(&client, &namespace, MANIFESTS).await.unwrap();
    available(&client, &namespace, "proxy", 2).await;

    // By its address, from outside.
    let way = node.forward_service((&namespace, "proxy"), Some("http")).await.unwrap();
    let body = r#"{"model": "demo", "messages": [{"role": "user", "content": "hello"}]}"#;
    for _ in 0..20 {
        let answer = Caller::new(way.address).post("/v1/chat/completions", &[], body).await.unwrap();
        assert!(answer.is_good(), "{answer:?}");
    }
    // By its name, from inside.
    let url = format!("http://proxy.{namespace}.svc.cluster.local/v1/models");
    let models = node.sh(&["curl", "-sSf", "--max-time", "20", &url]).unwrap();
    assert!(models.contains("demo"), "{models}");
    let nowhere = node.sh(&["curl", "-sS", "--max-time", "20", "http://example.com/"]).unwrap_err().to_string();
    assert!(nowhere.contains("resolve"), "a name outside is no name: {nowhere}");
}

#[test]
fn what_runs_in_a_nodes_network_ends_with_the_thread_that_started_it() {
    let Some(node) = Node::shared().unwrap() else { return };
    let start = || {
        let mut command = node.command(Path::new("sleep")).unwrap();
        let process = Process::start(command.arg("infinity")).unwrap();
        // Until it is what was asked for, it has not asked yet.
        let line = format!("/proc/{}/cmdline", process.id());
        let is_it = || std::fs::read(&line).is_ok_and(|line| line.starts_with(b"sleep"));
        for _ in 0..1_000 {
            if is_it() {
                break;
            }
            pause(Duration::from_millis(10));
        }
        assert!(is_it());
        process
    };
    let mut process = std::thread::spawn(start).join().unwrap();
    assert_eq!(process.wait(Duration::from_secs(20)).unwrap().signal(), Some(9));
}

/// What can be seen of a node from its host: processes, mounts, control groups.
fn traces(folder: &Path) -> Vec<String> {
    let (path, name) = (folder.to_str().unwrap(), folder.file_name().unwrap().to_str().unwrap());
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(path) {
            found.push(line);
        }
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains(path)).map(str::to_owned));
    found.extend(listing("/sys/fs/cgroup", 2).into_iter().filter(|path| path.contains(name)));
    found
}

/// What a node could leave in places that are everybody's.
fn places() -> Vec<String> {
    let places =
        ["/sys/class/net", "/run/netns", "/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log/pods"];
    let settings = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"];
    let value = |name: &str| std::fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default();
    places.iter().flat_map(|place| listing(place, 2)).chain(settings.iter().map(|name| value(name))).collect()
}

/// The paths in a folder and in its folders, sorted.
fn listing(folder: &str, depth: usize) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path().display().to_string();
        if depth > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(listing(&path, depth - 1));
        }
        found.push(path);
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_node_taken_down_with_its_pods_running_leaves_nothing() {
    // Two side by side: neither minds the other, and the shared one runs on when this one goes.
    if Node::shared().unwrap().is_none() {
        return;
    }
    let before = places();
    let node = Node::start().unwrap();
    node.load(&Image::of(IMAGE, &["sluicegate-proxy"]).unwrap()).unwrap();
    let client = node.client().await.unwrap();
    manifests::apply(&client, "default", MANIFESTS).await.unwrap();
    available(&client, "default", "proxy", 2).await;
    let folder = node.folder().to_owned();
    let running = traces(&folder);
    assert!(running.iter().any(|trace| trace.contains("containerd-shim")), "{running:#?}");
    node.stop().unwrap();
    assert_eq!(traces(&folder), Vec::<String>::new());
    assert!(!folder.exists());
    assert_eq!(places(), before);
}
