//! The part of a request that a provider counts the tokens of: it refuses what is about the answer alone.

use bytes::Bytes;

use crate::codec::Encoded;
use crate::verbatim::{Edit, names, splice};

/// A body with no top-level fields but those whose names fit.
pub(crate) fn only(body: &Bytes, fits: impl Fn(&str) -> bool) -> Bytes {
    let others = names(body).into_iter().filter(|(name, ..)| !fits(name));
    let edits: Vec<Edit> = others.map(|(_, name, value)| Edit::remove(name.start..value.end)).collect();
    splice(body, &edits)
}

/// A call as it was written, with no top-level fields but these. The others were not asked for: the answer is a count.
pub(crate) fn of_encoded(encoded: Encoded, fields: &[&str]) -> Encoded {
    let body = only(&encoded.body.into(), |name| fields.contains(&name)).into();
    Encoded { body, clamped: None, ..encoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_answer_alone_stays_behind() {
        let body =
            Bytes::from_static(br#"{"stream":true, "model":"m","max_tokens":9,"messages":[{"stream":1}],"stop":[ ]}"#);
        assert_eq!(
            only(&body, |name| matches!(name, "model" | "messages")),
            br#"{ "model":"m","messages":[{"stream":1}]}"#[..]
        );
        assert_eq!(only(&body, |_| false), b"{}"[..]);
        assert_eq!(only(&Bytes::from_static(b"{}"), |_| true), b"{}"[..]);
    }
}
