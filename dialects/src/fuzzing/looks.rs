//! The looks at a caller's body that need no dialect: sessions, facts, estimates, and the bodies of operations that pass.

use crate::side::SideOutput;
use crate::verbatim::PathSays;
use crate::{conversation, effects, estimate, side};

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let session = conversation::session_of_body(data);
    assert!(session.is_none_or(|session| !session.is_empty()), "a session without a name");
    let (facts, mut prefix) = (conversation::facts_of_body(data), 0);
    assert_eq!(conversation::facts_of_body(data), facts);
    let some = conversation::prefix_of_body(data, |text| prefix += text.len());
    assert_eq!(some, prefix > 0, "a prefix is some text");
    let _ = effects::effects(data);
    assert!(estimate::tokens_of_body(data) > 0 && estimate::answers_of_body(data) > 0);
    let _ = estimate::tokens_of_messages(data, &["system", "messages", "tools"]);
    for made in [SideOutput::Texts, SideOutput::Images, SideOutput::Speech] {
        let _ = side::usage_of(data, made);
    }
    if let Ok(peek) = side::peek(data, PathSays::default()) {
        assert!(!peek.model.of(data).is_empty());
    }
}
