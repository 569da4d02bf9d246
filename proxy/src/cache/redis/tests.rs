//! The client against a real `redis-server`, which must be installed (tests/setup/packages.sh). Clusters are tested
//! from outside, in tests/tests/shared_cache.rs.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::task::LocalSet;

use super::*;

/// A `redis-server` of its own, gone with the value.
pub(in crate::cache) struct Server {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Server {
    pub(in crate::cache) fn start(more: &[&str]) -> Self {
        Self::start_on(free_port(), more)
    }

    fn start_on(port: u16, more: &[&str]) -> Self {
        let dir = TempDir::with_prefix("sluicegate-redis-").unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
        command.arg("--dir").arg(dir.path()).args(more).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().expect("redis-server must be installed: tests/setup/packages.sh");
        Self { child, port, _dir: dir }
    }

    pub(in crate::cache) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Runs as a worker does: one thread, local tasks.
pub(in crate::cache) fn worker(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(test));
}

/// Waits until something is so, at most ten seconds.
pub(in crate::cache) async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited too long for {what}");
}

fn open(url: String) -> (Remote, Arc<Stats>) {
    let stats = Arc::<Stats>::default();
    (Remote::open(&[url], Login::default(), &stats).unwrap(), stats)
}

async fn raw(url: &str, words: &[&str]) -> Value {
    let mut link = ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    link.send_packed_command(&command).await.unwrap()
}

const KEY: Key = Key([9; 32]);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_is_put_is_got_and_goes_by_itself() {
    worker(async {
        let server = Server::start(&[]);
        let (remote, stats) = open(server.url());
        until("the connection", || remote.is_ready()).await;
        assert_eq!(remote.get(&KEY).await, None);
        remote.put(&KEY, b"\0binary\xff", MINUTE);
        until("the write", || remote.0.writes.get() == 0).await;
        assert_eq!(remote.get(&KEY).await.as_deref(), Some(&b"\0binary\xff"[..]));
        let Value::Int(left) = raw(&server.url(), &["PTTL", &name(&KEY).0]).await else { panic!("no number") };
        assert!(left > 0 && left <= 60_000, "{left}");
        let Value::Int(slot) = raw(&server.url(), &["CLUSTER", "KEYSLOT", "x"]).await else {
            // Not in cluster mode; the slot is checked against the specification's examples.
            return;
        };
        assert!(slot >= 0);
        assert_eq!((stats.redis_errors.get(), stats.redis_timeouts.get()), (0, 0));
    });
}

#[test]
fn a_redis_that_is_not_there_is_not_waited_for_and_found_when_it_comes() {
    worker(async {
        let port = free_port();
        let (remote, stats) = open(format!("redis://127.0.0.1:{port}"));
        for _ in 0..100 {
            assert_eq!(remote.get(&KEY).await, None);
            remote.put(&KEY, b"lost", MINUTE);
        }
        assert_eq!((stats.redis_skipped.get(), stats.redis_dropped.get()), (100, 100));
        assert_eq!(stats.redis_timeouts.get(), 0);
        let _server = Server::start_on(port, &[]);
        until("the connection", || remote.is_ready()).await;
        remote.put(&KEY, b"kept", MINUTE);
        until("the write", || remote.0.writes.get() == 0).await;
        assert_eq!(remote.get(&KEY).await.as_deref(), Some(&b"kept"[..]));
    });
}

#[test]
fn a_frozen_redis_costs_one_wait_and_is_found_when_it_goes_on() {
    worker(async {
        let server = Server::start(&[]);
        let (remote, stats) = open(server.url());
        until("the connection", || remote.is_ready()).await;
        remote.put(&KEY, b"kept", MINUTE);
        until("the write", || remote.0.writes.get() == 0).await;
        server.signal("-STOP");
        for _ in 0..100 {
            assert_eq!(remote.get(&KEY).await, None);
        }
        assert_eq!(stats.redis_timeouts.get(), 1, "one call waited");
        assert_eq!(stats.redis_skipped.get(), 99, "the others did not");
        assert_eq!(stats.redis_open.get(), 1);
        server.signal("-CONT");
        until("the connection", || remote.is_ready()).await;
        assert_eq!(stats.redis_open.get(), 0);
        assert_eq!(remote.get(&KEY).await.as_deref(), Some(&b"kept"[..]));
    });
}

#[test]
fn a_redis_that_died_and_came_again_is_used_again() {
    worker(async {
        let server = Server::start(&[]);
        let (url, port) = (server.url(), server.port);
        let (remote, stats) = open(url);
        until("the connection", || remote.is_ready()).await;
        drop(server);
        assert_eq!(remote.get(&KEY).await, None);
        for _ in 0..50 {
            assert_eq!(remote.get(&KEY).await, None);
        }
        assert_eq!(stats.redis_errors.get() + stats.redis_timeouts.get(), 1);
        let _server = Server::start_on(port, &[]);
        until("the connection", || remote.is_ready()).await;
        assert_eq!(remote.get(&KEY).await, None);
        assert_eq!(stats.redis_errors.get() + stats.redis_timeouts.get(), 1);
    });
}

#[test]
fn a_password_is_used_and_never_told() {
    worker(async {
        let server = Server::start(&["--requirepass", "s3cret"]);
        let (remote, _) = open(format!("redis://:s3cret@127.0.0.1:{}", server.port));
        until("the connection", || remote.is_ready()).await;
        assert!(!format!("{remote:?}").contains("s3cret"));
        let (wrong, stats) = open(format!("redis://:wr0ng@127.0.0.1:{}", server.port));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!wrong.is_ready());
        assert_eq!(wrong.get(&KEY).await, None);
        assert_eq!(stats.redis_skipped.get(), 1);
        for url in ["redis://:s3cret@host:port/", "http://user:s3cret@host", "redis+unix:///s3cret.sock", "s3cret"] {
            let error =
                Remote::open(&["redis://fine".to_owned(), url.to_owned()], Login::default(), &stats).unwrap_err();
            assert_eq!((error.place, error.of), (2, 2));
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        assert!(Remote::open(&[], Login::default(), &stats).is_err());
    });
}

#[test]
fn a_login_holds_for_every_url_without_its_own() {
    worker(async {
        let server = Server::start(&["--requirepass", "s3cret", "--user", "gate", "on", ">gatek3y", "~*", "+@all"]);
        let stats = Arc::<Stats>::default();
        let login = Login { username: None, password: Some("s3cret") };
        let plain = Remote::open(&["redis://127.0.0.1:1".to_owned(), server.url()], login, &stats).unwrap();
        let login = Login { username: Some("gate"), password: Some("gatek3y") };
        let named = Remote::open(&[server.url()], login, &stats).unwrap();
        let own = format!("redis://:s3cret@127.0.0.1:{}", server.port);
        let own = Remote::open(&[own], Login { username: None, password: Some("wr0ng") }, &stats).unwrap();
        for remote in [plain, named, own] {
            until("the connection", || remote.is_ready()).await;
            assert!(!format!("{remote:?}").contains("s3cret"));
        }
    });
}

#[test]
fn a_flood_of_writes_is_bounded() {
    worker(async {
        let server = Server::start(&[]);
        let (remote, stats) = open(server.url());
        until("the connection", || remote.is_ready()).await;
        let megabyte = vec![0; 1 << 20];
        for n in 0..100_u8 {
            remote.put(&Key([n; 32]), &megabyte, MINUTE);
        }
        assert_eq!(stats.redis_dropped.get(), 100 - 16);
        assert!(remote.0.write_bytes.get() <= MAX_WRITE_BYTES);
        until("the writes", || remote.0.writes.get() == 0).await;
        assert_eq!(remote.0.write_bytes.get(), 0);
        for n in 0..=255_u8 {
            remote.put(&Key([n; 32]), b"small", MINUTE);
        }
        remote.put(&KEY, b"small", MINUTE);
        assert_eq!(stats.redis_dropped.get(), 100 - 16 + 1);
    });
}
