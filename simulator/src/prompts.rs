//! The provider's prompt cache: which beginnings of prompts it has seen.

use std::collections::{HashSet, VecDeque};

use crate::ask::Beginning;

/// The most beginnings remembered; the oldest go first.
const MOST: usize = 8_192;

/// Beginnings of prompts, by hash.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    seen: HashSet<u64>,
    order: VecDeque<u64>,
}

/// The prompt cache's part in a call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cached {
    /// Tokens read from it.
    pub(crate) read: u64,
    /// Tokens written to it.
    pub(crate) written: u64,
}

impl Prompts {
    /// Reads the longest known beginning and learns all of them.
    pub(crate) fn consult(&mut self, beginnings: &[Beginning]) -> Cached {
        let known = beginnings.iter().rev().find(|beginning| self.seen.contains(&beginning.hash));
        let read = known.map_or(0, |beginning| beginning.tokens);
        let longest = beginnings.last().map_or(0, |beginning| beginning.tokens);
        for beginning in beginnings {
            self.learn(beginning.hash);
        }
        Cached { read, written: longest.saturating_sub(read) }
    }

    fn learn(&mut self, hash: u64) {
        if !self.seen.insert(hash) {
            return;
        }
        self.order.push_back(hash);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let mut prompts = Prompts::default();
        let beginnings = [(1, 10), (2, 25)].map(|(hash, tokens)| Beginning { hash, tokens });
        assert_eq!(prompts.consult(&beginnings[..1]), Cached { read: 0, written: 10 });
        assert_eq!(prompts.consult(&beginnings), Cached { read: 10, written: 15 });
        assert_eq!(prompts.consult(&beginnings), Cached { read: 25, written: 0 });
        (0..3 * MOST as u64).for_each(|hash| prompts.learn(hash + 100));
        assert_eq!((prompts.seen.len(), prompts.order.len()), (MOST, MOST));
    }
}
