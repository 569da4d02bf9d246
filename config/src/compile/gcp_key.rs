//! The key of a service account of Google's, as its console gives it out.

use std::fmt;

use serde::Deserialize;

/// The address of Google's token service, where a key names none.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// The key of a service account.
#[derive(Clone, PartialEq, Eq)]
pub struct GcpKey {
    /// The account's name.
    pub email: String,
    /// The private key, PEM.
    pub private_key: String,
    /// The key's id.
    pub key_id: Option<String>,
    /// The address where tokens are to be had for it.
    pub token_url: String,
}

impl fmt::Debug for GcpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcpKey(…)")
    }
}

#[derive(Deserialize)]
struct KeyFile {
    r#type: String,
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

/// The fault of a key's file. Nothing of the file is told: what stands in the wrong place may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GcpKeyFault {
    /// It is no whole key of a service account.
    NoKey,
    /// It names a token service that a key is not sent to.
    TokenUri,
}

impl GcpKeyFault {
    /// It in words, behind "it is".
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NoKey => "no whole key of a service account",
            Self::TokenUri => {
                "a key of a service account whose token_uri is none to ask: write one that begins with https://, without a user, a \
                 query or a fragment, or leave it out"
            }
        }
    }
}

/// Reads a key's file.
///
/// # Errors
/// It is no key of a service account, or names a token service that is not asked over TLS.
pub fn gcp_key(text: &[u8]) -> Result<GcpKey, GcpKeyFault> {
    let file: KeyFile = serde_json::from_slice(text).map_err(|_| GcpKeyFault::NoKey)?;
    let token_url = file.token_uri.unwrap_or_else(|| TOKEN_URL.to_owned());
    let is_graphic = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_safe = token_url.starts_with("https://") || token_url.starts_with("http://127.0.0.1:");
    let is_key = file.private_key.contains("-----BEGIN PRIVATE KEY-----");
    let is_whole = file.r#type == "service_account" && is_key && is_graphic(&file.client_email);
    let is_plain = is_graphic(&token_url) && !token_url.contains(['?', '#', '@']);
    match (is_whole, is_safe && is_plain) {
        (false, _) => Err(GcpKeyFault::NoKey),
        (true, false) => Err(GcpKeyFault::TokenUri),
        (true, true) => Ok(GcpKey {
            email: file.client_email,
            private_key: file.private_key,
            key_id: file.private_key_id,
            token_url,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_key_is_one() {
        let file = |kind: &str, key: &str, more: &str| {
            format!(r#"{{"type":"{kind}","client_email":"a@b.iam","private_key":"{key}"{more}}}"#)
        };
        let pem = r"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n";
        let key = gcp_key(file("service_account", pem, "").as_bytes()).unwrap();
        assert_eq!((key.email.as_str(), key.token_url.as_str()), ("a@b.iam", TOKEN_URL));
        assert!(key.private_key.contains("\nMIIE\n") && format!("{key:?}") == "GcpKey(…)");
        let at = |url: &str| file("service_account", pem, &format!(r#","token_uri":"{url}""#));
        assert_eq!(gcp_key(at("https://x/t").as_bytes()).unwrap().token_url, "https://x/t");
        for (text, fault) in [
            (String::new(), GcpKeyFault::NoKey),
            (file("authorized_user", pem, ""), GcpKeyFault::NoKey),
            (file("service_account", "MIIE", ""), GcpKeyFault::NoKey),
            (at("http://x/t"), GcpKeyFault::TokenUri),
            (at("https://u:p@x/t"), GcpKeyFault::TokenUri),
            (at("https://x/t?q"), GcpKeyFault::TokenUri),
        ] {
            assert_eq!(gcp_key(text.as_bytes()), Err(fault), "{text}");
        }
    }
}
