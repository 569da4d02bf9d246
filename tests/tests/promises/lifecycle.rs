//! Configuration that changes under load, and a process that stops under load: no call notices.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::client::Client;
use sluicegate_tests::load::{post, receive};
use sluicegate_tests::proxy::Proxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::resources::{WAYS, Way, good, pool, provider, route, rule};

/// Callers that call again and again until they are told to stop; gives back how many calls there were, and what failed.
struct Load {
    stop: Rc<Cell<bool>>,
    /// How many calls have ended so far.
    ended: Rc<Cell<u64>>,
    tasks: Vec<tokio::task::JoinHandle<(u64, Vec<String>)>>,
}

impl Load {
    /// To be called inside a `LocalSet`. Each caller has a client of its own.
    fn start(proxy: &Proxy, callers: usize, steer: &'static str) -> Self {
        let (stop, ended) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let tasks = (0..callers).map(|number| {
            let (client, stop, ended) = (Client::new(proxy.address), Rc::clone(&stop), Rc::clone(&ended));
            let way = WAYS[number % WAYS.len()];
            tokio::task::spawn_local(async move { call_until(&client, way, steer, (&stop, &ended)).await })
        });
        let tasks = tasks.collect();
        Self { stop, ended, tasks }
    }

    async fn end(self) -> (u64, Vec<String>) {
        self.stop.set(true);
        let (mut calls, mut failed) = (0, Vec::new());
        for task in self.tasks {
            let (more, lost) = task.await.unwrap();
            calls += more;
            failed.extend(lost);
        }
        (calls, failed)
    }
}

async fn call_until(
    client: &Client,
    way: Way,
    steer: &str,
    (stop, ended): (&Cell<bool>, &Cell<u64>),
) -> (u64, Vec<String>) {
    let (mut calls, mut failed) = (0, Vec::new());
    let (path, body) = if way.anthropic {
        (crate::resources::MESSAGES, crate::resources::message("m", way.stream))
    } else {
        (crate::resources::CHAT, crate::resources::chat("m", way.stream))
    };
    while !stop.get() {
        calls += 1;
        match client.post(path, &[("x-simulate", steer)], body.clone()).await {
            Ok(answer) if answer.is_good() && (!way.stream || way.says_end(&answer)) => {}
            Ok(answer) => failed.push(format!("{way:?} {} whole={} {}", answer.status, answer.whole, answer.text())),
            Err(error) => failed.push(format!("{way:?} {error:#}")),
        }
        ended.set(ended.get() + 1);
    }
    (calls, failed)
}

fn simulated(name: &str, more: &str) -> String {
    format!("  - {{name: {name}, type: Simulated, {more}}}\n")
}

#[tokio::test]
async fn configuration_changed_every_hundred_milliseconds_under_load_fails_no_call() {
    let simulator = good();
    let pools = |turn: usize| {
        // Providers come and go, weights, prices, timeouts and addresses' settings change.
        let mut providers = vec![
            provider(
                "steady",
                "OpenAI",
                simulator.address,
                &format!("weight: {}, connection: {{maxIdle: {}}}", turn % 5 + 1, turn % 7 + 1),
            ),
            simulated(&format!("born-{}", turn % 3), &format!("weight: {}", turn % 4 + 1)),
        ];
        if turn.is_multiple_of(2) {
            providers.push(provider("other", "Anthropic", simulator.address, ""));
        }
        pool("p", &providers, &format!("  timeouts: {{idle: {}s}}", turn % 9 + 20))
    };
    let proxy =
        Proxy::start(&[("pools.yaml", &pools(0)), ("route.yaml", &route("m", "p"))], &["--log-sample", "0"]).unwrap();
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let load = Load::start(&proxy, 16, "first-token=2ms; interval=2ms; tokens=20");
            let applied = || proxy.metrics().unwrap().sum("sluicegate_config_generation", &[]);
            // A busy machine takes longer over both.
            for turn in (1..=1000_usize).take_while(|turn| *turn <= 40 || load.ended.get() <= 200 || applied() <= 10.0)
            {
                proxy.write("pools.yaml", &pools(turn)).unwrap();
                if turn.is_multiple_of(3) {
                    proxy.write("more.yaml", &route(&format!("extra-{turn}"), "p")).unwrap();
                }
                if turn.is_multiple_of(5) {
                    let cached = rule("m", "    targets: [{poolRef: {name: p}}]\n    timeouts: {idle: 30s}\n");
                    proxy.write("route.yaml", &if turn.is_multiple_of(2) { cached } else { route("m", "p") }).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let (calls, failed) = load.end().await;
            assert!(failed.is_empty(), "{} of {calls} failed, e.g. {:?}", failed.len(), &failed[..failed.len().min(3)]);
            assert!(calls > 200 && applied() > 10.0, "{calls} calls are no load, or {} too few changes", applied());
        })
        .await;
}

#[tokio::test]
async fn a_bad_edit_keeps_the_last_good_configuration_and_says_what_is_wrong_where() {
    let simulator = good();
    let fine = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "");
    let proxy = Proxy::start(&[("pools.yaml", &fine), ("routes.yaml", &route("m", "p"))], &[]).unwrap();
    let way = Way { anthropic: false, stream: false };
    let edits = [
        ("pools.yaml", fine.replace("type: OpenAI", "type: OpenAPI"), "p", "type"),
        ("pools.yaml", fine.replace("providers:", "suppliers:"), "p", "suppliers"),
        (
            "pools.yaml",
            pool("p", &[provider("a", "OpenAI", simulator.address, "")], "  timeouts: {idle: soon}"),
            "p",
            "timeouts.idle",
        ),
        ("pools.yaml", pool("p", &[provider("a", "OpenAI", simulator.address, "weight: 0")], ""), "p", "weight"),
        ("pools.yaml", format!("{fine}  bad: [indent\n"), "pools.yaml", ""),
        ("routes.yaml", route("m", "no-such-pool"), "m", "poolRef"),
        ("routes.yaml", route("m", "p").replace("exact: m", "regex: \"(\""), "m", "regex"),
    ];
    for (file, text, object, field) in edits {
        let seen = proxy.log().len();
        proxy.write(file, &text).unwrap();
        let told = |line: &String| {
            let line = line.to_lowercase();
            line.contains(file)
                && line.contains(object)
                && line.contains(&field.to_lowercase())
                && !line.contains("\"level\":\"info\"")
        };
        proxy
            .until(&format!("a log line that names {file}, {object}, {field}"), |proxy| {
                proxy.log()[seen..].iter().any(told)
            })
            .await
            .unwrap();
        let answer = way.call(&proxy.client(), "m", &[]).await;
        assert!(answer.is_good(), "{field}: the last good configuration is gone: {}", answer.text());
        assert_eq!(proxy.page("/readyz").unwrap().0, 200, "{field}");
        let (_, report) = proxy.page("/config").unwrap();
        assert!(report.contains(file) && report.contains(field), "{field}: {report}");
        assert!(proxy.metrics().unwrap().sum("sluicegate_config_rejected_objects", &[]) > 0.0, "{field}");
        // Put right, it is applied.
        proxy.write("pools.yaml", &fine).unwrap();
        proxy.write("routes.yaml", &route("m", "p")).unwrap();
        proxy
            .until("all is well again", |proxy| {
                proxy.metrics().is_ok_and(|metrics| metrics.sum("sluicegate_config_rejected_objects", &[]) == 0.0)
            })
            .await
            .unwrap();
    }
    proxy.write("pools.yaml", &pool("p", &[simulated("a", "simulated: {text: newly said}")], "")).unwrap();
    for _ in 0..1_000 {
        let answer = way.call(&proxy.client(), "m", &[]).await;
        assert!(answer.is_good());
        if way.said(&answer).contains("newly said") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the fixed edit was not applied");
}

#[tokio::test]
async fn a_stop_under_load_fails_no_call_and_lets_streams_finish() {
    let simulator = Simulator::start(&["--journal", "1"]).unwrap();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let mut proxy = Proxy::start(&[("all.yaml", &text)], &["--log-sample", "0", "--drain-delay", "1500ms"]).unwrap();
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let quick = Load::start(&proxy, 12, "tokens=10; interval=1ms");
            // Streams that are longer than the whole delay: they end after the sockets have closed.
            let long = Load::start(&proxy, 8, "tokens=60; interval=50ms");
            tokio::time::sleep(Duration::from_millis(500)).await;
            long.stop.set(true);
            proxy.terminate().unwrap();
            // As a load balancer does: calls come until readiness is seen to be off.
            let deadline = Instant::now() + Duration::from_secs(10);
            loop {
                let (status, _) = proxy.page("/readyz").expect("readiness goes off before the process does");
                if status == 503 {
                    break;
                }
                assert!(Instant::now() < deadline, "readiness did not go off");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            let (calls, failed) = quick.end().await;
            assert!(failed.is_empty(), "{} of {calls} failed, e.g. {:?}", failed.len(), failed.first());
            let (calls, failed) = long.end().await;
            assert!(failed.is_empty(), "{} of {calls} long ones failed, e.g. {:?}", failed.len(), failed.first());
        })
        .await;
    let status = proxy.ended().await.unwrap();
    assert!(status.success(), "{status}");
    assert!(Client::new(proxy.address).get("/v1/models").await.is_err(), "somebody still answers");
}

#[tokio::test]
async fn idle_connections_do_not_hold_a_stop_up() {
    let simulator = good();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let mut proxy = Proxy::start(&[("all.yaml", &text)], &["--drain-delay", "0s", "--drain-timeout", "60s"]).unwrap();
    let (first, second) = (proxy.client(), Client::http2(proxy.address));
    let way = Way { anthropic: false, stream: false };
    assert!(way.call(&first, "m", &[]).await.is_good() && way.call(&second, "m", &[]).await.is_good());
    proxy.terminate().unwrap();
    assert!(proxy.ended().await.unwrap().success());
}

#[tokio::test]
async fn connections_whose_clients_are_frozen_do_not_hold_a_stop_up() {
    let simulator = good();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let mut proxy = Proxy::start(&[("all.yaml", &text)], &["--drain-delay", "0s", "--drain-timeout", "300s"]).unwrap();
    // One says nothing at all; one speaks HTTP/2 and never acknowledges anything; one stops in a request's head.
    let mut open = Vec::new();
    for beginning in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", b"PRI", b"POST /v1/chat"] {
        use tokio::io::AsyncWriteExt as _;
        let mut socket = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        socket.write_all(beginning).await.unwrap();
        open.push(socket);
    }
    let way = Way { anthropic: false, stream: false };
    assert!(way.call(&proxy.client(), "m", &[]).await.is_good());
    proxy.terminate().unwrap();
    let status = proxy.ended().await.unwrap();
    assert!(status.success(), "no call was cut: {status}");
    drop(open);
}

#[tokio::test(flavor = "local")]
async fn calls_that_the_drain_timeout_cuts_are_told_of() {
    let simulator = good();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let flags = ["--drain-delay", "0s", "--drain-timeout", "1s"];
    let mut proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
    let steer = [("x-simulate", "tokens=5000; interval=100ms")];
    let request = |stream| post(crate::resources::CHAT, &steer, &crate::resources::chat("m", stream));
    let mut sockets = Vec::new();
    for number in 0..6 {
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        socket.write_all(&request(number < 4)).await.unwrap();
        if number < 4 {
            assert_ne!(socket.read_u8().await.unwrap(), 0, "a stream begins");
        }
        sockets.push(socket);
    }
    let second = Client::http2(proxy.address);
    let streamed = || {
        let body = crate::resources::chat("m", true);
        sluicegate_tests::client::post(crate::resources::CHAT, &steer, body).unwrap()
    };
    let open = [second.open(streamed()).await.unwrap(), second.open(streamed()).await.unwrap()];
    // A client reads as it comes, or its window is soon closed.
    let open = open.map(|answer| tokio::task::spawn_local(sluicegate_tests::client::read(answer)));
    proxy
        .until("all are at work", |proxy| {
            proxy.metrics().is_ok_and(|metrics| metrics.sum("sluicegate_inflight_requests", &[]) == 8.0)
        })
        .await
        .unwrap();
    proxy.terminate().unwrap();
    let mut answers = Vec::new();
    for socket in &mut sockets {
        let mut all = Vec::new();
        let _ = socket.read_to_end(&mut all).await;
        answers.push(String::from_utf8_lossy(&all).into_owned());
    }
    assert!(!proxy.ended().await.unwrap().success(), "calls were cut");
    for answer in answers.iter().take(4) {
        assert!(answer.contains("the gateway stopped"), "a stream ends in silence: {answer}");
    }
    let log = proxy.log();
    let cut = log.iter().filter(|line| line.contains("timed_out") && line.contains("the gateway stopped")).count();
    assert_eq!(cut, 8, "{log:#?}");
    for answer in open {
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.text().contains("the gateway stopped"), "a stream of HTTP/2 ends in silence: {}", answer.text());
    }
}

#[tokio::test(flavor = "local")]
async fn a_second_signal_cuts_calls_at_once_and_tells_of_them() {
    let simulator = good();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    // In the delay before the sockets close, and after it.
    for delay in ["300s", "0s"] {
        let flags = ["--drain-delay", delay, "--drain-timeout", "300s"];
        let mut proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
        let steer = [("x-simulate", "tokens=5000; interval=100ms")];
        let client = proxy.client();
        let body = crate::resources::chat("m", true);
        let streamed = sluicegate_tests::client::post(crate::resources::CHAT, &steer, body).unwrap();
        let answer = tokio::task::spawn_local(sluicegate_tests::client::read(client.open(streamed).await.unwrap()));
        proxy.terminate().unwrap();
        let leaving = |proxy: &Proxy| proxy.page("/readyz").is_ok_and(|(status, _)| status == 503);
        proxy.until("it is leaving", leaving).await.unwrap();
        proxy.terminate().unwrap();
        assert!(!proxy.ended().await.unwrap().success(), "a call was cut");
        let answer = answer.await.unwrap().unwrap();
        assert!(answer.text().contains("the gateway stopped"), "{delay}: {}", answer.text());
        let log = proxy.log();
        let cut = log.iter().filter(|line| line.contains("timed_out") && line.contains("the gateway stopped")).count();
        assert_eq!(cut, 1, "{delay}: {log:#?}");
    }
}

#[tokio::test]
async fn a_second_signal_cuts_what_is_open_and_the_code_says_so() {
    let simulator = good();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let mut proxy = Proxy::start(&[("all.yaml", &text)], &["--drain-delay", "0s"]).unwrap();
    let request = sluicegate_tests::client::post(
        crate::resources::CHAT,
        &[("x-simulate", "tokens=5000; interval=100ms")],
        crate::resources::chat("m", true),
    );
    let open = proxy.client().open(request.unwrap()).await.unwrap();
    proxy.terminate().unwrap();
    proxy.until("it is stopping", |proxy| proxy.log().iter().any(|line| line.contains("\"stopping\""))).await.unwrap();
    proxy.terminate().unwrap();
    assert!(!proxy.ended().await.unwrap().success(), "a call was cut, and the code says that none was");
    drop(open);
}

#[tokio::test]
async fn a_connection_whose_stream_outlasts_the_stop_may_be_used_once_more() {
    let text = pool("p", &[simulated("one", "weight: 1")], "") + &route("m", "p");
    let mut proxy = Proxy::start(&[("all.yaml", &text)], &["--drain-delay", "0s"]).unwrap();
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    let steer = [("x-simulate", "interval=20ms; tokens=40")];
    let request = post(crate::resources::CHAT, &steer, &crate::resources::chat("m", true));
    socket.write_all(&request).await.unwrap();
    let mut buffer = BytesMut::new();
    while !buffer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        assert_ne!(socket.read_buf(&mut buffer).await.unwrap(), 0);
    }
    // Its head is out and says nothing of an end.
    proxy.terminate().unwrap();
    let stream = receive(&mut socket, &mut buffer).await.unwrap();
    assert!(stream.status == 200 && !stream.close && stream.events > 10, "{stream:?}");
    socket.write_all(&request).await.unwrap();
    let last = receive(&mut socket, &mut buffer).await.unwrap();
    assert!(last.status == 200 && last.close, "{last:?}");
    assert!(proxy.ended().await.unwrap().success());
}
