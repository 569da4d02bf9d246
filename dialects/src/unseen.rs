//! The usage that a stream does not tell until its end, so that of one that is left or cut before nobody knows it: thoughts without a
//! word of them, and what is worked off in the background when nobody reads along.

use memchr::memmem;

use crate::json_places::{member, text};
use crate::scan;
use crate::vendors;

/// The usage that a stream may leave unsaid until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnseenUsage {
    /// None: what has come tells what was used.
    None,
    /// Thoughts, which stand in a part of their own once they have begun, whatever is shown of them. The usage that is said at the
    /// beginning knows nothing of them.
    UntilTold,
    /// Whatever was used, until it is counted.
    UntilCounted,
}

/// A stream as far as it has come.
#[derive(Debug, Clone, Copy)]
pub struct StreamSoFar {
    /// True if something of the answer itself has come.
    pub has_begun: bool,
    /// True if thoughts have begun in it.
    pub has_thought: bool,
    /// True if its provider has said what was used so far.
    pub is_counted: bool,
}

impl UnseenUsage {
    /// True if nobody knows what a stream used that ended here.
    #[must_use]
    pub const fn hides(self, so_far: StreamSoFar) -> bool {
        match self {
            Self::None => false,
            Self::UntilTold => !so_far.has_begun || so_far.has_thought,
            Self::UntilCounted => !so_far.has_begun || !so_far.is_counted,
        }
    }
}

/// Of OpenAI's models, and of others by their names. A name that nobody knows may stand for any model: the call itself says then
/// whether it is to think.
pub(crate) fn of_openai(model: &str, body: &[u8]) -> UnseenUsage {
    let known = vendors::openai(model);
    let reasons = known.reasons() && !(known.efforts.contains(&"none") && rests(body));
    match reasons || is_to_think(body) || is_in_background(body) {
        true => UnseenUsage::UntilCounted,
        false => UnseenUsage::None,
    }
}

/// Of Google's models.
pub(crate) fn of_gemini(model: &str) -> UnseenUsage {
    match vendors::gemini(model).thinking {
        vendors::GeminiThinking::Never => UnseenUsage::None,
        _ => UnseenUsage::UntilCounted,
    }
}

/// Of Anthropic's models, and of others that are asked in its words or Amazon's.
pub(crate) fn of_claude(model: &str, body: &[u8]) -> UnseenUsage {
    match vendors::claude(model).may_think(is_to_think(body), rests(body)) {
        true => UnseenUsage::UntilTold,
        false => UnseenUsage::None,
    }
}

/// True if a call says in any dialect's words how much is to be thought.
fn is_to_think(body: &[u8]) -> bool {
    let says = |word: &[u8]| memmem::find(body, word).is_some();
    (says(b"\"reasoning") || says(b"\"thinking")) && !rests(body)
}

/// True if a call says that nothing is to be thought.
fn rests(body: &[u8]) -> bool {
    // Most say neither word.
    if memmem::find(body, b"\"disabled\"").is_none() && memmem::find(body, b"\"none\"").is_none() {
        return false;
    }
    let within = |object: &[u8], name: &[u8]| text(body, member(body, 0..body.len(), object)?, name);
    text(body, 0..body.len(), b"reasoning_effort") == Some("none")
        || within(b"reasoning", b"effort") == Some("none")
        || within(b"thinking", b"type") == Some("disabled")
}

/// True if an answer goes on without anybody who reads it, by what its call says, or itself.
#[must_use]
pub fn is_in_background(body: &[u8]) -> bool {
    let mut found = false;
    if memmem::find(body, b"\"background\"").is_some() {
        let _ = scan::members(body, |name, value| {
            found |= name == b"background" && body.get(value) == Some(b"true");
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use UnseenUsage::{None, UntilCounted, UntilTold};

    #[test]
    fn a_model_may_think_unseen_by_its_name_or_by_what_it_is_told() {
        let openai: fn(&str, &[u8]) -> UnseenUsage = of_openai;
        for (of, model, body, unseen) in [
            (openai, "gpt-4o", "{}", None),
            (openai, "gpt-5.5", "{}", UntilCounted),
            (openai, "gpt-5.5", r#"{"reasoning_effort":"none"}"#, None),
            (openai, "gpt-5.5", r#"{"reasoning":{"effort":"none"}}"#, None),
            (openai, "gpt-5.5", r#"{"tool_choice":"none"}"#, UntilCounted),
            (openai, "o3", r#"{"reasoning_effort":"none"}"#, UntilCounted),
            (openai, "my-deployment", "{}", None),
            (openai, "my-deployment", r#"{"reasoning_effort":"low"}"#, UntilCounted),
            (openai, "my-deployment", r#"{"thinking":{"type":"enabled","budget_tokens":9}}"#, UntilCounted),
            (openai, "gpt-4o", r#"{"background": true}"#, UntilCounted),
            (openai, "gpt-4o", r#"{"background":false,"input":"\"background\":true"}"#, None),
            (of_claude, "claude-3-5-haiku-latest", r#"{"thinking":{"type":"adaptive"}}"#, None),
            (of_claude, "claude-sonnet-4-5", "{}", None),
            (of_claude, "claude-sonnet-4-5", r#"{"thinking":{"type":"enabled","budget_tokens":9}}"#, UntilTold),
            (of_claude, "claude-opus-4-7", "{}", None),
            (of_claude, "claude-opus-4-7", r#"{"thinking":{"type":"adaptive"}}"#, UntilTold),
            (of_claude, "claude-opus-4-7", r#"{"reasoning_effort":"high"}"#, UntilTold),
            (of_claude, "us.anthropic.claude-opus-5-5", "{}", UntilTold),
            (of_claude, "claude-fable-5-1", r#"{"thinking":{"type":"disabled"}}"#, UntilTold),
            (of_claude, "claude-opus-5", "{}", UntilTold),
            (of_claude, "claude-haiku-5-5", r#"{"thinking":{"type":"disabled"}}"#, None),
            (of_claude, "claude-haiku-5-5", r#"{"reasoning_effort":"none"}"#, None),
            (of_claude, "deepseek-chat", "{}", None),
        ] {
            assert_eq!(of(model, body.as_bytes()), unseen, "{model} {body}");
        }
        assert_eq!((of_gemini("gemini-2.0-flash"), of_gemini("gemini-3-pro")), (None, UntilCounted));
    }

    #[test]
    fn what_is_said_at_the_beginning_is_not_the_last_word() {
        let so_far = |has_begun, has_thought, is_counted| StreamSoFar { has_begun, has_thought, is_counted };
        for (unseen, at, hidden) in [
            (None, so_far(false, false, false), false),
            (UntilTold, so_far(false, false, true), true),
            (UntilTold, so_far(true, true, true), true),
            (UntilTold, so_far(true, false, true), false),
            (UntilCounted, so_far(false, false, true), true),
            (UntilCounted, so_far(true, false, false), true),
            (UntilCounted, so_far(true, true, true), false),
        ] {
            assert_eq!(unseen.hides(at), hidden, "{unseen:?} {at:?}");
        }
    }
}
