//! From names to addresses: what DNS says for as long as it says so, in a bounded cache per worker.
//!
//! An answer that has expired is asked for anew by a task of its own. A call waits for that a moment at the most, and not
//! at all while DNS is known to fail or to hang: then the older answer serves (RFC 8767). Only a name of which nothing is
//! known is waited for.

mod ask;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use tokio::sync::{Notify, OnceCell};

use ask::Answer;

use super::error::SendError;

/// Names remembered at most; the one that expires first goes.
const NAMES: usize = 1024;
/// The time that a failure is remembered, and an answer not doubted, so that a burst of calls asks once.
const FAILURE_TTL: Duration = Duration::from_secs(1);
/// The time that an expired answer still serves when DNS itself fails (RFC 8767).
const STALE: Duration = Duration::from_secs(600);
/// The time that a call waits for a newer answer when it has an older one.
const STALE_WAIT: Duration = Duration::from_millis(100);
/// However long the resolver would go on: this is silence.
const LONGEST_ASK: Duration = Duration::from_secs(15);

/// One per worker; asks nobody before the first name. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Dns(Rc<HostTable>);

#[derive(Default)]
struct HostTable {
    resolver: OnceCell<Option<TokioResolver>>,
    names: RefCell<HashMap<String, Rc<DnsName>>>,
}

/// One name, and what is known of it.
pub(super) struct DnsName {
    text: String,
    known: RefCell<KnownAddresses>,
    /// Until when nobody need ask.
    until: Cell<Option<Instant>>,
    /// The time of the last answer, good or not.
    learned: Cell<Option<Instant>>,
    /// Counts the sets of addresses that the name has had.
    moves: Cell<u64>,
    /// Since when it is asked for.
    asking: Cell<Option<Instant>>,
    settled: Notify,
}

/// The facts known of a name.
#[derive(Default)]
struct KnownAddresses {
    /// The last good addresses, and until when they serve whatever DNS says.
    addresses: Option<(Rc<[IpAddr]>, Instant)>,
    /// The reason why the last question had no good answer.
    failure: Option<SendError>,
}

impl Dns {
    #[cfg(test)]
    pub(super) fn of(resolver: TokioResolver) -> Self {
        Self(Rc::new(HostTable { resolver: OnceCell::new_with(Some(Some(resolver))), names: RefCell::default() }))
    }

    /// The addresses of `name`, IPv6 and IPv4 in turn; never empty. `ttl` instead of what DNS says.
    pub(super) async fn resolve(&self, name: &str, ttl: Option<Duration>) -> Result<Rc<[IpAddr]>, SendError> {
        if is_localhost(name) {
            return Ok(Rc::from([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]));
        }
        let (name, now) = (self.name(name), Instant::now());
        if !name.is_fresh(now) {
            self.ask(&name, ttl, now);
            match name.timeout(now) {
                Some(Duration::ZERO) => {}
                Some(timeout) => drop(tokio::time::timeout(timeout, name.answered()).await),
                None => name.answered().await,
            }
        }
        name.addresses(Instant::now())
    }

    /// The facts known of a name, to be followed.
    pub(super) fn name(&self, text: &str) -> Rc<DnsName> {
        let mut names = self.0.names.borrow_mut();
        if let Some(name) = names.get(text) {
            return Rc::clone(name);
        }
        if names.len() >= NAMES {
            let oldest = names.iter().min_by_key(|(_, name)| name.until.get()).map(|(text, _)| text.clone());
            if let Some(oldest) = oldest {
                names.remove(&oldest);
            }
        }
        Rc::clone(names.entry(text.to_owned()).or_insert_with(|| DnsName::new(text)))
    }

    /// The number of times that the addresses of a name have changed; asks anew, behind the call, when what is known
    /// has expired.
    pub(super) fn follow(&self, name: &Rc<DnsName>, ttl: Option<Duration>, now: Instant) -> u64 {
        if !name.is_fresh(now) && name.until.get().is_some() {
            self.ask(name, ttl, now);
        }
        name.moves.get()
    }

    /// Nobody can be reached where the name was said to be, so the answer is no longer taken for fresh, however long it was to hold: it is
    /// asked for anew behind the call, once a second at most, and serves on while DNS says no other.
    pub(super) fn doubt(&self, name: &str, ttl: Option<Duration>, now: Instant) {
        if is_localhost(name) {
            return;
        }
        let name = self.name(name);
        if name.learned.get().is_some_and(|learned| now.saturating_duration_since(learned) >= FAILURE_TTL) {
            name.until.set(Some(now));
            self.ask(&name, ttl, now);
        }
    }

    /// Asks, unless somebody does already. Goes on when the call that wanted to know has gone.
    fn ask(&self, name: &Rc<DnsName>, ttl: Option<Duration>, now: Instant) {
        if name.asking.get().is_some() {
            return;
        }
        name.asking.set(Some(now));
        let (dns, name) = (self.clone(), Rc::clone(name));
        tokio::task::spawn_local(async move {
            let resolver = dns.0.resolver.get_or_init(async || ask::resolver()).await;
            let asked = tokio::time::timeout(LONGEST_ASK, ask::ask(resolver.as_ref(), &name.text)).await;
            let answer = asked.unwrap_or_else(|_| Err(ask::unknown(format!("no answer within {LONGEST_ASK:?}"))));
            name.learn(answer, ttl, Instant::now());
            name.asking.set(None);
            name.settled.notify_waiters();
        });
    }
}

/// True if a name is this machine's, whatever DNS says (RFC 6761).
pub(super) fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

impl DnsName {
    fn new(text: &str) -> Rc<Self> {
        Rc::new(Self {
            text: text.to_owned(),
            known: RefCell::default(),
            until: Cell::default(),
            learned: Cell::default(),
            moves: Cell::default(),
            asking: Cell::default(),
            settled: Notify::new(),
        })
    }

    /// True if a connection to this address may be given calls: it is one of the name's, or nothing is known.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let known = self.known.borrow();
        known.addresses.as_ref().is_none_or(|(addresses, _)| addresses.contains(&address))
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.until.get().is_some_and(|until| until > now)
    }

    /// The time that a newer answer is worth waiting for; `None`: there is no older one.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        let known = self.known.borrow();
        known.addresses.as_ref().filter(|(_, until)| *until > now)?;
        let asked_for = self.asking.get().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        Some(if known.failure.is_some() { Duration::ZERO } else { STALE_WAIT.saturating_sub(asked_for) })
    }

    /// Waits until the question under way has an answer.
    async fn answered(&self) {
        while self.asking.get().is_some() {
            self.settled.notified().await;
        }
    }

    fn addresses(&self, now: Instant) -> Result<Rc<[IpAddr]>, SendError> {
        let known = self.known.borrow();
        match (&known.addresses, &known.failure) {
            (Some((addresses, until)), _) if *until > now => Ok(Rc::clone(addresses)),
            (_, Some(failure)) => Err(failure.clone()),
            (_, None) => Err(ask::unknown("nothing is known of it".to_owned())),
        }
    }

    fn learn(&self, answer: Answer, ttl: Option<Duration>, now: Instant) {
        self.learned.set(Some(now));
        let mut known = self.known.borrow_mut();
        match answer {
            Ok((addresses, said)) => {
                // A TTL of 0 still serves the connections that waited for this very answer.
                let until = ttl.map_or(said, |ttl| now + ttl).max(now + FAILURE_TTL);
                let addresses: Rc<[IpAddr]> = interleave(&addresses).into();
                let same = known.addresses.as_ref().is_some_and(|(before, _)| is_same_set(before, &addresses));
                if !same {
                    self.moves.set(self.moves.get() + 1);
                }
                *known = KnownAddresses { addresses: Some((addresses, until + STALE)), failure: None };
                self.until.set(Some(until));
            }
            Err(failure) => {
                known.failure = Some(failure);
                self.until.set(Some(now + FAILURE_TTL));
            }
        }
    }
}

fn is_same_set(one: &[IpAddr], other: &[IpAddr]) -> bool {
    one.iter().all(|address| other.contains(address)) && other.iter().all(|address| one.contains(address))
}

/// IPv6 and IPv4 in turn (RFC 8305), so that a dead family costs one try and not all of them.
fn interleave(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut six = addresses.iter().filter(|ip| ip.is_ipv6());
    let mut four = addresses.iter().filter(|ip| ip.is_ipv4());
    let mut mixed = Vec::with_capacity(addresses.len());
    loop {
        let before = mixed.len();
        mixed.extend(six.next());
        mixed.extend(four.next());
        if mixed.len() == before {
            return mixed;
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
