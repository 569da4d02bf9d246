//! HTTP/2, TLS and its certificates, company for a silent model's caller, and connections that are used again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};
use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::client::{Answer, Client, post, read};
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::upstream::{Act, Upstream};

use crate::resources::{CHAT, SAVED, WAYS, Way, chat, events, good, plain_upstream, pool, provider, route};

const WHOLE: Way = Way { anthropic: false, stream: false };

#[tokio::test]
async fn many_calls_share_one_http2_connection() {
    let simulator = good();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = Client::http2(proxy.address);
    let calls = futures_util::stream::iter(0..200_usize).map(|number| {
        let (client, way) = (client.clone(), WAYS[number % WAYS.len()]);
        async move {
            let answer = way.call(&client, "m", &[]).await;
            assert!(answer.is_good() && (!way.stream || way.says_end(&answer)), "{}", answer.text());
            assert_eq!(way.said(&answer).trim(), SAVED);
        }
    });
    calls.buffer_unordered(50).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn an_upstream_that_speaks_http2_is_spoken_to_in_it() {
    let simulator = good();
    let http2 = "connection: {http: HTTP2, maxConnections: 4}";
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, http2)], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--workers", "1"]).unwrap();
    let client = proxy.client();
    let calls = futures_util::stream::iter(0..200_usize).map(|number| {
        let (client, way) = (client.clone(), WAYS[number % WAYS.len()]);
        async move {
            let answer = way.call(&client, "m", &[]).await;
            assert!(answer.is_good() && (!way.stream || way.says_end(&answer)), "{}", answer.text());
        }
    });
    calls.buffer_unordered(20).collect::<Vec<()>>().await;
    let opened = proxy.metrics().unwrap().sum("sluicegate_endpoint_connections_opened_total", &[]);
    assert!((1.0..=4.0).contains(&opened), "{opened} connections for 200 calls of 20 at once");
}

#[tokio::test]
async fn connections_to_a_provider_are_used_again() {
    let upstream = plain_upstream();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--log-sample", "0"]).unwrap();
    let client = proxy.client();
    let calls = futures_util::stream::iter(0..1_000_u32).map(|number| {
        let client = client.clone();
        async move {
            let way = Way { anthropic: number % 3 == 0, stream: number % 2 == 0 };
            assert!(way.call(&client, "m", &[]).await.is_good());
        }
    });
    calls.buffer_unordered(8).collect::<Vec<()>>().await;
    assert_eq!(upstream.calls(), 1_000);
    assert!(upstream.connections() < 50, "{} connections for 1000 calls", upstream.connections());
}

#[tokio::test]
async fn a_connection_that_died_while_idle_fails_no_call() {
    let upstream = Upstream::always(vec![crate::resources::openai_whole("fine"), Act::Close]).unwrap();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "  retry: {attempts: 1}") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
    for _ in 0..50 {
        let answer = WHOLE.call(&proxy.client(), "m", &[]).await;
        assert!(answer.is_good(), "{}", answer.text());
    }
    assert_eq!(upstream.calls(), 50);
}

#[tokio::test]
async fn a_silent_models_caller_is_kept_company() {
    let simulator = good();
    let dead = Upstream::always(vec![Act::Hang]).unwrap();
    let patience = "  timeouts: {firstToken: 400ms}\n  retry: {attempts: 2, backoff: {initial: 1ms}}";
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "")
        + &pool("dead", &[provider("a", "OpenAI", dead.address, "")], patience)
        + &pool(
            "saved",
            &[
                provider("a", "OpenAI", dead.address, "priority: 0"),
                provider("b", "Anthropic", simulator.address, "priority: 1"),
            ],
            patience,
        )
        + &route("m", "p")
        + &route("dead", "dead")
        + &route("saved", "saved");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--stream-keep-alive", "100ms"]).unwrap();
    let (client, http2) = (proxy.client(), Client::http2(proxy.address));
    for way in [Way { anthropic: false, stream: true }, Way { anthropic: true, stream: true }] {
        for client in [&client, &http2] {
            let slow = way.call(client, "m", &[("x-simulate", "first-token=600ms")]).await;
            assert!(slow.text().starts_with(": "), "no comment: {}", slow.text());
            assert!(slow.is_good() && way.says_end(&slow), "{}", slow.text());
            assert_eq!(way.said(&slow).trim(), SAVED);
            assert_eq!(slow.header("content-type"), "text/event-stream");
            // The comments commit to nothing: the call is still saved by the next provider …
            let saved = way.call(client, "saved", &[]).await;
            assert!(saved.is_good() && way.says_end(&saved) && way.said(&saved).trim() == SAVED, "{}", saved.text());
            // … and when nobody answers, that is said, and never that it was all.
            let lost = way.call(client, "dead", &[]).await;
            assert_eq!((lost.status, lost.whole), (200, true), "{}", lost.text());
            // The call ends with the event's last byte, which is counted as its comments are.
            let id = lost.header("x-request-id");
            let mut line = serde_json::Value::Null;
            let told = |proxy: &Proxy| {
                let mut lines =
                    proxy.log().into_iter().filter(|line| line.contains(id) && line.contains("\"kind\":\"call\""));
                line = lines.next_back().and_then(|line| serde_json::from_str(&line).ok()).unwrap_or_default();
                !line.is_null()
            };
            proxy.until("the call is told of", told).await.unwrap();
            assert_eq!((&line["outcome"], &line["bytes_out"]), (&"failed".into(), &lost.body.len().into()), "{line}");
            assert!(!way.says_end(&lost) && !way.error(&lost).1.is_empty(), "{}", lost.text());
        }
    }
    // A whole answer is not begun early.
    let whole = WHOLE.call(&client, "m", &[("x-simulate", "first-token=400ms")]).await;
    assert!(whole.is_good() && whole.json().is_object());
    assert!(events(&whole).is_empty());
}

#[tokio::test]
async fn a_model_that_pauses_in_mid_answer_is_covered_by_comments() {
    let event = |text: &str| {
        let body = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        Act::Send(format!("{:x}\r\n{body}\r\n", body.len()).into())
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let pause = || Act::Wait(Duration::from_millis(700));
    let upstream = Upstream::always(vec![
        Act::Send(head.into()),
        event("one"),
        pause(),
        // An event in two pieces: nothing may stand between them.
        Act::Send("6\r\ndata: \r\n".into()),
        pause(),
        Act::Send("8\r\n[DONE]\n\n\r\n0\r\n\r\n".into()),
    ])
    .unwrap();
    let text = pool("p", &[provider("a", "OpenAI", upstream.address, "")], "") + &route("m", "p");
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--stream-keep-alive", "100ms"]).unwrap();
    let answer = Way { anthropic: false, stream: true }.call(&proxy.client(), "m", &[]).await;
    assert!(answer.is_good(), "{}", answer.text());
    let seen = answer.text();
    assert!(seen.contains("\n\n: keep-alive\n") && seen.ends_with("data: [DONE]\n\n"), "{seen}");
}

fn certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    // The key first: a pair that does not belong together is not taken, and the certificate comes at once.
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// One call over TLS by a client that trusts this certificate only.
async fn over_tls(address: SocketAddr, trusted: &CertificateDer<'static>, http2: bool) -> anyhow::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let socket = tokio::net::TcpStream::connect(address).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("gateway.example")?, socket).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(if http2 { &b"h2"[..] } else { b"http/1.1" }));
    let request = post(CHAT, &[("host", "gateway.example")], chat("m", true))?;
    let io = TokioIo::new(stream);
    let local = tokio::task::LocalSet::new();
    let asking = async move {
        if http2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io).await?;
            tokio::task::spawn_local(connection);
            let mut request = request;
            *request.uri_mut() = format!("https://gateway.example{CHAT}").parse()?;
            request.headers_mut().remove("host");
            return read(sender.send_request(request).await?).await;
        }
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Full<Bytes>>(io).await?;
        tokio::task::spawn_local(connection);
        read(sender.send_request(request).await?).await
    };
    local.run_until(Box::pin(asking)).await
}

#[tokio::test]
async fn tls_is_spoken_and_a_renewed_certificate_is_taken() {
    let simulator = Simulator::start(&["--text", SAVED]).unwrap();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let folder = tempfile::tempdir().unwrap();
    let first = certificate(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let flags = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
    let way = Way { anthropic: false, stream: true };
    for http2 in [false, true] {
        let answer = over_tls(proxy.address, &first, http2).await.unwrap();
        assert!(answer.is_good() && way.says_end(&answer), "{}", answer.text());
    }
    // Without TLS nobody is answered, and nothing else breaks.
    assert!(proxy.client().get("/v1/models").await.is_err());
    // A broken pair is not taken.
    std::fs::write(&cert, "nonsense").unwrap();
    proxy
        .until("the broken certificate is told of", |proxy| {
            proxy.log().iter().any(|line| line.contains("certificate not reloaded"))
        })
        .await
        .unwrap();
    assert!(over_tls(proxy.address, &first, false).await.unwrap().is_good());
    let second = certificate(folder.path());
    proxy
        .until("the renewed certificate is told of", |proxy| {
            proxy.log().iter().any(|line| line.contains("certificate reloaded"))
        })
        .await
        .unwrap();
    for http2 in [false, true] {
        assert!(over_tls(proxy.address, &second, http2).await.unwrap().is_good());
        assert!(over_tls(proxy.address, &first, http2).await.is_err(), "the old certificate is still shown");
    }
}

#[tokio::test]
async fn a_plain_port_and_one_with_tls_stand_side_by_side() {
    let simulator = Simulator::start(&["--text", SAVED]).unwrap();
    let text = pool("p", &[provider("a", "OpenAI", simulator.address, "")], "") + &route("m", "p");
    let folder = tempfile::tempdir().unwrap();
    let trusted = certificate(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let tls = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap(), "--tls-listen", "127.0.0.1:0"];
    let flags = [&tls[..], &["--workers", "2", "--drain-delay", "0s"]].concat();
    let mut proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
    let secure = proxy.tls_address.unwrap();
    // On enough connections that every worker has some of both.
    for turn in 0..16 {
        let answer = over_tls(secure, &trusted, turn % 2 == 0).await.unwrap();
        assert!(answer.is_good(), "{}", answer.text());
        let plain = if turn % 2 == 0 { Client::new(proxy.address) } else { Client::http2(proxy.address) };
        assert!(WHOLE.call(&plain, "m", &[]).await.is_good());
    }
    // At neither of them the other's language is spoken.
    assert!(Client::new(secure).get("/v1/models").await.is_err());
    assert!(over_tls(proxy.address, &trusted, false).await.is_err());
    let counted = proxy.metrics().unwrap().sum("sluicegate_requests_total", &[]);
    assert_eq!(counted, 32.0, "the calls of both are counted");
    proxy.terminate().unwrap();
    assert!(proxy.ended().await.unwrap().success());
    for address in [proxy.address, secure] {
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody is left at either");
    }
}
