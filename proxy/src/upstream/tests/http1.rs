//! HTTP/1.1: reuse, dead connections, cut answers.

use std::cell::Cell;
use std::rc::Rc;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;

use super::harness::{OK, TestCaller, answer_all, answer_once, connection, origin, read_request, serve, url, worker};
use crate::upstream::{BodyError, SendErrorKind, SendFault, SendPhase};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";

#[test]
fn one_connection_serves_calls_one_after_the_other() {
    for answer in [OK, CHUNKED, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"] {
        worker(async move {
            let origin = origin(&url(serve(move |_, stream| answer_all(stream, answer)).await), connection());
            let caller = TestCaller::new();
            for _ in 0..100 {
                caller.text(&origin, "{}").await;
            }
            let totals = caller.totals();
            assert_eq!((totals.created, totals.reused), (1, 99), "{answer}");
            assert_eq!((totals.open, totals.idle), (1, 1), "{answer}");
        });
    }
}

#[test]
fn the_request_is_written_as_a_client_would_write_it() {
    worker(async {
        let seen = Rc::new(Cell::new(String::new()));
        let into = Rc::clone(&seen);
        let address = serve(move |_, mut stream| {
            let into = Rc::clone(&into);
            async move {
                into.set(read_request(&mut stream).await.unwrap());
                let _ = stream.write_all(OK.as_bytes()).await;
            }
        })
        .await;
        TestCaller::new().text(&origin(&url(address), connection()), "{\"a\":1}").await;
        let seen = seen.take();
        assert!(seen.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains(&format!("host: {address}\r\n")), "{seen}");
        assert!(seen.contains("content-length: 7\r\n"), "{seen}");
        assert!(seen.ends_with("\r\n\r\n{\"a\":1}"), "{seen}");
    });
}

#[test]
fn a_connection_the_provider_closed_while_idle_is_not_used() {
    worker(async {
        let origin = origin(&url(serve(|_, stream| answer_once(stream, OK)).await), connection());
        let caller = TestCaller::new();
        for _ in 0..20 {
            assert_eq!(caller.text(&origin, "{}").await, "hi");
        }
        assert_eq!(caller.totals().failed, 0);
    });
}

#[test]
fn a_connection_closed_at_the_next_request_is_replaced_without_an_error() {
    worker(async {
        let address = serve(|_, mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            // The second request arrives, and the connection goes without a word.
            read_request(&mut stream).await;
        })
        .await;
        let origin = origin(&url(address), connection());
        let caller = TestCaller::new();
        for _ in 0..10 {
            assert_eq!(caller.text(&origin, "{}").await, "hi");
        }
        assert_eq!(caller.totals().created, 10);
    });
}

#[test]
fn a_fresh_connection_that_is_closed_without_an_answer_is_an_error() {
    worker(async {
        let address = serve(|_, mut stream| async move {
            read_request(&mut stream).await;
        })
        .await;
        let error = TestCaller::new().send(&origin(&url(address), connection()), "{}").await.unwrap_err();
        assert_eq!((error.phase, error.kind, error.sent), (SendPhase::Head, SendErrorKind::Reset, true));
        assert_eq!(error.fault(), SendFault::Upstream);
    });
}

#[test]
fn a_reused_connection_that_breaks_within_the_head_is_an_error() {
    worker(async {
        let address = serve(|_, mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 O").await;
        })
        .await;
        let origin = origin(&url(address), connection());
        let caller = TestCaller::new();
        caller.text(&origin, "{}").await;
        let error = caller.send(&origin, "{}").await.unwrap_err();
        assert_eq!((error.phase, error.kind), (SendPhase::Head, SendErrorKind::Reset));
    });
}

#[test]
fn a_cut_answer_is_an_error_and_never_an_end() {
    let cut = [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nh",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ];
    for answer in cut {
        worker(async move {
            let origin = origin(&url(serve(move |_, stream| answer_once(stream, answer)).await), connection());
            let caller = TestCaller::new();
            let body = caller.send(&origin, "{}").await.unwrap().into_body();
            let error = body.collect().await.unwrap_err();
            assert!(matches!(error, BodyError::Cut(_)), "{answer}: {error}");
            assert_eq!(caller.totals().open, 0, "{answer}");
        });
    }
}

#[test]
fn bytes_that_are_no_http_are_named_so() {
    worker(async {
        let broken = serve(|_, stream| answer_once(stream, "SSH-2.0-OpenSSH_9.2\r\n\r\n")).await;
        let error = TestCaller::new().send(&origin(&url(broken), connection()), "{}").await.unwrap_err();
        assert_eq!((error.phase, error.kind), (SendPhase::Head, SendErrorKind::Protocol));
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
        let broken = serve(move |_, stream| answer_once(stream, answer)).await;
        let body = TestCaller::new().send(&origin(&url(broken), connection()), "{}").await.unwrap().into_body();
        let error = body.collect().await.unwrap_err();
        assert!(matches!(error, BodyError::Protocol(_)), "{error}");
    });
}

#[test]
fn a_server_that_keeps_nothing_alive_gets_a_connection_per_call() {
    let answers = ["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi", "HTTP/1.0 200 OK\r\n\r\nhi"];
    for answer in answers {
        worker(async move {
            let origin = origin(&url(serve(move |_, stream| answer_once(stream, answer)).await), connection());
            let caller = TestCaller::new();
            for _ in 0..5 {
                assert_eq!(caller.text(&origin, "{}").await, "hi");
            }
            let totals = caller.totals();
            assert_eq!((totals.created, totals.reused, totals.open), (5, 0, 0), "{answer}");
        });
    }
}

#[test]
fn interim_answers_are_skipped() {
    worker(async {
        let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                      HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        let origin = origin(&url(serve(move |_, stream| answer_all(stream, answer)).await), connection());
        let caller = TestCaller::new();
        for _ in 0..3 {
            let response = caller.send(&origin, "{}").await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap();
        }
        assert_eq!(caller.totals().created, 1);
    });
}

#[test]
fn an_answer_that_comes_before_the_request_has_left_is_taken() {
    worker(async {
        let address = serve(|_, mut stream| async move {
            let mut some = [0; 1024];
            let _ = stream.read(&mut some).await;
            let _ = stream.write_all(b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\n\r\nbig").await;
            // Held open, unread: the rest of the request can not leave.
            std::future::pending::<()>().await;
        })
        .await;
        let origin = origin(&url(address), connection());
        let caller = TestCaller::new();
        let response = caller.send(&origin, &"x".repeat(16 << 20)).await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "big");
        assert_eq!(caller.totals().open, 0, "a connection with half a request on it is not kept");
    });
}

#[test]
fn an_answer_that_nobody_reads_to_its_end_closes_its_connection() {
    worker(async {
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n";
        let origin = origin(&url(serve(move |_, stream| answer_all(stream, answer)).await), connection());
        let caller = TestCaller::new();
        let mut body = caller.send(&origin, "{}").await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        assert_eq!(caller.totals().open, 1);
        drop(body);
        assert_eq!(caller.totals().open, 0);
    });
}

#[test]
fn a_reader_that_stops_at_the_last_piece_leaves_a_connection_to_keep() {
    worker(async {
        let origin = origin(&url(serve(|_, stream| answer_all(stream, CHUNKED)).await), connection());
        let caller = TestCaller::new();
        for _ in 0..10 {
            let mut body = caller.send(&origin, "{}").await.unwrap().into_body();
            body.frame().await.unwrap().unwrap();
        }
        assert_eq!(caller.totals().created, 1);
    });
}

#[test]
fn a_call_given_up_closes_its_connection() {
    worker(async {
        let address = serve(|_, mut stream| async move {
            read_request(&mut stream).await;
            std::future::pending::<()>().await;
        })
        .await;
        let origin = origin(&url(address), connection());
        let caller = TestCaller::new();
        {
            let call = caller.send(&origin, "{}");
            tokio::pin!(call);
            while caller.totals().created == 0 {
                let polled = futures_util::poll!(call.as_mut());
                assert!(polled.is_pending());
                yield_now().await;
            }
        }
        assert_eq!(caller.totals().open, 0);
    });
}

#[test]
fn a_long_stream_arrives_whole_piece_by_piece() {
    worker(async {
        let address = serve(|_, mut stream| async move {
            while read_request(&mut stream).await.is_some() {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let _ = stream.write_all(head.as_bytes()).await;
                for _ in 0..500 {
                    let _ = stream.write_all(b"8\r\ndata: x\n\r\n").await;
                    yield_now().await;
                }
                let _ = stream.write_all(b"0\r\n\r\n").await;
            }
        })
        .await;
        let origin = origin(&url(address), connection());
        let caller = TestCaller::new();
        for _ in 0..3 {
            assert_eq!(caller.text(&origin, "{}").await, "data: x\n".repeat(500));
        }
        assert_eq!(caller.totals().created, 1);
    });
}
