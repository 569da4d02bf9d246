//! The body of a provider's error as others may see it: under its caller's own names, and without the credential that was sent.

use bytes::Bytes;
use memchr::memmem;

use crate::state::{Credential, Provider};

use super::inbound::InboundCall;

/// Stands where a credential stood.
const HIDDEN: &[u8] = b"***";
/// A shorter credential is no secret, and a word of the error by chance.
const SHORTEST: usize = 8;

/// The body without what only the gateway may know. Vendors mask a key that they quote; servers of one's own and proxies before them may not.
pub(super) fn told(call: &InboundCall, (provider, key): (&Provider, Option<usize>), body: &Bytes) -> Bytes {
    let body = call.object().map_or_else(|| body.clone(), |object| object.renamed(body));
    match provider.credential_of(key) {
        Some(Credential::Header(_, value)) => without(&body, value.as_bytes()),
        _ => body,
    }
}

fn without(body: &Bytes, header: &[u8]) -> Bytes {
    // `Bearer KEY`: the word before it is no secret.
    let secret = header.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if secret.len() < SHORTEST || memmem::find(body, secret).is_none() {
        return body.clone();
    }
    let (mut made, mut rest) = (Vec::with_capacity(body.len()), &body[..]);
    while let Some(at) = memmem::find(rest, secret) {
        let (before, from) = rest.split_at(at);
        made.extend_from_slice(before);
        made.extend_from_slice(HIDDEN);
        rest = from.get(secret.len()..).unwrap_or_default();
    }
    made.extend_from_slice(rest);
    made.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_told_to_nobody() {
        for (body, header, told) in [
            (r#"{"error":"bad sk-secret-1, sk-secret-1"}"#, "Bearer sk-secret-1", r#"{"error":"bad ***, ***"}"#),
            (r#"{"error":"bad"}"#, "Bearer sk-secret-1", r#"{"error":"bad"}"#),
            (r#"{"error":"key1"}"#, "key1", r#"{"error":"key1"}"#),
            ("sk-secret-1", "sk-secret-1", "***"),
        ] {
            assert_eq!(without(&Bytes::from_static(body.as_bytes()), header.as_bytes()), told.as_bytes());
        }
    }
}
