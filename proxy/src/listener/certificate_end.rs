//! The end of a certificate, read of its bytes (X.509 in DER, RFC 5280): the one field that nobody here needs but metrics.

/// Tags of what stands on the way to it.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The time after which a certificate is good no longer, in seconds since 1970; `None` where that can not be read.
pub(super) fn end(certificate: &[u8]) -> Option<i64> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (signed, _) = element(certificate, SEQUENCE)?;
    let rest = element(signed, VERSION).map_or(signed, |(_, rest)| rest);
    // The serial number, the algorithm and the issuer.
    let rest = (0..3).try_fold(rest, |rest, _| any(rest).map(|(_, _, rest)| rest))?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, _, after) = any(validity)?;
    match any(after)? {
        (UTC_TIME, text, _) => {
            // Two digits of the year: of 1950 to 2049.
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            seconds(if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
        }
        (GENERALIZED_TIME, text, _) => {
            let (year, rest) = text.split_at_checked(4)?;
            seconds(number(year)?, rest)
        }
        _ => None,
    }
}

/// A year and `MMDDHHMMSSZ`.
fn seconds(year: i16, rest: &[u8]) -> Option<i64> {
    let digits = rest.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let mut parts = digits.chunks_exact(2).map(|part| number(part).and_then(|part| i8::try_from(part).ok()));
    let mut part = || parts.next().flatten();
    let (month, day, hour, minute, second) = (part()?, part()?, part()?, part()?, part()?);
    let time = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

fn number(digits: &[u8]) -> Option<i16> {
    digits.iter().try_fold(0_i16, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The content of the element that the bytes begin with, if it has this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any(bytes).and_then(|(is, content, rest)| (is == tag).then_some((content, rest)))
}

/// The element that the bytes begin with: its tag, its content, and what follows it.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // So many bytes of length follow; a certificate has no gigabytes.
        let (length, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(length, _)| length.len() <= 4)?;
        (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that ends on this day.
    fn until(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, month, day);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_of_its_forms() {
        assert_eq!(end(&until(2027, 1, 15)), Some(1_799_971_200));
        assert_eq!(end(&until(2049, 12, 31)), Some(2_524_521_600), "two digits of the year");
        assert_eq!(end(&until(2050, 1, 1)), Some(2_524_608_000), "four of them");
    }

    #[test]
    fn what_is_cut_or_damaged_says_nothing() {
        let whole = until(2027, 1, 15);
        for length in 0..whole.len() {
            assert_eq!(end(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len().min(200) {
            for byte in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let _ = end(&damaged);
            }
        }
    }
}
