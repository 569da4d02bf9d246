//! The words with which a Redis says no: the reason, which is one of a few, and what it says besides, which may go into a log.

use ::redis::{ErrorKind, RedisError};

/// The reasons that are told. They are Redis's own words, but for `AUTH`: the login was refused.
pub(super) const REASONS: [&str; 12] = [
    "AUTH",
    "BUSY",
    "CLUSTERDOWN",
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
/// At most so many characters of its words are told.
const MOST_WORDS: usize = 160;

/// A refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// One of [`REASONS`].
    pub(super) reason: &'static str,
    /// Its own sentence. Errors of other reasons may repeat what they were asked, a password too: nothing of those is told.
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
            Some(reason) => reason,
            // What a script's own command was refused with, in the words of older ones.
            None if words.starts_with("ACL failure in script") => "NOPERM",
            None if words.starts_with("Error running script") => words.split([' ', '\'', '-']).find_map(known)?,
            None => return None,
        };
        let words = words.chars().filter(|letter| !letter.is_control()).take(MOST_WORDS).collect();
        Some(Self { reason, words })
    }
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
        ] {
            let refusal = refusal(answer).unwrap();
            assert_eq!(refusal.reason, reason);
            assert!(!refusal.words.is_empty() && refusal.words.len() <= MOST_WORDS);
        }
        for answer in [
            &b"-ERR unknown command `HELLO`, with args beginning with: `3` `AUTH` `user` `secret`\r\n"[..],
            b"-MOVED 3999 127.0.0.1:6381\r\n",
            b"-NOSCRIPT No matching script.\r\n",
        ] {
            assert_eq!(refusal(answer), None);
        }
    }
}
