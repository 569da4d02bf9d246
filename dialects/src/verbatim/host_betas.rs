//! Betas of Anthropic's that other hosts of its models refuse ("invalid beta flag"), or have another name for. What is not here passes.
//!
//! Sources, read in November 2026: github.com/BerriAI/litellm issues 19373, 19875 and 19984, github.com/anthropics/claude-code issues
//! 21625, 34802 and 37746 (what Bedrock and Vertex AI refuse); docs.aws.amazon.com/bedrock, "Anthropic Claude Messages API", tool use
//! (`tool-search-tool-2025-10-19`).

use super::envelope::Envelope;

/// The fate of a beta at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BetaFate {
    /// It goes on.
    Passes,
    /// It is left out: the host refuses it.
    Goes,
    /// The host has another name for it.
    Becomes(&'static str),
}

/// Beginnings of betas that only Anthropic itself knows.
const ANTHROPICS: [&str; 14] = [
    "adaptive-thinking-",
    "claude-code-",
    "code-execution-",
    "fast-mode-",
    "files-api-",
    "mcp-client-",
    "mcp-servers-",
    "oauth-",
    "prompt-caching-scope-",
    "redact-thinking-",
    "skills-",
    "structured-outputs-",
    "thinking-token-count-",
    "web-fetch-",
];
/// Those that Bedrock refuses beside them, which runs no search and knows no advisor.
const BEDROCK: [&str; 2] = ["advisor-", "web-search-"];
/// Those that Vertex AI refuses beside them: there an effort needs none.
const VERTEX: [&str; 1] = ["effort-"];
/// Beginnings of betas, and the names that both hosts have for them.
const RENAMED: [(&str, &str); 1] = [("advanced-tool-use-", "tool-search-tool-2025-10-19")];

impl Envelope {
    /// The fate of a beta of Anthropic's at the host that has this envelope.
    #[must_use]
    pub fn beta(self, beta: &str) -> BetaFate {
        let own: &[&str] = match self {
            Self::Plain => return BetaFate::Passes,
            Self::Bedrock => &BEDROCK,
            Self::Vertex => &VERTEX,
        };
        let begins = |start: &&&str| beta.starts_with(**start);
        if ANTHROPICS.iter().chain(own).any(|start| begins(&start)) {
            return BetaFate::Goes;
        }
        let other = RENAMED.iter().find(|(start, _)| beta.starts_with(start));
        other.map_or(BetaFate::Passes, |(_, name)| BetaFate::Becomes(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_the_betas_that_it_knows() {
        const TOOLS: BetaFate = BetaFate::Becomes("tool-search-tool-2025-10-19");
        const PASSES: BetaFate = BetaFate::Passes;
        for (beta, bedrock, vertex) in [
            ("claude-code-20250219", BetaFate::Goes, BetaFate::Goes),
            ("prompt-caching-scope-2026-01-05", BetaFate::Goes, BetaFate::Goes),
            ("effort-2025-11-24", PASSES, BetaFate::Goes),
            ("web-search-2025-03-05", BetaFate::Goes, PASSES),
            ("advanced-tool-use-2025-11-20", TOOLS, TOOLS),
            ("context-management-2025-06-27", PASSES, PASSES),
            ("interleaved-thinking-2025-05-14", PASSES, PASSES),
            ("of-tomorrow-2027-01-01", PASSES, PASSES),
        ] {
            assert_eq!((Envelope::Bedrock.beta(beta), Envelope::Vertex.beta(beta)), (bedrock, vertex), "{beta}");
            assert_eq!(Envelope::Plain.beta(beta), PASSES, "{beta}");
        }
    }
}
