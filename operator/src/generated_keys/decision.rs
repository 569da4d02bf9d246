//! The decision about a key that the operator makes: pure. All that it goes by stands in the Secret, so a restart and
//! another replica decide alike.

use sluicegate_config::Millis;
use sluicegate_config::compile::{GENERATED_KEY, PREVIOUS_KEY, Reason, WantedKey, generated_digest};

use crate::world::ReadSecret;

/// Annotation: the time at which the key of now was made.
pub(super) const ROTATED_AT: &str = "sluicegate.dev/rotated-at";
/// Annotation: the same, as the operator wrote it; where the two differ, somebody has asked for a rotation by hand.
pub(super) const MADE_AT: &str = "sluicegate.dev/made-at";
/// Annotation: the time until which the key before is good.
pub(super) const PREVIOUS_UNTIL: &str = "sluicegate.dev/previous-until";
/// Annotation: the digest of the key of now, by which the operator knows its own.
pub(super) const DIGEST: &str = "sluicegate.dev/api-key-sha256";
/// Annotation: the digest of the key before.
pub(super) const PREVIOUS_DIGEST: &str = "sluicegate.dev/previous-api-key-sha256";

/// Rotations come earlier by up to this part of the time between them, so that those of many consumers do not come at once.
const JITTER_PART: u64 = 20;
/// A time of rotation that is so many seconds ahead was written by a clock that was wrong.
const AHEAD: i64 = 3_600;

/// The next step of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyStep {
    /// There is nothing to do.
    Rest,
    /// The Secret is created, with a key.
    Create,
    /// A key is written where none is.
    Renew,
    /// A new key is written, and the one of now becomes the one before.
    Rotate,
    /// The key before is taken out.
    EndOverlap,
}

impl KeyStep {
    /// True if a key is made by it.
    pub(super) const fn makes_a_key(self) -> bool {
        matches!(self, Self::Create | Self::Renew | Self::Rotate)
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyDecision {
    pub(super) step: KeyStep,
    /// The time of the next step, in seconds since 1970.
    pub(super) next: Option<i64>,
    /// The Secret was made for this consumer.
    pub(super) is_own: bool,
    /// The reason why nothing is done, although something might have to be.
    pub(super) fault: Option<(Reason, String)>,
}

impl KeyDecision {
    const fn of(step: KeyStep, next: Option<i64>) -> Self {
        Self { step, next, is_own: true, fault: None }
    }

    fn hindered(is_own: bool, message: String) -> Self {
        Self { step: KeyStep::Rest, next: None, is_own, fault: Some((Reason::SecretNotOwned, message)) }
    }
}

/// Decides about a key of the consumer with this uid, at a time in seconds since 1970.
pub(super) fn decide(wanted: &WantedKey, secret: Option<&ReadSecret>, uid: &str, now: i64) -> KeyDecision {
    let Some(secret) = secret else { return KeyDecision { is_own: false, ..KeyDecision::of(KeyStep::Create, None) } };
    let name = &wanted.secret.0;
    if !secret.owners.iter().any(|owner| owner == uid) {
        let message = format!(
            "the Secret {name} is there and was not made for this consumer: it is left alone. Delete it, or write another \
             secretName; to use the key in it, name it in secretRef"
        );
        return KeyDecision::hindered(false, message);
    }
    let Some(key) = secret.data.get(GENERATED_KEY) else { return KeyDecision::of(KeyStep::Renew, None) };
    if !is_known(secret, DIGEST, key.expose()) {
        let message = format!(
            "{GENERATED_KEY:?} of the Secret {name} was written by somebody else: it is good, and is not rotated. Delete the \
             Secret to have a new key made"
        );
        return KeyDecision::hindered(true, message);
    }
    let previous = secret.data.get(PREVIOUS_KEY);
    if previous.is_some_and(|previous| !is_known(secret, PREVIOUS_DIGEST, previous.expose())) {
        let message = format!(
            "{PREVIOUS_KEY:?} of the Secret {name} was written by somebody else: it is left alone and not taken for a key, and \
             nothing is rotated. Remove it"
        );
        return KeyDecision::hindered(true, message);
    }
    let over = previous.map(|_| time(secret, PREVIOUS_UNTIL).unwrap_or(now));
    if over.is_some_and(|over| over <= now) {
        return KeyDecision::of(KeyStep::EndOverlap, rotation(wanted, secret, now));
    }
    // Of three keys the first is over. That is waited for, unless somebody will have it so: a key that has leaked must go at once.
    let awaited = over.filter(|_| !is_asked_for(secret));
    match rotation(wanted, secret, now) {
        Some(at) if at.max(awaited.unwrap_or(at)) <= now => KeyDecision::of(KeyStep::Rotate, None),
        Some(at) => KeyDecision::of(KeyStep::Rest, Some(over.unwrap_or(at).min(at).max(now + 1))),
        None => KeyDecision::of(KeyStep::Rest, over),
    }
}

/// True if the time of the last rotation was written by hand, after the operator wrote it.
fn is_asked_for(secret: &ReadSecret) -> bool {
    let (said, made) = (time(secret, ROTATED_AT), time(secret, MADE_AT));
    said.is_some() && made.is_some() && said != made
}

/// The time until which the key before is good, if there is one of ours.
pub(super) fn previous_until(secret: &ReadSecret) -> Option<i64> {
    let previous = secret.data.get(PREVIOUS_KEY)?;
    if is_known(secret, PREVIOUS_DIGEST, previous.expose()) { time(secret, PREVIOUS_UNTIL) } else { None }
}

/// The time of the next rotation; `None`: there is none to come.
fn rotation(wanted: &WantedKey, secret: &ReadSecret, now: i64) -> Option<i64> {
    let Millis(every) = wanted.rotate_every?;
    let made = time(secret, ROTATED_AT).unwrap_or(secret.created);
    // A clock that was wrong would put it off for years.
    let at = if made > now + AHEAD { now } else { made + seconds(every - jitter(&wanted.secret.0, every)) };
    // A key that is good no longer needs none to follow it.
    let is_over = wanted.expires_at.is_some_and(|end| end <= now.max(at));
    (!is_over).then_some(at)
}

/// Always the same for a Secret, so that a restart does not move its rotation.
fn jitter(name: &str, every: u64) -> u64 {
    let spread = every / JITTER_PART;
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash.checked_rem(spread).unwrap_or_default()
}

fn is_known(secret: &ReadSecret, annotation: &str, key: &[u8]) -> bool {
    secret.annotations.get(annotation) == Some(&generated_digest(key))
}

fn time(secret: &ReadSecret, annotation: &str) -> Option<i64> {
    let text = secret.annotations.get(annotation)?;
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// Whole seconds, at least one.
pub(super) fn seconds(millis: u64) -> i64 {
    i64::try_from(millis.div_ceil(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use sluicegate_config::ObjectId;
    use sluicegate_config::compile::SecretValue;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const UID: &str = "uid-1";

    fn wanted(every: Option<u64>, overlap: u64) -> WantedKey {
        WantedKey {
            name: "k".to_owned(),
            secret: ObjectId("a/s".to_owned()),
            rotate_every: every.map(|seconds| Millis(seconds * 1_000)),
            overlap: Millis(overlap * 1_000),
            expires_at: None,
        }
    }

    fn at(seconds: i64) -> String {
        jiff::Timestamp::from_second(seconds).unwrap().to_string()
    }

    /// One of ours, whose key was made so many seconds ago, and the one before which is good for so many more.
    fn made(ago: i64, previous: Option<i64>) -> ReadSecret {
        let mut secret = ReadSecret { owners: vec![UID.to_owned()], created: NOW - ago, ..ReadSecret::default() };
        secret.data.insert(GENERATED_KEY.to_owned(), SecretValue::new(b"now".to_vec()));
        secret.annotations.insert(DIGEST.to_owned(), generated_digest(b"now"));
        secret.annotations.insert(ROTATED_AT.to_owned(), at(NOW - ago));
        secret.annotations.insert(MADE_AT.to_owned(), at(NOW - ago));
        if let Some(left) = previous {
            secret.data.insert(PREVIOUS_KEY.to_owned(), SecretValue::new(b"before".to_vec()));
            secret.annotations.insert(PREVIOUS_DIGEST.to_owned(), generated_digest(b"before"));
            secret.annotations.insert(PREVIOUS_UNTIL.to_owned(), at(NOW + left));
        }
        secret
    }

    #[test]
    fn a_key_is_made_rotated_and_its_predecessor_taken_out_in_time() {
        let step = |every, secret: &ReadSecret| decide(&wanted(every, 10), Some(secret), UID, NOW);
        assert_eq!(decide(&wanted(None, 0), None, UID, NOW).step, KeyStep::Create);
        assert_eq!(step(None, &made(10_000, None)), KeyDecision::of(KeyStep::Rest, None));
        // Up to a twentieth earlier, and never later.
        let rest = step(Some(1_000), &made(0, None));
        assert!(rest.step == KeyStep::Rest && (NOW + 950..=NOW + 1_000).contains(&rest.next.unwrap()), "{rest:?}");
        assert_eq!(step(Some(1_000), &made(1_000, None)).step, KeyStep::Rotate);
        assert_eq!(step(Some(1_000), &made(949, None)).step, KeyStep::Rest);
        // While both are good nothing else happens, and the end of that comes first.
        assert_eq!(step(Some(1_000), &made(5, Some(5))), KeyDecision::of(KeyStep::Rest, Some(NOW + 5)));
        assert_eq!(step(Some(1_000), &made(1_000, Some(5))).step, KeyStep::Rest, "of three keys the first is over");
        assert_eq!(step(Some(1_000), &made(10, Some(0))).step, KeyStep::EndOverlap);
        assert_eq!(step(None, &made(10, Some(-1))).step, KeyStep::EndOverlap);
        assert_eq!(step(None, &made(10, Some(7))), KeyDecision::of(KeyStep::Rest, Some(NOW + 7)));
    }

    #[test]
    fn a_rotation_by_hand_does_not_wait_for_the_end_of_the_key_before() {
        let step = |secret: &ReadSecret| decide(&wanted(Some(1_000), 10), Some(secret), UID, NOW).step;
        let mut asked = made(5, Some(5));
        asked.annotations.insert(ROTATED_AT.to_owned(), at(NOW - 10_000));
        assert_eq!(step(&asked), KeyStep::Rotate);
        // A clock that was wrong when the operator wrote, and what a version that did not write the second time has made: no hand.
        let ahead = made(-10 * AHEAD, Some(5));
        assert_eq!(step(&ahead), KeyStep::Rest);
        asked.annotations.remove(MADE_AT);
        assert_eq!(step(&asked), KeyStep::Rest);
        let mut damaged = made(5, Some(5));
        damaged.annotations.insert(ROTATED_AT.to_owned(), "now".to_owned());
        assert_eq!(step(&damaged), KeyStep::Rest);
    }

    #[test]
    fn what_the_operator_did_not_make_it_leaves_alone() {
        let decide = |secret: &ReadSecret| decide(&wanted(Some(1_000), 10), Some(secret), UID, NOW);
        let mut foreign = made(2_000, None);
        foreign.owners = vec!["uid-2".to_owned()];
        let decision = decide(&foreign);
        assert!(decision.step == KeyStep::Rest && !decision.is_own, "{decision:?}");
        for key in [GENERATED_KEY, PREVIOUS_KEY] {
            let mut written = made(2_000, Some(-1));
            written.data.insert(key.to_owned(), SecretValue::new(b"by hand".to_vec()));
            let decision = decide(&written);
            assert!(decision.step == KeyStep::Rest && decision.is_own, "{decision:?}");
            assert_eq!(decision.fault.unwrap().0, Reason::SecretNotOwned);
            assert_eq!(previous_until(&written).is_some(), key == GENERATED_KEY);
        }
        let mut emptied = made(0, None);
        emptied.data.clear();
        assert_eq!(decide(&emptied).step, KeyStep::Renew);
    }

    #[test]
    fn a_wrong_clock_and_an_expired_key_do_not_rotate_for_ever() {
        let mut wanted = wanted(Some(1_000), 10);
        let ahead = made(-10 * AHEAD, None);
        assert_eq!(decide(&wanted, Some(&ahead), UID, NOW).step, KeyStep::Rotate);
        let mut damaged = made(2_000, None);
        damaged.annotations.insert(ROTATED_AT.to_owned(), "yesterday".to_owned());
        assert_eq!(decide(&wanted, Some(&damaged), UID, NOW).step, KeyStep::Rotate, "by its creation");
        wanted.expires_at = Some(NOW);
        assert_eq!(decide(&wanted, Some(&made(2_000, None)), UID, NOW), KeyDecision::of(KeyStep::Rest, None));
        wanted.expires_at = Some(NOW + 10);
        assert_eq!(decide(&wanted, Some(&made(500, None)), UID, NOW).next, None, "it is over before");
    }
}
