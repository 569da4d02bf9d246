//! TLS: whom we trust, by which name, and which HTTP is agreed on.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sluicegate_config::{Connection, HttpVersion};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::harness::{Caller, connection, origin, serve, worker};
use super::http2::{Local, echo};
use crate::upstream::{Fault, Kind, Phase};

/// A server whose certificate for `name` a new CA has signed; its address and the CA's certificate.
async fn secure(name: &str, alpn: &[&[u8]]) -> (SocketAddr, String) {
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
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = serve(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(tls) = acceptor.accept(stream).await {
                let _ = auto::Builder::new(Local).serve_connection(TokioIo::new(tls), service_fn(echo)).await;
            }
        }
    })
    .await;
    (address, issuer.pem())
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
            let caller = Caller::new();
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
fn a_server_without_http2_is_refused_when_it_must_be_http2() {
    worker(async {
        let (address, ca) = secure("localhost", &[b"http/1.1"]).await;
        let settings = Connection { http: HttpVersion::Http2, ..trusting(ca) };
        let origin = origin(&format!("https://localhost:{}", address.port()), settings);
        let error = Caller::new().send(&origin, "{}").await.unwrap_err();
        assert_eq!((error.phase, error.kind), (Phase::Tls, Kind::Protocol), "{error}");
    });
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused() {
    worker(async {
        let (address, _) = secure("localhost", &[]).await;
        let origin = origin(&format!("https://localhost:{}", address.port()), connection());
        let error = Caller::new().send(&origin, "{}").await.unwrap_err();
        assert_eq!((error.phase, error.kind, error.sent), (Phase::Tls, Kind::Certificate, false), "{error}");
        assert_eq!(error.fault(), Fault::Upstream);
    });
}

#[test]
fn the_name_must_fit_unless_another_one_is_set() {
    worker(async {
        let (address, ca) = secure("models.internal", &[]).await;
        let url = format!("https://{address}");
        let wrong = Caller::new().send(&origin(&url, trusting(ca.clone())), "{}").await.unwrap_err();
        assert_eq!((wrong.phase, wrong.kind), (Phase::Tls, Kind::Certificate), "{wrong}");
        let named = Connection { server_name: Some("models.internal".to_owned()), ..trusting(ca) };
        assert!(Caller::new().text(&origin(&url, named), "{}").await.starts_with("HTTP/1.1"));
    });
}

#[test]
fn plain_http_behind_an_https_url_is_named_so() {
    worker(async {
        let address = serve(|_, mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        })
        .await;
        let error = Caller::new().send(&origin(&format!("https://{address}"), connection()), "{}").await.unwrap_err();
        assert_eq!(error.phase, Phase::Tls, "{error}");
        assert!(matches!(error.kind, Kind::Protocol | Kind::Reset), "{error}");
    });
}
