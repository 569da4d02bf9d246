//! The client against real sockets on loopback.

mod again;
mod harness;
mod http1;
mod http2;
mod limits;
mod moves;
mod tls;
