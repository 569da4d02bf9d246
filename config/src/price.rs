//! The cost of a model's tokens, compiled: a rate per kind of token, and other rates for long prompts and other service tiers.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A price in picodollars (10⁻¹² USD) per token: `"2.50"` per million tokens is 2 500 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct PicoUsd(pub u64);

/// The cost of a model's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// The usual rates.
    #[serde(flatten)]
    pub rates: Rates,
    /// The rates of other tiers and of long prompts, each whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<PriceVariant>,
}

/// The cost of a token, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rates {
    /// Input tokens that no cache had.
    pub input: PicoUsd,
    /// Input tokens read from the provider's prompt cache.
    pub cached_input: PicoUsd,
    /// Input tokens written to the provider's prompt cache.
    pub cache_write: PicoUsd,
    /// Input tokens written there to be kept for an hour; `None`: as the others.
    #[serde(default)]
    pub cache_write_1h: Option<PicoUsd>,
    /// Output tokens.
    pub output: PicoUsd,
    /// Output tokens of reasoning; `None`: as output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<PicoUsd>,
    /// Input tokens of audio; `None`: as input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<PicoUsd>,
    /// Input tokens of audio read from the cache; `None`: as cached input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_audio: Option<PicoUsd>,
    /// Output tokens of audio; `None`: as output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<PicoUsd>,
    /// Input tokens of images; `None`: as input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input: Option<PicoUsd>,
    /// Output tokens of images; `None`: as output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_output: Option<PicoUsd>,
}

/// The rates of a tier, or of prompts over a length, or of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceVariant {
    /// The tier; `None`: the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<PricedTier>,
    /// They hold for prompts of more tokens than this, cached ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_tokens: Option<u64>,
    /// The rates.
    #[serde(flatten)]
    pub rates: Rates,
}

/// A service tier that has rates of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PricedTier {
    /// Answered when there is room, as batches are.
    Batch,
    /// Slower, for less.
    Flex,
    /// Faster, for more.
    Priority,
}

impl Rates {
    /// Of input and output alone.
    #[must_use]
    pub const fn of(input: PicoUsd, output: PicoUsd) -> Self {
        Self {
            input,
            cached_input: input,
            cache_write: input,
            cache_write_1h: None,
            output,
            reasoning: None,
            audio_input: None,
            cached_audio: None,
            audio_output: None,
            image_input: None,
            image_output: None,
        }
    }
}

impl Price {
    /// The usual rates and nothing else.
    #[must_use]
    pub const fn of(rates: Rates) -> Self {
        Self { rates, variants: Vec::new() }
    }

    /// The rates of a tier (`None`: the usual one) for a prompt of so many tokens. `None`: nobody said what the tier costs.
    #[must_use]
    pub fn rates(&self, tier: Option<PricedTier>, input: u64) -> Option<&Rates> {
        let of_tier = self.variants.iter().filter(|variant| variant.tier == tier);
        let holds = of_tier.filter(|variant| variant.over_tokens.is_none_or(|over| input > over));
        let longest = holds.max_by_key(|variant| variant.over_tokens);
        longest.map(|variant| &variant.rates).or_else(|| tier.is_none().then_some(&self.rates))
    }
}

/// Writes a price that is shared by whoever counts by it.
pub(crate) fn serialize<S: Serializer>(price: &Option<Arc<Price>>, to: S) -> Result<S::Ok, S::Error> {
    price.as_deref().serialize(to)
}

/// Reads a price that is shared by whoever counts by it.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Arc<Price>>, D::Error> {
    Option::<Price>::deserialize(from).map(|price| price.map(Arc::new))
}
