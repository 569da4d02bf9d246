//! `make bench`: CPU time per call and what else a gateway costs, as ratios taken side by side in one run.
//!
//! Every server under measure is pinned to one core, load and upstream to the other. Scenarios and servers take turns,
//! several rounds of them, so that a machine whose speed drifts moves both sides of a ratio.

mod figures;
mod memory;
mod parts;
mod scenarios;
mod table;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::{Load, Plan};
use crate::redis_cluster::RedisCluster;
use figures::{Measure, Measures};
use parts::{LOAD_CORE, PROXY_CORE, Server, Workshop, pin};
use scenarios::{Per, Scenario, Who};

/// How long and how often.
#[derive(Debug, Clone)]
pub struct Extent {
    /// Rounds over all scenarios.
    pub rounds: usize,
    /// Length of one measure.
    pub window: Duration,
    /// Only scenarios whose name contains this.
    pub only: Option<String>,
}

/// Runs everything and gives the report as Markdown.
///
/// # Errors
/// When a server does not start or a measure cannot be taken.
pub async fn run(extent: &Extent) -> Result<String> {
    let workshop = Workshop::open()?;
    pin(LOAD_CORE)?;
    let (plain, paced) = (workshop.upstream(&[])?, workshop.upstream(&["--interval", "10ms"])?);
    let redis = RedisCluster::start().context("start a Redis Cluster")?;
    let fleet = Fleet::start(&workshop, &plain, &paced, &redis.urls().join(","))?;
    let mut measures = Measures::new();
    for round in 1..=extent.rounds {
        for scenario in &scenarios::all() {
            if extent.only.as_ref().is_some_and(|only| !scenario.name.contains(only.as_str())) {
                continue;
            }
            for who in scenario.on {
                let Some(server) = fleet.server(*who, (scenario.paced, scenario.logged)) else { continue };
                let measure = measure(scenario, server, extent.window).await?;
                eprint_progress(round, scenario, *who, &measure);
                measures.entry((scenario.name, *who)).or_default().push(measure);
            }
        }
    }
    let latency = added_latency(&fleet, plain.address, extent).await?;
    let memory = memory::measure(&workshop, paced.address)?;
    Ok(table::report(&measures, &latency, &memory))
}

/// Every server under measure, idle but for the one whose turn it is.
struct Fleet {
    sluicegate: Server,
    /// The same with an access log of every call, into a pipe that somebody reads.
    logged: Server,
    bare: [Server; 2],
    nginx: [Option<Server>; 2],
}

impl Fleet {
    fn start(workshop: &Workshop, plain: &Server, paced: &Server, redis: &str) -> Result<Self> {
        let manifests = scenarios::manifests(plain.address, paced.address);
        pin(PROXY_CORE)?;
        let fleet = Self {
            sluicegate: workshop.sluicegate(&manifests, &["--log-sample", "0", "--redis", redis])?,
            logged: workshop.sluicegate(&manifests, &["--log-sample", "1"])?,
            bare: [workshop.bare(plain.address)?, workshop.bare(paced.address)?],
            nginx: [workshop.nginx(plain.address)?, workshop.nginx(paced.address)?],
        };
        pin(LOAD_CORE)?;
        Ok(fleet)
    }

    fn server(&self, who: Who, (paced, logged): (bool, bool)) -> Option<&Server> {
        let at = usize::from(paced);
        match who {
            Who::Sluicegate if logged => Some(&self.logged),
            Who::Sluicegate => Some(&self.sluicegate),
            Who::Bare => self.bare.get(at),
            Who::Nginx => self.nginx.get(at).and_then(Option::as_ref),
            Who::Direct => None,
        }
    }
}

async fn measure(scenario: &Scenario, server: &Server, window: Duration) -> Result<Measure> {
    let Scenario { connections, rate, .. } = *scenario;
    let load = Load::start(&Plan { address: server.address, request: scenario.request.clone(), connections, rate });
    load.window(window / 3).await;
    let before = server.process.cpu()?;
    let seen = load.window(window).await;
    let spent = server.process.cpu()?.saturating_sub(before);
    load.stop().await;
    let count = match scenario.per {
        Per::Call => seen.calls,
        Per::Event => seen.events,
    };
    Ok(Measure {
        cpu: spent.as_secs_f64() * 1e6 / count.max(1) as f64,
        rate: seen.rate(),
        p50: seen.microseconds(0.5),
        p99: seen.microseconds(0.99),
        failures: seen.failures,
    })
}

/// Time per call at a rate that keeps nobody busy, with and without a proxy in between.
async fn added_latency(fleet: &Fleet, upstream: SocketAddr, extent: &Extent) -> Result<Measures> {
    let mut measures = Measures::new();
    let request = scenarios::chat("verbatim", 1000, false);
    let servers = [Who::Direct, Who::Sluicegate, Who::Bare, Who::Nginx];
    for _ in 0..extent.rounds {
        for who in servers {
            let address = match fleet.server(who, (false, false)) {
                Some(server) => server.address,
                None if who == Who::Direct => upstream,
                None => continue,
            };
            let load = Load::start(&Plan { address, request: request.clone(), connections: 16, rate: Some(1000.0) });
            load.window(extent.window / 3).await;
            let seen = load.window(extent.window).await;
            load.stop().await;
            let (p50, p99) = (seen.microseconds(0.5), seen.microseconds(0.99));
            let measure = Measure { cpu: 0.0, rate: seen.rate(), p50, p99, failures: seen.failures };
            measures.entry(("latency", who)).or_default().push(measure);
        }
    }
    Ok(measures)
}

#[expect(clippy::print_stderr, reason = "a bench of minutes says where it is")]
fn eprint_progress(round: usize, scenario: &Scenario, who: Who, measure: &Measure) {
    let Measure { cpu, rate, failures, .. } = measure;
    let failed = if *failures > 0 { format!("  {failures} FAILED") } else { String::new() };
    eprintln!("{round}  {:<26} {:<12} {cpu:8.2} µs {rate:9.0}/s{failed}", scenario.name, format!("{who:?}"));
}
