//! The list of the prices of vendors' models, for those whose pools say none. It is a file, and no resource of the API server.

use serde::Deserialize;

use crate::price::Price;
use crate::provider::ProviderType;

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
    /// The prices of vendors.
    pub vendors: Vec<VendorPrices>,
}

/// The prices of one vendor's models.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VendorPrices {
    /// The types of providers that they are for.
    pub types: Vec<ProviderType>,
    /// For `OpenAICompatible`: the look-alikes, by the name in `compatibility.profile`.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// The page where the figures are from, and when it was read.
    pub source: String,
    /// The models.
    pub models: Vec<ListedPrice>,
}

/// The price of some models.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListedPrice {
    /// Their names, as the vendor writes them; the same with a date behind counts too.
    pub names: Vec<String>,
    /// Their price.
    pub price: Price,
}
