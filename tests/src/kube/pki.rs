//! The keys and certificates of one control plane, made anew for each: an authority, the API server's certificate, the
//! administrator's, and the key that signs ServiceAccount tokens.

use std::path::Path;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Names under which the API server may be asked.
const NAMES: [&str; 5] = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// Writes `ca.crt`, `server.crt`, `server.key`, `admin.crt`, `admin.key`, `front.crt`, `front.key` (the API server
/// towards aggregated APIs), `accounts.key` and `accounts.pub` into a folder.
pub(super) fn write(folder: &Path) -> anyhow::Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "sluicegate-tests");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    put(folder, "ca.crt", &authority.pem())?;

    let mut server = CertificateParams::new(NAMES.map(str::to_owned))?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(folder, "server", &server, &authority)?;

    let mut admin = CertificateParams::new(Vec::new())?;
    admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    admin.distinguished_name.push(DnType::CommonName, "admin");
    admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
    issue(folder, "admin", &admin, &authority)?;

    let mut front = CertificateParams::new(Vec::new())?;
    front.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    front.distinguished_name.push(DnType::CommonName, "front-proxy");
    issue(folder, "front", &front, &authority)?;

    let accounts = KeyPair::generate()?;
    put(folder, "accounts.key", &accounts.serialize_pem())?;
    put(folder, "accounts.pub", &accounts.public_key_pem())
}

fn issue(
    folder: &Path,
    name: &str,
    params: &CertificateParams,
    authority: &CertifiedIssuer<'_, KeyPair>,
) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    put(folder, &format!("{name}.crt"), &certificate.pem())?;
    put(folder, &format!("{name}.key"), &key.serialize_pem())
}

fn put(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    std::fs::write(folder.join(name), text).with_context(|| format!("writing {name}"))
}
