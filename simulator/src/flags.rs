//! The simulator's flags.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sluicegate_simulator::{Behaviour, Canned, Failure, FailureKind, LookAlike, SimulatedProvider};

/// A simulated provider of large language models: OpenAI Chat Completions at /v1/chat/completions,
/// Responses at /v1/responses, Anthropic Messages at /v1/messages. Single calls are steered by the header `x-simulate`.
#[derive(Debug, Parser)]
#[command(name = "sluicegate-simulator", version)]
pub(crate) struct Flags {
    /// Address to listen on; port 0 takes a free one. The first line printed says which.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Threads, each with a listener of its own on the port.
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: usize,
    /// Before the first token: `200ms`, `1.5s`.
    #[arg(long, value_parser = span, default_value = "0ms")]
    first_token: Duration,
    /// Between two tokens.
    #[arg(long, value_parser = span, default_value = "0ms")]
    interval: Duration,
    /// Tokens of a text answer, where the request sets no lower limit.
    #[arg(long)]
    tokens: Option<u32>,
    /// The answer, instead of a text about the request.
    #[arg(long)]
    text: Option<String>,
    /// The failure to show.
    #[arg(long, value_enum)]
    fail: Option<Kind>,
    /// Of a hundred calls, so many fail, spread evenly.
    #[arg(long, default_value_t = 100)]
    fail_percent: u32,
    /// For `--fail status`: which status.
    #[arg(long)]
    fail_status: Option<u16>,
    /// The failure comes after so many tokens.
    #[arg(long)]
    fail_after: Option<u32>,
    /// Calls beyond this many in a minute are answered with a 429.
    #[arg(long)]
    requests_per_minute: Option<u32>,
    /// The models it knows, separated by commas; none: any.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// The key it asks for; none: no key is asked for.
    #[arg(long, env = "SLUICEGATE_SIMULATOR_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Speak Chat Completions as this look-alike does: `deepseek`, `groq`, `mistral` or `perplexity`.
    #[arg(long, value_parser = look_alike)]
    like: Option<LookAlike>,
    /// Calls kept to be read at /__journal.
    #[arg(long, default_value_t = 256)]
    journal: usize,
    /// Answer fixed bytes without reading the request: for load. `--tokens` (64) and `--interval` are its size and pace.
    #[arg(long)]
    canned: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Reset,
    Silent,
    Status,
    Cut,
    Stall,
    StreamError,
}

impl Flags {
    /// The provider that the flags describe.
    pub(crate) fn model(&self) -> SimulatedProvider {
        let failure = self.fail.map(|kind| Failure {
            kind: match kind {
                Kind::Reset => FailureKind::Reset,
                Kind::Silent => FailureKind::Silent,
                Kind::Status => FailureKind::Status,
                Kind::Cut => FailureKind::Cut,
                Kind::Stall => FailureKind::Stall,
                Kind::StreamError => FailureKind::StreamError,
            },
            percent: self.fail_percent,
            status: self.fail_status,
            after_tokens: self.fail_after,
        });
        let model = SimulatedProvider::new(Behaviour {
            first_token: self.first_token,
            token_interval: self.interval,
            tokens: self.tokens,
            text: self.text.clone(),
            failure,
            requests_per_minute: self.requests_per_minute,
        });
        if self.canned {
            return model.with_canned(Canned::new(self.tokens.unwrap_or(64), self.interval));
        }
        let model = model.with_look_alike(self.like);
        model.with_models(self.models.clone()).with_api_key(self.api_key.clone()).with_journal(self.journal)
    }
}

fn look_alike(name: &str) -> Result<LookAlike, String> {
    LookAlike::named(name).ok_or_else(|| format!("no look-alike is called {name}"))
}

fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').ok_or("a time needs a unit: `200ms`, `1.5s`")?, 1.0),
    };
    let seconds = number.parse::<f64>().map_err(|error| error.to_string())? * unit;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
