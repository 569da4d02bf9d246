//! What the tests from outside and the benches share: real parts started and stopped, load, measures.

pub mod bench;
pub mod bench_control;
pub mod binaries;
pub mod client;
pub mod forwarder;
pub mod kube;
pub mod listen;
pub mod load;
pub mod memory_group;
pub mod operator;
pub mod process;
pub mod proxy;
pub mod redis_cluster;
pub mod rollout;
pub mod sdk;
pub mod upstream;
