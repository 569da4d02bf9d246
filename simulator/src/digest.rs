//! Stable hashes: what is answered, signed and cached must not differ between runs or builds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// FNV-1a, 64 bits, going on from `state`.
pub(crate) fn fnv_on(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// FNV-1a, 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    fnv_on(0xcbf2_9ce4_8422_2325, bytes)
}

/// A scramble of a number: neighbours look unrelated.
pub(crate) fn scramble(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The signature of a thinking block: it changes with the text, and only this simulator's own verify.
pub(crate) fn sign(text: &str) -> String {
    let seal = fnv(text.as_bytes());
    let words = [seal, scramble(seal), scramble(seal ^ 0x51), scramble(seal ^ 0xa7)];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    STANDARD.encode(bytes)
}

/// The content that the simulator hides in a redacted thinking block.
pub(crate) fn seal(text: &str) -> String {
    STANDARD.encode(format!("{}|{:016x}", text, fnv(text.as_bytes())))
}

/// True if a redacted thinking block is one of the simulator's own, unchanged.
pub(crate) fn is_sealed(data: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(data) else { return false };
    let Ok(text) = String::from_utf8(bytes) else { return false };
    text.rsplit_once('|').is_some_and(|(text, mark)| format!("{:016x}", fnv(text.as_bytes())) == mark)
}

/// The number of bytes that a base64 text stands for.
pub(crate) fn base64_bytes(text: &str) -> Option<usize> {
    STANDARD.decode(text).ok().map(|bytes| bytes.len())
}

/// A repeatable source of numbers.
pub(crate) struct Rng(u64);

impl Rng {
    /// Rng that fall the same way for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides` (0 when there are none).
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        usize::try_from(scramble(self.0) >> 33).unwrap_or(0).checked_rem(sides).unwrap_or(0)
    }
}
