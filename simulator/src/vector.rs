//! Vectors that depend on nothing but the text and their length.

use crate::digest::fnv;

/// The length of a vector when none is asked for.
pub(crate) const DIMENSIONS: u64 = 8;

/// A vector of length one.
pub(crate) fn vector(input: &str, dimensions: u64) -> Vec<f32> {
    let hash = fnv(input.as_bytes());
    let numbers = (0..dimensions).map(|at| {
        let mixed = (hash ^ at.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40;
        // Twenty-four bits, which a float holds whole.
        f32::from_bits(0x3F80_0000 | u32::try_from(mixed >> 1).unwrap_or(0)) - 1.5
    });
    let numbers: Vec<f32> = numbers.collect();
    let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    numbers.into_iter().map(|number| number / length).collect()
}
