//! The headers that pass between caller and provider, in both directions. Towards providers it is a list of what goes
//! on: whatever a proxy in front, a browser or a caller may add besides stays here.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, HeaderName};
use sluicegate_config::forwarding::{names_an_account, stays_here};
use sluicegate_dialects::Dialect;

use crate::errors::X_REQUEST_ID;
use crate::state::{Provider, Rule};

use super::inbound::InboundCall;

/// The id that the provider gave the call, where it has one; ours is in `x-request-id`.
const X_UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// A call with so many headers is one without an SDK's, of which about so many go on, with those that are added.
const FEW: usize = 8;
const FEW_GO_ON: usize = 6;

/// The caller's headers that a provider is sent. `same`: it speaks the caller's dialect.
pub(super) fn towards(from: &HeaderMap, (dialect, same): (Dialect, bool), provider: &Provider) -> HeaderMap {
    // Of a few headers most stay here; of many, most are an SDK's own words.
    let room = if from.len() <= FEW { FEW_GO_ON } else { from.len() + 4 };
    let mut headers = HeaderMap::with_capacity(room);
    let named = named_by_connection(from);
    let goes = |name: &HeaderName| {
        let word = name.as_str();
        let known = if same { is_of(dialect, word) } else { is_neutral(word) };
        (known || provider.pass_headers.contains(name))
            && !stays_here(word)
            && !named.iter().any(|named| word.eq_ignore_ascii_case(named))
            && !provider.remove_headers.contains(name)
    };
    // The lines of one name follow one another.
    let mut before = None;
    for (name, value) in from {
        let again = before.replace(name) == Some(name);
        // What is a list may come in several lines; of anything else the first one counts.
        if (!again || name.as_str().ends_with("-beta")) && goes(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// True if a header of the call's may go on to some provider of its rule: it is known, or one of them lists it.
pub(super) fn may_go_on(call: &InboundCall, rule: &Rule, name: &HeaderName) -> bool {
    let listed = || {
        let targets = rule.targets.iter().chain(&rule.fallbacks);
        let mut pools = targets.filter_map(|target| call.context.ready.target(target)).map(|target| target.pool);
        pools.any(|pool| pool.providers.iter().any(|provider| provider.pass_headers.contains(name)))
    };
    !stays_here(name.as_str()) && (is_of(call.dialect(), name.as_str()) || listed())
}

/// True for what a provider of the caller's own dialect is sent: what that vendor's SDKs and clients say. A header that
/// is new today passes by the beginning of its name.
fn is_of(dialect: Dialect, name: &str) -> bool {
    is_neutral(name)
        || name.starts_with(dialect.habits().header_beginning)
        || match name.as_bytes().first() {
            Some(b'c') => matches!(name, "conversation-id" | "conversation_id"),
            Some(b'o') => name == "originator",
            Some(b's') => matches!(name, "session-id" | "session_id"),
            Some(b't') => name == "thread-id",
            Some(b'x') => {
                let mut beginnings = ["x-stainless-", "x-claude-code-", "x-codex-"].iter();
                name == "x-app" || beginnings.any(|beginning| name.starts_with(beginning))
            }
            _ => false,
        }
}

/// True for what providers of every dialect may be sent: `x-simulate` is how a caller steers our own stand-in.
fn is_neutral(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'i') => name == "idempotency-key",
        Some(b'u') => name == "user-agent",
        Some(b'x') => matches!(
            name,
            "x-client-request-id" | "x-session-affinity" | "x-session-id" | "x-simulate" | "x-simulate-echo"
        ),
        _ => false,
    }
}

/// The provider's headers that a caller is given: not what belongs to its connection or its caches, or tells of its account. A caller
/// of another vendor's dialect is given what every client understands, and nothing else.
pub(super) fn back(mut from: HeaderMap, (provider, caller): (Dialect, Dialect)) -> HeaderMap {
    let same = provider.habits().header_beginning == caller.habits().header_beginning;
    let id = from.remove(X_REQUEST_ID);
    // Its own id for the call, in the one place that all callers may look for it.
    let its_own = || provider.habits().request_id_header.and_then(|name| from.get(name).cloned());
    if let Some(id) = id.or_else(|| its_own().filter(|_| !same)) {
        from.insert(X_UPSTREAM_REQUEST_ID, id);
    }
    if !same {
        return from.into_iter().filter_map(|(name, value)| Some((name.filter(understood)?, value))).collect();
    }
    let named: Vec<String> = named_by_connection(&from).into_iter().map(str::to_owned).collect();
    // Most answers have nothing else that stays.
    from.remove(CONTENT_LENGTH);
    let goes =
        |name: &HeaderName| comes_back(name.as_str()) && !named.iter().any(|n| name.as_str().eq_ignore_ascii_case(n));
    // There are few such names, and each goes with all of its values.
    while let Some(stays) = from.keys().find(|name| !goes(name)).cloned() {
        from.remove(stays);
    }
    from
}

/// True for what clients of every dialect understand alike.
fn understood(name: &HeaderName) -> bool {
    const COMMON: [&str; 9] = [
        "cache-control",
        "content-encoding",
        "content-type",
        "date",
        "retry-after",
        "retry-after-ms",
        "x-accel-buffering",
        "x-should-retry",
        "x-upstream-request-id",
    ];
    COMMON.contains(&name.as_str())
}

fn comes_back(name: &str) -> bool {
    // By its first letter: every header of every answer is asked.
    let (words, beginnings): (&[&str], &[&str]) = match name.as_bytes().first() {
        Some(b'a') => (&["age", "alt-svc", "api-key", "authorization"], &["access-control-"]),
        Some(b'c') => (&["clear-site-data", "connection", "content-length"], &["cf-", "cross-origin-"]),
        Some(b'k') => (&["keep-alive"], &[]),
        Some(b'n') => (&["nel"], &[]),
        Some(b'p') => (&[], &["proxy-"]),
        Some(b'r') => (&["refresh", "report-to", "reporting-endpoints"], &[]),
        Some(b's') => (&["set-cookie", "set-cookie2", "strict-transport-security"], &[]),
        Some(b't') => (&["te", "trailer", "transfer-encoding"], &[]),
        Some(b'u') => (&["upgrade"], &[]),
        Some(b'v') => (&["via"], &[]),
        Some(b'w') => (&["www-authenticate"], &[]),
        // By some of these a server in front of the gateway would be steered; not to hold back a stream it may be asked.
        Some(b'x') if name == "x-accel-buffering" => (&[], &[]),
        Some(b'x') => (
            &["x-api-key", "x-goog-api-key", "x-request-id", "x-sendfile", "x-lighttpd-send-file"],
            &["x-accel-", "x-cache", "x-sluicegate-"],
        ),
        _ => (&[], &[]),
    };
    !(words.contains(&name) || beginnings.iter().any(|beginning| name.starts_with(beginning)) || names_an_account(name))
}

/// The headers that `connection` names, in however many lines; they go no further than that connection.
fn named_by_connection(from: &HeaderMap) -> Vec<&str> {
    let plain = |named: &&str| !named.eq_ignore_ascii_case("keep-alive") && !named.eq_ignore_ascii_case("close");
    let lines = from.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(plain).collect()
}

/// The coding of a body that was asked for as it is; `None`: it came so.
pub(super) fn unasked_coding(headers: &HeaderMap) -> Option<String> {
    let said = headers.get_all(http::header::CONTENT_ENCODING).into_iter().map(HeaderValue::as_bytes);
    let mut codings = said.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
    // What is no coding's name may be anything, and is not repeated.
    let is_name = |coding: &[u8]| {
        coding.len() <= 20 && coding.iter().all(|byte| byte.is_ascii_lowercase() || b"-, ".contains(byte))
    };
    let shown =
        |coding: &[u8]| if is_name(coding) { String::from_utf8_lossy(coding).into_owned() } else { "???".to_owned() };
    codings.next().map(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_vendors_clients_say_goes_on_to_it_new_or_not() {
        let (openai, anthropic) = (Dialect::OpenAiChat, Dialect::AnthropicMessages);
        for name in ["anthropic-version", "anthropic-beta", "anthropic-new", "x-stainless-lang", "x-app", "user-agent"]
        {
            assert!(is_of(anthropic, name), "{name}");
        }
        for name in ["openai-beta", "openai-new", "x-codex-turn", "session_id", "idempotency-key", "x-session-affinity"]
        {
            assert!(is_of(openai, name), "{name}");
        }
        for name in ["x-mine", "traceparent", "accept-language", "dnt", "x-id-token", "if-none-match", "priority"] {
            assert!(!is_of(openai, name) && !is_of(anthropic, name), "{name}");
        }
        for name in ["anthropic-beta", "openai-beta", "x-stainless-lang", "x-app"] {
            assert!(!is_neutral(name), "{name}");
        }
    }

    #[test]
    fn a_caller_of_another_vendors_dialect_is_given_what_every_client_understands() {
        let common = ["content-type", "retry-after", "retry-after-ms", "x-should-retry"];
        for (provider, own) in [
            (Dialect::BedrockConverse, "x-amzn-errortype x-amzn-requestid x-amzn-bedrock-input-token-count"),
            (Dialect::BedrockInvoke, "x-amzn-errortype x-amzn-requestid"),
            (Dialect::OpenAiChat, "openai-version openai-processing-ms x-ratelimit-limit-tokens x-request-id"),
            (Dialect::AnthropicMessages, "anthropic-ratelimit-tokens-limit anthropic-new request-id"),
            (Dialect::Gemini, "x-gemini-service-tier server-timing vary"),
            (Dialect::CohereChat, "x-debug-trace-id x-endpoint-monthly-call-limit num_chars"),
        ] {
            for caller in
                [Dialect::OpenAiResponses, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::BedrockInvoke]
            {
                let names = common.into_iter().chain(own.split(' '));
                let line = |name: &str| (HeaderName::try_from(name).unwrap(), HeaderValue::from_static("1"));
                let given = back(names.map(line).collect(), (provider, caller));
                let same = provider.habits().header_beginning == caller.habits().header_beginning;
                let of_its_own = own.split(' ').filter(|name| given.contains_key(*name)).count();
                assert!(common.iter().all(|name| given.contains_key(*name)), "{given:?}");
                assert_eq!(of_its_own > 0, same, "{provider:?} to {caller:?}: {given:?}");
                let told = !same && own.contains("request");
                assert!(!told || given.contains_key(X_UPSTREAM_REQUEST_ID), "{provider:?} to {caller:?}: {given:?}");
            }
        }
    }

    #[test]
    fn an_answer_tells_nothing_of_its_connection_its_caches_or_whose_key_it_was() {
        let of = |lines: &[(&'static str, &'static str)]| {
            let line = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let same = (Dialect::OpenAiChat, Dialect::OpenAiResponses);
            let mut names =
                back(lines.iter().map(line).collect(), same).keys().map(ToString::to_string).collect::<Vec<_>>();
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(of(&[("connection", "X-Hop, keep-alive"), ("x-hop", "1"), ("x-kept", "1")]), "x-kept");
        assert_eq!(of(&[("x-request-id", "a"), ("request-id", "b")]), "request-id x-upstream-request-id");
        for name in [
            "age",
            "x-cache",
            "x-cache-hits",
            "set-cookie",
            "openai-organization",
            "openai-project",
            "anthropic-organization-id",
            "anthropic-workspace-id",
            "access-control-allow-origin",
            "via",
            "x-accel-redirect",
            "x-sendfile",
            "authorization",
            "x-api-key",
            "refresh",
        ] {
            assert_eq!(of(&[(name, "1")]), "", "{name}");
        }
        for name in [
            "openai-processing-ms",
            "retry-after",
            "x-accel-buffering",
            "x-ratelimit-limit-requests",
            "anthropic-ratelimit-requests-limit",
        ] {
            assert_eq!(of(&[(name, "1")]), name);
        }
    }
}
