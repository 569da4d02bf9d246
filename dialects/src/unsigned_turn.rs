//! A last turn that called tools without a thought in front that Claude has signed, as another vendor's answers have none: Claude refuses a
//! budget for thinking then. Such a call goes without thinking, rather than not at all.

use std::ops::Range;

use crate::json_places::{elements, member, text};
use crate::verbatim::Edit;

/// The beginning of the ids that calls of Claude's have, by all of its hosts.
const CLAUDES: &str = "toolu";

/// A part of a turn, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnPart<'a> {
    /// A thought; those that Claude has not signed have been taken out.
    Thought,
    /// A call of a tool, by its id.
    Call(&'a str),
    /// A tool's result.
    Result,
    /// Anything else.
    Other,
}

/// The turns of a body, and the words in which a dialect says what a part of one is.
pub(crate) struct Turns<'a> {
    body: &'a [u8],
    turns: Vec<Range<usize>>,
    kind: fn(&[u8], Range<usize>) -> TurnPart<'_>,
}

impl<'a> Turns<'a> {
    /// Those that stand here.
    pub(crate) fn of(body: &'a [u8], list: Range<usize>, kind: fn(&[u8], Range<usize>) -> TurnPart<'_>) -> Self {
        Self { body, turns: elements(body, list), kind }
    }

    /// The edits by which the last turn has no thoughts, where Claude refuses it beside a budget; `None`: it takes it.
    pub(crate) fn at_rest(&self) -> Option<Vec<Edit>> {
        let current = self.refused()?;
        Some(current.iter().flat_map(|turn| self.without_thoughts(turn)).collect())
    }

    /// The last turns of the model's, with the results of tools between them, where Claude refuses them beside a budget.
    fn refused(&self) -> Option<&[Range<usize>]> {
        let last = self.turns.iter().rposition(|turn| self.is_models(turn))?;
        let said = self.turns.get(..=last)?;
        let has_results = |turn| self.parts(turn).iter().any(|part| self.kind(part) == TurnPart::Result);
        let before = said.iter().rposition(|turn| !self.is_models(turn) && !has_results(turn));
        let current = said.get(before.map_or(0, |at| at + 1)..)?;
        let step = current.get(current.iter().rposition(|turn| !self.is_models(turn)).map_or(0, |at| at + 1)..)?;
        let parts = step.iter().flat_map(|turn| self.parts(turn));
        let call = parts.into_iter().find_map(|part| match self.kind(&part) {
            TurnPart::Call(id) => Some(id),
            _ => None,
        })?;
        // Between calls Claude may go on without a thought: it has thought at the beginning.
        let goes_on = call.starts_with(CLAUDES) && self.begins_with_thoughts(current);
        (!goes_on && !self.begins_with_thoughts(step)).then_some(current)
    }

    fn is_models(&self, turn: &Range<usize>) -> bool {
        text(self.body, turn.clone(), b"role") == Some("assistant")
    }

    fn kind(&self, part: &Range<usize>) -> TurnPart<'a> {
        (self.kind)(self.body, part.clone())
    }

    fn parts(&self, turn: &Range<usize>) -> Vec<Range<usize>> {
        member(self.body, turn.clone(), b"content").map(|list| elements(self.body, list)).unwrap_or_default()
    }

    /// True if the first of these turns of the model's begins with a thought.
    fn begins_with_thoughts(&self, turns: &[Range<usize>]) -> bool {
        let first = turns.iter().find(|turn| self.is_models(turn));
        first.is_some_and(|turn| self.parts(turn).first().is_some_and(|part| self.kind(part) == TurnPart::Thought))
    }

    /// The edits that take the thoughts out of a turn of the model's.
    fn without_thoughts(&self, turn: &Range<usize>) -> Vec<Edit> {
        let parts = if self.is_models(turn) { self.parts(turn) } else { Vec::new() };
        let thoughts: Vec<_> = parts.iter().filter(|part| self.kind(part) == TurnPart::Thought).cloned().collect();
        match !thoughts.is_empty() && thoughts.len() == parts.len() {
            true => vec![Edit::remove(turn.clone())],
            false => thoughts.into_iter().map(Edit::remove).collect(),
        }
    }
}
