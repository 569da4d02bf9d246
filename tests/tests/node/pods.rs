//! Pods that come and go under load: by a rollout, by a scale-down, by a crash, with the operator away.

use std::collections::BTreeSet;

use crate::gateway::{Gateway, NAME, PROXIES, call, question, quick, route, slow, wrong};
use crate::load::Load;

const OPERATOR: &str = "deployment/sluicegate-operator";

#[tokio::test]
async fn a_rolling_update_and_a_scale_down_under_streams_fail_no_call_and_cut_no_stream() {
    let Some(gateway) = Gateway::installed("proxy.replicas=3").await else { return };
    gateway.apply("rolled", &slow("rolled"));
    gateway.programmed("rolled");
    let (way, before) = (gateway.service(), gateway.ready());
    let load = Load::start(way.address, "rolled", 12);
    load.calls();
    gateway.kubectl(&["rollout", "restart", "-n", NAME, PROXIES]);
    gateway.kubectl(&["rollout", "status", "-n", NAME, PROXIES, "--timeout=180s"]);
    gateway.until("the old pods' end", |gateway| gateway.pods().is_disjoint(&before).then_some(()));
    load.calls();
    gateway.kubectl(&["scale", "-n", NAME, PROXIES, "--replicas=1"]);
    gateway.until("one pod", |gateway| (gateway.pods().len() == 1).then_some(()));
    load.calls();
    let seen = load.end();
    println!("3 pods replaced, 3 → 1, under {} whole calls and {} streams", seen.whole, seen.streams);
    seen.is_flawless();
    gateway.forget(&["rolled"]);
}

/// Kills the processes of a pod's container, as a crash or the kernel's want of memory does.
fn crash(gateway: &Gateway, pod: &str) {
    let id = gateway.of_pod(pod, ".status.containerStatuses[0].containerID");
    let id = id.trim_start_matches("containerd://");
    let script = format!("grep -l {id} /proc/[0-9]*/cgroup | cut -d / -f 3 | xargs kill -KILL");
    gateway.node.sh(&["bash", "-c", &script]).unwrap();
}

#[tokio::test]
async fn a_proxy_killed_costs_no_call_on_another_and_the_service_goes_on() {
    let Some(gateway) = Gateway::installed("proxy.replicas=3").await else { return };
    gateway.apply("killed", &quick("killed"));
    gateway.programmed("killed");
    let service = gateway.service();
    for deleted in [false, true] {
        let pods = Vec::from_iter(gateway.ready());
        let [victim, others @ ..] = &pods[..] else { panic!("no proxy") };
        let ways: Vec<_> = others.iter().map(|pod| gateway.pod(pod, 8080)).collect();
        let loads: Vec<_> = ways.iter().map(|way| Load::start(way.address, "killed", 4)).collect();
        let through = Load::start(service.address, "killed", 8);
        through.calls();
        if deleted {
            gateway.kubectl(&["delete", "pod", "-n", NAME, victim, "--grace-period=0", "--force"]);
            gateway.until("a new proxy", |gateway| {
                let ready = gateway.ready();
                (ready.len() == 3 && !ready.contains(victim)).then_some(())
            });
        } else {
            crash(&gateway, victim);
            gateway.until("its next life", |gateway| {
                let lives = gateway.of_pod(victim, ".status.containerStatuses[0].restartCount");
                (lives != "0" && gateway.ready().contains(victim)).then_some(())
            });
        }
        for load in &loads {
            load.streams(2);
        }
        for load in loads {
            load.end().is_flawless();
        }
        let seen = through.end();
        println!(
            "deleted={deleted}: through the Service {} of {} failed; at the other pods none",
            seen.failed.len(),
            seen.failed.len() as u64 + seen.whole + seen.streams
        );
        // The dead one is out of the Service.
        let after = Load::start(service.address, "killed", 8);
        after.streams(8);
        after.end().is_flawless();
    }
    gateway.forget(&["killed"]);
}

#[tokio::test]
async fn with_the_operator_killed_proxies_serve_and_a_new_proxy_starts_and_serves() {
    let Some(gateway) = Gateway::installed("proxy.replicas=2").await else { return };
    gateway.apply("alone", &quick("alone"));
    gateway.programmed("alone");
    let way = gateway.service();
    let load = Load::start(way.address, "alone", 8);
    load.calls();
    let operators = ["delete", "pod", "-n", NAME, "-l", "app.kubernetes.io/component=operator"];
    gateway.kubectl(&[&operators[..], &["--grace-period=0", "--force"]].concat());
    gateway.kubectl(&["scale", "-n", NAME, OPERATOR, "--replicas=0"]);
    gateway.until("no operator", |gateway| {
        let left = gateway.kubectl(&[&["get"], &operators[1..], &["-o", "name"]].concat());
        left.trim().is_empty().then_some(())
    });
    load.streams(4);
    // What is published is enough for one that was not there before.
    let before = gateway.ready();
    gateway.kubectl(&["scale", "-n", NAME, PROXIES, "--replicas=3"]);
    let new: BTreeSet<String> = gateway.until("a third proxy", |gateway| {
        let new: BTreeSet<String> = gateway.ready().difference(&before).cloned().collect();
        (!new.is_empty()).then_some(new)
    });
    for pod in new {
        let way = gateway.pod(&pod, 8080);
        for stream in [false, true] {
            assert_eq!(wrong(&call(way.address, question("alone", stream, 20)).await, stream), None);
        }
    }
    let seen = load.end();
    println!("without an operator: {} whole calls, {} streams", seen.whole, seen.streams);
    seen.is_flawless();
    // It comes back to where it left, and what was asked for meanwhile is done.
    gateway.apply("alone", &route("afterwards"));
    gateway.kubectl(&["scale", "-n", NAME, OPERATOR, "--replicas=1"]);
    gateway.programmed("alone");
    assert_eq!(wrong(&call(way.address, question("afterwards", false, 5)).await, false), None);
    gateway.forget(&["alone"]);
}
