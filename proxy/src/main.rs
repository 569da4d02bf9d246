//! `sluicegate-proxy`: settings in, workers up, wait for the end.

fn main() {}
