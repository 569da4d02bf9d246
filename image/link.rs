//! How the two programs are linked: the build script of `proxy` and of `operator`.
//!
//! A program that may be loaded anywhere holds tens of thousands of addresses that its loader corrects. The usual table
//! of them takes 24 bytes each, and all of it is read at every start and then stays in memory; the packed form takes a
//! thirtieth. The C library must know it: glibc does since 2.36. Where that is not sure, the usual table remains.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "that is how cargo and a build script speak")]

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../image/link.rs");
    if is_native() && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the program is for the machine that it is built on, and its C library is glibc.
fn is_native() -> bool {
    let target = std::env::var("TARGET").unwrap_or_default();
    target.ends_with("-linux-gnu") && std::env::var("HOST").is_ok_and(|host| host == target)
}

/// The version of this machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
