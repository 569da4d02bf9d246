//! The gateways that a call has come through: each counts itself in `cdn-loop` (RFC 8586), so that a call which is led round in a ring
//! of providers that are gateways themselves comes to an end.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sluicegate_dialects::hub::ErrorKind;

use crate::cache::Key;
use crate::errors::Problem;

use super::retry_policy::RetryDecision;

/// The header in which proxies know their own calls when they come back.
pub(super) const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// The word that stands for every gateway of this kind.
const WORD: &str = "sluicegate";
const COUNT: &str = "hops=";
/// The most gateways that a call may come through. Who has gateways behind one another on purpose has two or three.
const MOST: usize = 8;

/// The header's values, of a call that goes on.
static SAID: [HeaderValue; MOST] = [
    HeaderValue::from_static("sluicegate; hops=1"),
    HeaderValue::from_static("sluicegate; hops=2"),
    HeaderValue::from_static("sluicegate; hops=3"),
    HeaderValue::from_static("sluicegate; hops=4"),
    HeaderValue::from_static("sluicegate; hops=5"),
    HeaderValue::from_static("sluicegate; hops=6"),
    HeaderValue::from_static("sluicegate; hops=7"),
    HeaderValue::from_static("sluicegate; hops=8"),
];

/// The number of gateways that a call has come through before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hops(u8);

impl Hops {
    /// Those that a call says. What others count beside it is theirs; a caller that says too many ends its own call.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(CDN_LOOP).into_iter();
        let entries = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        Self(entries.map(counted).fold(0, u8::saturating_add))
    }

    /// The header's value for whom the call goes on to.
    pub(super) fn said(self) -> HeaderValue {
        let [.., last] = &SAID;
        SAID.get(usize::from(self.0)).unwrap_or(last).clone()
    }

    /// Refuses a call that has come through too many.
    ///
    /// # Errors
    /// It has come round.
    pub(super) fn check(self) -> Result<(), Problem> {
        if usize::from(self.0) < MOST {
            return Ok(());
        }
        let message = format!(
            "This call has come round: it came through {} gateways of this kind (`cdn-loop`), and at most {MOST} are taken. The `url` of \
             a provider on its way leads back to a gateway that it came through; whoever operates that has to look after it.",
            self.0
        );
        let problem = Problem::client(ErrorKind::InvalidRequest, message).code("loop_detected").retry(false, None);
        Err(problem.status(StatusCode::LOOP_DETECTED))
    }

    /// The decision about an answer that says so: nobody is asked again, for each gateway on the way would do the same. It is the caller's
    /// own doing where the call has come through gateways, as it says, before this one.
    pub(super) const fn judged(self, decision: RetryDecision, status: StatusCode) -> RetryDecision {
        if !is_of_ring(status) { decision } else { decision.of_ring(self.0 > 0) }
    }

    /// The key of a flight that is shared by calls of as many hops alone: in a ring a call would wait for itself, and nobody is to be told
    /// what another has said of its own way.
    pub(super) fn apart(self, Key(mut key): Key) -> Key {
        key.last_mut().into_iter().for_each(|last| *last ^= self.0);
        Key(key)
    }
}

/// True if a status says that a call has come round.
pub(super) const fn is_of_ring(status: StatusCode) -> bool {
    status.as_u16() == StatusCode::LOOP_DETECTED.as_u16()
}

/// The gateways of this kind that one entry of the header counts.
fn counted(entry: &[u8]) -> u8 {
    let mut parts = entry.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    if !parts.next().is_some_and(|word| word.eq_ignore_ascii_case(WORD.as_bytes())) {
        return 0;
    }
    let said = parts.find_map(|part| part.strip_prefix(COUNT.as_bytes()));
    let number = |said: &[u8]| std::str::from_utf8(said).ok().and_then(|said| said.parse().ok());
    said.map_or(1, |said| number(said).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Hops {
        Hops::of(&lines.iter().map(|line| (CDN_LOOP, line.parse().unwrap())).collect())
    }

    #[test]
    fn a_gateway_knows_its_like_and_no_other_proxy() {
        for (lines, hops) in [
            (&[][..], 0),
            (&["cloudflare; loops=9, fastly"], 0),
            (&["sluicegate; hops=3"], 3),
            (&["SluiceGate ;hops=3 , cloudflare; loops=1"], 3),
            (&["sluicegate"], 1),
            (&["sluicegate, sluicegate; a=b; hops=2", "x", "sluicegate"], 4),
            (&["sluicegates; hops=3"], 0),
            (&["sluicegate; hops=1000"], 255),
            (&["sluicegate; hops=-1, sluicegate; hops=2"], 255),
            (&["sluicegate; hops=0"], 0),
        ] {
            assert_eq!(of(lines), Hops(hops), "{lines:?}");
        }
    }

    #[test]
    fn each_gateway_adds_itself_until_there_are_too_many() {
        let mut hops = of(&[]);
        for number in 1..=MOST {
            assert!(hops.check().is_ok());
            let said = hops.said();
            assert_eq!(said, format!("sluicegate; hops={number}"));
            hops = of(&[said.to_str().unwrap()]);
        }
        let problem = hops.check().unwrap_err();
        assert_eq!((problem.status, problem.should_retry), (Some(StatusCode::LOOP_DETECTED), Some(false)));
        assert!(of(&["sluicegate; hops=255, sluicegate"]).check().is_err());
    }

    #[test]
    fn calls_of_another_way_share_no_flight() {
        let key = Key([7; 32]);
        assert_eq!(of(&[]).apart(key), key);
        assert_ne!(of(&["sluicegate"]).apart(key), key);
        assert_ne!(of(&["sluicegate"]).apart(key), of(&["sluicegate; hops=2"]).apart(key));
    }
}
