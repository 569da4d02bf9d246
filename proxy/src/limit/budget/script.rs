//! The script by which Redis counts what is spent, and its answers.

use ::redis::Value;

use super::batches::{Batch, Entry};
use super::period::BudgetPlace;
use crate::redis::{RedisClient, Script, Unanswered};

/// The most that one call reserves or uses of a budget, which is the most that a budget may be of: more, and Redis could not add it.
pub(crate) const MOST_OF_CALL: u64 = 9_000_000_000_000_000_000;

const SOURCE: &str = include_str!("budget.lua");

/// A reservation that is asked for.
#[derive(Debug, Clone)]
pub(super) struct SpendRequest<'a> {
    pub(super) call: &'a str,
    pub(super) cost: u64,
    /// The most that may be spent before it; `None`: it is never refused.
    pub(super) room: Option<Option<u64>>,
    /// The time in milliseconds after which its proxy is gone.
    pub(super) lease: u64,
}

/// The answer to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Granted {
    Yes,
    No,
    /// By Redis's clock it is another period.
    OtherPeriod,
}

/// The count's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpendAnswer {
    pub(super) granted: Granted,
    /// All that is spent or reserved.
    pub(super) spent: u64,
    /// Redis's clock, in milliseconds since 1970.
    pub(super) now: u64,
    /// The same in microseconds.
    pub(super) at: u64,
    /// True if the batch is booked.
    pub(super) is_booked: bool,
    /// The last batch of this worker that was booked before.
    pub(super) applied: u64,
    /// Reservations that nobody settled in time.
    pub(super) expired: u64,
    /// Settlements that came too late.
    pub(super) late: u64,
    /// Thresholds that were told of before, and those that are crossed.
    pub(super) told: usize,
    pub(super) crossed: usize,
}

/// The script, ready to be named.
#[derive(Debug)]
pub(super) struct SpendScript(Script);

impl SpendScript {
    pub(super) fn new() -> Self {
        Self(Script::new(SOURCE))
    }

    /// Books what a batch says, if there is one, and then reserves, if that is asked.
    pub(super) async fn ask(
        &self,
        redis: &RedisClient,
        (place, alerts): (&BudgetPlace, &[(u8, u64)]),
        ask: Option<&SpendRequest<'_>>,
        (worker, batch): (&str, Option<&Batch>),
    ) -> Result<SpendAnswer, Unanswered> {
        let (sums, open) = names(place);
        // That of the whole is marked.
        let mark = |percent: u8| if percent == 100 { "!" } else { "" };
        let thresholds: Vec<String> = alerts.iter().map(|(percent, at)| format!("{at}{}", mark(*percent))).collect();
        let mut texts =
            vec![place.period.start.to_string(), place.period.end.unwrap_or(0).to_string(), thresholds.join(",")];
        match ask {
            Some(SpendRequest { call, cost, room, lease }) => texts.extend([
                match room {
                    None => "*".to_owned(),
                    Some(room) => room.map_or_else(String::new, |room| room.to_string()),
                },
                cost.to_string(),
                (*call).to_owned(),
                lease.to_string(),
            ]),
            None => texts.extend([String::new(), "0".to_owned(), String::new(), "0".to_owned()]),
        }
        let (number, before) = batch.map_or((0, 0), |batch| (batch.number, batch.before));
        texts.extend([worker.to_owned(), number.to_string(), before.to_string()]);
        for entry in batch.into_iter().flat_map(|batch| &batch.entries) {
            texts.extend(match entry {
                Entry::Reserve { call, cost, lease } => {
                    ["R".to_owned(), call.to_string(), cost.to_string(), "0".to_owned(), lease.to_string()]
                }
                Entry::Settle { call, reserved, used, deadline } => {
                    ["S".to_owned(), call.to_string(), reserved.to_string(), used.to_string(), deadline.to_string()]
                }
            });
        }
        let arguments: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        let value = redis.eval(&self.0, &[&sums, &open], &arguments).await?;
        read(&value).ok_or(Unanswered::Refused)
    }
}

/// The two keys of a place; they lie in one slot.
fn names(BudgetPlace { key, period }: &BudgetPlace) -> (String, String) {
    let (name, start) = (key.slot_name(), period.start);
    (format!("{name}:budget:{start}"), format!("{name}:open:{start}"))
}

pub(super) fn read(value: &Value) -> Option<SpendAnswer> {
    let Value::Array(values) = value else { return None };
    let number = |at: usize| match values.get(at)? {
        Value::Int(number) => Some(*number),
        _ => None,
    };
    let positive = |at: usize| number(at).and_then(|number| u64::try_from(number).ok());
    let size = |at: usize| positive(at).and_then(|number| usize::try_from(number).ok());
    let spent = match values.get(1)? {
        Value::BulkString(text) => std::str::from_utf8(text).ok()?.parse().ok()?,
        Value::SimpleString(text) => text.parse().ok()?,
        _ => return None,
    };
    let granted = match number(0)? {
        1 => Granted::Yes,
        0 => Granted::No,
        _ => Granted::OtherPeriod,
    };
    Some(SpendAnswer {
        granted,
        spent,
        now: positive(2)?,
        at: positive(9)?,
        is_booked: number(3)? == 1,
        applied: positive(4)?,
        expired: positive(5)?,
        late: positive(6)?,
        told: size(7)?,
        crossed: size(8)?,
    })
}
