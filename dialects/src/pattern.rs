//! Regular expressions as the engines of most languages compile them.
//!
//! Schemas are written for JavaScript's. OpenAI compiles them with Python's and refuses lookaround by name; others have an engine that
//! answers in linear time, as Rust's or RE2, which has no lookaround and no references back. Sources, read in November 2026:
//! docs.python.org/3/library/re.html, docs.rs/regex (syntax), github.com/google/re2/wiki/Syntax, and the refusals that
//! github.com/vercel/ai/issues/16021, github.com/tombii/better-ccflare/issues/357 and github.com/diegosouzapw/OmniRoute/pull/7100 tell.

use std::iter::Peekable;
use std::str::Chars;

/// Letters behind a backslash that mean the same everywhere, outside of a class.
const LETTERS: &str = "bBdDsSwWfnrtv";
/// Those inside of one.
const LETTERS_IN_CLASS: &str = "dDsSwWfnrtv";
/// Those that stand for several characters, and so can not begin a range.
const SETS: &str = "dDsSwW";

/// True if every engine compiles it. What is not known to be compiled is not.
pub(crate) fn is_portable(pattern: &str) -> bool {
    let mut rest = pattern.chars().peekable();
    let mut depth = 0_usize;
    // True where a quantifier has something to repeat.
    let mut repeats = false;
    while let Some(next) = rest.next() {
        let taken = match next {
            '\\' => escape(&mut rest, LETTERS).is_some(),
            '[' => class(&mut rest),
            '(' => {
                depth += 1;
                group(&mut rest)
            }
            ')' => depth.checked_sub(1).is_some_and(|outer| {
                depth = outer;
                true
            }),
            '*' | '+' | '?' => repeats && quantified(&mut rest),
            '{' => repeats && counted(&mut rest) && quantified(&mut rest),
            _ => true,
        };
        if !taken {
            return false;
        }
        repeats = !matches!(next, '(' | '|' | '^' | '*' | '+' | '?' | '{');
    }
    depth == 0
}

/// Reads past what stands behind a backslash; gives its letter. `None`: it is not the same everywhere.
fn escape(rest: &mut Peekable<Chars<'_>>, letters: &str) -> Option<char> {
    let letter = rest.next()?;
    let digits = match letter {
        'x' => 2,
        'u' => 4,
        _ => 0,
    };
    if digits > 0 {
        let taken = (0..digits).all(|_| rest.next().is_some_and(|digit| digit.is_ascii_hexdigit()));
        return taken.then_some(letter);
    }
    (letter.is_ascii_punctuation() || letter == ' ' || letters.contains(letter)).then_some(letter)
}

/// Reads past a class, behind its `[`. One within it begins a class of its own for some.
fn class(rest: &mut Peekable<Chars<'_>>) -> bool {
    rest.next_if_eq(&'^');
    if rest.peek() == Some(&']') {
        return false;
    }
    let mut is_set = false;
    while let Some(next) = rest.next() {
        match next {
            ']' => return true,
            '[' => return false,
            '\\' => match escape(rest, LETTERS_IN_CLASS) {
                Some(letter) => is_set = SETS.contains(letter),
                None => return false,
            },
            // `[\w-.]` is a range from nothing.
            '-' if is_set && rest.peek() != Some(&']') => return false,
            _ => is_set = false,
        }
    }
    false
}

/// Reads past the mark of a group, behind its `(`. Only groups that are not kept have one that all know.
fn group(rest: &mut Peekable<Chars<'_>>) -> bool {
    rest.next_if_eq(&'?').is_none() || rest.next() == Some(':')
}

/// Reads past the number of a repetition, behind its `{`.
fn counted(rest: &mut Peekable<Chars<'_>>) -> bool {
    /// RE2 refuses more.
    const MOST: u32 = 1000;
    let number = |rest: &mut Peekable<Chars<'_>>| {
        let mut digits = String::new();
        while let Some(digit) = rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits
    };
    let is_taken = |digits: &str| digits.parse::<u32>().is_ok_and(|number| number <= MOST);
    let least = number(rest);
    let most = rest.next_if_eq(&',').map(|_| number(rest));
    rest.next() == Some('}') && is_taken(&least) && most.is_none_or(|most| most.is_empty() || is_taken(&most))
}

/// Reads past the mark of a quantifier that takes as little as it can; `false`: another follows it.
fn quantified(rest: &mut Peekable<Chars<'_>>) -> bool {
    rest.next_if_eq(&'?');
    !matches!(rest.peek(), Some('*' | '+' | '?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_engine_refuses_is_not_portable() {
        for pattern in [
            r"^(?!__.*__$)[^\p{Cc}\p{Cf}]{1,200}$",
            r"^(?=.*\S)x",
            "(?<=a)b",
            "(?<!a)b",
            "(?<name>a)",
            r"\p{L}+",
            r"[\P{L}]",
            r"^[^\0]*$",
            r"(a)\1",
            r"[a[\]]",
            r"[\w-.]+@",
            "[]a]",
            "[^]",
            "[a",
            r"[\b]",
            r"\cA",
            r"\-é\é",
            r"\u{1F600}",
            r"\x1",
            "a{,3}",
            "a{1,2000}",
            "{a}",
            "*.ts",
            "a|*",
            "a++",
            "(a",
            "a)",
            "a\\",
        ] {
            assert!(!is_portable(pattern), "{pattern}");
        }
    }

    #[test]
    fn what_all_engines_compile_is_portable() {
        for pattern in [
            "",
            "^a",
            r"^[A-Za-z0-9._%+-]+@[\w.-]+\.[a-z]{2,}$",
            r"^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2})?$",
            r"^(#[0-9a-f]{3}|rgb\(\d+,\s*\d+\))$",
            r"[^\u0000-\u001F\x7f]+?",
            r"\/\-\.\[\]\{\}\\",
            r"[(?=*+{]",
            "a{2}b{2,}?c*",
            "é+",
        ] {
            assert!(is_portable(pattern), "{pattern}");
        }
    }
}
