//! The headers by which vendors say how limits stand, as a table.

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

/// The headers by which a vendor says how a limit stands: the limit, what remains, when all is there again.
pub(crate) const fn names(dialect: Dialect, unit: LimitUnit) -> Option<[&'static str; 3]> {
    macro_rules! anthropic {
        ($unit:literal) => {
            Some([
                concat!("anthropic-ratelimit-", $unit, "-limit"),
                concat!("anthropic-ratelimit-", $unit, "-remaining"),
                concat!("anthropic-ratelimit-", $unit, "-reset"),
            ])
        };
    }
    match (dialect, unit) {
        // No vendor limits money, and tokens are something else.
        (_, LimitUnit::Cost) => None,
        (Dialect::AnthropicMessages, LimitUnit::Requests) => anthropic!("requests"),
        (Dialect::AnthropicMessages, LimitUnit::Tokens) => anthropic!("tokens"),
        (Dialect::AnthropicMessages, LimitUnit::InputTokens) => anthropic!("input-tokens"),
        (Dialect::AnthropicMessages, LimitUnit::OutputTokens) => anthropic!("output-tokens"),
        (Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiResponses, LimitUnit::Requests) => {
            Some(["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"])
        }
        (Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiResponses, _) => {
            Some(["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"])
        }
        // Google, Amazon and Cohere have none.
        (Dialect::Gemini | Dialect::BedrockInvoke | Dialect::BedrockConverse | Dialect::CohereChat, _) => None,
    }
}
