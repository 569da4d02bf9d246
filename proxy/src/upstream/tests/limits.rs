//! Limits: connections, idle ones, waiting, connecting.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http_body_util::BodyExt;
use sluicegate_config::{Connection, Millis, ObjectId, Provider, ProviderKind};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::harness::{
    OK, TestCaller, answer_all, connection, limits, origin, provider, read_request, serve, url, worker,
};
use crate::upstream::{Origin, SendErrorKind, SendFault, SendLimits, SendPhase, StatsBoard, UpstreamClient};

#[test]
fn nobody_listens() {
    worker(async {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for url in [url(address), format!("http://localhost:{}", address.port())] {
            let caller = TestCaller::new();
            let error = caller.send(&origin(&url, connection()), "{}").await.unwrap_err();
            assert_eq!((error.phase, error.kind, error.sent), (SendPhase::Connect, SendErrorKind::Refused, false));
            assert_eq!(error.fault(), SendFault::Upstream);
            assert_eq!((caller.totals().open, caller.totals().failed), (0, 1));
        }
    });
}

#[test]
fn localhost_is_reached_whichever_family_listens() {
    worker(async {
        let address = serve(|_, stream| answer_all(stream, OK)).await;
        let origin = origin(&format!("http://localhost:{}/v1/", address.port()), connection());
        assert_eq!(TestCaller::new().text(&origin, "{}").await, "hi");
    });
}

#[test]
fn a_name_without_an_address_fails_while_resolving() {
    worker(async {
        let origin = origin("http://no-such-host.invalid", connection());
        let error = TestCaller::new().send_within(&origin, "{}", Duration::from_millis(500)).await.unwrap_err();
        assert_eq!(error.phase, SendPhase::Resolve);
        assert!(matches!(error.kind, SendErrorKind::UnknownName | SendErrorKind::TimedOut), "{error}");
    });
}

#[test]
fn calls_over_the_limit_wait_their_turn() {
    worker(async {
        let origin = origin(
            &url(serve(|_, stream| answer_all(stream, OK)).await),
            Connection { max_connections: 2, ..connection() },
        );
        let caller = TestCaller::new();
        let texts = join_all((0..50).map(|_| caller.text(&origin, "{}"))).await;
        assert!(texts.iter().all(|text| text == "hi"));
        let totals = caller.totals();
        assert_eq!(totals.created, 2);
        assert_eq!(totals.reused, 48);
        assert_eq!(totals.waits, 48);
    });
}

#[test]
fn waiting_for_a_connection_ends_with_the_connect_timeout() {
    worker(async {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi";
        let settings = Connection { max_connections: 1, ..connection() };
        let origin = origin(&url(serve(move |_, stream| answer_all(stream, answer)).await), settings);
        let caller = TestCaller::new();
        let held = caller.send(&origin, "{}").await.unwrap();
        let error = caller.send_within(&origin, "{}", Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(
            (error.phase, error.kind, error.fault()),
            (SendPhase::Connect, SendErrorKind::Busy, SendFault::Gateway)
        );
        drop(held);
        caller.send(&origin, "{}").await.unwrap();
    });
}

#[test]
fn the_limit_is_divided_over_workers_rounded_up() {
    worker(async {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi";
        let settings = Connection { max_connections: 3, ..connection() };
        let origin = origin(&url(serve(move |_, stream| answer_all(stream, answer)).await), settings);
        let client = UpstreamClient::new(2, StatsBoard::default().into());
        let limits = limits(Duration::from_millis(50));
        let request = || http::Request::post(origin.uri("/x").unwrap()).body(bytes::Bytes::new()).unwrap();
        let _first = client.send(&origin, request, limits).await.unwrap();
        let _second = client.send(&origin, request, limits).await.unwrap();
        assert_eq!(client.send(&origin, request, limits).await.unwrap_err().kind, SendErrorKind::Busy);
    });
}

#[test]
fn a_provider_that_falls_silent_is_waited_for_so_long_and_not_asked_twice() {
    worker(async {
        let asked = Rc::new(Cell::new(0));
        let counted = Rc::clone(&asked);
        let address = serve(move |_, mut stream| {
            let asked = Rc::clone(&counted);
            async move {
                while read_request(&mut stream).await.is_some() {
                    asked.set(asked.get() + 1);
                    if asked.get() == 1 {
                        let _ = stream.write_all(OK.as_bytes()).await;
                    }
                }
            }
        })
        .await;
        let (origin, caller) = (origin(&url(address), connection()), TestCaller::new());
        assert_eq!(caller.text(&origin, "{}").await, "hi");
        let until = Instant::now() + Duration::from_millis(50);
        let error = caller.send_until(&origin, "{}", SendLimits { until, ..limits(Duration::from_secs(5)) }).await;
        assert_eq!(error.unwrap_err().kind, SendErrorKind::AttemptTimeout);
        assert!(Instant::now() >= until);
        assert_eq!((asked.get(), caller.totals().created, caller.totals().open), (2, 1, 0));
    });
}

#[test]
fn idle_connections_are_bounded_and_expire() {
    worker(async {
        let address = serve(|_, stream| answer_all(stream, OK)).await;
        let few = origin(&url(address), Connection { max_idle: 3, ..connection() });
        let caller = TestCaller::new();
        join_all((0..10).map(|_| caller.text(&few, "{}"))).await;
        assert!(caller.totals().idle <= 3);
        assert_eq!(caller.totals().idle, caller.totals().open);
        let short = origin(&url(address), Connection { idle_timeout: Millis(0), ..connection() });
        let caller = TestCaller::new();
        for _ in 0..3 {
            caller.text(&short, "{}").await;
        }
        assert_eq!((caller.totals().created, caller.totals().open), (3, 1));
    });
}

#[test]
fn a_silent_tls_server_runs_into_the_connect_timeout() {
    worker(async {
        let address = serve(|_, stream| async move {
            let _held = stream;
            std::future::pending::<()>().await;
        })
        .await;
        let origin = origin(&format!("https://{address}"), connection());
        let caller = TestCaller::new();
        let error = caller.send_within(&origin, "{}", Duration::from_millis(1500)).await.unwrap_err();
        assert_eq!((error.phase, error.kind), (SendPhase::Tls, SendErrorKind::TimedOut));
        assert_eq!(caller.totals().open, 0);
    });
}

#[test]
fn urls_that_cannot_be_used_are_refused_with_a_reason() {
    let id = ObjectId("ns/pool".to_owned());
    let bad = ["", "example.com", "/v1", "ftp://example.com", "http://user:secret@example.com", "http://a.b/v1?x=1"];
    for url in bad {
        let error = Origin::new(&id, &provider(url, connection(), None)).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let server_name = Connection { server_name: Some("not a name".to_owned()), ..connection() };
    assert!(Origin::new(&id, &provider("https://a.b", server_name, None)).is_err());
    let ca_pem = Connection { ca_pem: Some("no certificate".to_owned()), ..connection() };
    assert!(Origin::new(&id, &provider("https://a.b", ca_pem, None)).is_err());
}

#[test]
fn an_origin_says_where_it_is() {
    let of = |url: &str| origin(url, connection());
    assert_eq!(of("https://api.example.com/v1").address(), "api.example.com:443");
    assert_eq!(of("http://[::1]:8080").address(), "[::1]:8080");
    assert_eq!(of("http://API.example.com").address(), "api.example.com:80");
    assert_eq!(of("https://a.b/v1/").uri("/messages?beta=true").unwrap(), "/v1/messages?beta=true");
}

#[test]
fn a_change_that_does_not_concern_the_connection_keeps_it() {
    worker(async {
        let address = serve(|_, stream| answer_all(stream, OK)).await;
        let of = |provider: &Provider| Origin::new(&ObjectId("ns/pool".to_owned()), provider).unwrap();
        let before = provider(&url(address), connection(), None);
        let after = Provider { weight: 7, url: format!("http://{address}/v2"), ..before.clone() };
        let caller = TestCaller::new();
        caller.text(&of(&before), "{}").await;
        caller.text(&of(&after), "{}").await;
        assert_eq!(caller.totals().created, 1);
        let other = Provider { connection: Connection { max_idle: 1, ..connection() }, ..before.clone() };
        caller.text(&of(&other), "{}").await;
        assert_eq!(caller.totals().created, 2);
    });
}

#[test]
fn a_simulated_provider_is_called_like_any_other() {
    worker(async {
        let simulated = Provider {
            kind: ProviderKind::Simulated,
            simulated: Some(sluicegate_config::Simulated::default()),
            ..provider("", connection(), None)
        };
        let origin = Origin::new(&ObjectId("ns/pool".to_owned()), &simulated).unwrap();
        assert_eq!(origin.address(), "simulated");
        let caller = TestCaller::new();
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}"#;
        for _ in 0..5 {
            let response = caller.send(&origin, body).await.unwrap();
            assert_eq!(response.status(), 200);
            let whole = response.into_body().collect().await.unwrap().to_bytes();
            assert!(whole.windows(7).any(|bytes| bytes == b"choices"));
        }
        assert_eq!(caller.totals().created, 1);
    });
}

#[test]
fn a_simulated_provider_fails_as_a_network_would() {
    use sluicegate_config::{FailureKind, Simulated, SimulatedFailure};
    worker(async {
        let failing = |kind, after_tokens| Simulated {
            failure: Some(SimulatedFailure { kind, percent: 100, status: None, after_tokens }),
            ..Simulated::default()
        };
        let of = |simulated| Provider { kind: ProviderKind::Simulated, ..provider("", connection(), Some(simulated)) };
        let origin = |simulated| Origin::new(&ObjectId("ns/pool".to_owned()), &of(simulated)).unwrap();
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
        let error = TestCaller::new().send(&origin(failing(FailureKind::Reset, None)), body).await.unwrap_err();
        assert_eq!((error.phase, error.kind), (SendPhase::Head, SendErrorKind::Reset));
        let cut = TestCaller::new().send(&origin(failing(FailureKind::Cut, Some(2))), body).await.unwrap();
        assert!(cut.into_body().collect().await.is_err());
    });
}
