//! The passes over models behind one answer of Anthropic's (`usage.iterations`), as far as the counts beside them leave them out.
//!
//! The counts of an answer are those of the model that gave it. Others are paid for beside them, each at its own model's price: passes
//! that made a long conversation shorter (platform.claude.com/docs/en/build-with-claude/compaction), those of an advisor, and those of
//! models that declined in mid-answer before another one gave it (…/refusals-and-fallback). Who declined before a word was said costs
//! nothing, and is listed all the same.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::hub::Usage;
use crate::token_count;

/// The kinds of passes that are counted apart, whoever answered.
const APART: [&str; 2] = ["compaction", "advisor_message"];
/// The pass of a model that gave the answer in another one's place. Those before it that are plain ones are the other models'.
const FALLBACK: &str = "fallback_message";

/// One pass, as Anthropic writes it.
#[derive(Deserialize)]
struct Pass<'a> {
    #[serde(borrow, default)]
    r#type: std::borrow::Cow<'a, str>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default, deserialize_with = "token_count::read")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation: Option<PassCreation>,
    #[serde(default, deserialize_with = "token_count::read")]
    output_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct PassCreation {
    #[serde(default, deserialize_with = "token_count::read")]
    ephemeral_1h_input_tokens: Option<u64>,
}

impl Pass<'_> {
    fn usage(&self) -> Usage {
        let [fresh, written, cached, output] =
            [self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens, self.output_tokens]
                .map(Option::unwrap_or_default);
        let hour = self.cache_creation.as_ref().and_then(|creation| creation.ephemeral_1h_input_tokens);
        Usage {
            input: fresh.saturating_add(cached).saturating_add(written),
            cached_input: cached,
            cache_write: written,
            cache_write_1h: hour.unwrap_or_default().min(written),
            output,
            ..Usage::default()
        }
    }
}

/// The passes behind an answer.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    /// The model that gave the answer in another one's place.
    pub(crate) fallback: Option<String>,
    /// Those that the answer's counts leave out, each with its model where that is said.
    pub(crate) apart: Vec<(Option<String>, Usage)>,
}

impl Passes {
    /// Reads a list of them. Anything else holds none.
    pub(crate) fn read(json: &str) -> Self {
        let passes = serde_json::from_str::<Vec<Pass<'_>>>(json).unwrap_or_default();
        let fallback = passes.iter().rfind(|pass| pass.r#type == FALLBACK).and_then(|pass| pass.model.clone());
        let is_anothers = |pass: &Pass<'_>| {
            let (Some(fallback), Some(model)) = (&fallback, &pass.model) else { return false };
            pass.r#type == "message" && model != fallback && pass.output_tokens.is_some_and(|output| output > 0)
        };
        let is_apart = |pass: &Pass<'_>| APART.contains(&&*pass.r#type) || is_anothers(pass);
        let apart =
            passes.iter().filter(|pass| is_apart(pass)).map(|pass| (pass.model.clone(), pass.usage())).collect();
        Self { fallback, apart }
    }
}

/// The tokens of all passes that are counted apart, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Apart {
    pub(crate) fresh: u64,
    pub(crate) cached: u64,
    pub(crate) written: u64,
    /// The part of what was written that is kept for an hour.
    pub(crate) for_an_hour: u64,
    pub(crate) output: u64,
    /// All input of the longest of them.
    pub(crate) longest: u64,
}

impl<'de> Deserialize<'de> for Apart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let Passes { apart, .. } = Passes::read(raw.get());
        Ok(apart.into_iter().fold(
            Self::default(),
            |sum, (_, Usage { input, cached_input, cache_write, cache_write_1h, output, .. })| {
                let fresh = input.saturating_sub(cached_input).saturating_sub(cache_write);
                Self {
                    fresh: sum.fresh.saturating_add(fresh),
                    cached: sum.cached.saturating_add(cached_input),
                    written: sum.written.saturating_add(cache_write),
                    for_an_hour: sum.for_an_hour.saturating_add(cache_write_1h),
                    output: sum.output.saturating_add(output),
                    longest: sum.longest.max(input),
                }
            },
        ))
    }
}

impl Apart {
    /// Takes them to what was counted.
    pub(crate) fn added_to(self, usage: Usage) -> Usage {
        let Self { fresh, cached, written, for_an_hour, output, longest } = self;
        if self == Self::default() {
            return usage;
        }
        Usage {
            input: usage.input.saturating_add(fresh).saturating_add(cached).saturating_add(written),
            cached_input: usage.cached_input.saturating_add(cached),
            cache_write: usage.cache_write.saturating_add(written),
            cache_write_1h: usage.cache_write_1h.saturating_add(for_an_hour),
            output: usage.output.saturating_add(output),
            longest_input: usage.longest_prompt().max(longest),
            ..usage
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_declined_before_a_word_costs_nothing_and_one_in_mid_answer_does() {
        let of = |json: &str| Passes::read(json);
        let declined = |output: u64| {
            format!(
                r#"[{{"type":"message","model":"a","input_tokens":535,"output_tokens":{output}}},{{"type":"message","model":"b","input_tokens":400,"output_tokens":9}},{{"type":"fallback_message","model":"b","input_tokens":412,"output_tokens":264}}]"#
            )
        };
        let passes = of(&declined(0));
        assert_eq!((passes.fallback.as_deref(), passes.apart.len()), (Some("b"), 0));
        let used = Usage { input: 535, output: 7, ..Usage::default() };
        assert_eq!(of(&declined(7)).apart, [(Some("a".to_owned()), used)]);
        let advised = of(
            r#"[{"type":"message","input_tokens":9,"output_tokens":8},{"type":"advisor_message","model":"c","input_tokens":1,"cache_creation_input_tokens":5,"cache_creation":{"ephemeral_1h_input_tokens":4},"output_tokens":2}]"#,
        );
        let used = Usage { input: 6, cache_write: 5, cache_write_1h: 4, output: 2, ..Usage::default() };
        assert_eq!((advised.fallback, advised.apart), (None, vec![(Some("c".to_owned()), used)]));
        assert!(of("7").apart.is_empty() && of(r#"[{"type":7}]"#).apart.is_empty());
    }
}
