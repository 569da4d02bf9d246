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
    /// As `models`, for a single region; `None`: the same.
    pub(super) regional: Option<BTreeMap<String, Listed>>,
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
    fn model<'a>(&'a self, of: &crds::Provider, name: &str) -> Option<&'a Listed> {
        let profile = of.compatibility.as_ref().and_then(|compatibility| compatibility.profile.as_deref());
        let is_for = |vendor: &&VendorList| {
            let is_profile = profile.is_some_and(|profile| vendor.profiles.iter().any(|known| known == profile));
            vendor.types.contains(&of.kind) && (vendor.profiles.is_empty() || is_profile)
        };
        let is_regional = is_regional(of, name);
        let named = |name: &str| {
            let models =
                |vendor: &'a VendorList| vendor.regional.as_ref().filter(|_| is_regional).unwrap_or(&vendor.models);
            self.vendors.iter().filter(is_for).find_map(|vendor| models(vendor).get(name))
        };
        let of_amazon = (of.kind == crds::ProviderType::Bedrock).then(|| vendors_name(name));
        let as_written = named(name).or_else(|| named(without_date(name)?));
        as_written.or_else(|| named(of_amazon?).or_else(|| named(without_date(of_amazon?)?)))
    }
}

/// True if a model is not asked for where any region may answer, at vendors that have an endpoint for that.
fn is_regional(of: &crds::Provider, name: &str) -> bool {
    match of.kind {
        crds::ProviderType::VertexAI => of.vertex_ai.as_ref().is_none_or(|place| place.location != "global"),
        // An ARN ends in the name of its profile.
        crds::ProviderType::Bedrock => !name.rsplit('/').next().is_some_and(|name| name.starts_with("global.")),
        _ => false,
    }
}

/// A model's name as its own vendor has it, of Amazon's: `us.anthropic.claude-sonnet-4-5-20250929-v1:0` is
/// `claude-sonnet-4-5-20250929`.
fn vendors_name(name: &str) -> &str {
    let name = name.split_once("anthropic.").map_or(name, |(_, name)| name);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    name.rsplit_once("-v").filter(|(_, version)| digits(version)).map_or(name, |(name, _)| name)
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

/// The most models that are named as unknown.
const MOST_UNKNOWN: usize = 8;

/// The prices of a pool's models in words: how many of them are written there, how many are of a list and of which date, and those that
/// nobody knows. `None`: it has no providers that cost anything.
pub(super) fn in_words(pool: &Pool) -> Option<String> {
    let charging = || pool.providers.iter().filter(|provider| provider.kind != crate::ProviderKind::Simulated);
    charging().next()?;
    let models = || charging().flat_map(|provider| provider.models.iter().map(move |model| (&provider.name, model)));
    let (mut written, mut listed, mut unknown) = (0, BTreeMap::<&str, usize>::new(), Vec::new());
    for (provider, (name, model)) in models() {
        match (&model.price, &model.price_listed) {
            (Some(_), Some(date)) => *listed.entry(date).or_default() += 1,
            (Some(_), None) => written += 1,
            (None, _) => unknown.push(format!("{provider}/{name}")),
        }
    }
    let any = charging().filter(|provider| provider.models.is_empty());
    unknown.extend(any.map(|provider| format!("every model of {} (it lists none)", provider.name)));
    let mut parts = Vec::new();
    parts.extend((written > 0).then(|| format!("{written} written here")));
    parts.extend(listed.iter().map(|(date, count)| format!("{count} of the list of {date}")));
    let more = unknown.len().saturating_sub(MOST_UNKNOWN);
    unknown.truncate(MOST_UNKNOWN);
    if !unknown.is_empty() {
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        parts.push(format!("unknown: {}{more}", unknown.join(", ")));
    }
    Some(parts.join("; "))
}
