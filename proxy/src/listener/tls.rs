//! The listener's certificate, read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// The interval at which the files are looked at: a Secret mounted in Kubernetes changes by a swapped link, which
/// watches miss.
const LOOK: Duration = Duration::from_secs(5);

/// A certificate chain and its key, and where they came from.
#[derive(Debug)]
pub struct ServerIdentity {
    cert: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
    read: std::sync::Mutex<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ServerIdentity {
    /// Reads both files.
    ///
    /// # Errors
    /// A file is missing or holds no certificate or key, or the two do not belong together.
    pub fn read(cert: &Path, key: &Path) -> anyhow::Result<Self> {
        let texts = texts(cert, key)?;
        let certified = certified(&texts.0, &texts.1)?;
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            current: Arc::new(Current(ArcSwap::from_pointee(certified))),
            read: std::sync::Mutex::new(texts),
        })
    }

    /// The acceptor that workers answer handshakes with.
    ///
    /// # Errors
    /// The process has no crypto provider.
    pub fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Current>::clone(&self.current);
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.max_early_data_size = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again and takes them if they changed; says whether they did.
    ///
    /// # Errors
    /// As `read`; the certificate in use stays.
    pub fn refresh(&self) -> anyhow::Result<bool> {
        let texts = texts(&self.cert, &self.key)?;
        let mut read = self.read.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *read == texts {
            return Ok(false);
        }
        self.current.0.store(Arc::new(certified(&texts.0, &texts.1)?));
        *read = texts;
        Ok(true)
    }

    /// Keeps the certificate fresh, for ever.
    pub async fn watch(&self) {
        let mut last_failure = String::new();
        loop {
            tokio::time::sleep(LOOK).await;
            match self.refresh() {
                Ok(true) => tracing::info!(cert = %self.cert.display(), "certificate reloaded"),
                Ok(false) => last_failure.clear(),
                Err(error) => {
                    let failure = format!("{error:#}");
                    if failure != last_failure {
                        tracing::error!(error = failure, "certificate not reloaded; the one in use stays");
                    }
                    last_failure = failure;
                }
            }
        }
    }
}

fn texts(cert: &Path, key: &Path) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("can not read {}", path.display()));
    Ok((read(cert)?, read(key)?))
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
        assert!(!identity.refresh().unwrap());
        let before = identity.current.0.load_full();
        write(dir.path(), "two.example");
        assert!(identity.refresh().unwrap());
        let after = identity.current.0.load_full();
        assert_ne!(before.cert, after.cert);
        std::fs::write(&key, "nonsense").unwrap();
        assert!(identity.refresh().is_err());
        assert_eq!(identity.current.0.load_full().cert, after.cert);
    }
}
