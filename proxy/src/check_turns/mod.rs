//! The turns at asking endpoints whether they are well: one proxy of the gateway has each, where Redis serves, and every proxy else.
//! Who has the turn tells the others what it has found, in the turn itself.

use std::time::Duration;

use ::redis::Value;
use sluicegate_config::HealthCheck;

use crate::redis::{RedisClient, Script};
use crate::state::Provider;

const ILL: u8 = b'i';
const WELL: u8 = b'w';
/// The letters of a proxy's name.
const NAME: usize = 32;

/// One worker's handle on the turns.
pub(crate) struct CheckTurns {
    gateway: String,
    remote: Option<RedisClient>,
    take: Script,
    name: String,
}

/// The turn at one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckTurn {
    /// This proxy asks.
    Own,
    /// Another one does, and has found that the endpoint is ill, or is not; `None`: it has found nothing yet.
    Others(Option<bool>),
}

impl CheckTurns {
    /// Of the proxies of a gateway that share a Redis; `None`: there is none to share.
    pub(crate) fn new(gateway: &str, remote: Option<RedisClient>) -> Self {
        let name = format!("{:0NAME$x}", rand::random::<u128>());
        Self { gateway: gateway.to_owned(), remote, take: Script::new(include_str!("turn.lua")), name }
    }

    /// Takes the turn, or keeps it. Where Redis does not answer every proxy asks.
    pub(crate) async fn take(&self, provider: &Provider, check: &HealthCheck) -> CheckTurn {
        let Some(remote) = &self.remote else { return CheckTurn::Own };
        let life = life(check).as_millis().to_string();
        let arguments = [self.name.as_bytes(), life.as_bytes()];
        match remote.eval(&self.take, &[&self.key(provider, check)], &arguments).await {
            Ok(Value::BulkString(held)) => CheckTurn::Others(match held.get(NAME) {
                Some(&ILL) => Some(true),
                Some(&WELL) => Some(false),
                _ => None,
            }),
            _ => CheckTurn::Own,
        }
    }

    /// Tells the others what has been found.
    pub(crate) fn tell(&self, provider: &Provider, check: &HealthCheck, is_ill: bool) {
        let Some(remote) = &self.remote else { return };
        let held = [self.name.as_bytes(), &[if is_ill { ILL } else { WELL }]].concat();
        remote.set(&self.key(provider, check), &held, life(check));
    }

    fn key(&self, provider: &Provider, check: &HealthCheck) -> String {
        let mut digest = blake3::Hasher::new_derive_key("sluicegate turns at asking endpoints v1");
        let host = provider.origin.host().as_bytes();
        for part in [self.gateway.as_bytes(), host, provider.address.as_bytes(), check.path.as_bytes()] {
            digest.update(&part.len().to_le_bytes()).update(part);
        }
        format!("sluicegate:{{{}}}:turn", digest.finalize().to_hex().get(..NAME).unwrap_or_default())
    }
}

/// The time after which a proxy that says nothing has the turn no longer.
fn life(check: &HealthCheck) -> Duration {
    check.interval.get() * 2 + check.timeout.get()
}
