//! Copies of calls go to another pool: nobody waits for them, and nothing but their own counts tells of them.

use sluicegate_tests::client::Client;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream};

use crate::resources::{CHAT, WAYS, chat, plain_upstream, pool, provider, rule};

fn house(real: &Upstream, other: &Upstream, percent: u32) -> Proxy {
    let lines = format!(
        "    targets: [{{poolRef: {{name: real}}}}]\n    mirror: {{poolRef: {{name: other}}, model: new, percent: {percent}}}\n"
    );
    let text = pool("real", &[provider("a", "OpenAICompatible", real.address, "")], "")
        + &pool("other", &[provider("b", "OpenAICompatible", other.address, "")], "")
        + &rule("m", &lines);
    Proxy::start(&[("all.yaml", &text)], &["--workers", "2"]).unwrap()
}

fn count(proxy: &Proxy, name: &str, labels: &[(&str, &str)]) -> f64 {
    proxy.metrics().unwrap().sum(name, labels)
}

async fn ask(client: &Client) {
    assert!(client.post(CHAT, &[], chat("m", false)).await.unwrap().is_good());
}

#[tokio::test]
async fn a_copy_is_the_call_and_is_counted_by_itself() {
    let (real, other) = (plain_upstream(), plain_upstream());
    let proxy = house(&real, &other, 100);
    for way in WAYS {
        let answer = way.call(&proxy.client(), "m", &[]).await;
        assert!(answer.is_good() && way.said(&answer) == "fine", "{way:?}: {}", answer.text());
    }
    let all = |proxy: &Proxy| count(proxy, "sluicegate_requests_total", &[("outcome", "done")]) > 7.5;
    proxy.until("all are counted", all).await.unwrap();
    assert_eq!((real.calls(), other.calls()), (4, 4));
    let bodies = |upstream: &Upstream| -> Vec<String> {
        let text = |body: Vec<u8>| String::from_utf8(body).unwrap().replace("\"new\"", "\"m\"");
        let mut all: Vec<_> = upstream.received().into_iter().map(|received| text(received.body)).collect();
        all.sort();
        all
    };
    assert_eq!(bodies(&real), bodies(&other), "but for the model that is asked for");
    for (labels, wanted) in [
        (&[("route", "default/m"), ("provider", "a")][..], 4.0),
        (&[("route", "default/m"), ("provider", "b")], 0.0),
        (&[("provider", "b")], 4.0),
    ] {
        let is = count(&proxy, "sluicegate_requests_total", labels);
        assert!((is - wanted).abs() < 0.1, "{labels:?}: {is}\n{}", proxy.metrics().unwrap().0);
    }
    assert!((count(&proxy, "sluicegate_mirrored_calls_total", &[("outcome", "sent")]) - 4.0).abs() < 0.1);
    // What would leave something behind twice is not copied.
    let stored = r#"{"model":"m","store":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    assert!(proxy.client().post(CHAT, &[], stored).await.unwrap().is_good());
    assert_eq!((real.calls(), other.calls()), (5, 4));
}

#[tokio::test]
async fn a_pool_that_takes_no_copy_keeps_nobody_waiting() {
    let (real, other) = (plain_upstream(), Upstream::always(vec![Act::Hang]).unwrap());
    let proxy = house(&real, &other, 100);
    let client = proxy.client();
    for _ in 0..100 {
        ask(&client).await;
    }
    let in_flight = |proxy: &Proxy| count(proxy, "sluicegate_inflight_requests", &[]) < 0.5;
    proxy.until("nobody is in flight", in_flight).await.unwrap();
    let of = |outcome| count(&proxy, "sluicegate_mirrored_calls_total", &[("outcome", outcome)]);
    assert!((of("sent") - 64.0).abs() < 0.1 && (of("dropped") - 36.0).abs() < 0.1, "{} {}", of("sent"), of("dropped"));
    assert!(other.calls() <= 64);
}

#[tokio::test]
async fn a_share_of_calls_is_copied() {
    let (real, other) = (plain_upstream(), plain_upstream());
    let proxy = house(&real, &other, 10);
    let client = proxy.client();
    for _ in 0..400 {
        ask(&client).await;
    }
    let sent = count(&proxy, "sluicegate_mirrored_calls_total", &[("outcome", "sent")]);
    assert!((15.0..=80.0).contains(&sent), "{sent} of 400");
}

#[tokio::test]
async fn a_copy_that_no_provider_can_take_is_not_sent() {
    let (real, other) = (plain_upstream(), Upstream::always(vec![Act::Hang]).unwrap());
    let lines = "    targets: [{poolRef: {name: real}}]\n    mirror: {poolRef: {name: other}, percent: 100}\n";
    let full = "limits: {concurrency: {max: 1}}";
    let text = pool("real", &[provider("a", "OpenAICompatible", real.address, "")], "")
        + &pool("other", &[provider("b", "OpenAICompatible", other.address, full)], "")
        + &rule("m", lines);
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    let client = proxy.client();
    for _ in 0..4 {
        ask(&client).await;
    }
    let of = |proxy: &Proxy, outcome| count(proxy, "sluicegate_mirrored_calls_total", &[("outcome", outcome)]);
    proxy.until("three are refused", |proxy| of(proxy, "refused") > 2.5).await.unwrap();
    assert!((of(&proxy, "sent") - 1.0).abs() < 0.1 && of(&proxy, "dropped") < 0.1);
    let refused = |proxy: &Proxy| proxy.log().iter().filter(|line| line.contains("\"mirror\":true")).count() == 3;
    proxy.until("they are in the log", refused).await.unwrap();
    for line in proxy.log().iter().filter(|line| line.contains("\"mirror\":true")) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["status"], &line["limit"], &line["outcome"]),
            (&429.into(), &"ProviderPool default/other/b".into(), &"refused".into()),
            "{line}"
        );
    }
}
