//! The vendors' own SDKs judge the simulated provider, then the proxy in front of it: what they do not accept is not what
//! their vendor would send. Through the proxy each suite holds both SDKs, so that one of them is translated.

use base64::Engine as _;
use sluicegate_tests::binaries::Simulator;
use sluicegate_tests::proxy::Proxy;
use sluicegate_tests::sdk::{AgentModel, Aimock, Judged, PROVIDERS_KEY, Suite, judge, judge_signatures, manifests};
use sluicegate_tests::upstream::{Upstream, answer};

fn verdict(suite: Suite) -> anyhow::Result<()> {
    let simulator = Simulator::start(&["--models", "simulated-1", "--journal", "4096"])?;
    let judged = Judged {
        openai_url: simulator.url("/v1"),
        anthropic_url: simulator.url(""),
        model: "simulated-1".to_owned(),
        provider: None,
        journal: simulator.url("/__journal"),
    };
    judge(suite, &judged, None)
}

fn through(proxy: &Proxy, dialect: &str, journal: String) -> Judged {
    Judged {
        openai_url: format!("http://{}/v1", proxy.address),
        anthropic_url: format!("http://{}", proxy.address),
        model: format!("through-{dialect}"),
        provider: Some(dialect.to_owned()),
        journal,
    }
}

/// A proxy by which calls go on from answers, whoever gave them; and the file of its keys, which it looks at now and then.
fn keeping_responses(manifests: &str) -> anyhow::Result<(Proxy, tempfile::NamedTempFile)> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "0123456789abcdef0123456789abcdef")?;
    let keys = file.path().to_str().unwrap_or_default();
    let flags = ["--workers", "2", "--response-keys", keys, "--keep-responses", "1h"];
    Ok((Proxy::start(&[("judged.yaml", manifests)], &flags)?, file))
}

fn verdict_on_the_proxy(suite: Suite, dialect: &str) -> anyhow::Result<()> {
    let flags = ["--models", "simulated-1", "--journal", "4096", "--api-key", PROVIDERS_KEY];
    let simulator = Simulator::start(&flags)?;
    let text = manifests(&simulator.url(""), "simulated-1");
    let (proxy, _keys) = keeping_responses(&text)?;
    judge(suite, &through(&proxy, dialect, simulator.url("/__journal")), None)
}

#[test]
fn python_sdks_accept_the_simulated_provider() -> anyhow::Result<()> {
    verdict(Suite::Python)
}

#[test]
fn node_sdks_accept_the_simulated_provider() -> anyhow::Result<()> {
    verdict(Suite::Node)
}

#[test]
fn python_sdks_accept_the_proxy_in_front_of_openai() -> anyhow::Result<()> {
    verdict_on_the_proxy(Suite::Python, "openai")
}

#[test]
fn python_sdks_accept_the_proxy_in_front_of_anthropic() -> anyhow::Result<()> {
    verdict_on_the_proxy(Suite::Python, "anthropic")
}

#[test]
fn python_sdks_accept_the_proxy_in_front_of_gemini() -> anyhow::Result<()> {
    verdict_on_the_proxy(Suite::Python, "gemini")
}

#[test]
fn node_sdks_accept_the_proxy_in_front_of_gemini() -> anyhow::Result<()> {
    verdict_on_the_proxy(Suite::Node, "gemini")
}

#[test]
fn node_sdks_accept_the_proxy_in_front_of_openai() -> anyhow::Result<()> {
    verdict_on_the_proxy(Suite::Node, "openai")
}

#[test]
fn node_sdks_accept_the_proxy_in_front_of_anthropic() -> anyhow::Result<()> {
    verdict_on_the_proxy(Suite::Node, "anthropic")
}

/// One provider breaks off behind three tokens, and another one goes on: to the SDKs that is one stream.
#[test]
fn python_sdks_see_one_stream_where_two_providers_gave_it() -> anyhow::Result<()> {
    let says =
        ["--models", "simulated-1", "--journal", "4096", "--text", "Hello! How deep is the sea? Ten thousand metres."];
    let broken = Simulator::start(&[&says[..], &["--fail", "cut", "--fail-after", "3"]].concat())?;
    let good = Simulator::start(&says)?;
    for (one, other) in [("OpenAI", "OpenAI"), ("Anthropic", "OpenAI"), ("OpenAI", "Anthropic")] {
        let text = format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec:\n  providers:\n  \
             - {{name: broken, type: {one}, url: \"{}\", priority: 0}}\n  - {{name: good, type: {other}, url: \"{}\", priority: 1}}\n  \
             circuitBreaker: {{consecutiveFailures: 1000, minimumRequests: 1000}}\n---\n\
             apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec:\n  streamFailover: {{}}\n  \
             rules:\n  - {{name: all, targets: [{{poolRef: {{name: p}}, model: simulated-1}}]}}\n",
            broken.url(""),
            good.url("")
        );
        let proxy = Proxy::start(&[("judged.yaml", &text)], &["--workers", "1"])?;
        let only = "(test_openai or test_anthropic or test_google) and (test_stream_helper or test_stream_with_usage or test_stream) \
                    and not (responses or azure or tool or think or error or cut or cancel or parse or pieces)";
        judge(Suite::Python, &through(&proxy, &one.to_lowercase(), good.url("/__journal")), Some(only))?;
        let went_on = proxy.metrics()?.sum("sluicegate_continued_streams_total", &[]);
        anyhow::ensure!(went_on >= 5.0, "{one}, then {other}: {went_on} went on");
    }
    Ok(())
}

/// Azure speaks OpenAI's dialect behind other paths.
fn verdict_on_azure(suite: Suite, pool: &str, only: &str) -> anyhow::Result<()> {
    let simulator = Simulator::start(&["--models", "simulated-1", "--journal", "4096", "--api-key", PROVIDERS_KEY])?;
    let text = manifests(&simulator.url(""), "simulated-1");
    let (proxy, _keys) = keeping_responses(&text)?;
    let judged = through(&proxy, pool, simulator.url("/__journal"));
    judge(suite, &Judged { provider: Some("openai".to_owned()), ..judged }, Some(only))
}

#[test]
fn python_sdks_accept_the_proxy_in_front_of_azure() -> anyhow::Result<()> {
    verdict_on_azure(Suite::Python, "azure", "test_openai or test_azure")?;
    verdict_on_azure(Suite::Python, "azure-v1", "test_azure")
}

#[test]
fn node_sdks_accept_the_proxy_in_front_of_azure() -> anyhow::Result<()> {
    verdict_on_azure(Suite::Node, "azure", "azure")?;
    verdict_on_azure(Suite::Node, "azure-v1", "azure")
}

/// The name of a model says whose it is at Vertex AI, and so which dialect is spoken there.
#[test]
fn python_sdks_accept_the_proxy_in_front_of_vertex() -> anyhow::Result<()> {
    for (model, provider, only) in [
        ("claude-1", "anthropic", "test_vertex or (test_anthropic and (stream or image or thinking or tool or count))"),
        ("gemini-1", "gemini", "test_vertex or (test_google and not embed)"),
    ] {
        let simulator = Simulator::start(&["--models", model, "--journal", "4096", "--api-key", PROVIDERS_KEY])?;
        let text = manifests(&simulator.url(""), model);
        let proxy = Proxy::start(&[("judged.yaml", &text)], &["--workers", "2"])?;
        let judged = through(&proxy, "vertex", simulator.url("/__journal"));
        judge(Suite::Python, &Judged { provider: Some(provider.to_owned()), ..judged }, Some(only))?;
        judge(Suite::Python, &through(&proxy, "openai", simulator.url("/__journal")), Some("test_vertex"))?;
    }
    Ok(())
}

#[test]
fn python_sdks_accept_the_proxy_in_front_of_bedrock() -> anyhow::Result<()> {
    let simulator = Simulator::start(&["--models", "simulated-1", "--journal", "4096", "--api-key", PROVIDERS_KEY])?;
    let text = manifests(&simulator.url(""), "simulated-1");
    let proxy = Proxy::start(&[("judged.yaml", &text)], &["--workers", "2"])?;
    let judged = through(&proxy, "bedrock", simulator.url("/__journal"));
    let judged = Judged { provider: Some("anthropic".to_owned()), ..judged };
    judge(
        Suite::Python,
        &judged,
        Some("test_bedrock or (test_anthropic and (stream or image or thinking or thread or tool))"),
    )?;
    judge(Suite::Python, &through(&proxy, "converse", simulator.url("/__journal")), Some("test_bedrock"))?;
    judge(Suite::Python, &through(&proxy, "openai", simulator.url("/__journal")), Some("test_bedrock"))
}

#[test]
fn python_sdks_accept_the_proxy_in_front_of_cohere() -> anyhow::Result<()> {
    let simulator = Simulator::start(&["--models", "simulated-1", "--journal", "4096", "--api-key", PROVIDERS_KEY])?;
    let text = manifests(&simulator.url(""), "simulated-1");
    let proxy = Proxy::start(&[("judged.yaml", &text)], &["--workers", "2"])?;
    let judged = through(&proxy, "cohere", simulator.url("/__journal"));
    judge(Suite::Python, &judged, Some("test_cohere or test_mistral"))
}

#[tokio::test]
async fn requests_are_signed_as_botocore_signs_them() -> anyhow::Result<()> {
    let upstream = Upstream::always(vec![answer(200, &[("content-type", "application/json")], b"{}")])?;
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: aws}}\nstringData: {{api-key: 'AKIDEXAMPLE:se/cret+key:tok/en=='}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\nspec: {{retry: {{attempts: 1}}, providers: [\
         {{name: a, type: Bedrock, url: 'http://{}/pre fix/~x', credentials: {{type: AWS, region: eu-west-1, secretRef: {{name: aws}}}}}}]}}\n---\n\
         apiVersion: sluicegate.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r}}\nspec: {{rules: [{{name: all, targets: [{{poolRef: {{name: p}}}}]}}]}}\n",
        upstream.address
    )
    .replace("pre fix", "pre%20fix");
    let proxy = Proxy::start(&[("signed.yaml", &text)], &["--workers", "1"])?;
    let mut seed = 7_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for at in 0..120 {
        let letter = |number: u64| char::from_u32(u32::try_from(33 + number % 94).unwrap_or(65)).unwrap_or('a');
        let name: String = (0..=next(40)).map(|_| letter(next(94))).collect();
        let model = if at % 3 == 0 { "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a b".to_owned() } else { name };
        let said: String = (0..next(3000)).map(|_| letter(next(94))).collect();
        let body = serde_json::json!({ "model": model, "max_tokens": 9, "stream": at % 2 == 0,
            "messages": [{ "role": "user", "content": said }] });
        proxy.client().post("/v1/messages", &[], body.to_string()).await?;
    }
    let line = |received: sluicegate_tests::upstream::Received| {
        let mut lines = received.head.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (first.next(), first.next());
        let headers =
            lines.filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())));
        let headers: std::collections::BTreeMap<String, String> = headers.collect();
        let body = base64::engine::general_purpose::STANDARD.encode(&received.body);
        format!("{}\n", serde_json::json!({ "method": method, "path": path, "headers": headers, "body": body }))
    };
    judge_signatures(&upstream.received().into_iter().map(line).collect::<String>())
}

#[test]
fn sdks_accept_the_proxy_in_front_of_an_upstream_that_others_wrote() -> anyhow::Result<()> {
    let aimock = Aimock::start()?;
    let text = manifests(&aimock.url, "upstreams-own");
    let proxy = Proxy::start(&[("judged.yaml", &text)], &["--workers", "2"])?;
    judge(Suite::Aimock, &through(&proxy, "openai", format!("{}/__aimock/journal", aimock.url)), None)?;
    judge(Suite::Aimock, &through(&proxy, "anthropic", format!("{}/__aimock/journal", aimock.url)), None)
}

#[test]
fn frameworks_accept_the_proxy_in_front_of_either_dialect() -> anyhow::Result<()> {
    let flags = ["--models", "simulated-1", "--journal", "4096", "--api-key", PROVIDERS_KEY];
    for dialect in ["openai", "anthropic"] {
        let simulator = Simulator::start(&flags)?;
        let text = manifests(&simulator.url(""), "simulated-1");
        let proxy = Proxy::start(&[("judged.yaml", &text)], &["--workers", "2"])?;
        judge(Suite::Frameworks, &through(&proxy, dialect, simulator.url("/__journal")), None)?;
    }
    Ok(())
}

/// The models that agents ask for: one behind a provider of its own vendor's dialect, one behind another's.
const AGENTS_ROUTES: &str = "
kind: LLMRoute
apiVersion: sluicegate.dev/v1alpha1
metadata: {name: agents}
spec:
  rules:
  - {name: claude-foreign, matches: [{model: {exact: claude-through-openai}}], targets: [{poolRef: {name: openai}, model: gpt-4o}]}
  - {name: claude, matches: [{model: {exact: claude-sonnet-4-5}}], targets: [{poolRef: {name: anthropic}}]}
  - {name: gpt-foreign, matches: [{model: {exact: codex-through-anthropic}}], targets: [{poolRef: {name: anthropic}, model: claude-opus-4-5}]}
  - {name: gpt, matches: [{model: {prefix: gpt-}}], targets: [{poolRef: {name: openai}}]}
  - {name: gemini-foreign, matches: [{model: {exact: gemini-through-openai}}], targets: [{poolRef: {name: openai}, model: gpt-4o}]}
  - {name: gemini, matches: [{model: {prefix: gemini-}}], targets: [{poolRef: {name: gemini}}]}
";

/// The tests of one agent.
fn agent(only: &str) -> anyhow::Result<()> {
    let upstream = AgentModel::start()?;
    let text = format!("{}---{AGENTS_ROUTES}", manifests(&upstream.url, "claude-sonnet-4-5"));
    let proxy = Proxy::start(&[("agents.yaml", &text)], &["--workers", "2"])?;
    judge(Suite::Agents, &through(&proxy, "anthropic", format!("{}/__journal", upstream.url)), Some(only))
}

#[test]
fn claude_code_works_unmodified_with_either_dialect_behind_the_proxy() -> anyhow::Result<()> {
    agent("claude-code.test.mjs")
}

#[test]
fn codex_works_unmodified_with_its_own_dialect_and_anthropics_behind_the_proxy() -> anyhow::Result<()> {
    agent("codex.test.mjs")
}

#[test]
fn gemini_cli_works_unmodified_with_its_own_dialect_and_openais_behind_the_proxy() -> anyhow::Result<()> {
    agent("gemini-cli.test.mjs")
}

#[test]
fn opencode_works_unmodified_with_either_dialect_before_and_behind_the_proxy() -> anyhow::Result<()> {
    agent("opencode.test.mjs")
}
