//! The settings that Google's models take and refuse, where that differs from one to the next.
//!
//! Source: ai.google.dev/gemini-api/docs, "Models", "Thinking", "Thought signatures" and "Structured outputs". What is not here is taken to be
//! as the newest.

/// The signature that Google documents for calls that another model made, which nobody can have signed.
pub(crate) const UNSIGNED: &str = "skip_thought_signature_validator";

/// The way in which a model is told how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GeminiThinking {
    /// Not at all: it refuses the setting.
    Never,
    /// By a budget of tokens between these; 0 turns it off where the least is 0.
    Budget {
        /// The least that it takes.
        least: u64,
        /// The most.
        most: u64,
    },
    /// By one of these levels, from little to much; it can not be turned off.
    Level(&'static [&'static str]),
}

/// A model of Google's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gemini {
    /// The most tokens it answers with.
    pub(crate) max_output: Option<u64>,
    /// The way in which it is told how much to think.
    pub(crate) thinking: GeminiThinking,
    /// True if it refuses a call of a tool that comes back without the signature it was made with.
    pub(crate) signed_calls: bool,
    /// True if a tool's result may hold pictures; else they stand behind it.
    pub(crate) pictures_in_results: bool,
    /// True if it takes a form for its answer beside tools.
    pub(crate) format_beside_tools: bool,
}

const LEVELS: &[&str] = &["minimal", "low", "medium", "high"];

/// Beginnings of models' names, and the facts known of each. The first that fits counts.
const MODELS: [(&str, Gemini); 8] = [
    ("gemini-1", old(GeminiThinking::Never, 8192)),
    ("gemini-2.0", old(GeminiThinking::Never, 8192)),
    ("gemini-2.5-pro", old(GeminiThinking::Budget { least: 128, most: 32_768 }, 65_536)),
    ("gemini-2.5-flash-lite", old(GeminiThinking::Budget { least: 0, most: 24_576 }, 65_536)),
    ("gemini-2.5-flash", old(GeminiThinking::Budget { least: 0, most: 24_576 }, 65_536)),
    ("gemini-3-pro", new(&["low", "high"])),
    ("gemini-3.1-pro", new(&["low", "medium", "high"])),
    ("gemma-", old(GeminiThinking::Never, 8192)),
];

const fn old(thinking: GeminiThinking, max_output: u64) -> Gemini {
    Gemini {
        max_output: Some(max_output),
        thinking,
        signed_calls: false,
        pictures_in_results: false,
        format_beside_tools: false,
    }
}

const fn new(levels: &'static [&'static str]) -> Gemini {
    let thinking = GeminiThinking::Level(levels);
    Gemini {
        max_output: Some(65_536),
        thinking,
        signed_calls: true,
        pictures_in_results: true,
        format_beside_tools: true,
    }
}

/// The facts known of a model; `models/` may stand before its name.
pub(crate) fn gemini(model: &str) -> Gemini {
    let name = model.rsplit('/').next().unwrap_or(model);
    let row = MODELS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, row)| *row);
    row.unwrap_or(match name.starts_with("gemini-3") {
        true => new(LEVELS),
        // A name that nobody knows: its limit is its own.
        false => Gemini { max_output: None, signed_calls: name.starts_with("gemini-"), ..new(LEVELS) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_that_fits_counts_and_new_models_are_as_the_newest() {
        assert_eq!(gemini("models/gemini-2.0-flash").thinking, GeminiThinking::Never);
        assert_eq!(gemini("gemini-2.5-pro").thinking, GeminiThinking::Budget { least: 128, most: 32_768 });
        assert_eq!(gemini("gemini-3-pro-preview").thinking, GeminiThinking::Level(&["low", "high"]));
        assert_eq!(gemini("gemini-3.5-flash").thinking, GeminiThinking::Level(LEVELS));
        assert_eq!((gemini("gemini-4").max_output, gemini("gemini-4").signed_calls), (None, true));
        assert!(!gemini("tuned-model").signed_calls);
        assert!(!gemini("gemini-2.5-pro").format_beside_tools && gemini("gemini-flash-latest").format_beside_tools);
    }
}
