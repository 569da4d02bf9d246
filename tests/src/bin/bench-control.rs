//! `make bench-control`: measures the control plane, and prints the report.

use std::time::Duration;

use clap::Parser;
use sluicegate_tests::bench_control::{Extent, run};

#[derive(Parser)]
struct Settings {
    /// With so many routes present, in rising order.
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 3000, 5000])]
    routes: Vec<usize>,
    /// Proxies.
    #[arg(long, default_value_t = 3)]
    proxies: usize,
    /// Times are taken over so many routes created one by one.
    #[arg(long, default_value_t = 300)]
    samples: usize,
    /// So many are created at once.
    #[arg(long, default_value_t = 1000)]
    at_once: usize,
    /// Nothing is done for so many seconds, and what is written meanwhile is counted.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// A small run that shows whether all of it works; its figures say nothing.
    #[arg(long)]
    quick: bool,
}

#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
fn main() -> anyhow::Result<()> {
    let Settings { mut routes, proxies, samples, at_once, idle, quick } = Settings::parse();
    routes.sort_unstable();
    let extent = if quick {
        Extent { routes: vec![20], proxies, samples: 10, at_once: 50, idle: Duration::from_secs(5) }
    } else {
        Extent { routes, proxies, samples, at_once, idle: Duration::from_secs(idle) }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (report, failures) = tokio::task::LocalSet::new().block_on(&runtime, run(&extent))?;
    println!("{report}");
    anyhow::ensure!(failures == 0, "{failures} wrong answers or changes not seen in time");
    Ok(())
}
