//! Amazon's Signature Version 4: what is signed of a request, and the header that says so. Pure.
//!
//! As "Create a signed AWS API request" of the IAM User Guide has it, for services other than S3: each segment of the path is
//! encoded once more than it is on the wire.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use http::{HeaderName, HeaderValue};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The names under which a signature is made: where, and for which service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) region: String,
    pub(crate) service: &'static str,
}

/// A time as signatures say it: `20150830T123600Z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SigningTime(String);

impl SigningTime {
    /// Of a time in seconds since 1970.
    pub(crate) fn of(seconds: i64) -> Self {
        let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
        Self(time.strftime("%Y%m%dT%H%M%SZ").to_string())
    }

    /// The value of `x-amz-date`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The day in it.
    pub(crate) fn day(&self) -> &str {
        self.0.get(..8).unwrap_or_default()
    }
}

/// The key of a day: from it signatures are made, and from it no secret can be had back.
#[derive(Clone)]
pub(crate) struct DayKey {
    day: String,
    key: hmac::Key,
}

impl DayKey {
    pub(crate) fn new(secret: &str, time: &SigningTime, scope: &Scope) -> Self {
        let mut key =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes()), time.day().as_bytes());
        for word in [scope.region.as_str(), scope.service, "aws4_request"] {
            key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), word.as_bytes());
        }
        Self { day: time.day().to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()) }
    }

    /// True if it is the key of this time's day.
    pub(crate) fn is_of(&self, time: &SigningTime) -> bool {
        self.day == time.day()
    }
}

/// The parts of a request that are signed. The headers are in the order of their names, which are in lower case.
pub(crate) struct Signable<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// The value of `authorization`.
pub(crate) fn authorization(
    (id, key): (&str, &DayKey),
    scope: &Scope,
    time: &SigningTime,
    signable: &Signable<'_>,
) -> Option<(HeaderName, HeaderValue)> {
    let names = signable.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let of_request = hex(digest::digest(&digest::SHA256, canonical(signable, &names).as_bytes()).as_ref());
    let place = format!("{}/{}/{}/aws4_request", time.day(), scope.region, scope.service);
    let signed = format!("{ALGORITHM}\n{}\n{place}\n{of_request}", time.as_str());
    let signature = hex(hmac::sign(&key.key, signed.as_bytes()).as_ref());
    let line = format!("{ALGORITHM} Credential={id}/{place}, SignedHeaders={names}, Signature={signature}");
    let mut value = HeaderValue::try_from(line).ok()?;
    value.set_sensitive(true);
    Some((http::header::AUTHORIZATION, value))
}

/// The request in the one form that both sides make of it.
fn canonical(signable: &Signable<'_>, names: &str) -> String {
    let Signable { method, path, query, headers, body } = signable;
    let mut text = String::with_capacity(512);
    text.push_str(method);
    text.push('\n');
    encode(if path.is_empty() { "/" } else { path }, &mut text);
    text.push('\n');
    let mut words: Vec<(&str, &str)> = query
        .split('&')
        .filter(|word| !word.is_empty())
        .map(|word| word.split_once('=').unwrap_or((word, "")))
        .collect();
    words.sort_unstable();
    for (at, (name, value)) in words.iter().enumerate() {
        let mark = if at == 0 { "" } else { "&" };
        let _ = write!(text, "{mark}{name}={value}");
    }
    text.push('\n');
    for (name, value) in *headers {
        text.push_str(name);
        text.push(':');
        let mut words = value.split_ascii_whitespace();
        text.push_str(words.next().unwrap_or_default());
        for word in words {
            text.push(' ');
            text.push_str(word);
        }
        text.push('\n');
    }
    text.push('\n');
    text.push_str(names);
    text.push('\n');
    text.push_str(&hex(digest::digest(&digest::SHA256, body).as_ref()));
    text
}

/// Appends a path, as it is on the wire, encoded once more.
fn encode(path: &str, text: &mut String) {
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four: u8| DIGITS.get(usize::from(four)).map_or('0', |digit| char::from(*digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn signature(service: &'static str, signable: &Signable<'_>) -> String {
        let scope = Scope { region: "us-east-1".to_owned(), service };
        let time = SigningTime::of(1_440_938_160);
        assert_eq!(time.as_str(), "20150830T123600Z");
        let key = DayKey::new(SECRET, &time, &scope);
        let (_, value) = authorization((ID, &key), &scope, &time, signable).unwrap();
        value.to_str().unwrap().rsplit('=').next().unwrap().to_owned()
    }

    #[test]
    fn the_published_vectors_come_out() {
        let plain: &[(&str, &str)] = &[("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        let of = |method, query| Signable { method, path: "/", query, headers: plain, body: b"" };
        for (signable, expected) in [
            // get-vanilla, post-vanilla, get-vanilla-query-order-key-case of the suite.
            (of("GET", ""), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (of("POST", ""), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                of("GET", "Param2=value2&Param1=value1"),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ] {
            assert_eq!(signature("service", &signable), expected);
        }
        // The IAM User Guide's own example.
        let headers: &[(&str, &str)] = &[
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        let signable = Signable { headers, ..of("GET", "Action=ListUsers&Version=2010-05-08") };
        assert_eq!(signature("iam", &signable), "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    }
}
