//! The client against a real `redis-server`, which must be installed (tests/setup/packages.sh). Clusters are tested
//! from outside, in tests/tests/shared_cache/main.rs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::LocalSet;

use ::redis::{Cmd, Value};

use super::*;

/// A `redis-server` of its own, gone with the value.
pub(crate) struct Server {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Server {
    pub(crate) fn start(more: &[&str]) -> Self {
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

    pub(crate) fn url(&self) -> String {
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
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Runs as a worker does: one thread, local tasks.
pub(crate) fn worker(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(test));
}

/// Waits until something is so, at most ten seconds.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited too long for {what}");
}

fn open(url: String) -> (RedisClient, Arc<RedisCounts>) {
    let counts = Arc::<RedisCounts>::default();
    (RedisClient::open(&[url], Login::default(), &counts).unwrap(), counts)
}

async fn raw(url: &str, words: &[&str]) -> Value {
    let mut link = ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    link.send_packed_command(&command).await.unwrap()
}

const KEY: &str = "sluicegate:{09}:cache";
const ABSENT: Result<Option<bytes::Bytes>, Unanswered> = Ok(None);
const AWAY: Result<Option<bytes::Bytes>, Unanswered> = Err(Unanswered::Away);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_is_put_is_got_and_goes_by_itself() {
    worker(async {
        let server = Server::start(&[]);
        let (remote, counts) = open(server.url());
        until("the connection", || remote.is_ready()).await;
        assert_eq!(remote.get(KEY).await, ABSENT);
        remote.set(KEY, b"\0binary\xff", MINUTE);
        until("the write", || remote.writing() == (0, 0)).await;
        assert_eq!(remote.get(KEY).await.unwrap().as_deref(), Some(&b"\0binary\xff"[..]));
        let Value::Int(left) = raw(&server.url(), &["PTTL", KEY]).await else { panic!("no number") };
        assert!(left > 0 && left <= 60_000, "{left}");
        remote.del(KEY);
        until("the write", || remote.writing() == (0, 0)).await;
        assert_eq!(remote.get(KEY).await, ABSENT);
        assert_eq!((counts.errors.get(), counts.timeouts.get()), (0, 0));
    });
}

#[test]
fn a_redis_that_is_not_there_is_not_waited_for_and_found_when_it_comes() {
    worker(async {
        let port = free_port();
        let (remote, counts) = open(format!("redis://127.0.0.1:{port}"));
        for _ in 0..100 {
            assert_eq!(remote.get(KEY).await, AWAY);
            remote.set(KEY, b"lost", MINUTE);
        }
        assert_eq!((counts.skipped.get(), counts.dropped.get()), (100, 100));
        assert_eq!(counts.timeouts.get(), 0);
        until("the gauge to say so", || counts.open.get() == 1).await;
        let _server = Server::start_on(port, &[]);
        until("the connection", || remote.is_ready()).await;
        until("the gauge to say so", || counts.open.get() == 0).await;
        remote.set(KEY, b"kept", MINUTE);
        until("the write", || remote.writing() == (0, 0)).await;
        assert_eq!(remote.get(KEY).await.unwrap().as_deref(), Some(&b"kept"[..]));
    });
}

#[test]
fn a_frozen_redis_costs_one_wait_and_is_found_when_it_goes_on() {
    worker(async {
        let server = Server::start(&[]);
        let (remote, counts) = open(server.url());
        until("the connection", || remote.is_ready()).await;
        remote.set(KEY, b"kept", MINUTE);
        until("the write", || remote.writing() == (0, 0)).await;
        server.signal("-STOP");
        for _ in 0..100 {
            assert_eq!(remote.get(KEY).await, AWAY);
        }
        assert_eq!(counts.timeouts.get(), 1, "one call waited");
        assert_eq!(counts.skipped.get(), 99, "the others did not");
        assert_eq!(counts.open.get(), 1);
        server.signal("-CONT");
        until("the connection", || remote.is_ready()).await;
        assert_eq!(counts.open.get(), 0);
        assert_eq!(remote.get(KEY).await.unwrap().as_deref(), Some(&b"kept"[..]));
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the worker is held up on purpose")]
fn a_worker_that_was_held_up_has_not_waited_for_redis() {
    worker(async {
        let server = Server::start(&[]);
        let (remote, counts) = open(server.url());
        until("the connection", || remote.is_ready()).await;
        let mut in_time = 0;
        for turns in 0..12 {
            // The question is written, or not yet, and its answer read, or not yet: meanwhile nothing of this worker goes on.
            let hold_up = async {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                std::thread::sleep(node::LIMIT + Duration::from_millis(20));
            };
            let (answer, ()) = tokio::join!(remote.get(KEY), hold_up);
            in_time += u32::from(answer == ABSENT);
            until("the connection", || remote.is_ready()).await;
        }
        // On a busy machine Redis may be as late as the worker.
        assert!(in_time >= 9, "{in_time}, {} timeouts", counts.timeouts.get());
    });
}

#[test]
fn a_redis_that_died_and_came_again_is_used_again() {
    worker(async {
        let server = Server::start(&[]);
        let (url, port) = (server.url(), server.port);
        let (remote, counts) = open(url);
        until("the connection", || remote.is_ready()).await;
        drop(server);
        for _ in 0..51 {
            assert_eq!(remote.get(KEY).await, AWAY);
        }
        assert_eq!(counts.errors.get() + counts.timeouts.get(), 1);
        let _server = Server::start_on(port, &[]);
        until("the connection", || remote.is_ready()).await;
        assert_eq!(remote.get(KEY).await, ABSENT);
        assert_eq!(counts.errors.get() + counts.timeouts.get(), 1);
    });
}

#[test]
fn a_password_is_used_and_never_told() {
    worker(async {
        let server = Server::start(&["--requirepass", "s3cret"]);
        let (remote, _) = open(format!("redis://:s3cret@127.0.0.1:{}", server.port));
        until("the connection", || remote.is_ready()).await;
        assert!(!format!("{remote:?}").contains("s3cret"));
        let (wrong, counts) = open(format!("redis://:wr0ng@127.0.0.1:{}", server.port));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!wrong.is_ready());
        assert_eq!(wrong.get(KEY).await, AWAY);
        assert_eq!(counts.skipped.get(), 1);
        for url in ["redis://:s3cret@host:port/", "http://user:s3cret@host", "redis+unix:///s3cret.sock", "s3cret"] {
            let error =
                RedisClient::open(&["redis://fine".to_owned(), url.to_owned()], Login::default(), &counts).unwrap_err();
            assert_eq!((error.place, error.of), (2, 2));
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        assert!(RedisClient::open(&[], Login::default(), &counts).is_err());
    });
}

#[test]
fn a_login_holds_for_every_url_without_its_own() {
    worker(async {
        let server = Server::start(&["--requirepass", "s3cret", "--user", "gate", "on", ">gatek3y", "~*", "+@all"]);
        let counts = Arc::<RedisCounts>::default();
        let login = Login { username: None, password: Some("s3cret") };
        let plain = RedisClient::open(&["redis://127.0.0.1:1".to_owned(), server.url()], login, &counts).unwrap();
        let login = Login { username: Some("gate"), password: Some("gatek3y") };
        let named = RedisClient::open(&[server.url()], login, &counts).unwrap();
        let own = format!("redis://:s3cret@127.0.0.1:{}", server.port);
        let own = RedisClient::open(&[own], Login { username: None, password: Some("wr0ng") }, &counts).unwrap();
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
        let (remote, counts) = open(server.url());
        until("the connection", || remote.is_ready()).await;
        let megabyte = vec![0; 1 << 20];
        for n in 0..100_u8 {
            remote.set(&n.to_string(), &megabyte, MINUTE);
        }
        assert_eq!(counts.dropped.get(), 100 - 16);
        assert!(remote.writing().1 <= 16 << 20);
        // A machine that is busy takes longer over them than the client waits, and then it looks for its master anew.
        until("the writes", || remote.writing() == (0, 0) && remote.is_ready()).await;
        for n in 0..=255_u8 {
            remote.set(&n.to_string(), b"small", MINUTE);
        }
        remote.set(KEY, b"small", MINUTE);
        assert_eq!(counts.dropped.get(), 100 - 16 + 1);
    });
}

const COUNT: &str = "return redis.call('INCRBY', KEYS[1], ARGV[1])";

#[test]
fn a_script_goes_by_its_digest_and_is_brought_again_to_a_node_that_forgot_it() {
    worker(async {
        let server = Server::start(&[]);
        let (remote, counts) = open(server.url());
        until("the connection", || remote.is_ready()).await;
        let script = Script::new(COUNT);
        for sum in 1..=6 {
            assert_eq!(remote.eval(&script, &["{k}:n"], &[b"1"]).await, Ok(Value::Int(sum)));
            if sum % 2 == 0 {
                raw(&server.url(), &["SCRIPT", "FLUSH"]).await;
            }
        }
        let Value::BulkString(stats) = raw(&server.url(), &["INFO", "commandstats"]).await else { panic!("no text") };
        let stats = String::from_utf8(stats).unwrap();
        assert!(stats.contains("cmdstat_eval:calls=3,"), "whole only where it was not known: {stats}");
        assert_eq!(
            remote.eval(&Script::new("return redis.error_reply('no')"), &["k"], &[]).await,
            Err(Unanswered::Refused)
        );
        assert_eq!(counts.errors.get(), 1);
        // Keys of several slots lie on several nodes.
        assert_eq!(remote.eval(&script, &["a", "b"], &[b"1"]).await, Err(Unanswered::Refused));
        assert_eq!(remote.eval(&script, &[], &[b"1"]).await, Err(Unanswered::Refused));
    });
}

fn command(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(words);
    command
}

#[test]
fn a_pipeline_is_answered_one_by_one() {
    worker(async {
        let server = Server::start(&[]);
        let (remote, counts) = open(server.url());
        until("the connection", || remote.is_ready()).await;
        let commands = [command(&["SET", "{k}:a", "1"]), command(&["LPUSH", "{k}:a", "x"]), command(&["GET", "{k}:a"])];
        let answers = remote.pipeline(&["{k}:a"], &commands).await.unwrap();
        assert_eq!(answers, [Ok(Value::Okay), Err(Unanswered::Refused), Ok(Value::BulkString(b"1".to_vec()))]);
        assert_eq!(counts.errors.get(), 1, "what is wrong with one is wrong with that one");
        assert_eq!(remote.pipeline(&["a", "b"], &commands).await, Err(Unanswered::Refused));
    });
}

#[test]
fn what_redis_says_unasked_is_no_answer() {
    worker(async {
        let server = Server::start(&["--requirepass", "s3cret"]);
        let (remote, counts) = open(format!("redis://:s3cret@127.0.0.1:{}?protocol=resp3", server.port));
        until("the connection", || remote.is_ready()).await;
        // Every write of anybody's is told to this connection from now on.
        let tracking = command(&["CLIENT", "TRACKING", "ON", "BCAST"]);
        assert_eq!(remote.pipeline(&[KEY], &[tracking]).await.unwrap(), [Ok(Value::Okay)]);
        let url = format!("redis://:s3cret@127.0.0.1:{}", server.port);
        for n in 0..200 {
            raw(&url, &["SET", KEY, &n.to_string()]).await;
            assert_eq!(remote.get(KEY).await.unwrap().as_deref(), Some(n.to_string().as_bytes()));
        }
        assert_eq!((counts.errors.get(), counts.timeouts.get(), counts.skipped.get()), (0, 0, 0));
    });
}

/// A node that answers each command as a test says; its port.
fn node(answer: impl Fn(&[String], &mut bool) -> String + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(socket, answer.as_ref()));
        }
    });
    port
}

fn serve(socket: TcpStream, answer: &(impl Fn(&[String], &mut bool) -> String + ?Sized)) {
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines().map_while(Result::ok);
    // Each answer is a write of its own.
    socket.set_nodelay(true).unwrap();
    let mut out = socket;
    let mut asking = false;
    while let Some(head) = lines.next() {
        let words: usize = head.trim_start_matches('*').parse().unwrap();
        // Each word is its length and itself.
        let said: Vec<String> = (0..words).map_while(|_| lines.nth(1)).collect();
        if out.write_all(answer(&said, &mut asking).as_bytes()).is_err() {
            return;
        }
    }
}

/// What every node knows; `None`: the test's own.
fn greeting(said: &[String], master: u16) -> Option<String> {
    match said.first()?.as_str() {
        "CLIENT" => Some("+OK\r\n".to_owned()),
        "PING" => Some("+PONG\r\n".to_owned()),
        "CLUSTER" => {
            let port = if master == 0 { "?".to_owned() } else { master.to_string() };
            Some(format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:{port}\r\n"))
        }
        _ => None,
    }
}

/// A cluster of two: the first node has all slots and says of each key where it is; the second has the keys that are
/// asked for in order.
fn pair(word: &'static str) -> (u16, Arc<AtomicU16>) {
    let own = Arc::new(AtomicU16::new(0));
    let first = Arc::clone(&own);
    let second = node(move |said, asking| {
        if let Some(told) = greeting(said, first.load(Ordering::Relaxed)) {
            return told;
        }
        let allowed = std::mem::take(asking) || word == "MOVED";
        match said[0].as_str() {
            "ASKING" => {
                *asking = true;
                "+OK\r\n".to_owned()
            }
            _ if !allowed => format!("-MOVED 7 127.0.0.1:{}\r\n", first.load(Ordering::Relaxed)),
            "GET" => "$5\r\nthere\r\n".to_owned(),
            "EVALSHA" => "-NOSCRIPT No matching script.\r\n".to_owned(),
            "EVAL" => ":7\r\n".to_owned(),
            _ => "-ERR unknown\r\n".to_owned(),
        }
    });
    let first = Arc::clone(&own);
    let port = node(move |said, _| {
        let told = greeting(said, first.load(Ordering::Relaxed));
        told.unwrap_or_else(|| format!("-{word} 7 127.0.0.1:{second}\r\n"))
    });
    own.store(port, Ordering::Relaxed);
    (port, own)
}

#[test]
fn a_redirection_is_followed_to_a_node_that_nobody_knew() {
    for word in ["ASK", "MOVED"] {
        worker(async {
            let (port, _own) = pair(word);
            let (remote, counts) = open(format!("redis://127.0.0.1:{port}"));
            until("the connection", || remote.is_ready()).await;
            // The first question makes the other node known; it is connected to in the background.
            let mut answer = remote.get(KEY).await;
            for _ in 0..100 {
                if answer.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                answer = remote.get(KEY).await;
            }
            assert_eq!(answer.unwrap().as_deref(), Some(&b"there"[..]), "{word}");
            let answers = remote.pipeline(&[KEY], &[command(&["GET", KEY]), command(&["GET", KEY])]).await.unwrap();
            let there = || Ok(Value::BulkString(b"there".to_vec()));
            assert_eq!(answers, [there(), there()], "{word}");
            assert_eq!(remote.eval(&Script::new(COUNT), &[KEY], &[b"1"]).await, Ok(Value::Int(7)), "{word}");
            assert_eq!((counts.errors.get(), counts.timeouts.get()), (0, 0), "{word}");
        });
    }
}

/// The line of the documents that makes the user.
fn documented_user() -> Vec<String> {
    let text = include_str!("../../../docs/install.md");
    let from = text.find("ACL SETUSER sluicegate").expect("docs/install.md has the user's rights");
    let lines = text.get(from..).unwrap_or_default().lines().take_while(|line| !line.trim().is_empty());
    let words = lines.flat_map(|line| line.split_whitespace().filter(|word| *word != "\\"));
    words.map(|word| word.replace(">PASSWORD", ">secret")).collect()
}

/// The commands that scripts of this crate run.
fn commands_of_scripts(folder: &std::path::Path, found: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            commands_of_scripts(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let calls = text.split("redis.call('").skip(1);
            let names = calls.filter_map(|call| Some(call.split_once('\'')?.0));
            let is_name = |name: &&str| name.chars().all(|letter| letter.is_ascii_uppercase());
            found.extend(names.filter(is_name).map(str::to_owned));
        }
    }
}

#[test]
fn the_documented_user_may_do_what_proxies_do_and_nothing_else() {
    worker(async {
        let server = Server::start(&[]);
        let words = documented_user();
        let made = loop {
            let Ok(client) = ::redis::Client::open(server.url()) else { panic!("no client") };
            if client.get_multiplexed_async_connection().await.is_ok() {
                break raw(&server.url(), &words.iter().map(String::as_str).collect::<Vec<_>>()).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(made, Value::Okay, "{words:?}");
        let mut commands = std::collections::BTreeSet::new();
        commands_of_scripts(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut commands);
        assert!(commands.len() > 10, "{commands:?}");
        let own = "PING|ASKING|CLUSTER SLOTS|GET|SET|DEL|GETDEL|EVAL|EVALSHA|XADD|XREAD|TIME|PEXPIRE|STRLEN|GETRANGE|ZREVRANGE|ZSCORE|ZCOUNT";
        commands.extend(own.split('|').map(str::to_owned));
        for command in &commands {
            let right = format!("+{}", command.to_lowercase().replace(' ', "|"));
            assert!(words.contains(&right), "docs/install.md has no {right}");
        }
        for command in [&["GET", "others"][..], &["KEYS", "*"], &["CONFIG", "GET", "*"], &["FLUSHALL"]] {
            let answer = raw(&server.url(), &[&["ACL", "DRYRUN", "sluicegate"], command].concat()).await;
            assert!(format!("{answer:?}").contains("permissions"), "{command:?}: {answer:?}");
        }
        let counts = Arc::<RedisCounts>::default();
        let login = Login { username: Some("sluicegate"), password: Some("secret") };
        let remote = RedisClient::open(&[server.url()], login, &counts).unwrap();
        until("the connection", || remote.is_ready()).await;
        remote.set(KEY, b"kept", MINUTE);
        until("the write", || remote.writing() == (0, 0)).await;
        assert_eq!(remote.get(KEY).await.unwrap().as_deref(), Some(&b"kept"[..]));
        let script = Script::new("redis.call('HSET', KEYS[1], 'a', 1) return redis.call('HGETALL', KEYS[1])");
        assert!(remote.eval(&script, &["sluicegate:{09}:places"], &[]).await.is_ok());
        assert!(remote.append("sluicegate:{09}:learned", b"entry", (9, MINUTE)).await.is_ok());
        assert_eq!(counts.refusals().map(|(_, count)| count).sum::<u64>(), 0);
    });
}

#[test]
fn the_reason_why_redis_says_no_is_counted() {
    worker(async {
        let mut settings = vec!["--requirepass", "secret", "--user"];
        settings.extend("narrow on >narrow ~* +ping +get +cluster|slots".split(' '));
        let server = Server::start(&settings);
        let refused =
            |counts: &RedisCounts, reason: &str| counts.refusals().any(|(known, count)| known == reason && count > 0);
        let open = |username, password| {
            let counts = Arc::<RedisCounts>::default();
            let login = Login { username, password };
            (RedisClient::open(&[server.url()], login, &counts).unwrap(), counts)
        };
        for (password, reason) in [(None, "NOAUTH"), (Some("wrong"), "AUTH")] {
            let (_remote, counts) = open(None, password);
            until(reason, || refused(&counts, reason)).await;
        }
        let (remote, counts) = open(Some("narrow"), Some("narrow"));
        until("the connection", || remote.is_ready()).await;
        let script = Script::new("return 1");
        assert_eq!(remote.eval(&script, &[KEY], &[]).await, Err(Unanswered::Refused));
        assert!(refused(&counts, "NOPERM"));
        let url = format!("redis://:secret@127.0.0.1:{}", server.port);
        raw(&url, &["CONFIG", "SET", "maxmemory", "1"]).await;
        let (remote, counts) = open(None, Some("secret"));
        until("the connection", || remote.is_ready()).await;
        remote.set(KEY, b"more", MINUTE);
        until("the write", || remote.writing() == (0, 0)).await;
        assert!(refused(&counts, "OOM"));
    });
}
