//! Live state of one of several keys of a provider: its cooldowns, the refusals of it, the calls that it is used for. It is the
//! same at all of the provider's endpoints: a limit is an account's, wherever its calls go. Other proxies hear of its rests.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::news::{EndpointName, News, NewsQueue, Subject};

/// So many refusals in a row, and no answer between them, are the key's fault, even if no other key gave the call an answer.
const REFUSALS: u32 = 3;
/// The first and the longest time that a refused key rests.
const FIRST_REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(600);
/// A later end of a rest is news to others if it is so many milliseconds later.
const NEWS: u64 = 250;

/// The standing of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStanding {
    /// It is used.
    Usable,
    /// It is limited, and rests until then.
    CoolingDown(Instant),
    /// It was refused, and rests until then.
    Refused(Instant),
}

/// Live state of a key.
#[derive(Debug)]
pub struct LiveKey {
    epoch: Instant,
    /// The place where news of it goes, if others want to know.
    outbox: Option<Arc<NewsQueue>>,
    /// Its name there, with the value that it has now.
    name: Mutex<Option<EndpointName>>,
    /// The end of the rest that its provider asked for, in milliseconds after `epoch`; 0: none.
    cooldown: AtomicU64,
    /// The end of one that nobody asked for.
    guessed: AtomicU64,
    /// Refusals in a row.
    refusals: AtomicU32,
    /// Rests for refusals in a row, without an answer between them.
    rests: AtomicU32,
    /// Stands for its value; 0: nobody has said.
    value: AtomicU64,
    in_flight: AtomicU32,
    used: AtomicU64,
    limited: AtomicU64,
    refused: AtomicU64,
}

impl LiveKey {
    /// A key of which nothing is known yet.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            outbox: None,
            name: Mutex::new(None),
            cooldown: AtomicU64::new(0),
            guessed: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            rests: AtomicU32::new(0),
            value: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            used: AtomicU64::new(0),
            limited: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// A key of which others hear.
    pub(super) fn heard_of(now: Instant, outbox: Arc<NewsQueue>) -> Self {
        Self { outbox: Some(outbox), ..Self::new(now) }
    }

    /// A call uses it, until what this gives is dropped.
    #[must_use]
    pub fn take(self: &Arc<Self>, index: usize) -> KeyInUse {
        self.in_flight.fetch_add(1, Relaxed);
        KeyInUse { key: Arc::clone(self), index }
    }

    /// An attempt is made with it.
    pub fn is_used(&self) {
        self.used.fetch_add(1, Relaxed);
    }

    /// Its provider limits it, and wants it to rest until then.
    pub fn cool_down(&self, until: Instant) {
        self.limited.fetch_add(1, Relaxed);
        if self.extend(&self.cooldown, until) {
            self.tell(Subject::Cooldown, until);
        }
    }

    /// Its provider limits it, and does not say for how long.
    pub fn guess_cooldown(&self, until: Instant) {
        self.limited.fetch_add(1, Relaxed);
        if self.extend(&self.guessed, until) {
            self.tell(Subject::Limited, until);
        }
    }

    /// It was refused. After some in a row it rests: true if that is news.
    pub fn refuse(&self, now: Instant) -> bool {
        self.refused.fetch_add(1, Relaxed);
        self.refusals.fetch_add(1, Relaxed).saturating_add(1) >= REFUSALS && self.rest(now)
    }

    /// It was refused for a call that another key got an answer for, so it is the key that is refused: it rests, longer each time.
    /// True if that is news.
    pub fn rest(&self, now: Instant) -> bool {
        if matches!(self.standing(now), KeyStanding::Refused(_)) {
            return false;
        }
        let rests = self.rests.fetch_add(1, Relaxed);
        let pause = FIRST_REST.saturating_mul(1 << rests.min(8)).min(LONGEST_REST);
        self.extend(&self.guessed, now + pause);
        self.tell(Subject::Credential, now + pause);
        true
    }

    /// It got an answer: nothing that was said of it before holds any longer, but for a rest that its provider asked for.
    pub fn answers(&self) {
        if self.refusals.load(Relaxed) != 0 || self.rests.load(Relaxed) != 0 {
            self.refusals.store(0, Relaxed);
            if self.is_refused_no_longer() {
                self.tell(Subject::Credential, self.epoch);
            }
        }
    }

    fn is_refused_no_longer(&self) -> bool {
        let was_refused = self.rests.swap(0, Relaxed) != 0;
        if was_refused {
            self.guessed.store(0, Relaxed);
        }
        was_refused
    }

    /// Hears what another proxy has found out: what holds until then; `None`: it holds no longer.
    pub(super) fn hear(&self, subject: Subject, until: Option<Instant>) {
        match (subject, until) {
            (Subject::Cooldown, Some(until)) => _ = self.extend(&self.cooldown, until),
            (Subject::Limited, Some(until)) => _ = self.extend(&self.guessed, until),
            (Subject::Credential, Some(until)) => {
                self.rests.fetch_max(1, Relaxed);
                self.extend(&self.guessed, until);
            }
            (Subject::Credential, None) => _ = self.is_refused_no_longer(),
            (Subject::Cooldown | Subject::Limited, None) | (Subject::Circuit | Subject::Scarce(_), _) => {}
        }
    }

    /// Others know it by this name from now on; the one before, where it was another.
    pub(super) fn is_called(&self, name: EndpointName) -> Option<EndpointName> {
        let mut known = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        known.replace(name).filter(|before| *before != name)
    }

    fn tell(&self, subject: Subject, until: Instant) {
        let name = *self.name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, outbox)) = name.zip(self.outbox.as_ref()) {
            outbox.put(News { name, subject, until });
        }
    }

    /// A rest lasts until then at least. True if that is news.
    fn extend(&self, end: &AtomicU64, until: Instant) -> bool {
        let until = self.since_epoch(until);
        until >= end.fetch_max(until, Relaxed).saturating_add(NEWS)
    }

    /// This number stands for its value: with another one than before it is another key.
    pub fn has_value(&self, value: u64) {
        let before = self.value.swap(value, Relaxed);
        if before != 0 && before != value {
            // Others know that one by another name, and hear nothing of it.
            self.refusals.store(0, Relaxed);
            self.rests.store(0, Relaxed);
            self.guessed.store(0, Relaxed);
            self.cooldown.store(0, Relaxed);
        }
    }

    /// The end of the rest that its provider asked for, if that is still to come.
    #[must_use]
    pub fn cooldown_until(&self, now: Instant) -> Option<Instant> {
        self.still(&self.cooldown, now)
    }

    /// The end of any rest, if that is still to come.
    #[must_use]
    pub fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.cooldown_until(now).max(self.still(&self.guessed, now))
    }

    /// Its standing.
    #[must_use]
    pub fn standing(&self, now: Instant) -> KeyStanding {
        match self.rests_until(now) {
            None => KeyStanding::Usable,
            Some(until) if self.rests.load(Relaxed) > 0 => KeyStanding::Refused(until),
            Some(until) => KeyStanding::CoolingDown(until),
        }
    }

    /// True if it was refused, and has got no answer since.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.rests.load(Relaxed) > 0
    }

    /// The calls that use it, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// The attempts that used it, and those of them that were limited and refused.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        [("used", &self.used), ("limited", &self.limited), ("refused", &self.refused)]
            .map(|(word, count)| (word, count.load(Relaxed)))
    }

    fn still(&self, until: &AtomicU64, now: Instant) -> Option<Instant> {
        let until = until.load(Relaxed);
        let until = self.epoch + Duration::from_millis(until);
        (until > now).then_some(until)
    }

    fn since_epoch(&self, then: Instant) -> u64 {
        let since = then.saturating_duration_since(self.epoch);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX / 2).min(u64::MAX / 2)
    }
}

/// A call's use of a key, to its answer's end.
#[derive(Debug)]
pub struct KeyInUse {
    key: Arc<LiveKey>,
    index: usize,
}

impl KeyInUse {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &Arc<LiveKey> {
        &self.key
    }

    /// Its place among the provider's.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }
}

impl Drop for KeyInUse {
    fn drop(&mut self) {
        self.key.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_rests_longer_each_time_until_it_is_answered_or_another() {
        let now = Instant::now();
        let key = LiveKey::new(now);
        key.refuse(now);
        key.refuse(now);
        assert_eq!((key.standing(now), key.is_refused()), (KeyStanding::Usable, false), "it may be the call's fault");
        assert!(key.refuse(now));
        assert_eq!(key.standing(now), KeyStanding::Refused(now + FIRST_REST));
        assert!(!key.rest(now), "it rests");
        let later = now + FIRST_REST;
        assert_eq!((key.standing(later), key.is_refused()), (KeyStanding::Usable, true));
        assert!(key.rest(later));
        assert_eq!(key.standing(later), KeyStanding::Refused(later + FIRST_REST * 2));
        key.answers();
        assert_eq!((key.standing(later), key.is_refused()), (KeyStanding::Usable, false));
        key.has_value(7);
        key.cool_down(later + FIRST_REST);
        key.answers();
        assert_eq!(key.standing(later), KeyStanding::CoolingDown(later + FIRST_REST), "it was asked for");
        key.has_value(7);
        assert!(key.cooldown_until(later).is_some());
        key.has_value(8);
        assert_eq!(key.standing(later), KeyStanding::Usable);
        assert_eq!(key.counts(), [("used", 0), ("limited", 1), ("refused", 3)]);
    }

    #[test]
    fn others_hear_of_its_rests_and_what_they_say_makes_it_rest() {
        let (now, outbox) = (Instant::now(), Arc::new(NewsQueue::default()));
        let (name, soon) = (EndpointName([7; 16]), now + Duration::from_secs(20));
        let key = LiveKey::heard_of(now, Arc::clone(&outbox));
        assert_eq!((key.is_called(name), key.is_called(name)), (None, None));
        let news = || outbox.take(9).into_iter().map(|one| (one.subject, one.until)).collect::<Vec<_>>();
        key.cool_down(soon);
        key.cool_down(soon);
        assert_eq!(news(), [(Subject::Cooldown, soon)]);
        key.rest(now);
        assert_eq!(news(), [(Subject::Credential, now + FIRST_REST)]);
        key.answers();
        key.answers();
        assert_eq!(news(), [(Subject::Credential, now)]);
        let other = LiveKey::heard_of(now, Arc::clone(&outbox));
        other.hear(Subject::Credential, Some(soon));
        assert_eq!(other.standing(now), KeyStanding::Refused(soon));
        other.hear(Subject::Credential, None);
        assert_eq!(other.standing(now), KeyStanding::Usable);
        other.hear(Subject::Limited, Some(soon));
        assert_eq!((other.rests_until(now), other.cooldown_until(now)), (Some(soon), None));
        other.hear(Subject::Cooldown, Some(soon));
        assert_eq!(other.cooldown_until(now), Some(soon));
        assert_eq!((news(), other.counts()[1]), (vec![], ("limited", 0)), "what was heard is not told again");
        assert_eq!(key.is_called(EndpointName([8; 16])), Some(name));
    }

    #[test]
    fn a_key_is_in_use_to_the_answers_end() {
        let key = Arc::new(LiveKey::new(Instant::now()));
        let (one, two) = (key.take(0), key.take(0));
        assert_eq!((key.in_flight(), key.counts()[0]), (2, ("used", 0)), "a limit may have no room for it yet");
        one.key().is_used();
        drop((one, two));
        assert_eq!((key.in_flight(), key.counts()[0]), (0, ("used", 1)));
    }
}
