//! Checks of what must hold for any bytes from outside that are read here: one function per fuzz target, which panics when it does not.
//!
//! Each stands in the room whose parsers it is for. Inputs are the bytes as they come on the wire. Where one is cut is the caller's to say.

pub use crate::cache::fuzzing::{entry as cache_entry, key as cache_key};
pub use crate::call::fuzzing::{coded_body, limit_headers, queries};
pub use crate::coalescing::fuzzing::frames;
pub use crate::identity::fuzzing::token_answers;
pub use crate::jwt::fuzzing::tokens;
pub use crate::learning::fuzzing::news;
pub use crate::redis::fuzzing::replies as redis_replies;
pub use crate::sealing::fuzzing::sealed_ids;
pub use crate::source::fuzzing::published;
pub use crate::upstream::fuzzing::answers as http1;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a check over these, whole and cut off anywhere.
    fn each(inputs: &[&[u8]], check: fn(&[u8])) {
        for input in inputs {
            for end in 0..=input.len() {
                check(input.get(..end).unwrap_or_default());
            }
        }
    }

    #[test]
    fn what_is_kept_is_an_entry_or_a_miss() {
        each(&[br#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#], cache_entry);
        each(
            &[br#"{"model":"m","temperature":0.10,"stream":true,"messages":[{"role":"user","content":" A "}]}"#],
            cache_key,
        );
    }

    #[test]
    fn heads_bodies_and_queries_are_read_or_refused() {
        each(
            &[
                b"retry-after: 2\nx-ratelimit-limit-requests: 10\nx-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 6m0s",
                br#"{"error":{"message":"try again in 6m0s","details":[{"retryDelay":"52.4s"}]}}"#,
            ],
            limit_headers,
        );
        each(
            &[
                b"key=a%2Bb&limit=2&after=x&provider=a,b&capability=tools&order=asc",
                b"/v1beta/models/a%2Fb:generateContent",
            ],
            queries,
        );
        each(
            &[b"gzip, deflate, br, zstd;q=0.5", b"\x1f\x8b\x08\0\0\0\0\0\0\x03K\x04\0C\xbe\xb7\xe8\x01\0\0\0"],
            coded_body,
        );
    }

    #[test]
    fn what_redis_says_is_read_or_passed_over() {
        each(
            &[
                b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:7000\r\n",
                b"-MOVED 3999 127.0.0.1:6381\r\n",
                b"*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nd\r\n$1\r\nx\r\n",
                b"*10\r\n:1\r\n$1\r\n5\r\n:1\r\n:1\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
            ],
            redis_replies,
        );
        each(&[br#"{"v":1,"from":"b","news":[{"endpoint":"000102030405060708090a0b0c0d0e0f","subject":"limited","ms":5}]}"#], news);
        for input in [&b"\x01\x02\x03\0\0\0"[..], b"abc", b""] {
            let singly: Vec<&[u8]> = input.chunks(1).collect();
            frames(input, &singly);
        }
    }

    #[test]
    fn words_about_who_somebody_is_are_read_or_refused() {
        each(
            &[
                b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL3giLCJhdWQiOiJnYXRld2F5In0.AQAB",
                br#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a","alg":"RS256","use":"sig"}]}"#,
            ],
            tokens,
        );
        each(&[b"resp_abc", b"resp_AQEAAAAAAAAA"], sealed_ids);
        each(
            &[
                br#"{"access_token":"t","expires_in":3600,"token_type":"Bearer","expires_on":"1"}"#,
                b"[default]\naws_access_key_id = a\naws_secret_access_key = b\n",
                b"<AccessKeyId>A</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-01-02T04:00:00Z</Expiration>",
            ],
            token_answers,
        );
    }

    #[test]
    fn what_is_published_is_read_or_refused() {
        each(&[br#"{"format":1,"revision":"a"}"#], published);
    }

    #[test]
    fn an_answer_is_read_alike_however_it_is_cut() {
        for input in [
            &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"[..],
            b"HTTP/1.1 204 \r\n\r\nx",
            b"GET",
        ] {
            let singly: Vec<&[u8]> = input.chunks(1).collect();
            http1(input, &singly);
        }
    }
}
