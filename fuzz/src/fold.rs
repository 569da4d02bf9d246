//! Folding: a stream folds to an answer that tells the same stream again, within its bound.

use sluicegate_dialects::Dialect;
use sluicegate_dialects::fold::{Fold, Unfolded, unfold};
use sluicegate_dialects::hub::{Event, Reply};

use crate::DIALECTS;
use crate::stream::{bytes, calls_nameless, ends, events};

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    for dialect in DIALECTS {
        let (events, malformed) = events(dialect, &[data]);
        if malformed.is_none() {
            let folded = fold(dialect, &events, usize::MAX);
            assert!(folded.is_err() || ends(&events), "a cut stream is no answer");
            if let Ok(reply) = folded {
                assert!(fold(dialect, &events, 16).is_err(), "the bound is kept");
                again(dialect, &reply);
            }
        }
        if let Ok(mut reply) = dialect.decode_reply(data) {
            let folded = fold(dialect, &unfold(&reply), usize::MAX);
            // A stream has no place for these.
            reply.extra.fields.clear();
            for choice in &mut reply.choices {
                choice.extra.clear();
                for part in &mut choice.parts {
                    part.extra.clear();
                }
            }
            if let Ok(folded) = folded {
                again(dialect, &folded);
            }
        }
    }
}

fn again(dialect: Dialect, reply: &Reply) {
    let told = unfold(reply);
    let folded = fold(dialect, &told, usize::MAX).expect("what was folded unfolds and folds");
    assert_eq!(format!("{folded:?}"), format!("{reply:?}"));
    for to in DIALECTS {
        if calls_nameless(&told) {
            return;
        }
        // A reply kept in the cache is played as a stream; it must be one.
        let (played, malformed) = events(to, &[&bytes(to, &told, true)]);
        assert!(malformed.is_none() && ends(&played), "{dialect:?} played as {to:?}: {malformed:?}");
    }
}

fn fold(dialect: Dialect, events: &[Event], limit: usize) -> Result<Reply, Unfolded> {
    let mut fold = Fold::new(dialect, limit);
    for event in events {
        fold.push(event);
    }
    fold.finish()
}
