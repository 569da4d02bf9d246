//! The vendors' own SDKs as judges: their suites in `tests/sdk`, pointed at something that answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

use crate::process::Process;

/// What the suites are pointed at.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Base URL for OpenAI's SDKs, `/v1` included.
    pub openai_url: String,
    /// Base URL for Anthropic's and Google's SDKs, without `/v1` and `/v1beta`.
    pub anthropic_url: String,
    /// A model that is known there.
    pub model: String,
    /// The dialect of the provider behind (`openai`, `anthropic` or `gemini`), when it is not each SDK's own: leaves out what
    /// means something in the SDK's own dialect only.
    pub provider: Option<String>,
    /// Where the provider says what it received.
    pub journal: String,
}

/// The suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// `openai`, `anthropic`, `google-genai`, `cohere`, `mistralai` and `boto3` from PyPI.
    Python,
    /// `openai`, `@anthropic-ai/sdk` and `@google/genai` from npm.
    Node,
    /// The same in front of `Aimock`.
    Aimock,
    /// LangChain and LlamaIndex.
    Frameworks,
    /// Coding agents from their packages, in front of `AgentModel`.
    Agents,
}

/// The key that the providers behind a gateway ask for; no caller has it.
pub const PROVIDERS_KEY: &str = "providers-key";

/// The providers behind a gateway: the name of the pool, the type and further fields.
const PROVIDERS: [(&str, &str, &str); 9] = [
    ("openai", "OpenAI", ""),
    ("anthropic", "Anthropic", ""),
    ("gemini", "Gemini", ""),
    ("azure", "AzureOpenAI", "apiVersion: \"2024-10-21\","),
    ("azure-v1", "AzureOpenAI", ""),
    ("vertex", "VertexAI", "vertexAI: {project: own, location: global},"),
    ("cohere", "Cohere", ""),
    ("bedrock", "Bedrock", "signed, as a model of Anthropic's"),
    ("converse", "Bedrock", "signed"),
];

/// What aimock goes by, and no provider knows.
const STEERING: &str = "[x-mark, x-aimock-chaos-malformed, x-aimock-chaos-disconnect]";

/// What the suites call through a gateway: `through-openai`, `through-anthropic`, `through-gemini`, `through-azure` and
/// `through-azure-v1` lead to providers at this URL
/// that know the model `upstream` and are spoken to in these dialects.
///
/// One attempt each, so that failures reach the SDK. Calls that a provider answers with "not now" or "not you" go to a
/// pool of their own, whose many providers may each be left alone for a while without another test waiting for it.
#[must_use]
pub fn manifests(url: &str, upstream: &str) -> String {
    let mut text =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\nstringData: {{api-key: {PROVIDERS_KEY}}}\n");
    text += &format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: aws}}\nstringData: {{api-key: \"{PROVIDERS_KEY}:secret\"}}\n"
    );
    for (dialect, kind, more) in PROVIDERS {
        const KEYS: &str = "{type: AWS, region: us-east-1, secretRef: {name: aws}}";
        let named = format!("models: [{{name: claude-{upstream}, upstreamName: {upstream}}}],");
        let (credentials, more, upstream) = match more {
            "signed" => (KEYS, "", upstream.to_owned()),
            more if more.starts_with("signed") => (KEYS, &*named, format!("claude-{upstream}")),
            more => ("{secretRef: {name: key}}", more, upstream.to_owned()),
        };
        for (pool, size) in [(dialect.to_owned(), 1), (format!("{dialect}-aside"), 16)] {
            text += "---\napiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\n";
            text += &format!("metadata: {{name: {pool}}}\nspec:\n  retry: {{attempts: 1}}\n  providers:\n");
            for at in 0..size {
                text += &format!(
                    "  - {{name: p{at}, type: {kind}, url: \"{url}\", credentials: {credentials}, {more} \
                     headers: {{pass: {STEERING}}}}}\n"
                );
            }
        }
        text += "---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\n";
        text += &format!("metadata: {{name: {dialect}}}\nspec:\n  rules:\n");
        let aside = r#"headers: [{name: x-simulate, regex: ".*(status=40[13]|retry-after=[0-9]+;).*"}]"#;
        for (pool, more) in [(format!("{dialect}-aside"), format!(", {aside}")), (dialect.to_owned(), String::new())] {
            text += &format!("  - name: {pool}\n    matches: [{{model: {{exact: through-{dialect}}}{more}}}]\n");
            text += &format!("    targets: [{{poolRef: {{name: {pool}}}, model: {upstream}}}]\n");
        }
    }
    text + &described(url)
}

/// A model of which everything is known that lists tell.
fn described(url: &str) -> String {
    format!(
        "---\napiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: described}}\nspec:\n  providers:\n  \
         - name: only\n    type: OpenAI\n    url: \"{url}\"\n    models:\n    \
         - name: described\n      contextWindow: 200000\n      maxOutputTokens: 64000\n      \
         inputModalities: [Text, Image]\n      outputModalities: [Text]\n      capabilities: [Tools, Thinking]\n      \
         price: {{inputPerMillion: \"2.50\", outputPerMillion: \"10\"}}\n\
         ---\napiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: described}}\nspec:\n  rules:\n  \
         - name: only\n    matches: [{{model: {{exact: described}}}}]\n    targets: [{{poolRef: {{name: described}}}}]\n"
    )
}

/// `@copilotkit/aimock` from npm, an upstream that nobody here wrote, on the answers in `sdk/node/aimock`; stopped when
/// dropped.
#[derive(Debug)]
pub struct Aimock {
    _process: Process,
    /// Where it listens.
    pub url: String,
}

impl Aimock {
    /// Starts it on a free loopback port.
    ///
    /// # Errors
    ///
    /// It can not be installed, or ends before it says where it listens.
    pub fn start() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
        set_up(&folder)?;
        let mut command = Command::new("node");
        command.current_dir(folder.join("node")).arg("node_modules/@copilotkit/aimock/dist/cli.js");
        command.args(["--port", "0", "--fixtures", "aimock/fixtures.json", "--journal-max", "1000"]);
        command.env("AIMOCK_API_KEYS", PROVIDERS_KEY).stdin(Stdio::null()).stdout(Stdio::piped());
        let (process, url) = listening(&mut command).context("aimock")?;
        Ok(Self { _process: process, url })
    }
}

/// A model that plays its part in an agent's loop, as OpenAI and Anthropic would say it (`sdk/agents/provider.mjs`);
/// stopped when dropped.
#[derive(Debug)]
pub struct AgentModel {
    _process: Process,
    /// Where it listens.
    pub url: String,
}

impl AgentModel {
    /// Starts it on a free loopback port.
    ///
    /// # Errors
    ///
    /// It ends before it says where it listens.
    pub fn start() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
        set_up(&folder)?;
        let mut command = Command::new("node");
        command.current_dir(folder.join("agents")).arg("provider.mjs");
        let (process, url) =
            listening(command.stdin(Stdio::null()).stdout(Stdio::piped())).context("the agents' model")?;
        Ok(Self { _process: process, url })
    }
}

/// Starts a server and waits until it says `listening on URL`.
fn listening(command: &mut Command) -> anyhow::Result<(Process, String)> {
    let mut process = Process::start(command).context("it does not start")?;
    let output = process.child().stdout.take().context("it has no output")?;
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let said = lines.find_map(|line| Some(line.split_once("listening on ")?.1.trim().to_owned()));
    // Whoever writes into a pipe must be read.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((process, said.context("it did not say where it listens")?))
}

/// Installs the SDKs if they are not there; the Pythons to use, of the SDKs and of the frameworks.
fn set_up(folder: &Path) -> anyhow::Result<[PathBuf; 2]> {
    let script = folder.join("setup.sh");
    let output = Command::new("sh").arg(&script).output().with_context(|| format!("running {}", script.display()))?;
    if !output.status.success() {
        bail!("{} failed:\n{}", script.display(), told(&output));
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (sdks, frameworks) = said.trim().split_once('\n').context("setup.sh named no two Pythons")?;
    Ok([sdks, frameworks].map(PathBuf::from))
}

/// Runs one suite; `only` names a part of test names (pytest's `-k`, node's name pattern), of the agents' suite a file.
///
/// # Errors
///
/// The verdict, with all that the suite said, when a test failed; or what to install, when it can not run.
pub fn judge(suite: Suite, judged: &Judged, only: Option<&str>) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
    let [python, frameworks] = set_up(&folder)?;
    let mut command = match suite {
        Suite::Python => {
            let mut command = Command::new(python);
            command.args(["-B", "-m", "pytest", "--tb=short"]).current_dir(folder.join("python"));
            command.args(["--ignore", "test_frameworks.py"]);
            command.args(only.iter().flat_map(|only| ["-k", only]));
            command
        }
        Suite::Frameworks => {
            let mut command = Command::new(frameworks);
            command.args(["-B", "-m", "pytest", "--tb=short", "test_frameworks.py"]).current_dir(folder.join("python"));
            command.args(only.iter().flat_map(|only| ["-k", only]));
            command
        }
        Suite::Aimock => {
            let mut command = Command::new("node");
            command.args(["--test", "--test-reporter=spec", "aimock/behind.mjs"]).current_dir(folder.join("node"));
            command
        }
        Suite::Agents => {
            let mut command = Command::new("node");
            command.args(["--test", "--test-reporter=spec", "--test-concurrency=1"]).current_dir(folder.join("agents"));
            command.args(only);
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
        .env("SLUICEGATE_GEMINI_BASE_URL", &judged.anthropic_url)
        .env("SLUICEGATE_MODEL", &judged.model)
        .env("SLUICEGATE_JOURNAL", &judged.journal)
        // A key or URL of the person who runs this is nothing to the tests.
        .env_remove("OPENAI_API_KEY")
        .env_remove("AZURE_OPENAI_API_KEY")
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("GEMINI_API_KEY")
        .env_remove("GOOGLE_API_KEY")
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

/// Has botocore sign requests once more: each is a line of JSON with `method`, `path`, `headers` and `body` (in base64).
///
/// # Errors
///
/// What differs, or what to install.
pub fn judge_signatures(requests: &str) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
    let [python, _] = set_up(&folder)?;
    let mut command = Command::new(python);
    command.args(["-B", "signatures.py"]).current_dir(folder.join("python")).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("running signatures.py")?;
    child.stdin.take().context("it has no input")?.write_all(requests.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("botocore signs otherwise:\n{}", told(&output));
    }
    Ok(())
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
