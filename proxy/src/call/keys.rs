//! The places where callers put their keys: each vendor's SDKs have a place of their own.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use sluicegate_config::GENERATED_KEY_PREFIX;

use crate::api::profiles::Auth;
use crate::consumer::Identified;

use super::inbound::InboundCall;

/// The headers in which a key may be, beside `authorization`: Anthropic's, Azure's and Google's ways.
pub(super) const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// The most keys of a call that are looked at: each costs a hash, and callers have one, or one in each place.
const MOST_KEYS: usize = 16;

/// The keys that a call brings, from the place that is looked at first to the last; of each place in the order in which they
/// came.
pub(super) fn keys<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let bearers = headers.get_all(AUTHORIZATION).into_iter().map(|value| bearer(value.as_bytes()));
    let others = KEY_HEADERS.into_iter().flat_map(|name| headers.get_all(name)).map(|value| value.as_bytes());
    let in_headers = bearers.chain(others).map(<[u8]>::trim_ascii).map(Cow::Borrowed);
    let in_query = query_keys(query).map(|key| Cow::from(percent_decode_str(key)));
    in_headers.chain(in_query).filter(|key| !key.is_empty()).take(MOST_KEYS)
}

/// The header by which a provider is called with the caller's own key; `None`: it has sent none. Where the gateway knows the caller by
/// a key, that one is the gateway's, and goes nowhere.
pub(super) fn passed(call: &InboundCall, auth: &Auth) -> Option<(HeaderName, HeaderValue)> {
    own(call).find_map(|key| auth.carrying(&key))
}

/// The caller's keys that are none of this gateway's.
fn own(call: &InboundCall) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let ready = &call.context.ready;
    let is_ours = |key: &[u8]| !matches!(ready.consumers().known_by(key, || 0), Identified::Unknown);
    let knows = ready.asks_who_calls();
    let may_be_one = |key: &Cow<'_, [u8]>| is_plain(key) && !key.starts_with(GENERATED_KEY_PREFIX.as_bytes());
    keys(&call.headers, call.query()).filter(may_be_one).filter(move |key| !knows || !is_ours(key))
}

/// True if it is a key by itself, and not one with something around it: what stands behind another scheme than `Bearer`, in
/// quotes or in a list may be a key of this gateway's that is not known in that form.
fn is_plain(key: &[u8]) -> bool {
    key.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=:|$@!*%#&".contains(byte))
}

/// Stands for the keys that a call may be passed on with, where answers are each key's own.
pub(super) fn digest(call: &InboundCall) -> [u8; 32] {
    let mut digest = blake3::Hasher::new_derive_key("sluicegate keys that are passed on v1");
    for key in own(call) {
        digest.update(&u64::try_from(key.len()).unwrap_or(u64::MAX).to_le_bytes());
        digest.update(&key);
    }
    *digest.finalize().as_bytes()
}

/// The keys in the query, as Google's clients may send one. They go nowhere.
pub(super) fn query_keys(query: Option<&str>) -> impl Iterator<Item = &str> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    pairs.filter_map(|pair| pair.strip_prefix("key=")).filter(|key| !key.is_empty())
}

/// The key behind `Bearer`; whatever else stands there, as it stands.
pub(super) fn bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(6) {
        Some((scheme, key))
            if scheme.eq_ignore_ascii_case(b"bearer")
                && key.first().is_none_or(|next| matches!(next, b' ' | b'\t')) =>
        {
            key
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn a_key_with_something_around_it_is_none_to_pass_on() {
        for key in ["sk-proj-a_B.9~", "AIzaSy-1", "fal:1/2+3=", "eyJ.a.b", "Bearerone"] {
            assert!(is_plain(key.as_bytes()), "{key}");
        }
        for key in ["Basic one", "Bearer one", "\"one\"", "one,", "one, two", "'one'", "one;", "<one>", "AWS4 a=b"] {
            assert!(!is_plain(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn keys_are_found_where_each_sdk_puts_them() {
        let found = |pairs: &[(&'static str, &str)], query: Option<&str>| -> Vec<String> {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            keys(&headers, query).map(|key| String::from_utf8(key.into_owned()).unwrap()).collect()
        };
        assert_eq!(found(&[("authorization", "Bearer one")], None), ["one"]);
        assert_eq!(found(&[("authorization", "bearer  one ")], None), ["one"]);
        assert_eq!(found(&[("authorization", "Bearer\tone")], None), ["one"]);
        assert_eq!(found(&[("authorization", "Bearerone")], None), ["Bearerone"]);
        for name in KEY_HEADERS {
            assert_eq!(found(&[(name, "one")], None), ["one"]);
        }
        assert_eq!(found(&[], Some("alt=sse&key=a%2Bb%3D")), ["a+b="]);
        assert_eq!(
            found(&[("x-api-key", "two"), ("authorization", "Bearer one")], Some("key=three")),
            ["one", "two", "three"]
        );
        assert!(found(&[("authorization", "Bearer "), ("x-api-key", " ")], Some("key=&x=1")).is_empty());
        // Sent twice: the first one may be empty, or what somebody in between has put there.
        let twice = [("x-api-key", ""), ("x-api-key", "one"), ("authorization", "a"), ("authorization", "Bearer b")];
        assert_eq!(found(&twice, Some("key=&key=two&key=three")), ["a", "b", "one", "two", "three"]);
        assert_eq!(found(&[], Some(&"key=x&".repeat(1_000))).len(), MOST_KEYS);
    }
}
