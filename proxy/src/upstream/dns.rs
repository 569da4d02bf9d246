//! From names to addresses: what DNS says for as long as it says so, in a bounded cache per worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use tokio::sync::{Mutex, OnceCell};

use super::error::{Kind, Phase, SendError};

/// Names remembered at most; the one that expires first goes.
const NAMES: usize = 1024;
/// How long an answer of the system's own resolver is believed: it does not say.
const SYSTEM_TTL: Duration = Duration::from_secs(30);
/// How long a failure is remembered, so that a burst of calls asks once.
const FAILURE_TTL: Duration = Duration::from_secs(1);
/// How long an expired answer still serves when DNS itself fails (RFC 8767).
const STALE: Duration = Duration::from_secs(600);

/// One per worker; asks nobody before the first name.
#[derive(Default)]
pub(super) struct Dns {
    resolver: OnceCell<Option<TokioResolver>>,
    names: RefCell<HashMap<String, Rc<Name>>>,
}

/// One name: whoever holds the lock asks, the others wait for what is learnt.
#[derive(Default)]
struct Name {
    known: RefCell<Option<Known>>,
    asking: Mutex<()>,
}

struct Known {
    addresses: Result<Rc<[IpAddr]>, String>,
    until: Instant,
    /// The last good addresses, for when DNS fails.
    last_good: Option<(Rc<[IpAddr]>, Instant)>,
}

impl Dns {
    /// The addresses of `name`, IPv6 and IPv4 in turn; never empty. `ttl` instead of what DNS says.
    pub(super) async fn resolve(&self, name: &str, ttl: Option<Duration>) -> Result<Rc<[IpAddr]>, SendError> {
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(Rc::from([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]));
        }
        let entry = self.entry(name);
        if let Some(known) = entry.fresh() {
            return known;
        }
        let _asking = entry.asking.lock().await;
        if let Some(known) = entry.fresh() {
            return known;
        }
        let asked = self.ask(name).await;
        entry.learn(asked, ttl, Instant::now());
        entry.fresh().unwrap_or_else(|| Err(unknown("the answer had expired when it came")))
    }

    fn entry(&self, name: &str) -> Rc<Name> {
        let mut names = self.names.borrow_mut();
        if let Some(entry) = names.get(name) {
            return Rc::clone(entry);
        }
        if names.len() >= NAMES {
            let oldest = names.iter().min_by_key(|(_, entry)| entry.until()).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                names.remove(&oldest);
            }
        }
        Rc::clone(names.entry(name.to_owned()).or_default())
    }

    async fn ask(&self, name: &str) -> Result<(Vec<IpAddr>, Instant), String> {
        let Some(resolver) = self.resolver.get_or_init(async || new_resolver()).await else {
            return ask_system(name).await;
        };
        let found = resolver.lookup_ip(name).await.map_err(|error| error.to_string())?;
        Ok((found.iter().collect(), found.valid_until()))
    }
}

impl Name {
    fn until(&self) -> Option<Instant> {
        self.known.borrow().as_ref().map(|known| known.until)
    }

    fn fresh(&self) -> Option<Result<Rc<[IpAddr]>, SendError>> {
        let known = self.known.borrow();
        let known = known.as_ref().filter(|known| known.until > Instant::now())?;
        Some(known.addresses.as_ref().map(Rc::clone).map_err(|why| unknown(why)))
    }

    fn learn(&self, asked: Result<(Vec<IpAddr>, Instant), String>, ttl: Option<Duration>, now: Instant) {
        let before = self.known.borrow_mut().take();
        let last_good = before.and_then(|known| known.last_good).filter(|(_, until)| *until > now);
        let asked = asked.and_then(|(addresses, until)| match addresses.is_empty() {
            true => Err("the name has no address".to_owned()),
            false => Ok((addresses, until)),
        });
        let known = match (asked, last_good) {
            (Ok((addresses, said)), _) => {
                // A TTL of 0 still serves the connections that waited for this very answer.
                let until = ttl.map_or(said, |ttl| now + ttl).max(now + FAILURE_TTL);
                let addresses: Rc<[IpAddr]> = interleave(&addresses).into();
                let last_good = Some((Rc::clone(&addresses), until + STALE));
                Known { addresses: Ok(addresses), until, last_good }
            }
            (Err(_), Some((addresses, until))) => Known {
                addresses: Ok(Rc::clone(&addresses)),
                until: now + FAILURE_TTL,
                last_good: Some((addresses, until)),
            },
            (Err(why), None) => Known { addresses: Err(why), until: now + FAILURE_TTL, last_good: None },
        };
        *self.known.borrow_mut() = Some(known);
    }
}

fn unknown(why: &str) -> SendError {
    SendError::new(Phase::Resolve, Kind::UnknownName, why)
}

/// `None` when the system's configuration cannot be read: then the system is asked instead.
fn new_resolver() -> Option<TokioResolver> {
    let mut builder = TokioResolver::builder_tokio().ok()?;
    let options = builder.options_mut();
    // The cache is ours: `dnsTTL` may be shorter than what DNS says.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Always;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build().ok()
}

async fn ask_system(name: &str) -> Result<(Vec<IpAddr>, Instant), String> {
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
    Ok((found.map(|address| address.ip()).collect(), Instant::now() + SYSTEM_TTL))
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
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let mixed = interleave(&[ip("1.1.1.1"), ip("2.2.2.2"), ip("::1"), ip("3.3.3.3")]);
        assert_eq!(mixed, [ip("::1"), ip("1.1.1.1"), ip("2.2.2.2"), ip("3.3.3.3")]);
    }

    #[test]
    fn an_answer_lives_as_long_as_it_says_or_as_the_setting_says() {
        let now = Instant::now();
        let name = Name::default();
        name.learn(Ok((vec![ip("1.1.1.1")], now + Duration::from_secs(60))), None, now);
        assert_eq!(name.until(), Some(now + Duration::from_secs(60)));
        name.learn(Ok((vec![ip("1.1.1.1")], now + Duration::from_secs(60))), Some(Duration::from_secs(5)), now);
        assert_eq!(name.until(), Some(now + Duration::from_secs(5)));
    }

    #[test]
    fn when_dns_fails_the_last_good_answer_serves_for_a_while() {
        let now = Instant::now();
        let name = Name::default();
        name.learn(Ok((vec![ip("1.1.1.1")], now)), None, now);
        name.learn(Err("down".to_owned()), None, now + Duration::from_secs(60));
        assert_eq!(&*name.fresh().unwrap().unwrap(), [ip("1.1.1.1")]);
        name.learn(Err("down".to_owned()), None, now + STALE + Duration::from_secs(60));
        assert_eq!(name.fresh().unwrap().unwrap_err().kind, Kind::UnknownName);
    }

    #[test]
    fn the_cache_is_bounded() {
        let dns = Dns::default();
        for n in 0..NAMES + 10 {
            dns.entry(&format!("host{n}"));
        }
        assert_eq!(dns.names.borrow().len(), NAMES);
    }
}
