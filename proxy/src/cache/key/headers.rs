//! The headers of a call that go into its key: all that go on to a provider, but those that are known to change no answer.

use http::{HeaderMap, HeaderName};

use super::rules::put;

/// Headers that say who asks, with which program, how often, and in which trace.
const IDLE: [&str; 34] = [
    "accept",
    "accept-charset",
    "accept-language",
    "anthropic-dangerous-direct-browser-access",
    "b3",
    "baggage",
    "cache-control",
    "date",
    "dnt",
    "elastic-apm-traceparent",
    "grpc-trace-bin",
    "helicone-session-id",
    "http-referer",
    "idempotency-key",
    "newrelic",
    "pragma",
    "priority",
    "request-id",
    "sentry-trace",
    "session-id",
    "session_id",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-amzn-trace-id",
    "x-app",
    "x-client-request-id",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-session-affinity",
    "x-title",
];
/// Families of such headers.
const IDLE_FAMILIES: [&str; 8] =
    ["sec-", "x-b3-", "x-claude-code-", "x-codex-", "x-datadog-", "x-ot-span-", "x-session-", "x-stainless-"];

/// True if a header that goes on to a provider may change its answer.
fn counts(name: &HeaderName) -> bool {
    let name = name.as_str();
    IDLE.binary_search(&name).is_err() && !IDLE_FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Headers by which one vendor's SDKs say which form of its dialect they read, and which program they are; `None`: whatever they say.
const FORMS: [(&str, Option<&str>); 2] = [("anthropic-version", Some("2023-06-01")), ("x-goog-api-client", None)];

/// True if a header says nothing that matters to who asks the same in another dialect.
pub(super) fn is_form(headers: &HeaderMap, name: &HeaderName) -> bool {
    let form = FORMS.iter().find(|(form, _)| *form == name.as_str());
    form.is_some_and(|(form, said)| said.is_none_or(|said| headers.get_all(*form).iter().all(|value| value == said)))
}

/// Appends the headers that count, by name; of one name in the order of the request.
pub(super) fn write(headers: &HeaderMap, goes_on: impl Fn(&HeaderName) -> bool, out: &mut Vec<u8>) {
    let mut names: Vec<&HeaderName> = headers.keys().filter(|name| goes_on(name) && counts(name)).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    for name in names {
        put(out, name.as_str().as_bytes());
        for value in headers.get_all(name) {
            out.push(1);
            put(out, value.as_bytes());
        }
        out.push(0);
    }
    // Longer than any name: nothing of the body can be read as one more header.
    out.extend_from_slice(&u64::MAX.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(IDLE.is_sorted());
    }

    #[test]
    fn what_shapes_an_answer_counts_and_what_names_a_program_does_not() {
        for name in ["anthropic-beta", "anthropic-version", "openai-beta", "x-vendor-option", "openai-organization"] {
            assert!(counts(&HeaderName::from_static(name)), "{name}");
        }
        for name in [
            "user-agent",
            "x-stainless-retry-count",
            "x-claude-code-session-id",
            "session_id",
            "idempotency-key",
            "traceparent",
            "sec-fetch-mode",
            "accept",
        ] {
            assert!(!counts(&HeaderName::from_static(name)), "{name}");
        }
    }
}
