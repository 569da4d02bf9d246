//! The credential that a provider is called with, taken out of whatever that provider says of an error: vendors mask a key that they
//! quote; servers of one's own and proxies before them may not.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use memchr::{memchr, memmem};
use sluicegate_dialects::hub::ProviderError;

use crate::identity::token::CloudCredential;
use crate::state::{Credential, Provider};

/// Stands where a credential stood.
const HIDDEN: &[u8] = b"***";
/// A shorter credential is no secret, and a word of the error by chance.
const SHORTEST: usize = 8;

/// The header's value that a provider was called with, where that is a secret.
#[derive(Clone, Default)]
pub(super) struct ProviderSecret(Option<HeaderValue>);

impl ProviderSecret {
    /// Of a provider that is called with this one of its keys.
    pub(super) fn of(provider: &Provider, key: Option<usize>) -> Self {
        Self(match provider.credential_of(key) {
            Some(Credential::Header(_, value)) => Some(value.clone()),
            Some(Credential::Token(token)) => match token.held() {
                Some(CloudCredential::Bearer(value)) => Some(value),
                Some(CloudCredential::Signer(_)) | None => None,
            },
            // A signature is good for its own request alone, and its caller knows its own key.
            Some(Credential::Signed(_) | Credential::OfCaller(_)) | None => None,
        })
    }

    fn secret(&self) -> Option<&[u8]> {
        // `Bearer KEY`: the word before it is no secret.
        let secret = self.0.as_ref()?.as_bytes().rsplit(|byte| *byte == b' ').next()?;
        (secret.len() >= SHORTEST).then_some(secret)
    }

    /// True if it stands in these bytes.
    pub(super) fn is_in(&self, said: &[u8]) -> bool {
        self.secret().is_some_and(|secret| find(said, secret).is_some())
    }

    /// These bytes without it.
    pub(super) fn out_of(&self, said: Bytes) -> Bytes {
        self.without(&said).map_or(said, Bytes::from)
    }

    /// These words without it.
    pub(super) fn out_of_words(&self, said: String) -> String {
        match self.without(said.as_bytes()) {
            Some(without) => String::from_utf8_lossy(&without).into_owned(),
            None => said,
        }
    }

    /// An error without it.
    pub(super) fn out_of_error(&self, error: ProviderError) -> ProviderError {
        let ProviderError { kind, message, r#type, code, param } = error;
        let out_of = |words: Option<String>| words.map(|words| self.out_of_words(words));
        let (r#type, code, param) = (out_of(r#type), out_of(code), out_of(param));
        ProviderError { kind, message: self.out_of_words(message), r#type, code, param }
    }

    /// Takes it out of headers.
    pub(super) fn leave_headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(without) = self.without(value.as_bytes()) {
                *value = HeaderValue::from_bytes(&without).unwrap_or(HeaderValue::from_static(""));
            }
        }
    }

    /// `None`: it is not there.
    fn without(&self, said: &[u8]) -> Option<Vec<u8>> {
        let secret = self.secret()?;
        let mut found = find(said, secret)?;
        let (mut made, mut rest) = (Vec::with_capacity(said.len()), said);
        loop {
            made.extend_from_slice(rest.get(..found.at).unwrap_or_default());
            made.extend_from_slice(HIDDEN);
            rest = rest.get(found.at + found.length..).unwrap_or_default();
            match find(rest, secret) {
                Some(next) => found = next,
                None => break,
            }
        }
        made.extend_from_slice(rest);
        Some(made)
    }
}

/// The place where a secret stands.
struct FoundSecret {
    at: usize,
    length: usize,
}

/// The first place of a secret; in JSON each of its characters may be escaped.
fn find(said: &[u8], secret: &[u8]) -> Option<FoundSecret> {
    let plain = memmem::find(said, secret);
    let escaped = memchr(b'\\', said).and_then(|_| {
        let mut before = 0..plain.unwrap_or(said.len());
        before.find_map(|at| Some(FoundSecret { at, length: length_of(secret, said.get(at..)?)? }))
    });
    escaped.or_else(|| plain.map(|at| FoundSecret { at, length: secret.len() }))
}

/// The length of a secret that stands at the beginning of a text in JSON.
fn length_of(secret: &[u8], text: &[u8]) -> Option<usize> {
    let mut length = 0;
    for wanted in secret {
        let (byte, took) = match text.get(length..)? {
            [b'\\', b'u', b'0', b'0', high, low, ..] => {
                (u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?, "\\u0000".len())
            }
            [b'\\', byte @ (b'/' | b'"' | b'\\'), ..] => (*byte, 2),
            [byte, ..] => (*byte, 1),
            [] => return None,
        };
        if byte != *wanted {
            return None;
        }
        length += took;
    }
    Some(length)
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

#[cfg(test)]
pub(super) mod tests {
    use sluicegate_dialects::hub::ErrorKind;

    use super::*;

    /// That of a provider which is called with this header.
    pub(in super::super) fn secret(header: &'static str) -> ProviderSecret {
        ProviderSecret(Some(HeaderValue::from_static(header)))
    }

    #[test]
    fn a_credential_is_told_to_nobody() {
        for (said, header, told) in [
            (r#"{"error":"bad sk-secret-1, sk-secret-1"}"#, "Bearer sk-secret-1", r#"{"error":"bad ***, ***"}"#),
            (r#"{"error":"bad"}"#, "Bearer sk-secret-1", r#"{"error":"bad"}"#),
            (r#"{"error":"key1"}"#, "key1", r#"{"error":"key1"}"#),
            ("sk-secret-1", "sk-secret-1", "***"),
            // As JSON may spell it, all of it or a character.
            (r#"{"e":"\u0073\u006B\u002dsecret-1!","f":"sk-secret-1"}"#, "sk-secret-1", r#"{"e":"***!","f":"***"}"#),
            (r#"{"e":"a\nb sk/sec\/ret 1"}"#, "sk/sec/ret", r#"{"e":"a\nb *** 1"}"#),
            (r#"\u0073k-secret-1 \u0073k-secret-2"#, "sk-secret-1", r"*** \u0073k-secret-2"),
            (r"\u00", "sk-secret-1", r"\u00"),
        ] {
            let told_bytes = secret(header).out_of(Bytes::from_static(said.as_bytes()));
            assert_eq!(told_bytes, told.as_bytes(), "{said}");
            assert_eq!(secret(header).out_of_words(said.to_owned()), told, "{said}");
            assert_eq!(secret(header).is_in(said.as_bytes()), said != told, "{said}");
        }
        let nothing = Bytes::from_static(b"anything at all");
        assert_eq!(ProviderSecret::default().out_of(nothing.clone()), nothing);
    }

    #[test]
    fn no_part_of_an_error_and_no_header_tells_it() {
        let key = || "Bearer sk-secret-1".to_owned();
        let error = ProviderError {
            kind: ErrorKind::InvalidRequest,
            message: key(),
            r#type: Some(key()),
            code: Some(key()),
            param: Some(key()),
        };
        let told = secret("Bearer sk-secret-1").out_of_error(error);
        assert!(
            [Some(told.message), told.r#type, told.code, told.param].iter().flatten().all(|said| said == "Bearer ***")
        );
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::from_static("http://x/?key=sk-secret-1&a=b"));
        headers.append("x-debug", HeaderValue::from_static("fine"));
        headers.append("x-debug", HeaderValue::from_static("Bearer sk-secret-1"));
        secret("Bearer sk-secret-1").leave_headers(&mut headers);
        let told = headers.values().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(told, ["http://x/?key=***&a=b", "fine", "Bearer ***"]);
    }
}
