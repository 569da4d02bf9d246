//! The vendors' own SDKs as judges: their suites in `tests/sdk`, pointed at something that answers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, bail};

/// What the suites are pointed at.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Base URL for OpenAI's SDKs, `/v1` included.
    pub openai_url: String,
    /// Base URL for Anthropic's SDKs, without `/v1`.
    pub anthropic_url: String,
    /// A model that is known there.
    pub model: String,
    /// The dialect of the provider behind (`openai` or `anthropic`), when it is not each SDK's own: leaves out what
    /// means something in the SDK's own dialect only.
    pub provider: Option<String>,
}

/// The suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// `openai` and `anthropic` from PyPI.
    Python,
    /// `openai` and `@anthropic-ai/sdk` from npm.
    Node,
}

/// Installs the SDKs if they are not there; the Python to use.
fn set_up(folder: &Path) -> anyhow::Result<PathBuf> {
    let script = folder.join("setup.sh");
    let output = Command::new("sh").arg(&script).output().with_context(|| format!("running {}", script.display()))?;
    if !output.status.success() {
        bail!("{} failed:\n{}", script.display(), told(&output));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Runs one suite; `only` names a file of it or a part of test names (pytest's `-k`, node's name pattern).
///
/// # Errors
///
/// The verdict, with all that the suite said, when a test failed; or what to install, when it can not run.
pub fn judge(suite: Suite, judged: &Judged, only: Option<&str>) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
    let python = set_up(&folder)?;
    let mut command = match suite {
        Suite::Python => {
            let mut command = Command::new(python);
            command.args(["-B", "-m", "pytest", "--tb=short"]).current_dir(folder.join("python"));
            command.args(only.iter().flat_map(|only| ["-k", only]));
            command
        }
        Suite::Node => {
            let mut command = Command::new("node");
            command.args(["--test", "--test-reporter=spec"]).current_dir(folder.join("node"));
            command.args(only.iter().flat_map(|only| ["--test-name-pattern", only]));
            command
        }
    };
    command
        .env("SLUICEGATE_OPENAI_BASE_URL", &judged.openai_url)
        .env("SLUICEGATE_ANTHROPIC_BASE_URL", &judged.anthropic_url)
        .env("SLUICEGATE_MODEL", &judged.model)
        // A key or URL of the person who runs this is nothing to the tests.
        .env_remove("OPENAI_API_KEY")
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("ANTHROPIC_AUTH_TOKEN");
    match &judged.provider {
        Some(provider) => command.env("SLUICEGATE_PROVIDER", provider),
        None => command.env_remove("SLUICEGATE_PROVIDER"),
    };
    let output = command.output().with_context(|| format!("running the {suite:?} suite"))?;
    if !output.status.success() {
        bail!("the {suite:?} SDKs object:\n{}", told(&output));
    }
    Ok(())
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
