//! `sluicegate-proxy probe URL…`: asks whether something answers. For `helm test`, and for images without a shell.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use http::Uri;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// Each URL is asked this often, with a pause between, before it is given up.
const ATTEMPTS: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);
/// To connect, and for each piece of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer no more than this is read and shown.
const SHOWN: u64 = 1024;

/// Asks each URL until it answers with a 2xx, or with 401, as a gateway does whose callers need a key; for half a minute at the most. Ends with 0 when all did.
#[derive(Debug, Parser)]
#[command(name = "sluicegate-proxy probe")]
pub struct Probe {
    /// The pages to ask, `http://HOST:PORT/PATH` or `https://…`. Any certificate will do: its names are the callers', and
    /// not the one that is asked here.
    #[arg(required = true, value_name = "URL", value_parser = page)]
    urls: Vec<Uri>,
}

fn page(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    let is_page = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    if is_page { Ok(uri) } else { Err("write http://HOST:PORT/PATH or https://HOST:PORT/PATH".to_owned()) }
}

impl Probe {
    /// Asks, and says on standard output what came.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let all = self.urls.iter().all(|url| answers(url, ATTEMPTS));
        if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[expect(clippy::print_stdout, reason = "a command says what it found")]
#[expect(clippy::disallowed_methods, reason = "no worker runs in this process")]
fn answers(url: &Uri, attempts: u32) -> bool {
    for attempt in 1..=attempts {
        let found = ask(url);
        match &found {
            Ok((status, _)) if (200..300).contains(status) => {
                println!("{url}: {status}");
                return true;
            }
            Ok((401, _)) => {
                println!("{url}: 401, it answers those who have a key");
                return true;
            }
            Ok((status, text)) => println!("{url}: {status} {text}"),
            Err(error) => println!("{url}: {error}"),
        }
        if attempt < attempts {
            std::thread::sleep(PAUSE);
        }
    }
    false
}

/// The status, and the beginning of what came with it.
fn ask(url: &Uri) -> std::io::Result<(u16, String)> {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let secret = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if secret { 443 } else { 80 });
    let mut last = std::io::Error::other("the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return if secret { exchange(tls(stream, host)?, url) } else { exchange(stream, url) };
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// TLS with whoever is there: what is asked is whether it answers, and nothing secret is said.
fn tls(stream: TcpStream, host: &str) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

/// A verifier that takes any certificate whose key the server has.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn exchange(mut stream: impl Read + Write, url: &Uri) -> std::io::Result<(u16, String)> {
    let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let authority = url.authority().map_or("", http::uri::Authority::as_str);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: sluicegate-probe\r\nconnection: close\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    stream.take(SHOWN).read_to_end(&mut bytes)?;
    let answer = String::from_utf8_lossy(&bytes);
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("that is no HTTP answer"))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one connection with these bytes; gives the URL.
    fn once(answer: &'static str) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it: what is left unread would reset the connection.
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut piece = [0; 256];
                let length = stream.read(&mut piece).unwrap();
                head.extend_from_slice(&piece[..length]);
            }
            assert!(head.starts_with(b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        page(&url).unwrap()
    }

    #[test]
    fn only_a_good_answer_is_one() {
        assert!(answers(&once("HTTP/1.1 200 OK\r\n\r\n"), 1));
        assert!(answers(&once("HTTP/1.1 401 Unauthorized\r\n\r\n{}"), 1));
        assert!(!answers(&once("HTTP/1.1 503 Service Unavailable\r\n\r\nno configuration"), 1));
        assert!(!answers(&once("SSH-2.0\r\n"), 1));
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(!answers(&page(&format!("http://{nobody}/")).unwrap(), 1));
    }

    #[test]
    fn whole_urls_are_taken_and_nothing_else() {
        assert!(page("http://gateway.ns.svc:9090/readyz").is_ok());
        assert!(page("http://[::1]:9090/readyz").is_ok());
        assert!(page("https://gateway/").is_ok());
        assert!(page("ftp://gateway/").is_err());
        assert!(page("/readyz").is_err());
    }
}
