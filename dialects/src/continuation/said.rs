//! The part of a streamed answer that has been said, as long as it is one that somebody else can go on with: text, and nothing that is
//! whole only together with what has not come.

use crate::hub::{Delta, Event, PartKind};

/// An answer that is longer than so many bytes when it breaks off is not gone on with: all of it would be sent once more.
const MOST_SAID: usize = 256 << 10;

/// The text of an answer so far.
#[derive(Debug, Default)]
pub struct SaidSoFar {
    text: String,
    /// The text part that grows.
    open: Option<u32>,
    /// The thoughts that grow.
    thinking: Option<u32>,
    next_part: u32,
    /// True if nobody can go on with it.
    lost: bool,
}

impl SaidSoFar {
    /// Takes the answer's next event.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::PartStart { choice: 0, part, kind } => self.part_start(*part, kind),
            Event::Delta { choice: 0, part, delta } => self.delta(*part, delta),
            Event::PartEnd { choice: 0, part } => {
                self.open.take_if(|open| *open == *part);
                self.thinking.take_if(|open| *open == *part);
            }
            // Several answers, or one that has said why it ended: there is nothing to go on with.
            Event::PartStart { .. } | Event::Delta { .. } | Event::Finish { .. } | Event::End => self.lose(),
            Event::PartEnd { .. } | Event::Start { .. } | Event::Usage(_) | Event::Alive => {}
            Event::Error(_) | Event::Other { .. } => {}
        }
    }

    fn part_start(&mut self, part: u32, kind: &PartKind) {
        self.next_part = self.next_part.max(part.saturating_add(1));
        match kind {
            PartKind::Text => self.open = Some(part),
            PartKind::Thinking => self.thinking = Some(part),
            PartKind::RedactedThinking(_) => {}
            PartKind::Refusal | PartKind::Picture { .. } | PartKind::ToolCall { .. } | PartKind::Other { .. } => {
                self.lose();
            }
        }
    }

    fn delta(&mut self, part: u32, delta: &Delta) {
        if let (Delta::Text(more), true) = (delta, self.open == Some(part) && !self.lost) {
            self.text.push_str(more);
            if self.text.len() > MOST_SAID {
                self.lose();
            }
        }
    }

    /// Something came that can not be told by a text, or not be read.
    pub fn lose(&mut self) {
        self.lost = true;
        self.text = String::new();
    }

    /// The text, if somebody can go on with it from here.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let may = !self.lost && self.thinking.is_none();
        Some(&*self.text).filter(|text| may && !text.trim().is_empty())
    }

    /// The memory that it takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.text.capacity()
    }

    /// The text part that grows, and the number of the next part.
    pub(super) const fn place(&self) -> (Option<u32>, u32) {
        (self.open, self.next_part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(part: u32, kind: PartKind) -> Event {
        Event::PartStart { choice: 0, part, kind }
    }

    fn text(part: u32, text: &str) -> Event {
        Event::Delta { choice: 0, part, delta: Delta::Text(text.to_owned()) }
    }

    fn said(events: &[Event]) -> SaidSoFar {
        let mut said = SaidSoFar::default();
        events.iter().for_each(|event| said.note(event));
        said
    }

    #[test]
    fn what_is_gone_on_with_is_text_and_nothing_that_has_to_be_whole() {
        let tool = || start(1, PartKind::ToolCall { id: "c".to_owned(), name: "t".to_owned() });
        let (one, end) = (|| vec![start(0, PartKind::Text), text(0, "one")], Event::PartEnd { choice: 0, part: 0 });
        for (more, wanted) in [
            (vec![], Some("one")),
            (vec![text(0, " two")], Some("one two")),
            (vec![end.clone()], Some("one")),
            (vec![end.clone(), start(1, PartKind::Text), text(1, "!")], Some("one!")),
            (vec![end.clone(), tool()], None),
            (vec![end.clone(), tool(), Event::PartEnd { choice: 0, part: 1 }], None),
            (vec![end.clone(), start(1, PartKind::Thinking), text(1, "hm")], None),
            (vec![end, start(1, PartKind::Refusal), text(1, "no")], None),
            (vec![Event::Finish { choice: 0, stop: crate::hub::Stop::End }], None),
            (vec![Event::Delta { choice: 1, part: 0, delta: Delta::Text("x".to_owned()) }], None),
            (vec![text(0, &"x".repeat(MOST_SAID))], None),
        ] {
            assert_eq!(said(&[one(), more.clone()].concat()).text(), wanted, "{:.300}", format!("{more:?}"));
        }
        let thoughts = [start(0, PartKind::Thinking), text(0, "hm"), Event::PartEnd { choice: 0, part: 0 }];
        assert_eq!(said(&thoughts).text(), None, "nothing is said yet");
        let both = said(&[thoughts.to_vec(), vec![start(1, PartKind::Text), text(1, "so")]].concat());
        assert_eq!((both.text(), both.place()), (Some("so"), (Some(1), 2)));
        assert_eq!(said(&[start(0, PartKind::Text), text(0, " \n")]).text(), None);
    }
}
