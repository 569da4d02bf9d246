//! A message of the log by which proxies tell one another: news of endpoints, each with the time for which it holds. Pure. Whatever is
//! no message of this form is none, and what this version does not know of one is passed over.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::endpoint::{EndpointName, News, Subject};

/// The version of the form.
const VERSION: u32 = 1;
/// The most news in a message.
pub(super) const MOST_NEWS: usize = 64;
/// The most bytes of one.
const MOST_BYTES: usize = 16 << 10;
/// News holds for an hour at most, whatever it says.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A message as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    v: u32,
    /// The process that tells it.
    from: String,
    news: Vec<WrittenNews>,
}

/// A piece of news as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct WrittenNews {
    /// The endpoint's name, in hexadecimal.
    endpoint: String,
    subject: String,
    /// Milliseconds for which it holds from the time of its message on; 0: no longer.
    ms: u64,
    /// A further word of some subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
}

/// News that was heard: it holds for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeardNews {
    pub(super) name: EndpointName,
    pub(super) subject: Subject,
    pub(super) holds: Duration,
}

/// Writes a message.
pub(super) fn write(from: &str, news: &[News], now: Instant) -> Vec<u8> {
    let news = news.iter().take(MOST_NEWS).map(|News { name, subject, until }| {
        let (subject, of) = word(*subject);
        // Rounded up: what has been told that it is over holds for no time at all, and nothing else does.
        let left = until.saturating_duration_since(now).as_micros().div_ceil(1_000);
        let ms = u64::try_from(left).unwrap_or(u64::MAX);
        WrittenNews { endpoint: hex(*name), subject: subject.to_owned(), ms, of }
    });
    let message = Message { v: VERSION, from: from.to_owned(), news: news.collect() };
    serde_json::to_vec(&message).unwrap_or_default()
}

/// Reads a message that was written so long ago: its news, unless it is of this process itself. `None`: it is none.
pub(super) fn read(own: &str, bytes: &[u8], age: Duration) -> Option<Vec<HeardNews>> {
    if bytes.len() > MOST_BYTES {
        return None;
    }
    let Message { v, from, news } = serde_json::from_slice(bytes).ok()?;
    if v != VERSION || news.len() > MOST_NEWS {
        return None;
    }
    if from == own {
        return Some(Vec::new());
    }
    let heard = news.into_iter().filter_map(|WrittenNews { endpoint, subject, ms, of }| {
        let (name, subject) = (name(&endpoint)?, subject_of(&subject, of)?);
        let holds = Duration::from_millis(ms).min(LONGEST);
        // What is over is taken back; what would be over by now says nothing.
        let left = holds.saturating_sub(age);
        (ms == 0 || !left.is_zero()).then_some(HeardNews { name, subject, holds: left })
    });
    Some(heard.collect())
}

const fn word(subject: Subject) -> (&'static str, Option<u64>) {
    match subject {
        Subject::Cooldown => ("cooldown", None),
        Subject::Limited => ("limited", None),
        Subject::Circuit => ("circuit", None),
        Subject::Credential => ("credential", None),
        Subject::Scarce(model) => ("scarce", Some(model)),
    }
}

fn subject_of(word: &str, of: Option<u64>) -> Option<Subject> {
    match word {
        "cooldown" => Some(Subject::Cooldown),
        "limited" => Some(Subject::Limited),
        "circuit" => Some(Subject::Circuit),
        "credential" => Some(Subject::Credential),
        "scarce" => of.map(Subject::Scarce),
        _ => None,
    }
}

fn hex(name: EndpointName) -> String {
    format!("{:032x}", u128::from_be_bytes(name.0))
}

fn name(hex: &str) -> Option<EndpointName> {
    let is_hex = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(hex, 16).ok().filter(|_| is_hex)?;
    Some(EndpointName(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: EndpointName = EndpointName([0xab; 16]);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_written_is_read_less_its_age_and_never_ones_own() {
        let now = Instant::now();
        let all = [Subject::Cooldown, Subject::Limited, Subject::Circuit, Subject::Credential, Subject::Scarce(9)];
        let news = all.map(|subject| News { name: NAME, subject, until: now + seconds(10) });
        let text = write("me", &news, now);
        let read_at = |age| read("you", &text, seconds(age)).unwrap();
        let heard = all.map(|subject| HeardNews { name: NAME, subject, holds: seconds(7) });
        assert_eq!(read_at(3), heard);
        assert_eq!(read_at(10), []);
        assert_eq!(read("me", &text, seconds(0)), Some(vec![]));
        let over = write("me", &[News { name: NAME, subject: Subject::Circuit, until: now }], now);
        let heard = HeardNews { name: NAME, subject: Subject::Circuit, holds: Duration::ZERO };
        assert_eq!(read("you", &over, seconds(99)), Some(vec![heard]), "taken back");
    }

    #[test]
    fn a_message_that_anybody_may_have_written_is_bounded_or_none() {
        let of = |text: &str| read("you", text.as_bytes(), Duration::ZERO);
        let one = |endpoint: &str, subject: &str, ms: &str| {
            of(&format!(r#"{{"v":1,"from":"x","news":[{{"endpoint":"{endpoint}","subject":"{subject}","ms":{ms}}}]}}"#))
        };
        let good = "ab".repeat(16);
        let heard = |holds| Some(vec![HeardNews { name: NAME, subject: Subject::Cooldown, holds }]);
        assert_eq!(one(&good, "cooldown", "1500"), heard(Duration::from_millis(1_500)));
        assert_eq!(one(&good, "cooldown", "18446744073709551615"), heard(LONGEST));
        for (endpoint, subject) in [("", "cooldown"), ("+b", "cooldown"), (&*"zz".repeat(16), "limited"), (&good, "x")]
        {
            assert_eq!(one(endpoint, subject, "5"), Some(vec![]), "{endpoint} {subject}");
        }
        assert_eq!(one(&good, "scarce", "5"), Some(vec![]), "of nothing");
        assert_eq!((one(&good, "cooldown", "-1"), one(&good, "cooldown", "1e99")), (None, None));
        for text in ["", "[]", "{}", r#"{"v":2,"from":"x","news":[]}"#, r#"{"v":1,"from":7,"news":[]}"#] {
            assert_eq!(of(text), None, "{text}");
        }
        let piece = format!(r#"{{"endpoint":"{good}","subject":"limited","ms":5}}"#);
        let many = |count| format!(r#"{{"v":1,"from":"x","news":[{}]}}"#, vec![&*piece; count].join(","));
        assert_eq!(of(&many(MOST_NEWS)).map(|news| news.len()), Some(MOST_NEWS));
        assert_eq!((of(&many(MOST_NEWS + 1)), of(&" ".repeat(MOST_BYTES + 1))), (None, None));
    }
}
