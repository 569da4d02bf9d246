//! What the tests from outside and the benches share: real parts started and stopped, load, measures.

pub mod bench;
pub mod binaries;
pub mod listen;
pub mod load;
pub mod process;
pub mod redis_cluster;
pub mod sdk;
