//! What a call used, roughly, where it ended before its provider said it. Pure.
//!
//! Four bytes of text are taken for a token, as the vendors' own rules of thumb have it. Of a prompt only what looks like
//! text is taken for text: pictures and files in base64 are not.

use sluicegate_dialects::hub::Usage;

/// Bytes of text in a token.
const BYTES: u64 = 4;
/// A prompt is looked at in so many places, each so long.
const PLACES: usize = 64;
const PLACE: usize = 64;
/// What pictures and files count for, together.
const NO_TEXT: u64 = 1_000;

/// The tokens of a request's body. Its cost does not grow with the body.
pub(super) fn prompt(body: &[u8]) -> u64 {
    let places = body.len().div_ceil(PLACE).clamp(1, PLACES);
    let step = body.len() / places;
    let place = |at: usize| {
        let start = at * step;
        body.get(start..(start + PLACE).min(body.len())).unwrap_or_default()
    };
    // Base64 has neither space nor mark, and no letter beyond ASCII.
    let is_text = |place: &&[u8]| {
        place.iter().any(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'))
    };
    let text = (0..places).map(place).filter(is_text).count();
    let share = |part: usize| body.len() as u64 * part as u64 / places as u64;
    let rest = if text < places && places == PLACES { NO_TEXT } else { share(places - text) / BYTES };
    (share(text) / BYTES + rest).max(1)
}

/// What a stream that was left or cut has used: what the provider has `said` so far, and in its place where that is less, the
/// tokens of the prompt and of the text that came; `None`: the provider has said as much itself.
pub(super) fn so_far(said: Option<Usage>, prompt: u64, text: u64) -> Option<Usage> {
    let output = text.div_ceil(BYTES).max(1);
    match said {
        Some(said) if said.output >= output => None,
        Some(said) => Some(Usage { output, ..said }),
        None => Some(Usage { input: prompt, output, ..Usage::default() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompts_text_counts_and_its_pictures_hardly() {
        assert_eq!(prompt(b""), 1);
        assert_eq!(prompt(br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#), 14);
        let text = "one and two ".repeat(10_000);
        let long = prompt(text.as_bytes());
        assert!((29_000..=31_000).contains(&long), "{long}");
        let picture = format!("{{\"text\":\"{}\",\"data\":\"{}\"}}", "a b ".repeat(1_000), "QUJD".repeat(250_000));
        let with = prompt(picture.as_bytes());
        assert!(with < 20_000, "{with}");
        assert!(prompt("日本語の文章です".repeat(1_000).as_bytes()) > 5_000);
    }

    #[test]
    fn what_the_provider_said_is_filled_up_and_never_made_less() {
        let said = |output| Usage { input: 10, output, cached_input: 3, ..Usage::default() };
        assert_eq!(so_far(None, 7, 13), Some(Usage { input: 7, output: 4, ..Usage::default() }));
        assert_eq!(so_far(None, 7, 0).map(|usage| usage.output), Some(1));
        assert_eq!(so_far(Some(said(1)), 7, 13), Some(said(4)));
        assert_eq!(so_far(Some(said(40)), 7, 13), None);
    }
}
