//! Amazon's token service: how keys are asked for there, by a token of another identity provider or as a role, and what it answers.
//!
//! As the API reference of AWS STS has `AssumeRoleWithWebIdentity` and `AssumeRole`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use sluicegate_config::identity::{AssumedRole, AwsKeys};

use super::environment::{AWS_ENDPOINT_URL_STS, CloudEnvironment};
use super::sigv4::{self, DayKey, Scope, Signable, SigningTime};
use super::token_client::{Reach, TokenClient, TokenQuestion, form};

const VERSION: &str = "2011-06-15";
const SERVICE: &str = "sts";
/// The session's name where nobody gives one: what Amazon's records call it.
pub(super) const SESSION: &str = "sluicegate";
const FORM: &str = "application/x-www-form-urlencoded";

/// Keys that were got, and for how long they are good.
#[derive(Debug)]
pub(super) struct TemporaryKeys {
    pub(super) keys: AwsKeys,
    pub(super) life: Duration,
}

impl TemporaryKeys {
    /// With an end as Amazon says it.
    ///
    /// # Errors
    /// It has none, or keys that no request can carry; in words without them.
    pub(super) fn until(keys: AwsKeys, end: &str, now: SystemTime) -> Result<Self, String> {
        let end: jiff::Timestamp = end.parse().map_err(|_| "its keys have no end".to_owned())?;
        let life = SystemTime::from(end).duration_since(now).unwrap_or_default();
        if life.is_zero() {
            return Err("its keys are over already".to_owned());
        }
        let sound = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        if !(sound(&keys.id) && sound(&keys.secret) && keys.token.as_deref().is_none_or(sound)) {
            return Err("its keys are none that a request can carry".to_owned());
        }
        Ok(Self { keys, life })
    }
}

/// The address of the token service of a region.
pub(super) fn address(region: &str, environment: &CloudEnvironment) -> String {
    if let Some(said) = environment.get(AWS_ENDPOINT_URL_STS) {
        return format!("{}/", said.trim_end_matches('/'));
    }
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://sts.{region}.amazonaws.com{china}/")
}

/// Keys for a role, by a token of another identity provider.
///
/// # Errors
/// There are none; in words without anything secret.
pub(super) async fn by_web_identity(
    (role, session): (&str, &str),
    token: &str,
    address: String,
    client: &TokenClient,
) -> Result<TemporaryKeys, String> {
    let body = form(&[
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", VERSION),
        ("RoleArn", role),
        ("RoleSessionName", session),
        ("WebIdentityToken", token),
    ]);
    let (status, body) = client.ask(Reach::OfGateway, TokenQuestion::form(address, body)).await?;
    read(status, &body, SystemTime::now())
}

/// Keys for a role that others' keys may take on.
///
/// # Errors
/// There are none; in words without anything secret.
pub(super) async fn by_keys(
    role: &AssumedRole,
    keys: &AwsKeys,
    (region, address): (&str, String),
    client: &TokenClient,
) -> Result<TemporaryKeys, String> {
    let AssumedRole { arn, external_id, session_name } = role;
    let session = session_name.as_deref().unwrap_or(SESSION);
    let mut fields =
        vec![("Action", "AssumeRole"), ("Version", VERSION), ("RoleArn", arn), ("RoleSessionName", session)];
    fields.extend(external_id.as_deref().map(|id| ("ExternalId", id)));
    let question = signed(form(&fields), keys, (region, address), SystemTime::now());
    let (status, body) = client.ask(Reach::OfGateway, question).await?;
    read(status, &body, SystemTime::now())
}

fn signed(form: String, keys: &AwsKeys, (region, address): (&str, String), now: SystemTime) -> TokenQuestion {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time = SigningTime::of(i64::try_from(seconds).unwrap_or_default());
    let scope = Scope { region: region.to_owned(), service: SERVICE };
    let key = DayKey::new(&keys.secret, &time, &scope);
    let behind = address.split_once("://").map_or("", |(_, rest)| rest);
    let (host, path) = behind.split_at_checked(behind.find('/').unwrap_or(behind.len())).unwrap_or((behind, "/"));
    let mut words = vec![("content-type", FORM), ("host", host), ("x-amz-date", time.as_str())];
    words.extend(keys.token.as_deref().map(|token| ("x-amz-security-token", token)));
    let signable = Signable { method: "POST", path, query: "", headers: &words, body: form.as_bytes() };
    let line = sigv4::authorization((&keys.id, &key), &scope, &time, &signable);
    let mut headers =
        vec![(CONTENT_TYPE, HeaderValue::from_static(FORM)), (ACCEPT, HeaderValue::from_static("application/xml"))];
    let added = [("x-amz-date", Some(time.as_str())), ("x-amz-security-token", keys.token.as_deref())];
    for (name, value) in added.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        headers.extend(HeaderValue::from_str(value).ok().map(|value| (HeaderName::from_static(name), value)));
    }
    headers.extend(line.map(|(_, value)| (AUTHORIZATION, value)));
    TokenQuestion { headers, ..TokenQuestion::form(address, form) }
}

/// Reads an answer.
pub(super) fn read(status: StatusCode, body: &[u8], now: SystemTime) -> Result<TemporaryKeys, String> {
    let text = std::str::from_utf8(body).map_err(|_| "its answer is no text".to_owned())?;
    if status != StatusCode::OK {
        return Err(refusal(status, element(text, "Code")));
    }
    let within = element(text, "Credentials").unwrap_or_default();
    let word = |name| element(within, name).map(|word| word.trim().to_owned());
    let keys = word("AccessKeyId").zip(word("SecretAccessKey")).zip(word("SessionToken"));
    let ((id, secret), token) = keys.ok_or_else(|| "its answer holds no keys".to_owned())?;
    TemporaryKeys::until(
        AwsKeys { id, secret, token: Some(token) },
        element(within, "Expiration").unwrap_or_default().trim(),
        now,
    )
}

/// The words for an answer that refuses: with its code, and nothing that somebody has put in its place.
pub(super) fn refusal(status: StatusCode, code: Option<&str>) -> String {
    let is_code = |code: &&str| (1..=60).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    let code = code.map(str::trim).filter(is_code).map(|code| format!(" ({code})")).unwrap_or_default();
    format!("it answered with status {}{code}", status.as_u16())
}

/// The text in the first element of this name. Amazon's answers have no attributes where keys are, and keys nothing that is escaped.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = text.split_once(&format!("<{name}>"))?;
    behind.split_once(&format!("</{name}>")).map(|(within, _)| within)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
        <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIA</AccessKeyId>\
        <SecretAccessKey>s/e+c</SecretAccessKey><SessionToken>t==</SessionToken><Expiration>2026-01-02T04:00:00Z</Expiration>\
        </Credentials></AssumeRoleResult></AssumeRoleResponse>";

    fn at(text: &str) -> SystemTime {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    #[test]
    fn an_answer_holds_keys_or_says_why_it_does_not() {
        let now = at("2026-01-02T03:00:00Z");
        let got = read(StatusCode::OK, ANSWER.as_bytes(), now).unwrap();
        let keys = AwsKeys { id: "ASIA".to_owned(), secret: "s/e+c".to_owned(), token: Some("t==".to_owned()) };
        assert_eq!((got.keys, got.life.as_secs()), (keys, 3600));
        let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>planted</Message></Error></ErrorResponse>";
        for (status, text, why) in [
            (StatusCode::BAD_REQUEST, refused, "it answered with status 400 (ExpiredTokenException)"),
            (StatusCode::FORBIDDEN, "<Code>ey.secret</Code>", "it answered with status 403"),
            (StatusCode::OK, "", "its answer holds no keys"),
            (StatusCode::OK, &ANSWER.replace("SessionToken", "Token"), "its answer holds no keys"),
            (StatusCode::OK, &ANSWER.replace("s/e+c", "s e"), "its keys are none that a request can carry"),
            (StatusCode::OK, &ANSWER.replace("2026", "2025"), "its keys are over already"),
            (StatusCode::OK, &ANSWER.replace("Expiration", "End"), "its keys have no end"),
        ] {
            assert_eq!(read(status, text.as_bytes(), now).err().as_deref(), Some(why), "{text}");
        }
    }

    #[test]
    fn each_region_has_a_token_service() {
        let none = CloudEnvironment::default();
        assert_eq!(address("eu-west-1", &none), "https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(address("cn-north-1", &none), "https://sts.cn-north-1.amazonaws.com.cn/");
        let said = CloudEnvironment::of([(AWS_ENDPOINT_URL_STS, "http://127.0.0.1:1/")]);
        assert_eq!(address("eu-west-1", &said), "http://127.0.0.1:1/");
    }
}
