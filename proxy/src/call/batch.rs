//! The gateway's own batch, `POST /v1/batch`: several requests in one call, each a call of its own with limits, cache and failover, so many
//! at a time, and one answer each.

use std::borrow::Cow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, request};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sluicegate_dialects::hub::ErrorKind;

use crate::account::{End, Operation};
use crate::errors::{self, Problem, X_REQUEST_ID};
use crate::memory::Purpose;

use super::answering;
use super::caller::{self, Caller};
use super::context::CallContext;
use super::exchange::{self, Exchange, LineSource, Whole};
use super::inbound::{InboundCall, Received};
use super::keys::query_keys;
use super::{access, count, intake};

/// The most requests of a batch.
const MOST_REQUESTS: usize = 256;
/// So many of them are under way at once, unless the batch says otherwise.
const PARALLEL: usize = 4;
/// The most that may be.
const MOST_PARALLEL: usize = 16;
const LINES: &str = "application/x-ndjson";
/// The header by which vendors know a request that comes again: each request of a batch is another one.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Each value is read by itself, so that what is wrong with it is said with its name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBatch<'a> {
    #[serde(borrow)]
    requests: Option<&'a RawValue>,
    #[serde(borrow)]
    parallel: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
}

/// A line of OpenAI's batches.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRequest<'a> {
    #[serde(borrow)]
    custom_id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// A list of no more than [`MOST_REQUESTS`], of which the rest is not read.
struct Requests<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Requests<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct RequestEntries;
        impl<'de> Visitor<'de> for RequestEntries {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(to, "a list of at most {MOST_REQUESTS} requests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut requests = Vec::new();
                while let Some(request) = list.next_element()? {
                    if requests.len() >= MOST_REQUESTS {
                        return Err(serde::de::Error::invalid_length(requests.len() + 1, &self));
                    }
                    requests.push(request);
                }
                Ok(requests)
            }
        }
        from.deserialize_seq(RequestEntries).map(Requests)
    }
}

/// The value of a field, where it is there.
fn value<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>, field: &str, what: &str) -> Result<Option<T>, Problem> {
    let read = raw.map(|raw| serde_json::from_str(raw.get())).transpose();
    read.map_err(|_| of_field(field, &format!("must be {what}")))
}

/// A request of a batch.
struct BatchRequest {
    index: usize,
    custom_id: Option<String>,
    method: Method,
    url: Uri,
    body: Bytes,
}

/// A request's answer.
struct BatchAnswer {
    index: usize,
    line: Bytes,
}

/// The requests of a batch under way. Dropped, those that are under way are calls whose caller left.
struct BatchLines {
    batch: Rc<BatchHead>,
    waiting: std::vec::IntoIter<BatchRequest>,
    running: FuturesUnordered<Pin<Box<dyn Future<Output = BatchAnswer>>>>,
    parallel: usize,
}

/// The things that all requests of a batch have in common.
struct BatchHead {
    context: Rc<CallContext>,
    headers: HeaderMap,
    /// The keys in its query, as they stand there.
    keys: String,
}

impl BatchHead {
    /// A request's path with the keys of the batch.
    fn uri(&self, url: &Uri) -> Result<Uri, Problem> {
        if self.keys.is_empty() {
            return Ok(url.clone());
        }
        let mark = if url.query().is_some() { '&' } else { '?' };
        Uri::try_from(format!("{url}{mark}{}", self.keys)).map_err(|_| wrong("url: is too long"))
    }
}

impl LineSource for BatchLines {
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_answer(cx).map(|answer| answer.map(|answer| answer.line))
    }
}

impl BatchLines {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<BatchAnswer>> {
        while self.running.len() < self.parallel
            && let Some(request) = self.waiting.next()
        {
            self.running.push(Box::pin(answer(Rc::clone(&self.batch), request)));
        }
        self.running.poll_next_unpin(cx)
    }

    /// All answers, in the order of their requests.
    async fn all(mut self) -> Bytes {
        let mut answers = Vec::with_capacity(self.waiting.len());
        while let Some(answer) = std::future::poll_fn(|cx| self.poll_answer(cx)).await {
            answers.push(answer);
        }
        answers.sort_by_key(|answer| answer.index);
        let length = answers.iter().map(|answer| answer.line.len()).sum::<usize>();
        let mut body = Vec::with_capacity(length + 64);
        body.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
        for (at, answer) in answers.iter().enumerate() {
            body.extend_from_slice(if at == 0 { b"" } else { b"," });
            body.extend_from_slice(answer.line.trim_ascii_end());
        }
        body.extend_from_slice(b"]}");
        body.into()
    }
}

/// Answers a batch: with lines as they come, where it asks for that, else with all answers in their order.
///
/// # Errors
/// It is no batch. What is wrong with one of its requests is that one's answer.
pub(super) async fn exchange(
    context: &Rc<CallContext>,
    head: request::Parts,
    body: Bytes,
) -> Result<Exchange, Problem> {
    let now = Instant::now();
    context.note(|entry| entry.received(body.len() as u64, now));
    let (waiting, parallel, stream) = read(&body)?;
    let mut headers = head.headers;
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, IDEMPOTENCY_KEY, X_REQUEST_ID] {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let keys = query_keys(head.uri.query()).map(|key| format!("key={key}")).collect::<Vec<_>>().join("&");
    let batch = Rc::new(BatchHead { context: Rc::clone(context), headers, keys });
    let lines = BatchLines { batch, waiting: waiting.into_iter(), running: FuturesUnordered::new(), parallel };
    let kind = |kind| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
    if stream {
        return Ok(Exchange::Lines(kind(LINES), Box::new(lines)));
    }
    let body = lines.all().await;
    let body = context.worker.memory.charge(body.len(), Purpose::of(body.len()))?.hold(body);
    Ok(Exchange::Whole(Whole { status: StatusCode::OK, headers: kind("application/json"), body, end: End::Done }))
}

/// The requests of a batch, how many at a time, and true if their answers go out as they come.
fn read(body: &Bytes) -> Result<(Vec<BatchRequest>, usize, bool), Problem> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong("the body is no batch: it must be a JSON object with `requests`"));
    }
    let WireBatch { requests, parallel, stream } =
        serde_json::from_slice(body).map_err(|error| wrong(&format!("the body is no batch: {error}")))?;
    let between = format!("a whole number between 1 and {MOST_PARALLEL}");
    let parallel = value(parallel, "parallel", &between)?.unwrap_or(PARALLEL);
    if !(1..=MOST_PARALLEL).contains(&parallel) {
        return Err(of_field("parallel", &format!("must be {between}")));
    }
    let stream = value(stream, "stream", "true or false")?.unwrap_or_default();
    let list = format!("a list of at most {MOST_REQUESTS} requests");
    let Requests(requests) = value(requests, "requests", &list)?.unwrap_or(Requests(Vec::new()));
    if requests.is_empty() {
        return Err(of_field("requests", "must hold at least one request"));
    }
    let own = |(index, request): (usize, &RawValue)| own(index, request, body);
    Ok((requests.into_iter().enumerate().map(own).collect::<Result<_, Problem>>()?, parallel, stream))
}

/// A request, apart from the batch's text but for the bytes of its body, which are the batch's own.
fn own(index: usize, request: &RawValue, batch: &Bytes) -> Result<BatchRequest, Problem> {
    let at = format!("requests[{index}]");
    if !request.get().starts_with('{') {
        return Err(of_field(&at, "must be an object with `url` and `body`"));
    }
    let read = serde_json::from_str(request.get());
    let WireRequest { custom_id, method, url, body } = read.map_err(|error| {
        let said = error.to_string();
        of_field(&at, said.split(" at line ").next().unwrap_or_default())
    })?;
    let field = |name: &str| format!("{at}.{name}");
    let custom_id = value(custom_id, &field("custom_id"), "a text")?;
    let method: Option<String> = value(method, &field("method"), "a text")?;
    let method = Method::from_bytes(method.as_deref().unwrap_or("POST").as_bytes());
    let method = method.map_err(|_| of_field(&field("method"), "is no method"))?;
    let no_path = "must be a path, as /v1/chat/completions";
    let url: Option<String> = value(url, &field("url"), "a path, as /v1/chat/completions")?;
    let path = url.filter(|url| url.starts_with('/') && !url.starts_with("//"));
    let url = path.and_then(|url| Uri::try_from(url).ok()).ok_or_else(|| of_field(&field("url"), no_path))?;
    if query_keys(url.query()).next().is_some() {
        let what = "has a key; each request is admitted by the key of the batch, so leave `key` out";
        return Err(of_field(&field("url"), what));
    }
    let body = body.ok_or_else(|| of_field(&field("body"), "is required"))?;
    Ok(BatchRequest { index, custom_id, method, url, body: batch.slice_ref(body.get().as_bytes()) })
}

fn of_field(field: &str, what: &str) -> Problem {
    wrong(&format!("{field}: {what}")).param(field.to_owned())
}

fn wrong(what: &str) -> Problem {
    Problem::client(ErrorKind::InvalidRequest, what.to_owned())
}

/// One request's answer, whatever it is.
async fn answer(batch: Rc<BatchHead>, request: BatchRequest) -> BatchAnswer {
    let parent = &batch.context;
    let (dialect, addressed) = caller::addressed(&request.method, request.url.path(), &batch.headers);
    let id = format!("{}-{}", parent.caller.request_id.to_str().unwrap_or_default(), request.index);
    let caller = Caller {
        dialect,
        array: false,
        request_id: HeaderValue::try_from(id).unwrap_or_else(|_| parent.caller.request_id.clone()),
        address: parent.caller.address,
        origin: None,
        accepts: None,
        hops: parent.caller.hops,
    };
    let operation = addressed.as_ref().map_or(Operation::Unknown, |addressed| addressed.operation);
    let context = CallContext::open(Rc::clone(&parent.worker), caller, operation, None);
    let outcome = match addressed {
        Ok(addressed) => run(&batch, &context, addressed, &request).await,
        Err(problem) => Err(problem),
    };
    let (status, body, end) = told(&context, outcome);
    let line = line(&context, &request, (status, &body));
    let line = match parent.worker.memory.charge(line.len(), Purpose::of(line.len())) {
        Ok(charge) => charge.hold(line),
        Err(full) => {
            let (status, body, _) = told(&context, Err(full.into()));
            self::line(&context, &request, (status, &body))
        }
    };
    context.note(|entry| {
        entry.answered(status.as_u16(), Instant::now());
        entry.bytes_out(body.len() as u64);
    });
    context.close(end);
    BatchAnswer { index: request.index, line }
}

/// The way of one request, as that of any call.
async fn run(
    batch: &BatchHead,
    context: &Rc<CallContext>,
    addressed: caller::Addressed,
    request: &BatchRequest,
) -> Result<Exchange, Problem> {
    let operation = addressed.operation;
    let is_of_model = operation.is_forwarded() && !operation.names_no_model();
    if !is_of_model || matches!(operation, Operation::Batch | Operation::Speech) {
        let message = format!("{}: a batch takes requests whose answers are JSON of a model.", request.url.path());
        return Err(wrong(&message));
    }
    let mut head = Request::new(());
    *head.uri_mut() = batch.uri(&request.url)?;
    *head.headers_mut() = batch.headers.clone();
    let (head, ()) = head.into_parts();
    let mut addressed = access::identify(context, addressed, &head).await?;
    let (dialect, body) = count::asked(context.caller.dialect, &mut addressed, request.body.clone())?;
    let received = Received {
        dialect,
        headers: head.headers,
        uri: head.uri,
        body,
        charge: intake::of_a_call(&context.worker)?,
        at: context.arrived,
    };
    let call = InboundCall::read(context, &addressed, received)?;
    if call.peek.stream {
        return Err(wrong("stream: a request of a batch has one answer; leave it out").param("stream".to_owned()));
    }
    // Boxed: a batch holds several, and each is large.
    Box::pin(answering::answered(&call)).await
}

/// An outcome as its caller is told it.
fn told(context: &CallContext, outcome: Result<Exchange, Problem>) -> (StatusCode, Bytes, End) {
    let problem = match outcome {
        Ok(Exchange::Whole(Whole { status, body, end, .. })) => return (status, body, end),
        Ok(Exchange::Stream(..) | Exchange::Lines(..)) => {
            Problem::gateway(ErrorKind::BadGateway, "The answer came as a stream, which a batch has no place for.")
        }
        Err(problem) => problem,
    };
    exchange::note_problem(context, &problem);
    let (head, body) = errors::answer(&problem, context.caller.dialect, &context.caller.request_id).into_parts();
    (head.status, body, exchange::end_of(&problem))
}

/// The line of an answer, as OpenAI's batches have it, and which request it is of.
fn line(context: &CallContext, request: &BatchRequest, (status, body): (StatusCode, &Bytes)) -> Bytes {
    let id = context.caller.request_id.to_str().unwrap_or_default();
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let custom = request.custom_id.as_deref().map_or_else(|| "null".to_owned(), text);
    let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
    let said = if is_json { Cow::Borrowed(&**body) } else { text(&String::from_utf8_lossy(body)).into_bytes().into() };
    let mut line = format!(
        "{{\"id\":{},\"custom_id\":{custom},\"index\":{},\"response\":{{\"status_code\":{},\"request_id\":{},\"body\":",
        text(&format!("batch_req_{id}")),
        request.index,
        status.as_u16(),
        text(id)
    )
    .into_bytes();
    // Between tokens alone JSON has line ends, and a line has none but its own.
    line.extend(said.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    line.extend_from_slice(b"},\"error\":null}\n");
    line.into()
}
