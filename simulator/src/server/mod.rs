//! The HTTP server around the model: reads a request, keeps to the plan, answers in the vendor's words.

mod kept;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::anthropic::request::Purpose;
use crate::ask::Ask;
use crate::behaviour::FailureKind;
use crate::canned::{Canned, Fixed};
use crate::clock::{rfc3339, unix_seconds};
use crate::fault::Fault;
use crate::heads::put;
use crate::journal::{Outcome, received, received_without_secrets};
use crate::limits::Quota;
use crate::model::{self, Answer};
use crate::plan::{NoAnswer, Plan};
use crate::provider::SimulatedProvider;
use crate::route::{Route, Vendor, parameter, route, vendor};
use crate::script::{Broken, Piece, Script};
use crate::side::{self, SideAnswer, SideRequest, SideRoute};
use crate::steer::{ECHO_HEADER, STEER_HEADER};
use crate::wire::{Fate, Wire};
use crate::{amazon, anthropic, cohere, gemini, openai, vertex};

/// The largest body that is read; vendors answer 413 beyond.
const LARGEST: usize = 32 * 1024 * 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// Serves HTTP/1.1, or HTTP/2 with prior knowledge, over a byte stream until it ends or breaks as told: then the
/// stream is dropped. HTTP/2 needs a `LocalSet` around it.
pub async fn serve<IO>(io: IO, model: Arc<SimulatedProvider>)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    serve_with_fate(io, model, Fate::new()).await;
}

/// Like [`serve`], for an owner who can do more to a broken stream than drop it: `fate` says, before the stream is
/// dropped, whether it is to be reset.
pub async fn serve_with_fate<IO>(io: IO, model: Arc<SimulatedProvider>, fate: Arc<Fate>)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let wire = Wire::new(io, Arc::clone(&fate));
    let service = hyper::service::service_fn(move |request| handle(request, Arc::clone(&model), Arc::clone(&fate)));
    let server = auto::Builder::new(Local);
    // How a connection ends is nothing a vendor would tell anyone.
    let _ended = server.serve_connection(TokioIo::new(wire), service).await;
}

/// Runs the streams of an HTTP/2 connection on its own thread.
#[derive(Debug, Clone, Copy)]
struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// The parts that every step of a call needs.
struct Call {
    vendor: Vendor,
    /// `true`: a stream, and an error in its place, are a JSON array.
    array: bool,
    /// `true`: it is Amazon's Converse.
    converses: bool,
    id: String,
    began: Instant,
    quota: Quota,
    model: Arc<SimulatedProvider>,
    fate: Arc<Fate>,
    outcome: Outcome,
}

async fn handle(
    request: Request<Incoming>,
    model: Arc<SimulatedProvider>,
    fate: Arc<Fate>,
) -> Result<Response<Script>, Broken> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST).collect().await.map(http_body_util::Collected::to_bytes);
    let vendor = vendor(&parts);
    if let (Some(canned), Ok(body)) = (model.canned(), &body) {
        return Ok(fixed(canned, vendor, body, &fate));
    }
    let path = route(&parts);
    if let Some(page) = own_page(&path, &model, &fate) {
        return Ok(page);
    }
    let outcome = match (model.journal(), &body) {
        (Some(journal), Ok(body)) => journal.write(received(&parts, body)),
        _ => Outcome::unrecorded(),
    };
    let id = model.ids().next("req_");
    let quota = model.count();
    let array = matches!(path, Route::Generate { array: true, .. });
    let converses = matches!(path, Route::Converse { .. });
    let call = Call { vendor, array, converses, id, began: Instant::now(), quota, model, fate, outcome };
    let Ok(body) = body else {
        return Ok(call.refuse(&Fault::new(413, "Request exceeds the maximum size")));
    };
    let plan = match call.plan(&parts, &body) {
        Ok(plan) => plan,
        Err(fault) => return Ok(call.refuse(&fault)),
    };
    match plan.no_answer {
        Some(NoAnswer::Reset) => {
            call.outcome.broken();
            call.fate.reset();
            return Err(Broken);
        }
        Some(NoAnswer::Silent) => std::future::pending().await,
        None => {}
    }
    match call.admit(&parts, &plan, &path) {
        Ok(()) => {
            if let Route::Kept(route) = &path {
                return Ok(call.kept(route, &parts, &body));
            }
            if let Route::Side(side) = path {
                return Ok(call.aside(side, &parts, &body, &plan).await);
            }
            let named = openai::azure::deployment(&parts).map(|deployment| openai::azure::named(&body, deployment));
            Ok(call.answer(path, named.as_ref().unwrap_or(&body), &plan).await)
        }
        Err(fault) => Ok(call.refuse(&fault)),
    }
}

/// The simulator's own pages, which no vendor has.
fn own_page(path: &Route, model: &SimulatedProvider, fate: &Arc<Fate>) -> Option<Response<Script>> {
    let value = match (path, model.journal()) {
        (Route::Health, _) => json!({ "status": "ok" }),
        (Route::ReadJournal, Some(journal)) => journal.read(),
        (Route::ClearJournal, Some(journal)) => {
            journal.clear();
            json!([])
        }
        _ => return None,
    };
    let script = Script::whole(Bytes::from(value.to_string()), fate, Outcome::unrecorded());
    Some(respond(StatusCode::OK, JSON, script))
}

fn fixed(canned: &Canned, vendor: Vendor, body: &[u8], fate: &Arc<Fate>) -> Response<Script> {
    let mut response = match canned.answer(vendor, body) {
        Fixed::Whole(bytes) => respond(StatusCode::OK, JSON, Script::whole(bytes.clone(), fate, Outcome::unrecorded())),
        Fixed::Stream(chunks) => respond(StatusCode::OK, EVENTS, Script::canned(chunks, canned.interval(), fate)),
    };
    let name = if vendor == Vendor::OpenAi { "x-request-id" } else { "request-id" };
    response.headers_mut().insert(name, HeaderValue::from_static("req_canned"));
    response
}

fn respond(status: StatusCode, content_type: HeaderValue, script: Script) -> Response<Script> {
    let mut response = Response::new(script);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Takes as long as a whole answer of so many tokens does.
async fn wait(plan: &Plan, tokens: u64) {
    let beats = u32::try_from(tokens.saturating_sub(1)).unwrap_or(u32::MAX);
    let takes = plan.first_token.saturating_add(plan.token_interval.saturating_mul(beats));
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
}

/// OpenAI's error in a stream.
fn openai_failure() -> Bytes {
    let fault = Fault::new(500, "The server had an error while processing your request (simulated).");
    openai::stream::event(&openai::error::body(&fault))
}

/// The key a caller shows, in any vendor's way.
fn key(parts: &Parts) -> Option<&str> {
    let headers = &parts.headers;
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let named =
        ["x-api-key", "x-goog-api-key", "api-key"].into_iter().find_map(|name| headers.get(name)?.to_str().ok());
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let signed = authorization.and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256 Credential="));
    let signed = signed.and_then(|value| value.split('/').next());
    bearer.or(signed).or(named).or_else(|| parameter(parts, "key"))
}

impl Call {
    fn plan(&self, parts: &Parts, body: &[u8]) -> Result<Plan, Box<Fault>> {
        let header = parts.headers.get(STEER_HEADER).and_then(|value| value.to_str().ok());
        let mut plan = self.model.plan(header)?;
        if parts.headers.contains_key(ECHO_HEADER) {
            plan.text = Some(received_without_secrets(parts, body).to_string());
        }
        Ok(plan)
    }

    /// Everything that is refused before a body is looked at.
    fn admit(&self, parts: &Parts, plan: &Plan, path: &Route) -> Result<(), Box<Fault>> {
        if let Some(fault) = &plan.fault {
            return Err(fault.clone());
        }
        let key = key(parts);
        if !self.model.admits(key) {
            if self.vendor == Vendor::Google {
                return Err(gemini::error::key(key.is_some()));
            }
            return Err(Fault::new(
                401,
                match (self.vendor, key) {
                    (Vendor::OpenAi, None) => {
                        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth."
                    }
                    (Vendor::OpenAi, Some(_)) => "Incorrect API key provided.",
                    (Vendor::Cohere, None) => "no api key supplied",
                    (Vendor::Cohere, Some(_)) => "invalid api token",
                    (Vendor::Amazon, _) => "The security token included in the request is invalid.",
                    (_, None) => "x-api-key header is required",
                    (_, Some(_)) => "invalid x-api-key",
                },
            ));
        }
        if *path == Route::WrongMethod {
            let text = format!("Not allowed to {} on {}", parts.method, parts.uri.path());
            return Err(Fault::new(405, text));
        }
        if self.quota.exceeded {
            let mut fault = Fault::new(429, "Rate limit reached: too many requests in this minute.");
            fault.retry_after = Some(self.quota.reset);
            return Err(fault.coded("rate_limit_exceeded"));
        }
        openai::azure::admit(parts)?;
        let says_it_in_the_body = vertex::is_of_anthropic(parts.uri.path());
        if self.vendor == Vendor::Anthropic && !says_it_in_the_body && !parts.headers.contains_key("anthropic-version")
        {
            return Err(Fault::new(400, "anthropic-version: header is required"));
        }
        Ok(())
    }

    async fn answer(self, path: Route, body: &[u8], plan: &Plan) -> Response<Script> {
        if let Some(value) = self.at_once(&path, body) {
            return match value {
                Ok(value) => self.whole(&value, 0, &Plan::default()),
                Err(fault) => self.refuse(&fault),
            };
        }
        let done = match path {
            Route::Chat => match self.model.look_alike() {
                Some(like) => like.admit(body).and_then(|body| openai::request::read(&body)),
                None => openai::request::read(body),
            }
            .and_then(|ask| self.known(ask)),
            Route::Responses => {
                let whole = self.model.responses().resolve(body);
                let asked = whole.and_then(|whole| openai::responses::request::read(&whole));
                return match asked.and_then(|ask| self.known(ask)) {
                    Ok(ask) => self.respond(&ask, body, plan).await,
                    Err(fault) => self.refuse(&fault),
                };
            }
            Route::Completions => openai::completions::read(body).and_then(|ask| self.known(ask)),
            Route::CohereChat => cohere::request::read(body).and_then(|ask| self.known(ask)),
            Route::Messages => anthropic::request::read(body, Purpose::Answer).and_then(|ask| self.known(ask)),
            Route::Generate { model, stream, .. } => {
                gemini::request::read(&model, stream, body).and_then(|ask| self.known(ask))
            }
            Route::Invoke { model, stream } => amazon::invoke::opened(body, &model, stream)
                .and_then(|body| anthropic::request::read(&body, Purpose::Answer))
                .and_then(|ask| self.known(ask)),
            Route::Predict(model) => vertex::opened(body, &model)
                .and_then(|body| anthropic::request::read(&body, Purpose::Answer))
                .and_then(|ask| self.known(ask)),
            Route::Converse { model, stream } => {
                amazon::converse_request::read(&model, stream, body).and_then(|ask| self.known(ask))
            }
            _ => Err(Fault::new(404, "Unknown request URL. Please check the URL for typos.")),
        };
        match done {
            Ok(ask) => self.say(&ask, plan).await,
            Err(fault) => self.refuse(&fault),
        }
    }

    /// The answers that no model has to write: counts, vectors, models; `None`: it is something else.
    fn at_once(&self, path: &Route, body: &[u8]) -> Option<Result<Value, Box<Fault>>> {
        let counted = |read: Result<Ask, Box<Fault>>| read.and_then(|ask| self.known(ask)).map(|ask| ask.input_tokens);
        Some(match path {
            Route::Embeddings => {
                let embed = openai::embeddings::read(body);
                embed.and_then(|embed| self.named(&embed.model).map(|()| openai::embeddings::write(&embed)))
            }
            Route::CohereEmbed => {
                cohere::embed::answer(body).and_then(|(model, value)| self.named(&model).map(|()| value))
            }
            Route::EmbedContent(model) => self.named(model).and_then(|()| gemini::embeddings::one(model, body)),
            Route::EmbedContents(model) => self.named(model).and_then(|()| gemini::embeddings::batch(model, body)),
            Route::Stored(stored) => self.model.responses().answer(stored),
            Route::CountItems => {
                counted(self.model.responses().resolve(body).and_then(|whole| openai::responses::request::read(&whole)))
                    .map(|tokens| json!({ "object": "response.input_tokens", "input_tokens": tokens }))
            }
            Route::CountContents(model) => {
                counted(gemini::request::read_count(model, body)).map(|tokens| json!({ "totalTokens": tokens }))
            }
            Route::CountAtVertex(model) => {
                let counted = counted(gemini::request::read(model, false, body));
                counted.map(|tokens| json!({ "totalTokens": tokens }))
            }
            Route::CountPredicted => {
                let read = vertex::counted(body).and_then(|body| anthropic::request::read(&body, Purpose::Count));
                counted(read).map(|tokens| json!({ "input_tokens": tokens }))
            }
            Route::CountTokens => {
                counted(anthropic::request::read(body, Purpose::Count)).map(|tokens| json!({ "input_tokens": tokens }))
            }
            Route::Models => Ok(self.models()),
            Route::Model(name) => self.named(name).map(|()| self.describe(name)),
            Route::PublisherModels => Ok(vertex::listed(&self.names())),
            Route::PublisherModel(name) => self.named(name).map(|()| vertex::described(name)),
            _ => return None,
        })
    }

    async fn say(self, ask: &Ask, plan: &Plan) -> Response<Script> {
        let answers = model::answer(ask, plan);
        let tokens = answers.iter().map(|answer| answer.tokens).max().unwrap_or(0);
        if ask.stream {
            return self.stream(ask, &answers, plan);
        }
        if plan.breakage.is_some_and(|breakage| breakage.kind == FailureKind::StreamError) {
            return self.refuse(&Fault::new(500, "The server had an error while processing your request (simulated)."));
        }
        wait(plan, tokens).await;
        let cached = self.model.prompts().consult(&ask.beginnings);
        let value = match (self.vendor, answers.first()) {
            (Vendor::Amazon, Some(answer)) if self.converses => {
                amazon::converse::write(ask, answer, cached, self.model.ids())
            }
            (Vendor::Anthropic | Vendor::Amazon, Some(answer)) => {
                anthropic::reply::write(ask, answer, cached, self.model.ids())
            }
            (Vendor::Cohere, Some(answer)) => cohere::reply::write(ask, answer, self.model.ids()),
            _ if ask.completes => openai::completions::write(&self.letterhead(ask), ask, &answers, cached),
            (Vendor::Google, _) => gemini::reply::write(ask, &answers, cached, self.model.ids()),
            _ => {
                let value = openai::reply::write(&self.letterhead(ask), ask, &answers, cached, self.model.ids());
                match self.model.look_alike() {
                    Some(like) => like.whole(value),
                    None => value,
                }
            }
        };
        self.whole(&value, tokens, plan)
    }

    /// Answers what is no conversation.
    async fn aside(self, route: SideRoute, parts: &Parts, body: &[u8], plan: &Plan) -> Response<Script> {
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let request = SideRequest::read(kind, openai::azure::deployment(parts), body);
        let id = self.model.ids().next("modr-");
        let answered = request.and_then(|request| side::answer(route, &request, &id));
        let answer = answered.and_then(|(model, answer)| self.named(&model).map(|()| answer));
        match answer {
            Ok(SideAnswer::Json(value)) => {
                wait(plan, 1).await;
                self.whole(&value, 1, plan)
            }
            Ok(SideAnswer::Events(pieces)) => self.events(pieces, openai_failure(), plan),
            Ok(SideAnswer::Bytes(kind, pieces)) => {
                let pieces = pieces.into_iter().map(|bytes| Piece { bytes, token: true }).collect();
                let mut response = self.events(pieces, Bytes::new(), plan);
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                response
            }
            Err(fault) => self.refuse(&fault),
        }
    }

    /// Answers in the words of OpenAI Responses.
    async fn respond(self, ask: &Ask, body: &[u8], plan: &Plan) -> Response<Script> {
        use openai::responses::{reply, stream};
        const BROKEN: &str = "The server had an error while processing your request (simulated).";
        let answer = model::answer(ask, plan).into_iter().next().unwrap_or_default();
        let cached = self.model.prompts().consult(&ask.beginnings);
        let head = reply::head(ask, &answer, cached, self.model.ids(), unix_seconds());
        let items = reply::items(ask, &answer, self.model.ids());
        let value = reply::response(&head, ask, reply::status(&answer), &items, &Value::Null);
        let kept = self.model.responses().keep(body, &value, self.model.ids());
        if ask.stream {
            let pieces = stream::write(&head, ask, &answer, &items);
            return self.events(pieces, stream::failure(&head, ask, BROKEN), plan);
        }
        if plan.breakage.is_some_and(|breakage| breakage.kind == FailureKind::StreamError) {
            return self.refuse(&Fault::new(500, BROKEN));
        }
        wait(plan, answer.tokens).await;
        self.whole(&kept.unwrap_or(value), answer.tokens, plan)
    }

    fn stream(self, ask: &Ask, answers: &[Answer], plan: &Plan) -> Response<Script> {
        let cached = self.model.prompts().consult(&ask.beginnings);
        let pieces: Vec<Piece> = match (self.vendor, answers.first()) {
            (Vendor::Anthropic, Some(answer)) => anthropic::stream::write(ask, answer, cached, self.model.ids()),
            (Vendor::Amazon, Some(answer)) if self.converses => {
                amazon::converse::stream(ask, answer, cached, self.model.ids())
            }
            (Vendor::Amazon, Some(answer)) => {
                amazon::invoke::chunked(anthropic::stream::write(ask, answer, cached, self.model.ids()))
            }
            (Vendor::Cohere, Some(answer)) => cohere::stream::write(ask, answer, self.model.ids()),
            (Vendor::Google, _) => gemini::stream::write(ask, answers, cached, (self.model.ids(), self.array)),
            _ => {
                let usage = openai::reply::usage(ask, answers, cached);
                if let (Some(like), false) = (self.model.look_alike(), ask.completes) {
                    let asked = (ask.stream_usage && like.is_asked_for_usage()).then(|| usage.clone());
                    let head = self.letterhead(ask);
                    let pieces = openai::stream::Writer::new(&head, self.model.ids(), asked).write(answers);
                    return self.events(like.streamed(&pieces, &usage), openai_failure(), plan);
                }
                let usage = ask.stream_usage.then_some(usage);
                if ask.completes {
                    openai::completions::stream(&self.letterhead(ask), answers, usage.as_ref())
                } else {
                    openai::stream::Writer::new(&self.letterhead(ask), self.model.ids(), usage).write(answers)
                }
            }
        };
        let error = match self.vendor {
            Vendor::OpenAi => openai_failure(),
            Vendor::Cohere => cohere::stream::failure("internal server error, this has been reported (simulated)"),
            Vendor::Anthropic => anthropic::stream::event(&anthropic::error::event(&Fault::new(529, "Overloaded"))),
            Vendor::Amazon => {
                let body = amazon::error::body(&Fault::new(500, "The system encountered an unexpected error."));
                amazon::message::exception("internalServerException", body.to_string().as_bytes())
            }
            Vendor::Google => {
                let body = gemini::error::body(&Fault::new(503, "The model is overloaded. Please try again later."));
                gemini::stream::error(&body, self.array)
            }
        };
        self.events(pieces, error, plan)
    }

    fn events(self, pieces: Vec<Piece>, error: Bytes, plan: &Plan) -> Response<Script> {
        let kind = match self.vendor {
            Vendor::Amazon => HeaderValue::from_static("application/vnd.amazon.eventstream"),
            _ if self.array => JSON,
            _ => EVENTS,
        };
        let (headers, fate) = (self.headers(), Arc::clone(&self.fate));
        let script = Script::stream(pieces, error, plan, &fate, self.outcome);
        let mut response = respond(StatusCode::OK, kind, script);
        response.headers_mut().extend(headers);
        put(response.headers_mut(), "cache-control", "no-cache");
        response
    }

    fn whole(self, value: &Value, tokens: u64, plan: &Plan) -> Response<Script> {
        let (headers, fate) = (self.headers(), Arc::clone(&self.fate));
        let script = Script::reply(&Bytes::from(value.to_string()), tokens, plan, &fate, self.outcome);
        let mut response = respond(StatusCode::OK, JSON, script);
        response.headers_mut().extend(headers);
        response
    }

    fn refuse(self, fault: &Fault) -> Response<Script> {
        let body = match self.vendor {
            Vendor::OpenAi => match self.model.look_alike() {
                Some(like) => like.error(fault),
                None => openai::error::body(fault),
            },
            Vendor::Anthropic => anthropic::error::body(fault, &self.id),
            Vendor::Amazon => amazon::error::body(fault),
            Vendor::Cohere => cohere::error(fault, &self.id),
            Vendor::Google if self.array => json!([gemini::error::body(fault)]),
            Vendor::Google => gemini::error::body(fault),
        };
        let (mut headers, vendor) = (self.headers(), self.vendor);
        match vendor {
            Vendor::OpenAi => openai::headers::fault(&mut headers, fault),
            Vendor::Anthropic => anthropic::headers::fault(&mut headers, fault),
            Vendor::Amazon => put(&mut headers, "x-amzn-errortype", amazon::error::name(fault)),
            Vendor::Cohere => openai::headers::fault(&mut headers, fault),
            // When to come back stands in the body.
            Vendor::Google => {}
        }
        let script = Script::whole(Bytes::from(body.to_string()), &self.fate, self.outcome);
        let status = if vendor == Vendor::Amazon { amazon::error::status(fault) } else { fault.status };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = respond(status, JSON, script);
        response.headers_mut().extend(headers);
        response
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        let took = self.began.elapsed().max(Duration::from_millis(1));
        match self.vendor {
            Vendor::OpenAi => openai::headers::answer(&mut headers, &self.id, &self.quota, took),
            Vendor::Anthropic => anthropic::headers::answer(&mut headers, &self.id, &self.quota, took),
            Vendor::Amazon => put(&mut headers, "x-amzn-requestid", &self.id),
            Vendor::Cohere => put(&mut headers, "x-debug-trace-id", &self.id),
            Vendor::Google => put(&mut headers, "server-timing", &format!("gfet4t7; dur={}", took.as_millis())),
        }
        headers
    }

    fn letterhead(&self, ask: &Ask) -> openai::reply::Letterhead {
        let id = self.model.ids().next(if ask.completes { "cmpl-" } else { "chatcmpl-" });
        openai::reply::Letterhead { id, created: unix_seconds(), model: ask.model.clone() }
    }

    fn known(&self, ask: Ask) -> Result<Ask, Box<Fault>> {
        self.named(&ask.model).map(|()| ask)
    }

    fn named(&self, model: &str) -> Result<(), Box<Fault>> {
        if self.model.knows(model) { Ok(()) } else { Err(self.no_model(model)) }
    }

    fn no_model(&self, name: &str) -> Box<Fault> {
        match self.vendor {
            Vendor::OpenAi => {
                let text = format!("The model `{name}` does not exist or you do not have access to it.");
                Fault::new(404, text).coded("model_not_found")
            }
            Vendor::Anthropic => Fault::new(404, format!("model: {name}")),
            Vendor::Cohere => {
                Fault::new(404, format!("model '{name}' not found, make sure the correct model ID was used"))
            }
            Vendor::Amazon => {
                Fault::new(404, "Could not resolve the foundation model from the provided model identifier.")
            }
            Vendor::Google => Fault::new(
                404,
                format!("models/{name} is not found for API version v1beta, or is not supported for generateContent."),
            ),
        }
    }

    fn names(&self) -> Vec<String> {
        let names = self.model.models().to_vec();
        if names.is_empty() { vec!["simulated".to_owned()] } else { names }
    }

    fn models(&self) -> Value {
        let names = self.names();
        let list: Vec<Value> = names.iter().map(|name| self.describe(name)).collect();
        match self.vendor {
            Vendor::OpenAi | Vendor::Amazon | Vendor::Cohere => json!({ "object": "list", "data": list }),
            Vendor::Anthropic => {
                json!({ "data": list, "has_more": false, "first_id": names.first(), "last_id": names.last() })
            }
            Vendor::Google => json!({ "models": list }),
        }
    }

    fn describe(&self, name: &str) -> Value {
        let created = 1_700_000_000;
        match self.vendor {
            Vendor::OpenAi | Vendor::Amazon | Vendor::Cohere => {
                json!({ "id": name, "object": "model", "created": created, "owned_by": "simulated" })
            }
            Vendor::Anthropic => {
                json!({ "type": "model", "id": name, "display_name": name, "created_at": rfc3339(created) })
            }
            Vendor::Google => json!({
                "name": format!("models/{name}"),
                "version": "001",
                "displayName": name,
                "inputTokenLimit": 1_048_576,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            }),
        }
    }
}
