//! A model's price, from what is written to whole numbers: every rate is resolved here, so that to count costs no thought.

use sluicegate_crds as crds;

use super::report::Report;
use super::scalar::{price, scaled};
use crate::{PicoUsd, Price, PriceVariant, PricedTier, Rates};

/// Decimals of a factor.
const FACTOR_DECIMALS: u32 = 6;
/// A factor of one.
pub(super) const ONE: u64 = 1_000_000;

/// The prices that are named.
#[derive(Debug, Clone, Copy, Default)]
struct Named {
    input: Option<PicoUsd>,
    cached_input: Option<PicoUsd>,
    cache_write: Option<PicoUsd>,
    cache_write_1h: Option<PicoUsd>,
    output: Option<PicoUsd>,
    reasoning: Option<PicoUsd>,
    audio_input: Option<PicoUsd>,
    cached_audio: Option<PicoUsd>,
    audio_output: Option<PicoUsd>,
    image_input: Option<PicoUsd>,
    image_output: Option<PicoUsd>,
}

impl Named {
    fn read(from: crds::NamedPrices<'_>, path: &str, report: &mut Report<'_>) -> Self {
        let crds::NamedPrices {
            input,
            cached_input,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            cached_audio,
            audio_output,
            image_input,
            image_output,
        } = from;
        let mut read = |field: &str, decimal: Option<&crds::Decimal>| {
            decimal.map(|decimal| report.check(&format!("{path}.{field}PerMillion"), price(decimal)))
        };
        Self {
            input: read("input", input),
            cached_input: read("cachedInput", cached_input),
            cache_write: read("cacheWrite", cache_write),
            cache_write_1h: read("cacheWrite1h", cache_write_1h),
            output: read("output", output),
            reasoning: read("reasoning", reasoning),
            audio_input: read("audioInput", audio_input),
            cached_audio: read("cachedAudio", cached_audio),
            audio_output: read("audioOutput", audio_output),
            image_input: read("imageInput", image_input),
            image_output: read("imageOutput", image_output),
        }
    }

    /// Its own prices, and what the other names beside them.
    fn over(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            cached_input: self.cached_input.or(other.cached_input),
            cache_write: self.cache_write.or(other.cache_write),
            cache_write_1h: self.cache_write_1h.or(other.cache_write_1h),
            output: self.output.or(other.output),
            reasoning: self.reasoning.or(other.reasoning),
            audio_input: self.audio_input.or(other.audio_input),
            cached_audio: self.cached_audio.or(other.cached_audio),
            audio_output: self.audio_output.or(other.audio_output),
            image_input: self.image_input.or(other.image_input),
            image_output: self.image_output.or(other.image_output),
        }
    }

    /// Each of them times a factor, to the nearest picodollar per token.
    fn times(self, factor: u64) -> Self {
        let times = |PicoUsd(rate)| {
            let exact = u128::from(rate) * u128::from(factor);
            PicoUsd(u64::try_from((exact + u128::from(ONE / 2)) / u128::from(ONE)).unwrap_or(u64::MAX))
        };
        Self {
            input: self.input.map(times),
            cached_input: self.cached_input.map(times),
            cache_write: self.cache_write.map(times),
            cache_write_1h: self.cache_write_1h.map(times),
            output: self.output.map(times),
            reasoning: self.reasoning.map(times),
            audio_input: self.audio_input.map(times),
            cached_audio: self.cached_audio.map(times),
            audio_output: self.audio_output.map(times),
            image_input: self.image_input.map(times),
            image_output: self.image_output.map(times),
        }
    }

    /// The rates: what is not named falls back on what it is a kind of.
    fn rates(self) -> Rates {
        let input = self.input.unwrap_or_default();
        Rates {
            input,
            cached_input: self.cached_input.unwrap_or(input),
            cache_write: self.cache_write.unwrap_or(input),
            cache_write_1h: self.cache_write_1h,
            output: self.output.unwrap_or_default(),
            reasoning: self.reasoning,
            audio_input: self.audio_input,
            cached_audio: self.cached_audio,
            audio_output: self.audio_output,
            image_input: self.image_input,
            image_output: self.image_output,
        }
    }
}

/// A factor, in millionths.
pub(super) fn factor(decimal: &crds::Decimal, path: &str, report: &mut Report<'_>) -> u64 {
    report.check(path, scaled(decimal, FACTOR_DECIMALS))
}

/// A price, compiled.
pub(super) fn compiled(spec: &crds::Price, path: &str, report: &mut Report<'_>) -> Price {
    compiled_times(spec, ONE, path, report)
}

/// A price, compiled, each rate of it times a factor.
pub(super) fn compiled_times(spec: &crds::Price, whole: u64, path: &str, report: &mut Report<'_>) -> Price {
    let path = format!("{path}.price");
    let usual = Named::read(spec.named(), &path, report).times(whole);
    let mut by_length = vec![(None, usual)];
    for (index, long) in spec.long_context.iter().enumerate() {
        let path = format!("{path}.longContext[{index}]");
        if by_length.iter().any(|(over, _)| *over == Some(long.over_tokens)) {
            let message = format!("Duplicate value: {{\"overTokens\":{}}}: list each length once", long.over_tokens);
            report.invalid(&path, message);
        }
        by_length.push((Some(long.over_tokens), Named::read(long.named(), &path, report).times(whole).over(usual)));
    }
    by_length.sort_by_key(|(over, _)| *over);
    let mut variants = Vec::new();
    let longer = by_length.iter().skip(1);
    variants.extend(longer.map(|(over, named)| PriceVariant { tier: None, over_tokens: *over, rates: named.rates() }));
    for (tier, own, factor) in tiers(spec.tiers.as_ref(), &path, report) {
        let rates = |named: &Named| own.times(whole).over(named.times(factor)).rates();
        variants.extend(by_length.iter().map(|(over, named)| PriceVariant {
            tier: Some(tier),
            over_tokens: *over,
            rates: rates(named),
        }));
    }
    Price { rates: usual.rates(), variants }
}

/// The tiers that are priced: what each names itself, and its factor.
fn tiers(spec: Option<&crds::TierPrices>, path: &str, report: &mut Report<'_>) -> Vec<(PricedTier, Named, u64)> {
    let Some(crds::TierPrices { batch, flex, priority }) = spec else { return Vec::new() };
    let listed = [
        (PricedTier::Batch, "batch", batch),
        (PricedTier::Flex, "flex", flex),
        (PricedTier::Priority, "priority", priority),
    ];
    let mut priced = Vec::new();
    for (tier, name, spec) in listed {
        let Some(spec) = spec else { continue };
        let path = format!("{path}.tiers.{name}");
        let named = Named::read(spec.named(), &path, report);
        let own = spec.factor.as_ref();
        let factor = own.map_or(ONE, |decimal| factor(decimal, &format!("{path}.factor"), report));
        priced.push((tier, named, factor));
    }
    priced
}

#[cfg(test)]
mod tests {
    use super::super::{compile, manifests};
    use super::*;

    fn price(text: &str) -> Price {
        let manifest = format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\n\
             spec: {{providers: [{{name: one, type: OpenAI, url: \"https://api.example.com\", models: [{{name: m, price: {{{text}}}}}]}}]}}"
        );
        let (inputs, findings) = manifests::read(&[("p.yaml".to_owned(), manifest)]);
        let compiled = compile(&inputs);
        let pool = compiled.snapshot.pools.into_values().next();
        let pool = pool.unwrap_or_else(|| panic!("{findings:?} {:?}", compiled.verdicts));
        let model = pool.providers.into_iter().next().unwrap().models.remove("m").unwrap();
        Price::clone(&model.price.unwrap())
    }

    #[test]
    fn what_is_not_named_falls_back_on_what_it_is_a_kind_of() {
        let plain = price("inputPerMillion: \"3\", outputPerMillion: \"15\"");
        assert_eq!(plain.rates.cached_input, PicoUsd(3_000_000));
        assert_eq!(plain.rates.cache_write, PicoUsd(3_000_000));
        assert_eq!((plain.rates.cache_write_1h, plain.rates.reasoning), (None, None));
        assert!(plain.variants.is_empty());
    }

    #[test]
    fn long_prompts_and_tiers_have_whole_rates_of_their_own_and_both_together() {
        let price = price(
            "inputPerMillion: \"1.25\", cachedInputPerMillion: \"0.125\", outputPerMillion: \"10\", \
             longContext: [{overTokens: 200000, inputPerMillion: \"2.50\", outputPerMillion: \"15\"}], \
             tiers: {batch: {factor: \"0.5\"}, priority: {inputPerMillion: \"2.25\", factor: \"1.8\"}}",
        );
        let of = |tier, input| price.rates(tier, input).map(|r| (r.input.0, r.cached_input.0, r.output.0));
        assert_eq!(of(None, 200_000), Some((1_250_000, 125_000, 10_000_000)));
        assert_eq!(of(None, 200_001), Some((2_500_000, 125_000, 15_000_000)));
        assert_eq!(of(Some(PricedTier::Batch), 1), Some((625_000, 62_500, 5_000_000)));
        assert_eq!(of(Some(PricedTier::Batch), 300_000), Some((1_250_000, 62_500, 7_500_000)));
        assert_eq!(of(Some(PricedTier::Priority), 1), Some((2_250_000, 225_000, 18_000_000)));
        assert_eq!(of(Some(PricedTier::Flex), 1), None);
    }
}
