//! OpenAI's tokens: this process's own token, of a file or of Google's metadata server, is exchanged for one of a service account.
//!
//! As "Workload identity token exchange" and "Workload identity federation" of OpenAI's documents have it.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::environment::{self as names, CloudEnvironment};
use super::gcp::of_metadata;
use super::token::{CloudCredential, Fetched};
use super::token_client::{Reach, TokenClient, TokenQuestion};

/// The place where tokens are exchanged.
const AUTH: &str = "https://auth.openai.com";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// Google's metadata server makes a token for whoever it is meant for: OpenAI's API.
const GOOGLE_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Fapi.openai.com%2Fv1&format=full";
/// No token is believed for longer, and one that does not say how long it is good is renewed soon.
const LONGEST: Duration = Duration::from_secs(25 * 3600);
const UNSAID: u64 = 600;

/// The place that a token of OpenAI's comes from.
pub(super) struct OpenAiSource {
    /// The ids of the workload identity provider and of the service account.
    provider: String,
    account: String,
}

impl OpenAiSource {
    /// For a service account.
    pub(super) fn new(provider: &str, account: &str) -> Self {
        Self { provider: provider.to_owned(), account: account.to_owned() }
    }

    /// Its name for people.
    pub(super) fn name(&self) -> String {
        format!("the gateway's own identity, as the service account {}", self.account)
    }

    /// Gets a token.
    ///
    /// # Errors
    /// There is none; in words without anything secret.
    pub(super) async fn fetch(&self, client: &TokenClient, environment: &CloudEnvironment) -> Result<Fetched, String> {
        let (subject, kind) = subject(client, environment).await?;
        let base = environment.get(names::OPENAI_AUTH_URL).unwrap_or(AUTH).trim_end_matches('/');
        let question = json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": kind,
            "subject_token": subject,
            "identity_provider_id": self.provider,
            "service_account_id": self.account,
        });
        let question = TokenQuestion::json(format!("{base}/oauth/token"), &question);
        let (status, body) = client.ask(Reach::OfGateway, question).await?;
        read(status, &body)
    }
}

/// This process's own token, and its kind: of the file that is named, read each time, since the kubelet renews it; else of Google's metadata
/// server.
async fn subject(client: &TokenClient, environment: &CloudEnvironment) -> Result<(String, &'static str), String> {
    if let Some(path) = environment.get(names::OPENAI_IDENTITY_TOKEN_FILE) {
        return Ok((client.file(path).await?, JWT));
    }
    let (host, question) = of_metadata(environment, GOOGLE_PATH);
    let none = |why: String| {
        format!(
            "OPENAI_IDENTITY_TOKEN_FILE names no file with the gateway's own token, and the metadata server at {host}: {why}"
        )
    };
    let (status, body) = client.ask(Reach::Local, question).await.map_err(none)?;
    let token = std::str::from_utf8(&body).map(str::trim).unwrap_or_default();
    let is_one = status == StatusCode::OK && !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_one {
        Ok((token.to_owned(), ID_TOKEN))
    } else {
        Err(none(format!("it answered with status {}", status.as_u16())))
    }
}

/// Reads an answer.
pub(super) fn read(status: StatusCode, body: &[u8]) -> Result<Fetched, String> {
    #[derive(Deserialize)]
    struct ExchangeAnswer {
        access_token: String,
        expires_in: Option<u64>,
        token_type: Option<String>,
    }
    if status != StatusCode::OK {
        return Err(refusal(status, body));
    }
    let token: ExchangeAnswer = serde_json::from_slice(body).map_err(|_| "its answer holds no token".to_owned())?;
    if token.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("its token is none that a bearer shows".to_owned());
    }
    let sound = !token.access_token.is_empty() && token.access_token.bytes().all(|byte| byte.is_ascii_graphic());
    let header = HeaderValue::try_from(format!("Bearer {}", token.access_token)).ok().filter(|_| sound);
    let mut header = header.ok_or("its token is empty, or none that a header can carry")?;
    header.set_sensitive(true);
    let life = Duration::from_secs(token.expires_in.unwrap_or(UNSAID)).min(LONGEST);
    if life.is_zero() {
        return Err("its token is over already".to_owned());
    }
    Ok(Fetched { held: CloudCredential::Bearer(header), life })
}

/// The words for an answer that refuses: with its code, in OAuth's form or in OpenAI's own, and nothing else of it.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let fault: Option<Value> = serde_json::from_slice(body).ok();
    let code = fault.as_ref().and_then(|fault| fault.get("error")).and_then(|error| match error {
        Value::String(code) => Some(code.as_str()),
        error => error.get("code").or_else(|| error.get("type"))?.as_str(),
    });
    let is_code = |code: &&str| {
        (1..=60).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let code = code.filter(is_code).map(|code| format!(" ({code})")).unwrap_or_default();
    format!("it answered with status {}{code}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_token_or_says_why_it_is_none() {
        let life = |body: &str| read(StatusCode::OK, body.as_bytes()).map(|fetched| fetched.life.as_secs());
        let issued = r#"{"access_token":"eyJ","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}"#;
        assert_eq!((life(issued), life(r#"{"access_token":"eyJ"}"#)), (Ok(3600), Ok(600)));
        for (status, body, why) in [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"planted"}"#,
                "it answered with status 400 (invalid_grant)",
            ),
            (
                401,
                r#"{"error":{"message":"planted","type":"invalid_request_error","code":"invalid_subject_token"}}"#,
                "it answered with status 401 (invalid_subject_token)",
            ),
            (403, r#"{"error":"eyJ.secret"}"#, "it answered with status 403"),
            (500, "", "it answered with status 500"),
            (200, "{}", "its answer holds no token"),
            (200, r#"{"access_token":"x","token_type":"mac"}"#, "its token is none that a bearer shows"),
            (200, r#"{"access_token":"x y"}"#, "its token is empty, or none that a header can carry"),
            (200, r#"{"access_token":"x","expires_in":0}"#, "its token is over already"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(read(status, body.as_bytes()).err().as_deref(), Some(why), "{body}");
        }
    }
}
