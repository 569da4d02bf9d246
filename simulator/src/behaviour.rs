//! The behaviour of a simulated provider: its pace, what it says, and how it fails.

use std::time::Duration;

/// The behaviour of a simulated provider. The default answers at once, and well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Before the first token.
    pub first_token: Duration,
    /// Between two tokens. A whole answer comes after as long as its stream would have taken.
    pub token_interval: Duration,
    /// Tokens of a text answer, where the request sets no lower limit. Absent: as many as the answer needs.
    pub tokens: Option<u32>,
    /// The answer, instead of a text about the request.
    pub text: Option<String>,
    /// The failure, and how often.
    pub failure: Option<Failure>,
    /// Calls beyond this many in a minute are answered with a 429.
    pub requests_per_minute: Option<u32>,
}

/// A failure to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The object's id.
    pub kind: FailureKind,
    /// Of a hundred calls, so many, spread evenly. Above 100 counts as 100.
    pub percent: u32,
    /// For [`FailureKind::Status`]: which; 500 when absent.
    pub status: Option<u16>,
    /// The number of tokens that come first. For [`FailureKind::Reset`] absent means: before the answer's head.
    pub after_tokens: Option<u32>,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The connection is reset, before an answer or after some tokens.
    Reset,
    /// Nothing is ever answered.
    Silent,
    /// An error of the vendor's own, with a status.
    Status,
    /// The connection ends after some tokens, in the middle of a chunk (0: after the head).
    Cut,
    /// The answer stops coming after some tokens, the connection stays.
    Stall,
    /// The stream carries the vendor's error event after some tokens; a whole answer is the vendor's 500 instead.
    StreamError,
}

impl Failure {
    /// True if call number `turn` (from 0) fails: `percent` of a hundred, spread evenly.
    pub(crate) fn strikes(&self, turn: u64) -> bool {
        let percent = u64::from(self.percent.min(100));
        let before = turn.saturating_mul(percent) / 100;
        let after = turn.saturating_add(1).saturating_mul(percent) / 100;
        after > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_spread_evenly() {
        let failure = |percent| Failure { kind: FailureKind::Reset, percent, status: None, after_tokens: None };
        let struck = |percent: u32| (0..100).filter(|turn| failure(percent).strikes(*turn)).count();
        assert_eq!([struck(0), struck(1), struck(30), struck(100), struck(250)], [0, 1, 30, 100, 100]);
        let halves: Vec<bool> = (0..4).map(|turn| failure(50).strikes(turn)).collect();
        assert_eq!(halves, [false, true, false, true]);
    }
}
