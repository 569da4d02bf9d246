//! Token counts: Anthropic counts cached input beside `input_tokens`, the hub counts all input as one.

use serde::{Deserialize, Serialize};

use crate::hub::{ServiceTier, Usage};
use crate::observe::COUNTS;
use crate::passes::Apart;
use crate::scan::{self, Count, CountPlace, CountsFound};
use crate::token_count;

/// Counts as Anthropic writes them. In a stream each is cumulative, and only those that changed need be there.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
pub(crate) struct MessagesUsage {
    #[serde(default, deserialize_with = "token_count::read")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "token_count::read")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "token_count::read")]
    cache_read_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation: Option<Creation>,
    #[serde(default, deserialize_with = "token_count::read")]
    output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<OutputDetails>,
    #[serde(default, skip_serializing)]
    service_tier: ServiceTier,
    /// A faster answer for more, whatever the tier.
    #[serde(default, skip_serializing)]
    speed: ServiceTier,
    #[serde(default, skip_serializing, rename = "iterations")]
    apart: Apart,
}

/// The tokens written to the prompt cache, by the time that they are kept there.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
struct Creation {
    #[serde(default, deserialize_with = "token_count::read")]
    ephemeral_5m_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "token_count::read")]
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
struct OutputDetails {
    #[serde(default, deserialize_with = "token_count::read")]
    thinking_tokens: Option<u64>,
}

/// The later of two cumulative counts; a zero is none.
fn grown(known: Option<u64>, said: Option<u64>) -> Option<u64> {
    said.filter(|said| *said > 0).or(known).or(said)
}

/// The later of two divisions of a whole that grows. A zero in it is believed where the whole has not become less by it.
fn later_parts<const N: usize>(known: [Option<u64>; N], said: [Option<u64>; N]) -> [Option<u64>; N] {
    let whole = |parts: [Option<u64>; N]| parts.into_iter().flatten().fold(0, u64::saturating_add);
    let with = |take: fn(Option<u64>, Option<u64>) -> Option<u64>| {
        std::array::from_fn(|at| {
            let of = |parts: &[Option<u64>; N]| parts.get(at).copied().flatten();
            take(of(&known), of(&said))
        })
    };
    let later = with(|known, said| said.or(known));
    if whole(later) < whole(known) { with(grown) } else { later }
}

impl Creation {
    fn tokens(self) -> u64 {
        let [minutes, hour] =
            [self.ephemeral_5m_input_tokens, self.ephemeral_1h_input_tokens].map(Option::unwrap_or_default);
        minutes.saturating_add(hour)
    }

    fn updated(self, later: Self) -> Self {
        let parts = |of: Self| [of.ephemeral_5m_input_tokens, of.ephemeral_1h_input_tokens];
        let [ephemeral_5m_input_tokens, ephemeral_1h_input_tokens] = later_parts(parts(self), parts(later));
        Self { ephemeral_5m_input_tokens, ephemeral_1h_input_tokens }
    }
}

/// The counts above, by the names they have on the wire; whatever else a usage object has, the hub has no word for.
pub(super) const NAMES: [&str; 5] = [
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
];

impl MessagesUsage {
    /// The places of the counts on the wire, for [`Self::read`].
    pub(crate) const PLACES: &'static scan::Names = &[
        (b"input_tokens", CountPlace::At(0)),
        (b"cache_creation_input_tokens", CountPlace::At(1)),
        (b"cache_read_input_tokens", CountPlace::At(2)),
        (b"output_tokens", CountPlace::At(3)),
        (b"output_tokens_details", CountPlace::In(4, &[(b"thinking_tokens", 5)])),
        (b"cache_creation", CountPlace::In(6, &[(b"ephemeral_5m_input_tokens", 7), (b"ephemeral_1h_input_tokens", 8)])),
        (b"service_tier", CountPlace::Word(9, ServiceTier::number_of_json)),
        (b"speed", CountPlace::Word(10, ServiceTier::number_of_json)),
        // A list is no count: a parser that knows everything looks at it.
        (b"iterations", CountPlace::At(11)),
    ];

    /// Reads a usage object that was looked at: mostly the look has seen all. `None`: it is none.
    pub(crate) fn read(seen: &CountsFound<'_, 12>) -> Option<Self> {
        let Some(counts) = seen.plain else { return serde_json::from_slice(seen.json).ok() };
        let [input, written, cached, output, details, thinking, creation, minutes, hour, tier, speed, _] = counts;
        Some(Self {
            input_tokens: input.number(),
            cache_creation_input_tokens: written.number(),
            cache_read_input_tokens: cached.number(),
            cache_creation: (creation == Count::Object).then(|| Creation {
                ephemeral_5m_input_tokens: minutes.number(),
                ephemeral_1h_input_tokens: hour.number(),
            }),
            output_tokens: output.number(),
            output_tokens_details: (details == Count::Object)
                .then(|| OutputDetails { thinking_tokens: thinking.number() }),
            service_tier: ServiceTier::numbered(tier.number()),
            speed: ServiceTier::numbered(speed.number()),
            apart: Apart::default(),
        })
    }

    /// Takes over every count that `later` has. They are cumulative, so a zero takes back nothing that was told: servers that count the
    /// prompt at a stream's beginning alone write zeros at its end. Only where the input as a whole is not less is a zero one of its
    /// parts: what was guessed as fresh at the beginning may be known to have come from the cache at the end.
    pub(crate) fn update(&mut self, later: Self) {
        let Self {
            input_tokens,
            cache_creation_input_tokens,
            cache_read_input_tokens,
            cache_creation,
            output_tokens,
            output_tokens_details,
            service_tier,
            speed,
            apart,
        } = later;
        let said = [input_tokens, cache_creation_input_tokens, cache_read_input_tokens];
        let known = [self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens];
        let [input, written, cached] = later_parts(known, said);
        (self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens) = (input, written, cached);
        self.cache_creation = match (self.cache_creation, cache_creation) {
            (Some(known), Some(said)) => Some(known.updated(said)),
            (known, said) => said.or(known),
        };
        self.output_tokens = grown(self.output_tokens, output_tokens);
        let thinking = |details: Option<OutputDetails>| details.and_then(|details| details.thinking_tokens);
        let thinking_tokens = grown(thinking(self.output_tokens_details), thinking(output_tokens_details));
        self.output_tokens_details =
            output_tokens_details.or(self.output_tokens_details).map(|_| OutputDetails { thinking_tokens });
        self.service_tier = service_tier.or(self.service_tier);
        self.speed = speed.or(self.speed);
        self.apart = if apart == Apart::default() { self.apart } else { apart };
    }

    /// True if `said`'s member of that name is a zero, or nothing, where this one, which is as much or later, has a count.
    pub(super) fn outlives(&self, said: &Self, name: &str) -> bool {
        let count = |of: &Self| match name {
            "input_tokens" => of.input_tokens,
            "cache_creation_input_tokens" => of.cache_creation_input_tokens,
            "cache_read_input_tokens" => of.cache_read_input_tokens,
            "output_tokens" => of.output_tokens,
            "cache_creation" => of.cache_creation.map(Creation::tokens),
            "output_tokens_details" => of.output_tokens_details.and_then(|details| details.thinking_tokens),
            _ => None,
        };
        count(said).is_none_or(|said| said == 0) && count(self).is_some_and(|count| count > 0)
    }

    /// Every count, in an order of its own.
    pub(super) fn counts(self) -> [Option<u64>; COUNTS] {
        let Creation { ephemeral_5m_input_tokens, ephemeral_1h_input_tokens } = self.cache_creation.unwrap_or_default();
        let OutputDetails { thinking_tokens } = self.output_tokens_details.unwrap_or_default();
        let (written, read) = (self.cache_creation_input_tokens, self.cache_read_input_tokens);
        let (input, output) = (self.input_tokens, self.output_tokens);
        let (minutes, hour) = (ephemeral_5m_input_tokens, ephemeral_1h_input_tokens);
        let (tier, speed) = (Some(self.service_tier.number()), Some(self.speed.number()));
        let Apart { fresh, cached, written: apart_written, for_an_hour, output: apart_output, longest } = self.apart;
        let apart = [fresh, cached, apart_written, for_an_hour, apart_output, longest];
        let [fresh, cached, apart_written, for_an_hour, apart_output, longest] =
            apart.map(|count| (count > 0).then_some(count));
        [
            input,
            written,
            read,
            output,
            thinking_tokens,
            minutes,
            hour,
            tier,
            speed,
            fresh,
            cached,
            apart_written,
            for_an_hour,
            apart_output,
            longest,
        ]
    }

    /// Out of the counts in that order.
    pub(super) fn of_counts(counts: [Option<u64>; COUNTS]) -> Self {
        let [input, written, read, output, thinking_tokens, minutes, hour, tier, speed, apart @ ..] = counts;
        let [fresh, cached, apart_written, for_an_hour, apart_output, longest] = apart.map(Option::unwrap_or_default);
        let creation = Creation { ephemeral_5m_input_tokens: minutes, ephemeral_1h_input_tokens: hour };
        Self {
            input_tokens: input,
            cache_creation_input_tokens: written,
            cache_read_input_tokens: read,
            cache_creation: minutes.or(hour).map(|_| creation),
            output_tokens: output,
            output_tokens_details: thinking_tokens.map(|_| OutputDetails { thinking_tokens }),
            service_tier: ServiceTier::numbered(tier),
            speed: ServiceTier::numbered(speed),
            apart: Apart { fresh, cached, written: apart_written, for_an_hour, output: apart_output, longest },
        }
    }

    /// True if it says how long the answer is.
    pub(super) fn counts_output(&self) -> bool {
        self.output_tokens.is_some_and(|tokens| tokens > 0)
    }

    /// In the hub's words.
    pub(crate) fn usage(&self) -> Usage {
        let cached_input = self.cache_read_input_tokens.unwrap_or(0);
        let Creation { ephemeral_5m_input_tokens, ephemeral_1h_input_tokens } = self.cache_creation.unwrap_or_default();
        let hour = ephemeral_1h_input_tokens.unwrap_or(0);
        let parts = ephemeral_5m_input_tokens.unwrap_or(0).saturating_add(hour);
        // Where the parts are not the whole, the whole is believed.
        let cache_write = self.cache_creation_input_tokens.unwrap_or(parts);
        self.apart.added_to(Usage {
            input: self.input_tokens.unwrap_or(0).saturating_add(cached_input).saturating_add(cache_write),
            cached_input,
            cache_write,
            cache_write_1h: hour.min(cache_write),
            output: self.output_tokens.unwrap_or(0),
            reasoning: self.output_tokens_details.and_then(|details| details.thinking_tokens).unwrap_or(0),
            tier: if self.speed == ServiceTier::Priority { self.speed } else { self.service_tier },
            ..Usage::default()
        })
    }

    /// Out of the hub's words.
    pub(super) fn of(usage: Usage) -> Self {
        // The dialect counts neither audio nor images apart, and its tiers are not another vendor's.
        let Usage {
            input,
            cached_input,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            audio_input: _,
            cached_audio: _,
            image_input: _,
            audio_output: _,
            image_output: _,
            longest_input: _,
            tier: _,
        } = usage;
        let creation = Creation {
            ephemeral_5m_input_tokens: Some(cache_write.saturating_sub(cache_write_1h)),
            ephemeral_1h_input_tokens: Some(cache_write_1h),
        };
        Self {
            input_tokens: Some(input.saturating_sub(cached_input).saturating_sub(cache_write)),
            cache_creation_input_tokens: Some(cache_write),
            cache_read_input_tokens: Some(cached_input),
            cache_creation: (cache_write_1h > 0).then_some(creation),
            output_tokens: Some(output),
            output_tokens_details: (reasoning > 0).then_some(OutputDetails { thinking_tokens: Some(reasoning) }),
            service_tier: ServiceTier::Unsaid,
            speed: ServiceTier::Unsaid,
            apart: Apart::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of([input, written, cached, output]: [u64; 4]) -> MessagesUsage {
        let json = format!(
            r#"{{"input_tokens":{input},"cache_creation_input_tokens":{written},"cache_read_input_tokens":{cached},"output_tokens":{output}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_zero_takes_back_nothing_that_was_told() {
        for (start, delta, counts) in [
            ([9, 2, 5, 1], [0, 0, 0, 16], [9, 2, 5, 16]),
            ([9, 2, 5, 1], [9, 0, 0, 16], [9, 2, 5, 16]),
            ([9, 2, 5, 1], [9, 2, 5, 16], [9, 2, 5, 16]),
            ([0, 0, 0, 0], [11, 4, 7, 5], [11, 4, 7, 5]),
            ([9, 0, 0, 1], [60, 0, 5, 0], [60, 0, 5, 1]),
            // The prompt was guessed, and is known at the end: more of it may come from the cache.
            ([900, 0, 0, 1], [0, 0, 900, 7], [0, 0, 900, 7]),
            ([900, 0, 0, 1], [20, 0, 860, 7], [20, 0, 860, 7]),
            ([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]),
        ] {
            let mut usage = of(start);
            usage.update(of(delta));
            let counted = [
                usage.input_tokens,
                usage.cache_creation_input_tokens,
                usage.cache_read_input_tokens,
                usage.output_tokens,
            ];
            assert_eq!(counted, counts.map(Some), "{start:?} {delta:?}");
        }
        let mut usage: MessagesUsage = serde_json::from_str(
            r#"{"input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":6},"output_tokens":1,"output_tokens_details":{"thinking_tokens":3}}"#,
        )
        .unwrap();
        let zeros = r#"{"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":12,"output_tokens_details":{"thinking_tokens":0}}"#;
        usage.update(serde_json::from_str(zeros).unwrap());
        let told = Usage { input: 16, cache_write: 7, cache_write_1h: 6, output: 12, reasoning: 3, ..Usage::default() };
        assert_eq!(usage.usage(), told);
    }
}
