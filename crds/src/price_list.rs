//! The list of vendors' models, their prices and what is known of them, for those whose pools do not say it. It is a file, and no
//! resource of the API server.

use serde::Deserialize;

use crate::model::{Modality, ModelCapability};
use crate::price::Price;
use crate::provider::ProviderType;
use crate::scalar::Decimal;

/// A list of prices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceList {
    /// `sluicegate.dev/v1alpha1`.
    pub api_version: String,
    /// `PriceList`.
    pub kind: String,
    /// The day when it was last gone through, such as `2026-11-28`.
    pub date: String,
    /// The models of vendors.
    pub vendors: Vec<VendorModels>,
}

/// The models of one vendor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VendorModels {
    /// The types of providers that they are for.
    pub types: Vec<ProviderType>,
    /// For `OpenAICompatible`: the look-alikes, by the name in `compatibility.profile`.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// The page where the figures are from, and when it was read.
    pub source: String,
    /// The models.
    #[serde(default)]
    pub models: Vec<ListedModel>,
    /// Further models, which cost here what the list says of them at another type of provider.
    #[serde(default)]
    pub same_as: Option<SamePrices>,
    /// The prices in a single region relative to those of the global endpoint, which the list says, such as `"1.1"`: for `VertexAI` where
    /// the location is not `global`, for `Bedrock` where the model's name does not begin with `global.`. Left out: they are the same.
    #[serde(default)]
    pub regional_factor: Option<Decimal>,
}

/// Models that cost what they cost elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SamePrices {
    /// The type of provider that the list has them for.
    pub r#type: ProviderType,
    /// Their names there.
    pub names: Vec<String>,
}

/// The price of some models, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListedModel {
    /// Their names, as the vendor writes them; the same with a date behind counts too.
    pub names: Vec<String>,
    /// Their price; left out: it is unknown.
    #[serde(default)]
    pub price: Option<Price>,
    /// The most tokens that a prompt and its answer may have together.
    #[serde(default)]
    pub context_window: Option<u64>,
    /// The most tokens that they answer with. It is told; calls that ask for more are bounded by what a pool says.
    #[serde(default)]
    pub max_output_tokens: Option<u64>,
    /// The forms that they read.
    #[serde(default)]
    pub input_modalities: Vec<Modality>,
    /// The forms that they write.
    #[serde(default)]
    pub output_modalities: Vec<Modality>,
    /// Their abilities.
    #[serde(default)]
    pub capabilities: Vec<ModelCapability>,
}
