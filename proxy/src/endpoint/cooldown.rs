//! The cooldowns of an endpoint: until when others go first, whoever said so, and the one call that goes first when that is over.
//! Times are milliseconds after the endpoint's epoch, and 0 is never: to look at them takes no lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// So many refused credentials in a row, and no answer between them, are the gateway's credential's fault; fewer may be
/// about what one caller asked for.
const REFUSALS: u32 = 3;
/// A later end is news to others if it is so much later.
const NEWS: u64 = 250;
/// The call that goes first is waited for so long; then others go, too: who limits says so at once.
const PATIENCE: u64 = 2_000;

/// The call that goes first is still to come.
const AWAITED: u64 = 1;
/// Added to the time when it went.
const WENT: u64 = 2;

/// Ends of cooldowns.
#[derive(Debug, Default)]
pub(super) struct Cooldowns {
    /// The one that it asked for.
    requested: AtomicU64,
    /// One that nobody asked for: others go first, but nobody waits for its end.
    guessed: AtomicU64,
    /// The end of what checks beside the calls have said.
    checked: AtomicU64,
    /// The end of what other proxies have said of its circuit.
    heard: AtomicU64,
    /// Credentials refused in a row.
    refusals: AtomicU32,
    /// The call that goes first: 0: none has to; else `AWAITED`, or the time when it went and `WENT`.
    first: AtomicU64,
}

impl Cooldowns {
    /// It asks to be left alone. True if that is news.
    pub(super) fn request(&self, until: u64) -> bool {
        let is_news = extend(&self.requested, until);
        self.first.store(AWAITED, Relaxed);
        is_news
    }

    /// Others are to go first. True if that is news.
    pub(super) fn guess(&self, until: u64) -> bool {
        let is_news = extend(&self.guessed, until);
        self.first.store(AWAITED, Relaxed);
        is_news
    }

    /// Checks find it ill, until then or the next word.
    pub(super) fn check_failed(&self, until: u64) {
        self.checked.store(until, Relaxed);
        self.guessed.fetch_max(until, Relaxed);
    }

    /// Checks find it well: what they have said before is over, and what its calls have said is not.
    pub(super) fn check_passed(&self) {
        self.take_back(&self.checked);
    }

    /// Another proxy's word of its circuit; `None`: it is closed again.
    pub(super) fn hear_circuit(&self, until: Option<u64>) {
        match until {
            Some(until) => {
                self.heard.fetch_max(until, Relaxed);
                self.guess(until);
            }
            None => self.take_back(&self.heard),
        }
    }

    fn take_back(&self, of: &AtomicU64) {
        let until = of.swap(0, Relaxed);
        let _ = self.guessed.compare_exchange(until, 0, Relaxed, Relaxed);
    }

    /// It refused the credential: true if that is enough for a cooldown.
    pub(super) fn refused(&self) -> bool {
        self.refusals.fetch_add(1, Relaxed).saturating_add(1) >= REFUSALS
    }

    /// Another proxy has been refused often enough.
    pub(super) fn hear_refused(&self, until: u64) {
        self.refusals.fetch_max(REFUSALS, Relaxed);
        self.guess(until);
    }

    /// True if any credential has been refused since it last answered.
    pub(super) fn has_refused(&self) -> bool {
        self.refusals.load(Relaxed) != 0
    }

    /// True if credentials have been refused so often since it last answered that it is the gateway's.
    pub(super) fn refuses(&self) -> bool {
        self.refusals.load(Relaxed) >= REFUSALS
    }

    /// Refusals say nothing any longer. True if a cooldown goes with them.
    pub(super) fn forget_refusals(&self) -> bool {
        let was_cooling = self.refusals.swap(0, Relaxed) >= REFUSALS;
        if was_cooling {
            self.guessed.store(0, Relaxed);
        }
        was_cooling
    }

    /// The end of the one that it asked for, if that is still to come.
    pub(super) fn requested(&self, now: u64) -> Option<u64> {
        still(&self.requested, now)
    }

    /// The end of the guessed one, likewise.
    pub(super) fn guessed(&self, now: u64) -> Option<u64> {
        still(&self.guessed, now)
    }

    /// The end of any: while the call that goes first is out, others stay away for a while.
    pub(super) fn end(&self, now: u64) -> Option<u64> {
        let until = self.requested(now).max(self.guessed(now));
        if until.is_some() {
            return until;
        }
        let went = self.first.load(Relaxed).checked_sub(WENT)?;
        (went + PATIENCE > now).then_some(went + PATIENCE)
    }

    /// A call begins: true if it is the one that goes first after a cooldown.
    pub(super) fn goes_first(&self, now: u64) -> bool {
        let first = self.first.load(Relaxed);
        if first == 0 || self.end(now).is_some() {
            return false;
        }
        self.first.compare_exchange(first, now + WENT, Relaxed, Relaxed).is_ok()
    }

    /// The call that went first is over, or has its first word.
    pub(super) fn came_back(&self, is_well: bool) {
        let _ = self.first.fetch_update(Relaxed, Relaxed, |first| match first {
            0 | AWAITED => None,
            _ => Some(if is_well { 0 } else { AWAITED }),
        });
    }
}

fn extend(end: &AtomicU64, until: u64) -> bool {
    until >= end.fetch_max(until, Relaxed).saturating_add(NEWS)
}

fn still(end: &AtomicU64, now: u64) -> Option<u64> {
    Some(end.load(Relaxed)).filter(|until| *until > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_goes_first_and_the_others_wait_for_its_word_but_not_for_long() {
        let cooldowns = Cooldowns::default();
        assert!(!cooldowns.goes_first(1) && cooldowns.end(1).is_none());
        assert!(cooldowns.request(1_000));
        assert!(!cooldowns.goes_first(500), "it goes before the end, as a last resort");
        assert!(cooldowns.goes_first(1_000));
        assert_eq!(cooldowns.end(1_001), Some(1_000 + PATIENCE));
        assert!(!cooldowns.goes_first(1_001));
        // It was let go of: the next one finds out.
        cooldowns.came_back(false);
        assert!(cooldowns.end(1_002).is_none() && cooldowns.goes_first(1_002));
        assert!(cooldowns.end(1_002 + PATIENCE).is_none() && cooldowns.goes_first(1_002 + PATIENCE));
        cooldowns.came_back(true);
        assert!(cooldowns.end(9_000).is_none() && !cooldowns.goes_first(9_000));
    }

    #[test]
    fn a_little_more_is_no_news() {
        let cooldowns = Cooldowns::default();
        assert!(cooldowns.guess(1_000) && !cooldowns.guess(1_100) && !cooldowns.guess(500));
        assert!(cooldowns.guess(1_100 + NEWS));
    }

    #[test]
    fn what_others_said_of_a_circuit_is_taken_back_and_nothing_else() {
        let cooldowns = Cooldowns::default();
        cooldowns.hear_circuit(Some(5_000));
        assert_eq!(cooldowns.guessed(1), Some(5_000));
        cooldowns.hear_circuit(None);
        assert_eq!(cooldowns.guessed(1), None);
        cooldowns.guess(7_000);
        cooldowns.hear_circuit(Some(6_000));
        cooldowns.hear_circuit(None);
        assert_eq!(cooldowns.guessed(1), Some(7_000));
    }

    #[test]
    fn an_answer_or_another_credential_ends_what_was_said_of_the_credential() {
        let cooldowns = Cooldowns::default();
        assert!(!cooldowns.refused() && !cooldowns.refused() && cooldowns.refused());
        cooldowns.guess(9_000);
        assert!(cooldowns.forget_refusals() && cooldowns.guessed(1).is_none());
        cooldowns.hear_refused(9_000);
        assert!(cooldowns.has_refused() && cooldowns.guessed(1) == Some(9_000));
        assert!(cooldowns.forget_refusals() && !cooldowns.forget_refusals());
    }
}
