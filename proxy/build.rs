//! Hands the linker `link-order.ld` where a program is built to be released: the functions that every process runs then stand
//! together in the file. They are a sixth of it, and were all over it: most of what an idle process had in memory stood between them.

use std::env;
use std::path::Path;

#[expect(clippy::print_stdout, reason = "this is how a build script speaks")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=link-order.ld");
    println!("cargo:rerun-if-env-changed=SLUICEGATE_LINK_ORDER");
    let says = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    // The other profiles that inherit from it are for trying out: they would wait for the linker and gain nothing.
    let release = env::var("OUT_DIR").is_ok_and(|folder| Path::new(&folder).iter().any(|part| part == "release"));
    // Elsewhere the linker is another one, and the names have not been seen. A linker that reads no such files needs `off`.
    let wanted = !says("SLUICEGATE_LINK_ORDER", "off");
    if release && wanted && says("CARGO_CFG_TARGET_OS", "linux") && says("CARGO_CFG_TARGET_ARCH", "x86_64") {
        let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{here}/link-order.ld");
    }
}
