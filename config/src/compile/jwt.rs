//! Tokens that consumers are known by, judged and compiled.

use sluicegate_crds::{self as crds, JwtAlgorithm, rules};

use super::report::Report;
use super::scalar::millis;
use crate::{ConsumerJwt, Millis, RequiredClaim};

/// The algorithms where nothing is said.
const ALGORITHMS: [JwtAlgorithm; 2] = [JwtAlgorithm::Rs256, JwtAlgorithm::Es256];
/// The difference of clocks where nothing is said, and the largest.
const SKEW: Millis = Millis(60_000);
const LARGEST_SKEW: Millis = Millis(300_000);

/// Compiles what is written at `spec.jwt`.
pub(super) fn compile(spec: &crds::ConsumerJwt, report: &mut Report<'_>) -> ConsumerJwt {
    const PATH: &str = "spec.jwt";
    let crds::ConsumerJwt { issuer, audiences, jwks_url, claims, algorithms, clock_skew } = spec;
    let is_address = issuer.starts_with("https://") || issuer.starts_with("http://");
    report.rule(PATH, rules::JWT_DISCOVERY, jwks_url.is_some() || is_address);
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
        claims: claims.iter().map(claim).collect(),
        algorithms: algorithms.iter().map(|algorithm| algorithm.as_str().to_owned()).collect(),
        clock_skew: report.check(&format!("{PATH}.clockSkew"), skew).0 / 1_000,
    }
}
