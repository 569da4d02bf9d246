//! The words with which a Redis says no: the reason, which is one of a few, and what it says besides, which may go into a log.

use ::redis::{ErrorKind, RedisError};

/// The reasons that are told. They are Redis's own words, but for `AUTH`: the login was refused.
pub(super) const REASONS: [&str; 13] = [
    "AUTH",
    "BUSY",
    "CLUSTERDOWN",
    "ERR",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOAUTH",
    "NOPERM",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "WRONGPASS",
];
/// Commands that are tried, and done without where they are not there.
const NOT_NEEDED: [&str; 4] = ["asking", "client", "cluster", "hello"];
/// At most so many characters of its words are told.
const MOST_WORDS: usize = 160;

/// A refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// One of [`REASONS`].
    pub(super) reason: &'static str,
    /// Its own sentence, without what that repeats of what it was asked: that may be a password.
    pub(super) words: String,
}

impl Refusal {
    /// The refusal that an error is; `None`: it is none, or none of those that tell something of how Redis is kept.
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        if error.kind() == ErrorKind::AuthenticationFailed {
            let words = "the login is refused: a wrong password or user (WRONGPASS), or it wants none";
            return Some(Self { reason: "AUTH", words: words.to_owned() });
        }
        let (code, words) = (error.code()?, error.detail().unwrap_or_default());
        let known = |word: &str| REASONS.iter().copied().find(|reason| *reason == word);
        let reason = match known(code) {
            Some(reason) if reason != "ERR" => reason,
            // What a script's own command was refused with, in the words of older ones.
            _ if words.starts_with("ACL failure in script") => "NOPERM",
            _ if words.starts_with("Error running script") => {
                words.split([' ', '\'', '-']).find_map(known).unwrap_or("ERR")
            }
            Some(reason) => reason,
            None => return None,
        };
        if reason == "ERR" && is_expected(words) {
            return None;
        }
        let words = words.split(", with args").next().unwrap_or_default();
        let words = words.chars().filter(|letter| !letter.is_control()).take(MOST_WORDS).collect();
        Some(Self { reason, words })
    }
}

/// True if a plain error says that a Redis is none of a cluster, or lacks a command that nobody needs.
fn is_expected(words: &str) -> bool {
    let unknown = words.strip_prefix("unknown command ").and_then(|rest| rest.get(1..));
    let is = |name: &&str| {
        unknown.is_some_and(|rest| rest.get(..name.len()).is_some_and(|own| own.eq_ignore_ascii_case(name)))
    };
    words.starts_with("This instance has cluster support disabled") || NOT_NEEDED.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(answer: &[u8]) -> Option<Refusal> {
        let value = ::redis::parse_redis_value(answer).unwrap();
        Refusal::of(&value.extract_error().unwrap_err())
    }

    #[test]
    fn a_refusal_is_read_with_its_reason_and_no_other_error_is_repeated() {
        for (answer, reason) in [
            (
                &b"-OOM command not allowed when used memory > 'maxmemory'. script: 0c, on @user_script:1.\r\n"[..],
                "OOM",
            ),
            (b"-NOPERM User narrow has no permissions to run the 'evalsha' command\r\n", "NOPERM"),
            (b"-ERR ACL failure in script: User narrow has no permissions to run the 'hget' command\r\n", "NOPERM"),
            (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "WRONGPASS"),
            (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
            (b"-READONLY You can't write against a read only replica.\r\n", "READONLY"),
            (b"-NOREPLICAS Not enough good replicas to write.\r\n", "NOREPLICAS"),
            (b"-MISCONF Redis is configured to save RDB snapshots\r\n", "MISCONF"),
            (b"-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN"),
            (b"-LOADING Redis is loading the dataset in memory\r\n", "LOADING"),
            (b"-ERR Error running script (call to f_0c): @user_script:1: -OOM command not allowed\r\n", "OOM"),
            (b"-ERR unknown command 'EVALSHA', with args beginning with: '0c' '1' 'secret'\r\n", "ERR"),
            (b"-ERR command is not supported by this proxy\r\n", "ERR"),
        ] {
            let refusal = refusal(answer).unwrap();
            assert_eq!(refusal.reason, reason);
            assert!(!refusal.words.is_empty() && refusal.words.len() <= MOST_WORDS);
            assert!(!refusal.words.contains("secret"), "{}", refusal.words);
        }
        for answer in [
            &b"-ERR unknown command `HELLO`, with args beginning with: `3` `AUTH` `user` `secret`\r\n"[..],
            b"-ERR unknown command 'CLUSTER', with args beginning with: 'SLOTS'\r\n",
            b"-ERR This instance has cluster support disabled\r\n",
            b"-MOVED 3999 127.0.0.1:6381\r\n",
            b"-NOSCRIPT No matching script.\r\n",
        ] {
            assert_eq!(refusal(answer), None);
        }
    }
}
