//! The way to providers: through a proxy where there is one, around it where that is said, and never to addresses that are the
//! platform's own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::proxy::Proxy;

use crate::resources::{CHAT, WAYS, chat, pool, route};

/// A proxy that tunnels everything to one server, or answers each `CONNECT` with this instead.
struct Door {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Door {
    fn start(target: SocketAddr, refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(stream, target, refusal, &seen));
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(
    mut near: TcpStream,
    target: SocketAddr,
    refusal: Option<&str>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(near.try_clone()?);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    seen.lock().unwrap().push(head);
    if let Some(refusal) = refusal {
        return near.write_all(refusal.as_bytes());
    }
    let mut far = TcpStream::connect(target)?;
    // In two pieces: a head may come so.
    near.write_all(b"HTTP/1.1 200 Connection est")?;
    near.write_all(b"ablished\r\nvia: 1.1 door\r\n\r\n")?;
    let (mut back, mut caller) = (far.try_clone()?, near.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut caller);
        let _ = caller.shutdown(std::net::Shutdown::Write);
    });
    std::io::copy(&mut reader, &mut far)?;
    far.shutdown(std::net::Shutdown::Write)
}

/// A provider of a pool at this URL.
fn provider(name: &str, url: &str, more: &str) -> String {
    format!("  - {{name: {name}, type: OpenAICompatible, url: \"{url}\", {more}}}\n")
}

fn manifests(providers: &[String]) -> String {
    pool("models", providers, "") + &route("far", "models")
}

#[tokio::test]
async fn a_provider_is_reached_through_the_proxy_and_the_login_is_told_to_it_alone() {
    let simulator = Simulator::start(&["--text", "from afar"]).unwrap();
    let door = Door::start(simulator.address, None);
    let way_out = format!("http://me:s3%3Acret@{}", door.address);
    let text = manifests(&[provider("far", "http://model.example:8000", "")]);
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--http-proxy", &way_out, "--log", "trace"]).unwrap();
    let client = proxy.client();
    for way in WAYS {
        let answer = way.call(&client, "far", &[]).await;
        assert!(answer.is_good(), "{}", answer.text());
        assert_eq!(way.said(&answer), "from afar");
    }
    let login = base64::engine::general_purpose::STANDARD.encode("me:s3:cret");
    for head in door.heads() {
        assert!(head.starts_with("CONNECT model.example:8000 HTTP/1.1\r\nhost: model.example:8000\r\n"), "{head}");
        assert!(head.contains(&format!("proxy-authorization: Basic {login}\r\n")), "{head}");
        assert_eq!(head.matches("\r\n").count(), 4, "more is said to the proxy than it needs: {head}");
    }
    assert!(!door.heads().is_empty());
    let mut told = proxy.log().join("\n");
    for page in ["/metrics", "/config", "/status"] {
        told += &proxy.page(page).unwrap().1;
    }
    assert!(!told.contains("s3%3Acret") && !told.contains("s3:cret") && !told.contains(&login));
}

#[tokio::test]
async fn what_is_said_to_go_around_the_proxy_goes_around_it() {
    let simulator = Simulator::start(&["--text", "from here"]).unwrap();
    let door = Door::start(simulator.address, None);
    let way_out = format!("http://{}", door.address);
    let text = manifests(&[
        // Nobody knows the name, so around the proxy it leads nowhere.
        provider("around", "http://model.example:8000", ""),
        // This machine is no other network's.
        provider("here", &format!("http://{}", simulator.address), "priority: 1"),
    ]);
    let flags = ["--http-proxy", &way_out, "--no-proxy", "other.example, .example,10.0.0.0/8"];
    let proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
    let answer = proxy.client().post(CHAT, &[], chat("far", false)).await.unwrap();
    assert!(answer.is_good() && answer.text().contains("from here"), "{}", answer.text());
    assert_eq!(door.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_proxy_that_makes_no_tunnel_fails_the_attempt_and_says_why() {
    let simulator = Simulator::start(&["--text", "from here"]).unwrap();
    for (refusal, said) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "it wants a login (407)"),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nno\r\n", "it makes no tunnel to model.example:8000: 403"),
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "bytes that nobody asked for"),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n", "its answer is no HTTP"),
        ("", "it closed the connection"),
    ] {
        let door = Door::start(simulator.address, Some(refusal));
        let way_out = format!("http://{}", door.address);
        let text = manifests(&[
            provider("far", "http://model.example:8000", ""),
            provider("here", &format!("http://{}", simulator.address), "priority: 1"),
        ]);
        let proxy = Proxy::start(&[("all.yaml", &text)], &["--http-proxy", &way_out]).unwrap();
        let answer = proxy.client().post(CHAT, &[], chat("far", false)).await.unwrap();
        assert!(answer.is_good() && answer.text().contains("from here"), "{refusal:?}: {}", answer.text());
        let alone = manifests(&[provider("far", "http://model.example:8000", "")]);
        let proxy = Proxy::start(&[("all.yaml", &alone)], &["--http-proxy", &way_out]).unwrap();
        let answer = proxy.client().post(CHAT, &[], chat("far", false)).await.unwrap();
        assert!([502, 503].contains(&answer.status), "{refusal:?}: {}", answer.text());
        proxy.until(said, |proxy| proxy.log().iter().any(|line| line.contains(said))).await.unwrap();
    }
}

#[test]
fn a_proxys_address_that_is_none_ends_the_start_and_is_not_repeated() {
    let error = Proxy::start(&[], &["--https-proxy", "socks5://me:s3cret@out:1080"]).unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("--https-proxy (HTTPS_PROXY)") && said.contains("write http://HOST:PORT"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn no_provider_is_at_an_address_of_the_platforms_own() {
    let simulator = Simulator::start(&[]).unwrap();
    let here = provider("here", &format!("http://{}", simulator.address), "priority: 1");
    for url in ["http://169.254.169.254", "http://[fd00:ec2::254]", "http://[::ffff:169.254.169.254]:80/latest"] {
        let text = pool("metadata", &[provider("one", url, "")], "") + &manifests(std::slice::from_ref(&here));
        let proxy = Proxy::start(&[("all.yaml", &text)], &[]).unwrap();
        let (_, page) = proxy.page("/config").unwrap();
        assert!(page.contains("no provider may be at") && page.contains("--allow-networks"), "{url}: {page}");
        let answer = proxy.client().post(CHAT, &[], chat("far", false)).await.unwrap();
        assert!(answer.is_good(), "the others serve: {}", answer.text());
    }
    // Loopback is a good place for a model server outside of a cluster, unless it is said not to be.
    let text = manifests(std::slice::from_ref(&here));
    let proxy = Proxy::start(&[("all.yaml", &text)], &["--deny-networks", "127.0.0.0/8"]).unwrap();
    let (_, page) = proxy.page("/config").unwrap();
    assert!(page.contains("denied by --deny-networks"), "{page}");
    let answer = proxy.client().post(CHAT, &[], chat("far", false)).await.unwrap();
    assert!(!answer.is_good(), "{}", answer.text());
    let port = format!("{}/32", simulator.address.ip());
    let flags = ["--deny-networks", "127.0.0.0/8", "--allow-networks", &port];
    let proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
    let answer = proxy.client().post(CHAT, &[], chat("far", false)).await.unwrap();
    assert!(answer.is_good(), "{}", answer.text());
}

#[tokio::test]
async fn a_name_that_leads_to_such_an_address_leads_nowhere() {
    // The one name beside localhost that a machine knows without a DNS server: its own.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_lowercase();
    let Ok(found) = (name.as_str(), 80).to_socket_addrs() else { return };
    let networks: Vec<String> = found
        .map(|address| address.ip().to_string())
        .map(|ip| format!("{ip}/{}", if ip.contains(':') { 128 } else { 32 }))
        .collect();
    let text = manifests(&[provider("one", &format!("http://{name}:9"), "")]);
    let said = "no provider may be at";
    for (flags, is_denied) in [(vec!["--deny-networks".to_owned(), networks.join(",")], true), (vec![], false)] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let proxy = Proxy::start(&[("all.yaml", &text)], &flags).unwrap();
        let answer = proxy.client().post(CHAT, &[], chat("far", false)).await.unwrap();
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(!answer.text().contains(said), "a caller has nothing to do with it");
        proxy.until("a line", |proxy| proxy.log().iter().any(|line| line.contains("\"attempts\""))).await.unwrap();
        assert_eq!(proxy.log().iter().any(|line| line.contains(said)), is_denied, "{:#?}", proxy.log());
    }
}
