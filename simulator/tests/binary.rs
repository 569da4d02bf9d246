//! The simulator as a process: its port, its workers, and a connection that is really reset.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can not go on has failed")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

struct Process(Child, SocketAddr);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(flags: &[&str]) -> Process {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sluicegate-simulator"))
        .args(["--listen", "127.0.0.1:0"])
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
    Process(child, address)
}

fn call(process: &Process, headers: &str) -> (Vec<u8>, std::io::Result<()>) {
    let mut connection = TcpStream::connect(process.1).unwrap();
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let length = body.len();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    write!(connection, "{head}{headers}content-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => return (answer, Ok(())),
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) => return (answer, Err(error)),
        }
    }
}

#[test]
fn several_workers_share_the_port() {
    let process = start(&["--workers", "2", "--tokens", "5"]);
    for _ in 0..8 {
        let (answer, ended) = call(&process, "");
        assert!(ended.is_ok() && String::from_utf8_lossy(&answer).contains("[DONE]"));
    }
}

#[test]
fn a_reset_is_a_reset() {
    let process = start(&["--fail", "reset"]);
    let (answer, ended) = call(&process, "");
    assert_eq!((answer.len(), ended.unwrap_err().kind()), (0, ErrorKind::ConnectionReset));
    // A steered call takes the place of the behaviour's own failure; what was sent before may be lost with a reset.
    let (_, ended) = call(&process, "x-simulate: fail=reset; after=2; interval=10ms\r\n");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_cut_is_an_orderly_end_in_the_wrong_place() {
    let process = start(&["--fail", "cut", "--fail-after", "2"]);
    let (answer, ended) = call(&process, "");
    assert!(ended.is_ok() && !String::from_utf8_lossy(&answer).contains("[DONE]"));
}
