//! The vendors' own SDKs judge the simulated provider: what they do not accept is not what their vendor would send.

use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::sdk::{Judged, Suite, judge};

fn verdict(suite: Suite) -> anyhow::Result<()> {
    let simulator = Simulator::start(&["--models", "simulated-1"])?;
    let judged = Judged {
        openai_url: simulator.url("/v1"),
        anthropic_url: simulator.url(""),
        model: "simulated-1".to_owned(),
        provider: None,
    };
    judge(suite, &judged, None)
}

#[test]
fn python_sdks_accept_the_simulated_provider() -> anyhow::Result<()> {
    verdict(Suite::Python)
}

#[test]
fn node_sdks_accept_the_simulated_provider() -> anyhow::Result<()> {
    verdict(Suite::Node)
}
