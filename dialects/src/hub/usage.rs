//! The tokens that an answer took, by the kinds that prices tell apart, and the service tier that answered.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};

/// Tokens used, as the provider said; a count it did not say is 0.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input: u64,
    /// Of the input: read from the provider's prompt cache.
    pub cached_input: u64,
    /// Of the input: written to the provider's prompt cache.
    pub cache_write: u64,
    /// Of what was written there: kept for an hour, which costs more than the usual minutes.
    pub cache_write_1h: u64,
    /// All output tokens, reasoning included.
    pub output: u64,
    /// Of the output: reasoning.
    pub reasoning: u64,
    /// Of the input: audio.
    pub audio_input: u64,
    /// Of the cached input: audio.
    pub cached_audio: u64,
    /// Of the input: images.
    pub image_input: u64,
    /// Of the output: audio.
    pub audio_output: u64,
    /// Of the output: images.
    pub image_output: u64,
    /// The most input tokens of one pass over the model, where these are of several: a price for long prompts goes by it. 0: of one.
    pub longest_input: u64,
    /// The service tier that answered.
    pub tier: ServiceTier,
}

impl Usage {
    /// The length of the longest prompt that it is for.
    #[must_use]
    pub const fn longest_prompt(&self) -> u64 {
        if self.longest_input > 0 { self.longest_input } else { self.input }
    }

    /// True if there are no tokens in it.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.input == 0 && self.output == 0
    }

    /// It without what can not be: more of a prompt in the cache than there was of it.
    #[must_use]
    pub fn believed(self) -> Self {
        if self.cached_input <= self.input { self } else { Self { cached_input: 0, cached_audio: 0, ..self } }
    }

    /// Both together, of the tier of the first.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            cached_audio: self.cached_audio.saturating_add(other.cached_audio),
            image_input: self.image_input.saturating_add(other.image_input),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            image_output: self.image_output.saturating_add(other.image_output),
            longest_input: self.longest_prompt().max(other.longest_prompt()),
            tier: self.tier,
        }
    }

    /// The rest of it without a part.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        let input = self.input.saturating_sub(part.input);
        Self {
            input,
            cached_input: self.cached_input.saturating_sub(part.cached_input),
            cache_write: self.cache_write.saturating_sub(part.cache_write),
            cache_write_1h: self.cache_write_1h.saturating_sub(part.cache_write_1h),
            output: self.output.saturating_sub(part.output),
            reasoning: self.reasoning.saturating_sub(part.reasoning),
            audio_input: self.audio_input.saturating_sub(part.audio_input),
            cached_audio: self.cached_audio.saturating_sub(part.cached_audio),
            image_input: self.image_input.saturating_sub(part.image_input),
            audio_output: self.audio_output.saturating_sub(part.audio_output),
            image_output: self.image_output.saturating_sub(part.image_output),
            longest_input: self.longest_input.min(input),
            tier: self.tier,
        }
    }
}

impl fmt::Debug for Usage {
    /// Without the rarer kinds where there are none.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, cached_input, cache_write, cache_write_1h, output, reasoning, .. } = self;
        let Self { audio_input, cached_audio, image_input, audio_output, image_output, longest_input, tier, .. } = self;
        let mut to = to.debug_struct("Usage");
        to.field("input", input).field("cached_input", cached_input).field("cache_write", cache_write);
        to.field("cache_write_1h", cache_write_1h).field("output", output).field("reasoning", reasoning);
        let rare = [
            ("audio_input", audio_input),
            ("cached_audio", cached_audio),
            ("image_input", image_input),
            ("audio_output", audio_output),
            ("image_output", image_output),
            ("longest_input", longest_input),
        ];
        for (name, count) in rare.into_iter().filter(|(_, count)| **count > 0) {
            to.field(name, count);
        }
        if *tier != ServiceTier::Unsaid {
            to.field("tier", tier);
        }
        to.finish()
    }
}

/// The service tier that an answer came from, which its price goes by. A provider may serve another than was asked for, so it
/// is the answer's own word that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServiceTier {
    /// Nothing was said of one.
    #[default]
    Unsaid,
    /// The usual one.
    Standard,
    /// Answered when there is room, as batches are.
    Batch,
    /// Slower, for less.
    Flex,
    /// Faster, for more.
    Priority,
    /// One that no table knows, or that is paid for beforehand: what its tokens cost is not known.
    Other,
}

/// The words of vendors: OpenAI's and Anthropic's `service_tier`, Bedrock's `serviceTier`, Gemini's `serviceTier` and Vertex AI's
/// `trafficType`, Groq's `on_demand`.
const WORDS: [(&str, ServiceTier); 13] = [
    ("default", ServiceTier::Standard),
    ("standard", ServiceTier::Standard),
    ("on_demand", ServiceTier::Standard),
    ("auto", ServiceTier::Unsaid),
    ("", ServiceTier::Unsaid),
    ("unspecified", ServiceTier::Unsaid),
    ("traffic_type_unspecified", ServiceTier::Unsaid),
    ("batch", ServiceTier::Batch),
    ("flex", ServiceTier::Flex),
    ("on_demand_flex", ServiceTier::Flex),
    ("priority", ServiceTier::Priority),
    ("on_demand_priority", ServiceTier::Priority),
    ("fast", ServiceTier::Priority),
];

/// The tiers in an order that keeps their numbers.
const NUMBERED: [ServiceTier; 6] = [
    ServiceTier::Unsaid,
    ServiceTier::Standard,
    ServiceTier::Batch,
    ServiceTier::Flex,
    ServiceTier::Priority,
    ServiceTier::Other,
];

impl ServiceTier {
    /// The tier of a vendor's word, in any case.
    #[must_use]
    pub fn of(word: &str) -> Self {
        let known = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
        known.map_or(Self::Other, |(_, tier)| *tier)
    }

    /// The tier of a JSON value where a word should be; anything else says nothing.
    pub(crate) fn of_json(json: &[u8]) -> Self {
        let word = json.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        word.and_then(|word| std::str::from_utf8(word).ok()).map_or(Self::Unsaid, Self::of)
    }

    /// The number of such a value's tier among counts.
    pub(crate) fn number_of_json(json: &[u8]) -> u64 {
        Self::of_json(json).number()
    }

    /// Its name in logs; `None`: nothing was said of one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Unsaid => return None,
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Other => "other",
        })
    }

    /// This one, or where nothing was said of it the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::Unsaid { other } else { self }
    }

    /// Its number among counts.
    pub(crate) fn number(self) -> u64 {
        NUMBERED.iter().position(|tier| *tier == self).and_then(|at| u64::try_from(at).ok()).unwrap_or(0)
    }

    /// The tier of that number.
    pub(crate) fn numbered(number: Option<u64>) -> Self {
        let at = number.and_then(|number| usize::try_from(number).ok());
        at.and_then(|at| NUMBERED.get(at)).copied().unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for ServiceTier {
    /// Anything but a text says nothing.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Word)
    }
}

struct Word;

impl<'de> Visitor<'de> for Word {
    type Value = ServiceTier;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("the name of a service tier")
    }

    fn visit_str<E>(self, word: &str) -> Result<ServiceTier, E> {
        Ok(ServiceTier::of(word))
    }

    fn visit_unit<E>(self) -> Result<ServiceTier, E> {
        Ok(ServiceTier::Unsaid)
    }

    fn visit_bool<E>(self, _: bool) -> Result<ServiceTier, E> {
        Ok(ServiceTier::Unsaid)
    }

    fn visit_u64<E>(self, _: u64) -> Result<ServiceTier, E> {
        Ok(ServiceTier::Unsaid)
    }

    fn visit_i64<E>(self, _: i64) -> Result<ServiceTier, E> {
        Ok(ServiceTier::Unsaid)
    }

    fn visit_f64<E>(self, _: f64) -> Result<ServiceTier, E> {
        Ok(ServiceTier::Unsaid)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<ServiceTier, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(ServiceTier::Unsaid)
    }

    /// Bedrock's is an object of its `type`.
    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut object: A) -> Result<ServiceTier, A::Error> {
        let mut tier = ServiceTier::Unsaid;
        while let Some(name) = object.next_key::<std::borrow::Cow<'_, str>>()? {
            if name == "type" {
                tier = object.next_value()?;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(tier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_taken_out_of_the_whole_and_what_can_not_be_is_not_believed() {
        let part = Usage { input: 30, cached_input: 20, output: 4, ..Usage::default() };
        let rest = Usage { input: 10, cached_input: 5, output: 6, reasoning: 2, ..Usage::default() };
        let whole = rest.plus(part);
        assert_eq!(whole.without(part), Usage { longest_input: 10, ..rest });
        assert_eq!((whole.without(part).longest_prompt(), part.without(whole).input), (10, 0));
        assert_eq!(Usage { cached_input: 11, cached_audio: 3, ..rest }.believed(), Usage { cached_input: 0, ..rest });
        assert_eq!(rest.believed(), rest);
        assert!(Usage { cached_input: 4, ..Usage::default() }.is_nothing() && !rest.is_nothing());
    }

    #[test]
    fn a_tier_is_known_by_every_vendors_word_and_nothing_else_is_one() {
        for (json, tier) in [
            (r#""default""#, ServiceTier::Standard),
            (r#""standard""#, ServiceTier::Standard),
            (r#""on_demand""#, ServiceTier::Standard),
            (r#""ON_DEMAND""#, ServiceTier::Standard),
            (r#""auto""#, ServiceTier::Unsaid),
            (r#""TRAFFIC_TYPE_UNSPECIFIED""#, ServiceTier::Unsaid),
            ("null", ServiceTier::Unsaid),
            ("[1]", ServiceTier::Unsaid),
            ("1.5", ServiceTier::Unsaid),
            (r#""flex""#, ServiceTier::Flex),
            (r#""ON_DEMAND_FLEX""#, ServiceTier::Flex),
            (r#""priority""#, ServiceTier::Priority),
            (r#""ON_DEMAND_PRIORITY""#, ServiceTier::Priority),
            (r#""batch""#, ServiceTier::Batch),
            (r#""scale""#, ServiceTier::Other),
            (r#""reserved""#, ServiceTier::Other),
            (r#""PROVISIONED_THROUGHPUT""#, ServiceTier::Other),
        ] {
            assert_eq!(serde_json::from_str::<ServiceTier>(json).unwrap(), tier, "{json}");
            assert_eq!(ServiceTier::of_json(json.as_bytes()), tier, "{json}");
            assert_eq!(ServiceTier::numbered(Some(tier.number())), tier);
        }
        let of_bedrock = r#"{"other":[1],"type":"flex"}"#;
        assert_eq!(serde_json::from_str::<ServiceTier>(of_bedrock).unwrap(), ServiceTier::Flex);
    }
}
