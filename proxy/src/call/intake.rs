//! The request's body, read whole within its bounds of size and time.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt;
use sluicegate_dialects::hub::ErrorKind;
use tokio::time::{Instant, timeout_at};

use crate::errors::Problem;
use crate::listener::{Connection, RequestBody};
use crate::memory::{Charge, Purpose, UNCOUNTED};
use crate::settings::Limits;
use crate::worker::own::Worker;

/// Room taken before any of the body has come: what a client only says that it will send costs no more than this.
const FIRST_ROOM: usize = 256 << 10;

/// A client that has sent so much is believed to send as much as it says: all of it gets its room at once.
const BELIEVED: usize = 1 << 20;

/// The memory that a call holds beside its body: its future, its head, its record, a part of its connections' buffers.
const CALL: usize = 8 << 10;

/// A body that is here whole.
pub(super) struct ReceivedBody {
    /// Its bytes, with their part of the memory budget.
    pub(super) body: Bytes,
    /// The call's own part.
    pub(super) charge: Charge,
    /// True if it had to be waited for.
    pub(super) waited: bool,
}

/// The part of the memory budget that a call has beside its body.
///
/// # Errors
/// There is no room for another call.
pub(super) fn of_a_call(worker: &Worker) -> Result<Charge, Problem> {
    worker.memory.charge(CALL, Purpose::Call).map_err(|full| Problem::from(full).closing())
}

/// Reads the body. One frame is passed on as it is, without a copy.
///
/// # Errors
/// Too large, too slow, broken off, or more than there is memory for.
pub(super) async fn read(
    headers: &HeaderMap,
    body: RequestBody,
    worker: &Worker,
    connection: &Connection,
) -> Result<ReceivedBody, Problem> {
    let limits = &worker.limits;
    let declared = declared(headers)?;
    if declared.is_some_and(|length| length > limits.body_limit as u64) {
        return Err(too_large(limits.body_limit));
    }
    let charge = of_a_call(worker)?;
    let mut reading = BodyReader { body, deadline: None, limits, connection };
    let first = reading.frame().await?.unwrap_or_default();
    if first.len() > limits.body_limit {
        return Err(too_large(limits.body_limit));
    }
    if reading.body.is_end_stream() {
        let body = if first.len() <= UNCOUNTED {
            first
        } else {
            worker.memory.charge(first.len(), Purpose::of(first.len()))?.hold(first)
        };
        return Ok(ReceivedBody { body, charge, waited: reading.waited() });
    }
    let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(first.len() * 2);
    let mut whole = BodyBuffer {
        bytes: Vec::new(),
        charge: worker.memory.nothing(),
        declared: declared.and_then(|length| usize::try_from(length).ok()).unwrap_or_default(),
        most: limits.body_limit,
    };
    whole.make_room(expected.clamp(first.len(), FIRST_ROOM.max(first.len())))?;
    whole.bytes.extend_from_slice(&first);
    drop(first);
    while let Some(data) = reading.frame().await? {
        whole.push(&data)?;
    }
    Ok(ReceivedBody { body: whole.charge.hold(whole.bytes.into()), charge, waited: reading.waited() })
}

/// A body that comes in pieces. Its memory is counted before it is taken.
struct BodyBuffer {
    bytes: Vec<u8>,
    charge: Charge,
    /// The length that its client says it has; 0: it does not say.
    declared: usize,
    most: usize,
}

impl BodyBuffer {
    fn push(&mut self, data: &[u8]) -> Result<(), Problem> {
        let length = self.bytes.len() + data.len();
        if length > self.most {
            return Err(too_large(self.most));
        }
        if length > self.bytes.capacity() {
            // What is moved again and again leaves memory behind that the allocator keeps for a while.
            let doubled = self.bytes.capacity() * 2;
            let wanted = if doubled > BELIEVED { doubled.max(self.declared) } else { doubled };
            self.make_room(wanted.min(self.most).max(length))?;
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn make_room(&mut self, room: usize) -> Result<(), Problem> {
        // The old room stands beside the new one until it is copied.
        let both = self.bytes.capacity() + room;
        self.charge.set(both, Purpose::of(room)).map_err(|full| Problem::from(full).closing())?;
        self.bytes.reserve_exact(room - self.bytes.len());
        self.charge.set(room, Purpose::of(room)).map_err(|full| Problem::from(full).closing())
    }
}

/// A body on its way in.
struct BodyReader<'a> {
    body: RequestBody,
    /// Read off the clock once for all frames, and only if the body is not here yet.
    deadline: Option<Instant>,
    limits: &'a Limits,
    connection: &'a Connection,
}

impl BodyReader<'_> {
    /// The next data of the body; `None` at its end.
    async fn frame(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            // The usual body is here with its head: no clock is asked, and its connection has nothing more to read of it.
            let here = self.connection.take_piece(|| {
                let here = futures_util::FutureExt::now_or_never(self.body.frame());
                let last = here.is_some() && self.body.is_end_stream();
                (here, last)
            });
            let next = match here {
                Some(next) => next,
                None => {
                    let now = Instant::now();
                    let whole = *self.deadline.get_or_insert_with(|| now + self.limits.body_timeout);
                    let until = whole.min(now + self.limits.body_idle_timeout);
                    // Boxed: it is rare, and its future is large.
                    let next = Box::pin(timeout_at(until, self.body.frame())).await;
                    next.map_err(|_| too_slow(self.limits.body_idle_timeout))?
                }
            };
            match next {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(_)) => {
                    return Err(Problem::client(ErrorKind::InvalidRequest, "The request body broke off.").closing());
                }
            }
        }
    }

    fn waited(&self) -> bool {
        self.deadline.is_some()
    }
}

fn declared(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(length) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|text| text.parse().ok());
    length
        .map(Some)
        .ok_or_else(|| Problem::client(ErrorKind::InvalidRequest, "content-length: not a number.").closing())
}

pub(super) fn too_large(limit: usize) -> Problem {
    let message = format!("The request body is larger than {limit} bytes, the limit of this gateway.");
    Problem::client(ErrorKind::TooLarge, message).retry(false, None).closing()
}

fn too_slow(timeout: Duration) -> Problem {
    let message =
        format!("The request body did not come in time (nothing for {} s, or too slowly).", timeout.as_secs());
    Problem::client(ErrorKind::RequestTimeout, message).closing()
}
