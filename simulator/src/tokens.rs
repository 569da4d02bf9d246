//! A stable tokeniser: about four bytes a token, never in the middle of a character.

/// The tokens of a text, in order; together they are the text.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(4);
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        Some(piece)
    })
}

/// The number of tokens in a text.
pub(crate) fn count(text: &str) -> u64 {
    if text.is_ascii() { (text.len() as u64).div_ceil(4) } else { pieces(text).count() as u64 }
}

/// The first `limit` tokens of a text, and whether that is less than all of it.
pub(crate) fn first(text: &str, limit: u64) -> (&str, bool) {
    let length: usize = pieces(text).take(usize::try_from(limit).unwrap_or(usize::MAX)).map(str::len).sum();
    (text.get(..length).unwrap_or(text), length < text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_text_again() {
        for text in ["", "a", "four", "fives", "Grüße aus Zürich", "日本語のテキスト", "🦀🦀"] {
            assert_eq!(pieces(text).collect::<String>(), text);
            assert_eq!(count(text), pieces(text).count() as u64, "{text}");
        }
        assert_eq!(count("12345678"), 2);
        assert_eq!(first("12345678 and", 2), ("12345678", true));
        assert_eq!(first("12345678", 2), ("12345678", false));
    }
}
