//! The headers by which vendors say how limits stand, as a table.

use http::HeaderName;
use sluicegate_config::LimitUnit;
use sluicegate_dialects::Dialect;

/// The beginnings of the headers by which vendors and look-alikes say how their own limits stand.
pub(crate) const BEGINNINGS: [&str; 3] = ["x-ratelimit-", "anthropic-ratelimit-", "ratelimit-"];

/// True if a vendor says the time at which all is there again; else it says how long that takes.
pub(crate) const fn says_a_time(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::AnthropicMessages)
}

/// True if a vendor answers with a bill whose money is spent; else with a quota.
pub(crate) const fn sends_a_bill(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::AnthropicMessages)
}

/// The headers by which a vendor says how the limits of one unit stand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LimitHeaders {
    /// The limit.
    pub(crate) limit: HeaderName,
    /// The rest of it.
    pub(crate) remaining: HeaderName,
    /// The time when all of it is there again, or until then.
    pub(crate) reset: HeaderName,
}

macro_rules! anthropic {
    ($unit:literal) => {
        LimitHeaders {
            limit: HeaderName::from_static(concat!("anthropic-ratelimit-", $unit, "-limit")),
            remaining: HeaderName::from_static(concat!("anthropic-ratelimit-", $unit, "-remaining")),
            reset: HeaderName::from_static(concat!("anthropic-ratelimit-", $unit, "-reset")),
        }
    };
}

macro_rules! openai {
    ($unit:literal) => {
        LimitHeaders {
            limit: HeaderName::from_static(concat!("x-ratelimit-limit-", $unit)),
            remaining: HeaderName::from_static(concat!("x-ratelimit-remaining-", $unit)),
            reset: HeaderName::from_static(concat!("x-ratelimit-reset-", $unit)),
        }
    };
}

static ANTHROPIC_REQUESTS: LimitHeaders = anthropic!("requests");
static ANTHROPIC_TOKENS: LimitHeaders = anthropic!("tokens");
static ANTHROPIC_INPUT: LimitHeaders = anthropic!("input-tokens");
static ANTHROPIC_OUTPUT: LimitHeaders = anthropic!("output-tokens");
static OPENAI_REQUESTS: LimitHeaders = openai!("requests");
static OPENAI_TOKENS: LimitHeaders = openai!("tokens");

/// The headers by which a vendor says how its limits of this unit stand; `None`: it has none.
pub(crate) fn names(dialect: Dialect, unit: LimitUnit) -> Option<&'static LimitHeaders> {
    match (dialect, unit) {
        // No vendor limits money, and tokens are something else.
        (_, LimitUnit::Cost) => None,
        (Dialect::AnthropicMessages, LimitUnit::Requests) => Some(&ANTHROPIC_REQUESTS),
        (Dialect::AnthropicMessages, LimitUnit::Tokens) => Some(&ANTHROPIC_TOKENS),
        (Dialect::AnthropicMessages, LimitUnit::InputTokens) => Some(&ANTHROPIC_INPUT),
        (Dialect::AnthropicMessages, LimitUnit::OutputTokens) => Some(&ANTHROPIC_OUTPUT),
        (Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiResponses, LimitUnit::Requests) => {
            Some(&OPENAI_REQUESTS)
        }
        (Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiResponses, _) => Some(&OPENAI_TOKENS),
        // Google, Amazon and Cohere have none.
        (Dialect::Gemini | Dialect::BedrockInvoke | Dialect::BedrockConverse | Dialect::CohereChat, _) => None,
    }
}
