//! The joint between what was said and what somebody else goes on with: what is told once more there is left out, where it can be known.

/// A text that is shorter may stand in an answer twice without having been repeated.
const SHORTEST_REPEAT: usize = 12;
/// The most of what was said last that is looked for.
const LONGEST_REPEAT: usize = 400;

/// Takes the beginning of the rest until it is known what of it was said before.
#[derive(Debug)]
pub(super) struct Joint {
    said: String,
    /// True if the model was asked to go on, and so may have begun with some of what was there; else it had that as its own beginning.
    asked: bool,
    held: String,
    is_past: bool,
}

impl Joint {
    /// Behind what was said.
    #[must_use]
    pub(super) fn new(said: &str, asked: bool) -> Self {
        Self { said: said.to_owned(), asked, held: String::new(), is_past: false }
    }

    /// Takes more of the rest; gives what of it is new, as far as that is known.
    pub(super) fn push(&mut self, more: &str) -> String {
        if self.is_past {
            return more.to_owned();
        }
        self.held.push_str(more);
        self.repeated(false).map(|repeated| self.pass(repeated)).unwrap_or_default()
    }

    /// The rest is whole: what is still held is told.
    pub(super) fn end(&mut self) -> String {
        if self.is_past {
            return String::new();
        }
        let repeated = self.repeated(true).unwrap_or_default();
        self.pass(repeated)
    }

    /// The memory that it takes.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.said.capacity() + self.held.capacity()
    }

    fn pass(&mut self, repeated: usize) -> String {
        self.is_past = true;
        self.said = String::new();
        let mut held = std::mem::take(&mut self.held);
        held.drain(..repeated.min(held.len()));
        held
    }

    /// The bytes at the beginning of the rest that were said before; `None`: more has to come.
    fn repeated(&self, is_whole: bool) -> Option<usize> {
        let (said, held) = (&*self.said, &*self.held);
        if self.asked {
            if said.len() >= SHORTEST_REPEAT && held.starts_with(said) {
                return Some(said.len());
            }
            let tail = tail(said);
            let may_go_on = said.starts_with(held) || may_grow(tail, held);
            if may_go_on && !is_whole {
                return None;
            }
            let repeats = |end: &usize| held.get(..*end).is_some_and(|begun| tail.ends_with(begun));
            if let Some(end) = (SHORTEST_REPEAT..=held.len().min(tail.len())).rev().find(repeats) {
                return Some(end);
            }
        }
        // The model was not given the blanks at the end.
        let blanks = said.get(said.trim_end().len()..).unwrap_or_default();
        if held.len() < blanks.len() && blanks.starts_with(held) && !is_whole {
            return None;
        }
        let same = blanks.char_indices().zip(held.chars()).take_while(|((_, one), other)| one == other);
        Some(same.map(|((at, one), _)| at + one.len_utf8()).last().unwrap_or_default())
    }
}

/// The end of what was said.
fn tail(said: &str) -> &str {
    let from = said.len().saturating_sub(LONGEST_REPEAT);
    (from..=said.len()).find_map(|from| said.get(from..)).unwrap_or_default()
}

/// True if what came so far is the beginning of something longer that was said last.
fn may_grow(tail: &str, held: &str) -> bool {
    let starts = tail.char_indices().map(|(at, _)| at).take_while(|at| tail.len() - at > held.len());
    starts.into_iter().any(|at| tail.get(at..).is_some_and(|end| end.starts_with(held)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(said: &str, rest: &str, asked: bool) -> String {
        let mut last = None;
        for size in 1..=rest.len().max(1) {
            let mut joint = Joint::new(said, asked);
            let characters: Vec<char> = rest.chars().collect();
            let mut told: String =
                characters.chunks(size).map(|piece| joint.push(&piece.iter().collect::<String>())).collect();
            told.push_str(&joint.end());
            assert!(last.as_ref().is_none_or(|last| *last == told), "pieces of {size}: {told}");
            last = Some(told);
        }
        last.unwrap_or_default()
    }

    #[test]
    fn what_is_repeated_is_told_once() {
        let said = "The quick brown fox jumps over ";
        for (rest, asked, wanted) in [
            ("the lazy dog.", true, "the lazy dog."),
            (" the lazy dog.", true, "the lazy dog."),
            ("fox jumps over the lazy dog.", true, "the lazy dog."),
            ("The quick brown fox jumps over the lazy dog.", true, "the lazy dog."),
            ("The quick brown fox jumps over ", true, ""),
            // Another beginning is another answer: nobody knows where it would join.
            ("The quick red fox", true, "The quick red fox"),
            // So short it may be meant.
            ("over the moon", true, "over the moon"),
            ("", true, ""),
            ("the lazy dog.", false, "the lazy dog."),
            (" the lazy dog.", false, "the lazy dog."),
            ("fox jumps over the lazy dog.", false, "fox jumps over the lazy dog."),
        ] {
            assert_eq!(joined(said, rest, asked), wanted, "{rest}");
        }
        assert_eq!(joined("Grüße aus Köln, schöne Grüße", "schöne Grüße und mehr", true), " und mehr");
        assert_eq!(joined("One.\n\n", "\n\nTwo.", false), "Two.");
        assert_eq!(joined("One.\n\n", "\nTwo.", true), "Two.");
        assert_eq!(joined("Hel", "lo", false), "lo");
    }
}
