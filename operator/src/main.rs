//! `sluicegate-operator`: watches resources, compiles them, publishes what proxies run on, and says how it stands.

fn main() {}
