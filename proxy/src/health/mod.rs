//! Endpoints that are asked beside the calls, whether they are well and, of model servers, how busy they are: by one worker of each
//! proxy, a bounded number at once, and only where a pool says so. Whether they are well one proxy asks for all that share a Redis.

mod record;
mod server_metrics;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::header::USER_AGENT;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use rand::RngExt;
use sluicegate_config::{HealthCheck, ModelServer};
use tokio::time::timeout_at;

use crate::check_turns::CheckTurn;
use crate::endpoint::ServerLoad;
use crate::state::{EndpointQuestion, Provider, Ready};
use crate::upstream::{SendLimits, Sent};
use crate::worker::own::Worker;

use record::CheckRecord;

/// The interval at which it is looked for who is due.
const TICK: Duration = Duration::from_millis(250);
/// So many are asked at once; the others wait for the next look.
const MOST: usize = 64;

/// An endpoint's address in memory: it is the same as long as anybody asks it.
type EndpointAt = usize;

/// The time that a model server has to tell its metrics.
const METRICS_TIMEOUT: Duration = Duration::from_secs(2);
/// The most bytes of them that are read.
const LARGEST_METRICS: usize = 4 << 20;

/// A provider that is asked, and for what.
type DueQuestion = (Arc<Provider>, EndpointQuestion);
/// The same, as records are kept by: a question is known by its address in memory, too.
type RecordKey = (EndpointAt, usize);

/// Asks for ever.
pub(crate) async fn run(worker: Rc<Worker>) {
    let records: RefCell<HashMap<RecordKey, CheckRecord>> = RefCell::default();
    let mut asked = FuturesUnordered::new();
    // A configuration in which nobody is to be asked is looked at once.
    let mut idle: Option<Arc<Ready>> = None;
    loop {
        tokio::select! {
            Some(()) = asked.next() => {}
            () = tokio::time::sleep(TICK) => {
                let ready = worker.ready();
                if idle.as_ref().is_some_and(|idle| Arc::ptr_eq(idle, &ready)) {
                    continue;
                }
                idle = ready.asked().next().is_none().then(|| Arc::clone(&ready));
                let room = MOST.saturating_sub(asked.len());
                for due in due(&ready, &mut records.borrow_mut()).into_iter().take(room) {
                    asked.push(ask(&worker, &records, due));
                }
            }
        }
    }
}

/// Those who are due. What no configuration asks any longer is forgotten.
fn due(ready: &Ready, records: &mut HashMap<RecordKey, CheckRecord>) -> Vec<DueQuestion> {
    let now = Instant::now();
    let all: HashMap<RecordKey, DueQuestion> = ready
        .asked()
        .map(|(provider, question)| (key(provider, &question), (Arc::clone(provider), question)))
        .collect();
    records.retain(|at, _| all.contains_key(at));
    let mut due = Vec::new();
    for (at, asked) in all {
        let interval = asked.1.interval();
        // At first each somewhere within its interval, so that not all of them are asked at once.
        let record = records.entry(at).or_insert_with(|| CheckRecord::new(now + jittered(interval, 0.0, 1.0)));
        if record.is_due(now) {
            record.begin(now + jittered(interval, 0.9, 1.1));
            due.push(asked);
        }
    }
    due
}

fn jittered(interval: Duration, from: f64, to: f64) -> Duration {
    interval.mul_f64(rand::rng().random_range(from..to))
}

fn key(provider: &Provider, question: &EndpointQuestion) -> RecordKey {
    let at = match question {
        EndpointQuestion::Health(check) => Arc::as_ptr(check) as usize,
        EndpointQuestion::Load(server) => Arc::as_ptr(server) as usize,
    };
    (Arc::as_ptr(&provider.endpoint) as EndpointAt, at)
}

/// Asks one, and notes what it said.
async fn ask(worker: &Worker, records: &RefCell<HashMap<RecordKey, CheckRecord>>, (provider, question): DueQuestion) {
    let at = key(&provider, &question);
    match &question {
        EndpointQuestion::Health(check) => {
            let found = match worker.check_turns.take(&provider, check).await {
                CheckTurn::Own => CheckNews::Answer(answers(worker, &provider, check).await),
                CheckTurn::Others(is_ill) => is_ill.map_or(CheckNews::Nothing, CheckNews::Told),
            };
            if let Some(record) = records.borrow_mut().get_mut(&at) {
                note_health(record, found, &provider, check);
                if matches!(found, CheckNews::Answer(_)) {
                    worker.check_turns.tell(&provider, check, record.is_ill());
                }
            }
        }
        EndpointQuestion::Load(server) => {
            let load = load_of(worker, &provider, server).await;
            let now = Instant::now();
            // What it said before counts until it is old: a server that says nothing once is not idle.
            if let Some(load) = load {
                provider.endpoint.told_load(load, now + server.interval.get() * 3 + METRICS_TIMEOUT);
            }
            if let Some(record) = records.borrow_mut().get_mut(&at) {
                record.ended();
            }
        }
    }
}

/// A word about an endpoint.
#[derive(Debug, Clone, Copy)]
enum CheckNews {
    /// It says that it is well, or does not.
    Answer(bool),
    /// Another proxy has found that it is ill, or is not.
    Told(bool),
    /// Another proxy asks, and has found nothing yet.
    Nothing,
}

fn note_health(record: &mut CheckRecord, found: CheckNews, provider: &Provider, check: &HealthCheck) {
    let was_ill = record.is_ill();
    match found {
        CheckNews::Answer(is_well) => record.answered(is_well, check),
        CheckNews::Told(is_ill) => record.told(is_ill),
        CheckNews::Nothing => return record.ended(),
    }
    if record.is_ill() {
        // Until the next answer, and a little longer: a proxy that stops asking leaves nobody out.
        provider.endpoint.check_failed(Instant::now() + check.interval.get() * 2 + check.timeout.get());
    } else if was_ill {
        provider.endpoint.check_passed();
    }
    if was_ill != record.is_ill() {
        let (provider, endpoint) = (&provider.name, &*provider.address);
        tracing::info!(provider, endpoint, is_well = was_ill, "an endpoint's health has turned");
    }
}

async fn answers(worker: &Worker, provider: &Provider, check: &HealthCheck) -> bool {
    let sent = get(worker, provider, (&check.path, "sluicegate-health-check"), check.timeout.get()).await;
    sent.is_some_and(|sent| sent.response.status().is_success())
}

/// The load that a model server tells of; `None`: it does not.
async fn load_of(worker: &Worker, provider: &Provider, server: &ModelServer) -> Option<ServerLoad> {
    let until = Instant::now() + METRICS_TIMEOUT;
    let sent = get(worker, provider, (&server.metrics_path, "sluicegate-load"), METRICS_TIMEOUT).await?;
    if sent.response.status() != StatusCode::OK {
        return None;
    }
    let whole = Limited::new(sent.response.into_body(), LARGEST_METRICS).collect();
    let body = timeout_at(until.into(), whole).await.ok()?.ok()?.to_bytes();
    server_metrics::load(std::str::from_utf8(&body).ok()?)
}

/// Asks for a path by GET, without a credential.
async fn get(
    worker: &Worker,
    provider: &Provider,
    (path, agent): (&str, &'static str),
    timeout: Duration,
) -> Option<Sent> {
    let uri = Uri::from(path.parse::<PathAndQuery>().ok()?);
    let make = || {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(agent));
        request
    };
    let now = Instant::now();
    let limits = SendLimits { connect: timeout, until: now + timeout, now, resend: true };
    worker.client.send(&provider.origin, make, limits).await.ok()
}
