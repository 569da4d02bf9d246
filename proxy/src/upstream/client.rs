//! One worker's way to all providers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, Version};
use http_body_util::Full;
use tokio::time::timeout_at;

use super::body::UpstreamBody;
use super::dns::Dns;
use super::error::{Failed, Fate, SendError, SendErrorKind, SendPhase};
use super::origin::{Origin, OriginKey, OriginParts};
use super::pool::{ConnectionPool, Lease, Stream, Way};
use super::stats::StatsBoard;

/// Between two looks at idle connections.
const SWEEP: Duration = Duration::from_secs(10);
/// A pool without a connection and without a call for so long is forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// Limits of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct SendLimits {
    /// To have a connection: waiting for a free one, DNS, TCP and TLS together.
    pub connect: Duration,
    /// The time when the head of the answer has to be here, whatever it takes. The body is bounded by who reads it.
    pub until: Instant,
    /// The time at which it is sent.
    pub now: Instant,
    /// True if a request may be sent again whose reused connection ended before a byte of an answer: most likely the
    /// provider had closed it before, but nobody can be sure.
    pub resend: bool,
}

/// An answer's head has come.
#[derive(Debug)]
pub struct Sent {
    /// The answer.
    pub response: Response<UpstreamBody>,
    /// True if the request had to be sent once more for it.
    pub resent: bool,
}

/// One worker's connections to all providers. Cloning is cheap; it stays on its thread, and wants a
/// `tokio::task::LocalSet` (or local runtime) around it.
#[derive(Clone)]
pub struct UpstreamClient(Rc<OriginPools>);

struct OriginPools {
    pools: RefCell<HashMap<OriginKey, Rc<ConnectionPool>, BuildHasherDefault<Taken>>>,
    dns: Dns,
    workers: usize,
    board: Arc<StatsBoard>,
    sweeping: Cell<bool>,
}

/// A key that is a hash already, taken for its own hash.
#[derive(Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = u64::try_from(key & u128::from(u64::MAX)).unwrap_or_default();
    }
}

impl UpstreamClient {
    /// A client of one of `workers` workers; each may open its share of `maxConnections`, rounded up.
    #[must_use]
    pub fn new(workers: usize, board: Arc<StatsBoard>) -> Self {
        let (pools, dns, sweeping) = (RefCell::default(), Dns::default(), Cell::new(false));
        Self(Rc::new(OriginPools { pools, dns, workers, board, sweeping }))
    }

    #[cfg(test)]
    pub(super) fn asking(dns: Dns, board: Arc<StatsBoard>) -> Self {
        let (pools, sweeping) = (RefCell::default(), Cell::new(false));
        Self(Rc::new(OriginPools { pools, dns, workers: 1, board, sweeping }))
    }

    /// Sends the request that `make` gives and waits for the head of its answer. The URI is what [`Origin::uri`] gave;
    /// `host` is added where it is missing, `content-length` always. Statuses are not looked at; 1xx answers are
    /// skipped.
    ///
    /// A request that nobody can have processed is not an error yet: it is made once more and sent on a fresh connection, at
    /// most once. So is one whose reused connection ended before a byte of the answer, if `limits` allow it. To make it
    /// twice, rarely, costs less than to keep a copy always.
    ///
    /// # Errors
    /// When no head came: see [`SendError`].
    pub async fn send(
        &self,
        origin: &Origin,
        make: impl Fn() -> Request<Bytes>,
        limits: SendLimits,
    ) -> Result<Sent, SendError> {
        let pool = self.pool(origin);
        pool.follow(&self.0.dns, limits.now);
        let mut now = limits.now;
        if let Some(rest) = pool.rest(now) {
            // Boxed: it is for the first calls only.
            Box::pin(tokio::time::sleep(rest)).await;
            now = Instant::now();
        }
        let (mut again, mut resent) = (false, false);
        loop {
            // Made before there is a connection: what comes between the look at it and the writing is not seen.
            let request = make();
            let open = if again { None } else { pool.take_open(now) };
            let failed = |error: SendError| SendError { resent, ..error };
            let way = match open {
                Some(way) => way,
                // Boxed: making a connection is rare and its future large.
                None => {
                    let obtaining = pool.obtain(&self.0.dns, limits.connect, again);
                    let obtained = Box::pin(timeout_at(limits.until.into(), obtaining)).await;
                    obtained.map_err(|_| failed(SendError::late()))?.map_err(failed)?
                }
            };
            let answered = match way {
                Way::Own(lease) => send_own(lease, request, &origin.0, limits.until).await,
                // Boxed: its future is large, and the other one's is every call's.
                Way::Shared(stream) => {
                    let sending = send_shared(stream, request, (&origin.0, limits.connect));
                    let sent = Box::pin(timeout_at(limits.until.into(), sending)).await;
                    sent.map_err(|_| failed(SendError { sent: true, ..SendError::late() }))?
                }
            };
            match answered {
                Ok(response) => return Ok(Sent { response, resent }),
                Err(Failed { error, fate }) => {
                    let harmless = match fate {
                        Fate::Unprocessed => true,
                        Fate::WantsHttp1 => pool.falls_back(),
                        Fate::Unanswered => limits.resend,
                        Fate::Unknown => false,
                    };
                    if again || !harmless {
                        return Err(failed(error));
                    }
                    (again, resent) = (true, error.sent);
                }
            }
        }
    }

    /// Closes every connection that carries no call: the process needs the descriptors.
    pub fn close_idle(&self) {
        self.0.pools.borrow().values().for_each(|pool| pool.close_idle());
    }

    fn pool(&self, origin: &Origin) -> Rc<ConnectionPool> {
        let inner = &self.0;
        if let Some(pool) = inner.pools.borrow().get(&origin.0.key) {
            return Rc::clone(pool);
        }
        if !inner.sweeping.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(inner)));
        }
        let stats = inner.board.register(&origin.0.pool, &origin.0.provider, &origin.address());
        let pool = ConnectionPool::new(origin.clone(), inner.workers, stats);
        inner.pools.borrow_mut().insert(origin.0.key, Rc::clone(&pool));
        pool
    }
}

impl std::fmt::Debug for UpstreamClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({} origins)", self.0.pools.borrow().len())
    }
}

async fn send_own(
    mut lease: Lease,
    request: Request<Bytes>,
    place: &OriginParts,
    until: Instant,
) -> Result<Response<UpstreamBody>, Failed> {
    let Some(conn) = lease.conn() else { return Err(gone()) };
    let response = conn.exchange(request, &place.host_header, until).await?;
    Ok(response.map(|body| UpstreamBody::own(body, lease)))
}

async fn send_shared(
    stream: Stream,
    request: Request<Bytes>,
    (place, limit): (&OriginParts, Duration),
) -> Result<Response<UpstreamBody>, Failed> {
    let mut request = request.map(Full::new);
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(HOST);
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let whole = Uri::builder().scheme(place.scheme.clone()).authority(place.authority.clone()).path_and_query(path);
    match whole.build() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => {
            let error = SendError::new(SendPhase::Write, SendErrorKind::Invalid, error.to_string());
            return Err(Failed { error, fate: Fate::Unknown });
        }
    }
    let response = stream.shared.exchange(request, limit).await?;
    Ok(response.map(|body| UpstreamBody::shared(body, stream)))
}

fn gone() -> Failed {
    Failed {
        error: SendError::new(SendPhase::Write, SendErrorKind::Reset, "the connection ended"),
        fate: Fate::Unprocessed,
    }
}

/// Now and then closes what has been idle for too long, and forgets origins that nobody calls any more.
async fn sweep(inner: Weak<OriginPools>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(inner) = inner.upgrade() else { return };
        let now = Instant::now();
        let forgotten =
            |pool: &ConnectionPool| pool.sweep(now).is_some_and(|used| now.saturating_duration_since(used) > FORGET);
        inner.pools.borrow_mut().retain(|_, pool| !forgotten(pool));
    }
}
