//! Words that nobody can guess, of the system's randomness.

use std::fmt::Write as _;

/// Random bytes of a word.
const BYTES: usize = 32;

/// 64 hexadecimal digits; `None`: the system has no randomness.
pub(crate) fn word() -> Option<String> {
    let mut bytes = [0; BYTES];
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes.iter().fold(String::new(), |mut word, byte| {
        // Writing into a text has no way to fail.
        let _ = write!(word, "{byte:02x}");
        word
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_words_are_alike() {
        let (one, other) = (word().unwrap(), word().unwrap());
        assert!(one != other && one.len() == 2 * BYTES);
    }
}
