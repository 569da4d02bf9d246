//! The places of one limit that this process has from Redis: when it asks for how many, what it gives back, and what holds while
//! Redis is away. Pure: the clock is the caller's.
//!
//! A process asks for what its calls need and a little more, so that most calls need no round trip. What lies idle it gives back; where
//! the processes together need more than there is, each keeps to its fair part as its calls end. What is given counts for [`LIFE`]: a
//! process that has died gives its places back by that. When a process has heard nothing for so long it goes by its share: sooner where
//! the processes did not need all that there is, so that one whose limits lay idle when Redis went refuses nobody for it.

use std::time::{Duration, Instant};

/// The time for which what Redis gives counts there …
pub(super) const LIFE: Duration = Duration::from_secs(5);
/// … and here, where the clock may be a little slow.
const BELIEVED: Duration = Duration::from_millis(4_500);
/// It is told again this often while it is needed.
const RENEW: Duration = Duration::from_secs(1);
/// Places that lie idle are given back after this time.
const IDLE: Duration = Duration::from_millis(150);
/// It is asked again so soon where others have what is needed here …
const AGAIN: Duration = Duration::from_millis(30);
/// … and so soon where they do not.
const SOON: Duration = Duration::from_millis(2);
/// It is asked again so soon after it has not answered.
const FAILED: Duration = Duration::from_millis(100);
/// The time after which all proxies have told it what they have, when it may have forgotten some of it.
const CAREFUL: Duration = Duration::from_millis(1_500);
/// A question that is not answered, and others within this time, are no more than a blip.
const BLIP: Duration = Duration::from_millis(250);
/// The time without an answer after which a process goes by its share where Redis last knew of enough for all: a blip is over by then.
const PATIENCE: Duration = Duration::from_secs(1);
/// … and what has been decided by that is acted on within this time.
const SETTLED: Duration = Duration::from_millis(500);
/// At most so many places are asked for beyond what is needed.
const SPARE: u64 = 8;

/// The state of a limit in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// The places that it may give to calls.
    pub(super) part: u64,
    pub(super) in_use: u64,
    pub(super) waiting: u64,
    /// The limit over all proxies.
    pub(super) max: u64,
}

/// A question to Redis. From its asking on the process has no more than it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseDemand {
    pub(super) keep: u64,
    pub(super) need: u64,
    /// The places that it would have, if nobody else needs them.
    pub(super) want: u64,
    pub(super) max: u64,
    /// False as long as Redis may have forgotten what others have.
    pub(super) grow: bool,
    /// Counts the questions.
    pub(super) number: u64,
}

/// Redis's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseAnswer {
    /// The places that it has now.
    pub(super) held: u64,
    /// The places that are its fair part.
    pub(super) target: u64,
    /// True if the processes together need all that there is.
    pub(super) contended: bool,
    /// The places that the other processes have.
    pub(super) others: u64,
}

/// A process's part of one limit, by Redis.
#[derive(Debug, Default)]
pub(super) struct PlaceLease {
    /// Until then what it has counts.
    until: Option<Instant>,
    /// The time of the first question that no answer has followed.
    unheard: Option<Instant>,
    asked: Option<Instant>,
    asking: bool,
    failed: bool,
    /// Redis could not be reached with the last question, or said no to it: that it was not asked for a moment says nothing.
    is_evident: bool,
    careful: Option<Instant>,
    target: u64,
    contended: bool,
    others: u64,
    /// Redis has a word of this process.
    is_known: bool,
    /// The most that was needed since it was asked.
    peak: u64,
    /// Calls that went elsewhere for want of a place.
    missed: u64,
    /// Questions until now.
    questions: u64,
}

impl PlaceLease {
    /// True if what the process has counts.
    pub(super) fn is_good(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now <= until)
    }

    /// True if what the process may give to calls is known: by Redis, or as that has been away for long enough.
    pub(super) fn counts(&self, now: Instant) -> bool {
        self.is_good(now) || self.is_away(now)
    }

    /// True if it is without Redis for so long that it goes by what it knows.
    fn is_away(&self, now: Instant) -> bool {
        self.is_silent(now, if self.is_evident { PATIENCE } else { LIFE })
    }

    /// True if questions have not been answered for longer than this. Without one for a while nobody knows.
    fn is_silent(&self, now: Instant, longer_than: Duration) -> bool {
        self.failed && !self.is_stale(now) && self.unheard.is_some_and(|since| now > since + longer_than)
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.asked.is_none_or(|asked| now > asked + PATIENCE)
    }

    /// The part of a process that Redis has not answered for a while. `None`: what it has from there holds, or nothing yet.
    ///
    /// Nothing that Redis gave to anybody counts any longer than [`LIFE`]: then each has its share. Before that it keeps what it
    /// has, for as long as that counts, and no more than its share of it after that: nobody else can have been given it. Where there
    /// was enough for all when it last heard, it has as much of its share at the least as others had left then.
    pub(super) fn part_alone(&self, part: u64, (share, max): (u64, u64), now: Instant) -> Option<u64> {
        if self.asking || !self.is_away(now) {
            return None;
        }
        let is_good = self.is_good(now);
        if !is_good && self.is_silent(now, LIFE) {
            return Some(share);
        }
        let kept = if is_good { part } else { part.min(share) };
        Some(if self.contended { kept } else { kept.max(share.min(max.saturating_sub(self.others))) })
    }

    /// True if it will soon be known whether there is a place: Redis has not answered for a moment, or may have forgotten something.
    pub(super) fn is_undecided(&self, now: Instant) -> bool {
        match self.unheard {
            Some(since) if self.failed => now <= since + PATIENCE + SETTLED,
            _ => self.careful.is_some_and(|until| now <= until + SETTLED),
        }
    }

    /// True if Redis does not answer, and has not for longer than a blip.
    pub(super) fn is_unanswered(&self, now: Instant) -> bool {
        self.is_silent(now, BLIP)
    }

    /// A call has gone elsewhere for want of a place.
    pub(super) fn miss(&mut self) {
        self.missed = (self.missed + 1).min(SPARE);
    }

    /// So much is needed now.
    pub(super) fn needs(&mut self, need: u64) {
        self.peak = self.peak.max(need);
    }

    /// The part that is left when a call has ended: where others need more, no more than what is fair.
    pub(super) fn after_end(&self, standing: Standing) -> u64 {
        if self.contended { standing.part.min(self.target.max(standing.in_use)) } else { standing.part }
    }

    /// True if nothing is held, and Redis knows of nothing.
    pub(super) fn is_idle(&self, standing: Standing) -> bool {
        let Standing { part, in_use, waiting, .. } = standing;
        !self.asking && !self.is_known && part == 0 && in_use == 0 && waiting == 0 && self.missed == 0
    }

    /// The question that is due, if one is.
    pub(super) fn ask(&mut self, standing: Standing, now: Instant) -> Option<LeaseDemand> {
        let Standing { part, in_use, waiting, max } = standing;
        let need = (in_use + waiting + self.missed).min(max.max(in_use));
        self.needs(need);
        if self.asking || (need == 0 && part == 0 && !self.is_known) {
            return None;
        }
        let fair = self.target.max(in_use);
        let spare = (max / 16).clamp(1, SPARE);
        let wanted = if self.contended { fair } else { (self.peak + spare).min(max) };
        let every = match () {
            () if self.failed => FAILED,
            () if self.contended && (need > part || part > fair) => AGAIN,
            () if need > part => SOON,
            () if part > in_use => IDLE,
            () => RENEW,
        };
        if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < every) {
            return None;
        }
        // What is not needed for a while is given back whole.
        let keep = if self.peak == 0 { 0 } else { part.min(wanted) }.max(in_use);
        let want = if need == 0 { keep } else { (need + spare).min(max).max(keep) };
        if self.is_stale(now) {
            self.unheard = None;
        }
        (self.peak, self.missed, self.asking, self.asked) = (need, 0, true, Some(now));
        self.unheard.get_or_insert(now);
        let grow = self.careful.is_none_or(|until| now > until);
        self.questions += 1;
        Some(LeaseDemand { keep, need, want, max, grow, number: self.questions })
    }

    /// The question by which all is given back that no call has; `None`: Redis knows of nothing, or is being asked.
    pub(super) fn leave(&mut self, standing: Standing) -> Option<LeaseDemand> {
        if self.asking || !self.is_known {
            return None;
        }
        let Standing { in_use, max, .. } = standing;
        self.questions += 1;
        self.asking = true;
        Some(LeaseDemand { keep: in_use, need: in_use, want: in_use, max, grow: false, number: self.questions })
    }

    /// It was answered: the part from now on.
    pub(super) fn answered(&mut self, demand: LeaseDemand, answer: LeaseAnswer) -> u64 {
        (self.target, self.contended, self.others) = (answer.target, answer.contended, answer.others);
        self.is_known = answer.held > 0 || demand.need > 0;
        self.asking = false;
        self.is_evident = false;
        // A Redis that is full takes back what it has, and gives nothing: that is no answer to who needs something.
        if self.is_known || !self.failed {
            self.until = self.asked.map(|asked| asked + BELIEVED);
            (self.failed, self.unheard) = (false, None);
        }
        answer.held
    }

    /// Nobody has answered. What Redis may have given by it is given back with the next question. `since`: its node can not be reached from
    /// then on, or says no; `None`: it may be well.
    pub(super) fn failed(&mut self, now: Instant, since: Option<Instant>) {
        (self.asking, self.failed, self.is_evident) = (false, true, since.is_some());
        self.careful = Some(now + CAREFUL);
        self.unheard = self.unheard.into_iter().chain(since).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_AT: Standing = Standing { part: 0, in_use: 0, waiting: 0, max: 100 };

    fn at(part: u64, in_use: u64, waiting: u64) -> Standing {
        Standing { part, in_use, waiting, ..IDLE_AT }
    }

    fn answer(held: u64, target: u64, contended: bool) -> LeaseAnswer {
        LeaseAnswer { held, target, contended, others: 0 }
    }

    #[test]
    fn a_first_call_asks_at_once_and_for_a_few_more() {
        let (mut lease, now) = (PlaceLease::default(), Instant::now());
        assert_eq!(lease.ask(IDLE_AT, now), None);
        let demand = lease.ask(at(0, 0, 1), now).unwrap();
        assert_eq!(demand, LeaseDemand { keep: 0, need: 1, want: 7, max: 100, grow: true, number: 1 });
        assert_eq!(lease.ask(at(0, 0, 9), now), None, "it is being asked");
        assert_eq!(lease.answered(demand, answer(7, 7, false)), 7);
        assert!(lease.is_good(now + Duration::from_secs(4)) && !lease.is_good(now + LIFE));
    }

    #[test]
    fn idle_places_go_back_and_needed_ones_are_kept() {
        let (mut lease, start) = (PlaceLease::default(), Instant::now());
        let demand = lease.ask(at(0, 0, 4), start).unwrap();
        lease.answered(demand, answer(10, 10, false));
        assert_eq!(lease.ask(at(10, 4, 0), start + IDLE / 2), None);
        let demand = lease.ask(at(10, 4, 0), start + IDLE).unwrap();
        assert_eq!(demand.keep, 10, "four are at work, and six were asked for besides");
        lease.answered(demand, answer(10, 10, false));
        let demand = lease.ask(at(10, 0, 0), start + IDLE * 2).unwrap();
        assert_eq!((demand.keep, demand.need), (10, 0), "they were needed a moment ago");
        lease.answered(demand, answer(10, 10, false));
        let demand = lease.ask(at(10, 0, 0), start + IDLE * 3).unwrap();
        assert_eq!(demand.keep, 0);
        lease.answered(demand, answer(0, 0, false));
        assert!(lease.is_idle(IDLE_AT));
    }

    #[test]
    fn where_others_need_more_each_keeps_to_its_part_as_its_calls_end() {
        let (mut lease, start) = (PlaceLease::default(), Instant::now());
        let demand = lease.ask(at(0, 0, 200), start).unwrap();
        lease.answered(demand, answer(100, 50, true));
        assert_eq!(lease.after_end(at(100, 80, 9)), 80);
        assert_eq!(lease.after_end(at(100, 20, 9)), 50);
        assert_eq!(lease.ask(at(80, 80, 9), start + AGAIN).unwrap().keep, 80);
    }

    /// A process to which all questions from `start` on have failed, at `until`, after this answer.
    fn forsaken(answer: Option<LeaseAnswer>, start: Instant, until: Duration) -> PlaceLease {
        let mut lease = PlaceLease::default();
        if let Some(answer) = answer {
            let demand = lease.ask(at(0, 0, 1), start).unwrap();
            lease.answered(demand, answer);
        }
        let mut now = start;
        while now + FAILED <= start + until {
            now += FAILED;
            if lease.ask(at(answer.map_or(0, |answer| answer.held), 1, 1), now).is_some() {
                lease.failed(now, Some(now));
            }
        }
        lease
    }

    #[test]
    fn who_holds_nothing_has_its_share_soon_after_redis_has_gone_and_not_after_a_blip() {
        let start = Instant::now();
        let lease = forsaken(None, start, PATIENCE / 2);
        let now = start + PATIENCE / 2;
        assert!(lease.part_alone(0, (25, 100), now).is_none() && !lease.counts(now) && lease.is_undecided(now));
        let lease = forsaken(None, start, PATIENCE * 2);
        let now = start + PATIENCE * 2;
        assert_eq!(
            (lease.part_alone(0, (25, 100), now), lease.counts(now), lease.is_undecided(now)),
            (Some(25), true, false)
        );
        // Its node has been away for a while already: it is known with the first question.
        let (mut lease, now) = (PlaceLease::default(), start + LIFE * 9);
        lease.ask(at(0, 0, 1), now).unwrap();
        lease.failed(now, Some(start));
        assert_eq!(lease.part_alone(0, (25, 100), now), Some(25));
    }

    #[test]
    fn who_has_places_keeps_them_and_where_others_need_them_no_more_than_that() {
        let start = Instant::now();
        let part = |contended: bool, part: u64, after: Duration| {
            let lease = forsaken(Some(answer(part, part, contended)), start, after);
            lease.part_alone(part, (25, 100), start + after)
        };
        for (after, short, enough) in [
            // While the lease counts; between its end and that of all others; and then.
            (PATIENCE * 2, [10, 40], [25, 40]),
            (BELIEVED + FAILED * 2, [10, 25], [25, 25]),
            (LIFE + FAILED * 3, [25, 25], [25, 25]),
        ] {
            for (contended, parts) in [(true, short), (false, enough)] {
                let found = [10, 40].map(|held| part(contended, held, after).unwrap());
                assert_eq!(found, parts, "{contended} after {after:?}");
            }
        }
    }

    #[test]
    fn who_only_leaves_redis_alone_for_a_while_takes_nothing_before_all_leases_have_ended() {
        let (start, after) = (Instant::now(), PATIENCE * 2);
        let mut lease = forsaken(None, start, after);
        let now = start + after + FAILED;
        lease.ask(at(0, 0, 1), now).unwrap();
        lease.failed(now, None);
        assert!(lease.part_alone(0, (25, 100), now).is_none() && !lease.counts(now));
        // It is answered with what nobody needs: who is full does that, and who is well.
        let mut lease = forsaken(None, start, after);
        let demand = LeaseDemand { keep: 0, need: 0, want: 0, max: 100, grow: false, number: 9 };
        lease.answered(demand, answer(0, 0, false));
        assert!(lease.part_alone(0, (25, 100), start + after).is_none());
    }

    #[test]
    fn others_keep_what_they_had_when_redis_was_last_heard() {
        let (start, after) = (Instant::now(), PATIENCE * 2);
        for (others, part) in [(0, 25), (75, 25), (90, 10), (100, 1)] {
            let lease = forsaken(Some(LeaseAnswer { others, ..answer(1, 1, false) }), start, after);
            assert_eq!(lease.part_alone(1, (25, 100), start + after), Some(part), "{others}");
        }
    }

    #[test]
    fn an_old_failure_says_nothing_of_redis_today() {
        let start = Instant::now();
        let mut lease = forsaken(None, start, LIFE * 2);
        let now = start + LIFE * 20;
        assert!(lease.part_alone(0, (25, 100), now).is_none() && !lease.counts(now));
        lease.ask(at(0, 0, 1), now).unwrap();
        lease.failed(now, Some(now));
        assert!(lease.part_alone(0, (25, 100), now).is_none(), "it was silent once today");
    }

    #[test]
    fn a_redis_that_only_takes_back_is_as_good_as_none() {
        let (mut lease, start) = (PlaceLease::default(), Instant::now());
        let mut now = start;
        for _ in 0..30 {
            lease.ask(at(0, 0, 1), now).unwrap();
            lease.failed(now, None);
            now += FAILED * 2;
            if let Some(demand) = lease.ask(IDLE_AT, now) {
                lease.answered(demand, answer(0, 0, false));
            }
            now += FAILED;
        }
        assert_eq!(lease.part_alone(0, (25, 100), now), Some(25));
        let demand = lease.ask(at(0, 0, 1), now).unwrap();
        lease.answered(demand, answer(8, 8, false));
        assert!(lease.is_good(now) && lease.part_alone(8, (25, 100), now).is_none());
    }

    #[test]
    fn without_an_answer_nothing_grows_until_all_have_been_heard() {
        let (mut lease, start) = (PlaceLease::default(), Instant::now());
        let demand = lease.ask(at(0, 0, 4), start).unwrap();
        lease.answered(demand, answer(10, 10, false));
        let later = start + RENEW;
        lease.ask(at(10, 10, 0), later).unwrap();
        lease.failed(later, None);
        assert!(lease.is_good(later) && !lease.is_unanswered(later) && lease.is_unanswered(later + BLIP * 2));
        let demand = lease.ask(at(10, 10, 5), later + FAILED).unwrap();
        assert!(!demand.grow);
        lease.answered(demand, answer(10, 10, false));
        assert!(
            !lease.is_unanswered(later + BLIP * 2) && lease.is_undecided(later + FAILED),
            "others may not have been heard yet"
        );
        assert!(!lease.is_undecided(later + CAREFUL * 2));
        assert!(lease.ask(at(10, 10, 5), later + CAREFUL * 2).unwrap().grow);
    }
}
