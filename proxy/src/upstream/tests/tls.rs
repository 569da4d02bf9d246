//! TLS: whom we trust, by which name, and which HTTP is agreed on.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sluicegate_config::compile::DeniedNetworks;
use sluicegate_config::{Connection, HttpVersion, ObjectId, ServicePort};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::harness::{OK, TestCaller, answer_all, connection, origin, provider, read_request, serve, worker};
use super::http2::{TestExecutor, echo};
use crate::upstream::{Egress, Origin, Outward, SendErrorKind, SendFault, SendPhase};

/// Accepts TLS with a certificate for `name` that a new CA has signed, and the CA's certificate.
fn acceptor(name: &str, alpn: &[&[u8]]) -> (TlsAcceptor, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), issuer.pem())
}

/// A server whose certificate for `name` a new CA has signed; its address and the CA's certificate.
async fn secure(name: &str, alpn: &[&[u8]]) -> (SocketAddr, String) {
    let (acceptor, ca) = acceptor(name, alpn);
    let address = serve(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(tls) = acceptor.accept(stream).await {
                let _ = auto::Builder::new(TestExecutor).serve_connection(TokioIo::new(tls), service_fn(echo)).await;
            }
        }
    })
    .await;
    (address, ca)
}

fn trusting(ca_pem: String) -> Connection {
    Connection { ca_pem: Some(ca_pem), ..connection() }
}

#[test]
fn http2_is_spoken_where_tls_agrees_on_it() {
    let cases: [(&[&[u8]], HttpVersion, &str); 4] = [
        (&[b"h2", b"http/1.1"], HttpVersion::Auto, "HTTP/2.0"),
        (&[b"http/1.1"], HttpVersion::Auto, "HTTP/1.1"),
        (&[], HttpVersion::Auto, "HTTP/1.1"),
        (&[b"h2", b"http/1.1"], HttpVersion::Http1, "HTTP/1.1"),
    ];
    for (alpn, http, version) in cases {
        worker(async move {
            let (address, ca) = secure("localhost", alpn).await;
            let origin = origin(&format!("https://localhost:{}", address.port()), Connection { http, ..trusting(ca) });
            let caller = TestCaller::new();
            let calls = futures_util::future::join_all((0..10).map(|_| caller.text(&origin, "{}"))).await;
            assert!(calls.iter().all(|text| text.starts_with(version)), "{calls:?}");
            if version == "HTTP/2.0" {
                assert_eq!(caller.totals().created, 1);
            }
            for _ in 0..10 {
                caller.text(&origin, "{}").await;
            }
            assert!(caller.totals().created <= 10);
        });
    }
}

#[test]
fn a_server_that_wants_http1_after_all_is_spoken_to_so_where_that_may_be() {
    for (http, goes_on) in [(HttpVersion::Auto, true), (HttpVersion::Http2, false)] {
        worker(async move {
            let (acceptor, ca) = acceptor("localhost", &[b"h2", b"http/1.1"]);
            let address = serve(move |_, stream| {
                let acceptor = acceptor.clone();
                async move {
                    let Ok(tls) = acceptor.accept(stream).await else { return };
                    if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                        let _ = auto::Builder::new(TestExecutor)
                            .serve_connection(TokioIo::new(tls), service_fn(echo))
                            .await;
                        return;
                    }
                    let mut asked = h2::server::handshake(tls).await.unwrap();
                    while let Some(Ok((_, mut answer))) = asked.accept().await {
                        answer.send_reset(h2::Reason::HTTP_1_1_REQUIRED);
                    }
                }
            })
            .await;
            let origin = origin(&format!("https://localhost:{}", address.port()), Connection { http, ..trusting(ca) });
            let caller = TestCaller::new();
            if goes_on {
                for _ in 0..3 {
                    assert!(caller.text(&origin, "{}").await.starts_with("HTTP/1.1"));
                }
                assert_eq!((caller.totals().created, caller.resent.get()), (2, 1));
            } else {
                let error = caller.send(&origin, "{}").await.unwrap_err();
                assert!(error.in_words().contains("over HTTP/1.1 alone"), "{error}");
            }
        });
    }
}

#[test]
fn a_server_without_http2_is_refused_when_it_must_be_http2() {
    worker(async {
        let (address, ca) = secure("localhost", &[b"http/1.1"]).await;
        let settings = Connection { http: HttpVersion::Http2, ..trusting(ca) };
        let origin = origin(&format!("https://localhost:{}", address.port()), settings);
        let error = TestCaller::new().send(&origin, "{}").await.unwrap_err();
        assert_eq!((error.phase, error.kind), (SendPhase::Tls, SendErrorKind::Protocol), "{error}");
    });
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused() {
    worker(async {
        let (address, _) = secure("localhost", &[]).await;
        let origin = origin(&format!("https://localhost:{}", address.port()), connection());
        let error = TestCaller::new().send(&origin, "{}").await.unwrap_err();
        assert_eq!(
            (error.phase, error.kind, error.sent),
            (SendPhase::Tls, SendErrorKind::Certificate, false),
            "{error}"
        );
        assert_eq!(error.fault(), SendFault::Upstream);
    });
}

#[test]
fn the_name_must_fit_unless_another_one_is_set() {
    worker(async {
        let (address, ca) = secure("models.internal", &[]).await;
        let url = format!("https://{address}");
        let wrong = TestCaller::new().send(&origin(&url, trusting(ca.clone())), "{}").await.unwrap_err();
        assert_eq!((wrong.phase, wrong.kind), (SendPhase::Tls, SendErrorKind::Certificate), "{wrong}");
        let named = Connection { server_name: Some("models.internal".to_owned()), ..trusting(ca) };
        assert!(TestCaller::new().text(&origin(&url, named), "{}").await.starts_with("HTTP/1.1"));
    });
}

#[test]
fn plain_http_behind_an_https_url_is_named_so() {
    worker(async {
        let address = serve(|_, mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        })
        .await;
        let error =
            TestCaller::new().send(&origin(&format!("https://{address}"), connection()), "{}").await.unwrap_err();
        assert_eq!(error.phase, SendPhase::Tls, "{error}");
        assert!(matches!(error.kind, SendErrorKind::Protocol | SendErrorKind::Reset), "{error}");
    });
}

#[test]
fn tls_runs_through_a_tunnel_whole_and_a_connection_is_kept() {
    for (alpn, version) in [(&[b"h2".as_slice(), b"http/1.1"][..], "HTTP/2.0"), (&[b"http/1.1"], "HTTP/1.1")] {
        worker(async move {
            let (address, ca) = secure("model.example", alpn).await;
            let door = serve(move |_, mut near| async move {
                let head = read_request(&mut near).await.unwrap();
                assert!(head.starts_with("CONNECT model.example:443 HTTP/1.1\r\n"), "{head}");
                near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut far = TcpStream::connect(address).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            })
            .await;
            let https = format!("http://{door}").parse().ok();
            let outward = Outward { egress: Egress { https, ..Egress::default() }, ..Outward::default() };
            let provider = provider("https://model.example", trusting(ca), None);
            let origin = Origin::at(&ObjectId("ns/pool".to_owned()), &provider, None, &outward).unwrap();
            let caller = TestCaller::new();
            for _ in 0..3 {
                assert!(caller.text(&origin, "{}").await.starts_with(version));
            }
            assert_eq!(caller.totals().created, 1);
        });
    }
}

#[test]
fn pods_of_a_service_and_what_is_barred_are_not_reached_through_a_tunnel() {
    let outward = Outward {
        egress: Egress {
            https: "http://door.example".parse().ok(),
            http: "http://door.example".parse().ok(),
            around: vec![],
        },
        ..Outward::default()
    };
    let mut of = provider("http://model.ns.example:80", connection(), None);
    let id = ObjectId("ns/pool".to_owned());
    assert!(Origin::at(&id, &of, None, &outward).unwrap().0.door.is_some());
    assert!(Origin::at(&id, &of, Some("10.1.2.3:80"), &outward).unwrap().0.door.is_none());
    of.service = Some(ServicePort { id: ObjectId("ns/model".to_owned()), port: 80 });
    assert!(Origin::at(&id, &of, None, &outward).unwrap().0.door.is_none());
}

#[test]
fn what_is_barred_is_not_connected_to_by_address_or_by_name() {
    worker(async {
        let served = serve(|_, stream| async { answer_all(stream, OK).await }).await;
        let networks: Vec<_> = ["127.0.0.0/8", "::1/128"].iter().map(|net| net.parse().unwrap()).collect();
        let outward =
            Outward { denied: Arc::new(DeniedNetworks::default().with(&networks, &[])), ..Outward::default() };
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let provider = provider(&format!("http://{host}:{}", served.port()), connection(), None);
            let id = ObjectId("ns/pool".to_owned());
            let denied = Origin::at(&id, &provider, None, &outward).unwrap();
            let error = TestCaller::new().send(&denied, "{}").await.unwrap_err();
            assert_eq!((error.phase, error.fault()), (SendPhase::Resolve, SendFault::Gateway), "{host}: {error}");
            assert!(error.detail.contains("no provider may be at "), "{error}");
            // An endpoint of a Service is checked like any other address.
            let at = Origin::at(&id, &provider, Some(&served.to_string()), &outward).unwrap();
            assert!(TestCaller::new().send(&at, "{}").await.is_err(), "{host}");
        }
    });
}
