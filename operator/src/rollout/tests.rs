//! Streams over real sockets: begun, read in pieces, cut, refused, begun again.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream;
use sluicegate_config::rollout::{Line, Running};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::fleet::{PodEvent, PodFacts};
use super::*;

fn pod(name: &str, address: SocketAddr) -> PodFacts {
    PodFacts { name: name.to_owned(), uid: name.to_owned(), address: Some(address), ready: true, deleting: false }
}

fn id() -> ObjectId {
    ObjectId("a/r".to_owned())
}

fn line(whole: bool, revision: &str) -> String {
    let running = Running { revision: Some(revision.to_owned()), ..Running::default() };
    let line =
        Line { whole, ready: true, objects: [(Kind::LlmRoute, [(id(), running)].into())].into(), ..Line::default() };
    serde_json::to_string(&line).unwrap()
}

/// Takes a connection and its request, and answers with a head.
async fn accept(listener: &TcpListener, status: &str) -> TcpStream {
    accept_with(listener, status, None).await
}

/// The same, of a request with this token or none.
async fn accept_with(listener: &TcpListener, status: &str, token: Option<&str>) -> TcpStream {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 4_096];
    let read = socket.read(&mut request).await.unwrap();
    let request = String::from_utf8_lossy(&request[..read]);
    assert!(request.starts_with("GET /rollout HTTP/1.1\r\n"));
    let said = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    assert_eq!(said, token);
    socket.write_all(format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    socket
}

async fn until(rollout: &Rollout, revision: &str, running: usize) {
    let wanted = Wanted { revision: revision.to_owned(), ..Wanted::default() };
    let settled = async {
        while rollout.standing(Kind::LlmRoute, &id(), Some(&wanted)).running != running {
            rollout.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settled).await.unwrap();
}

#[tokio::test(flavor = "local")]
async fn a_stream_is_read_in_any_pieces_and_begun_again_when_it_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pods = stream::iter([PodEvent::All(vec![pod("p", listener.local_addr().unwrap())])]);
    let rollout = Rc::new(Rollout::default());
    tokio::task::spawn_local(Rc::clone(&rollout).follow(pods));

    let mut socket = accept(&listener, "200 OK").await;
    let text = format!("{}\n\n{}\n", line(true, "r1"), line(false, "r2"));
    let (first, rest) = text.split_at(20);
    socket.write_all(first.as_bytes()).await.unwrap();
    socket.write_all(rest.as_bytes()).await.unwrap();
    until(&rollout, "r2", 1).await;

    // Refused, then nonsense, then a stream again.
    drop(socket);
    drop(accept(&listener, "503 Service Unavailable").await);
    let mut socket = accept(&listener, "200 OK").await;
    socket.write_all(b"{nonsense\n").await.unwrap();
    let mut socket = accept(&listener, "200 OK").await;
    socket.write_all(format!("{}\n", line(true, "r3")).as_bytes()).await.unwrap();
    until(&rollout, "r3", 1).await;
}

/// Else it never has the operator's place, and is never told of budgets.
#[tokio::test(flavor = "local")]
async fn a_stream_is_begun_anew_when_there_is_a_token_that_it_did_not_show() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pods = stream::iter([PodEvent::All(vec![pod("p", listener.local_addr().unwrap())])]);
    let token = Rc::new(RefCell::new(None));
    let of_now = Rc::clone(&token);
    let rollout = Rc::new(Rollout::new(Box::new(move || of_now.borrow().clone())));
    tokio::task::spawn_local(Rc::clone(&rollout).follow(pods));

    let mut socket = accept(&listener, "200 OK").await;
    let mut shown = "r0".to_owned();
    socket.write_all(format!("{}\n", line(true, &shown)).as_bytes()).await.unwrap();
    until(&rollout, &shown, 1).await;
    for (number, word) in ["made-up-just-now", "made-up-anew"].into_iter().enumerate() {
        // At the next sign of life.
        *token.borrow_mut() = Some(word.to_owned());
        socket.write_all(b"\n").await.unwrap();
        socket = accept_with(&listener, "200 OK", Some(word)).await;
        shown = format!("r{}", number + 1);
        socket.write_all(format!("{}\n", line(true, &shown)).as_bytes()).await.unwrap();
        until(&rollout, &shown, 1).await;
    }
    // A token that is gone for now, or the same, is no reason.
    *token.borrow_mut() = None;
    socket.write_all(format!("\n{}\n\n", line(false, "r8")).as_bytes()).await.unwrap();
    until(&rollout, "r8", 1).await;
    *token.borrow_mut() = Some("made-up-anew".to_owned());
    socket.write_all(format!("\n{}\n", line(false, "r9")).as_bytes()).await.unwrap();
    until(&rollout, "r9", 1).await;
}

#[tokio::test(flavor = "local")]
async fn a_pod_that_is_gone_is_asked_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (show, shown) = tokio::sync::mpsc::channel(4);
    let pods = stream::unfold(shown, |mut shown| async move { Some((shown.recv().await?, shown)) });
    let rollout = Rc::new(Rollout::default());
    tokio::task::spawn_local(Rc::clone(&rollout).follow(pods));
    show.send(PodEvent::All(vec![pod("p", listener.local_addr().unwrap())])).await.unwrap();
    let mut socket = accept(&listener, "200 OK").await;
    socket.write_all(format!("{}\n", line(true, "r1")).as_bytes()).await.unwrap();
    until(&rollout, "r1", 1).await;
    show.send(PodEvent::Gone("p".to_owned())).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the operator hangs up");
    until(&rollout, "r1", 0).await;
}
