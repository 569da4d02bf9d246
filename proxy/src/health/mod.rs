//! Endpoints that are asked whether they are well, beside the calls: by one worker of each proxy, a bounded number at once, and only
//! where a pool says so.

mod record;

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
use http::{HeaderValue, Method, Request, Uri};
use rand::RngExt;
use sluicegate_config::HealthCheck;

use crate::state::{Provider, Ready};
use crate::upstream::SendLimits;
use crate::worker::own::Worker;

use record::CheckRecord;

/// The interval at which it is looked for who is due.
const TICK: Duration = Duration::from_millis(250);
/// So many are asked at once; the others wait for the next look.
const MOST: usize = 64;

/// An endpoint's address in memory: it is the same as long as anybody asks it.
type EndpointAt = usize;

/// A provider that is asked, and by which rule.
type Checked = (Arc<Provider>, Arc<HealthCheck>);

/// Asks for ever.
pub(crate) async fn run(worker: Rc<Worker>) {
    let records: RefCell<HashMap<EndpointAt, CheckRecord>> = RefCell::default();
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
                idle = ready.checked().next().is_none().then(|| Arc::clone(&ready));
                let room = MOST.saturating_sub(asked.len());
                for (provider, check) in due(&ready, &mut records.borrow_mut()).into_iter().take(room) {
                    asked.push(ask(&worker, &records, provider, check));
                }
            }
        }
    }
}

/// Those who are due. What no configuration asks any longer is forgotten.
fn due(ready: &Ready, records: &mut HashMap<EndpointAt, CheckRecord>) -> Vec<Checked> {
    let now = Instant::now();
    let all: HashMap<EndpointAt, Checked> =
        ready.checked().map(|(provider, check)| (at(provider), (Arc::clone(provider), Arc::clone(check)))).collect();
    records.retain(|at, _| all.contains_key(at));
    let mut due = Vec::new();
    for (at, checked) in all {
        let interval = checked.1.interval.get();
        // At first each somewhere within its interval, so that not all of them are asked at once.
        let record = records.entry(at).or_insert_with(|| CheckRecord::new(now + jittered(interval, 0.0, 1.0)));
        if record.is_due(now) {
            record.begin(now + jittered(interval, 0.9, 1.1));
            due.push(checked);
        }
    }
    due
}

fn jittered(interval: Duration, from: f64, to: f64) -> Duration {
    interval.mul_f64(rand::rng().random_range(from..to))
}

fn at(provider: &Provider) -> EndpointAt {
    Arc::as_ptr(&provider.endpoint) as EndpointAt
}

/// Asks one, and notes what it said.
async fn ask(
    worker: &Worker,
    records: &RefCell<HashMap<EndpointAt, CheckRecord>>,
    provider: Arc<Provider>,
    check: Arc<HealthCheck>,
) {
    let is_well = answers(worker, &provider, &check).await;
    let now = Instant::now();
    if let Some(record) = records.borrow_mut().get_mut(&at(&provider)) {
        let was_ill = record.is_ill();
        record.answered(is_well, &check);
        if record.is_ill() {
            // Until the next answer, and a little longer: a proxy that stops asking leaves nobody out.
            provider.endpoint.check_failed(now + check.interval.get() * 2 + check.timeout.get());
        } else if was_ill {
            provider.endpoint.check_passed();
        }
        if was_ill != record.is_ill() {
            let (provider, endpoint) = (&provider.name, &*provider.address);
            tracing::info!(provider, endpoint, is_well = was_ill, "an endpoint's health has turned");
        }
    }
}

async fn answers(worker: &Worker, provider: &Provider, check: &HealthCheck) -> bool {
    let Ok(path) = check.path.parse::<PathAndQuery>() else { return false };
    let uri = Uri::from(path);
    let make = || {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("sluicegate-health-check"));
        request
    };
    let (now, timeout) = (Instant::now(), check.timeout.get());
    let limits = SendLimits { connect: timeout, until: now + timeout, now, resend: true };
    let sent = worker.client.send(&provider.origin, make, limits).await;
    sent.is_ok_and(|sent| sent.response.status().is_success())
}
