//! The leader is cut off from the API server: another takes over, and the first writes nothing that is not its to write.

use std::time::Duration;

use rustix::process::Signal;
use sluicegate_tests::forwarder::Forwarder;
use sluicegate_tests::kube::{ControlPlane, account};
use sluicegate_tests::operator::Operator;

use crate::gateway::{Gateway, operator, pool, rights, route};

/// Waits until a replica leads, or does not.
async fn leads(operator: &Operator, wanted: bool) {
    for _ in 0..3_000 {
        if (operator.metric("sluicegate_operator_is_leader", &[]).await.unwrap() > 0.0) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("to lead or not to lead, {wanted}: {}", operator.log().join("\n"));
}

#[tokio::test]
async fn what_changes_after_an_api_server_was_away_is_followed_within_seconds() {
    let mut gateway = Gateway::start(1).await;
    let admin = ControlPlane::shared().unwrap().kubeconfig();
    let way = Forwarder::start(account::address(admin).unwrap()).unwrap();
    let kubeconfig = rights(&gateway.client, &gateway.namespace, &[]).await;
    let kubeconfig = account::through(&kubeconfig, way.address).unwrap();
    let flags = ["--watch-namespaces", &gateway.namespace];
    let operator = Operator::start(&kubeconfig, ("gw", &gateway.namespace), &flags).unwrap();
    operator.ready().await.unwrap();
    assert!(std::mem::replace(&mut gateway.operator, operator).stop().await.unwrap().success());
    leads(&gateway.operator, true).await;
    gateway.apply(&(pool("p", "one") + &pool("q", "two") + &route("r", "p"))).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    way.leave(true);
    // Long enough for the waits of watches to have grown, and no longer than the Lease.
    tokio::time::sleep(Duration::from_secs(12)).await;
    way.leave(false);
    gateway.apply(&route("r", "q")).await;
    let back = std::time::Instant::now();
    while gateway.answers("r").await != ["two".to_owned()].into() {
        assert!(back.elapsed() < Duration::from_secs(9), "{}", gateway.operator.log().join("\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_before_another_starts_and_follows_when_it_is_back() {
    let mut gateway = Gateway::start(2).await;
    gateway.apply(&(pool("p", "one") + &pool("q", "two") + &route("r", "p"))).await;
    for (kind, name) in [("LLMRoute", "r"), ("ProviderPool", "p"), ("ProviderPool", "q")] {
        gateway.programmed(kind, name, "True Programmed").await;
    }
    // Another one, by a way that can be cut, takes over from the one that is stopped.
    let admin = ControlPlane::shared().unwrap().kubeconfig();
    let way = Forwarder::start(account::address(admin).unwrap()).unwrap();
    let kubeconfig = rights(&gateway.client, &gateway.namespace, &[]).await;
    let kubeconfig = account::through(&kubeconfig, way.address).unwrap();
    let first =
        Operator::start(&kubeconfig, ("gw", &gateway.namespace), &["--watch-namespaces", &gateway.namespace]).unwrap();
    first.ready().await.unwrap();
    let second = operator(&gateway.client, &gateway.namespace, &[]).await;
    second.ready().await.unwrap();
    // The second waits for its turn as the first does: frozen, it can not be the quicker one.
    second.process().signal(Signal::STOP).unwrap();
    let before = std::mem::replace(&mut gateway.operator, second);
    assert!(before.stop().await.unwrap().success());
    leads(&first, true).await;
    gateway.operator.process().signal(Signal::CONT).unwrap();
    gateway.apply(&route("r", "q")).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    leads(&gateway.operator, false).await;

    way.freeze(true);
    // Both hear it: the one that leads would say so.
    gateway.proxies[1].process().signal(Signal::STOP).unwrap();
    gateway.apply(&route("r", "p")).await;
    leads(&gateway.operator, true).await;
    // It took the lease when it had run out; by then the first had long stopped.
    leads(&first, false).await;
    let wrote = first.writes("").await.unwrap();
    let (message, _) = gateway.programmed("LLMRoute", "r", "False Pending").await;
    assert!(message.starts_with("1/2 ") && message.ends_with("waiting for pod-1"), "{message}");
    gateway.proxies[1].process().signal(Signal::CONT).unwrap();
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    assert_eq!(first.writes("").await.unwrap(), wrote, "{}", first.log().join("\n"));

    // The network is back, and with it whatever was on its way.
    way.freeze(false);
    for pool in ["q", "p", "q"] {
        gateway.apply(&route("r", pool)).await;
        gateway.programmed("LLMRoute", "r", "True Programmed").await;
    }
    assert_eq!(gateway.answers("r").await, ["two".to_owned()].into());
    leads(&first, false).await;
    leads(&gateway.operator, true).await;
    assert_eq!(first.writes("").await.unwrap(), wrote, "{}", first.log().join("\n"));
    // It follows: when the second ends, it leads, and works.
    first.ready().await.unwrap();
    let second = std::mem::replace(&mut gateway.operator, first);
    assert!(second.stop().await.unwrap().success());
    leads(&gateway.operator, true).await;
    gateway.apply(&route("r", "p")).await;
    gateway.programmed("LLMRoute", "r", "True Programmed").await;
    assert_eq!(gateway.answers("r").await, ["one".to_owned()].into());
}
