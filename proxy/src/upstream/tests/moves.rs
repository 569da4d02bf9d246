//! Connections follow a name that moves.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use http_body_util::BodyExt as _;
use sluicegate_config::HttpVersion;

use super::harness::*;
use crate::upstream::dns::Dns;
use crate::upstream::dns::tests as names;
use crate::upstream::error::SendPhase;

const HOST: &str = "api.example.com";

/// A server at this address of loopback that says it, in HTTP/1.1 or HTTP/2; gives its port.
async fn server(ip: &'static str, port: u16, http2: bool) -> u16 {
    let listener = tokio::net::TcpListener::bind(SocketAddr::new(ip.parse().unwrap(), port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if http2 {
                tokio::task::spawn_local(answer_http2(stream, ip));
            } else {
                let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{ip}", ip.len());
                tokio::task::spawn_local(async move { answer_all(stream, &text).await });
            }
        }
    });
    port
}

async fn answer_http2(stream: tokio::net::TcpStream, ip: &'static str) {
    let service = hyper::service::service_fn(move |_| async move {
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(bytes::Bytes::from(ip))))
    });
    let serving = hyper::server::conn::http2::Builder::new(Local);
    let _ = serving.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
}

#[derive(Clone)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move { drop(task.await) });
    }
}

async fn moved(http2: bool) {
    let port = server("127.0.0.2", 0, http2).await;
    server("127.0.0.3", port, http2).await;
    let (dns_server, zone) = names::serve(&[("api.example.com.", &["127.0.0.2"])]).await;
    let dns = Dns::of(names::resolver(dns_server));
    let caller = TestCaller::asking(dns.clone());
    let connection = sluicegate_config::Connection {
        http: if http2 { HttpVersion::Http2 } else { HttpVersion::Http1 },
        ..connection()
    };
    let origin = origin(&format!("http://{HOST}:{port}/v1"), connection);
    // One connection rests, and one has a call that began before the move.
    let under_way = caller.send(&origin, "a").await.unwrap();
    assert_eq!(caller.text(&origin, "a").await, "127.0.0.2");
    let moved: HashMap<_, _> = HashMap::from([("api.example.com.".to_owned(), vec![Ipv4Addr::new(127, 0, 0, 3)])]);
    zone.lock().unwrap().names = moved;
    assert_eq!(caller.text(&origin, "a").await, "127.0.0.2", "nobody has said so yet");
    names::expire(&dns, HOST);
    // This call has DNS asked behind it; when that has answered, the old address has seen its last one.
    caller.text(&origin, "a").await;
    names::answered(&dns, HOST).await;
    assert_eq!(caller.text(&origin, "a").await, "127.0.0.3", "http2: {http2}");
    let whole = under_way.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&*whole, b"127.0.0.2", "what was under way ends where it began");
    for _ in 0..5 {
        assert_eq!(caller.text(&origin, "a").await, "127.0.0.3", "http2: {http2}");
    }
    assert_eq!(caller.totals().open, 1, "the old ones are closed");
    // DNS that is gone moves nothing, and holds nobody up.
    zone.lock().unwrap().hangs = true;
    names::expire(&dns, HOST);
    for _ in 0..5 {
        assert_eq!(caller.text(&origin, "a").await, "127.0.0.3");
    }
}

#[test]
fn an_http1_connection_to_an_address_that_the_name_has_lost_is_given_no_call() {
    worker(moved(false));
}

#[test]
fn an_http2_connection_to_an_address_that_the_name_has_lost_is_given_no_call() {
    worker(moved(true));
}

#[test]
fn a_name_at_whose_address_nobody_is_is_asked_for_anew_before_its_time() {
    worker(async {
        let port = server("127.0.0.3", 0, false).await;
        let (dns_server, zone) = names::serve(&[("api.example.com.", &["127.0.0.2"])]).await;
        let dns = Dns::of(names::resolver(dns_server));
        let caller = TestCaller::asking(dns.clone());
        let origin = origin(&format!("http://{HOST}:{port}/v1"), connection());
        let asked = || zone.lock().unwrap().asked.len();
        for _ in 0..20 {
            assert_eq!(caller.send(&origin, "a").await.unwrap_err().phase, SendPhase::Connect);
        }
        assert_eq!(asked(), 2, "an answer of this very second is not doubted");
        zone.lock().unwrap().names.insert("api.example.com.".to_owned(), vec![Ipv4Addr::new(127, 0, 0, 3)]);
        names::age(&dns, HOST);
        assert_eq!(caller.send(&origin, "a").await.unwrap_err().phase, SendPhase::Connect);
        assert_eq!(caller.text(&origin, "a").await, "127.0.0.3", "the next attempt waits a moment for the answer");
        assert_eq!(asked(), 4);
    });
}

#[test]
fn an_address_that_is_doubted_serves_on_while_dns_says_no_other() {
    worker(async {
        let port = server("127.0.0.3", 0, false).await;
        let (dns_server, zone) = names::serve(&[("api.example.com.", &["127.0.0.2"])]).await;
        let dns = Dns::of(names::resolver(dns_server));
        let caller = TestCaller::asking(dns.clone());
        let origin = origin(&format!("http://{HOST}:{port}/v1"), connection());
        assert!(caller.send(&origin, "a").await.is_err());
        zone.lock().unwrap().names.clear();
        names::age(&dns, HOST);
        assert!(caller.send(&origin, "a").await.is_err());
        names::answered(&dns, HOST).await;
        server("127.0.0.2", port, false).await;
        assert_eq!(caller.text(&origin, "a").await, "127.0.0.2");
    });
}

#[test]
fn an_address_is_no_name() {
    worker(async {
        let address = serve(|_, stream| async move { answer_all(stream, OK).await }).await;
        let (dns_server, zone) = names::serve(&[]).await;
        let caller = TestCaller::asking(Dns::of(names::resolver(dns_server)));
        for host in [address.to_string(), format!("localhost:{}", address.port())] {
            let origin = Rc::new(origin(&format!("http://{host}/v1"), connection()));
            for _ in 0..3 {
                assert_eq!(caller.text(&origin, "a").await, "hi");
            }
        }
        assert!(zone.lock().unwrap().asked.is_empty());
    });
}
