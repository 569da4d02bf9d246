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

/// Reads a key's file; `None`: it is none of a service account, or names a token service that is not asked over TLS.
#[must_use]
pub fn gcp_key(text: &[u8]) -> Option<GcpKey> {
    let file: KeyFile = serde_json::from_slice(text).ok()?;
    let token_url = file.token_uri.unwrap_or_else(|| TOKEN_URL.to_owned());
    let is_graphic = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_safe = token_url.starts_with("https://") || token_url.starts_with("http://127.0.0.1:");
    let is_key = file.private_key.contains("-----BEGIN PRIVATE KEY-----");
    let is_whole = file.r#type == "service_account" && is_key && is_graphic(&file.client_email);
    let is_plain = is_graphic(&token_url) && !token_url.contains(['?', '#', '@']);
    (is_whole && is_safe && is_plain).then_some(GcpKey {
        email: file.client_email,
        private_key: file.private_key,
        key_id: file.private_key_id,
        token_url,
    })
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
        for text in [
            String::new(),
            file("authorized_user", pem, ""),
            file("service_account", "MIIE", ""),
            at("http://x/t"),
            at("https://u:p@x/t"),
            at("https://x/t?q"),
        ] {
            assert!(gcp_key(text.as_bytes()).is_none(), "{text}");
        }
    }
}
