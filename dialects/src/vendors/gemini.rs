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
    /// True if it goes on with a last turn of its own; others refuse one.
    pub(crate) goes_on: bool,
    /// True if it takes a form for its answer beside tools.
    pub(crate) format_beside_tools: bool,
}

const LEVELS: &[&str] = &["minimal", "low", "medium", "high"];
/// The levels since 3.7: "Thinking level MINIMAL is not supported for this model", they say to the least one.
const NEWEST: &[&str] = &["low", "medium", "high"];

/// Beginnings of models' names, and the facts known of each. The first that fits counts.
const MODELS: [(&str, Gemini); 13] = [
    ("gemini-1", old(GeminiThinking::Never, 8192)),
    ("gemini-2.0", old(GeminiThinking::Never, 8192)),
    ("gemini-2.5-pro", old(GeminiThinking::Budget { least: 128, most: 32_768 }, 65_536)),
    ("gemini-2.5-flash-lite", old(GeminiThinking::Budget { least: 0, most: 24_576 }, 65_536)),
    ("gemini-2.5-flash", old(GeminiThinking::Budget { least: 0, most: 24_576 }, 65_536)),
    ("gemini-3-pro", first(&["low", "high"])),
    ("gemini-3-", first(LEVELS)),
    ("gemini-3.1-pro", first(&["low", "medium", "high"])),
    ("gemini-3.1-", first(LEVELS)),
    ("gemini-3.5-flash-lite", new(LEVELS)),
    ("gemini-3.5-", first(LEVELS)),
    ("gemini-3.6-", new(LEVELS)),
    ("gemma-", old(GeminiThinking::Never, 8192)),
];

const fn old(thinking: GeminiThinking, max_output: u64) -> Gemini {
    Gemini {
        max_output: Some(max_output),
        thinking,
        signed_calls: false,
        pictures_in_results: false,
        goes_on: true,
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
        goes_on: false,
        format_beside_tools: true,
    }
}

/// The first of this generation, which go on with a turn of their own.
const fn first(levels: &'static [&'static str]) -> Gemini {
    Gemini { goes_on: true, ..new(levels) }
}

/// The facts known of a model; `models/` may stand before its name.
pub(crate) fn gemini(model: &str) -> Gemini {
    let name = model.rsplit('/').next().unwrap_or(model);
    let row = MODELS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, row)| *row);
    row.unwrap_or(match name.starts_with("gemini-3") {
        true => new(NEWEST),
        // A name that nobody knows: its limit is its own.
        false => Gemini { max_output: None, signed_calls: name.starts_with("gemini-"), ..new(NEWEST) },
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
        assert_eq!(gemini("gemini-3.8-flash").thinking, GeminiThinking::Level(NEWEST));
        let goes_on = ["gemini-2.5-pro", "gemini-3-flash", "gemini-3.1-pro", "gemini-3.5-flash", "gemma-3"];
        assert!(goes_on.iter().all(|model| gemini(model).goes_on));
        let refuses = ["gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3.8-flash", "gemini-flash-latest"];
        assert!(!refuses.iter().any(|model| gemini(model).goes_on));
        assert_eq!((gemini("gemini-4").max_output, gemini("gemini-4").signed_calls), (None, true));
        assert!(!gemini("tuned-model").signed_calls);
        assert!(!gemini("gemini-2.5-pro").format_beside_tools && gemini("gemini-flash-latest").format_beside_tools);
    }
}
