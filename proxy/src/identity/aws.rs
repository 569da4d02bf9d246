//! Amazon's keys, and requests that are signed by them.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use sluicegate_config::identity::AwsKeys;

use super::sigv4::{self, DayKey, Scope, Signable, SigningTime};

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const BEDROCK: &str = "bedrock";

/// Signs requests.
pub(crate) struct AwsSigner {
    keys: AwsKeys,
    scope: Scope,
    /// The key of today: made once a day, as it takes four rounds.
    today: Mutex<Option<DayKey>>,
}

impl fmt::Debug for AwsSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSigner").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl AwsSigner {
    /// With these keys, in a region.
    pub(crate) fn new(keys: AwsKeys, region: &str) -> Self {
        Self { keys, scope: Scope { region: region.to_owned(), service: BEDROCK }, today: Mutex::default() }
    }

    /// Signs a request: its host, its date and its body, and the session where the keys belong to one.
    pub(crate) fn sign(
        &self,
        (method, uri): (&Method, &Uri),
        host: &HeaderValue,
        headers: &mut HeaderMap,
        body: &[u8],
    ) {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let time = SigningTime::of(i64::try_from(seconds).unwrap_or_default());
        let key = self.key(&time);
        let host = headers.get(HOST).unwrap_or(host).to_str().unwrap_or_default().to_owned();
        let mut signed = vec![("host", host.as_str()), ("x-amz-date", time.as_str())];
        signed.extend(self.keys.token.as_deref().map(|token| ("x-amz-security-token", token)));
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let signable = Signable { method: method.as_str(), path, query, headers: &signed, body };
        let line = sigv4::authorization((&self.keys.id, &key), &self.scope, &time, &signable);
        headers.extend(HeaderValue::from_str(time.as_str()).ok().map(|value| (X_AMZ_DATE, value)));
        if let Some(mut token) = self.keys.token.as_deref().and_then(|token| HeaderValue::from_str(token).ok()) {
            token.set_sensitive(true);
            headers.insert(X_AMZ_SECURITY_TOKEN, token);
        }
        if let Some((_, value)) = line {
            headers.insert(AUTHORIZATION, value);
        }
    }

    fn key(&self, time: &SigningTime) -> DayKey {
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        match &*today {
            Some(key) if key.is_of(time) => key.clone(),
            _ => today.insert(DayKey::new(&self.keys.secret, time, &self.scope)).clone(),
        }
    }
}
