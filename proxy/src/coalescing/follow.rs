//! The part of a proxy in a flight that proxies share: it leads it, or reads along what another one tells, for its own callers.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use sluicegate_dialects::hub::ErrorKind;
use tokio::time::{Instant, timeout};

use super::expected::{Claimed, ExpectedFlight};
use super::flight::{FlightClose, WholeAnswer};
use super::frame::{Frame, FrameReader};
use super::lease::{CHUNK, FlightLease, FlightNews, LeaseClaim, RemoteFlights};
use super::relay::Relay;
use super::table::Publisher;
use crate::cache::Key;
use crate::errors::Problem;
use crate::memory::{Charge, Purpose};

/// A flight whose leader is gone with nothing told is joined again, so many times; then its callers ask by themselves.
const ROUNDS: usize = 3;
/// First and longest pause between looks at what has come.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(150));
/// The time after which it is marked again that somebody reads along.
const MARK: Duration = Duration::from_millis(500);
/// Something that was told may be lost for so long: a leader that lives tells it again with its next word.
const LOST: Duration = Duration::from_millis(750);
/// Redis may be silent for so long: with nothing told, its callers ask by themselves then …
const PATIENCE: Duration = Duration::from_secs(1);
/// … and with something told, the stream is cut.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10);

/// A proxy's part in a flight.
#[derive(Debug)]
pub enum Part {
    /// It asks a provider; the relay tells other proxies what comes, where it may.
    Leads(Publisher, Option<Box<Relay>>),
    /// It has read along, and its callers have what there was to have.
    Landed,
    /// The answer is kept by now, where its callers find it.
    Kept,
}

/// The outcome of reading along.
enum FollowEnd {
    Landed,
    /// The leader is gone, and nothing has been told.
    Gone(Publisher),
    /// It can not be read along, and nothing has been told.
    Alone(Publisher),
}

/// Takes the lease of a flight, unless it has been asked for already, or reads along what its leader tells, for as long as somebody here
/// reads it and no longer than `until`. `place`: where the answer may be kept by now.
pub async fn take_part(
    remote: &Rc<RemoteFlights>,
    key: &Key,
    (mut flight, expected): (Publisher, Option<ExpectedFlight>),
    (place, until): (Option<&str>, Instant),
) -> Part {
    let mut gone = flight.lost_before();
    let mut claimed = expected.filter(|_| gone.is_none()).and_then(ExpectedFlight::claimed);
    for _ in 0..ROUNDS {
        let (lease, own, holder) = match claimed.take() {
            Some(Claimed::Here(lease, own)) => (lease, Some(own), Ok(LeaseClaim::Taken)),
            Some(Claimed::By(token)) => (FlightLease::fresh(key), None, Ok(LeaseClaim::Held(token))),
            None => {
                let (lease, before) = (FlightLease::fresh(key), flight.last_lease());
                let holder = remote.claim(&lease, (gone.as_deref(), before.as_deref()), place).await;
                (lease, None, holder)
            }
        };
        match holder {
            Ok(LeaseClaim::Kept) => return Part::Kept,
            Ok(LeaseClaim::Held(token)) => {
                let lease = FlightLease::of(key, token);
                match follow(remote, &lease, flight, until).await {
                    FollowEnd::Landed => return Part::Landed,
                    FollowEnd::Alone(alone) => {
                        flight = alone;
                        break;
                    }
                    FollowEnd::Gone(left) => flight = left,
                }
                gone = Some(lease.token().to_owned());
            }
            // Nobody knows whether Redis has heard it: the relay finds out.
            Ok(LeaseClaim::Taken) | Err(_) => {
                let counts = &remote.counts;
                match (holder, gone) {
                    (Err(_), _) => counts.alone.add(),
                    (Ok(_), None) => counts.led.add(),
                    (Ok(_), Some(_)) => counts.taken_over.add(),
                }
                let own = own.unwrap_or_else(|| flight.holds(lease.token()));
                let relay = flight
                    .listen()
                    .map(|reader| Box::new(Relay::new(remote, (lease, own), (reader, flight.weak_seat()))));
                return Part::Leads(flight, relay);
            }
        }
    }
    remote.counts.alone.add();
    Part::Leads(flight, None)
}

/// Reads along.
async fn follow(remote: &Rc<RemoteFlights>, lease: &FlightLease, flight: Publisher, until: Instant) -> FollowEnd {
    let Some(_counted) = remote.follows() else { return FollowEnd::Alone(flight) };
    remote.counts.followed.add();
    let mut landing = Landing::new(remote, flight);
    let (mut place, mut pause) = (0, PAUSE.0);
    // The claim has set the mark.
    let mut heard_at = Instant::now();
    let mut marked = heard_at;
    let mut lost = None::<Instant>;
    while !landing.is_over() {
        let mark = marked.elapsed() >= MARK || lost.is_some();
        let answer = remote.poll(lease, place, mark).await;
        match answer {
            Ok(news) if news.is_given_up || lost.is_some_and(|since| since.elapsed() > LOST && news.lacks(place)) => {
                landing.lost(lease);
                return landing.left(FollowEnd::Gone);
            }
            Ok(news) if news.lacks(place) => {
                lost.get_or_insert_with(Instant::now);
                (heard_at, pause) = (Instant::now(), PAUSE.0);
            }
            Ok(FlightNews { bytes, .. }) => {
                (heard_at, lost) = (Instant::now(), None);
                marked = if mark { heard_at } else { marked };
                place += bytes.len();
                pause = if bytes.is_empty() { (pause * 3 / 2).min(PAUSE.1) } else { PAUSE.0 };
                if landing.hear(&bytes).await.is_err() {
                    return landing.left(FollowEnd::Alone);
                }
                if bytes.len() == CHUNK {
                    continue;
                }
            }
            Err(_) => {
                pause = PAUSE.1;
                let patience = if landing.begun { LONGEST_PATIENCE } else { PATIENCE };
                if heard_at.elapsed() > patience {
                    return landing.left(FollowEnd::Alone);
                }
            }
        }
        if Instant::now() > until {
            landing.late();
        }
        landing.wait(pause).await;
    }
    FollowEnd::Landed
}

/// It can not be read any further.
struct Unreadable;

/// The answer of another proxy's flight, on its way to the callers here.
struct Landing {
    remote: Rc<RemoteFlights>,
    /// `None`: all is told, or nobody listens any longer.
    flight: Option<Publisher>,
    begun: bool,
    frames: FrameReader,
    charge: Charge,
}

impl Landing {
    fn new(remote: &Rc<RemoteFlights>, flight: Publisher) -> Self {
        let (frames, charge) = (FrameReader::default(), remote.charge());
        Self { remote: Rc::clone(remote), flight: Some(flight), begun: false, frames, charge }
    }

    fn is_over(&self) -> bool {
        self.flight.is_none()
    }

    /// Takes the bytes that came.
    async fn hear(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        self.frames.push(bytes);
        let held = self.frames.held();
        self.charge.set(held, Purpose::of(held)).map_err(|_| Unreadable)?;
        while let Some(frame) = self.frames.next().map_err(|_| Unreadable)? {
            self.take(frame).await?;
        }
        let held = self.frames.held();
        self.charge.set(held, Purpose::of(held)).map_err(|_| Unreadable)
    }

    async fn take(&mut self, frame: Frame) -> Result<(), Unreadable> {
        match frame {
            Frame::Untold => return Err(Unreadable),
            Frame::Head(head) if !self.begun => {
                self.begun = true;
                if let Some(flight) = &self.flight {
                    flight.begin(head);
                }
            }
            Frame::Piece(piece) if self.begun => {
                self.until_room().await;
                // Without memory for it, it is cut.
                if self.flight.as_ref().is_some_and(|flight| flight.push(piece).is_err()) {
                    self.flight = None;
                }
            }
            Frame::Close(FlightClose::Whole) if self.begun => {
                if let Some(flight) = self.flight.take() {
                    flight.finish(FlightClose::Whole);
                }
            }
            Frame::Whole(answer) if !self.begun => {
                let body = self.remote.charge().hold(answer.body);
                if let Some(flight) = self.flight.take() {
                    flight.whole(WholeAnswer { body, ..answer });
                }
            }
            Frame::Failed(problem) if !self.begun => {
                if let Some(flight) = self.flight.take() {
                    flight.fail(problem);
                }
            }
            // A cut, or what no leader tells.
            _ => self.flight = None,
        }
        Ok(())
    }

    /// The leader is gone. Callers who wanted all of an answer that has begun ask once more.
    fn lost(&self, lease: &FlightLease) {
        self.flight.iter().filter(|_| self.begun).for_each(|flight| flight.lost(lease.token()));
    }

    /// Nothing more comes. What has begun is cut.
    fn left(mut self, otherwise: fn(Publisher) -> FollowEnd) -> FollowEnd {
        match self.flight.take() {
            Some(flight) if !self.begun => otherwise(flight),
            _ => FollowEnd::Landed,
        }
    }

    /// The time of its callers is over.
    fn late(&mut self) {
        let message = "The answer, which another proxy of this gateway fetches, did not come in time.";
        match self.flight.take() {
            Some(flight) if !self.begun => flight.fail(Problem::upstream(ErrorKind::Timeout, message)),
            _ => {}
        }
    }

    /// Waits, unless nobody listens any longer.
    async fn wait(&mut self, pause: Duration) {
        let Some(flight) = &self.flight else { return };
        let left = poll_fn(|cx| if flight.is_deserted(cx) { Poll::Ready(()) } else { Poll::Pending });
        if timeout(pause, left).await.is_ok() {
            self.flight = None;
        }
    }

    /// Waits until those who listen have room for more.
    async fn until_room(&mut self) {
        let Some(flight) = &self.flight else { return };
        let is_left =
            poll_fn(|cx| if flight.is_deserted(cx) { Poll::Ready(true) } else { flight.poll_room(cx).map(|()| false) });
        if is_left.await {
            self.flight = None;
        }
    }
}
