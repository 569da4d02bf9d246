//! The address of Redis and the login: URLs read, passwords put in, neither ever shown.

use ::redis::{ConnectionInfo, IntoConnectionInfo};

/// A Redis URL that can not be used; names the URL's place in the list, never the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis URL {place} of {of} can not be used: {why}; write redis://HOST:PORT, or rediss://HOST:PORT for TLS")]
pub struct BadUrl {
    /// From 1.
    pub place: usize,
    /// The number of them.
    pub of: usize,
    /// The mistake in it.
    pub why: String,
}

/// The user to log in as at nodes whose URL does not say so. Never shown: it has no `Debug`.
#[derive(Clone, Copy, Default)]
pub struct Login<'a> {
    /// The default user when there is none.
    pub username: Option<&'a str>,
    /// No login when there is none.
    pub password: Option<&'a str>,
}

impl Login<'_> {
    pub(super) fn on(self, info: ConnectionInfo) -> ConnectionInfo {
        let has_own = info.redis_settings().password().is_some();
        let Some(password) = self.password.filter(|password| !password.is_empty() && !has_own) else { return info };
        let mut redis = info.redis_settings().clone().set_password(password);
        if let Some(username) = self.username.filter(|username| !username.is_empty()) {
            redis = redis.set_username(username);
        }
        info.set_redis_settings(redis)
    }
}

/// Checks that these URLs can be used, before there is anything to serve.
///
/// # Errors
/// There is none, or one of them can not be used.
pub fn check(urls: &[String]) -> Result<(), BadUrl> {
    read(urls).map(drop)
}

pub(super) fn read(urls: &[String]) -> Result<Vec<ConnectionInfo>, BadUrl> {
    let bad = |at: usize, why: &str| BadUrl { place: at + 1, of: urls.len(), why: why.to_owned() };
    if urls.is_empty() {
        return Err(bad(0, "there is none"));
    }
    let read = urls.iter().enumerate().map(|(at, url)| read_one(url).map_err(|why| bad(at, why)));
    read.collect()
}

/// The library's messages may quote the URL, which may hold a password: so the words are ours.
fn read_one(url: &str) -> Result<ConnectionInfo, &'static str> {
    if url.trim().is_empty() {
        return Err("it is empty");
    }
    let parsed = ::redis::parse_redis_url(url).ok_or("it is no URL of a Redis")?;
    if matches!(parsed.scheme(), "unix" | "redis+unix" | "valkey+unix") {
        return Err("a socket file can not be shared between pods");
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err("it names no host");
    }
    let database = parsed.path().trim_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err("what stands behind the host is not a database's number");
    }
    url.into_connection_info().map_err(|_| "its host, login or options can not be read")
}
