//! The requests of a batch that a provider works off in its own time: each is looked at as the call that it stands for, may be made by the
//! batch's owner or the batch is refused, and is written as the provider is to have it.

use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Uri};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::verbatim::{Edit, splice};
use sluicegate_dialects::{Dialect, Refusal, form};

use crate::account::Operation;
use crate::errors::Problem;
use crate::memory::{Charge, Purpose};
use crate::state::{Provider, RouteTarget, Rule};

use super::caller::{self, Addressed};
use super::inbound::InboundCall;
use super::stored_object::RequestsWithin;
use super::{access, budgets, named_files, outgoing, stored};

/// The most requests of one batch: they are looked at one by one, and the process has other calls.
const MOST: usize = 10_000;
/// The memory that one takes while its batch is on its way.
const EACH: usize = 2 << 10;
/// After so many of them other calls have their turn.
const AT_ONCE: usize = 64;

/// A line of a file with OpenAI's requests.
#[derive(Deserialize)]
struct WireLine<'a> {
    method: Option<String>,
    url: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// A batch of Anthropic's.
#[derive(Deserialize)]
struct WireMessages<'a> {
    #[serde(borrow)]
    requests: WireRequests<'a>,
}

/// A list of no more than [`MOST`], of which the rest is not read.
struct WireRequests<'a>(Vec<WireMessage<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for WireRequests<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct MessageEntries;
        impl<'de> Visitor<'de> for MessageEntries {
            type Value = Vec<WireMessage<'de>>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(to, "a list of at most {MOST} requests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut requests = Vec::new();
                while let Some(request) = list.next_element()? {
                    if requests.len() >= MOST {
                        return Err(serde::de::Error::invalid_length(requests.len() + 1, &self));
                    }
                    requests.push(request);
                }
                Ok(requests)
            }
        }
        from.deserialize_seq(MessageEntries).map(WireRequests)
    }
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The requests of one batch.
pub(super) struct BatchedRequests {
    requests: Vec<BatchedRequest>,
    _charge: Charge,
}

struct BatchedRequest {
    /// The place of its body.
    span: Range<usize>,
    call: Rc<InboundCall>,
}

/// A request as it was found.
struct FoundRequest {
    span: Range<usize>,
    /// Its path, where it says one.
    url: Option<String>,
}

impl BatchedRequests {
    /// Those in the body of a batch of Anthropic's, at the path that each of them stands for.
    ///
    /// # Errors
    /// One of them is no call, or may not be made by this caller.
    pub(super) async fn of_messages(call: &InboundCall, path: &str) -> Result<Self, Problem> {
        let read: Result<WireMessages<'_>, _> = serde_json::from_slice(&call.body);
        let WireMessages { requests: WireRequests(requests) } =
            read.map_err(|error| wrong(&format!("the body is no batch: {error}")))?;
        let mut found = Vec::with_capacity(requests.len());
        for (at, request) in requests.into_iter().enumerate() {
            let params = request.params.ok_or_else(|| of_field(&format!("requests[{at}].params"), "is required"))?;
            found.push(FoundRequest { span: place(&call.body, params), url: None });
        }
        Self::looked_at(call, found, (path, |at| format!("requests[{at}].params"))).await
    }

    /// Those in the file of a form, where its purpose is that of a batch; `None`: it is another.
    ///
    /// # Errors
    /// It is no form; or one of them is no call, or may not be made by this caller.
    pub(super) async fn of_form(call: &InboundCall) -> Result<Option<Self>, Problem> {
        let kind = call.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let boundary = form::boundary(kind);
        let boundary = boundary.ok_or_else(|| wrong("files are sent as multipart/form-data, with a boundary"))?;
        let [purpose, file] = form::fields(&call.body, boundary, ["purpose", "file"])?;
        let text = purpose.and_then(|span| std::str::from_utf8(call.body.get(span)?).ok());
        // Whatever a more forgiving reader would take for the word.
        if !text.is_some_and(|text| text.trim().to_ascii_lowercase().contains("batch")) {
            return Ok(None);
        }
        let span = file.ok_or_else(|| of_field("file", "is required"))?;
        let lines = call.body.get(span).unwrap_or_default();
        let mut found = Vec::new();
        for (at, line) in lines.split(|byte| *byte == b'\n').enumerate() {
            if !line.trim_ascii().is_empty() {
                found.push(
                    of_line(&call.body, line).map_err(|what| of_field(&format!("file, line {}", at + 1), &what))?,
                );
            }
            if found.len() > MOST {
                break;
            }
        }
        Self::looked_at(call, found, ("", |at| format!("file, request {}", at + 1))).await.map(Some)
    }

    async fn looked_at(
        call: &InboundCall,
        found: Vec<FoundRequest>,
        (path, name): (&str, impl Fn(usize) -> String),
    ) -> Result<Self, Problem> {
        if found.is_empty() || found.len() > MOST {
            let what = format!("a batch holds between 1 and {MOST} requests here; send a larger one in parts");
            return Err(wrong(&what));
        }
        let bytes = found.len() * EACH;
        let charge = call.context.worker.memory.charge(bytes, Purpose::of(bytes))?;
        let mut requests = Vec::with_capacity(found.len());
        for (at, FoundRequest { span, url }) in found.into_iter().enumerate() {
            let body = call.body.slice(span.clone());
            let part = part(call, (url.as_deref().unwrap_or(path), body)).map_err(|problem| {
                let message = format!("{}: {}", name(at), problem.message);
                problem.saying(message)
            })?;
            requests.push(BatchedRequest { span, call: part });
            if at % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(Self { requests, _charge: charge })
    }

    /// The first of them, by whose rule all are sent.
    pub(super) fn first(&self) -> Option<&Rc<InboundCall>> {
        self.requests.first().map(|request| &request.call)
    }
}

impl RequestsWithin for BatchedRequests {
    fn written(&self, whole: &Bytes, provider: &Provider) -> Result<Bytes, Refusal> {
        let mut edits = Vec::new();
        for (at, BatchedRequest { span, call }) in self.requests.iter().enumerate() {
            let body = written(call, provider).map_err(|refusal| {
                let message = format!("request {} of the batch: {}", at + 1, refusal.message);
                Refusal { message, ..refusal }
            })?;
            if body != call.body {
                edits.push(Edit::write(span.clone(), body));
            }
        }
        Ok(splice(whole, &edits))
    }
}

/// The request in a line; the error says what is wrong with it.
fn of_line(whole: &[u8], line: &[u8]) -> Result<FoundRequest, String> {
    let read: Result<WireLine<'_>, _> = serde_json::from_slice(line);
    let WireLine { method, url, body } = read.map_err(|error| format!("is no request: {error}"))?;
    if method.is_some_and(|method| method != "POST") {
        return Err("`method` must be POST".to_owned());
    }
    let url = url.ok_or("`url` is required")?;
    let body = body.ok_or("`body` is required")?;
    Ok(FoundRequest { span: place(whole, body), url: Some(url) })
}

/// The place of a part in the text that it was read from.
fn place(whole: &[u8], part: &RawValue) -> Range<usize> {
    let begin = (part.get().as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    begin..begin + part.get().len()
}

/// A request as the call that it stands for, which its caller may make.
fn part(call: &InboundCall, (url, body): (&str, Bytes)) -> Result<Rc<InboundCall>, Problem> {
    let (dialect, addressed) = of_url(call, url)?;
    let part = call.part((dialect, &addressed), body)?;
    if part.peek.stream {
        return Err(of_field("stream", "a request of a batch has one answer; leave it out"));
    }
    stored::look(&part)?;
    named_files::look(&part)?;
    if !stored::named_items(&part).is_empty() {
        return Err(of_field(
            "input",
            "a request of a batch can not name items by their ids; send the items themselves",
        ));
    }
    let (_, _, rule) = access::permitted(&part)?;
    budgets::priced(&part, rule)?;
    match &rule.request {
        None => Ok(part),
        Some(changes) => part.changed(changes),
    }
}

/// The operation of a request's path, in the dialect of the path, which is one of the caller's vendor.
fn of_url(call: &InboundCall, url: &str) -> Result<(Dialect, Addressed), Problem> {
    let no_path = || of_field("url", "must be a path of a model's answers, as /v1/chat/completions");
    let uri =
        Uri::try_from(url).ok().filter(|uri| uri.query().is_none() && uri.host().is_none()).ok_or_else(no_path)?;
    // At Azure they begin without the version.
    let path = uri.path();
    let full = if path.starts_with("/v1/") { path.to_owned() } else { format!("/v1{path}") };
    let (dialect, addressed) = caller::addressed(&Method::POST, &full, &call.headers);
    let addressed = addressed.map_err(|_| no_path())?;
    let operation = addressed.operation;
    let is_own = dialect.habits().header_beginning == call.dialect().habits().header_beginning;
    let is_taken = operation.is_metered() && !matches!(operation, Operation::Batch | Operation::Speech);
    if is_own && is_taken && addressed.model.is_none() { Ok((dialect, addressed)) } else { Err(no_path()) }
}

/// A request's body as a provider is to have it.
fn written(call: &Rc<InboundCall>, provider: &Provider) -> Result<Bytes, Refusal> {
    let elsewhere = || {
        let model: String = call.model().chars().take(200).collect();
        let what =
            format!("the model `{model}` is not asked of the provider that takes the others; send a batch for each");
        Refusal::field("model", what)
    };
    let (_, _, rule) = access::permitted(call).map_err(|_| elsewhere())?;
    let target = target(call, rule, provider).ok_or_else(elsewhere)?;
    let model = outgoing::model(call, target, provider);
    let spoken = provider.offer(call.operation, call.dialect(), || model).map(|at| at.offer.dialect);
    if spoken.is_none_or(|spoken| !spoken.is_kin(call.dialect()) || !call.may_go_to(provider, spoken)) {
        return Err(elsewhere());
    }
    call.plan_cache(rule.prompt_cache);
    outgoing::write(call, model, provider).map(|outgoing| outgoing.body().clone())
}

/// The target of a rule whose pool has this provider, and serves the model.
fn target<'a>(call: &'a InboundCall, rule: &'a Rule, provider: &Provider) -> Option<RouteTarget<'a>> {
    let targets = rule.targets.iter().filter(|target| target.weight > 0).chain(&rule.fallbacks);
    let mut targets = targets.filter_map(|target| call.context.ready.target(target));
    targets.find(|target| {
        let is_it = |other: &std::sync::Arc<Provider>| other.stands_for == provider.stands_for;
        target.pool.providers.iter().any(is_it) && provider.serves(outgoing::routed_model(call, *target))
    })
}

fn of_field(field: &str, what: &str) -> Problem {
    wrong(&format!("{field}: {what}")).param(field.to_owned())
}

fn wrong(what: &str) -> Problem {
    Problem::client(ErrorKind::InvalidRequest, what.to_owned()).retry(false, None)
}
