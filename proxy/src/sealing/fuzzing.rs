//! Checks of what must hold for any id that a caller sends, and for any text out of Redis that was sealed.

use super::{IdKind, IdOwner, IdSealer, SealedId};

const OWNER: IdOwner = [1; 32];
const OTHER: IdOwner = [2; 32];

/// Ids: none that was made up opens, and each that is sealed opens for its owner alone.
///
/// # Panics
/// When what must hold does not.
pub fn sealed_ids(data: &[u8]) {
    let Some(sealer) = IdSealer::new([&b"one"[..], b"two"].into_iter()) else { return };
    assert!(sealer.unlock(&OWNER, data).is_none(), "what was made up is unlocked");
    let locked = sealer.lock(&OWNER, data.to_vec()).unwrap_or_default();
    assert_eq!(sealer.unlock(&OWNER, &locked).as_deref(), Some(data));
    assert!(sealer.unlock(&OTHER, &locked).is_none(), "another's is unlocked");
    let Ok(text) = std::str::from_utf8(data) else { return };
    for kind in [IdKind::Response, IdKind::BatchInput, IdKind::Document, IdKind::MessageBatch] {
        let made_up = format!("{}{text}", kind.beginning());
        assert!(sealer.open(&OWNER, kind, text).is_none() && sealer.open(&OWNER, kind, &made_up).is_none());
        let of = SealedId { target: 7, id: text.to_owned() };
        if let Some(sealed) = sealer.seal(&OWNER, kind, &of) {
            assert_eq!(sealer.open(&OWNER, kind, &sealed), Some(of));
            assert_eq!(sealer.open(&OTHER, kind, &sealed), None);
            assert_eq!(sealer.open(&OWNER, IdKind::File, &sealed), None, "it is none of the kind");
        } else {
            assert!(text.len() > 100, "a short one is sealed");
        }
    }
}
