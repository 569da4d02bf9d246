//! Folding: a stream folds to an answer that tells a stream which folds to the same answer, within its bound.

use crate::Dialect;
use crate::fold::Unfolded;

use super::ground::DIALECTS;
use super::pieces::pieces;

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    for dialect in DIALECTS.iter().copied() {
        let folded = fold(dialect, &[data], usize::MAX);
        assert_eq!(fold(dialect, &pieces(data), usize::MAX), folded, "the same, however it is cut");
        if let Ok(whole) = folded {
            again(dialect, &whole);
        }
        if let Some(told) = dialect.stream_of_whole(data, true)
            && let Ok(whole) = fold(dialect, &[&told], usize::MAX)
        {
            again(dialect, &whole);
        }
    }
}

fn again(dialect: Dialect, whole: &[u8]) {
    let Some(told) = dialect.stream_of_whole(whole, true) else { return };
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    if let Ok(again) = fold(dialect, &[&told], usize::MAX) {
        assert_eq!(value(&again), value(whole), "what was folded is told and folds to itself");
    }
}

fn fold(dialect: Dialect, pieces: &[&[u8]], most: usize) -> Result<Vec<u8>, Unfolded> {
    let mut fold = dialect.stream_fold(most);
    pieces.iter().try_for_each(|piece| fold.push(piece))?;
    fold.finish(None)
}
