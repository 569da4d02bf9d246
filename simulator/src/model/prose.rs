//! The model's words.

use crate::ask::{Ask, Part};
use crate::digest::{Rng, fnv};
use crate::tokens;

/// The most characters of the caller's words that are quoted.
const QUOTED: usize = 240;

const FILLER: [&str; 32] = [
    "water", "gate", "stream", "flows", "through", "every", "quiet", "channel", "where", "careful", "hands", "measure",
    "what", "passes", "between", "many", "small", "stones", "and", "then", "returns", "slowly", "toward", "an", "open",
    "field", "of", "green", "light", "under", "clear", "skies",
];

/// A text about the request.
pub(crate) fn reply(ask: &Ask, words: &str, variant: u32) -> String {
    let mut sentences = Vec::new();
    if variant > 0 {
        sentences.push(format!("Answer {}.", variant + 1));
    }
    for part in ask.last_parts() {
        match part {
            Part::Result { text, failed: false, .. } => sentences.push(format!("The tool answered: {}.", quoted(text))),
            Part::Result { text, failed: true, .. } => sentences.push(format!("The tool failed: {}.", quoted(text))),
            Part::Media(what) => sentences.push(format!("I see {what}.")),
            Part::Text(_) | Part::Call { .. } | Part::Thought => {}
        }
    }
    if !words.is_empty() {
        sentences.push(format!("You said: {}.", quoted(words)));
    }
    let turns = ask.turns.iter().filter(|turn| turn.user).count();
    if turns > 1 {
        sentences.push(format!("This is your turn {turns} of our conversation."));
    }
    if !ask.system.is_empty() {
        sentences.push(format!("My instructions are {} tokens long.", tokens::count(&ask.system)));
    }
    sentences.push(format!("I am a simulation of {}.", ask.model));
    sentences.join(" ")
}

/// The model's thoughts.
pub(crate) fn thought(words: &str) -> String {
    format!("The caller says: {}. I consider what is known, and answer plainly.", quoted(words))
}

/// The text before tools are called.
pub(crate) fn announcement(calls: &[(String, String)]) -> String {
    let names: Vec<String> = calls.iter().map(|(name, _)| format!("`{name}`")).collect();
    format!("I will call {}.", names.join(" and "))
}

/// The text at exactly so many tokens: cut, or gone on with.
pub(crate) fn stretched(mut text: String, words: &str, tokens: u64) -> String {
    let mut rng = Rng::new(fnv(words.as_bytes()));
    while tokens::count(&text) < tokens {
        text.push(' ');
        let length = 5 + rng.below(6);
        for at in 0..length {
            let word = FILLER.get(rng.below(FILLER.len())).copied().unwrap_or("water");
            if at > 0 {
                text.push(' ');
                text.push_str(word);
            } else {
                text.extend(word.chars().take(1).flat_map(char::to_uppercase));
                text.extend(word.chars().skip(1));
            }
        }
        text.push('.');
    }
    tokens::first(&text, tokens).0.to_owned()
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("\"{}…\"", text.get(..end).unwrap_or(text)),
        None => format!("\"{text}\""),
    }
}
