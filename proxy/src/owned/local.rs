//! Lists in this process, bounded: the list that was added to longest ago goes first.

use std::collections::{HashMap, VecDeque};

/// The most ids of one list; the oldest go first.
pub(super) const MOST: usize = 1_000;
/// The most marks of what was counted.
const MOST_MARKS: usize = 65_536;
/// The most ids that are gone and whose places are known still.
pub(super) const MOST_GONE: usize = 10_000;
/// The most ids of all lists together.
const MOST_OF_ALL: usize = 65_536;

/// The parts of something that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountedParts {
    Until(u64),
    All,
}

/// Lists by their names, in the order in which they were added to.
#[derive(Debug, Default)]
pub(super) struct LocalLists {
    all: HashMap<[u8; 32], VecDeque<String>>,
    /// Ids that were taken out, each by its list and the id that stood behind it, which is older; the last one was taken out last.
    gone: VecDeque<([u8; 32], String, Option<String>)>,
    order: VecDeque<[u8; 32]>,
    count: usize,
    /// The parts that are counted of things that are to be counted once; `None`: somebody counts them now.
    marks: HashMap<[u8; 32], Option<CountedParts>>,
    marked: VecDeque<[u8; 32]>,
}

impl LocalLists {
    pub(super) fn add(&mut self, name: [u8; 32], id: &str) {
        self.remove(&name, id);
        let list = self.all.entry(name).or_default();
        list.push_back(id.to_owned());
        self.count += 1;
        if list.len() > MOST {
            list.pop_front();
            self.count -= 1;
        }
        self.order.retain(|other| *other != name);
        self.order.push_back(name);
        while self.count > MOST_OF_ALL {
            let Some(oldest) = self.order.pop_front() else { return };
            self.count -= self.all.remove(&oldest).map_or(0, |list| list.len());
        }
    }

    /// Takes an id out, whose place is known for a while.
    pub(super) fn take_out(&mut self, name: &[u8; 32], id: &str) {
        let list = self.all.get(name).into_iter().flatten();
        let mut older: Option<&String> = None;
        for other in list {
            if other == id {
                self.gone.push_back((*name, id.to_owned(), older.cloned()));
                break;
            }
            older = Some(other);
        }
        if self.gone.len() > MOST_GONE {
            self.gone.pop_front();
        }
        self.remove(name, id);
    }

    /// The number of ids that are newer than one that is gone; `None`: it is not known.
    pub(super) fn newer_than_gone(&self, name: &[u8; 32], id: &str) -> Option<usize> {
        let all = self.all(name);
        let mut place = id;
        // One step for each that is gone: the one behind it may be gone as well.
        for _ in 0..=MOST_GONE {
            match self.gone.iter().rev().find(|(of, gone, _)| of == name && gone == place)? {
                (_, _, None) => return Some(all.len()),
                (_, _, Some(older)) => place = older,
            }
            if let Some(at) = all.iter().position(|other| other == place) {
                return Some(at);
            }
        }
        None
    }

    fn remove(&mut self, name: &[u8; 32], id: &str) {
        let Some(list) = self.all.get_mut(name) else { return };
        let before = list.len();
        list.retain(|other| other != id);
        self.count -= before - list.len();
        if list.is_empty() {
            self.all.remove(name);
            self.order.retain(|other| other != name);
        }
    }

    /// Claims what is to be counted: until where it was before; `None`: all of it was, or somebody counts it.
    pub(super) fn claim(&mut self, what: [u8; 32]) -> Option<u64> {
        match self.marks.insert(what, None) {
            None => {
                self.marked.push_back(what);
                if self.marked.len() > MOST_MARKS
                    && let Some(oldest) = self.marked.pop_front()
                {
                    self.marks.remove(&oldest);
                }
                Some(0)
            }
            Some(Some(CountedParts::Until(before))) => Some(before),
            Some(before) => {
                self.marks.insert(what, before);
                None
            }
        }
    }

    /// The parts of a claimed thing that are counted so far.
    pub(super) fn counted(&mut self, what: [u8; 32], counted: CountedParts) {
        self.marks.get_mut(&what).into_iter().for_each(|mark| *mark = Some(counted));
    }

    pub(super) fn all(&self, name: &[u8; 32]) -> Vec<String> {
        self.all.get(name).into_iter().flatten().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_once() {
        let (mut lists, one) = (LocalLists::default(), [1; 32]);
        assert_eq!((lists.claim(one), lists.claim(one)), (Some(0), None));
        lists.counted(one, CountedParts::Until(3));
        assert_eq!((lists.claim(one), lists.claim(one)), (Some(3), None));
        lists.counted(one, CountedParts::All);
        assert_eq!((lists.claim(one), lists.claim(one)), (None, None));
        for number in 0..70_000_u32 {
            let mut what = [7; 32];
            what[..4].copy_from_slice(&number.to_le_bytes());
            assert_eq!(lists.claim(what), Some(0));
        }
        assert!(lists.marks.len() <= MOST_MARKS && lists.marked.len() <= MOST_MARKS);
        lists.counted(one, CountedParts::All);
    }

    #[test]
    fn a_place_is_known_when_what_stood_there_is_gone() {
        let (mut lists, name) = (LocalLists::default(), [2; 32]);
        ["1", "2", "3", "4"].iter().for_each(|id| lists.add(name, id));
        ["3", "2"].iter().for_each(|id| lists.take_out(&name, id));
        let newer = |lists: &LocalLists, id: &str| lists.newer_than_gone(&name, id);
        assert_eq!((newer(&lists, "3"), newer(&lists, "2"), newer(&lists, "9")), (Some(1), Some(1), None));
        lists.take_out(&name, "4");
        lists.take_out(&name, "1");
        assert_eq!((newer(&lists, "3"), newer(&lists, "1")), (Some(0), Some(0)));
        assert!(lists.newer_than_gone(&[3; 32], "3").is_none());
    }

    #[test]
    fn lists_are_bounded_each_and_together() {
        let mut lists = LocalLists::default();
        for number in 0..MOST + 5 {
            lists.add([0; 32], &number.to_string());
        }
        lists.add([0; 32], "9");
        lists.take_out(&[0; 32], "10");
        let all = lists.all(&[0; 32]);
        assert_eq!((all.len(), &*all[0], lists.count), (MOST - 1, "9", MOST - 1));
        for owner in 1..=70_u8 {
            (0..MOST).for_each(|number| lists.add([owner; 32], &number.to_string()));
        }
        assert!(lists.count <= MOST_OF_ALL && lists.order.len() == lists.all.len());
        assert!(lists.all(&[0; 32]).is_empty() && lists.all(&[70; 32]).len() == MOST);
        (0..MOST).for_each(|number| lists.take_out(&[70; 32], &number.to_string()));
        assert!(lists.gone.len() <= MOST_GONE);
        assert!(lists.order.len() == lists.all.len() && !lists.all.contains_key(&[70; 32]));
    }
}
