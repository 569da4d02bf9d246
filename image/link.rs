//! How the program is linked, and by which names it is found: the build script of `program`.
//!
//! A program that may be loaded anywhere holds tens of thousands of addresses that its loader corrects. The usual table
//! of them takes 24 bytes each, and all of it is read at every start and then stays in memory; the packed form takes a
//! thirtieth. The C library must know it: glibc does since 2.36. Where that is not sure, the usual table remains.
//!
//! Where it is to be released, the functions that every proxy runs stand together in its file, as `program/link-order.ld` says.
//! They are a sixth of it, and were all over it: most of what an idle process had in memory stood between them.
//!
//! Beside it stand links to it by the names of its two parts: what it is started by says which of them it is.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "that is how cargo and a build script speak")]

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, and the names of its parts.
const PROGRAM: &str = "sluicegate";
const NAMES: [&str; 2] = ["sluicegate-proxy", "sluicegate-operator"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=../image/link.rs");
    if is_native() && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if let Some(order) = order() {
        println!("cargo::rerun-if-env-changed=SLUICEGATE_LINK_ORDER");
        println!("cargo::rerun-if-changed={}", order.display());
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", order.display());
    }
    link_names()
}

/// Puts the links where the program will be: PROFILE/build/PACKAGE-HASH/out is the script's own folder. What had such a name
/// before is from when there were two programs.
fn link_names() -> io::Result<()> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let Some(folder) = out.ancestors().nth(3) else { return Ok(()) };
    for name in NAMES {
        let (link, new) = (folder.join(name), out.join(name));
        if !std::fs::read_link(&link).is_ok_and(|program| program == Path::new(PROGRAM)) {
            let _ = std::fs::remove_file(&new);
            symlink(PROGRAM, &new)?;
            std::fs::rename(&new, &link)?;
        }
    }
    Ok(())
}

/// The order of the program's functions, where it is one to be released and they have the names that are in it (`make build`). The other
/// profiles that inherit from that one are for trying out: they would wait for the linker and gain nothing. Elsewhere than on x86-64 another
/// linker is used, and the names have not been seen. A linker that reads no such files needs `SLUICEGATE_LINK_ORDER=off`.
fn order() -> Option<PathBuf> {
    let order = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?).join("link-order.ld");
    let is_release = Path::new(&std::env::var_os("OUT_DIR")?).iter().any(|part| part == "release");
    let is_known = std::env::var("TARGET").is_ok_and(|target| target == "x86_64-unknown-linux-gnu");
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let is_named = flags.contains("symbol-mangling-version=v0");
    if is_release && is_known && !is_named {
        println!(
            "cargo::warning=this release's functions are in no order: `make build` gives them the names that it needs"
        );
    }
    let is_off = std::env::var("SLUICEGATE_LINK_ORDER").is_ok_and(|word| word == "off");
    (is_release && is_known && is_named && !is_off && order.is_file()).then_some(order)
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
