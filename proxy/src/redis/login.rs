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
    let read = read.collect::<Result<Vec<_>, _>>()?;
    let is_elsewhere = |info: &ConnectionInfo| read.len() > 1 && info.redis_settings().db() != 0;
    match read.iter().position(is_elsewhere) {
        Some(at) => Err(bad(at, "it names a database, and a cluster, which several URLs are of, has database 0 only")),
        None => Ok(read),
    }
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
    // The library passes over what it does not know.
    if parsed.query_pairs().any(|(option, _)| option != "protocol") {
        return Err("it has options, of which there is `protocol` only");
    }
    url.into_connection_info().map_err(|_| "its host, login or options can not be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_node_can_be_asked_for_is_refused() {
        let why = |urls: &[&str]| {
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            check(&urls).err().map(|bad| (bad.place, bad.why))
        };
        assert_eq!(why(&["redis://a:1/1"]), None, "one Redis has databases");
        assert_eq!(why(&["redis://a:1/0", "redis://b:1/"]), None);
        let (place, said) = why(&["redis://a:1", "redis://b:1/3"]).unwrap();
        assert!(place == 2 && said.contains("database 0 only"), "{said}");
        assert_eq!(why(&["redis://a:1?protocol=resp3"]), None);
        let (_, said) = why(&["redis://a:1?db=1"]).unwrap();
        assert!(said.contains("`protocol` only"), "{said}");
        assert!(why(&["redis://a:1?protocol=resp4"]).is_some());
    }
}
