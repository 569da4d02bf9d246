//! The paths that only a rule's naming them lets through: which can be named at all, by which methods, and what of their query goes on.

use http::Method;
use percent_encoding::percent_decode_str;
use sluicegate_config::owner_of_path;

/// The methods that such a path takes. What only looks at a head, opens a tunnel or is of another protocol goes nowhere.
pub(crate) const METHODS: &str = "GET, POST, PUT, PATCH, DELETE, OPTIONS";

/// A slash as a number.
const SLASHES: [&str; 2] = ["%2F", "%2f"];

/// A path as rules name it; `None`: it is one of the gateway's own, or could be read as another path than it looks like.
pub(crate) fn nameable(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = path.split('/');
    let is_plain = !path.is_empty() && segments.next() == Some("") && segments.all(is_plain);
    (is_plain && owner_of_path(path).is_none() && is_one_as_two(path)).then_some(path)
}

/// True if the path is as good where a server takes a slash that is written as a number for one: it stands in the ARNs that AWS's SDKs put
/// into paths.
fn is_one_as_two(path: &str) -> bool {
    if !SLASHES.iter().any(|slash| path.contains(slash)) {
        return true;
    }
    let read = SLASHES.iter().fold(path.to_owned(), |read, slash| read.replace(slash, "/"));
    read.split('/').skip(1).all(is_plain) && owner_of_path(&read).is_none()
}

/// True for a segment that every server reads alike: not empty, no way up, nothing in it that might separate, end or begin anything, and
/// no letter written as a number that could stand there by itself.
fn is_plain(segment: &str) -> bool {
    let letters = segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:@!$&'()*+,=%".contains(&byte));
    let mut coded = segment.split('%').skip(1);
    letters && !matches!(segment, "" | "." | "..") && coded.all(|behind| is_of_text(behind.as_bytes()))
}

/// True if a byte that is written as a number can be nothing but a part of a text.
fn is_of_text(behind: &[u8]) -> bool {
    let digit = |at: usize| behind.get(at).and_then(|digit| char::from(*digit).to_digit(16));
    let Some(byte) = digit(0).zip(digit(1)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) else {
        return false;
    };
    !(byte.is_ascii_control() || byte.is_ascii_alphanumeric() || b"-._~\\%;?#".contains(&byte))
}

/// True for a method whose request may be repeated where nobody knows what became of the first (RFC 9110, 9.2.2).
pub(crate) fn may_be_repeated(method: &Method) -> bool {
    method.is_idempotent()
}

/// The query of such a call as a provider has it: all but a key, which is the gateway's.
pub(crate) fn query(said: Option<&str>) -> String {
    let is_key = |word: &str| {
        let name = word.split('=').next().unwrap_or_default();
        percent_decode_str(name).eq(b"key".iter().copied())
    };
    let words: Vec<&str> = said.into_iter().flat_map(|query| query.split('&')).filter(|word| !is_key(word)).collect();
    if words.iter().all(|word| word.is_empty()) { String::new() } else { format!("?{}", words.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{stored_paths, surfaces};

    #[test]
    fn every_path_of_the_gateways_own_is_nobodys_to_name() {
        let surfaces = surfaces::SURFACES.iter().map(|surface| surface.path);
        for pattern in surfaces.chain(stored_paths::patterns()) {
            let path = pattern.replace(['{', '}'], "");
            for path in [path.clone(), format!("{path}/x"), path.to_uppercase()] {
                assert_eq!(nameable(&path), None, "{path}");
            }
        }
    }

    #[test]
    fn what_could_be_read_as_another_path_is_none() {
        for (path, named) in [
            ("/tokenize", Some("/tokenize")),
            ("/tokenize/", Some("/tokenize")),
            ("/v1/fine_tuning/jobs/ft%3Agpt%20a", Some("/v1/fine_tuning/jobs/ft%3Agpt%20a")),
            ("/v1/a%C3%A9", Some("/v1/a%C3%A9")),
            ("/", None),
            ("", None),
            ("*", None),
            ("tokenize", None),
            ("//tokenize", None),
            ("/tokenize//", None),
            ("/a//b", None),
            ("/a/./b", None),
            ("/a/../b", None),
            ("/a/..", None),
            ("/a/%2e%2e/b", None),
            ("/a/.%2E/b", None),
            ("/a/..;/b", None),
            ("/a;x/b", None),
            (
                "/guardrail/arn%3Aaws%3Abedrock%3Aeu%3A1%3Aguardrail%2Fx/version/1/apply",
                Some("/guardrail/arn%3Aaws%3Abedrock%3Aeu%3A1%3Aguardrail%2Fx/version/1/apply"),
            ),
            ("/a%2fb", Some("/a%2fb")),
            ("/a%2F", None),
            ("/a%2F%2fb", None),
            ("/a%2F..%2Fb", None),
            ("/a/..%2Fb", None),
            ("/v1%2Ffiles%2Fx", None),
            ("/v1/files%2Fx", None),
            ("/a%5cb", None),
            ("/a\\b", None),
            ("/a%252fb", None),
            ("/a%", None),
            ("/a%2", None),
            ("/a%zz", None),
            ("/a%00", None),
            ("/a%0d%0ab", None),
            ("/a%3fb", None),
            ("/%74okenize", None),
            ("/v1/%66iles/x", None),
            ("/v1/files/x", None),
            ("/v1/Files/x", None),
            ("/v1/chat/completions/x", None),
        ] {
            assert_eq!(nameable(path), named, "{path}");
        }
    }

    #[test]
    fn a_key_in_the_query_goes_nowhere() {
        for (said, goes) in [
            (None, ""),
            (Some(""), ""),
            (Some("key=a"), ""),
            (Some("a=1&key=b&c=%20"), "?a=1&c=%20"),
            (Some("k%65y=b&keys=1"), "?keys=1"),
            (Some("after=x&&limit=2"), "?after=x&&limit=2"),
        ] {
            assert_eq!(query(said), goes, "{said:?}");
        }
    }
}
