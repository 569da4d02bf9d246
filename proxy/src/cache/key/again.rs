//! Keys of requests that were asked before, byte for byte: where a request comes again, as those do that the cache is for,
//! its body is hashed once as it came and not read.

/// Requests that are remembered by each thread. A power of two.
const REMEMBERED: usize = 512;

/// A request as it came, and its key.
#[derive(Debug, Clone, Copy)]
struct RememberedKey {
    digest: [u8; 32],
    key: [u8; 32],
}

/// The requests that were asked last, each at the place that its digest says: a later one of the same place takes it. What
/// is found here is never another request's key: all of a digest is compared, and it covers all that makes a key.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// Empty until something is remembered: a process whose routes keep nothing pays nothing.
    places: Vec<Option<RememberedKey>>,
}

impl Again {
    /// The key of a request that was asked before.
    pub(super) fn key(&self, digest: &[u8; 32]) -> Option<[u8; 32]> {
        let asked = self.places.get(place(digest))?.as_ref()?;
        (asked.digest == *digest).then_some(asked.key)
    }

    /// Remembers the key of a request.
    pub(super) fn remember(&mut self, digest: [u8; 32], key: [u8; 32]) {
        if self.places.is_empty() {
            self.places = vec![None; REMEMBERED];
        }
        if let Some(asked) = self.places.get_mut(place(&digest)) {
            *asked = Some(RememberedKey { digest, key });
        }
    }
}

fn place(digest: &[u8; 32]) -> usize {
    let [first, second, ..] = *digest;
    usize::from(u16::from_le_bytes([first, second])) % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_request_is_known_again() {
        let mut again = Again::default();
        let (asked, other) = ([7; 32], [[7; 31].as_slice(), &[8]].concat().try_into().unwrap());
        assert_eq!(again.key(&asked), None);
        again.remember(asked, [1; 32]);
        assert_eq!(again.key(&asked), Some([1; 32]));
        assert_eq!(again.key(&other), None, "of the same place");
        again.remember(other, [2; 32]);
        assert_eq!((again.key(&asked), again.key(&other)), (None, Some([2; 32])));
        for n in 0..=u8::MAX {
            again.remember([n; 32], [n; 32]);
        }
        assert_eq!(again.places.len(), REMEMBERED);
    }
}
