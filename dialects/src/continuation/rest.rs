//! The rest of an answer that somebody else goes on with, as events of the answer that was begun: its parts go on where those stopped,
//! and what is used is the sum.

use std::collections::BTreeMap;

use super::joint::Joint;
use super::said::SaidSoFar;
use crate::hub::{Delta, Event, PartKind, Usage};

/// Turns the events of the rest into those of the whole answer.
#[derive(Debug)]
pub struct RestOfAnswer {
    joint: Joint,
    /// The text part of the beginning that is still open.
    open: Option<u32>,
    /// The part of the rest that goes on with it.
    goes_on: Option<u32>,
    next_part: u32,
    /// The parts of the rest by their numbers in the whole; `None`: they are not told.
    parts: BTreeMap<u32, Option<u32>>,
    /// True if text of the rest has begun.
    has_text: bool,
    /// The usage of what came before.
    before: Option<Usage>,
}

impl RestOfAnswer {
    /// Behind what was said. `asked`: the model was asked to go on, and did not have it as its own beginning.
    #[must_use]
    pub fn new(said: &SaidSoFar, asked: bool, before: Option<Usage>) -> Self {
        let (open, next_part) = said.place();
        Self {
            joint: Joint::new(said.text().unwrap_or_default(), asked),
            open,
            goes_on: None,
            next_part,
            parts: BTreeMap::new(),
            has_text: false,
            before,
        }
    }

    /// Takes an event of the rest, and appends what it is in the whole.
    pub fn push(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::PartStart { choice: 0, part, kind } => self.part_start(part, kind, out),
            Event::Delta { choice: 0, part, delta } => self.delta(part, delta, out),
            Event::PartEnd { choice: 0, part } => self.part_end(part, out),
            Event::Finish { choice: 0, stop } => {
                self.settle(out);
                out.push(Event::Finish { choice: 0, stop });
            }
            Event::Usage(usage) => {
                out.push(Event::Usage(self.before.map_or(usage, |before| before.plus(usage))));
            }
            Event::End => {
                self.settle(out);
                out.push(Event::End);
            }
            Event::Alive | Event::Error(_) => out.push(event),
            // The answer has begun, and is one.
            Event::Start { .. } | Event::Other { .. } => {}
            Event::PartStart { .. } | Event::Delta { .. } | Event::PartEnd { .. } | Event::Finish { .. } => {}
        }
    }

    /// The memory that it takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.joint.held()
    }

    fn part_start(&mut self, part: u32, kind: PartKind, out: &mut Vec<Event>) {
        let is_text = matches!(kind, PartKind::Text);
        // Thoughts between two pieces of a text have no place there, and those of another vendor no signature.
        if matches!(kind, PartKind::Thinking | PartKind::RedactedThinking(_)) {
            self.parts.insert(part, None);
            return;
        }
        if is_text && !std::mem::replace(&mut self.has_text, true) {
            self.goes_on = Some(part);
            let of_whole = match self.open {
                Some(open) => open,
                None => {
                    let own = self.number();
                    out.push(Event::PartStart { choice: 0, part: own, kind });
                    self.open = Some(own);
                    own
                }
            };
            self.parts.insert(part, Some(of_whole));
            return;
        }
        self.settle(out);
        self.close(out);
        let own = self.number();
        self.parts.insert(part, Some(own));
        out.push(Event::PartStart { choice: 0, part: own, kind });
    }

    const fn number(&mut self) -> u32 {
        let number = self.next_part;
        self.next_part = number.saturating_add(1);
        number
    }

    fn delta(&mut self, part: u32, delta: Delta, out: &mut Vec<Event>) {
        let Some(Some(own)) = self.parts.get(&part).copied() else { return };
        let delta = match delta {
            Delta::Text(more) if self.goes_on == Some(part) => {
                let told = self.joint.push(&more);
                if told.is_empty() {
                    return;
                }
                Delta::Text(told)
            }
            delta => delta,
        };
        out.push(Event::Delta { choice: 0, part: own, delta });
    }

    fn part_end(&mut self, part: u32, out: &mut Vec<Event>) {
        let Some(Some(own)) = self.parts.remove(&part) else { return };
        if self.goes_on == Some(part) {
            self.settle(out);
            return self.close(out);
        }
        out.push(Event::PartEnd { choice: 0, part: own });
    }

    /// Tells what is still held at the joint.
    fn settle(&mut self, out: &mut Vec<Event>) {
        let Some(open) = self.open.filter(|_| self.goes_on.is_some()) else { return };
        let told = self.joint.end();
        if !told.is_empty() {
            out.push(Event::Delta { choice: 0, part: open, delta: Delta::Text(told) });
        }
    }

    /// Ends the text that was open.
    fn close(&mut self, out: &mut Vec<Event>) {
        if let Some(part) = self.open.take() {
            out.push(Event::PartEnd { choice: 0, part });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Stop;

    fn text(part: u32, text: &str) -> Event {
        Event::Delta { choice: 0, part, delta: Delta::Text(text.to_owned()) }
    }

    fn start(part: u32, kind: PartKind) -> Event {
        Event::PartStart { choice: 0, part, kind }
    }

    const fn end(part: u32) -> Event {
        Event::PartEnd { choice: 0, part }
    }

    fn whole(begun: &[Event], rest: &[Event], asked: bool) -> Vec<String> {
        let mut said = SaidSoFar::default();
        begun.iter().for_each(|event| said.note(event));
        let before = Usage { input: 10, output: 2, ..Usage::default() };
        let (mut out, mut rest_of) = (Vec::new(), RestOfAnswer::new(&said, asked, Some(before)));
        rest.iter().cloned().for_each(|event| rest_of.push(event, &mut out));
        out.iter().map(|event| format!("{event:?}")).collect()
    }

    fn told(events: &[Event]) -> Vec<String> {
        events.iter().map(|event| format!("{event:?}")).collect()
    }

    #[test]
    fn the_rest_goes_on_where_the_beginning_stopped() {
        let begun = [start(0, PartKind::Text), text(0, "One two")];
        let first = Event::Start { id: "other".to_owned(), model: "other".to_owned(), created: None };
        let used = Event::Usage(Usage { input: 12, output: 3, ..Usage::default() });
        let sum = Event::Usage(Usage { input: 22, output: 5, longest_input: 12, ..Usage::default() });
        let finish = Event::Finish { choice: 0, stop: Stop::End };
        let rest = [
            first.clone(),
            start(0, PartKind::Thinking),
            text(0, "Hm."),
            end(0),
            start(1, PartKind::Text),
            text(1, " three"),
            end(1),
            finish.clone(),
            used,
            Event::End,
        ];
        let wanted = [text(0, " three"), end(0), finish.clone(), sum, Event::End];
        assert_eq!(whole(&begun, &rest, false), told(&wanted));
        // A tool call of the rest is a part of its own, behind the text.
        let call = || PartKind::ToolCall { id: "c".to_owned(), name: "t".to_owned() };
        let arguments = |part| Event::Delta { choice: 0, part, delta: Delta::Arguments("{}".to_owned()) };
        let rest = [first, start(0, call()), arguments(0), end(0), finish.clone(), Event::End];
        let wanted = [end(0), start(1, call()), arguments(1), end(1), finish.clone(), Event::End];
        assert_eq!(whole(&begun, &rest, true), told(&wanted));
        // The beginning's text had ended: the rest is another part.
        let begun = [start(0, PartKind::Text), text(0, "One."), end(0)];
        let rest = [start(0, PartKind::Text), text(0, "Two."), end(0), finish.clone()];
        let wanted = [start(1, PartKind::Text), text(1, "Two."), end(1), finish];
        assert_eq!(whole(&begun, &rest, false), told(&wanted));
    }
}
