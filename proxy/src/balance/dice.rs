//! Random numbers for balancing: small, fast, one per worker; not for secrets.

/// A xorshift* generator.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Begins at `seed`; each worker takes another one.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        // Scrambled, so that seeds 0, 1, 2 do not begin alike; the state is never 0.
        Self((seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9) | 1)
    }

    /// The next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound` (0 for a bound of 0), evenly but for a part in 2⁶⁴/`bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.roll() as u128 * bound as u128) >> 64) as u64
    }
}
