//! The operations beside conversations (images, audio, moderation, ranking), whose bodies and answers pass untouched: the model of a
//! request and the usage of an answer, which are all that is read of them.

use serde::Deserialize;

use crate::codec::{Malformed, Refusal};
use crate::hub::Usage;
use crate::scan;
use crate::verbatim::{self, PathSays, Peek, Peeked};

/// The usage of such an answer, by any vendor's words.
#[derive(Debug, Default, Deserialize)]
struct SideUsage {
    input_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
    output_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    /// Of transcripts.
    input_token_details: Option<SideDetails>,
    /// Of images.
    input_tokens_details: Option<SideDetails>,
    output_tokens_details: Option<SideDetails>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct SideDetails {
    image_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    cached_tokens_details: Option<CachedDetails>,
}

/// The parts of what a prompt cache had.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct CachedDetails {
    image_tokens: Option<u64>,
}

/// The things that an operation makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideOutput {
    /// Texts, or nothing that tokens are counted of.
    Texts,
    /// Images.
    Images,
    /// Speech.
    Speech,
}

impl SideUsage {
    /// `None`: it counts something else than tokens (seconds of audio, searches).
    fn read(self, made: SideOutput) -> Option<Usage> {
        let output = self.output_tokens.or(self.completion_tokens);
        let input = self.input_tokens.or(self.prompt_tokens);
        let input = input.or_else(|| self.total_tokens.filter(|_| output.is_none()))?;
        let output = output.unwrap_or_default();
        let of_input = self.input_token_details.or(self.input_tokens_details).unwrap_or_default();
        let cached_images = of_input.cached_tokens_details.unwrap_or_default().image_tokens;
        let of_output = self.output_tokens_details.unwrap_or_default();
        // Where the parts of the output are not told apart, it is all of the kind that was asked for.
        let all_of = |kind| (made == kind && self.output_tokens_details.is_none()).then_some(output);
        let drawn = of_output.image_tokens.or_else(|| all_of(SideOutput::Images));
        let spoken = of_output.audio_tokens.or_else(|| all_of(SideOutput::Speech));
        Some(Usage {
            input,
            output,
            cached_input: of_input.cached_tokens.unwrap_or_default(),
            // Those that the cache had cost as what is cached.
            image_input: of_input.image_tokens.unwrap_or_default().saturating_sub(cached_images.unwrap_or_default()),
            audio_input: of_input.audio_tokens.unwrap_or_default(),
            image_output: drawn.unwrap_or_default(),
            audio_output: spoken.unwrap_or_default(),
            ..Usage::default()
        })
    }
}

/// The usage in an answer or in an event of its stream; `None`: it says none, or none in tokens.
///
/// # Errors
/// It is no JSON object.
pub fn usage_of(json: &[u8], made: SideOutput) -> Result<Option<Usage>, Malformed> {
    let mut usage = None;
    let seen = scan::members(json, |name, value| {
        if name == b"usage" {
            usage = serde_json::from_slice::<SideUsage>(json.get(value).unwrap_or_default()).ok();
        }
    });
    seen.map_err(|_| Malformed::new("not a JSON object"))?;
    Ok(usage.and_then(|usage| usage.read(made)))
}

/// Looks at a body of such an operation in JSON, of which nothing but the model and whether it streams has a meaning here.
///
/// # Errors
/// It is not UTF-8 or not a JSON object, the model is missing, a field looked at has the wrong type or stands there twice.
pub fn peek(body: &[u8], path: PathSays<'_>) -> Result<Peek, Refusal> {
    verbatim::peek(body, path, |_| Ok(Peeked::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_in_every_vendors_words() {
        let used = |input, output| Usage { input, output, ..Usage::default() };
        for (json, made, usage) in [
            (
                r#"{"data":[],"usage":{"input_tokens":10,"output_tokens":4,"total_tokens":14,"input_tokens_details":{"text_tokens":3,"image_tokens":7}}}"#,
                SideOutput::Images,
                Some(Usage { image_input: 7, image_output: 4, ..used(10, 4) }),
            ),
            (
                r#"{"usage":{"input_tokens":60,"output_tokens":4,"input_tokens_details":{"text_tokens":10,"image_tokens":50,"cached_tokens":40,"cached_tokens_details":{"text_tokens":8,"image_tokens":32}}}}"#,
                SideOutput::Images,
                Some(Usage { image_input: 18, cached_input: 40, image_output: 4, ..used(60, 4) }),
            ),
            (
                r#"{"usage":{"input_tokens":10,"output_tokens":4,"output_tokens_details":{"image_tokens":3,"text_tokens":1}}}"#,
                SideOutput::Images,
                Some(Usage { image_output: 3, ..used(10, 4) }),
            ),
            (
                r#"{"text":"a","usage":{"type":"tokens","input_tokens":9,"output_tokens":2,"total_tokens":11,"input_token_details":{"text_tokens":0,"audio_tokens":9}}}"#,
                SideOutput::Texts,
                Some(Usage { audio_input: 9, ..used(9, 2) }),
            ),
            (
                r#"{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}"#,
                SideOutput::Speech,
                Some(Usage { audio_output: 101, ..used(14, 101) }),
            ),
            (r#"{"text":"a","usage":{"type":"duration","seconds":3}}"#, SideOutput::Texts, None),
            (r#"{"results":[],"usage":{"total_tokens":12}}"#, SideOutput::Texts, Some(used(12, 0))),
            (r#"{"results":[],"usage":{"prompt_tokens":12,"total_tokens":12}}"#, SideOutput::Texts, Some(used(12, 0))),
            (r#"{"results":[],"meta":{"billed_units":{"search_units":1}}}"#, SideOutput::Texts, None),
            (r#"{"usage":null}"#, SideOutput::Texts, None),
            (r#"{"usage":{"input_tokens":-1}}"#, SideOutput::Texts, None),
        ] {
            assert_eq!(usage_of(json.as_bytes(), made).unwrap(), usage, "{json}");
        }
        assert!(usage_of(b"[]", SideOutput::Texts).is_err());
    }
}
