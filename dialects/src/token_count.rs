//! Counts of tokens as servers write and read them: some write whole numbers as `5.0`, or in quotes, and take them so.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::Value;

/// Reads a count; `null` is none, and anything else an error. For `#[serde(default, deserialize_with)]`.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    WireCount::deserialize(from).map(|count| count.0)
}

/// The count in a JSON value.
pub(crate) fn of_value(value: &Value) -> Option<u64> {
    WireCount::deserialize(value).ok()?.0
}

/// The count in a whole JSON value, as it is written.
pub(crate) fn of_raw(json: &str) -> Option<u64> {
    serde_json::from_str::<WireCount>(json).ok()?.0
}

struct WireCount(Option<u64>);

impl<'de> Deserialize<'de> for WireCount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyCount).map(Self)
    }
}

struct AnyCount;

impl<'de> Visitor<'de> for AnyCount {
    type Value = Option<u64>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a count")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Option<u64>, E> {
        Ok(Some(count))
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<Option<u64>, E> {
        found(u64::try_from(count).ok())
    }

    fn visit_f64<E: Error>(self, count: f64) -> Result<Option<u64>, E> {
        found(of_decimal(count))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<u64>, E> {
        let text = text.trim();
        found(text.parse().ok().or_else(|| text.parse().ok().and_then(of_decimal)))
    }

    fn visit_unit<E>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }
}

/// A value that is no count is told from one that is not there.
fn found<E: Error>(count: Option<u64>) -> Result<Option<u64>, E> {
    count.map(Some).ok_or_else(|| E::custom("no count of tokens"))
}

/// A part of a token is one. What is larger than any count is the largest.
fn of_decimal(count: f64) -> Option<u64> {
    (count.is_finite() && count >= 0.0).then(|| count.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_one_however_it_is_written() {
        for (json, count) in [
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("5e0", Some(5)),
            ("\"5\"", Some(5)),
            ("\" 5.0 \"", Some(5)),
            ("4.2", Some(5)),
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("1e300", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("-1", None),
            ("-0.5", None),
            ("\"many\"", None),
            ("\"NaN\"", None),
            ("null", None),
            ("true", None),
            ("[5]", None),
            ("{\"a\":5}", None),
        ] {
            assert_eq!(of_raw(json), count, "{json}");
            assert_eq!(of_value(&serde_json::from_str(json).unwrap()), count, "{json}");
        }
    }
}
