//! The report: medians with their spread, first of all the ratios.

use std::fmt::Write as _;

use super::figures::{Measure, Measures, Spread};
use super::memory::Memory;
use super::scenarios::{self, Per, Scenario, Who};

/// The whole report as Markdown.
#[must_use]
pub(crate) fn report(measures: &Measures, latency: &Measures, memory: &Memory) -> String {
    let mut text = String::new();
    ratios(&mut text, measures);
    added(&mut text, latency);
    memory.report(&mut text);
    text
}

fn ratios(text: &mut String, measures: &Measures) {
    let _ = writeln!(
        text,
        "| scenario | CPU µs: ours | bare | nginx | ratio (least–most) | first step | goal | calls/s | p50, p99 µs: ours | bare | failed |"
    );
    let _ = writeln!(text, "|---|---|---|---|---|---|---|---|---|---|---|");
    for scenario in scenarios::all() {
        let Some(ours) = measures.get(&(scenario.name, Who::Sluicegate)) else { continue };
        let cpu = |who| {
            cell(measures.get(&(scenario.name, who)).and_then(|all| Spread::of(all.iter().map(|one| one.cpu))), 1)
        };
        let rate = Spread::of(ours.iter().map(|one| one.rate));
        let failed: u64 = ours.iter().map(|one| one.failures).sum();
        let unit = if scenario.per == Per::Event { " (per event)" } else { "" };
        let _ = writeln!(
            text,
            "| {}{unit} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {failed} |",
            scenario.name,
            cpu(Who::Sluicegate),
            cpu(Who::Bare),
            cpu(Who::Nginx),
            ratio(&scenario, ours, measures),
            scenario.bars.0,
            scenario.bars.1,
            cell(rate, 0),
            tail(Some(ours)),
            tail(measures.get(&(scenario.name, Who::Bare))),
        );
    }
}

/// The distance of the slowest of a hundred calls from those in the middle: the fairness between connections.
fn tail(all: Option<&Vec<Measure>>) -> String {
    let of = |figure: fn(&Measure) -> f64| Some(Spread::of(all?.iter().map(figure))?.median());
    let (Some(p50), Some(p99)) = (of(|one| one.p50), of(|one| one.p99)) else { return "–".to_owned() };
    format!("{p50:.0}, {p99:.0} ({:.1}×)", p99 / p50)
}

/// Round by round against the other side of the same round.
fn ratio(scenario: &Scenario, ours: &[Measure], measures: &Measures) -> String {
    let against = scenario.against.unwrap_or((scenario.name, Who::Bare));
    let Some(theirs) = measures.get(&against) else { return "–".to_owned() };
    let rounds = ours.iter().zip(theirs).map(|(ours, theirs)| ours.cpu / theirs.cpu);
    Spread::of(rounds).map_or_else(|| "–".to_owned(), |spread| spread.to_string())
}

fn added(text: &mut String, latency: &Measures) {
    let of = |who, figure: fn(&Measure) -> f64| {
        latency.get(&("latency", who)).and_then(|all| Spread::of(all.iter().map(figure))).map(Spread::median)
    };
    let _ = writeln!(
        text,
        "\nAdded time per call at 1 000 calls/s on 16 connections (medians of the rounds, less those without a proxy):\n"
    );
    let _ = writeln!(text, "| | p50 µs | p99 µs |\n|---|---|---|");
    for (name, who) in [("ours", Who::Sluicegate), ("bare", Who::Bare), ("nginx", Who::Nginx)] {
        let added = |figure| Some(of(who, figure)? - of(Who::Direct, figure)?);
        let show = |figure| added(figure).map_or_else(|| "–".to_owned(), |added| format!("{added:.0}"));
        let _ = writeln!(text, "| {name} | {} | {} |", show(|one| one.p50), show(|one| one.p99));
    }
}

fn cell(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| format!("{:.decimals$}", spread.median()))
}
