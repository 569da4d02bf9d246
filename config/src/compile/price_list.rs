//! The price list: what models cost, and what is known of them, whose pools do not say it. Only what pools name goes into the compiled
//! form, so that proxies hold no list.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluicegate_crds as crds;

use crate::{ModelFacts, Pool, Price, Provider};

/// A list of prices, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    pub(super) date: String,
    pub(super) timestamp: i64,
    pub(super) vendors: Vec<VendorList>,
}

/// The models of one vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VendorList {
    pub(super) types: Vec<crds::ProviderType>,
    pub(super) profiles: Vec<String>,
    pub(super) models: BTreeMap<String, Listed>,
}

/// That which the list says of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) price: Option<Arc<Price>>,
    pub(super) facts: ModelFacts,
}

impl PriceList {
    /// The day when it was last gone through, in seconds since 1970.
    #[must_use]
    pub const fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// A model by the name that its provider has for it: by just that name, else by the name without its date.
    fn model(&self, of: &crds::Provider, name: &str) -> Option<&Listed> {
        let profile = of.compatibility.as_ref().and_then(|compatibility| compatibility.profile.as_deref());
        let is_for = |vendor: &&VendorList| {
            let is_profile = profile.is_some_and(|profile| vendor.profiles.iter().any(|known| known == profile));
            vendor.types.contains(&of.kind) && (vendor.profiles.is_empty() || is_profile)
        };
        let named = |name: &str| self.vendors.iter().filter(is_for).find_map(|vendor| vendor.models.get(name));
        named(name).or_else(|| named(without_date(name)?))
    }
}

/// A model's name without the date behind it: `-2024-11-20`, `-20250929`, `@20250929`.
fn without_date(name: &str) -> Option<&str> {
    let digits = |text: &str, many: usize| text.len() == many && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((short, date)) = name.rsplit_once('@').or_else(|| name.rsplit_once('-'))
        && digits(date, 8)
    {
        return Some(short);
    }
    let (rest, day) = name.rsplit_once('-')?;
    let (rest, month) = rest.rsplit_once('-')?;
    let (short, year) = rest.rsplit_once('-')?;
    (digits(day, 2) && digits(month, 2) && digits(year, 4)).then_some(short)
}

/// Gives each model of a pool the list's price, where it has none of its own, and the list's facts where it says none.
pub(super) fn fill(spec: &crds::ProviderPoolSpec, pool: &mut Pool, list: Option<&PriceList>) {
    let Some(list) = list else { return };
    for provider in &mut pool.providers {
        let of = spec.providers.iter().find(|of| of.name == provider.name);
        of.into_iter().for_each(|of| fill_provider(of, provider, list));
    }
}

fn fill_provider(of: &crds::Provider, provider: &mut Provider, list: &PriceList) {
    for (name, model) in &mut provider.models {
        let Some(listed) = list.model(of, model.upstream_name.as_deref().unwrap_or(name)) else { continue };
        model.facts = std::mem::take(&mut model.facts).over(&listed.facts);
        if model.price.is_none()
            && let Some(price) = &listed.price
        {
            model.price = Some(Arc::clone(price));
            model.price_listed = Some(list.date.clone());
        }
    }
}
