//! The places where an input is cut: decided by the input itself, so that a crash is one file.

/// Byte by byte only up to this length.
const SINGLE: usize = 4096;

/// A small generator (xorshift64*), good enough to choose places.
struct Dice(u64);

impl Dice {
    fn of(data: &[u8]) -> Self {
        // FNV-1a.
        let hash = data
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Self(hash | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(0) % limit.max(1)
    }
}

/// A place in something of this length.
pub(super) fn place(data: &[u8], length: usize) -> usize {
    Dice::of(data).below(length)
}

/// The input in pieces: a few cuts, or, one time in four, every byte by itself. Empty pieces are among them.
#[must_use]
pub fn pieces(data: &[u8]) -> Vec<&[u8]> {
    let mut dice = Dice::of(data);
    if dice.below(4) == 0 && data.len() <= SINGLE {
        return data.chunks(1).collect();
    }
    let mut cuts: Vec<usize> = (0..=dice.below(8)).map(|_| dice.below(data.len() + 1)).collect();
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut rest = data;
    for cut in cuts.into_iter().rev() {
        let (head, tail) = rest.split_at(cut);
        pieces.push(tail);
        rest = head;
    }
    pieces.push(rest);
    pieces.reverse();
    pieces
}
