//! Conversations that the gateway keeps itself, where it was asked to: in Redis, or in this process where there is none.
//!
//! Each is found by its owner and by the answer that it ends with, encrypted with the gateway's key, and gone after its time.

mod local;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::Cmd;
use bytes::Bytes;

use crate::count::Count;
use crate::redis::{RedisClient, Unanswered};
use crate::sealing::{IdOwner, IdSealer, SealedId};

use local::LocalConversations;

/// A part of what is kept: what its names are digests of, and how its keys in Redis end.
#[derive(Clone, Copy)]
struct KeptPart {
    of: &'static str,
    word: &'static str,
}

/// The place of something that is kept.
struct KeptPlace {
    name: [u8; 32],
    word: &'static str,
}

impl KeptPlace {
    /// The key in Redis.
    fn key(&self) -> String {
        format!("sluicegate:{{{}}}:{}", blake3::Hash::from_bytes(self.name).to_hex(), self.word)
    }
}

/// The parts of what is kept under one name.
const CONVERSATION: KeptPart = KeptPart { of: "sluicegate kept conversations v1", word: "response" };
const ITEM: KeptPart = KeptPart { of: "sluicegate kept items v1", word: "item" };
const ANSWER: KeptPart = KeptPart { of: "sluicegate kept answers v1", word: "answer" };

/// The part that all workers share.
#[derive(Debug)]
pub(crate) struct SharedConversations {
    ttl: Duration,
    most: usize,
    local: Mutex<LocalConversations>,
    /// The count of what became of them, as metrics tell it.
    pub(crate) counts: KeptCounts,
}

/// The number of conversations by what became of them.
#[derive(Debug, Default)]
pub(crate) struct KeptCounts {
    /// Kept.
    pub(crate) kept: Count,
    /// Not kept: larger than may be, or Redis did not take them.
    pub(crate) not_kept: Count,
    /// Calls that were written out with one.
    pub(crate) expanded: Count,
    /// Calls that went on from one that is not kept, or no longer.
    pub(crate) missed: Count,
    /// Forgotten because their owner said so.
    pub(crate) forgotten: Count,
}

impl KeptCounts {
    /// Each with its word.
    pub(crate) fn all(&self) -> [(&'static str, u64); 5] {
        let Self { kept, not_kept, expanded, missed, forgotten } = self;
        [("kept", kept), ("not_kept", not_kept), ("expanded", expanded), ("missed", missed), ("forgotten", forgotten)]
            .map(|(word, count)| (word, count.get()))
    }
}

impl SharedConversations {
    /// Each is kept for so long, if it has so many bytes at most.
    pub(crate) fn new(ttl: Duration, most: usize) -> Arc<Self> {
        Arc::new(Self { ttl, most, local: Mutex::default(), counts: KeptCounts::default() })
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
        self.find(of.place(CONVERSATION), of.owner, sealer).await
    }

    /// The answer that was kept whole; `None`: it is not, or no longer.
    ///
    /// # Errors
    /// Redis can not say.
    pub(crate) async fn answer(&self, of: &KeptName<'_>, sealer: &IdSealer) -> Result<Option<Bytes>, Unanswered> {
        self.find(of.place(ANSWER), of.owner, sealer).await
    }

    async fn find(&self, at: KeptPlace, owner: &IdOwner, sealer: &IdSealer) -> Result<Option<Bytes>, Unanswered> {
        let found = match &self.remote {
            Some(remote) => remote.get(&at.key()).await?,
            None => self.local().get(&at.name, Instant::now()),
        };
        Ok(found.and_then(|text| sealer.unlock(owner, &text)).map(Bytes::from))
    }

    /// Keeps a conversation, unless it is too large. Waits for Redis, and not for long: what it does not take is not kept.
    pub(crate) async fn put(&self, of: &KeptName<'_>, sealer: &IdSealer, conversation: Vec<u8>) {
        let counts = &self.shared.counts;
        let is_kept = self.keep(of.place(CONVERSATION), of, (sealer, conversation)).await;
        (if is_kept { &counts.kept } else { &counts.not_kept }).add();
    }

    /// Keeps an answer whole, likewise.
    pub(crate) async fn put_answer(&self, of: &KeptName<'_>, sealer: &IdSealer, answer: Vec<u8>) {
        self.keep(of.place(ANSWER), of, (sealer, answer)).await;
    }

    /// Notes behind its caller's back which answer an item is of.
    pub(crate) fn put_item(&self, item: (&IdOwner, &str), sealer: &IdSealer, answer: &SealedId) {
        let text = [&answer.target.to_le_bytes(), answer.id.as_bytes()].concat();
        let Some(locked) = sealer.lock(item.0, text) else { return };
        let (at, ttl) = (place_of_item(item), self.shared.ttl);
        match &self.remote {
            Some(remote) => remote.set(&at.key(), &locked, ttl),
            None => self.local().put(at.name, locked.into(), Instant::now() + ttl),
        }
    }

    /// The answer that an item is of; `None`: that is not known, or no longer.
    ///
    /// # Errors
    /// Redis can not say.
    pub(crate) async fn item(&self, item: (&IdOwner, &str), sealer: &IdSealer) -> Result<Option<SealedId>, Unanswered> {
        let text = self.find(place_of_item(item), item.0, sealer).await?;
        Ok(text.and_then(|text| {
            let (target, id) = text.split_first_chunk()?;
            Some(SealedId { target: u64::from_le_bytes(*target), id: std::str::from_utf8(id).ok()?.to_owned() })
        }))
    }

    /// Forgets a conversation and its answer.
    ///
    /// # Errors
    /// Redis can not say that it has.
    pub(crate) async fn forget(&self, of: &KeptName<'_>) -> Result<(), Unanswered> {
        for at in [CONVERSATION, ANSWER].map(|part| of.place(part)) {
            let Some(remote) = &self.remote else {
                self.local().remove(&at.name);
                continue;
            };
            let key = at.key();
            let mut command = Cmd::new();
            command.arg("DEL").arg(&key);
            remote.pipeline(&[&key], &[command]).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        self.shared.counts.forgotten.add();
        Ok(())
    }

    /// The count of what becomes of them.
    pub(crate) fn counts(&self) -> &KeptCounts {
        &self.shared.counts
    }

    /// `true`: it is kept.
    async fn keep(&self, at: KeptPlace, of: &KeptName<'_>, (sealer, text): (&IdSealer, Vec<u8>)) -> bool {
        if text.len() > self.shared.most {
            return false;
        }
        let Some(locked) = sealer.lock(of.owner, text) else { return false };
        let ttl = self.shared.ttl;
        let Some(remote) = &self.remote else {
            self.local().put(at.name, locked.into(), Instant::now() + ttl);
            return true;
        };
        let key = at.key();
        let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command = Cmd::new();
        command.arg("SET").arg(&key).arg(locked).arg("PX").arg(milliseconds);
        // Its own connections count what goes wrong.
        remote.pipeline(&[&key], &[command]).await.is_ok_and(|answers| answers.iter().all(Result::is_ok))
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
    fn place(&self, part: KeptPart) -> KeptPlace {
        let mut digest = blake3::Hasher::new_derive_key(part.of);
        digest.update(self.owner).update(&self.answer.target.to_le_bytes()).update(self.answer.id.as_bytes());
        KeptPlace { name: *digest.finalize().as_bytes(), word: part.word }
    }
}

/// The place of an item: whose it is, and the id under which it was told.
fn place_of_item((owner, id): (&IdOwner, &str)) -> KeptPlace {
    let mut digest = blake3::Hasher::new_derive_key(ITEM.of);
    digest.update(owner).update(id.as_bytes());
    KeptPlace { name: *digest.finalize().as_bytes(), word: ITEM.word }
}
