//! A simulated provider in this process: the same HTTP as over a socket, through a pipe in memory.

use std::sync::Arc;

use sluicegate_config::{FailureKind, Millis, Simulated, SimulatedFailure};
use sluicegate_simulator as simulator;
use tokio::io::DuplexStream;

/// Serves HTTP on its end of a pipe, in a local task of its own.
pub(super) type Serve = Arc<dyn Fn(DuplexStream) + Send + Sync>;

/// The server of the far end of a connection to a provider that behaves so.
pub(super) fn server(behaviour: Option<&Simulated>) -> Serve {
    let behaviour = behaviour.cloned().map(behaviour_of).unwrap_or_default();
    let model = Arc::new(simulator::SimulatedProvider::new(behaviour));
    Arc::new(move |pipe| {
        let serving = simulator::serve(pipe, Arc::clone(&model));
        tokio::task::spawn_local(async move {
            let _ = serving.await;
        });
    })
}

fn behaviour_of(said: Simulated) -> simulator::Behaviour {
    let Simulated { first_token, token_interval, tokens, text, failure, requests_per_minute } = said;
    simulator::Behaviour {
        first_token: first_token.map(Millis::get).unwrap_or_default(),
        token_interval: token_interval.map(Millis::get).unwrap_or_default(),
        tokens,
        text,
        failure: failure.as_ref().map(failure_of),
        requests_per_minute,
    }
}

fn failure_of(said: &SimulatedFailure) -> simulator::Failure {
    let SimulatedFailure { kind, percent, status, after_tokens } = *said;
    let kind = match kind {
        FailureKind::Reset => simulator::FailureKind::Reset,
        FailureKind::Silent => simulator::FailureKind::Silent,
        FailureKind::Status => simulator::FailureKind::Status,
        FailureKind::Cut => simulator::FailureKind::Cut,
        FailureKind::Stall => simulator::FailureKind::Stall,
        FailureKind::StreamError => simulator::FailureKind::StreamError,
    };
    simulator::Failure { kind, percent, status, after_tokens }
}
