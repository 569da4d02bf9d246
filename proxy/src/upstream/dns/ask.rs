//! One question: which names are asked for, of whom, and what a failure means.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::NetError;

use crate::upstream::error::{SendError, SendErrorKind, SendPhase};

/// The answer to a question: addresses, and until when they hold.
pub(super) type Answer = Result<(Vec<IpAddr>, Instant), SendError>;

/// The time that an answer of the system's own resolver is believed: it does not say.
const SYSTEM_TTL: Duration = Duration::from_secs(30);

/// `None` when the system's configuration cannot be read: then the system is asked instead.
pub(super) fn resolver() -> Option<TokioResolver> {
    let mut builder = TokioResolver::builder_tokio().ok()?;
    let options = builder.options_mut();
    // The cache is ours: `dnsTTL` may be shorter than what DNS says.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Always;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build().ok()
}

/// The addresses of a name.
pub(super) async fn ask(resolver: Option<&TokioResolver>, name: &str) -> Answer {
    let Some(resolver) = resolver else { return ask_system(name).await };
    let mut found = None;
    if is_absolute(name) {
        let whole = format!("{}.", name.trim_end_matches('.'));
        let asked = resolver.lookup_ip(whole).await;
        // Where there is no such name it may still be short for one of the search domains.
        found = Some(asked).filter(|asked| !matches!(asked, Err(error) if error.is_no_records_found()));
    }
    let found = match found {
        Some(found) => found,
        None => resolver.lookup_ip(name).await,
    };
    let found = found.map_err(|error| failure(&error))?;
    some(found.iter().collect(), found.valid_until())
}

/// True if a name is most likely written out to its end. Pods have search domains, and an `ndots` by which each name is
/// tried in all of them first: four pairs of questions too many for every provider outside. What has two dots is a name
/// of the world, unless it is a Service's (`name.namespace.svc`). `name` and `name.namespace` stay short ones: their
/// like outside (`vllm.dev`) is somebody else's.
fn is_absolute(name: &str) -> bool {
    let dots = name.trim_end_matches('.').matches('.').count();
    name.ends_with('.') || (dots >= 2 && !name.ends_with(".svc"))
}

async fn ask_system(name: &str) -> Answer {
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| of_io(&error))?;
    some(found.map(|address| address.ip()).collect(), Instant::now() + SYSTEM_TTL)
}

fn some(addresses: Vec<std::net::IpAddr>, until: Instant) -> Answer {
    if addresses.is_empty() { Err(unknown("the name has no address".to_owned())) } else { Ok((addresses, until)) }
}

fn failure(error: &NetError) -> SendError {
    match error {
        NetError::Io(io) => of_io(io),
        other => unknown(other.to_string()),
    }
}

/// A question that could not be asked says nothing of the name.
fn of_io(error: &io::Error) -> SendError {
    match SendError::io(SendPhase::Resolve, error) {
        local if local.kind == SendErrorKind::Exhausted => local,
        _ => unknown(error.to_string()),
    }
}

/// The name has no address that anybody knows.
pub(super) fn unknown(why: String) -> SendError {
    SendError::new(SendPhase::Resolve, SendErrorKind::UnknownName, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_world_are_told_from_short_ones() {
        for name in ["api.openai.com", "a.openai.azure.com", "gpu.svc.cluster.local", "example.com.", "10.0.0.1.nip.io"]
        {
            assert!(is_absolute(name), "{name}");
        }
        for name in ["gpu", "gpu.models", "gpu.models.svc", "vllm-0.gpu.models.svc", "example.com"] {
            assert!(!is_absolute(name), "{name}");
        }
    }

    #[test]
    fn a_question_that_can_not_be_asked_is_not_the_names_fault() {
        let full = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert_eq!(failure(&NetError::from(full)).kind, SendErrorKind::Exhausted);
        assert_eq!(failure(&NetError::Timeout).kind, SendErrorKind::UnknownName);
    }
}
