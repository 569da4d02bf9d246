//! The number of files, sockets among them, that the process may have open: as many as it is let. What it needs for
//! itself, health among it, is kept apart; of the rest callers have half at the most, and providers what callers can
//! not take.

use anyhow::bail;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Settings;

/// The number of files that the process has open for itself: logs, the folder's watch, the admin address and who asks
/// there …
const OWN: u64 = 24;
/// … and for each worker: its runtime, its listening sockets, Redis, a question to DNS.
const OF_A_WORKER: u64 = 8;
/// With room for fewer connections of callers there is no sense in beginning.
const LEAST_CONNECTIONS: u64 = 8;

/// The number of files that may be open, for each use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptors {
    /// Files and sockets, all together.
    pub(super) limit: u64,
    /// Of them, connections to providers.
    pub(super) providers: u64,
}

/// Raises the soft limit to the hard one, and lowers `--max-connections` to what it lets be: each call needs a socket
/// towards its provider beside its caller's.
///
/// # Errors
/// So few are allowed that no call could be served.
pub(super) fn raise(settings: &mut Settings) -> anyhow::Result<Descriptors> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let workers = u64::try_from(settings.worker_count()).unwrap_or(u64::MAX);
    let most = most_connections(limit, workers);
    if most < LEAST_CONNECTIONS {
        bail!("the limit of open files (ulimit -n) is {limit}: too low for {workers} workers, raise it or use fewer");
    }
    if let Some(most) = usize::try_from(most).ok().filter(|most| *most < settings.limits.max_connections) {
        let wanted = settings.limits.max_connections;
        tracing::warn!(
            limit,
            wanted,
            most,
            "the limit of open files is low: fewer connections of callers are taken than --max-connections says"
        );
        settings.limits.max_connections = most;
    }
    let callers = u64::try_from(settings.limits.max_connections).unwrap_or(u64::MAX);
    Ok(Descriptors { limit, providers: limit.saturating_sub(own(workers)).saturating_sub(callers) })
}

fn own(workers: u64) -> u64 {
    OWN.saturating_add(OF_A_WORKER.saturating_mul(workers))
}

fn most_connections(limit: u64, workers: u64) -> u64 {
    limit.saturating_sub(own(workers)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_take_at_most_half_of_what_there_is() {
        assert_eq!(most_connections(1_048_576, 4), 524_260);
        assert_eq!(most_connections(1024, 2), 492);
        assert_eq!(most_connections(64, 64), 0);
        assert_eq!(most_connections(u64::MAX, u64::MAX), 0);
    }
}
