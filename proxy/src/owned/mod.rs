//! The ids of files and batches that each owner has made, of which its lists are: in Redis, or in this process where there is none.
//!
//! They are the owner's own, sealed: what is kept here names no provider, and is of no use to anybody else.

mod local;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::redis::{Cmd, Value};

use crate::redis::{RedisClient, Script, Unanswered};
use crate::sealing::{IdKind, IdOwner, SealedId};

use local::{LocalLists, MOST, MOST_GONE};

pub(crate) use local::CountedParts;

/// A list that nothing was added to for so long is forgotten.
const TTL: Duration = Duration::from_secs(90 * 86_400);
/// The place of an id that was taken out is known for so long.
const GONE: Duration = Duration::from_secs(3_600);
/// The time that a count may take.
const LONGEST_COUNT: Duration = Duration::from_secs(3_600);
/// The words for what is counted now, and for what was counted to its end; else a number says until where.
const UNDER_WAY: &str = "under way";
const ALL: &str = "all";

/// The lists of this process, which all workers share.
#[derive(Debug, Default)]
pub(crate) struct SharedLists(Mutex<LocalLists>);

/// One worker's handle on the lists.
pub(crate) struct OwnedLists {
    shared: Arc<SharedLists>,
    remote: Option<RedisClient>,
    claim: Script,
    take_out: Script,
}

/// The name of a list: whose it is, and what is in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListName([u8; 32]);

impl ListName {
    pub(crate) fn new(owner: &IdOwner, kind: IdKind) -> Self {
        let mut digest = blake3::Hasher::new_derive_key("sluicegate lists of owners v1");
        digest.update(owner).update(kind.word().as_bytes());
        Self(*digest.finalize().as_bytes())
    }

    /// The one of a single thing: who keeps it, and by which name.
    pub(crate) fn of_one(of: &SealedId) -> Self {
        let mut digest = blake3::Hasher::new_derive_key("sluicegate counted batches v1");
        digest.update(&of.target.to_le_bytes()).update(of.id.as_bytes());
        Self(*digest.finalize().as_bytes())
    }

    /// The key of the ids that are gone.
    fn gone(&self) -> String {
        format!("sluicegate:{{{}}}:gone", blake3::Hash::from_bytes(self.0).to_hex())
    }

    fn key(&self) -> String {
        format!("sluicegate:{{{}}}:owned", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl OwnedLists {
    pub(crate) fn new(shared: Arc<SharedLists>, remote: Option<RedisClient>) -> Self {
        Self {
            shared,
            remote,
            claim: Script::new(include_str!("claim.lua")),
            take_out: Script::new(include_str!("take_out.lua")),
        }
    }

    /// Adds an id as the newest one. What Redis does not take is in no list.
    pub(crate) async fn add(&self, list: ListName, id: &str) {
        let Some(remote) = &self.remote else { return self.local().add(list.0, id) };
        let (key, now) = (list.key(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let command = |words: &[&str]| {
            let mut command = Cmd::new();
            command.arg(words);
            command
        };
        let (score, rest, ttl) = (now.as_micros().to_string(), format!("-{}", MOST + 1), TTL.as_millis().to_string());
        let commands = [
            command(&["ZADD", &key, &score, id]),
            command(&["ZREMRANGEBYRANK", &key, "0", &rest]),
            command(&["PEXPIRE", &key, &ttl]),
        ];
        // Its own connections count what goes wrong.
        let added = remote.pipeline(&[&key], &commands).await;
        added.map(drop).unwrap_or_else(|_| tracing::debug!("a file or a batch is in no list, for want of Redis"));
    }

    /// Takes an id out. Its place is known for a while: who goes through a list and forgets what stands in it goes on from there.
    pub(crate) async fn take_out(&self, list: ListName, id: &str) {
        let Some(remote) = &self.remote else { return self.local().take_out(&list.0, id) };
        let (most, life) = (MOST_GONE.to_string(), GONE.as_millis().to_string());
        let arguments = [id.as_bytes(), most.as_bytes(), life.as_bytes()];
        let removed = remote.eval(&self.take_out, &[&list.key(), &list.gone()], &arguments).await;
        removed.map(drop).unwrap_or_else(|_| tracing::debug!("a file or a batch stays in its list, for want of Redis"));
    }

    /// All ids of a list, newest first.
    ///
    /// # Errors
    /// Redis can not say.
    pub(crate) async fn all(&self, list: ListName) -> Result<Vec<String>, Unanswered> {
        let Some(remote) = &self.remote else { return Ok(self.local().all(&list.0)) };
        let key = list.key();
        let mut command = Cmd::new();
        command.arg("ZREVRANGE").arg(&key).arg(0).arg(MOST - 1);
        let answer = remote.pipeline(&[&key], &[command]).await?.pop().unwrap_or(Err(Unanswered::Refused))?;
        let Value::Array(ids) = answer else { return Err(Unanswered::Refused) };
        let text = |id| if let Value::BulkString(bytes) = id { String::from_utf8(bytes).ok() } else { None };
        Ok(ids.into_iter().filter_map(text).collect())
    }

    /// The number of ids of a list that are newer than one that was taken out of it; `None`: it is not known.
    ///
    /// # Errors
    /// Redis can not say.
    pub(crate) async fn newer_than_gone(&self, list: ListName, id: &str) -> Result<Option<usize>, Unanswered> {
        let Some(remote) = &self.remote else { return Ok(self.local().newer_than_gone(&list.0, id)) };
        let (key, gone) = (list.key(), list.gone());
        let mut command = Cmd::new();
        command.arg("ZSCORE").arg(&gone).arg(id);
        let answer = remote.pipeline(&[&gone], &[command]).await?.pop().unwrap_or(Err(Unanswered::Refused))?;
        let place = match answer {
            Value::BulkString(place) => String::from_utf8_lossy(&place).into_owned(),
            Value::Double(place) => place.to_string(),
            _ => return Ok(None),
        };
        let mut command = Cmd::new();
        command.arg("ZCOUNT").arg(&key).arg(format!("({place}")).arg("+inf");
        match remote.pipeline(&[&key], &[command]).await?.pop().unwrap_or(Err(Unanswered::Refused))? {
            Value::Int(newer) => Ok(usize::try_from(newer).ok()),
            _ => Err(Unanswered::Refused),
        }
    }

    /// The right to count something now, as far as it was not before; `None`: it was, or somebody does, or nobody can say.
    pub(crate) async fn counting(&self, what: ListName) -> Option<CountMark> {
        let key = format!("sluicegate:{{{}}}:counted", blake3::Hash::from_bytes(what.0).to_hex());
        let before = match &self.remote {
            None => self.local().claim(what.0),
            Some(remote) => {
                let lives = LONGEST_COUNT.as_millis().to_string();
                let arguments = [UNDER_WAY.as_bytes(), ALL.as_bytes(), lives.as_bytes()];
                match remote.eval(&self.claim, &[&key], &arguments).await.ok()? {
                    Value::BulkString(text) => std::str::from_utf8(&text).ok()?.parse().ok(),
                    _ => None,
                }
            }
        }?;
        let (shared, remote) = (Arc::clone(&self.shared), self.remote.clone());
        Some(CountMark { what, key, before, counted: CountedParts::Until(before), shared, remote })
    }

    fn local(&self) -> MutexGuard<'_, LocalLists> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to count something in its parts, once each.
pub(crate) struct CountMark {
    what: ListName,
    key: String,
    before: u64,
    counted: CountedParts,
    shared: Arc<SharedLists>,
    remote: Option<RedisClient>,
}

impl CountMark {
    /// The number of parts that were counted before.
    pub(crate) const fn before(&self) -> u64 {
        self.before
    }

    /// So many are.
    pub(crate) const fn are(&mut self, counted: CountedParts) {
        self.counted = counted;
    }
}

impl Drop for CountMark {
    fn drop(&mut self) {
        let Some(remote) = &self.remote else {
            return self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).counted(self.what.0, self.counted);
        };
        match self.counted {
            CountedParts::All => remote.set(&self.key, ALL.as_bytes(), TTL),
            CountedParts::Until(number) => remote.set(&self.key, number.to_string().as_bytes(), TTL),
        }
    }
}
