//! What is promised, tried from outside: the built proxy, real sockets, upstreams that fail in every way there is.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test says what it expects")]

mod azure;
mod bedrock;
mod blame;
mod clients;
mod compressed;
mod consumers;
mod cuts;
mod descriptors;
mod egress;
mod failover;
mod gemini;
mod http;
mod input;
mod kept;
mod ledger;
mod lifecycle;
mod limits;
mod look_alikes;
mod memory;
mod offline;
mod operations;
mod overflow;
mod protocols;
mod requests;
mod resources;
mod responses;
mod rollout;
mod secrets;
mod signals;
mod start;
mod unread;
mod untaken;
mod upstreams;
mod verbatim;
mod weather;
