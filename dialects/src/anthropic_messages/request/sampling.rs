//! The sampling of answers: what changes what is asked for is refused, what only steers is left out where the model
//! does not take it.

use crate::anthropic_messages::blocks_out::BlockWriter;
use crate::codec::{ProviderProfile, Refusal};
use crate::hub::{self, Call};
use crate::vendors::{self, SamplingTaken};
use serde_json::Number;

/// The three settings on the wire.
#[derive(Default)]
pub(super) struct Drawn<'a> {
    pub(super) temperature: Option<&'a Number>,
    pub(super) top_p: Option<&'a Number>,
    pub(super) top_k: Option<u64>,
}

/// Decides them. `thinks`: the model thinks first, and Anthropic takes no sampling beside it. Errors: more answers than one,
/// a temperature that Anthropic's range does not have.
pub(super) fn plan<'a>(
    call: &'a Call,
    profile: &'a ProviderProfile,
    thinks: bool,
    writer: &mut BlockWriter,
) -> Result<Drawn<'a>, Refusal> {
    let hub::Sampling { temperature, top_p, top_k, seed, frequency_penalty, presence_penalty, choices } =
        &call.sampling;
    if choices.is_some_and(|n| n != 1) {
        return Err(Refusal::field(
            "n",
            "Anthropic gives one answer to a call; send as many calls as answers are wanted",
        ));
    }
    if seed.is_some() {
        writer.drop_field("seed");
    }
    let is_set = |penalty: &Option<Number>| penalty.as_ref().and_then(Number::as_f64).is_some_and(|value| value != 0.0);
    for (name, penalty) in [("frequency_penalty", frequency_penalty), ("presence_penalty", presence_penalty)] {
        if is_set(penalty) {
            writer.drop_field(name);
        }
    }
    let default = profile.default_temperature.as_ref();
    let drawn = Drawn { temperature: temperature.as_ref(), top_p: top_p.as_ref(), top_k: *top_k };
    if !writer.cross_dialect() {
        return Ok(Drawn { temperature: drawn.temperature.or(default.filter(|_| !thinks)), ..drawn });
    }
    translated(drawn, (default, thinks), &call.model, writer)
}

/// The part of another dialect's settings that the model takes.
fn translated<'a>(
    mut drawn: Drawn<'a>,
    (default, thinks): (Option<&'a Number>, bool),
    model: &str,
    writer: &mut BlockWriter,
) -> Result<Drawn<'a>, Refusal> {
    // 1 is no wish: all tokens count.
    drawn.top_p = drawn.top_p.filter(|top_p| top_p.as_f64() != Some(1.0));
    let takes = vendors::claude(model).sampling;
    if thinks || takes == SamplingTaken::None {
        // 1 is what these models do anyway.
        let wished = drawn.temperature.is_some_and(|degree| degree.as_f64() != Some(1.0));
        for (name, said) in
            [("temperature", wished), ("top_p", drawn.top_p.is_some()), ("top_k", drawn.top_k.is_some())]
        {
            if said {
                writer.drop_field(name);
            }
        }
        return Ok(Drawn::default());
    }
    if let Some(degree) = drawn.temperature.and_then(Number::as_f64)
        && !(0.0..=1.0).contains(&degree)
    {
        let why = format_args!("{degree} is outside Anthropic's range of 0 to 1");
        return Err(Refusal::field("temperature", why));
    }
    if drawn.top_p.is_none() || takes == SamplingTaken::All {
        drawn.temperature = drawn.temperature.or(default);
    }
    if takes == SamplingTaken::One && drawn.temperature.is_some() && drawn.top_p.take().is_some() {
        writer.drop_field("top_p");
    }
    Ok(drawn)
}
