//! The settings that Anthropic's models take, by a piece of their name.
//!
//! Sources, read in November 2026: platform.claude.com/docs/en/models (limits, thinking, effort),
//! platform.claude.com/docs/en/about-claude/models/migration-guide (sampling since Claude Opus 4.7, budgets),
//! …/build-with-claude/structured-outputs (schemas, since Claude 4.5), …/about-claude/models/whats-new-opus-5 (thinking is on by
//! default since Claude Opus 5), and the refusals that the APIs give (temperature and `top_p` together, since Claude Opus 4.1;
//! schemas at Bedrock, since Claude Opus 4.7: `output_config.format: Extra inputs are not permitted`,
//! `tools.0.custom.strict: Extra inputs are not permitted`).

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

/// The places at which a model keeps to a schema, of its answer and of a strict tool's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SchemasKept {
    /// Nowhere: it refuses one.
    Nowhere,
    /// Not at Bedrock, which checks the fields of the newest models by an older list.
    NotAtBedrock,
    /// At Bedrock, too.
    Everywhere,
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
    /// The places at which it keeps to a schema.
    pub(crate) schemas: SchemasKept,
    /// True if it takes instructions in mid-conversation.
    pub(crate) late_instructions: bool,
    /// The most tokens that it answers with; `None`: nobody has said.
    pub(crate) max_output: Option<u64>,
}

const fn row(
    pieces: &'static [&'static str],
    thinking: ThinkingMode,
    sampling: SamplingTaken,
    schemas: SchemasKept,
    max_output: u64,
) -> Claude {
    let (can_rest, thinks_untold, late_instructions) = (true, false, false);
    Claude {
        pieces,
        thinking,
        can_rest,
        thinks_untold,
        sampling,
        schemas,
        late_instructions,
        max_output: Some(max_output),
    }
}

/// A model from before schemas.
const fn old(pieces: &'static [&'static str], thinking: ThinkingMode, max_output: u64) -> Claude {
    row(pieces, thinking, SamplingTaken::All, SchemasKept::Nowhere, max_output)
}

/// One of the newest, since Claude Opus 4.7.
const fn new(pieces: &'static [&'static str]) -> Claude {
    row(pieces, ThinkingMode::Adaptive, SamplingTaken::None, SchemasKept::NotAtBedrock, 128_000)
}

/// A model since Claude 5: it thinks unless it is told not to.
const fn thinks_untold(pieces: &'static [&'static str]) -> Claude {
    Claude { thinks_untold: true, late_instructions: true, ..new(pieces) }
}

/// The first that matches counts.
const MODELS: [Claude; 14] = [
    old(&["claude-instant", "claude-2"], ThinkingMode::Never, 4096),
    old(&["claude-3-7"], ThinkingMode::Budget, 64_000),
    old(&["claude-3-5"], ThinkingMode::Never, 8192),
    old(&["claude-3"], ThinkingMode::Never, 4096),
    old(&["claude-opus-4-0", "claude-opus-4-2025", "claude-opus-4@"], ThinkingMode::Budget, 32_000),
    row(&["claude-opus-4-1"], ThinkingMode::Budget, SamplingTaken::One, SchemasKept::Nowhere, 32_000),
    old(&["claude-sonnet-4-0", "claude-sonnet-4-2025", "claude-sonnet-4@"], ThinkingMode::Budget, 64_000),
    row(
        &["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"],
        ThinkingMode::Budget,
        SamplingTaken::One,
        SchemasKept::Everywhere,
        64_000,
    ),
    row(
        &["claude-opus-4-6", "claude-sonnet-4-6"],
        ThinkingMode::Adaptive,
        SamplingTaken::One,
        SchemasKept::Everywhere,
        128_000,
    ),
    new(&["claude-opus-4-7"]),
    Claude { late_instructions: true, ..new(&["claude-opus-4-8"]) },
    // They think always, and refuse `thinking: disabled`.
    Claude {
        can_rest: false,
        ..thinks_untold(&["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable", "claude-mythos"])
    },
    thinks_untold(&["claude-haiku-5"]),
    thinks_untold(&["claude-opus-5", "claude-sonnet-5"]),
];

impl Claude {
    /// True if it goes on from a last turn that is its own. Those that are told to think by effort, all since Claude 4.6, refuse one.
    pub(crate) fn takes_prefill(&self) -> bool {
        self.thinking != ThinkingMode::Adaptive
    }

    /// True if the table knows it.
    pub(crate) const fn is_known(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// True if the table says the same of both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.pieces == other.pieces
    }

    /// True if it takes `thinking.budget_tokens`. Those since Claude Opus 4.7 refuse a budget as they refuse sampling.
    pub(crate) fn takes_budgets(&self) -> bool {
        self.thinking != ThinkingMode::Adaptive || self.sampling != SamplingTaken::None
    }

    /// The window that its prompt and `max_tokens` must fit in together, where it refuses a call that asks for more: those before
    /// Claude 4.5 do, which are those without schemas; later ones stop where the window ends (platform.claude.com, "Context windows").
    pub(crate) fn window_of_both(&self) -> Option<u64> {
        (self.schemas == SchemasKept::Nowhere).then_some(200_000)
    }

    /// True if it can be held to a schema, with its answer and with a strict tool's arguments.
    pub(crate) fn keeps_to_schemas(&self, at_bedrock: bool) -> bool {
        match self.schemas {
            SchemasKept::Nowhere => false,
            SchemasKept::NotAtBedrock => !at_bedrock,
            SchemasKept::Everywhere => true,
        }
    }

    /// True if it takes a choice of tools that forces a call: there is no thinking beside one, so those that think always refuse it.
    pub(crate) fn takes_a_must(&self) -> bool {
        self.can_rest
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
    schemas: SchemasKept::Everywhere,
    late_instructions: true,
    max_output: None,
};

/// The beginning of all pieces.
const FAMILY: &str = "claude-";

/// True if it is one of Anthropic's that refuses a last turn of its own. Another vendor's behind the same dialect may take one.
pub(crate) fn refuses_prefill(model: &str) -> bool {
    model.contains(FAMILY) && !claude(model).takes_prefill()
}

/// True if it is one of Anthropic's that gives its thoughts without their text unless `thinking.display` asks for it: those since Claude
/// Opus 4.7, which also refuse budgets, and newer ones (platform.claude.com, "Extended thinking"; github.com/stdapi-ai/stdapi.ai issue 285).
pub(crate) fn omits_thoughts(model: &str) -> bool {
    let known = claude(model);
    model.contains(FAMILY) && !(known.is_known() && known.takes_budgets())
}

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

    #[test]
    fn the_newest_refuse_budgets_and_last_turns_of_their_own() {
        for (model, refuses_last, takes_budgets) in [
            ("claude-sonnet-4-5", false, true),
            ("us.anthropic.claude-opus-4-6-v1:0", true, true),
            ("claude-opus-4-7", true, false),
            ("claude-sonnet-5-5@20260901", true, false),
            ("claude-of-tomorrow", true, true),
            ("glm-5", false, true),
        ] {
            assert_eq!(
                (refuses_prefill(model), claude(model).takes_budgets()),
                (refuses_last, takes_budgets),
                "{model}"
            );
        }
    }

    #[test]
    fn schemas_are_kept_since_claude_4_5_and_not_by_the_newest_at_bedrock() {
        for (model, anthropic, bedrock) in [
            ("claude-opus-4-1-20250805", false, false),
            ("anthropic.claude-sonnet-4-20250514-v1:0", false, false),
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", true, true),
            ("claude-opus-4-8", true, false),
            ("claude-sonnet-5-5", true, false),
            ("claude-of-tomorrow", true, true),
        ] {
            let kept = |at_bedrock| claude(model).keeps_to_schemas(at_bedrock);
            assert_eq!((kept(false), kept(true)), (anthropic, bedrock), "{model}");
        }
    }
}
