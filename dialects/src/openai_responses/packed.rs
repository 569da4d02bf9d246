//! Values of the gateway's own in a text that clients send back unread: a mark, and behind it JSON in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::Serialize;

/// Puts something behind a mark, as a text.
pub(super) fn pack(mark: &str, what: &impl Serialize) -> String {
    let json = serde_json::to_vec(what).unwrap_or_default();
    let mut packed = String::with_capacity(mark.len() + json.len() * 4 / 3 + 4);
    packed.push_str(mark);
    BASE64.encode_string(json, &mut packed);
    packed
}

/// The thing behind this mark; `None`: it is another one.
pub(super) fn unpack<T: serde::de::DeserializeOwned>(mark: &str, packed: &str) -> Option<T> {
    let json = BASE64.decode(packed.strip_prefix(mark)?).ok()?;
    serde_json::from_slice(&json).ok()
}
