//! `make bench`: measures, and prints the report.

use std::time::Duration;

use clap::Parser;
use sluicegate_tests::bench::{Extent, run};

#[derive(Parser)]
struct Settings {
    /// Rounds over all scenarios.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per measure.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only scenarios whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
fn main() -> anyhow::Result<()> {
    let Settings { rounds, seconds, only } = Settings::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let extent = Extent { rounds, window: Duration::from_secs_f64(seconds), only };
    let report = tokio::task::LocalSet::new().block_on(&runtime, run(&extent))?;
    println!("{report}");
    Ok(())
}
