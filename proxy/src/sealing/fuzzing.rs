//! Checks of what must hold for any id that a caller sends, and for any text out of Redis that was sealed.

use super::{IdOwner, IdSealer, SealedId};

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
    assert!(sealer.open(&OWNER, text).is_none() && sealer.open(&OWNER, &format!("resp_{text}")).is_none());
    let of = SealedId { target: 7, id: text.to_owned() };
    if let Some(sealed) = sealer.seal(&OWNER, &of) {
        assert_eq!(sealer.open(&OWNER, &sealed), Some(of));
        assert_eq!(sealer.open(&OTHER, &sealed), None);
    } else {
        assert!(text.len() > 100, "a short one is sealed");
    }
}
