//! Names against a small DNS server of this file, over UDP on loopback.

use std::net::SocketAddr;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr;
use tokio::net::UdpSocket;

use super::*;
use crate::upstream::error::{SendErrorKind, SendPhase};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What the server answers: addresses of names (written out, with their last dot), and whether it answers at all.
#[derive(Default)]
pub(in crate::upstream) struct Zone {
    pub(in crate::upstream) names: HashMap<String, Vec<Ipv4Addr>>,
    pub(in crate::upstream) hangs: bool,
    pub(in crate::upstream) ttl: u32,
    /// The names it was asked for, each as often as it was.
    pub(in crate::upstream) asked: Vec<String>,
}

/// Starts the server; gives its address and its zone.
pub(in crate::upstream) async fn serve(names: &[(&str, &[&str])]) -> (SocketAddr, Arc<Mutex<Zone>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let addresses = |addresses: &[&str]| addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    let names = names.iter().map(|(name, ips)| ((*name).to_owned(), addresses(ips))).collect();
    let zone = Arc::new(Mutex::new(Zone { names, ttl: 60, ..Zone::default() }));
    let told = Arc::clone(&zone);
    tokio::task::spawn_local(async move {
        let mut packet = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let answer = told.lock().unwrap().answer(&packet[..length]);
            if let Some(answer) = answer {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    (address, zone)
}

impl Zone {
    /// The answer to a question, byte by byte (RFC 1035, 4.1): the header, the question as it came, and A records.
    fn answer(&mut self, question: &[u8]) -> Option<Vec<u8>> {
        let (mut name, mut at) = (String::new(), 12);
        while question[at] != 0 {
            let length = usize::from(question[at]);
            name += std::str::from_utf8(&question[at + 1..at + 1 + length]).unwrap();
            name += ".";
            at += 1 + length;
        }
        let (is_a, end) = (question[at + 1..at + 3] == [0, 1], at + 5);
        let name = name.to_lowercase();
        self.asked.push(name.clone());
        if self.hangs {
            return None;
        }
        let found = self.names.get(&name);
        let records = found.filter(|_| is_a).map(Vec::as_slice).unwrap_or_default();
        let code = if found.is_some() { 0 } else { 3 };
        let count = u16::try_from(records.len()).unwrap().to_be_bytes();
        let mut answer = vec![question[0], question[1], 0x81, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0];
        answer.extend_from_slice(&question[12..end]);
        for record in records {
            answer.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1]);
            answer.extend_from_slice(&self.ttl.to_be_bytes());
            answer.extend_from_slice(&[0, 4]);
            answer.extend_from_slice(&record.octets());
        }
        Some(answer)
    }
}

/// A pod's resolver of that server.
pub(in crate::upstream) fn resolver(server: SocketAddr) -> TokioResolver {
    let mut udp = ConnectionConfig::udp();
    udp.port = server.port();
    let search = ["ns.svc.cluster.local.", "svc.cluster.local.", "cluster.local."];
    let search = search.map(|domain| rr::Name::from_str(domain).unwrap()).to_vec();
    let servers = vec![NameServerConfig::new(server.ip(), true, vec![udp])];
    let config = ResolverConfig::from_parts(None, search, servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.cache_size = 0;
    options.ndots = 5;
    builder.build().unwrap()
}

async fn pod(names: &[(&str, &[&str])]) -> (Dns, Arc<Mutex<Zone>>) {
    let (address, zone) = serve(names).await;
    (Dns::of(resolver(address)), zone)
}

/// Lets what is known of a name expire, as time would.
pub(in crate::upstream) fn expire(dns: &Dns, name: &str) {
    dns.name(name).until.set(Some(Instant::now()));
}

/// Lets a second pass since the last answer for a name.
pub(in crate::upstream) fn age(dns: &Dns, name: &str) {
    dns.name(name).learned.set(Instant::now().checked_sub(FAILURE_TTL));
}

/// Waits until the question for a name that is under way has its answer.
pub(in crate::upstream) async fn answered(dns: &Dns, name: &str) {
    dns.name(name).answered().await;
}

#[tokio::test(flavor = "local")]
async fn a_name_of_the_world_costs_one_pair_of_questions_and_a_short_one_is_found() {
    let world: (&str, &[&str]) = ("api.example.com.", &["192.0.2.1"]);
    let service: (&str, &[&str]) = ("gpu.models.svc.cluster.local.", &["10.0.0.1"]);
    let (dns, zone) = pod(&[world, service]).await;
    let asked = || std::mem::take(&mut zone.lock().unwrap().asked);
    assert_eq!(&*dns.resolve("api.example.com", None).await.unwrap(), [ip("192.0.2.1")]);
    assert_eq!(asked(), ["api.example.com."; 2], "A and AAAA, and no search domain");
    for short in ["gpu.models", "gpu.models.svc", "gpu.models.svc.cluster.local"] {
        assert_eq!(&*dns.resolve(short, None).await.unwrap(), [ip("10.0.0.1")], "{short}");
        let asked = asked();
        assert!(!asked.contains(&"gpu.models.".to_owned()), "somebody else's name was asked for: {asked:?}");
    }
    let nobody = dns.resolve("nobody.example.com", None).await.unwrap_err();
    assert_eq!((nobody.phase, nobody.kind), (SendPhase::Resolve, SendErrorKind::UnknownName));
}

#[tokio::test(flavor = "local")]
async fn when_dns_hangs_the_older_answer_serves_and_nobody_waits() {
    let (dns, zone) = pod(&[("a.example.com.", &["192.0.2.1"])]).await;
    dns.resolve("a.example.com", None).await.unwrap();
    zone.lock().unwrap().hangs = true;
    zone.lock().unwrap().asked.clear();
    expire(&dns, "a.example.com");
    // The first call gives the resolver a moment; those behind it know better.
    assert_eq!(&*dns.resolve("a.example.com", None).await.unwrap(), [ip("192.0.2.1")]);
    for _ in 0..100 {
        let at_once = futures_util::FutureExt::now_or_never(dns.resolve("a.example.com", None));
        assert_eq!(&*at_once.expect("it waits").unwrap(), [ip("192.0.2.1")]);
    }
    assert_eq!(zone.lock().unwrap().asked.len(), 2, "one question is under way, for A and AAAA");
    // What nobody knows is waited for.
    let unheard_of = dns.resolve("b.example.com", None);
    assert!(tokio::time::timeout(STALE_WAIT * 2, unheard_of).await.is_err());
}

#[tokio::test(flavor = "local")]
async fn a_name_that_moves_is_followed_behind_the_calls() {
    let (dns, zone) = pod(&[("a.example.com.", &["192.0.2.1", "192.0.2.2"])]).await;
    let name = dns.name("a.example.com");
    assert_eq!(dns.follow(&name, None, Instant::now()), 0, "nobody has asked yet");
    assert!(name.has(ip("192.0.2.9")) && zone.lock().unwrap().asked.is_empty());
    dns.resolve("a.example.com", None).await.unwrap();
    assert_eq!(dns.follow(&name, None, Instant::now()), 1);
    for (addresses, moves) in [(["192.0.2.2", "192.0.2.1"], 1), (["192.0.2.2", "192.0.2.3"], 2)] {
        let addresses = addresses.map(|ip| ip.parse().unwrap()).to_vec();
        zone.lock().unwrap().names.insert("a.example.com.".to_owned(), addresses);
        expire(&dns, "a.example.com");
        dns.follow(&name, None, Instant::now());
        name.answered().await;
        assert_eq!(dns.follow(&name, None, Instant::now()), moves, "order is no move");
    }
    assert!(!name.has(ip("192.0.2.1")) && name.has(ip("192.0.2.3")));
    // DNS that fails moves nothing.
    zone.lock().unwrap().names.clear();
    expire(&dns, "a.example.com");
    dns.follow(&name, None, Instant::now());
    name.answered().await;
    assert_eq!(dns.follow(&name, None, Instant::now()), 2);
    assert!(name.has(ip("192.0.2.3")));
}

#[tokio::test(flavor = "local")]
async fn a_call_that_leaves_does_not_take_the_question_with_it() {
    let (dns, zone) = pod(&[("a.example.com.", &["192.0.2.1"])]).await;
    assert!(futures_util::FutureExt::now_or_never(dns.resolve("a.example.com", None)).is_none());
    dns.name("a.example.com").answered().await;
    assert_eq!(&*dns.resolve("a.example.com", None).await.unwrap(), [ip("192.0.2.1")]);
    assert_eq!(zone.lock().unwrap().asked.len(), 2);
}

#[test]
fn families_take_turns() {
    let mixed = interleave(&[ip("1.1.1.1"), ip("2.2.2.2"), ip("::1"), ip("3.3.3.3")]);
    assert_eq!(mixed, [ip("::1"), ip("1.1.1.1"), ip("2.2.2.2"), ip("3.3.3.3")]);
}

#[test]
fn an_answer_lives_as_long_as_it_says_or_as_the_setting_says() {
    let now = Instant::now();
    let name = DnsName::new("a");
    name.learn(Ok((vec![ip("1.1.1.1")], now + Duration::from_secs(60))), None, now);
    assert_eq!(name.until.get(), Some(now + Duration::from_secs(60)));
    name.learn(Ok((vec![ip("1.1.1.1")], now + Duration::from_secs(60))), Some(Duration::from_secs(5)), now);
    assert_eq!(name.until.get(), Some(now + Duration::from_secs(5)));
}

#[test]
fn when_dns_fails_the_last_good_answer_serves_for_a_while() {
    let (now, down) = (Instant::now(), || Err(ask::unknown("down".to_owned())));
    let name = DnsName::new("a");
    name.learn(Ok((vec![ip("1.1.1.1")], now)), None, now);
    let later = now + Duration::from_secs(60);
    name.learn(down(), None, later);
    assert_eq!(&*name.addresses(later).unwrap(), [ip("1.1.1.1")]);
    assert_eq!(name.timeout(later), Some(Duration::ZERO), "it fails: nobody waits for it");
    let later = now + STALE + Duration::from_secs(60);
    name.learn(down(), None, later);
    assert_eq!(name.addresses(later).unwrap_err().kind, SendErrorKind::UnknownName);
    assert_eq!(name.timeout(later), None);
}

#[test]
fn the_cache_is_bounded() {
    let dns = Dns::default();
    for n in 0..NAMES + 10 {
        dns.name(&format!("host{n}"));
    }
    assert_eq!(dns.0.names.borrow().len(), NAMES);
}
