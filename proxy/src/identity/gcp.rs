//! Google's tokens: how one is asked for, by a service account's key, a federation or of the metadata server, and what the answer says.
//!
//! As "Using OAuth 2.0 for Server to Server Applications", "Workload Identity Federation" and "About VM metadata" of Google's documents
//! have it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use sluicegate_config::compile::{self, GcpKey};

use super::environment::{CloudEnvironment, GCE_METADATA_HOST, GOOGLE_APPLICATION_CREDENTIALS};
use super::gcp_file::{self, Federation, GcpFile, UserLogin};
use super::token::{CloudCredential, Fetched};
use super::token_client::{Reach, TokenClient, TokenQuestion, form};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// An assertion's life in seconds: the longest that Google takes.
const ASSERTED: u64 = 3600;
/// No token is believed for longer.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
const METADATA_FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const USERS: &str = "https://oauth2.googleapis.com/token";

/// The place that a token of Google's comes from.
pub(super) enum GcpSource {
    /// A service account's key, which the token service is shown an assertion of.
    Key(Box<ServiceAccount>),
    /// Whoever this process is at Google: as a file says it, else the metadata server.
    Own,
}

/// A service account, and the key it signs with.
pub(super) struct ServiceAccount {
    key: RsaKeyPair,
    key_id: Option<String>,
    email: String,
    token_url: String,
}

impl ServiceAccount {
    /// Reads its key.
    ///
    /// # Errors
    /// It is no RSA key; nothing of it is told.
    fn new(from: GcpKey) -> Result<Self, &'static str> {
        let GcpKey { email, private_key, key_id, token_url } = from;
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(private_key.as_bytes()).map_err(|_| "its private key is no PEM")?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| "its private key is no RSA key")?;
        Ok(Self { key, key_id, email, token_url })
    }

    /// The signed word that this is the account, said at a time in seconds since 1970.
    fn assertion(&self, now: u64) -> Option<String> {
        let head = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = serde_json::json!({
            "iss": self.email, "scope": SCOPE, "aud": self.token_url, "iat": now, "exp": now + ASSERTED,
        });
        let encoded = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let said = format!("{}.{}", encoded(head), encoded(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), said.as_bytes(), &mut signature).ok()?;
        Some(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    async fn fetch(&self, reach: Reach, client: &TokenClient) -> Result<Fetched, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let assertion = self.assertion(now).ok_or("its key does not sign")?;
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let body = form(&[("grant_type", grant), ("assertion", &assertion)]);
        let (status, body) = client.ask(reach, TokenQuestion::form(self.token_url.clone(), body)).await?;
        read(status, &body)?.fetched()
    }
}

impl GcpSource {
    /// Of a service account's key, or whoever this process is.
    ///
    /// # Errors
    /// The key can not be used; nothing of it is told.
    pub(super) fn of(secret: Option<&[u8]>) -> Result<Self, String> {
        let Some(secret) = secret else { return Ok(Self::Own) };
        let key = compile::gcp_key(secret).map_err(|fault| format!("it is {}", fault.in_words()))?;
        Ok(Self::Key(Box::new(ServiceAccount::new(key)?)))
    }

    /// Its name for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Key(account) => format!("the key of {}", account.email),
            Self::Own => "the gateway's own identity".to_owned(),
        }
    }

    /// Gets a token.
    ///
    /// # Errors
    /// There is none; in words without anything secret.
    pub(super) async fn fetch(&self, client: &TokenClient, environment: &CloudEnvironment) -> Result<Fetched, String> {
        if let Self::Key(account) = self {
            return account.fetch(Reach::OfPool, client).await;
        }
        let Some(path) = environment.get(GOOGLE_APPLICATION_CREDENTIALS) else {
            let (host, question) = of_metadata(environment, METADATA_PATH);
            let asked = client.ask(Reach::Local, question).await;
            let (status, body) = asked.map_err(|why| format!("the metadata server at {host}: {why}"))?;
            return read(status, &body).map_err(|why| format!("the metadata server: {why}"))?.fetched();
        };
        // Read anew each time: whoever renews it replaces it.
        match gcp_file::read(&client.file(path).await?).map_err(|why| format!("{path} {why}"))? {
            GcpFile::Key(key) => ServiceAccount::new(*key)?.fetch(Reach::OfGateway, client).await,
            GcpFile::Federation(federation) => federated(&federation, client).await,
            GcpFile::User(user) => of_user(&user, client).await,
        }
    }
}

/// A question to the metadata server, and its host.
pub(super) fn of_metadata<'a>(environment: &'a CloudEnvironment, path: &str) -> (&'a str, TokenQuestion) {
    let host = environment.get(GCE_METADATA_HOST).unwrap_or("metadata.google.internal");
    let flavor = (METADATA_FLAVOR, HeaderValue::from_static("Google"));
    (host, TokenQuestion::get(format!("http://{host}{path}"), vec![flavor]))
}

async fn of_user(user: &UserLogin, client: &TokenClient) -> Result<Fetched, String> {
    let UserLogin { client_id, client_secret, refresh_token } = user;
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", client_id),
        ("client_secret", client_secret),
        ("refresh_token", refresh_token),
    ];
    let question = TokenQuestion::form(USERS.to_owned(), form(&fields));
    let (status, body) = client.ask(Reach::OfGateway, question).await?;
    read(status, &body)?.fetched()
}

/// Exchanges the token of another identity provider, and takes on a service account with what came of it, if one is named.
async fn federated(federation: &Federation, client: &TokenClient) -> Result<Fetched, String> {
    let Federation { audience, subject_token_type, token_url, service_account_impersonation_url, credential_source } =
        federation;
    let text = client.file(credential_source.file.as_deref().unwrap_or_default()).await?;
    let subject = credential_source.token(&text)?;
    let body = form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", audience),
        ("scope", SCOPE),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", &subject),
        ("subject_token_type", subject_token_type),
    ]);
    let (status, body) = client.ask(Reach::OfGateway, TokenQuestion::form(token_url.clone(), body)).await?;
    let exchanged = read(status, &body).map_err(|why| format!("the exchange of the subject's token: {why}"))?;
    let Some(url) = service_account_impersonation_url else { return exchanged.fetched() };
    let question = TokenQuestion {
        url: url.clone(),
        method: Method::POST,
        headers: vec![
            (AUTHORIZATION, exchanged.bearer()?),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ],
        body: serde_json::json!({ "scope": [SCOPE], "lifetime": "3600s" }).to_string().into(),
        ca_pem: None,
    };
    let (status, body) = client.ask(Reach::OfGateway, question).await?;
    impersonated(status, &body, SystemTime::now()).map_err(|why| format!("the service account: {why}"))?.fetched()
}

/// A token as it was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    token: String,
    life: Duration,
}

impl Answered {
    fn bearer(&self) -> Result<HeaderValue, String> {
        let sound = !self.token.is_empty() && self.token.bytes().all(|byte| byte.is_ascii_graphic());
        let header = HeaderValue::try_from(format!("Bearer {}", self.token)).ok().filter(|_| sound);
        let mut header = header.ok_or("its token is empty, or none that a header can carry")?;
        header.set_sensitive(true);
        Ok(header)
    }

    fn fetched(self) -> Result<Fetched, String> {
        if self.life.is_zero() {
            return Err("its token is over already".to_owned());
        }
        Ok(Fetched { held: CloudCredential::Bearer(self.bearer()?), life: self.life.min(LONGEST) })
    }
}

/// Reads the answer to a request for a token.
///
/// # Errors
/// It is none; in words without anything that is secret.
pub(super) fn read(status: StatusCode, body: &[u8]) -> Result<Answered, String> {
    #[derive(Deserialize)]
    struct TokenAnswer {
        access_token: String,
        expires_in: u64,
        token_type: Option<String>,
    }
    #[derive(Deserialize)]
    struct TokenFault {
        error: String,
    }
    if status != StatusCode::OK {
        let fault = serde_json::from_slice(body).ok().map(|TokenFault { error }| error);
        return Err(refusal(status, fault.as_deref()));
    }
    let token: TokenAnswer = serde_json::from_slice(body).map_err(|_| "its answer holds no token".to_owned())?;
    if token.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("its token is none that a bearer shows".to_owned());
    }
    Ok(Answered { token: token.access_token, life: Duration::from_secs(token.expires_in) })
}

/// Reads the answer to a request for a service account's token, at a time.
pub(super) fn impersonated(status: StatusCode, body: &[u8], now: SystemTime) -> Result<Answered, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct AccountAnswer {
        access_token: String,
        expire_time: String,
    }
    #[derive(Deserialize)]
    struct AccountFault {
        error: FaultWords,
    }
    #[derive(Deserialize)]
    struct FaultWords {
        status: String,
    }
    if status != StatusCode::OK {
        let fault = serde_json::from_slice(body).ok().map(|AccountFault { error }| error.status);
        return Err(refusal(status, fault.as_deref()));
    }
    let token: AccountAnswer = serde_json::from_slice(body).map_err(|_| "its answer holds no token".to_owned())?;
    let end: jiff::Timestamp = token.expire_time.parse().map_err(|_| "its token has no end".to_owned())?;
    let life = SystemTime::from(end).duration_since(now).unwrap_or_default();
    Ok(Answered { token: token.access_token, life })
}

/// The words for an answer that refuses: with its code, and nothing that somebody has put in its place.
fn refusal(status: StatusCode, code: Option<&str>) -> String {
    let is_code = |code: &&str| {
        (1..=40).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
    };
    let code = code.filter(is_code).map(|code| format!(" ({code})")).unwrap_or_default();
    format!("it answered with status {}{code}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_token_or_says_why_it_is_none() {
        let ok = StatusCode::OK;
        let token = read(ok, br#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#).unwrap();
        assert_eq!((token.bearer().unwrap().to_str().unwrap(), token.life.as_secs()), ("Bearer ya29.x", 3599));
        let long = read(ok, br#"{"access_token":"x","expires_in":999999999}"#).unwrap().fetched().unwrap();
        assert_eq!(long.life, LONGEST);
        let denied = StatusCode::BAD_REQUEST;
        for (status, body, why) in [
            (
                denied,
                r#"{"error":"invalid_grant","error_description":"secret"}"#,
                "it answered with status 400 (invalid_grant)",
            ),
            (denied, r#"{"error":"eyJhbGciOi.secret"}"#, "it answered with status 400"),
            (denied, "<html>", "it answered with status 400"),
            (ok, "", "its answer holds no token"),
            (ok, r#"{"access_token":"x"}"#, "its answer holds no token"),
            (ok, r#"{"access_token":"x","expires_in":-1}"#, "its answer holds no token"),
            (ok, r#"{"access_token":"x","expires_in":0}"#, "its token is over already"),
            (ok, r#"{"access_token":"x\ny","expires_in":9}"#, "its token is empty, or none that a header can carry"),
            (ok, r#"{"access_token":"x","expires_in":9,"token_type":"mac"}"#, "its token is none that a bearer shows"),
        ] {
            let read = read(status, body.as_bytes()).and_then(Answered::fetched);
            assert_eq!(read.err().as_deref(), Some(why), "{body}");
        }
    }

    #[test]
    fn an_accounts_token_has_an_end_in_time() {
        let at = |text: &str| SystemTime::from(text.parse::<jiff::Timestamp>().unwrap());
        let body = br#"{"accessToken":"x","expireTime":"2026-01-02T04:00:00Z"}"#;
        let read = |now| impersonated(StatusCode::OK, body, at(now)).unwrap().life.as_secs();
        assert_eq!((read("2026-01-02T03:00:00Z"), read("2026-01-02T05:00:00Z")), (3600, 0));
        let denied = br#"{"error":{"code":403,"message":"secret","status":"PERMISSION_DENIED"}}"#;
        let why = impersonated(StatusCode::FORBIDDEN, denied, at("2026-01-02T03:00:00Z")).err();
        assert_eq!(why.as_deref(), Some("it answered with status 403 (PERMISSION_DENIED)"));
    }
}
