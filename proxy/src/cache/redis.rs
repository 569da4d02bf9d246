//! The layer in Redis.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::key::Key;
use super::stats::Stats;

/// No call waits longer for Redis.
pub const LIMIT: Duration = Duration::from_millis(50);

/// One worker's client of the shared Redis, a cluster or a single node.
#[derive(Debug)]
pub struct Remote {}

/// A Redis URL that can not be used; names the URL's place in the list, never the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis URL {place} of {of} can not be used: {why}")]
pub struct BadUrl {
    /// From 1.
    pub place: usize,
    /// How many there are.
    pub of: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Remote {
    /// One worker's client; connects in the background. Must be called within a `LocalSet`.
    ///
    /// # Errors
    /// One of the URLs can not be used.
    pub fn open(urls: &[String], stats: &Arc<Stats>) -> Result<Self, BadUrl> {
        let _ = (urls, stats);
        Ok(Self {})
    }

    /// What is kept under a key.
    pub async fn get(&self, key: &Key) -> Option<Bytes> {
        let _ = key;
        None
    }

    /// Keeps something under a key, some time soon, or not.
    pub fn put(&self, key: &Key, value: Vec<u8>, ttl: Duration) {
        let _ = (key, value, ttl);
    }
}
