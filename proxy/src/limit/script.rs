//! The script by which Redis counts, and its answers.
//!
//! It is a `SlidingWindow` in a hash: `h` and `n` are the numbers of the first slot and of the one after the last, `u` is all that counts,
//! `c` the clock of the last write; a slot is a field named by its number. One script on one key: it takes, corrects what was
//! taken before, and says how it stands.

use ::redis::Value;

use super::leases::Ahead;
use super::pending::{Correction, SharedSlot};
use super::prepared::LimitKey;
use super::window::Terms;
use crate::redis::{RedisClient, Script, Unanswered};

const SOURCE: &str = include_str!("window.lua");

/// The count's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CountAnswer {
    /// The slot that was taken from; `None`: there is no room.
    pub(super) slot: Option<SharedSlot>,
    /// All that counts now.
    pub(super) used: u64,
    /// The time after which there is room; `None`: there never is.
    pub(super) after: Option<u64>,
    /// The time after which nothing counts.
    pub(super) empty_after: u64,
    /// The part that was taken ahead.
    pub(super) leased: u64,
}

/// The script, ready to be named.
#[derive(Debug)]
pub(super) struct WindowScript(Script);

impl WindowScript {
    pub(super) fn new() -> Self {
        Self(Script::new(SOURCE))
    }

    /// Takes `cost` (0: nothing) and what may be taken `ahead`, after what is to be corrected.
    pub(super) async fn ask(
        &self,
        redis: &RedisClient,
        (key, terms): (&LimitKey, Terms),
        (cost, ahead): (u64, Ahead),
        corrections: &[Correction],
    ) -> Result<CountAnswer, Unanswered> {
        let Terms { amount, span, width } = terms;
        let mut numbers: Vec<String> =
            [span, width, amount, cost, ahead.cost, ahead.life].iter().map(u64::to_string).collect();
        for correction in corrections {
            let (number, from, change) = match correction {
                Correction::Of(slot, change) => (slot.number, slot.from, *change),
                Correction::New(0) => continue,
                Correction::New(cost) => (0, 0, i64::try_from(*cost).unwrap_or(i64::MAX)),
            };
            numbers.extend([number.to_string(), from.to_string(), change.to_string()]);
        }
        let arguments: Vec<&[u8]> = numbers.iter().map(String::as_bytes).collect();
        let place = key.place();
        let value = redis.eval(&self.0, &[&place], &arguments).await?;
        read(&value).ok_or(Unanswered::Refused)
    }
}

pub(super) fn read(value: &Value) -> Option<CountAnswer> {
    let Value::Array(values) = value else { return None };
    let number = |at: usize| match values.get(at)? {
        Value::Int(number) => Some(*number),
        _ => None,
    };
    let positive = |at: usize| number(at).and_then(|number| u64::try_from(number).ok());
    let granted = number(0)? == 1;
    let slot = if granted { Some(SharedSlot { number: positive(2)?, from: positive(3)? }) } else { None };
    let (used, after, empty_after) = (positive(1)?, positive(4), positive(5)?);
    Some(CountAnswer { slot, used, after, empty_after, leased: positive(6)? })
}
