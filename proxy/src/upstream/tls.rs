//! TLS to providers: which certificates are trusted, which protocols are offered.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sluicegate_config::{Connection, HttpVersion};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::error::{SendError, SendErrorKind, SendPhase};

/// The system's certificates: read once per process, when the first connection needs them.
static NATIVE: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();

/// The part of a configuration's TLS that cannot be used.
pub(super) enum Unusable {
    ServerName,
    CaPem(String),
}

/// Checks what a configuration says about TLS, so that it fails there and not at a call.
pub(super) fn check(connection: &Connection) -> Result<(), Unusable> {
    if let Some(name) = &connection.server_name {
        ServerName::try_from(name.as_str()).map_err(|_| Unusable::ServerName)?;
    }
    if let Some(pem) = &connection.ca_pem {
        let mut roots = RootCertStore::empty();
        add_pem(&mut roots, pem).map_err(Unusable::CaPem)?;
    }
    Ok(())
}

/// The name to ask for and to verify: the one that is set, or the URL's host (a name or an IP address).
pub(super) fn server_name(connection: &Connection, host: String) -> Result<ServerName<'static>, SendError> {
    let name = connection.server_name.clone().unwrap_or(host);
    ServerName::try_from(name)
        .map_err(|_| SendError::new(SendPhase::Tls, SendErrorKind::Invalid, "the host is not a name TLS can verify"))
}

/// A connector for one origin; it keeps session tickets, so it is made once and kept.
pub(super) async fn connector(connection: &Connection) -> Result<TlsConnector, SendError> {
    let native = NATIVE.get_or_init(load_native).await;
    let roots = match &connection.ca_pem {
        None => Arc::clone(native),
        Some(pem) => {
            let mut roots = RootCertStore::clone(native);
            add_pem(&mut roots, pem).map_err(invalid)?;
            Arc::new(roots)
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = match connection.http {
        HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The error of a failed handshake.
pub(super) fn handshake_error(error: &std::io::Error) -> SendError {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match rustls {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            SendError::new(SendPhase::Tls, SendErrorKind::Certificate, error.to_string())
        }
        Some(_) => SendError::new(SendPhase::Tls, SendErrorKind::Protocol, error.to_string()),
        None => SendError::io(SendPhase::Tls, error),
    }
}

fn invalid(why: String) -> SendError {
    SendError::new(SendPhase::Tls, SendErrorKind::Invalid, why)
}

async fn load_native() -> Arc<RootCertStore> {
    // Reading and parsing a hundred files takes milliseconds that a worker must not stand still for.
    let loaded = tokio::task::spawn_blocking(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!(ignored, errors = ?found.errors, "no system certificate to trust could be read");
        }
        roots
    });
    Arc::new(loaded.await.unwrap_or_else(|_| RootCertStore::empty()))
}

/// Adds the certificates of a PEM text.
fn add_pem(roots: &mut RootCertStore, pem: &str) -> Result<(), String> {
    let mut any = false;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        any = true;
    }
    if any { Ok(()) } else { Err("no certificate in it (-----BEGIN CERTIFICATE-----)".to_owned()) }
}
