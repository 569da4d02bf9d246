//! Scalars that are written as strings: durations, sizes, money. Whole-number arithmetic only: what is written is what
//! counts.

use sluicegate_crds::{ByteSize, Decimal, Duration};

use crate::{Millis, PicoUsd};

/// Decimals of a dollar per million tokens that are whole picodollars per token.
const PRICE_DECIMALS: u32 = 6;

/// `1h30m`, `30s`, `100ms` (GEP-2257).
pub(super) fn millis(duration: &Duration) -> Result<Millis, String> {
    let wrong = || format!("{:?} is not a time: write one such as 30s, 100ms or 1h30m", duration.0);
    let mut rest = duration.0.as_str();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale)).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    Ok(Millis(total))
}

/// `1048576`, `500k`, `1Mi`.
pub(super) fn bytes(size: &ByteSize) -> Result<u64, String> {
    let wrong = || format!("{:?} is not a number of bytes: write one such as 1048576 or \"1Mi\"", size.0);
    let digits = size.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.0.len());
    let (number, unit) = size.0.split_at(digits);
    let scale: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale)).ok_or_else(wrong)
}

/// Dollars per million tokens, as picodollars per token.
pub(super) fn price(decimal: &Decimal) -> Result<PicoUsd, String> {
    scaled(decimal, PRICE_DECIMALS).map(PicoUsd)
}

/// A decimal in thousandths.
pub(super) fn thousandths(decimal: &Decimal) -> Result<u32, String> {
    scaled(decimal, 3).and_then(|n| u32::try_from(n).map_err(|_| format!("{:?} is too large", decimal.0)))
}

/// A decimal times ten to the power of `decimals`; it may have no more decimals than that.
pub(super) fn scaled(decimal: &Decimal, decimals: u32) -> Result<u64, String> {
    let wrong = || {
        format!("{:?} is not a decimal number with at most {decimals} decimals: write one such as \"2.50\"", decimal.0)
    };
    let (whole, fraction) = decimal.0.split_once('.').unwrap_or((&decimal.0, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let missing = u32::try_from(fraction.len()).ok().and_then(|n| decimals.checked_sub(n)).ok_or_else(wrong)?;
    let whole = whole.parse::<u64>().ok().and_then(|n| n.checked_mul(10_u64.checked_pow(decimals)?));
    let fraction = fraction.parse::<u64>().ok().and_then(|n| n.checked_mul(10_u64.checked_pow(missing)?));
    whole.zip(fraction).and_then(|(whole, fraction)| whole.checked_add(fraction)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up() {
        for (text, expected) in [
            ("0s", 0),
            ("100ms", 100),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("1m1s1ms", 61_001),
            ("99999h", 359_996_400_000),
        ] {
            assert_eq!(millis(&text.into()), Ok(Millis(expected)), "{text}");
        }
        for text in ["", "30", "s", "1.5s", "-1s", "1d", "99999999999999999999h", "1s ", "1µs"] {
            assert!(millis(&text.into()).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_scale() {
        for (text, expected) in [("0", 0), ("1048576", 1 << 20), ("1Mi", 1 << 20), ("500k", 500_000), ("2Gi", 2 << 30)]
        {
            assert_eq!(bytes(&text.into()), Ok(expected), "{text}");
        }
        for text in ["", "Mi", "1mi", "1.5Mi", "-1", "99999999999999Ti"] {
            assert!(bytes(&text.into()).is_err(), "{text}");
        }
    }

    #[test]
    fn money_is_exact() {
        for (text, expected) in [
            ("2.50", 2_500_000),
            ("0", 0),
            ("10", 10_000_000),
            ("0.000001", 1),
            ("0.1", 100_000),
            ("999999.999999", 999_999_999_999),
        ] {
            assert_eq!(price(&text.into()), Ok(PicoUsd(expected)), "{text}");
        }
        for text in ["", ".5", "1.", "1.0000001", "1e3", "-1", "$1", "99999999999999999999"] {
            assert!(price(&text.into()).is_err(), "{text}");
        }
    }
}
