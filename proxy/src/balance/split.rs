//! The weighted split of a rule's calls over its targets: exact over each round, well mixed within it.

/// Weights, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Running sums of the weights.
    ends: Vec<u64>,
    total: u64,
    stride: u64,
}

impl Split {
    /// A split by these weights.
    #[must_use]
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let weights: Vec<u64> = weights.into_iter().map(u64::from).collect();
        // 30:70 is 3:7, and a round of ten is better mixed than one of a hundred.
        let common = weights.iter().copied().fold(0, gcd).max(1);
        let mut total = 0;
        let mut ends = Vec::with_capacity(weights.len());
        for weight in weights {
            total += weight / common;
            ends.push(total);
        }
        Self { ends, total, stride: stride(total) }
    }

    /// The target that takes the `n`-th call; `None` when all weights are 0. Over any `total` calls in a row each
    /// target gets exactly its weight.
    #[must_use]
    pub fn at(&self, n: u64) -> Option<usize> {
        let place = n.checked_rem(self.total)?;
        let place = (u128::from(place) * u128::from(self.stride)) % u128::from(self.total);
        let target = self.ends.partition_point(|end| u128::from(*end) <= place);
        (target < self.ends.len()).then_some(target)
    }
}

/// A step through `total` places that visits each once and jumps far: near the golden section, without a common divisor.
fn stride(total: u64) -> u64 {
    let near = u64::try_from(u128::from(total) * 618 / 1000).unwrap_or(1).max(1);
    (near..total).find(|step| gcd(*step, total) == 1).unwrap_or(1)
}

const fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
