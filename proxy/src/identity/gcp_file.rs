//! The file that `GOOGLE_APPLICATION_CREDENTIALS` names: a service account's key, a federation's configuration, or a user's login. Pure.
//!
//! As "Application Default Credentials" and "Workload Identity Federation" of Google's documents have them. Only who runs the gateway
//! writes it: a federation names files that are read and places that they are sent to.

use serde::Deserialize;
use sluicegate_config::compile::{self, GcpKey, GcpKeyFault};

/// The content of the file.
#[derive(Debug)]
pub(super) enum GcpFile {
    /// A service account's key.
    Key(Box<GcpKey>),
    /// A federation with another identity provider.
    Federation(Federation),
    /// A login of a user's, as `gcloud auth application-default login` writes it.
    User(UserLogin),
}

/// A federation: a token of another identity provider is exchanged for one of Google's.
#[derive(Debug, Deserialize)]
pub(super) struct Federation {
    pub(super) audience: String,
    pub(super) subject_token_type: String,
    pub(super) token_url: String,
    pub(super) service_account_impersonation_url: Option<String>,
    pub(super) credential_source: SubjectSource,
}

/// The place of the other token.
#[derive(Debug, Deserialize)]
pub(super) struct SubjectSource {
    /// The file; other sources (a URL, a program, Amazon's) are not read.
    pub(super) file: Option<String>,
    #[serde(default)]
    format: SubjectFormat,
}

#[derive(Debug, Default, Deserialize)]
struct SubjectFormat {
    r#type: Option<String>,
    subject_token_field_name: Option<String>,
}

/// A login of a user's.
#[derive(Deserialize)]
pub(super) struct UserLogin {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) refresh_token: String,
}

impl std::fmt::Debug for UserLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserLogin(…)")
    }
}

/// Reads the file.
///
/// # Errors
/// It is none of these; nothing of it is told.
pub(super) fn read(text: &str) -> Result<GcpFile, &'static str> {
    #[derive(Deserialize)]
    struct FileKind {
        r#type: String,
    }
    let Ok(FileKind { r#type }) = serde_json::from_str(text) else { return Err("is no JSON with a type") };
    match r#type.as_str() {
        "service_account" => {
            let key = compile::gcp_key(text.as_bytes()).map_err(|fault| match fault {
                GcpKeyFault::NoKey => "is no whole key of a service account",
                GcpKeyFault::TokenUri => "names a token service that is not asked over TLS",
            })?;
            Ok(GcpFile::Key(Box::new(key)))
        }
        "external_account" => {
            let federation: Federation =
                serde_json::from_str(text).map_err(|_| "is no whole configuration of a federation")?;
            let urls = [Some(&federation.token_url), federation.service_account_impersonation_url.as_ref()];
            if !urls.into_iter().flatten().all(|url| is_safe(url)) {
                return Err("names a token service that is not asked over TLS");
            }
            if federation.credential_source.file.is_none() {
                return Err("takes its subject's token from something else than a file, which is not read here");
            }
            Ok(GcpFile::Federation(federation))
        }
        "authorized_user" => serde_json::from_str(text).map(GcpFile::User).map_err(|_| "is no whole login of a user's"),
        _ => Err("is of a type that is not known here: write service_account or external_account"),
    }
}

fn is_safe(url: &str) -> bool {
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['#', '@']);
    is_plain && (url.starts_with("https://") || url.starts_with("http://127.0.0.1:"))
}

impl SubjectSource {
    /// The token in the text of the file.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn token(&self, text: &str) -> Result<String, &'static str> {
        if self.format.r#type.as_deref().is_none_or(|kind| kind == "text") {
            return Ok(text.to_owned());
        }
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| "the subject's token is in no JSON")?;
        let name = self.format.subject_token_field_name.as_deref().unwrap_or("access_token");
        let token = value.get(name).and_then(serde_json::Value::as_str);
        token.map(str::to_owned).ok_or("the file has no field with the subject's token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn federation(url: &str, source: &str) -> String {
        format!(
            r#"{{"type":"external_account","audience":"//iam.googleapis.com/p","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"{url}","credential_source":{source}}}"#
        )
    }

    #[test]
    fn a_file_is_one_of_three_or_says_why_it_is_none() {
        let good = federation("https://sts.googleapis.com/v1/token", r#"{"file":"/var/run/t"}"#);
        let Ok(GcpFile::Federation(read_good)) = read(&good) else { panic!("{:?}", read(&good)) };
        assert_eq!(read_good.credential_source.token("eyJ"), Ok("eyJ".to_owned()));
        let user = r#"{"type":"authorized_user","client_id":"a","client_secret":"b","refresh_token":"c"}"#;
        assert_eq!(format!("{:?}", read(user).unwrap()), "User(UserLogin(…))");
        for (text, why) in [
            (String::new(), "is no JSON with a type"),
            (r#"{"type":"service_account"}"#.to_owned(), "is no whole key of a service account"),
            (
                r#"{"type":"service_account","client_email":"a","private_key":"-----BEGIN PRIVATE KEY-----","token_uri":"http://x"}"#.to_owned(),
                "names a token service that is not asked over TLS",
            ),
            (r#"{"type":"external_account"}"#.to_owned(), "is no whole configuration of a federation"),
            (federation("http://sts.example", r#"{"file":"/t"}"#), "names a token service that is not asked over TLS"),
            (
                federation("https://x", r#"{"executable":{"command":"sh"}}"#),
                "takes its subject's token from something else than a file, which is not read here",
            ),
            (
                r#"{"type":"gdch"}"#.to_owned(),
                "is of a type that is not known here: write service_account or external_account",
            ),
        ] {
            assert_eq!(read(&text).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn a_subjects_token_is_the_file_or_a_field_of_it() {
        let in_json = r#"{"file":"/t","format":{"type":"json","subject_token_field_name":"tok"}}"#;
        let source: SubjectSource = serde_json::from_str(in_json).unwrap();
        assert_eq!(source.token(r#"{"tok":"eyJ"}"#), Ok("eyJ".to_owned()));
        assert!(source.token("eyJ").is_err() && source.token("{}").is_err());
    }
}
