//! The cost of tokens: a usage by a model's price, in whole picodollars. Pure.

use sluicegate_config::{PicoUsd, Price, PricedTier};
use sluicegate_dialects::hub::{ServiceTier, Usage};

/// The cost of a usage; stops at the largest number instead of wrapping. `None`: nobody said what its service tier costs.
///
/// Every token counts once, as the dearest-named thing it is: what the cache had a part in first, then audio, then images, then
/// text; of the output reasoning first. The length of a prompt is all of it, cached tokens included; of several prompts that of the longest.
#[must_use]
pub fn cost(usage: &Usage, price: &Price) -> Option<PicoUsd> {
    let tier = match usage.tier {
        ServiceTier::Unsaid | ServiceTier::Standard => None,
        ServiceTier::Batch => Some(PricedTier::Batch),
        ServiceTier::Flex => Some(PricedTier::Flex),
        ServiceTier::Priority => Some(PricedTier::Priority),
        ServiceTier::Other => return None,
    };
    let rates = price.rates(tier, usage.longest_prompt())?;
    let cached = usage.cached_input.min(usage.input);
    let written = usage.cache_write.min(usage.input - cached);
    let for_an_hour = usage.cache_write_1h.min(written);
    let fresh = usage.input - cached - written;
    let cached_audio = usage.cached_audio.min(cached);
    let audio = usage.audio_input.saturating_sub(cached_audio).min(fresh);
    let images = usage.image_input.min(fresh - audio);
    let reasoning = usage.reasoning.min(usage.output);
    let spoken = usage.audio_output.min(usage.output - reasoning);
    let drawn = usage.image_output.min(usage.output - reasoning - spoken);
    let parts = [
        (fresh - audio - images, rates.input),
        (audio, rates.audio_input.unwrap_or(rates.input)),
        (images, rates.image_input.unwrap_or(rates.input)),
        (cached - cached_audio, rates.cached_input),
        (cached_audio, rates.cached_audio.unwrap_or(rates.cached_input)),
        (written - for_an_hour, rates.cache_write),
        (for_an_hour, rates.cache_write_1h.unwrap_or(rates.cache_write)),
        (usage.output - reasoning - spoken - drawn, rates.output),
        (reasoning, rates.reasoning.unwrap_or(rates.output)),
        (spoken, rates.audio_output.unwrap_or(rates.output)),
        (drawn, rates.image_output.unwrap_or(rates.output)),
    ];
    Some(PicoUsd(parts.iter().fold(0, |sum: u64, (tokens, each)| sum.saturating_add(tokens.saturating_mul(each.0)))))
}

/// The part of the prompt cache in a cost: what was saved by reading from it, and what writing to it cost on top of the usual. `None`:
/// nobody said what the service tier costs.
#[must_use]
pub fn prompt_cache(usage: &Usage, price: &Price) -> Option<(PicoUsd, PicoUsd)> {
    let plain = Usage { cached_input: 0, cache_write: 0, cache_write_1h: 0, cached_audio: 0, ..*usage };
    let written = Usage { cached_input: 0, cached_audio: 0, ..*usage };
    let [without, with, all] = [&plain, &written, usage].map(|usage| cost(usage, price));
    let (without, with, all) = (without?, with?, all?);
    Some((PicoUsd(with.0.saturating_sub(all.0)), PicoUsd(with.0.saturating_sub(without.0))))
}

#[cfg(test)]
mod tests {
    use sluicegate_config::{PriceVariant, Rates};

    use super::*;

    fn plain() -> Rates {
        Rates {
            cached_input: PicoUsd(10),
            cache_write: PicoUsd(125),
            cache_write_1h: Some(PicoUsd(200)),
            ..Rates::of(PicoUsd(100), PicoUsd(500))
        }
    }

    fn of(price: &Price, usage: Usage) -> Option<u64> {
        cost(&usage, price).map(|cost| cost.0)
    }

    #[test]
    fn every_token_counts_once_by_its_kind() {
        let plain = Price::of(self::plain());
        let kinds = Price::of(Rates {
            reasoning: Some(PicoUsd(600)),
            audio_input: Some(PicoUsd(1_000)),
            cached_audio: Some(PicoUsd(30)),
            audio_output: Some(PicoUsd(2_000)),
            image_input: Some(PicoUsd(400)),
            image_output: Some(PicoUsd(3_000)),
            ..self::plain()
        });
        let used = Usage { input: 100, output: 10, ..Usage::default() };
        let mixed = Usage { cached_input: 40, cache_write: 20, cache_write_1h: 5, reasoning: 4, ..used };
        let heard =
            Usage { audio_input: 30, cached_audio: 10, image_input: 7, audio_output: 3, image_output: 2, ..mixed };
        for (price, usage, expected) in [
            (&plain, used, 100 * 100 + 10 * 500),
            (&plain, mixed, 40 * 100 + 40 * 10 + 15 * 125 + 5 * 200 + 10 * 500),
            // What the price does not tell apart costs as what it is a kind of.
            (&plain, heard, 40 * 100 + 40 * 10 + 15 * 125 + 5 * 200 + 10 * 500),
            (&kinds, mixed, 40 * 100 + 40 * 10 + 15 * 125 + 5 * 200 + 6 * 500 + 4 * 600),
            (
                &kinds,
                heard,
                (13 * 100 + 20 * 1_000 + 7 * 400 + 30 * 10 + 10 * 30 + 15 * 125 + 5 * 200)
                    + (500 + 4 * 600 + 3 * 2_000 + 2 * 3_000),
            ),
            // Parts that are more than the whole are cut to it.
            (
                &plain,
                Usage { cached_input: 300, cache_write: 9, audio_input: 500, reasoning: 99, ..used },
                100 * 10 + 10 * 500,
            ),
            (&plain, Usage { input: u64::MAX, ..used }, u64::MAX),
            (&plain, Usage::default(), 0),
        ] {
            assert_eq!(of(price, usage), Some(expected), "{usage:?}");
        }
    }

    #[test]
    fn a_tier_and_a_long_prompt_have_their_own_rates_and_a_tier_without_is_unknown() {
        let at = |input, output| Rates { input: PicoUsd(input), output: PicoUsd(output), ..plain() };
        let variant = |tier, over_tokens, rates| PriceVariant { tier, over_tokens, rates };
        let flex = Some(PricedTier::Flex);
        let price = Price {
            rates: at(4, 8),
            variants: vec![
                variant(None, Some(1_000), at(8, 12)),
                variant(None, Some(5_000), at(16, 20)),
                variant(flex, None, at(2, 4)),
                variant(flex, Some(1_000), at(4, 6)),
            ],
        };
        let used = |input, tier| Usage { input, output: 1, tier, ..Usage::default() };
        for (input, tier, expected) in [
            (1_000, ServiceTier::Unsaid, Some(4_008)),
            (1_000, ServiceTier::Standard, Some(4_008)),
            (1_001, ServiceTier::Standard, Some(8 * 1_001 + 12)),
            (5_001, ServiceTier::Standard, Some(16 * 5_001 + 20)),
            (1_000, ServiceTier::Flex, Some(2_004)),
            (1_001, ServiceTier::Flex, Some(4 * 1_001 + 6)),
            (1, ServiceTier::Priority, None),
            (1, ServiceTier::Batch, None),
            (1, ServiceTier::Other, None),
        ] {
            assert_eq!(of(&price, used(input, tier)), expected, "{input} {tier:?}");
        }
        // A prompt is as long as all of it, cached or not.
        let cached = Usage { cached_input: 1_000, ..used(1_001, ServiceTier::Unsaid) };
        assert_eq!(of(&price, cached), Some(8 + 1_000 * 10 + 12));
    }

    #[test]
    fn what_is_written_to_a_prompt_cache_costs_by_how_long_it_is_kept() {
        let rates = Rates {
            cached_input: PicoUsd(100_000),
            cache_write: PicoUsd(1_250_000),
            cache_write_1h: Some(PicoUsd(2_000_000)),
            ..Rates::of(PicoUsd(1_000_000), PicoUsd(5_000_000))
        };
        let used = |cache_write, cache_write_1h| Usage {
            input: 2_000 + 80_000 + cache_write,
            cached_input: 80_000,
            cache_write,
            cache_write_1h,
            output: 1_000,
            ..Usage::default()
        };
        // In millionths of a dollar.
        let of = |usage, rates| of(&Price::of(rates), usage).map(|cost| cost / 1_000_000);
        assert_eq!(of(used(5_000, 4_000), rates), Some(24_250));
        // No breakdown: all of it is of the usual minutes.
        assert_eq!(of(used(5_000, 0), rates), Some(21_250));
        // The whole is believed, and the surcharge is on no more than that.
        assert_eq!(of(used(5_000, 9_000), rates), Some(25_000));
        // No price for an hour: as for the minutes.
        assert_eq!(of(used(5_000, 4_000), Rates { cache_write_1h: None, ..rates }), Some(21_250));
    }

    #[test]
    fn the_cache_saves_what_is_read_and_costs_what_is_written() {
        let of = |usage: Usage| prompt_cache(&usage, &Price::of(plain())).map(|(saved, extra)| (saved.0, extra.0));
        let used = Usage { input: 100, output: 10, ..Usage::default() };
        assert_eq!(of(used), Some((0, 0)));
        // 40 at 10 instead of 100; 15 at 125 and 5 at 200 instead of 100.
        let mixed = Usage { cached_input: 40, cache_write: 20, cache_write_1h: 5, ..used };
        assert_eq!(of(mixed), Some((40 * 90, 15 * 25 + 5 * 100)));
        assert_eq!(of(Usage { tier: ServiceTier::Other, ..mixed }), None);
    }

    #[test]
    fn a_price_never_wraps() {
        let most = PicoUsd(u64::MAX);
        let price = Price::of(Rates { cache_write_1h: Some(most), ..Rates::of(most, most) });
        let usage = Usage { input: u64::MAX, cached_input: u64::MAX, cache_write: 5, output: 3, ..Usage::default() };
        assert_eq!(of(&price, usage), Some(u64::MAX));
        assert_eq!(of(&price, Usage::default()), Some(0));
    }
}
