//! The cost of a model's tokens: by kind of token, for long prompts, in other service tiers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Decimal;

/// The cost of tokens, in US dollars per million tokens, as decimal strings with at most six decimals (`"2.50"`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Price {
    /// Dollars per million input tokens that no prompt cache had.
    pub input_per_million: Decimal,
    /// Dollars per million input tokens read from the provider's prompt cache. Default: as `inputPerMillion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_per_million: Option<Decimal>,
    /// Dollars per million input tokens written to the provider's prompt cache. Default: as `inputPerMillion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_per_million: Option<Decimal>,
    /// Dollars per million input tokens written there to be kept for an hour. Default: as `cacheWritePerMillion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_per_million: Option<Decimal>,
    /// Dollars per million output tokens.
    pub output_per_million: Decimal,
    /// Dollars per million output tokens of reasoning. Default: as `outputPerMillion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_per_million: Option<Decimal>,
    /// Dollars per million input tokens of audio. Default: as `inputPerMillion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input_per_million: Option<Decimal>,
    /// Dollars per million input tokens of audio read from the prompt cache. Default: as `cachedInputPerMillion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_audio_per_million: Option<Decimal>,
    /// Dollars per million output tokens of audio. Default: as `outputPerMillion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output_per_million: Option<Decimal>,
    /// Dollars per million input tokens of images. Default: as `inputPerMillion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input_per_million: Option<Decimal>,
    /// Dollars per million output tokens of images. Default: as `outputPerMillion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_output_per_million: Option<Decimal>,
    /// Prices of calls with long prompts: the one with the most tokens that the prompt exceeds holds for the whole call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["overTokens"]))]
    pub long_context: Vec<LongContextPrice>,
    /// Prices in other service tiers than the usual one, by the tier that the provider's answer names. The cost of an answer
    /// from a tier that is left out is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<TierPrices>,
}

/// The prices of calls with long prompts; what is left out costs as in others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LongContextPrice {
    /// They hold where the prompt has more tokens than this, cached ones included.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub over_tokens: u64,
    /// Dollars per million input tokens that no prompt cache had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_per_million: Option<Decimal>,
    /// Dollars per million input tokens read from the provider's prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_per_million: Option<Decimal>,
    /// Dollars per million input tokens written to the provider's prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_per_million: Option<Decimal>,
    /// Dollars per million input tokens written there to be kept for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_per_million: Option<Decimal>,
    /// Dollars per million output tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_per_million: Option<Decimal>,
    /// Dollars per million output tokens of reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_per_million: Option<Decimal>,
    /// Dollars per million input tokens of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input_per_million: Option<Decimal>,
    /// Dollars per million input tokens of audio read from the prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_audio_per_million: Option<Decimal>,
    /// Dollars per million output tokens of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output_per_million: Option<Decimal>,
    /// Dollars per million input tokens of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input_per_million: Option<Decimal>,
    /// Dollars per million output tokens of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_output_per_million: Option<Decimal>,
}

/// The service tiers that have prices of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TierPrices {
    /// Answers of the tier `batch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<TierPrice>,
    /// Answers of the tier `flex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flex: Option<TierPrice>,
    /// Answers of the tier `priority`, and of Anthropic's fast mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<TierPrice>,
}

/// The prices of a service tier; what is left out costs as in the usual one, times `factor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TierPrice {
    /// The price relative to the usual one's, such as `"0.5"`. Default: `"1"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Decimal>,
    /// Dollars per million input tokens that no prompt cache had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_per_million: Option<Decimal>,
    /// Dollars per million input tokens read from the provider's prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_per_million: Option<Decimal>,
    /// Dollars per million input tokens written to the provider's prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_per_million: Option<Decimal>,
    /// Dollars per million input tokens written there to be kept for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_per_million: Option<Decimal>,
    /// Dollars per million output tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_per_million: Option<Decimal>,
    /// Dollars per million output tokens of reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_per_million: Option<Decimal>,
    /// Dollars per million input tokens of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input_per_million: Option<Decimal>,
    /// Dollars per million input tokens of audio read from the prompt cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_audio_per_million: Option<Decimal>,
    /// Dollars per million output tokens of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output_per_million: Option<Decimal>,
    /// Dollars per million input tokens of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input_per_million: Option<Decimal>,
    /// Dollars per million output tokens of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_output_per_million: Option<Decimal>,
}

/// The prices that are named, whichever of the three names them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamedPrices<'a> {
    /// `input` per million.
    pub input: Option<&'a Decimal>,
    /// `cached_input` per million.
    pub cached_input: Option<&'a Decimal>,
    /// `cache_write` per million.
    pub cache_write: Option<&'a Decimal>,
    /// `cache_write_1h` per million.
    pub cache_write_1h: Option<&'a Decimal>,
    /// `output` per million.
    pub output: Option<&'a Decimal>,
    /// `reasoning` per million.
    pub reasoning: Option<&'a Decimal>,
    /// `audio_input` per million.
    pub audio_input: Option<&'a Decimal>,
    /// `cached_audio` per million.
    pub cached_audio: Option<&'a Decimal>,
    /// `audio_output` per million.
    pub audio_output: Option<&'a Decimal>,
    /// `image_input` per million.
    pub image_input: Option<&'a Decimal>,
    /// `image_output` per million.
    pub image_output: Option<&'a Decimal>,
}

impl Price {
    /// The prices that it names.
    #[must_use]
    pub const fn named(&self) -> NamedPrices<'_> {
        NamedPrices {
            input: Some(&self.input_per_million),
            cached_input: self.cached_input_per_million.as_ref(),
            cache_write: self.cache_write_per_million.as_ref(),
            cache_write_1h: self.cache_write_1h_per_million.as_ref(),
            output: Some(&self.output_per_million),
            reasoning: self.reasoning_per_million.as_ref(),
            audio_input: self.audio_input_per_million.as_ref(),
            cached_audio: self.cached_audio_per_million.as_ref(),
            audio_output: self.audio_output_per_million.as_ref(),
            image_input: self.image_input_per_million.as_ref(),
            image_output: self.image_output_per_million.as_ref(),
        }
    }
}

impl LongContextPrice {
    /// The prices that it names.
    #[must_use]
    pub const fn named(&self) -> NamedPrices<'_> {
        NamedPrices {
            input: self.input_per_million.as_ref(),
            cached_input: self.cached_input_per_million.as_ref(),
            cache_write: self.cache_write_per_million.as_ref(),
            cache_write_1h: self.cache_write_1h_per_million.as_ref(),
            output: self.output_per_million.as_ref(),
            reasoning: self.reasoning_per_million.as_ref(),
            audio_input: self.audio_input_per_million.as_ref(),
            cached_audio: self.cached_audio_per_million.as_ref(),
            audio_output: self.audio_output_per_million.as_ref(),
            image_input: self.image_input_per_million.as_ref(),
            image_output: self.image_output_per_million.as_ref(),
        }
    }
}

impl TierPrice {
    /// The prices that it names.
    #[must_use]
    pub const fn named(&self) -> NamedPrices<'_> {
        NamedPrices {
            input: self.input_per_million.as_ref(),
            cached_input: self.cached_input_per_million.as_ref(),
            cache_write: self.cache_write_per_million.as_ref(),
            cache_write_1h: self.cache_write_1h_per_million.as_ref(),
            output: self.output_per_million.as_ref(),
            reasoning: self.reasoning_per_million.as_ref(),
            audio_input: self.audio_input_per_million.as_ref(),
            cached_audio: self.cached_audio_per_million.as_ref(),
            audio_output: self.audio_output_per_million.as_ref(),
            image_input: self.image_input_per_million.as_ref(),
            image_output: self.image_output_per_million.as_ref(),
        }
    }
}
