//! A flight that a call is about to begin: the question for its lease goes together with that for what the cache keeps, in one write.
//!
//! The lease is taken only where nothing is kept, at the same moment: between the two nobody can have fetched and kept the answer.
//! Whoever begins the flight here before the call does takes the lease over.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::lease::{FlightLease, LeaseClaim, RemoteFlights};
use super::table::{Flights, OwnLease};
use crate::cache::Key;
use crate::redis::Unanswered;

/// A flight that is expected. Dropped before it has begun, its lease is given back.
#[derive(Debug)]
pub struct ExpectedFlight {
    remote: Rc<RemoteFlights>,
    key: Key,
    /// The token of a flight of this process, whose lease may be taken.
    before: Option<String>,
    holder: ExpectedHolder,
}

/// The one who has the lease.
#[derive(Debug)]
enum ExpectedHolder {
    /// Not this proxy, or it has been given on: nothing is to be given back.
    Nobody,
    /// The leader with this token.
    Other(String),
    /// This proxy, or nobody knows it. `true`: it is sure.
    Own(FlightLease, OwnLease, bool),
}

/// The part of a flight that was known before it began.
#[derive(Debug)]
pub(super) enum Claimed {
    /// This proxy leads it.
    Here(FlightLease, OwnLease),
    /// The leader with this token does.
    By(String),
}

impl ExpectedFlight {
    /// Of what this key stands for; `None`: one is under way here, or expected, or has just been lost.
    #[must_use]
    pub fn of(remote: &Rc<RemoteFlights>, flights: &Arc<Flights>, key: &Key) -> Option<Self> {
        let lease = FlightLease::fresh(key);
        let (own, before) = flights.expect(key, lease.token())?;
        Some(Self { remote: Rc::clone(remote), key: *key, before, holder: ExpectedHolder::Own(lease, own, false) })
    }

    /// The key of the flight.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Asks for what is kept at a place in the flight's slot and, where nothing is, for the lease. What Redis does not answer is not kept.
    pub async fn ask(&mut self, place: &str) -> Option<Bytes> {
        let ExpectedHolder::Own(lease, _, is_sure) = &mut self.holder else { return None };
        let answer = self.remote.claim_unless_kept(lease, self.before.as_deref(), place).await;
        let (kept, holder) = answer.map_or_else(|why| (None, Err(why)), |(kept, holder)| (kept, holder));
        match holder {
            Ok(LeaseClaim::Taken) => *is_sure = true,
            Ok(LeaseClaim::Held(token)) => self.holder = ExpectedHolder::Other(token),
            // It was not taken.
            Ok(LeaseClaim::Kept) | Err(Unanswered::Refused) => self.holder = ExpectedHolder::Nobody,
            Err(Unanswered::Away) => {}
        }
        kept
    }

    /// The part of it that is known for sure.
    pub(super) fn claimed(mut self) -> Option<Claimed> {
        match std::mem::replace(&mut self.holder, ExpectedHolder::Nobody) {
            ExpectedHolder::Own(lease, own, true) => Some(Claimed::Here(lease, own.led())),
            ExpectedHolder::Other(token) => Some(Claimed::By(token)),
            other => {
                self.holder = other;
                None
            }
        }
    }
}

impl Drop for ExpectedFlight {
    fn drop(&mut self) {
        if let ExpectedHolder::Own(lease, ..) = &self.holder {
            self.remote.give_up(lease);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::lease::LeaseWord;
    use super::*;
    use crate::memory::MemoryBudget;
    use crate::redis::tests::{Server, until, worker};
    use crate::redis::{Login, RedisClient, RedisCounts};

    const KEY: Key = Key([9; 32]);

    struct Proxy {
        remote: Rc<RemoteFlights>,
        flights: Arc<Flights>,
        redis: RedisClient,
    }

    impl Proxy {
        async fn start(server: &Server) -> Self {
            let redis =
                RedisClient::open(&[server.url()], Login::default(), &Arc::new(RedisCounts::default())).unwrap();
            until("the connection", || redis.is_ready()).await;
            let flights = Arc::new(Flights::default());
            let memory = MemoryBudget::new(1 << 20, 1).allowance();
            let remote = RemoteFlights::new(redis.clone(), &flights.remote, &memory);
            Self { remote, flights, redis }
        }

        fn expects(&self) -> Option<ExpectedFlight> {
            ExpectedFlight::of(&self.remote, &self.flights, &KEY)
        }

        async fn abandons(&self, lease: &FlightLease) {
            self.remote.publish(lease, (1, b""), (LeaseWord::Abandon, Duration::ZERO)).await.unwrap();
        }

        /// The script is known from then on.
        async fn claims(&self) -> Option<String> {
            match self.remote.claim(&FlightLease::fresh(&KEY), (None, None), None).await.unwrap() {
                LeaseClaim::Held(token) => Some(token),
                _ => None,
            }
        }
    }

    fn place() -> String {
        format!("sluicegate:{{{}}}:cache:own", KEY.hex())
    }

    #[test]
    fn a_lease_is_asked_for_with_what_is_kept_and_given_back_if_nothing_comes_of_it() {
        worker(async {
            let server = Server::start(&[]);
            let (one, two) = (Proxy::start(&server).await, Proxy::start(&server).await);
            // A node that does not know the script takes no lease.
            let mut expected = one.expects().unwrap();
            assert_eq!(expected.ask(&place()).await, None);
            assert!(expected.claimed().is_none());
            let held = FlightLease::fresh(&KEY);
            assert_eq!(one.remote.claim(&held, (None, None), None).await, Ok(LeaseClaim::Taken));
            assert!(two.claims().await.is_some());
            let mut expected = two.expects().unwrap();
            expected.ask(&place()).await;
            assert!(matches!(expected.claimed(), Some(Claimed::By(token)) if token == held.token()));
            one.abandons(&held).await;

            let mut expected = two.expects().unwrap();
            assert!(two.expects().is_none(), "it is expected here");
            expected.ask(&place()).await;
            assert!(one.claims().await.is_some(), "the other one has it");
            drop(expected);
            let mut again = 0;
            while one.claims().await.is_some() {
                again += 1;
                assert!(again < 100, "it is not given back");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }

    #[test]
    fn where_an_answer_is_kept_no_lease_is_taken() {
        worker(async {
            let server = Server::start(&[]);
            let one = Proxy::start(&server).await;
            let lease = FlightLease::fresh(&KEY);
            one.remote.claim(&lease, (None, None), None).await.unwrap();
            one.abandons(&lease).await;
            one.redis.set(&place(), b"kept", Duration::from_secs(60));
            for _ in 0..100 {
                if one.redis.get(&place()).await == Ok(Some(Bytes::from_static(b"kept"))) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let mut expected = one.expects().unwrap();
            assert_eq!(expected.ask(&place()).await.as_deref(), Some(&b"kept"[..]));
            assert!(expected.claimed().is_none());
            let claim = one.remote.claim(&FlightLease::fresh(&KEY), (None, None), Some(&place())).await;
            assert_eq!(claim, Ok(LeaseClaim::Kept));
            assert_eq!(one.claims().await, None, "nobody has it");
        });
    }

    #[test]
    fn who_begins_it_here_first_takes_the_lease_over() {
        worker(async {
            let server = Server::start(&[]);
            let one = Proxy::start(&server).await;
            let lease = FlightLease::fresh(&KEY);
            one.remote.claim(&lease, (None, None), None).await.unwrap();
            one.abandons(&lease).await;
            let mut expected = one.expects().unwrap();
            expected.ask(&place()).await;
            let crate::coalescing::Joined::Lead(flight, _reader) = one.flights.join(KEY, one.remote.charge()) else {
                panic!("nobody has begun it")
            };
            let before = flight.last_lease();
            let ours = FlightLease::fresh(&KEY);
            assert_eq!(one.remote.claim(&ours, (None, before.as_deref()), None).await, Ok(LeaseClaim::Taken));
            drop(expected);
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(
                one.claims().await.as_deref(),
                Some(ours.token()),
                "giving back what is another's by now changes nothing"
            );
            assert!(one.expects().is_none(), "it is under way here");
        });
    }
}
