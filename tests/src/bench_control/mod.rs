//! `make bench-control`: how soon a change of a resource is served by every proxy and told in its status, and what it costs.
//!
//! A real API server, the operator and some proxies, all on loopback. With so many routes present, one after the other:
//! routes created one by one, many at once, one by one while others are changed; then nothing at all; then the operator is
//! restarted. The floor is measured on the same API server in the same run: ratios to it are what travels between machines.

mod audit;
mod churn;
mod figures;
mod floor;
mod parts;
mod phases;
mod probe;
mod routes;
mod seen;
mod table;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::kube::manifests;
use phases::{Bench, Steps};
use table::Stage;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Extent {
    /// With so many routes present, in rising order.
    pub routes: Vec<usize>,
    /// Proxies.
    pub proxies: usize,
    /// Times are taken over so many routes created one by one.
    pub samples: usize,
    /// So many are created at once.
    pub at_once: usize,
    /// Nothing is done for so long.
    pub idle: Duration,
}

/// Runs everything and gives the report as Markdown, and how many answers were wrong or changes not seen in time.
///
/// # Errors
/// When a part does not start, or refuses what it must not.
pub async fn run(extent: &Extent) -> Result<(String, u64)> {
    let load = load();
    let mut bench = Bench::start(extent.proxies).await?;
    let mut stages = Vec::new();
    let mut present = 0;
    for routes in &extent.routes {
        stages.push(stage(&mut bench, present, *routes, extent).await?);
        present = *routes;
    }
    let mut text = table::report(&stages, extent.proxies);
    let (wrong, late, asked) = (bench.tally.wrong.get(), bench.tally.late.get(), bench.tally.asked.get());
    let version = bench.parts.client.apiserver_version().await?.git_version;
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let _ = writeln!(text, "\nWrong answers: **{wrong}** of {asked}; changes not seen in time: **{late}**.");
    let _ = writeln!(text, "Kubernetes {version}, {cores} cores, load average {load} before.");
    Ok((text, wrong + late))
}

/// All phases with so many routes present.
async fn stage(bench: &mut Bench, present: usize, routes: usize, extent: &Extent) -> Result<Stage> {
    let first_sample = routes.saturating_sub(extent.samples).max(present);
    progress(routes, "routes are created one by one", &bench.create_one_by_one(present..first_sample).await?);
    let alone = bench.create_one_by_one(first_sample..routes).await?;
    progress(routes, "the last of them", &alone);
    let space = manifests::namespace(&bench.parts.client, "floor", &[]).await?;
    let floor = floor::measure(&bench.parts.client, &space, extent.samples).await?;
    let beyond = routes..routes + extent.at_once;
    let burst = bench.create_at_once(beyond.clone()).await?;
    say(routes, &format!("at once: {burst:?}"));
    bench.delete(beyond).await?;
    let beyond = routes..routes + extent.samples;
    let (churned, changes) = bench.create_under_churn(beyond.clone()).await?;
    progress(routes, "under churn", &churned);
    bench.delete(beyond).await?;
    bench.ask_for_all().await?;
    let rest = bench.rest(extent.idle).await?;
    say(routes, &format!("idle: {rest:?}"));
    let restart = bench.restart().await?;
    say(routes, &format!("restart: {restart:?}"));
    bench.ask_for_all().await?;
    Ok(Stage { routes, floor, alone, churned, changes, burst, rest, restart })
}

/// How busy the machine is.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().next().unwrap_or("?").to_owned()
}

fn progress(routes: usize, what: &str, steps: &Steps) {
    let show = |times: &figures::Times| {
        let at = |share| times.quantile(share).unwrap_or_default();
        format!("{:.1} / {:.1} / {:.1} ms", at(0.5), at(0.99), at(1.0))
    };
    let (served, programmed) = (show(&steps.served), show(&steps.programmed));
    say(routes, &format!("{what}: served {served}, programmed {programmed}; {}", steps.writes));
}

#[expect(clippy::print_stderr, reason = "a bench of minutes says where it is")]
fn say(routes: usize, what: &str) {
    eprintln!("{routes:>5}  {what}");
}
