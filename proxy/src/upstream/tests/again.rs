//! What is sent a second time and what is not; and that no answer reaches a call that it was not for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http_body_util::BodyExt;
use sluicegate_config::{Connection, HttpVersion, Millis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::{OK, TestCaller, connection, limits, origin, read_request, serve, url, worker};
use crate::upstream::{Origin, SendErrorKind, SendLimits};

/// Answers the first request of a connection and leaves at the second, whole as it came.
async fn answer_once_and_leave_at_the_second(mut stream: TcpStream, seen: Rc<Cell<u32>>) {
    for answer in [Some(OK), None] {
        if read_request(&mut stream).await.is_none() {
            return;
        }
        seen.set(seen.get() + 1);
        if let Some(answer) = answer {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }
}

#[test]
fn a_reused_connection_that_ends_unanswered_is_replaced_once_and_counted() {
    worker(async {
        let seen = Rc::new(Cell::new(0));
        let count = Rc::clone(&seen);
        let address = serve(move |_, stream| answer_once_and_leave_at_the_second(stream, Rc::clone(&count))).await;
        let (origin, caller) = (origin(&url(address), connection()), TestCaller::new());
        for _ in 0..3 {
            assert_eq!(caller.text(&origin, "{}").await, "hi");
        }
        assert_eq!((caller.resent.get(), seen.get()), (2, 5));
        // Where the pool does not want it, nothing goes out twice.
        let error = caller.send_until(&origin, "{}", SendLimits { resend: false, ..limits(Duration::from_secs(5)) });
        let error = error.await.unwrap_err();
        assert_eq!((error.kind, error.sent, error.resent, seen.get()), (SendErrorKind::Reset, true, false, 6));
    });
}

#[test]
fn no_request_goes_out_a_third_time() {
    worker(async {
        let seen = Rc::new(Cell::new(0));
        let count = Rc::clone(&seen);
        let address = serve(move |number, mut stream| {
            let seen = Rc::clone(&count);
            async move {
                // Only the first connection ever answers.
                while read_request(&mut stream).await.is_some() {
                    seen.set(seen.get() + 1);
                    if number > 0 || seen.get() > 1 {
                        return;
                    }
                    let _ = stream.write_all(OK.as_bytes()).await;
                }
            }
        })
        .await;
        let (origin, caller) = (origin(&url(address), connection()), TestCaller::new());
        caller.text(&origin, "{}").await;
        let error = caller.send(&origin, "{}").await.unwrap_err();
        assert_eq!((error.kind, error.resent, seen.get()), (SendErrorKind::Reset, true, 3));
    });
}

/// Sends `late` behind its answer to the first request of each connection; echoes every later body.
async fn say_more_than_asked(mut stream: TcpStream, late: &'static str) {
    let mut first = true;
    while let Some(request) = read_request(&mut stream).await {
        let body = request.rsplit("\r\n").next().unwrap_or_default().to_owned();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let _ = stream.write_all(answer.as_bytes()).await;
        if std::mem::take(&mut first) {
            tokio::task::yield_now().await;
            let _ = stream.write_all(late.as_bytes()).await;
        }
    }
}

#[test]
fn an_answer_that_nobody_asked_for_reaches_nobody_and_ends_reuse() {
    for late in ["\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate"] {
        worker(async move {
            let address = serve(move |_, stream| say_more_than_asked(stream, late)).await;
            let (origin, caller) = (origin(&url(address), connection()), TestCaller::new());
            for number in 0..50 {
                let body = format!("{{\"n\":{number}}}");
                assert_eq!(caller.text(&origin, &body).await, body);
            }
            let totals = caller.totals();
            assert_eq!((totals.created, totals.reused, totals.open), (50, 0, 0), "{late:?}");
        });
    }
}

#[test]
fn good_news_that_comes_before_the_request_has_left_is_somebody_elses() {
    for (early, taken) in [("200 OK", false), ("413 Payload Too Large", true)] {
        worker(async move {
            let address = serve(move |_, mut stream| async move {
                read_request(&mut stream).await;
                let _ = stream.write_all(OK.as_bytes()).await;
                let mut some = [0; 1024];
                let _ = stream.read(&mut some).await;
                let _ = stream.write_all(format!("HTTP/1.1 {early}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
                // Held open, unread: the rest of the request can not leave.
                std::future::pending::<()>().await;
            })
            .await;
            let (origin, caller) = (origin(&url(address), connection()), TestCaller::new());
            caller.text(&origin, "{}").await;
            let answered = caller.send(&origin, &"x".repeat(16 << 20)).await;
            match answered {
                Ok(response) => assert!(taken && response.status() == 413),
                Err(error) => assert!(!taken && error.kind == SendErrorKind::Protocol, "{error}"),
            }
            assert_eq!((caller.resent.get(), caller.totals().open), (0, 0), "{early}");
        });
    }
}

/// What a scripted HTTP/2 server does when a request's head has come.
enum Do {
    Nothing,
    Write(Vec<u8>),
    /// Writes, and is gone.
    Leave(Vec<u8>),
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A whole answer of status 200, without a body.
fn fine(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &[0x88])
}

fn goodbye(last: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

fn refusal(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &7_u32.to_be_bytes())
}

/// Speaks raw HTTP/2; `script` is asked with the number of each head on this connection, and its stream.
async fn speak(mut stream: TcpStream, script: impl Fn(u32, u32) -> Do) {
    // Room for a thousand streams.
    let settings = frame(4, 0, 0, &[&3_u16.to_be_bytes()[..], &1000_u32.to_be_bytes()].concat());
    let mut preface = [0; 24];
    if stream.read_exact(&mut preface).await.is_err() || stream.write_all(&settings).await.is_err() {
        return;
    }
    let (mut head, mut heads) = ([0; 9], 0);
    while stream.read_exact(&mut head).await.is_ok() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length.max(1)];
        if stream.read_exact(&mut payload[..length]).await.is_err() {
            return;
        }
        if head[3] != 1 {
            continue;
        }
        heads += 1;
        match script(heads, u32::from_be_bytes([head[5], head[6], head[7], head[8]])) {
            Do::Nothing => {}
            Do::Write(bytes) => drop(stream.write_all(&bytes).await),
            Do::Leave(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                // Closed with something unread, it would be reset, and its last words with it.
                while stream.read(&mut payload).await.is_ok_and(|read| read > 0) {}
                return;
            }
        }
    }
}

fn over_http2(address: std::net::SocketAddr) -> Origin {
    origin(&url(address), Connection { http: HttpVersion::Http2, ..connection() })
}

/// A hundred calls at once, after one that makes the connection: how many were answered, and the errors of the others.
async fn a_hundred(caller: &TestCaller, origin: &Origin) -> (usize, Vec<crate::upstream::SendError>) {
    caller.text(origin, "").await;
    let answers = join_all((0..100).map(|_| caller.send(origin, "{}"))).await;
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    (good, answers.into_iter().filter_map(Result::err).collect())
}

#[test]
fn a_broken_http2_connection_sends_none_of_its_calls_again_and_is_one_failure() {
    worker(async {
        let seen = Rc::new(Cell::new(0));
        let count = Rc::clone(&seen);
        let address = serve(move |_, stream| {
            let seen = Rc::clone(&count);
            speak(stream, move |heads, id| {
                seen.set(seen.get() + 1);
                match heads {
                    1 => Do::Write(fine(id)),
                    101 => Do::Leave(Vec::new()),
                    _ => Do::Nothing,
                }
            })
        })
        .await;
        let caller = TestCaller::new();
        let (good, errors) = a_hundred(&caller, &over_http2(address)).await;
        assert_eq!((good, errors.len(), seen.get(), caller.resent.get()), (0, 100, 101, 0));
        assert!(
            errors.iter().all(|error| error.sent && !error.resent && error.kind == SendErrorKind::Reset),
            "{errors:?}"
        );
        assert_eq!(errors.iter().filter(|error| !error.echo).count(), 1);
    });
}

#[test]
fn what_a_goodbye_leaves_out_is_sent_again_and_what_it_covers_is_not() {
    worker(async {
        let address = serve(move |number, stream| {
            speak(stream, move |heads, id| match (number, heads) {
                // Stream 1 is answered; 3 to 61, thirty calls, are said to have been taken on.
                (0, 2..=100) => Do::Nothing,
                (0, 101) => Do::Leave(goodbye(61)),
                _ => Do::Write(fine(id)),
            })
        })
        .await;
        let caller = TestCaller::new();
        let (good, errors) = a_hundred(&caller, &over_http2(address)).await;
        assert_eq!((good, errors.len(), caller.resent.get()), (70, 30, 70), "{errors:?}");
    });
}

#[test]
fn a_refused_stream_is_sent_again_once() {
    worker(async {
        let address = serve(move |_, stream| {
            let refused = Cell::new(0);
            speak(stream, move |heads, id| {
                // Every second one; a call that is refused twice is told so.
                let refuse = heads % 2 == 0;
                refused.set(refused.get() + u32::from(refuse));
                Do::Write(if refuse { refusal(id) } else { fine(id) })
            })
        })
        .await;
        let (origin, caller) = (over_http2(address), TestCaller::new());
        for _ in 0..10 {
            caller.send(&origin, "{}").await.unwrap();
        }
        assert!(caller.resent.get() > 0);
    });
}

#[test]
fn an_http2_connection_idle_for_too_long_is_not_used_again() {
    worker(async {
        let address = serve(move |_, stream| speak(stream, |_, id| Do::Write(fine(id)))).await;
        let settings = Connection { http: HttpVersion::Http2, idle_timeout: Millis(0), ..connection() };
        let (origin, caller) = (origin(&url(address), settings), TestCaller::new());
        for _ in 0..3 {
            caller.send(&origin, "{}").await.unwrap().into_body().collect().await.unwrap();
        }
        assert_eq!((caller.totals().created, caller.totals().reused), (3, 0));
    });
}

#[test]
fn a_stream_that_is_not_taken_is_asked_for_on_another_connection() {
    worker(async {
        let none = || frame(4, 0, 0, &[&3_u16.to_be_bytes()[..], &0_u32.to_be_bytes()].concat());
        let address = serve(move |number, stream| {
            speak(stream, move |_, id| Do::Write(if number == 0 { [none(), fine(id)].concat() } else { fine(id) }))
        })
        .await;
        let (origin, caller) = (over_http2(address), TestCaller::new());
        caller.send(&origin, "{}").await.unwrap();
        caller.send_within(&origin, "{}", Duration::from_millis(200)).await.unwrap();
        assert_eq!((caller.totals().created, caller.resent.get()), (2, 0));
    });
}

#[test]
fn a_connection_on_which_a_call_waited_in_vain_takes_no_other() {
    worker(async {
        let address = serve(move |number, stream| {
            speak(stream, move |heads, id| if number == 0 && heads > 1 { Do::Nothing } else { Do::Write(fine(id)) })
        })
        .await;
        let (origin, caller) = (over_http2(address), TestCaller::new());
        caller.send(&origin, "{}").await.unwrap();
        // Given up at once: nothing can be told from that.
        for (wait, connections) in [(50, 1), (1_200, 2)] {
            let until = Instant::now() + Duration::from_millis(wait);
            let limits = SendLimits { until, ..limits(Duration::from_secs(20)) };
            assert!(caller.send_until(&origin, "{}", limits).await.is_err());
            if connections == 2 {
                caller.send(&origin, "{}").await.unwrap();
            }
            assert_eq!(caller.totals().created, connections);
        }
    });
}
