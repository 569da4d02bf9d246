//! The room that a prompt leaves in the window of a model that refuses a call whose answer might not fit.

use crate::estimate;

/// The fields of a call that a model reads.
const READ: [&str; 3] = ["system", "messages", "tools"];

/// The tokens to ask for in place of `most`, which nobody has said, where the prompt of a written call leaves no room for them in a
/// window; never fewer than `least`. `None`: as many as there are, or somebody has said how many.
pub(super) fn beside_prompt(body: &[u8], (most, least): (u64, Option<u64>), window: Option<u64>) -> Option<u64> {
    let (least, window) = (least?, window?);
    // Hardly a text has a token for each two bytes: most calls need no look.
    let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if (bytes / 2).saturating_add(most) <= window {
        return None;
    }
    let prompt = estimate::tokens_of_messages(body, &READ).ok()?;
    // An estimate may be a quarter too small, of code and of other languages than English.
    let left = window.saturating_sub(prompt.saturating_add(prompt / 4));
    Some(left.max(least)).filter(|tokens| *tokens < most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_prompt_leaves_less_and_never_less_than_the_least() {
        let body = |letters: usize| {
            format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "abcd".repeat(letters / 4)).into_bytes()
        };
        let window = Some(200_000);
        for (letters, most, least, fewer) in [
            (1_000, 64_000, Some(4_096), None),
            (400_000, 64_000, Some(4_096), None),
            // 120 006 tokens and a quarter more.
            (480_000, 64_000, Some(4_096), Some(49_992)),
            (800_000, 64_000, Some(4_096), Some(4_096)),
            (800_000, 32_000, Some(20_480), Some(20_480)),
            (800_000, 4_096, Some(4_096), None),
            (800_000, 64_000, None, None),
        ] {
            assert_eq!(beside_prompt(&body(letters), (most, least), window), fewer, "{letters} {most} {least:?}");
        }
        assert_eq!(beside_prompt(&body(800_000), (64_000, Some(4_096)), None), None);
    }
}
