//! The ids of a worker's calls.

use std::cell::Cell;

use http::HeaderValue;

/// A request id of this worker's: unique, cheap, and of no meaning.
#[derive(Debug)]
pub(crate) struct RequestIds {
    seed: u64,
    next: Cell<u64>,
    /// The beginning of every id: `req_` and the seed.
    start: [u8; 20],
}

impl RequestIds {
    pub(crate) fn new(seed: u64) -> Self {
        let mut start = *b"req_0000000000000000";
        if let Some(digits) = start.last_chunk_mut() {
            *digits = hex(seed);
        }
        Self { seed, next: Cell::new(0), start }
    }

    pub(crate) fn fresh(&self) -> HeaderValue {
        let next = self.next.get().wrapping_add(1);
        self.next.set(next);
        // An odd factor makes the counter look unlike its neighbours, and never repeats within 2^64.
        let low = next.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.seed.rotate_left(32);
        let mut text = [0; 36];
        let (start, digits) = text.split_at_mut(self.start.len());
        start.copy_from_slice(&self.start);
        digits.copy_from_slice(&hex(low));
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("req_0"))
    }
}

/// A number in sixteen digits.
fn hex(number: u64) -> [u8; 16] {
    // Each of the number's halves of bytes alone in a byte, the highest first; all are made digits at once.
    let spread = |half: u64| {
        let pairs = (half | (half << 16)) & 0x0000_FFFF_0000_FFFF;
        let bytes = (pairs | (pairs << 8)) & 0x00FF_00FF_00FF_00FF;
        let nibbles = (bytes | (bytes << 4)) & 0x0F0F_0F0F_0F0F_0F0F;
        // 1 in every byte that needs a letter.
        let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
        nibbles + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)
    };
    let mut digits = [0; 16];
    let (high, low) = digits.split_at_mut(8);
    high.copy_from_slice(&spread(number >> 32).to_be_bytes());
    low.copy_from_slice(&spread(number & 0xFFFF_FFFF).to_be_bytes());
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_of_one_length() {
        let ids = RequestIds::new(7);
        let (first, second) = (ids.fresh(), ids.fresh());
        assert_ne!(first, second);
        assert_eq!(first.len(), 36);
        for number in [0, u64::MAX, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 7] {
            assert_eq!(hex(number), *format!("{number:016x}").as_bytes());
        }
    }
}
