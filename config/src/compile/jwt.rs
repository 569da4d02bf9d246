//! Tokens that consumers are known by, judged and compiled.

use sluicegate_crds::{self as crds, JwtAlgorithm, rules};

use super::certificates;
use super::report::Report;
use super::scalar::millis;
use crate::{ConsumerJwt, JwtSubjects, Millis, RequiredClaim};

/// The algorithms where nothing is said.
const ALGORITHMS: [JwtAlgorithm; 2] = [JwtAlgorithm::Rs256, JwtAlgorithm::Es256];
/// The difference of clocks where nothing is said, and the largest.
const SKEW: Millis = Millis(60_000);
const LARGEST_SKEW: Millis = Millis(300_000);

/// The claim that names a subject where nothing is said, and the most subjects that a proxy knows.
const SUBJECT: &str = "sub";
const SUBJECTS: u32 = 10_000;

/// Looks at keys that stand in a resource; whether any of them can be used proxies find out.
fn not_keys(jwks: &str) -> Result<(), String> {
    let wrong =
        "it is no set of keys: write what the issuer publishes, such as {\"keys\":[{\"kty\":\"RSA\",…}]}".to_owned();
    let read: serde_json::Value = serde_json::from_str(jwks).map_err(|_| wrong.clone())?;
    let keys = read.get("keys").and_then(serde_json::Value::as_array).filter(|keys| !keys.is_empty()).ok_or(wrong)?;
    let is_secret = |key: &serde_json::Value| {
        let has = |name: &str| key.get(name).is_some();
        key.get("kty").and_then(serde_json::Value::as_str) == Some("oct") || has("d") || has("k")
    };
    match keys.iter().any(is_secret) {
        true => Err("one of the keys is a secret, which would let whoever reads it sign: write the public keys alone"
            .to_owned()),
        false => Ok(()),
    }
}

/// Compiles what is written at `spec.jwt`.
pub(super) fn compile(spec: &crds::ConsumerJwt, report: &mut Report<'_>) -> ConsumerJwt {
    const PATH: &str = "spec.jwt";
    let crds::ConsumerJwt {
        issuer,
        audiences,
        jwks_url,
        jwks,
        ca_certificate,
        subjects,
        claims,
        algorithms,
        clock_skew,
    } = spec;
    let is_address = issuer.starts_with("https://") || issuer.starts_with("http://");
    report.rule(PATH, rules::JWT_DISCOVERY, jwks_url.is_some() || jwks.is_some() || is_address);
    report.rule(PATH, rules::JWT_KEYS_ONCE, jwks_url.is_none() || jwks.is_none());
    if let Some(wrong) = jwks.as_deref().and_then(|jwks| not_keys(jwks).err()) {
        report.invalid(&format!("{PATH}.jwks"), wrong);
    }
    report.rule(PATH, rules::JWT_CERTIFICATE, jwks.is_none() || ca_certificate.is_none());
    let trusted = ca_certificate.as_deref().filter(|_| jwks.is_none());
    if let Some(Err(message)) = trusted.map(certificates::check) {
        report.invalid(&format!("{PATH}.caCertificate"), message);
    }
    let skew = clock_skew.as_ref().map_or(Ok(SKEW), millis);
    report.rule(PATH, rules::JWT_SKEW, skew.as_ref().map_or(true, |skew| *skew <= LARGEST_SKEW));
    let algorithms = if algorithms.is_empty() { &ALGORITHMS[..] } else { algorithms };
    let claim = |crds::RequiredClaim { name, values }: &crds::RequiredClaim| RequiredClaim {
        name: name.clone(),
        values: values.clone(),
    };
    ConsumerJwt {
        issuer: issuer.clone(),
        audiences: audiences.clone(),
        jwks_url: jwks_url.clone(),
        jwks: jwks.clone(),
        ca_pem: ca_certificate.clone(),
        subjects: subjects.as_ref().map(|crds::JwtSubjects { claim, max }| JwtSubjects {
            claim: claim.clone().unwrap_or_else(|| SUBJECT.to_owned()),
            max: max.unwrap_or(SUBJECTS),
        }),
        claims: claims.iter().map(claim).collect(),
        algorithms: algorithms.iter().map(|algorithm| algorithm.as_str().to_owned()).collect(),
        clock_skew: report.check(&format!("{PATH}.clockSkew"), skew).0 / 1_000,
    }
}
