//! The settings that Anthropic's models take, by a piece of their name.
//!
//! Sources, read in November 2026: platform.claude.com/docs/en/models (limits, thinking, effort),
//! platform.claude.com/docs/en/about-claude/models/migration-guide (sampling since Claude Opus 4.7, budgets),
//! …/about-claude/models/whats-new-opus-5 (thinking is on by default since Claude Opus 5), and the
//! refusals that the API gives (temperature and `top_p` together, since Claude Opus 4.1).

/// The way in which a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThinkingMode {
    /// It does not.
    Never,
    /// `thinking.budget_tokens`.
    Budget,
    /// `thinking: adaptive` with `output_config.effort`; later models refuse a budget.
    Adaptive,
}

/// The ones of `temperature`, `top_p` and `top_k` that a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SamplingTaken {
    /// All of them.
    All,
    /// `temperature` or `top_p`, not both.
    One,
    /// None of them.
    None,
}

/// A model, or a family of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claude {
    pieces: &'static [&'static str],
    /// The way in which it is told to think.
    pub(crate) thinking: ThinkingMode,
    /// True if it can be told not to.
    pub(crate) can_rest: bool,
    /// True if it thinks where nobody has said anything of it.
    pub(crate) thinks_untold: bool,
    /// The settings for sampling that it takes.
    pub(crate) sampling: SamplingTaken,
    /// The most tokens that it answers with; `None`: nobody has said.
    pub(crate) max_output: Option<u64>,
}

const fn row(
    pieces: &'static [&'static str],
    thinking: ThinkingMode,
    sampling: SamplingTaken,
    max_output: u64,
) -> Claude {
    Claude { pieces, thinking, can_rest: true, thinks_untold: false, sampling, max_output: Some(max_output) }
}

/// A model since Claude 5: it thinks unless it is told not to.
const fn thinks_untold(pieces: &'static [&'static str]) -> Claude {
    Claude { thinks_untold: true, ..row(pieces, ThinkingMode::Adaptive, SamplingTaken::None, 128_000) }
}

/// The first that matches counts.
const MODELS: [Claude; 13] = [
    row(&["claude-instant", "claude-2"], ThinkingMode::Never, SamplingTaken::All, 4096),
    row(&["claude-3-7"], ThinkingMode::Budget, SamplingTaken::All, 64_000),
    row(&["claude-3-5"], ThinkingMode::Never, SamplingTaken::All, 8192),
    row(&["claude-3"], ThinkingMode::Never, SamplingTaken::All, 4096),
    row(&["claude-opus-4-0", "claude-opus-4-2025", "claude-opus-4@"], ThinkingMode::Budget, SamplingTaken::All, 32_000),
    row(&["claude-opus-4-1"], ThinkingMode::Budget, SamplingTaken::One, 32_000),
    row(
        &["claude-sonnet-4-0", "claude-sonnet-4-2025", "claude-sonnet-4@"],
        ThinkingMode::Budget,
        SamplingTaken::All,
        64_000,
    ),
    row(
        &["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"],
        ThinkingMode::Budget,
        SamplingTaken::One,
        64_000,
    ),
    row(&["claude-opus-4-6", "claude-sonnet-4-6"], ThinkingMode::Adaptive, SamplingTaken::One, 128_000),
    row(&["claude-opus-4-7", "claude-opus-4-8"], ThinkingMode::Adaptive, SamplingTaken::None, 128_000),
    // They think always, and refuse `thinking: disabled`.
    Claude { can_rest: false, ..thinks_untold(&["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable"]) },
    thinks_untold(&["claude-haiku-5"]),
    thinks_untold(&["claude-opus-5", "claude-sonnet-5"]),
];

impl Claude {
    /// True if it goes on from a last turn that is its own. Those that are told to think by effort, all since Claude 4.6, refuse one.
    pub(crate) fn takes_prefill(&self) -> bool {
        self.thinking != ThinkingMode::Adaptive
    }

    /// True if it may think for a call that says so, that says that it is to rest, or neither.
    pub(crate) fn may_think(&self, told: bool, rests: bool) -> bool {
        self.thinking != ThinkingMode::Never && (!self.can_rest || told || (self.thinks_untold && !rests))
    }
}

/// A model that the table does not know: a newer one, or another vendor's behind Anthropic's dialect.
const UNKNOWN: Claude = Claude {
    pieces: &[],
    thinking: ThinkingMode::Adaptive,
    can_rest: true,
    thinks_untold: false,
    sampling: SamplingTaken::One,
    max_output: None,
};

/// The beginning of all pieces.
const FAMILY: &str = "claude-";

/// The facts known of a model.
pub(crate) fn claude(model: &str) -> &'static Claude {
    let row_of = |(at, _)| {
        let name = model.get(at..)?;
        MODELS.iter().position(|row| row.pieces.iter().any(|piece| name.starts_with(piece)))
    };
    let first = model.match_indices(FAMILY).filter_map(row_of).min();
    first.and_then(|at| MODELS.get(at)).unwrap_or(&UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_a_piece_wherever_it_stands_and_by_the_first_row() {
        for (at, row) in MODELS.iter().enumerate() {
            for piece in row.pieces {
                assert!(piece.starts_with(FAMILY), "{piece}");
                let first = MODELS.iter().position(|row| row.pieces.iter().any(|other| piece.contains(other)));
                assert_eq!(first, Some(at), "{piece}");
                for model in [format!("{piece}-2026"), format!("eu.anthropic.{piece}"), format!("my-claude-x/{piece}")]
                {
                    assert_eq!(claude(&model).pieces, row.pieces, "{model}");
                }
            }
        }
        assert_eq!(claude("claude-haiku-5 or claude-3-7").pieces, ["claude-3-7"]);
        for unknown in ["", "claude", "claude-", "gpt-5", "opus-4-1", "claude-next"] {
            assert!(claude(unknown).pieces.is_empty(), "{unknown}");
        }
    }
}
