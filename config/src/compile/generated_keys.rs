//! Keys of consumers that the operator makes: those that a consumer asks for, and those of them that its compiled form has.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sluicegate_crds::{self as crds, LLMConsumerSpec, rules};

use super::generated_secret::{GeneratedSecret, WantedKey};
use super::report::Report;
use super::scalar::millis;
use crate::{CredentialId, KeyDigest, Millis, ObjectId};

/// The key in `data` of a Secret that holds the key of now.
pub const GENERATED_KEY: &str = "api-key";
/// The key in `data` of a Secret that holds the one before, while both are good.
pub const PREVIOUS_KEY: &str = "previous-api-key";

/// The shortest and the longest time between two rotations.
const ROTATION: (Millis, Millis) = (Millis(10_000), Millis(87_600 * 3_600_000));
/// The part of the time between two rotations that keys overlap, where nothing is said.
const OVERLAP_PART: u64 = 10;

/// The keys that a consumer asks to be made for it; what is wrong with them is `compile`'s to say, and nothing is made of
/// those.
pub(super) fn wanted(spec: &LLMConsumerSpec, namespace: &str) -> Vec<WantedKey> {
    let key = |key: &crds::ConsumerKey| {
        let crds::GenerateKey { secret_name, rotate_every, overlap } =
            key.generate.as_ref().filter(|_| key.secret_ref.is_none())?;
        let rotate_every = rotate_every.as_ref().map(millis).transpose().ok()?;
        let overlap = overlap.as_ref().map(millis).transpose().ok()?;
        let tenth = || Millis(rotate_every.map_or(0, |every| every.0 / OVERLAP_PART));
        let expires_at = key.expires_at.as_ref().map(|crds::Time(text)| text.parse::<Timestamp>());
        Some(WantedKey {
            name: key.name.clone(),
            secret: ObjectId(format!("{namespace}/{secret_name}")),
            rotate_every: rotate_every.map(|every| Millis(every.0.max(ROTATION.0.0))),
            overlap: overlap.unwrap_or_else(tenth),
            expires_at: expires_at.transpose().ok()?.map(Timestamp::as_second),
        })
    };
    spec.keys.iter().filter_map(key).collect()
}

/// The digest of a generated key as its Secret's annotations have it, so that the operator knows its own keys again.
#[must_use]
pub fn generated_digest(key: &[u8]) -> String {
    KeyDigest(Sha256::digest(key).into()).into()
}

/// Holds what is asked for against the rules.
pub(super) fn judge(spec: &crds::GenerateKey, path: &str, report: &mut Report<'_>) {
    let crds::GenerateKey { secret_name: _, rotate_every, overlap } = spec;
    report.rule(path, rules::OVERLAP_OF_ROTATION, overlap.is_none() || rotate_every.is_some());
    let mut time = |name: &str, text: &Option<crds::Duration>| {
        let read = text.as_ref().map(millis).transpose();
        read.map_err(|message| report.invalid(&format!("{path}.{name}"), message)).ok().flatten()
    };
    let (every, overlap) = (time("rotateEvery", rotate_every), time("overlap", overlap));
    let bounded = every.is_none_or(|every| (ROTATION.0..=ROTATION.1).contains(&every));
    report.rule(path, rules::ROTATION_BOUNDS, bounded);
    let within = every.zip(overlap).is_none_or(|(every, overlap)| overlap < every);
    report.rule(path, rules::OVERLAP_WITHIN_ROTATION, within);
}

/// The places of the keys that count in a Secret, each with the end of its time if it has one.
pub(super) fn places(
    secret: &ObjectId,
    standing: &GeneratedSecret,
    expires_at: Option<i64>,
) -> Vec<(CredentialId, Option<i64>)> {
    let place = |key: &str| CredentialId(format!("{}/{key}", secret.0));
    let before = standing.previous_until.map(|until| {
        let end = expires_at.map_or(until, |end| end.min(until));
        (place(PREVIOUS_KEY), Some(end))
    });
    let now = standing.is_own.then(|| (place(GENERATED_KEY), expires_at));
    now.into_iter().chain(before.filter(|_| standing.is_own)).collect()
}
