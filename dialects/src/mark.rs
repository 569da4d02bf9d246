//! Names and beginnings of texts that hardly any body holds, and that its provider may not take, or that ask for more than one answer and
//! nothing else. They are seen in the one look at a body that is due anyway: to search for them costs as much again for each.

use crate::scan::{self, Watch};

/// The member by which Anthropic's callers mark a part for prompt caching.
pub(crate) const CACHE_CONTROL: &str = "cache_control";
/// The member that holds signed thoughts, which other vendors have behind this gateway.
pub(crate) const THINKING_BLOCKS: &str = "thinking_blocks";
/// The member that holds thoughts as most look-alikes have them.
pub(crate) const REASONING: &str = "reasoning_content";
/// The member that holds thoughts in Converse.
const REASONING_OF_CONVERSE: &str = "reasoningContent";
/// The kind of a piece of content with thoughts, as Mistral's models have them, and its member that holds them.
pub(crate) const THINKING: &str = "thinking";
/// The beginning of a signature of Gemini's wherever it is not in Gemini's own words.
pub(crate) const GEMINIS: &str = "gemini:";
/// The beginning of whatever the gateway packs for another dialect.
pub(crate) const SEALED: &str = "sluicegate.";
/// The beginning of other vendors' thoughts in Gemini's own words, in either alphabet.
pub(crate) const WRAPPED_WIRE: &str = "c2x1aWNlZ2F0ZTpb";

/// The members of a body itself that name other models than its own, or may, but for its tools.
pub(crate) const OTHERS: [&[u8]; 5] =
    [b"fallbacks", b"models", b"plugins", b"context_window_fallbacks", b"content_policy_fallbacks"];

/// The kind of OpenRouter's tool that asks other models, as it is written.
pub(crate) const FUSION: &[u8] = b"openrouter:fusion\"";

/// The longest id of a call that everybody takes.
const LONGEST_ID: usize = 40;

/// True if a text is that kind, or may be in other letters.
fn may_be_fusion(text: &[u8]) -> bool {
    let within = text.get(..text.len().min(FUSION.len() * "\\u0000".len())).unwrap_or_default();
    let within = within.split(|byte| *byte == b'"').next().unwrap_or_default();
    text.starts_with(FUSION) || memchr::memmem::find(within, b"\\u00").is_some()
}

/// The marks that were seen below the members of a body. What is seen may stand where it means nothing; what is not seen is nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeenMarks {
    /// Members for prompt caching.
    pub(crate) caching: bool,
    /// Members with thoughts.
    pub(crate) thinking: bool,
    /// Texts that begin as thoughts do that were carried between vendors, and signatures that are empty.
    pub(crate) carried: bool,
    /// Ids of tool calls that are longer than some take.
    pub(crate) long_ids: bool,
    /// Texts that are OpenAI's newer role for instructions.
    pub(crate) developer: bool,
    /// Texts that are the role of instructions.
    pub(crate) system: bool,
    /// Calls of tools in Gemini's words.
    pub(crate) calls: bool,
    /// Calls of tools in Anthropic's words without a thought before them in their step, the last that there are.
    pub(crate) thoughtless_calls: bool,
    /// A member of the body itself that says how to think, or may.
    pub(crate) thinks: bool,
    /// Members that name a model, or may.
    pub(crate) models: bool,
    /// Members of the body itself, and texts, by which a provider is asked to make or do something, or may be.
    pub(crate) acts: bool,
    /// Members of the body itself that say how many answers are asked for, or may.
    pub(crate) answers: bool,
    /// Members of OpenAI's custom tools, their choice and their calls.
    custom: bool,
    /// True if not all of it is ASCII.
    wide: bool,
}

impl SeenMarks {
    /// True if all of it is ASCII, where it is JSON.
    pub(crate) fn is_ascii(self) -> bool {
        !self.wide
    }

    /// True if some of it may name another model than the call's own.
    #[must_use]
    pub const fn may_name_models(self) -> bool {
        self.models
    }

    /// True if the provider may be asked to make or do something beside its answer: `effects` tells.
    #[must_use]
    pub const fn may_act(self) -> bool {
        self.acts
    }

    /// True if the body may ask for more than one answer.
    #[must_use]
    pub const fn may_ask_for_several(self) -> bool {
        self.answers
    }

    /// True if it may give tools that take free text.
    #[must_use]
    pub const fn may_give_custom_tools(self) -> bool {
        self.custom
    }

    /// Looks for them in a body that nobody has looked at yet. One that is no JSON object has none.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let (mut watch, mut tops) = (MarkWatch::default(), MarkWatch::default());
        let looked = scan::watched(body, |name, _| tops.top(name), &mut watch);
        let seen = Self { thinks: tops.seen.thinks, ..watch.seen };
        looked.map_or_else(|_| Self::default(), |_| seen)
    }
}

/// Sees marks as a body is looked at.
#[derive(Default)]
pub(crate) struct MarkWatch {
    pub(crate) seen: SeenMarks,
    /// The last name, where its text is of interest.
    behind: AwaitedText,
    /// True if a thought was seen since the last words of the user's and the last result of a tool.
    has_thought: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum AwaitedText {
    #[default]
    Nothing,
    Signature,
    CallId,
}

impl MarkWatch {
    /// A name among the members of the body itself.
    pub(crate) fn top(&mut self, name: &[u8]) {
        let is_escaped = name.contains(&b'\\');
        self.seen.thinks |= matches!(name, b"thinking" | b"additionalModelRequestFields") || is_escaped;
        self.seen.models |= OTHERS.contains(&name) || is_escaped;
        self.seen.acts |= matches!(name, b"background" | b"thread" | b"container" | b"mcp_servers") || is_escaped;
        self.seen.answers |=
            matches!(name, b"n" | b"best_of" | b"prompt" | b"candidateCount" | b"candidate_count") || is_escaped;
    }
}

impl MarkWatch {
    /// A text that may be the kind of a piece of a turn in Anthropic's words, or the role of the user's.
    #[inline]
    fn turn(&mut self, text: &[u8]) {
        if text.starts_with(b"thinking\"") || text.starts_with(b"redacted_thinking\"") {
            self.has_thought = true;
        } else if text.starts_with(b"tool_result\"") || text.starts_with(b"user\"") {
            self.has_thought = false;
        } else if text.starts_with(b"tool_use\"") {
            self.seen.thoughtless_calls = !self.has_thought;
        }
    }
}

impl Watch for MarkWatch {
    #[inline]
    fn name(&mut self, name: &[u8]) {
        self.behind = AwaitedText::Nothing;
        // Names of other lengths are told by that.
        match name.len() {
            5 => self.seen.models |= name == b"model",
            6 => self.seen.custom |= name == b"custom",
            8 => self.seen.thinking |= name == THINKING.as_bytes(),
            9 if name == b"signature" => self.behind = AwaitedText::Signature,
            12 if name == b"tool_call_id" => self.behind = AwaitedText::CallId,
            12 => self.seen.calls |= name == b"functionCall",
            13 => {
                self.seen.caching |= name == CACHE_CONTROL.as_bytes();
                self.seen.calls |= name == b"function_call";
            }
            15 => self.seen.thinking |= name == THINKING_BLOCKS.as_bytes(),
            16 => self.seen.thinking |= name == REASONING_OF_CONVERSE.as_bytes(),
            17 => self.seen.thinking |= name == REASONING.as_bytes(),
            _ => {}
        }
        // A letter in other words takes six: a shorter name has none.
        if name.len() >= 10 {
            self.seen.models |= memchr::memchr(b'\\', name).is_some();
        }
    }

    #[inline]
    fn text(&mut self, text: &[u8]) {
        match self.behind {
            AwaitedText::Nothing => {}
            AwaitedText::Signature => self.seen.carried |= text.first() == Some(&b'"'),
            AwaitedText::CallId => {
                self.seen.long_ids |= text.get(..=LONGEST_ID).is_some_and(|id| !id.contains(&b'"'));
            }
        }
        let mark = match text.first() {
            Some(b'g') => GEMINIS,
            Some(b's') if text.starts_with(b"system\"") => return self.seen.system = true,
            Some(b'd') if text.starts_with(b"developer\"") => return self.seen.developer = true,
            Some(b'm') if text.starts_with(b"mcp") => return self.seen.acts = true,
            Some(b't' | b'r' | b'u') => return self.turn(text),
            Some(b'o' | b'\\') if may_be_fusion(text) => return self.seen.models = true,
            Some(b's') => SEALED,
            Some(b'c') => WRAPPED_WIRE,
            _ => return,
        };
        self.seen.carried |= text.starts_with(mark.as_bytes());
    }

    #[inline]
    fn not_ascii(&mut self) {
        self.seen.wide = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_seen_at_any_depth_and_nothing_else_is() {
        let (none, caching) = (SeenMarks::default(), SeenMarks { caching: true, ..SeenMarks::default() });
        let thinking = SeenMarks { thinking: true, ..SeenMarks::default() };
        let carried = SeenMarks { carried: true, ..SeenMarks::default() };
        let long_ids = SeenMarks { long_ids: true, ..SeenMarks::default() };
        let models = SeenMarks { models: true, ..SeenMarks::default() };
        assert_eq!((CACHE_CONTROL.len(), THINKING_BLOCKS.len()), (13, 15));
        for (inside, seen) in [
            (r#"{"cache_control":null}"#, caching),
            (r#"[{"a":[]},{"b":{"cache_control":{}}}]"#, caching),
            (r#"[{"thinking_blocks":[]}]"#, thinking),
            (r#"[{"content":[{"thinking":[]}]}]"#, thinking),
            (r#"[{"a":"gemini:x"}]"#, carried),
            (r#"["sluicegate.t1.x"]"#, carried),
            (r#"[{"signature":""}]"#, carried),
            (r#"[{"signature":"x"},{"signature":1,"a":""}]"#, none),
            (r#"[{"reasoning_content":"Hm."},{"a":{"reasoningContent":{}}}]"#, thinking),
            (r#"[{"tool_call_id":"0123456789012345678901234567890123456789"}]"#, none),
            (r#"[{"tool_call_id":"01234567890123456789012345678901234567890"}]"#, long_ids),
            (r#"[{"functionCall":{}}]"#, SeenMarks { calls: true, ..none }),
            (r#"[{"type":"tool_use"}]"#, SeenMarks { thoughtless_calls: true, ..none }),
            (r#"["thinking",{"type":"tool_use"},"tool_result","redacted_thinking","tool_use"]"#, none),
            (
                r#"["thinking","tool_use",{"role":"user"},"text","tool_use"]"#,
                SeenMarks { thoughtless_calls: true, ..none },
            ),
            (r#"[{"model":"m"}]"#, models),
            (r#"[{"role":"developer"}]"#, SeenMarks { developer: true, ..none }),
            (r#"[{"role":"system"}]"#, SeenMarks { system: true, ..none }),
            (r#"[{"type":"custom","custom":{}}]"#, SeenMarks { custom: true, ..none }),
            (r#"[{"type":"custom"}]"#, none),
            (r#"[{"role":"systems"},"developers",{"system":1,"developer":2}]"#, none),
            (r#"[{"mod\u0065l":"m"}]"#, models),
            (r#"[{"models":["m"]},"model"]"#, none),
            (r#"[{"type":"openrouter:fusion"}]"#, models),
            (r#"[{"type":"openrouter:fusions"}]"#, none),
            (r#"[{"type":"openrouter\u003afusion"},"\u006fpenrouter:fusion"]"#, models),
            (r#"[{"type":"only one\n\nline","\n":"\\n"}]"#, none),
            (r#"{ "thoughtSignature" : "c2x1aWNlZ2F0ZTpbAAAA" }"#, carried),
            (r#"["cache_control","thinking_blocks"," gemini:","sluicegate","\"gemini:","cache","c2x1"]"#, none),
            (r#"{"cache_contro":1,"cache_controls":1,"Cache_control":1,"gemini:":1,"sluicegate.":1,"":""}"#, none),
            (r#""gemini:""#, none),
        ] {
            assert_eq!(
                SeenMarks::of(format!(r#"{{"a":1,"messages": {inside} ,"b":[]}}"#).as_bytes()),
                seen,
                "{inside}"
            );
        }
        assert_eq!(SeenMarks::of(br#"{"a":[{"cache_control":1}]"#), none, "no JSON");
    }

    #[test]
    fn a_letter_outside_ascii_is_noticed_wherever_it_stands() {
        for length in 0..70 {
            let text = "a".repeat(length);
            let body = format!(r#"{{"{text}":1,"b":"{text}","c":[{{"{text}":"\n{text}"}},"{text}\\{text}"]}}"#);
            assert!(SeenMarks::of(body.as_bytes()).is_ascii(), "{body}");
            let letters = body.bytes().enumerate().filter(|(_, byte)| *byte == b'a').map(|(at, _)| at);
            for at in letters {
                let mut wide = body.clone().into_bytes();
                wide[at] = 0xff;
                assert!(!SeenMarks::of(&wide).is_ascii(), "{at} of {body}");
            }
        }
    }
}
