//! The caller, its dialect and its wish: everything that is known before the body is read.

use std::net::{IpAddr, SocketAddr};

use http::header::{ALLOW, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use sluicegate_dialects::Dialect;
use sluicegate_dialects::form::is_form;
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::verbatim::Envelope;

use crate::account::Operation;
use crate::api::passed as passed_operations;
use crate::api::stored_paths::{self, StoredAction, StoredMatch, StoredPath};
use crate::api::surfaces::{self, SurfaceMatch};
use crate::compression::AnswerCoding;
use crate::errors::{Problem, X_REQUEST_ID};
use crate::settings::Settings;

use super::hops::Hops;

/// The model whose provider is to keep a file that names none.
pub(super) const X_SLUICEGATE_MODEL: HeaderName = HeaderName::from_static("x-sluicegate-model");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The code of a path that is not there.
const UNKNOWN_URL: &str = "unknown_url";
/// Longer request ids than this are replaced.
const LONGEST_ID: usize = 128;

/// The caller, as far as its request's head tells.
#[derive(Debug)]
pub(super) struct Caller {
    /// The dialect that answers are written in, errors too.
    pub(super) dialect: Dialect,
    /// The call's id.
    pub(super) request_id: HeaderValue,
    /// The address it comes from, as far as that can be believed.
    pub(super) address: IpAddr,
    /// True if a stream, and an error in its place, go to it as one JSON array.
    pub(super) array: bool,
    /// The origin of the web page that calls, where pages of it may.
    pub(super) origin: Option<HeaderValue>,
    /// The coding that a whole answer may be sent in.
    pub(super) accepts: Option<AnswerCoding>,
    /// The gateways that its call has come through.
    pub(super) hops: Hops,
}

impl Caller {
    /// The same, for a copy of its call: its log line has the same id, and no web page waits for it.
    pub(super) fn copied(&self) -> Self {
        let Self { dialect, request_id, address, array, origin: _, accepts: _, hops } = self;
        let request_id = request_id.clone();
        Self {
            dialect: *dialect,
            request_id,
            address: *address,
            array: *array,
            origin: None,
            accepts: None,
            hops: *hops,
        }
    }
}

/// The subject of a call, as far as its path and method tell.
#[derive(Debug)]
pub(super) struct Addressed {
    pub(super) operation: Operation,
    /// The model, where the path names it.
    pub(super) model: Option<String>,
    /// True if the answer is a stream, where the path says it.
    pub(super) stream: Option<bool>,
    /// The envelope of its body, where that is Anthropic's.
    pub(super) envelope: Option<Envelope>,
    /// The methods that the path takes.
    pub(super) methods: &'static str,
    /// The thing that it is about, where a provider keeps it.
    pub(super) stored: Option<StoredAddress>,
    /// The method, where it passes because a rule names its path.
    pub(super) named: Option<Method>,
}

/// The address of a thing that a provider keeps.
#[derive(Debug)]
pub(super) struct StoredAddress {
    pub(super) row: &'static StoredPath,
    pub(super) action: StoredAction,
    /// The id, as the caller says it; `None`: it is made here.
    pub(super) id: Option<String>,
    pub(super) method: Method,
}

/// The operation that a path addresses, and its dialect.
///
/// # Errors
/// An unknown path, or a method it does not take.
pub(super) fn addressed(method: &Method, path: &str, headers: &HeaderMap) -> (Dialect, Result<Addressed, Problem>) {
    let either = || surfaces::dialect_by(headers);
    if asks_for_websocket(headers) {
        return (either(), Err(no_websocket()));
    }
    if path == "/" && (*method == Method::GET || *method == Method::HEAD) {
        let methods = surfaces::GETS;
        let operation = Operation::Root;
        let root =
            Addressed { operation, model: None, stream: None, envelope: None, methods, stored: None, named: None };
        return (either(), Ok(root));
    }
    let path = without_slash(path);
    let Some(SurfaceMatch { surface, model }) = surfaces::find(path) else {
        return match (stored_paths::find(path, either()), surfaces::kept_elsewhere(path)) {
            (Some(found), _) => (found.row.dialect, stored((method, path, headers), found)),
            (None, Some(dialect)) => (dialect, Err(nothing_is_kept(path))),
            (None, None) => (surfaces::dialect_of_unknown(path, headers), Err(unknown_path(path))),
        };
    };
    // A row that only looks at models takes whatever its name may be.
    if surface.operation == Operation::GetModel && *method == Method::POST && surfaces::names_operation(path) {
        return (surfaces::dialect_of_unknown(path, headers), Err(unknown_path(path)));
    }
    let dialect = surface.dialect.unwrap_or_else(either);
    if !surface.takes(method) {
        return (dialect, Err(wrong_method(method, path, surface.methods)));
    }
    let operation = if *method == Method::OPTIONS { Operation::Options } else { surface.operation };
    let envelope = surface.envelope.or(dialect.habits().envelope);
    let methods = surface.methods;
    (dialect, Ok(Addressed { operation, model, stream: surface.stream, envelope, methods, stored: None, named: None }))
}

/// The question about a thing that a provider keeps.
fn stored((method, path, headers): (&Method, &str, &HeaderMap), found: StoredMatch) -> Result<Addressed, Problem> {
    let StoredMatch { row, id } = found;
    let (methods, envelope) = (row.methods, row.dialect.habits().envelope);
    // What has an id is where it is, whatever model is named.
    let named = headers.get(X_SLUICEGATE_MODEL).filter(|_| id.is_none()).and_then(|model| model.to_str().ok());
    let model = named.map(str::trim).filter(|model| !model.is_empty()).map(str::to_owned);
    let addressed = |operation, stored| {
        let model = model.clone();
        Addressed { operation, model, stream: Some(false), envelope, methods, stored, named: None }
    };
    match row.action(method) {
        Some(action) => {
            let method = method.clone();
            Ok(addressed(row.operation, Some(StoredAddress { row, action, id, method })))
        }
        None if *method == Method::OPTIONS => Ok(addressed(Operation::Options, None)),
        // Operations that the vendor has beside its answers, whose names are no ids.
        None if *method == Method::POST && id.is_some_and(|id| row.is_strange(&id)) => Err(nothing_is_kept(path)),
        None => Err(wrong_method(method, path, methods)),
    }
}

/// True if a stream goes to the caller as one JSON array, and not as server-sent events.
pub(super) fn wants_array(addressed: &Addressed, dialect: Dialect, query: Option<&str>) -> bool {
    let word = dialect.habits().events_word.filter(|_| addressed.stream == Some(true));
    word.is_some_and(|word| !query.unwrap_or_default().split('&').any(|said| said == word))
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

/// The problem with a question about an answer that was given before: those are kept at the provider that made it, if
/// at all.
pub(super) fn nothing_is_kept(path: &str) -> Problem {
    let shown: String = path.chars().take(200).collect();
    let message = format!(
        "{shown}: this gateway does not fetch what a provider keeps without keys for its ids (`--response-keys`), and never \
         more than an answer, its `input_items`, its end and its `cancel`. Send the whole conversation in `input` with every call, \
         with `store: false`."
    );
    Problem::client(ErrorKind::NotFound, message).code("response_not_kept").retry(false, None)
}

/// The problem with a question about files or batches where ids can not be sealed.
pub(super) fn without_keys(path: &str) -> Problem {
    let shown: String = path.chars().take(200).collect();
    let message = format!(
        "{shown}: this gateway passes on files and batches where it has keys for their ids alone, so that each is its owner's. Its \
         operators turn them on with `--response-keys FILE` (in the chart `proxy.responseKeys.secretName`)."
    );
    Problem::client(ErrorKind::NotFound, message).code("response_keys_missing").retry(false, None)
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let mut protocols =
        headers.get_all(UPGRADE).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

/// The address of what passes because a rule names its path.
///
/// # Errors
/// A method that it does not take.
pub(super) fn named(method: &Method, path: &str, methods: &'static str) -> Result<Addressed, Problem> {
    if !methods.split(", ").any(|taken| taken == method.as_str()) {
        return Err(wrong_method(method, path, methods));
    }
    let is_asked = *method == Method::OPTIONS;
    let operation = if is_asked { Operation::Options } else { Operation::NamedPath };
    let named = (!is_asked).then(|| method.clone());
    Ok(Addressed { operation, model: None, stream: Some(false), envelope: None, methods, stored: None, named })
}

/// True if a path is no known one.
pub(super) fn is_unknown_path(problem: &Problem) -> bool {
    problem.code.as_deref() == Some(UNKNOWN_URL)
}

pub(super) fn unknown_path(path: &str) -> Problem {
    let shown: String = path.chars().take(200).collect();
    let hint = hint(path);
    let answered = surfaces::SURFACES.iter().map(|surface| {
        let method = surface.methods.split(',').next().unwrap_or_default();
        format!("{method} {}", surface.path)
    });
    let answered = answered.collect::<Vec<_>>().join(", ");
    let message = format!("Unknown path {shown}. This gateway answers {answered}.{hint}");
    Problem::client(ErrorKind::NotFound, message).code(UNKNOWN_URL)
}

/// The mistake in a path that a client's settings have most likely made.
fn hint(path: &str) -> &'static str {
    let mut known = surfaces::SURFACES.iter().filter_map(|surface| surface.path.strip_prefix("/v1"));
    if !known.any(|end| path.ends_with(end)) {
        return "";
    }
    match path.matches("/v1").count() {
        0 => " The base URL of a client of OpenAI's ends in /v1.",
        1 => " The base URL of a client is this gateway's address, for one of OpenAI's with /v1 behind it.",
        _ => " The base URL of a client of Anthropic's ends before /v1.",
    }
}

fn wrong_method(method: &Method, path: &str, allow: &'static str) -> Problem {
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

/// The address that the call comes from: the peer, or whom a trusted peer says that it stands for.
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
/// A content type that is not JSON, nor a form where one is taken.
pub(super) fn check_body_kind(operation: Operation, headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(kind) = headers.get(http::header::CONTENT_TYPE).filter(|_| operation != Operation::NamedPath) {
        let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let json = essence.eq_ignore_ascii_case(b"application/json")
            || (essence.len() > 5
                && essence.get(essence.len() - 5..).is_some_and(|end| end.eq_ignore_ascii_case(b"+json")));
        let takes_forms =
            operation == Operation::File || passed_operations::of(operation).is_some_and(|row| row.takes_forms);
        if !(json || essence.is_empty() || (takes_forms && is_form(essence))) {
            let shown = String::from_utf8_lossy(essence).chars().take(100).collect::<String>();
            let taken = if takes_forms {
                "neither a form nor JSON; send multipart/form-data"
            } else {
                "not JSON; send application/json"
            };
            let message = format!("content-type: {shown} is {taken}.");
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
    fn paths_lead_to_operations() {
        let none = HeaderMap::new();
        let found = |method: Method, path: &str| addressed(&method, path, &none);
        let of = |method: Method, path: &str| {
            let (dialect, addressed) = found(method, path);
            (dialect, addressed.map(|addressed| addressed.operation))
        };
        assert_eq!(of(Method::POST, "/v1/chat/completions").1.unwrap(), Operation::Chat);
        assert_eq!(of(Method::POST, "/v1/messages").0, Dialect::AnthropicMessages);
        assert_eq!(of(Method::POST, "/v1/responses").0, Dialect::OpenAiResponses);
        assert_eq!(of(Method::POST, "/v1/messages/count_tokens").1.unwrap(), Operation::CountTokens);
        assert_eq!(of(Method::GET, "/v1/models/meta%2Fllama").1.unwrap(), Operation::GetModel);
        let model = found(Method::GET, "/v1/models/meta%2Fllama/").1.unwrap().model;
        assert_eq!(model.as_deref(), Some("meta/llama"));
        let refused = of(Method::GET, "/v1/messages").1.unwrap_err();
        assert_eq!((refused.kind, refused.taken.clone()), (ErrorKind::Method, Some((ALLOW, "POST, OPTIONS"))));
        assert_eq!(of(Method::POST, "/v2/x").1.unwrap_err().kind, ErrorKind::NotFound);
        for (path, hint) in [
            ("/chat/completions", "OpenAI's ends in /v1"),
            ("/v1/v1/messages", "Anthropic's ends before /v1"),
            ("/api/v1/chat/completions", "this gateway's address"),
            ("/v1/uploads", "GET /v1/models/{model}."),
        ] {
            let refused = of(Method::POST, path).1.unwrap_err();
            assert!(refused.message.contains(hint), "{path}: {}", refused.message);
        }
        let anthropic = headers(&[("anthropic-version", "2023-06-01")]);
        assert_eq!(addressed(&Method::GET, "/v1/models", &anthropic).0, Dialect::AnthropicMessages);
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
        for (operation, kind, taken) in [
            (Operation::Chat, "application/json; charset=utf-8", true),
            (Operation::Chat, "text/plain", false),
            (Operation::Chat, "multipart/form-data; boundary=b", false),
            (Operation::Speech, "multipart/form-data; boundary=b", false),
            (Operation::Transcription, "Multipart/form-data; boundary=b", true),
            (Operation::ImageEdit, "application/json", true),
            (Operation::Transcription, "application/json", true),
            (Operation::Transcription, "audio/mpeg", false),
        ] {
            assert_eq!(check_body_kind(operation, &headers(&[("content-type", kind)])).is_ok(), taken, "{kind}");
        }
        assert!(check_body_kind(Operation::Chat, &HeaderMap::new()).is_ok());
    }
}
