//! Who calls, in which dialect, for what: everything that is known before the body is read.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::header::{ALLOW, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::hub::ErrorKind;

use crate::account::Operation;
use crate::compression::AnswerCoding;
use crate::errors::{Problem, X_REQUEST_ID};
use crate::settings::Settings;

/// Anthropic's SDKs always say their API's version; OpenAI's never do.
pub(super) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// Where a key may be, beside `authorization`: Anthropic's, Azure's and Google's ways.
pub(super) const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Behind it stands the name of one model.
const ONE_MODEL: &str = "/v1/models/";
/// Longer request ids than this are replaced.
const LONGEST_ID: usize = 128;

/// The caller, as far as its request's head tells.
#[derive(Debug)]
pub(super) struct Caller {
    /// The dialect that answers are written in, errors too.
    pub(super) dialect: Dialect,
    /// The call's id.
    pub(super) request_id: HeaderValue,
    /// Where it comes from, as far as that can be believed.
    pub(super) address: IpAddr,
    /// The origin of the web page that calls, where pages of it may.
    pub(super) origin: Option<HeaderValue>,
    /// The coding that a whole answer may be sent in.
    pub(super) accepts: Option<AnswerCoding>,
}

/// The API operation that a path addresses, and its dialect.
///
/// # Errors
/// An unknown path, or a method it does not take.
pub(super) fn operation(method: &Method, path: &str, headers: &HeaderMap) -> (Dialect, Result<Operation, Problem>) {
    let either = || {
        let anthropic = headers.contains_key(ANTHROPIC_VERSION);
        if anthropic { Dialect::AnthropicMessages } else { Dialect::OpenAiChat }
    };
    if asks_for_websocket(headers) {
        return (either(), Err(no_websocket()));
    }
    if path == "/" && (*method == Method::GET || *method == Method::HEAD) {
        return (either(), Ok(Operation::Root));
    }
    let path = without_slash(path);
    let (dialect, operation) = match path {
        "/v1/chat/completions" => (Dialect::OpenAiChat, Operation::Chat),
        "/v1/messages" => (Dialect::AnthropicMessages, Operation::Chat),
        "/v1/messages/count_tokens" => (Dialect::AnthropicMessages, Operation::CountTokens),
        "/v1/models" => (either(), Operation::ListModels),
        _ if path.starts_with(ONE_MODEL) => (either(), Operation::GetModel),
        _ => return (either(), Err(unknown_path(path))),
    };
    if *method == Method::OPTIONS {
        return (dialect, Ok(Operation::Options));
    }
    let posts = matches!(operation, Operation::Chat | Operation::CountTokens);
    let taken = if posts { *method == Method::POST } else { *method == Method::GET || *method == Method::HEAD };
    (dialect, if taken { Ok(operation) } else { Err(wrong_method(method, path)) })
}

/// The methods that a known path takes.
pub(super) fn methods(path: &str) -> &'static str {
    if without_slash(path).starts_with("/v1/models") { "GET, HEAD, OPTIONS" } else { "POST, OPTIONS" }
}

/// The model that the path of [`Operation::GetModel`] names: `%2F` and the like turned back, anything broken as it is.
pub(super) fn model(path: &str) -> String {
    let id = without_slash(path);
    let id = id.strip_prefix(ONE_MODEL).unwrap_or(id);
    percent_decode_str(id).decode_utf8().map_or_else(|_| id.to_owned(), Cow::into_owned)
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path)
}

/// Clients of the Responses API try a WebSocket first, and fall back at once on this answer alone.
fn no_websocket() -> Problem {
    Problem::client(
        ErrorKind::Method,
        "This gateway speaks HTTP, with server-sent events for streams; it has no WebSockets.",
    )
    .status(StatusCode::UPGRADE_REQUIRED)
    .taking(UPGRADE, "HTTP/1.1")
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let mut protocols =
        headers.get_all(UPGRADE).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn unknown_path(path: &str) -> Problem {
    let shown: String = path.chars().take(200).collect();
    let hint = hint(path);
    Problem::client(
        ErrorKind::NotFound,
        format!(
            "Unknown path {shown}. This gateway answers POST /v1/chat/completions, POST /v1/messages, \
             POST /v1/messages/count_tokens and GET /v1/models.{hint}"
        ),
    )
    .code("unknown_url")
}

/// What is wrong with a path that a client's settings have most likely made.
fn hint(path: &str) -> &'static str {
    if path.ends_with("/responses") {
        return " Clients that use the Responses API can be told to use Chat Completions instead.";
    }
    let known = ["/chat/completions", "/messages", "/messages/count_tokens", "/models"];
    if !known.iter().any(|end| path.ends_with(end)) {
        return "";
    }
    match path.matches("/v1").count() {
        0 => " The base URL of a client of OpenAI's ends in /v1.",
        1 => " The base URL of a client is this gateway's address, for one of OpenAI's with /v1 behind it.",
        _ => " The base URL of a client of Anthropic's ends before /v1.",
    }
}

fn wrong_method(method: &Method, path: &str) -> Problem {
    let allow = methods(path);
    let message = format!("{path} does not take {method}; use {allow}.");
    Problem::client(ErrorKind::Method, message).taking(ALLOW, allow)
}

/// The call's id: the caller's own when it is fit to be logged, else `fresh`.
pub(super) fn request_id(headers: &HeaderMap, fresh: impl FnOnce() -> HeaderValue) -> HeaderValue {
    headers
        .get(X_REQUEST_ID)
        .filter(|id| (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic))
        .cloned()
        .unwrap_or_else(fresh)
}

/// Where the call comes from: the peer, or whom a trusted peer says that it stands for.
pub(super) fn address(headers: &HeaderMap, peer: IpAddr, settings: &Settings) -> IpAddr {
    if settings.trusted_proxies.is_empty() || !settings.trusts(peer) {
        return peer;
    }
    let said = headers.get_all(X_FORWARDED_FOR).into_iter().filter_map(|value| value.to_str().ok());
    let hops = said.flat_map(|value| value.split(',')).map(hop).collect::<Vec<_>>();
    // From the right: the first hop that is not one of ours. What stands left of it, anyone can write.
    let mut farthest = peer;
    for hop in hops.into_iter().rev() {
        let Some(hop) = hop else { break };
        farthest = hop;
        if !settings.trusts(hop) {
            break;
        }
    }
    farthest
}

/// An address as proxies write it: alone, or with a port (`1.2.3.4:80`, `[::1]:80`).
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

/// The path of a body that is not JSON is refused only when it says so itself: a missing content type is taken, as the
/// vendors do.
///
/// # Errors
/// A content type that is not JSON.
pub(super) fn check_body_kind(headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(kind) = headers.get(http::header::CONTENT_TYPE) {
        let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let json = essence.eq_ignore_ascii_case(b"application/json")
            || (essence.len() > 5
                && essence.get(essence.len() - 5..).is_some_and(|end| end.eq_ignore_ascii_case(b"+json")));
        if !json && !essence.is_empty() {
            let shown = String::from_utf8_lossy(essence).chars().take(100).collect::<String>();
            let message = format!("content-type: {shown} is not JSON; send application/json.");
            return Err(Problem::client(ErrorKind::MediaType, message).closing());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn paths_lead_to_errands() {
        let none = HeaderMap::new();
        let of = |method: Method, path: &str| operation(&method, path, &none);
        assert_eq!(of(Method::POST, "/v1/chat/completions").1.unwrap(), Operation::Chat);
        assert_eq!(of(Method::POST, "/v1/messages").0, Dialect::AnthropicMessages);
        assert_eq!(of(Method::POST, "/v1/messages/count_tokens").1.unwrap(), Operation::CountTokens);
        assert_eq!(of(Method::GET, "/v1/models/meta%2Fllama").1.unwrap(), Operation::GetModel);
        assert_eq!(model("/v1/models/meta%2Fllama/"), "meta/llama");
        assert_eq!(model("/v1/models/50%"), "50%");
        let refused = of(Method::GET, "/v1/messages").1.unwrap_err();
        assert_eq!((refused.kind, refused.taken), (ErrorKind::Method, Some((ALLOW, "POST, OPTIONS"))));
        assert_eq!(of(Method::POST, "/v2/x").1.unwrap_err().kind, ErrorKind::NotFound);
        for (path, hint) in [
            ("/v1/responses", "Chat Completions instead"),
            ("/chat/completions", "OpenAI's ends in /v1"),
            ("/v1/v1/messages", "Anthropic's ends before /v1"),
            ("/api/v1/chat/completions", "this gateway's address"),
            ("/v1/embeddings", "GET /v1/models."),
        ] {
            let refused = of(Method::POST, path).1.unwrap_err();
            assert!(refused.message.contains(hint), "{path}: {}", refused.message);
        }
        let anthropic = headers(&[("anthropic-version", "2023-06-01")]);
        assert_eq!(operation(&Method::GET, "/v1/models", &anthropic).0, Dialect::AnthropicMessages);
    }

    #[test]
    fn only_a_trusted_peer_may_speak_for_others() {
        let trusting =
            Settings::parse_from(["sluicegate-proxy", "--manifests", "x", "--trusted-proxies", "10.0.0.0/8"]);
        let said = headers(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2")]);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(address(&said, ip("10.0.0.1"), &trusting), ip("1.2.3.4"));
        for (said, farthest) in [
            ("6.6.6.6, 1.2.3.4:5678, 10.0.0.2:80", "1.2.3.4"),
            ("6.6.6.6, [2001:db8::1]:443", "2001:db8::1"),
            ("6.6.6.6, [2001:db8::1]", "2001:db8::1"),
            ("6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
        ] {
            let said = headers(&[("x-forwarded-for", said)]);
            assert_eq!(address(&said, ip("10.0.0.1"), &trusting), ip(farthest));
        }
        assert_eq!(address(&said, ip("9.9.9.9"), &trusting), ip("9.9.9.9"));
    }

    #[test]
    fn ids_are_the_callers_when_fit() {
        let first = HeaderValue::from_static("req_1");
        assert_eq!(request_id(&headers(&[("x-request-id", "mine-1")]), || first.clone()), "mine-1");
        assert_eq!(request_id(&headers(&[("x-request-id", "not mine")]), || first.clone()), first);
    }

    #[test]
    fn only_what_says_that_it_is_not_json_is_refused() {
        assert!(check_body_kind(&HeaderMap::new()).is_ok());
        assert!(check_body_kind(&headers(&[("content-type", "application/json; charset=utf-8")])).is_ok());
        assert!(check_body_kind(&headers(&[("content-type", "text/plain")])).is_err());
    }
}
