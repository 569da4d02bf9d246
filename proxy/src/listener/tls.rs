//! The listener's certificate, read again when its files change.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::certificate_end;
use crate::account::FileStat;
use crate::mounted::MountedFiles;

/// A certificate chain and its key, and where they came from. Clones are the same one.
#[derive(Debug, Clone)]
pub struct ServerIdentity(Arc<CertificateFiles>);

#[derive(Debug)]
struct CertificateFiles(MountedFiles<CertifiedKey>);

impl ResolvesServerCert for CertificateFiles {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

impl ServerIdentity {
    /// Reads both files.
    ///
    /// # Errors
    /// A file is missing or holds no certificate or key, or the two do not belong together.
    pub fn read(cert: &Path, key: &Path) -> anyhow::Result<Self> {
        let parse = |texts: &[Vec<u8>]| match texts {
            [cert, key] => certified(cert, key),
            _ => bail!("a certificate and its key are two files"),
        };
        let files = MountedFiles::read("certificate", &[cert, key], parse)?;
        Ok(Self(Arc::new(CertificateFiles(files))))
    }

    /// The acceptor that workers answer handshakes with.
    ///
    /// # Errors
    /// The process has no crypto provider.
    pub fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<CertificateFiles>::clone(&self.0);
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.max_early_data_size = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// The facts of it that metrics tell.
    #[must_use]
    pub fn stat(&self) -> FileStat {
        let ends = self.0.0.current().end_entity_cert().ok().and_then(|certificate| certificate_end::end(certificate));
        FileStat { file: "certificate", failures: self.0.0.failures(), ends }
    }

    /// Keeps the certificate fresh, for ever.
    pub async fn watch(&self) {
        self.0.0.watch().await;
    }
}

fn certified(cert: &[u8], key: &[u8]) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<Vec<_>, _>>()
        .context("the certificate file is no PEM")?;
    if chain.is_empty() {
        bail!("the certificate file holds no certificate");
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| anyhow::anyhow!("the key file holds no private key"))?;
    let provider = rustls::crypto::CryptoProvider::get_default().context("no crypto provider is installed")?;
    CertifiedKey::from_der(chain, key, provider).context("certificate and key do not belong together")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn write(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (cert, key)
    }

    #[test]
    fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = write(dir.path(), "one.example");
        let identity = ServerIdentity::read(&cert, &key).unwrap();
        assert!(!identity.0.0.refresh().unwrap());
        let before = identity.0.0.current();
        write(dir.path(), "two.example");
        assert!(identity.0.0.refresh().unwrap());
        let after = identity.0.0.current();
        assert_ne!(before.cert, after.cert);
        std::fs::write(&key, "nonsense").unwrap();
        assert!(identity.0.0.refresh().is_err());
        assert_eq!(identity.0.0.current().cert, after.cert);
        assert!(identity.stat().failures == 1 && identity.stat().ends.is_some());
        // A mark of its byte order in front of PEM is none of it.
        write(dir.path(), "three.example");
        let text = std::fs::read_to_string(&cert).unwrap();
        std::fs::write(&cert, format!("\u{feff}{text}")).unwrap();
        assert!(identity.0.0.refresh().unwrap());
    }
}
