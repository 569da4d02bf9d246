//! The report: one column for each number of routes.

use std::fmt::Write as _;

use super::audit::Writes;
use super::figures::Times;
use super::phases::{Burst, Rest, Restart, Steps};

/// All that was measured with so many routes present.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// How many.
    pub routes: usize,
    /// The floor on this API server.
    pub floor: Times,
    /// Routes created one by one, and nothing else.
    pub alone: Steps,
    /// Routes created one by one while others are changed.
    pub churned: Steps,
    /// Those changes, each until it was programmed.
    pub changes: Times,
    /// Many at once.
    pub burst: Burst,
    /// Nothing.
    pub rest: Rest,
    /// The operator stopped and started.
    pub restart: Restart,
}

/// The whole report as Markdown.
#[must_use]
pub(crate) fn report(stages: &[Stage], proxies: usize) -> String {
    let mut table = Table { text: String::new(), stages };
    table.row("routes present", "bar", |stage| stage.routes.to_string());
    let _ = writeln!(table.text, "|---{}|---|", "|---".repeat(stages.len()));
    latencies(&mut table, proxies);
    costs(&mut table);
    table.text
}

fn latencies(table: &mut Table<'_>, proxies: usize) {
    let bar = "p50 ≤ 10, p99 ≤ 40 (1 000), ≤ 80 (5 000)";
    table.row("floor: create, watch, write, watch, ms", "", |stage| spread(&stage.floor));
    let served = format!("create → first answer by the slowest of {proxies} proxies, ms");
    table.row(&served, bar, |stage| spread(&stage.alone.served));
    table.row("the same over the floor", "", |stage| ratio(&stage.alone.served, &stage.floor));
    table.row("create → `Programmed`, ms", "", |stage| spread(&stage.alone.programmed));
    table.row("10 changes/s beside it: create → first answer, ms", "", |stage| spread(&stage.churned.served));
    table.row("10 changes/s beside it: create → `Programmed`, ms", "", |stage| spread(&stage.churned.programmed));
    table.row("those changes → `Programmed`, ms", "", |stage| spread(&stage.changes));
    table.row("many at once: routes, creating them, s", "", |stage| {
        format!("{}, {:.2}", stage.burst.routes, stage.burst.creating.as_secs_f64())
    });
    table.row("many at once: the last create → all `Programmed`, s", "≤ 3 (1 000 at once)", |stage| {
        format!("**{:.2}**", stage.burst.programming.as_secs_f64())
    });
}

fn costs(table: &mut Table<'_>) {
    table.row("writes per route created: ConfigMap, status, event, other", "1, 1", |stage| {
        per_change(&stage.alone.writes, stage.alone.served.count())
    });
    table.row("writes per change under churn: the same", "1, 1", |stage| {
        per_change(&stage.churned.writes, stage.churned.served.count() + stage.changes.count())
    });
    table.row("CPU per route of many at once: operator, proxy, ms", "", |stage| {
        let each = |time: std::time::Duration| time.as_secs_f64() * 1000.0 / stage.burst.routes.max(1) as f64;
        format!("{:.2}, {:.2}", each(stage.burst.operator), each(stage.burst.proxy))
    });
    table.row("memory of the operator after all this; after a restart, MiB", "≤ 60", |stage| {
        format!("**{:.1}**; {:.1}", mebibytes(stage.rest.operator_memory), mebibytes(stage.restart.memory))
    });
    table.row("memory of the largest proxy, MiB", "≤ 40", |stage| {
        format!("**{:.1}**", mebibytes(stage.rest.proxy_memory))
    });
    table.row("idle: CPU of the operator, of a proxy, % of a core", "", |stage| {
        let share = |time: std::time::Duration| time.as_secs_f64() * 100.0 / stage.rest.length.as_secs_f64();
        format!("{:.2}, {:.2}", share(stage.rest.operator), share(stage.rest.proxy))
    });
    table.row("idle: writes but for the Lease (in so many s)", "0", |stage| {
        format!("{} ({})", stage.rest.writes.beside_the_lease(), stage.rest.length.as_secs())
    });
    table.row("restart of the operator: until it leads and has seen all, s", "", |stage| {
        format!("{:.2}", stage.restart.lead.as_secs_f64())
    });
    table.row("restart of the operator: writes but for the Lease", "0", |stage| {
        stage.restart.writes.beside_the_lease().to_string()
    });
}

struct Table<'a> {
    text: String,
    stages: &'a [Stage],
}

impl Table<'_> {
    fn row(&mut self, what: &str, bar: &str, cell: impl Fn(&Stage) -> String) {
        let cells: Vec<String> = self.stages.iter().map(cell).collect();
        let _ = writeln!(self.text, "| {what} | {} | {bar} |", cells.join(" | "));
    }
}

/// Median, 99th percentile, most.
fn spread(times: &Times) -> String {
    let at = |share| times.quantile(share).map_or_else(|| "–".to_owned(), |time| format!("{time:.1}"));
    format!("**{}** / **{}** / {}", at(0.5), at(0.99), at(1.0))
}

/// Of median and 99th percentile.
fn ratio(times: &Times, floor: &Times) -> String {
    let at = |share| Some(times.quantile(share)? / floor.quantile(share)?);
    let show = |share| at(share).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.1}"));
    format!("{} / {}", show(0.5), show(0.99))
}

fn per_change(writes: &Writes, changes: usize) -> String {
    let each = |count: u64| count as f64 / changes.max(1) as f64;
    let [maps, status, events] = ["configmaps", "llmroutes/status", "events"].map(|resource| writes.of(resource));
    let other = writes.beside_the_lease() - maps - status - events;
    format!("{:.2}, {:.2}, {:.2}, {:.2}", each(maps), each(status), each(events), each(other))
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stage(routes: usize) -> Stage {
        let mut times = Times::default();
        (1..=100).for_each(|time| times.add(Duration::from_millis(time)));
        let steps = Steps { served: times.clone(), programmed: times.clone(), writes: Writes::default() };
        let second = Duration::from_secs(1);
        let burst = Burst { routes: 10, creating: second, programming: second, operator: second, proxy: second };
        let rest = Rest {
            length: 50 * second,
            operator_memory: 3 << 20,
            proxy_memory: 5 << 19,
            operator: second,
            proxy: second,
            writes: Writes::default(),
        };
        let restart = Restart { lead: second, memory: 1 << 20, writes: Writes::default() };
        let (alone, churned, floor) = (steps.clone(), steps, times.clone());
        Stage { routes, floor, alone, churned, changes: times, burst, rest, restart }
    }

    #[test]
    fn every_row_has_as_many_cells_as_the_head() {
        let text = report(&[stage(1000), stage(3000)], 3);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("| routes present | 1000 | 3000 | bar |"), "{text}");
        assert!(lines.iter().all(|line| line.matches('|').count() == 5), "{text}");
        for cell in
            ["**50.0** / **99.0** / 100.0", "1.0 / 1.0", "**3.0**; 1.0", "2.00, 2.00", "100.00, 100.00", "0 (50)"]
        {
            assert!(text.contains(cell), "{cell}: {text}");
        }
    }

    #[test]
    fn nothing_measured_is_shown_as_nothing() {
        assert_eq!(spread(&Times::default()), "**–** / **–** / –");
        assert_eq!(ratio(&Times::default(), &Times::default()), "– / –");
        assert_eq!(per_change(&Writes::default(), 0), "0.00, 0.00, 0.00, 0.00");
    }
}
