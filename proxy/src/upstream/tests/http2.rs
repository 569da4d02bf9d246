//! HTTP/2 with prior knowledge: one connection for many calls, limits, a server that says goodbye.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sluicegate_config::{Connection, HttpVersion};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::harness::{OK, TestCaller, answer_all, connection, origin, serve, url, worker};
use crate::upstream::{BodyError, Origin, SendFault};

#[derive(Clone)]
pub(super) struct TestExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for TestExecutor {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

pub(super) async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let head = format!("{:?} {} ", request.version(), request.uri());
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    Ok(Response::new(Full::new([head.into_bytes(), body.to_vec()].concat().into())))
}

fn over_http2(address: SocketAddr) -> Origin {
    origin(&url(address), Connection { http: HttpVersion::Http2, ..connection() })
}

async fn serve_echo(stream: TcpStream, streams: u32) {
    let service = service_fn(echo);
    let mut builder = hyper::server::conn::http2::Builder::new(TestExecutor);
    let _ = builder.max_concurrent_streams(streams).serve_connection(TokioIo::new(stream), service).await;
}

#[test]
fn many_calls_share_one_connection() {
    worker(async {
        let address = serve(|_, stream| serve_echo(stream, 200)).await;
        let origin = over_http2(address);
        let caller = TestCaller::new();
        let texts = join_all((0..50).map(|_| caller.text(&origin, "{}"))).await;
        let expected = format!("HTTP/2.0 http://{address}/v1/chat/completions {{}}");
        assert!(texts.iter().all(|text| *text == expected), "{texts:?}");
        let totals = caller.totals();
        assert_eq!((totals.created, totals.reused, totals.open), (1, 49, 1));
    });
}

#[test]
fn more_connections_are_made_when_one_is_full() {
    worker(async {
        let free = Rc::new(Notify::new());
        let waiting = Rc::new(Cell::new(0));
        let (held, count) = (Rc::clone(&free), Rc::clone(&waiting));
        let address = serve(move |_, stream| {
            let (held, count) = (Rc::clone(&held), Rc::clone(&count));
            async move {
                let service = service_fn(move |request| {
                    let (held, count) = (Rc::clone(&held), Rc::clone(&count));
                    async move {
                        count.set(count.get() + 1);
                        if count.get() > 1 {
                            held.notified().await;
                        }
                        echo(request).await
                    }
                });
                let mut builder = hyper::server::conn::http2::Builder::new(TestExecutor);
                let serving = builder.max_concurrent_streams(2).serve_connection(TokioIo::new(stream), service);
                let _ = serving.await;
            }
        })
        .await;
        let origin = over_http2(address);
        let caller = TestCaller::new();
        // The first call learns the server's limit.
        caller.text(&origin, "{}").await;
        let release = async {
            while waiting.get() < 7 {
                tokio::task::yield_now().await;
            }
            free.notify_waiters();
        };
        let (texts, ()) = tokio::join!(join_all((0..6).map(|_| caller.text(&origin, "{}"))), release);
        assert_eq!(texts.len(), 6);
        assert_eq!(caller.totals().created, 3);
    });
}

#[test]
fn a_server_that_says_goodbye_is_called_anew() {
    worker(async {
        let leave = Rc::new(RefCell::new(Vec::<Rc<Notify>>::new()));
        let all = Rc::clone(&leave);
        let address = serve(move |_, stream| {
            let bye = Rc::new(Notify::new());
            all.borrow_mut().push(Rc::clone(&bye));
            async move {
                let service = service_fn(echo);
                let builder = hyper::server::conn::http2::Builder::new(TestExecutor);
                let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
                tokio::select! {
                    _ = serving.as_mut() => return,
                    () = bye.notified() => serving.as_mut().graceful_shutdown(),
                }
                let _ = serving.await;
            }
        })
        .await;
        let origin = over_http2(address);
        let caller = TestCaller::new();
        for round in 1..=5 {
            for _ in 0..5 {
                caller.text(&origin, "{}").await;
            }
            let bye = leave.borrow().last().cloned().unwrap();
            bye.notify_one();
            assert!(caller.totals().created <= round);
        }
        // Right after the goodbye, or long after it: no call fails.
        caller.text(&origin, "{}").await;
    });
}

#[test]
fn a_stream_given_up_is_reset_and_the_connection_stays() {
    worker(async {
        let address = serve(|_, stream| serve_echo(stream, 10)).await;
        let origin = over_http2(address);
        let caller = TestCaller::new();
        for _ in 0..30 {
            let response = caller.send(&origin, &"x".repeat(100_000)).await.unwrap();
            drop(response);
        }
        assert_eq!(caller.text(&origin, "").await.len(), format!("HTTP/2.0 {}/chat/completions ", url(address)).len());
        assert_eq!(caller.totals().created, 1);
    });
}

#[test]
fn a_connection_that_dies_cuts_its_answers() {
    worker(async {
        let address = serve(|_, stream| async move {
            let service = service_fn(|_| async {
                let first =
                    futures_util::stream::iter([Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from("a")))]);
                let broken = futures_util::stream::once(async {
                    // After the head and the first piece have left.
                    for _ in 0..20 {
                        tokio::task::yield_now().await;
                    }
                    Err(std::io::Error::other("broken"))
                });
                let body = http_body_util::StreamBody::new(futures_util::StreamExt::chain(first, Box::pin(broken)));
                Ok::<_, Infallible>(Response::new(body))
            });
            let builder = hyper::server::conn::http2::Builder::new(TestExecutor);
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        })
        .await;
        let body = TestCaller::new().send(&over_http2(address), "{}").await.unwrap().into_body();
        let error = body.collect().await.unwrap_err();
        assert!(matches!(error, BodyError::Cut(_) | BodyError::Protocol(_)), "{error}");
    });
}

#[test]
fn a_server_without_http2_is_the_upstreams_fault() {
    worker(async {
        let address = serve(|_, stream| answer_all(stream, OK)).await;
        let caller = TestCaller::new();
        let error = caller.send(&over_http2(address), "{}").await.unwrap_err();
        assert_eq!(error.fault(), SendFault::Upstream, "{error:?}");
    });
}
