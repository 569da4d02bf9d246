//! Conversations that the gateway keeps itself, where it was asked to: in Redis, or in this process where there is none.
//!
//! Each is found by its owner and by the answer that it ends with, encrypted with the gateway's key, and gone after its time.

mod local;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::Cmd;
use bytes::Bytes;

use crate::redis::{RedisClient, Unanswered};
use crate::sealing::{IdOwner, IdSealer, SealedId};

use local::LocalConversations;

/// The part that all workers share.
#[derive(Debug)]
pub(crate) struct SharedConversations {
    ttl: Duration,
    most: usize,
    local: Mutex<LocalConversations>,
}

impl SharedConversations {
    /// Each is kept for so long, if it has so many bytes at most.
    pub(crate) fn new(ttl: Duration, most: usize) -> Arc<Self> {
        Arc::new(Self { ttl, most, local: Mutex::default() })
    }
}

/// One worker's handle on them.
pub(crate) struct KeptConversations {
    shared: Arc<SharedConversations>,
    remote: Option<RedisClient>,
}

impl KeptConversations {
    pub(crate) fn new(shared: Arc<SharedConversations>, remote: Option<RedisClient>) -> Self {
        Self { shared, remote }
    }

    /// The conversation that ends with an answer; `None`: it is not kept, or no longer.
    ///
    /// # Errors
    /// Redis can not say.
    pub(crate) async fn get(&self, of: &KeptName<'_>, sealer: &IdSealer) -> Result<Option<Bytes>, Unanswered> {
        let name = of.digest();
        let found = match &self.remote {
            Some(remote) => remote.get(&place(&name)).await?,
            None => self.local().get(&name, Instant::now()),
        };
        Ok(found.and_then(|text| sealer.unlock(of.owner, &text)).map(Bytes::from))
    }

    /// Keeps a conversation, unless it is too large. Waits for Redis, and not for long: what it does not take is not kept.
    pub(crate) async fn put(&self, of: &KeptName<'_>, sealer: &IdSealer, conversation: Vec<u8>) {
        if conversation.len() > self.shared.most {
            return;
        }
        let Some(locked) = sealer.lock(of.owner, conversation) else { return };
        let (name, ttl) = (of.digest(), self.shared.ttl);
        let Some(remote) = &self.remote else {
            return self.local().put(name, locked.into(), Instant::now() + ttl);
        };
        let key = place(&name);
        let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command = Cmd::new();
        command.arg("SET").arg(&key).arg(locked).arg("PX").arg(milliseconds);
        // Its own connections count what goes wrong.
        drop(remote.pipeline(&[&key], &[command]).await);
    }

    fn local(&self) -> std::sync::MutexGuard<'_, LocalConversations> {
        self.shared.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a conversation: whose it is, and the answer that it ends with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptName<'a> {
    pub(crate) owner: &'a IdOwner,
    pub(crate) answer: &'a SealedId,
}

impl KeptName<'_> {
    fn digest(&self) -> [u8; 32] {
        let mut digest = blake3::Hasher::new_derive_key("sluicegate kept conversations v1");
        digest.update(self.owner).update(&self.answer.target.to_le_bytes()).update(self.answer.id.as_bytes());
        *digest.finalize().as_bytes()
    }
}

/// The key of a conversation in Redis.
fn place(name: &[u8; 32]) -> String {
    format!("sluicegate:{{{}}}:response", blake3::Hash::from_bytes(*name).to_hex())
}
