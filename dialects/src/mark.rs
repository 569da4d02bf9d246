//! A text that is looked for in every body, and found in hardly any.

use std::sync::OnceLock;

use memchr::memchr_iter;
use memchr::memmem::Finder;

/// A text to look for. One with an underscore is looked for by that: prose has fewer of them than of any letter.
pub(crate) struct Mark {
    text: &'static str,
    /// So much of it stands before its first underscore.
    before: Option<usize>,
    finder: OnceLock<Finder<'static>>,
}

impl Mark {
    /// Of this text.
    pub(crate) const fn new(text: &'static str) -> Self {
        let mut rest = text.as_bytes();
        let mut before = None;
        while let [first, others @ ..] = rest {
            if *first == b'_' {
                before = Some(text.len() - rest.len());
                break;
            }
            rest = others;
        }
        Self { text, before, finder: OnceLock::new() }
    }

    /// True if it stands somewhere in a body.
    pub(crate) fn is_in(&self, body: &[u8]) -> bool {
        let Some(before) = self.before else {
            return self.finder.get_or_init(|| Finder::new(self.text)).find(body).is_some();
        };
        let starts = memchr_iter(b'_', body).filter_map(|at| at.checked_sub(before));
        starts.filter_map(|start| body.get(start..)).any(|rest| rest.starts_with(self.text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::Mark;

    #[test]
    fn a_mark_is_found_wherever_it_stands_and_nothing_else_is() {
        for text in ["cache_control", "_a", "a_", "\"thinking_blocks\"", "\"gemini:", "a_b_c"] {
            let mark = Mark::new(text);
            for (before, behind) in [("", ""), ("_", "_"), ("a", "b"), ("cache_contro", "l"), ("a_b_", "_c")] {
                assert!(mark.is_in(format!("{before}{text}{behind}").as_bytes()), "{before}{text}{behind}");
                let cut = text.get(1..).unwrap_or_default();
                let without = format!("{}{cut}{behind}", before.trim_end_matches(text.get(..1).unwrap_or_default()));
                assert_eq!(mark.is_in(without.as_bytes()), without.contains(text), "{without}");
            }
        }
    }
}
