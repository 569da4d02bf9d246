//! `sluicegate`: proxy and operator in one program. The name that it is started by says which, `sluicegate-proxy` or
//! `sluicegate-operator`; under any other name its first word does, `proxy` or `operator`.
//!
//! The two hold the same libraries: apart they would take half as much again in an image.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Calls and thousands of small texts come and go in small pieces: measured against the system's allocator, this one is cheaper
/// for the proxy, and gives more back for the operator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One of the two programs that this one is: its command line in, and out when it ends.
type Part = fn(Vec<OsString>) -> ExitCode;

const PARTS: [(&str, Part); 2] =
    [("sluicegate-proxy", sluicegate_proxy::command::run), ("sluicegate-operator", sluicegate_operator::command::run)];

fn main() -> ExitCode {
    // Where the system gives huge pages to everyone, the allocator's first arenas alone would take tens of MiB that
    // nothing uses. A kernel without them has nothing to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    match chosen(env::args_os()) {
        Some((run, arguments)) => run(arguments),
        None => explain(),
    }
}

/// The part that a command line names, and what is said to it: the name of the part first, as it would be by that name.
fn chosen(mut arguments: impl Iterator<Item = OsString>) -> Option<(Part, Vec<OsString>)> {
    let first = arguments.next()?;
    if let Some(part) = Path::new(&first).file_name().and_then(|name| named(name.to_str()?)) {
        return Some((part, [first].into_iter().chain(arguments).collect()));
    }
    let name = format!("sluicegate-{}", arguments.next()?.to_str()?);
    Some((named(&name)?, [OsString::from(name)].into_iter().chain(arguments).collect()))
}

fn named(name: &str) -> Option<Part> {
    PARTS.iter().find(|(known, _)| *known == name).map(|(_, part)| *part)
}

#[expect(clippy::print_stderr, reason = "nothing runs yet that could log")]
fn explain() -> ExitCode {
    eprintln!(
        "Usage: sluicegate proxy …     serves calls\n       sluicegate operator …  makes resources the configuration of proxies"
    );
    eprintln!(
        "Each by `--help` says more, and is also started by its name, `sluicegate-proxy` or `sluicegate-operator`."
    );
    ExitCode::from(2)
}
