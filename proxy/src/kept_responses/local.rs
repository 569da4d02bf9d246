//! Conversations in this process, bounded: the oldest goes when there is no room.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

/// The most bytes that all of them take, and how many there are at most.
const MOST_BYTES: usize = 64 << 20;
const MOST: usize = 65_536;

/// Conversations by their names, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct LocalConversations {
    all: HashMap<[u8; 32], (Instant, Bytes)>,
    order: VecDeque<[u8; 32]>,
    bytes: usize,
}

impl LocalConversations {
    pub(super) fn get(&self, name: &[u8; 32], now: Instant) -> Option<Bytes> {
        self.all.get(name).filter(|(until, _)| *until > now).map(|(_, text)| text.clone())
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, name: &[u8; 32]) {
        if let Some((_, text)) = self.all.remove(name) {
            self.bytes -= text.len();
            self.order.retain(|other| other != name);
        }
    }

    pub(super) fn put(&mut self, name: [u8; 32], text: Bytes, until: Instant) {
        if text.len() > MOST_BYTES {
            return;
        }
        self.bytes += text.len();
        match self.all.insert(name, (until, text)) {
            Some((_, before)) => self.bytes -= before.len(),
            None => self.order.push_back(name),
        }
        while self.bytes > MOST_BYTES || self.all.len() > MOST {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some((_, text)) = self.all.remove(&oldest) {
                self.bytes -= text.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_goes_when_there_is_no_room_and_each_after_its_time() {
        let (mut kept, now) = (LocalConversations::default(), Instant::now());
        let later = now + Duration::from_secs(9);
        let quarter = Bytes::from(vec![0; MOST_BYTES / 4]);
        for number in 0..6 {
            kept.put([number; 32], quarter.clone(), later);
            kept.put([number; 32], quarter.clone(), later);
        }
        let there: Vec<u8> = (0..6).filter(|number| kept.get(&[*number; 32], now).is_some()).collect();
        assert_eq!((there, kept.bytes), (vec![2, 3, 4, 5], MOST_BYTES));
        assert!(kept.get(&[5; 32], later).is_none());
        kept.put([9; 32], Bytes::from(vec![0; MOST_BYTES + 1]), later);
        assert!(kept.get(&[9; 32], now).is_none());
        for number in 0..70_000_u32 {
            let mut name = [7; 32];
            name[..4].copy_from_slice(&number.to_le_bytes());
            kept.put(name, Bytes::new(), later);
        }
        assert!(kept.all.len() <= MOST && kept.order.len() <= MOST);
    }
}
