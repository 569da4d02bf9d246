//! What a process does when it is told something by a signal.

use std::time::Duration;

use rustix::process::Signal;
use sluicegate_tests::client::post;
use sluicegate_tests::proxy::Proxy;

use crate::resources::{CHAT, Way, chat, pool, route};

fn manifests() -> String {
    pool("p", &["  - {name: one, type: Simulated}\n".to_owned()], "") + &route("m", "p")
}

#[tokio::test]
async fn signals_that_other_servers_reload_by_are_harmless() {
    let text = manifests();
    let flags = ["--drain-delay", "0s", "--log", "info,sluicegate_proxy::drain=debug"];
    let mut proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
    let way = Way { anthropic: false, stream: false };
    for (signal, name) in [(Signal::HUP, "SIGHUP"), (Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")] {
        proxy.process().signal(signal).unwrap();
        let told = |line: &String| line.contains(name) && line.contains("DEBUG");
        proxy.until(name, |proxy| proxy.log().iter().any(told)).await.unwrap();
        assert!(way.call(&proxy.client(), "m", &[]).await.is_good(), "{name}");
        assert_eq!(proxy.page("/readyz").unwrap().0, 200, "{name}");
    }
    proxy.terminate().unwrap();
    assert!(proxy.ended().await.unwrap().success());
}

#[tokio::test]
async fn sigquit_drains_as_sigterm_does() {
    let text = manifests();
    let mut proxy = Proxy::start(&[("all.yaml", &text)], &["--drain-delay", "200ms"]).unwrap();
    let steer = [("x-simulate", "tokens=40; interval=25ms")];
    let open = proxy.client().open(post(CHAT, &steer, chat("m", true)).unwrap()).await.unwrap();
    proxy.process().signal(Signal::QUIT).unwrap();
    proxy
        .until("readiness is off", |proxy| proxy.page("/readyz").is_ok_and(|(status, _)| status == 503))
        .await
        .unwrap();
    // Those that are harmless stay so, and do not count as a second word to end.
    proxy.process().signal(Signal::HUP).unwrap();
    let way = Way { anthropic: false, stream: false };
    assert!(way.call(&proxy.client(), "m", &[]).await.is_good(), "calls are still taken during the delay");
    let answer = sluicegate_tests::client::read(open).await.unwrap();
    assert!(answer.whole && answer.text().contains("[DONE]"), "the stream was cut");
    let ended = tokio::time::timeout(Duration::from_secs(30), proxy.ended()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
}
