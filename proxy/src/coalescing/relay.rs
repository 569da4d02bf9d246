//! The relay of a flight: a reader that tells other proxies what comes, as soon as one of them reads along. Until then it renews the
//! lease and reads nothing.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::time::{Instant, sleep, timeout};

use super::flight::FlightClose;
use super::frame::{Frame, MOST_PUBLISHED};
use super::lease::{
    CHUNK, FlightAck, FlightLease, LeaseClaim, LeaseWord, RemoteFlights, STREAMING_LEASE, SharedFlightCount,
    WAITING_LEASE,
};
use super::reader::{Begun, FlightReader};
use super::table::{OwnLease, Seat};
use crate::memory::{Charge, Purpose};

/// The lease is renewed this often, and looked whether somebody reads along.
const LOOK: Duration = Duration::from_millis(250);
/// The time for which news is gathered before it is told.
const GATHER: Duration = Duration::from_millis(20);
/// The time after which it is tried again what Redis did not answer …
const AGAIN: Duration = Duration::from_millis(100);
/// … and after which that is given up.
const SILENCE: Duration = Duration::from_secs(10);
/// The most bytes held that have been told, for a replica that has not heard all of them.
const RETOLD: usize = 256 << 10;
/// While Redis does not answer, a relay that is so far behind what comes gives up: the leader does not wait for Redis.
const MOST_BEHIND: usize = 2 << 20;
/// The cache has kept an answer after this time, or has not.
const KEEPING: Duration = Duration::from_secs(1);
/// Those who read along read on for so long after all was told again, though Redis knows nothing of them yet.
const RETOLD_TO: Duration = Duration::from_secs(1);
/// It is looked this often whether it has.
const KEEPING_LOOK: Duration = Duration::from_millis(5);

/// The relay of one flight.
#[derive(Debug)]
pub struct Relay {
    remote: Rc<RemoteFlights>,
    lease: FlightLease,
    /// Until the end has been told, who comes here takes the lease over.
    _own: OwnLease,
    reader: FlightReader,
    /// Gone when the answer is kept, where it is to be.
    seat: Weak<Seat>,
    /// True if the answer is, or was, to be kept when it had ended: until then, who comes has it from here.
    kept: bool,
    outbox: Outbox,
    charge: Charge,
    phase: RelayPhase,
    /// `Some`: somebody reads along.
    watched: Option<SharedFlightCount>,
    /// The time since when Redis has not answered.
    silent: Option<Instant>,
    /// The time when all was told again, for Redis had lost it.
    retold: Option<Instant>,
}

/// The phase of what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RelayPhase {
    Waiting,
    Streaming,
    /// All is in the outbox.
    Told,
    /// There is nothing to tell, or it can not be told.
    GivenUp,
}

/// Frames on their way.
#[derive(Debug)]
struct Outbox {
    bytes: BytesMut,
    /// The place of its first byte in what is told.
    start: usize,
    /// Redis has what is before this place.
    acked: usize,
}

impl Outbox {
    /// The version is there already.
    fn new() -> Self {
        Self { bytes: BytesMut::new(), start: 1, acked: 1 }
    }

    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }

    /// The bytes that Redis does not have, up to a bound.
    fn next(&self) -> &[u8] {
        let from = self.acked.saturating_sub(self.start);
        let to = self.bytes.len().min(from + CHUNK);
        self.bytes.get(from..to).unwrap_or_default()
    }

    fn waiting(&self) -> usize {
        self.end() - self.acked
    }

    /// Redis has so much of it. A replica that came in its master's place may have less than that had.
    fn ack(&mut self, length: usize) -> bool {
        if length < self.start || length > self.end() {
            return false;
        }
        self.acked = length;
        let known = self.acked - self.start;
        if known > 2 * RETOLD {
            self.bytes.advance(known - RETOLD);
            self.start += known - RETOLD;
        }
        true
    }
}

impl Relay {
    /// Of a flight of which this proxy leads.
    pub(super) fn new(
        remote: &Rc<RemoteFlights>,
        (lease, own): (FlightLease, OwnLease),
        (reader, seat): (FlightReader, Weak<Seat>),
    ) -> Self {
        Self {
            remote: Rc::clone(remote),
            lease,
            _own: own,
            reader,
            seat,
            kept: false,
            outbox: Outbox::new(),
            charge: remote.charge(),
            phase: RelayPhase::Waiting,
            watched: None,
            silent: None,
            retold: None,
        }
    }

    /// Tells what there is, to its end.
    pub async fn run(mut self) {
        loop {
            let next = poll_fn(|cx| self.poll_news(cx));
            let _ = timeout(LOOK, next).await;
            self.kept |= self.reader.is_over() && self.is_being_kept();
            if self.watched.is_none() && self.reader.is_over() {
                self.until_kept().await;
            }
            // Who comes meanwhile is known to be late by the time of the end.
            if matches!(self.word(), LeaseWord::Leave(Some(_))) {
                self.remote.together().await;
            }
            let word = self.word();
            if !self.tell(word).await {
                return;
            }
            if self.outbox.waiting() == 0 && self.phase == RelayPhase::Told {
                if word != LeaseWord::Yield {
                    self.finish().await;
                }
                return;
            }
            // The end is told at once: a call that comes after it is to find no flight.
            if self.watched.is_some() && self.outbox.waiting() <= CHUNK {
                let _ = timeout(GATHER, poll_fn(|cx| self.reader.poll_ended(cx))).await;
            }
        }
    }

    /// Ready when there is something to tell, or the flight is one that nobody joins any more.
    fn poll_news(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.watched.is_none() {
            return self.reader.poll_over(cx);
        }
        self.read(cx);
        let has_news = self.outbox.waiting() > 0 || self.phase == RelayPhase::GivenUp;
        if has_news { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Reads what has come.
    fn read(&mut self, cx: &Context<'_>) {
        if self.phase == RelayPhase::Waiting {
            self.begin(cx);
        }
        let mut piece = BytesMut::new();
        while self.phase == RelayPhase::Streaming && self.outbox.waiting() + piece.len() < CHUNK {
            match self.reader.poll_piece(cx) {
                Poll::Ready(Some(Ok(bytes))) => piece.extend_from_slice(&bytes),
                Poll::Ready(over) => {
                    self.put(std::mem::take(&mut piece));
                    let close = if over.is_none() { FlightClose::Whole } else { FlightClose::Cut };
                    Frame::Close(close).write(&mut self.outbox.bytes);
                    self.phase = RelayPhase::Told;
                }
                Poll::Pending => break,
            }
        }
        self.put(piece);
        let held = self.outbox.bytes.len();
        if self.charge.set(held, Purpose::Optional).is_err()
            || self.outbox.end() > MOST_PUBLISHED
            || (self.silent.is_some() && self.reader.behind() > MOST_BEHIND)
        {
            self.phase = RelayPhase::GivenUp;
        }
    }

    fn put(&mut self, piece: BytesMut) {
        if !piece.is_empty() {
            Frame::Piece(piece.freeze()).write(&mut self.outbox.bytes);
        }
    }

    /// Reads the beginning.
    fn begin(&mut self, cx: &Context<'_>) {
        let Poll::Ready(begun) = self.reader.poll_begun(cx) else { return };
        let (frame, phase) = match begun {
            Begun::Stream(head) => (Frame::Head(head), RelayPhase::Streaming),
            Begun::Whole(answer) if answer.body.len() > MOST_PUBLISHED / 2 => (Frame::Untold, RelayPhase::Told),
            Begun::Whole(answer) => (Frame::Whole(answer), RelayPhase::Told),
            Begun::Failed(problem) => (Frame::Failed(problem), RelayPhase::Told),
            Begun::Abandoned => return self.phase = RelayPhase::GivenUp,
        };
        frame.write(&mut self.outbox.bytes);
        self.phase = phase;
    }

    /// The word that goes with what is told next.
    fn word(&self) -> LeaseWord {
        match self.phase {
            RelayPhase::GivenUp => LeaseWord::Abandon,
            _ if self.watched.is_some() && (!self.reader.is_joinable() || self.is_past()) => LeaseWord::Yield,
            _ if self.watched.is_some() => LeaseWord::Hold,
            _ if self.reader.is_over() || self.reader.is_alone() || !self.reader.is_joinable() => {
                LeaseWord::Leave(self.reader.ended().filter(|_| !self.kept))
            }
            _ => LeaseWord::Hold,
        }
    }

    /// Tells the next part of what there is. False: this is over.
    async fn tell(&mut self, word: LeaseWord) -> bool {
        let life = if self.phase == RelayPhase::Waiting { WAITING_LEASE } else { STREAMING_LEASE };
        let next = (self.outbox.acked, self.outbox.next());
        match self.remote.publish(&self.lease, next, (word, life)).await {
            Ok(FlightAck { length: 0, .. }) => self.tells_again(word).await,
            Ok(_) if word == LeaseWord::Abandon => false,
            Ok(FlightAck { watched: false, .. }) if matches!(word, LeaseWord::Leave(_)) => false,
            Ok(FlightAck { length, watched }) => {
                self.silent = None;
                match (watched, &self.watched) {
                    (true, None) => self.watched = Some(self.remote.tells()),
                    // What was begun is told to its end.
                    (false, Some(_)) if self.phase != RelayPhase::Told && !self.has_just_retold() => {
                        self.watched = None;
                    }
                    _ => {}
                }
                if !self.outbox.ack(length) {
                    self.phase = RelayPhase::GivenUp;
                }
                true
            }
            Err(_) => {
                let since = *self.silent.get_or_insert_with(Instant::now);
                let over = since.elapsed() > SILENCE || (self.watched.is_none() && self.reader.is_alone());
                sleep(AGAIN).await;
                !over
            }
        }
    }

    /// Redis has lost what was told, and the lease: it is taken anew, unless another proxy has it by now, and all that is held told once more.
    /// False: this is over.
    async fn tells_again(&mut self, word: LeaseWord) -> bool {
        let is_over = matches!(word, LeaseWord::Abandon | LeaseWord::Leave(_));
        if is_over || self.outbox.start > 1 {
            return false;
        }
        let own = Some(self.lease.token());
        if self.remote.claim(&self.lease, (None, own), None).await != Ok(LeaseClaim::Taken) {
            return false;
        }
        (self.outbox.acked, self.retold) = (1, Some(Instant::now()));
        true
    }

    fn has_just_retold(&self) -> bool {
        self.retold.is_some_and(|at| at.elapsed() < RETOLD_TO)
    }

    /// All is told; the lease goes when the answer is where who comes next will find it. What is told stays for who still reads.
    async fn finish(mut self) {
        self.until_kept().await;
        for _ in 0..3 {
            if self.tell(LeaseWord::Yield).await && self.silent.is_none() {
                return;
            }
        }
    }

    fn is_being_kept(&self) -> bool {
        self.seat.strong_count() > 0
    }

    /// True if the answer has ended, and who comes next finds it in the cache or nowhere.
    fn is_past(&self) -> bool {
        self.reader.is_over() && !self.is_being_kept()
    }

    /// Waits until the cache has kept the answer, where it does.
    async fn until_kept(&self) {
        let until = Instant::now() + KEEPING;
        while self.is_being_kept() && Instant::now() < until {
            sleep(KEEPING_LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_replica_has_not_heard_is_told_again_as_long_as_it_is_held() {
        let mut outbox = Outbox::new();
        outbox.bytes.extend_from_slice(&vec![7; 3 * RETOLD]);
        assert_eq!((outbox.next().len(), outbox.waiting()), (CHUNK, 3 * RETOLD));
        assert!(outbox.ack(1 + CHUNK));
        // The replica has less than its master had.
        assert!(outbox.ack(10));
        assert_eq!(outbox.waiting(), 3 * RETOLD - 9);
        assert!(outbox.ack(outbox.end()));
        assert_eq!((outbox.waiting(), outbox.bytes.len()), (0, RETOLD));
        assert!(!outbox.ack(10), "it is not held any longer");
        assert!(!outbox.ack(outbox.end() + 1), "nobody has told so much");
    }
}
