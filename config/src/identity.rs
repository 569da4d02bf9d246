//! The gateway's identity at a provider, where it is more than a key in a header.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a credential, and what belongs to it beside its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Identity {
    /// Amazon's: requests are signed.
    #[serde(rename_all = "camelCase")]
    Aws {
        /// The region that signatures are made for.
        region: String,
        /// A role that is taken on with the keys of the credential; without a credential with the gateway's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<AssumedRole>,
    },
    /// Google's: requests carry a token, which the credential is the key to; without a credential it is the gateway's own.
    Gcp,
    /// Azure's: requests carry a token, by a client's secret; without a credential it is the gateway's own.
    #[serde(rename_all = "camelCase")]
    Azure {
        /// The tenant, where it is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<String>,
        /// The client, where it is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
    },
    /// OpenAI's: requests carry a token that the gateway's own is exchanged for.
    #[serde(rename = "openai", rename_all = "camelCase")]
    OpenAi {
        /// The id of the workload identity provider.
        provider: String,
        /// The id of the service account.
        account: String,
    },
    /// The caller's own.
    Passthrough,
}

/// A role of Amazon's that is taken on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssumedRole {
    /// Its ARN.
    pub arn: String,
    /// The word that its owner wants to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The session's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
}

/// Amazon's keys.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// The access key's id.
    pub id: String,
    /// The secret access key.
    pub secret: String,
    /// The session's token, where the keys belong to one.
    pub token: Option<String>,
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsKeys(…)")
    }
}

/// Reads keys as people have them: `ID:SECRET` or `ID:SECRET:TOKEN`, the file that Amazon's tools keep them in
/// (`aws_access_key_id = …`, its first profile), or JSON with `AccessKeyId` as those tools print it.
#[must_use]
pub fn aws_keys(text: &[u8]) -> Option<AwsKeys> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let keys = if text.starts_with('{') { of_json(text) } else { of_file(text).or_else(|| of_line(text)) }?;
    let sound = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    let whole = sound(&keys.id) && sound(&keys.secret) && keys.token.as_deref().is_none_or(sound);
    (whole && !keys.id.contains('/')).then_some(keys)
}

fn of_line(text: &str) -> Option<AwsKeys> {
    let (id, rest) = text.split_once(':')?;
    let (secret, token) = rest.split_once(':').map_or((rest, None), |(secret, token)| (secret, Some(token)));
    Some(AwsKeys { id: id.to_owned(), secret: secret.to_owned(), token: token.map(str::to_owned) })
}

fn of_file(text: &str) -> Option<AwsKeys> {
    let find = |wanted: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim().to_owned())
    };
    let (id, secret) = (find("aws_access_key_id")?, find("aws_secret_access_key")?);
    Some(AwsKeys { id, secret, token: find("aws_session_token") })
}

/// The few texts that are looked for, without a reader of all JSON: keys hold nothing that is escaped.
fn of_json(text: &str) -> Option<AwsKeys> {
    let find = |wanted: &str| {
        let behind = text.split_once(&format!("\"{wanted}\""))?.1.trim_start().strip_prefix(':')?.trim_start();
        Some(behind.strip_prefix('"')?.split_once('"')?.0.to_owned())
    };
    Some(AwsKeys { id: find("AccessKeyId")?, secret: find("SecretAccessKey")?, token: find("SessionToken") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_people_have_them() {
        for (text, token) in [
            ("AKID:s/e+cret\n", None),
            ("AKID:s/e+cret:tok==", Some("tok==")),
            ("[default]\naws_access_key_id = AKID\naws_secret_access_key=s/e+cret\n", None),
            ("[a]\naws_access_key_id=AKID\naws_secret_access_key=s/e+cret\naws_session_token = tok==\n", Some("tok==")),
            (
                r#"{"Credentials":{"AccessKeyId": "AKID", "SecretAccessKey" : "s/e+cret","SessionToken":"tok=="}}"#,
                Some("tok=="),
            ),
        ] {
            let keys = aws_keys(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((keys.id.as_str(), keys.secret.as_str(), keys.token.as_deref()), ("AKID", "s/e+cret", token));
        }
        for text in ["", "key", ":", "a:", "a: b", "{}", "aws_access_key_id=x", "a/b:c"] {
            assert!(aws_keys(text.as_bytes()).is_none(), "{text}");
        }
        assert_eq!(format!("{:?}", aws_keys(b"AKID:secret")), "Some(AwsKeys(…))");
    }
}
