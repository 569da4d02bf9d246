//! The words that ask for more of an answer.

/// The words by which a model is asked to go on that does not do so by itself.
pub const PROMPT: &str = "Your answer above broke off in the middle of a sentence or word. Go on with it from exactly where it stops: begin with the very next character, with a space first if one is due. Repeat nothing of it, and say nothing about the break.";
