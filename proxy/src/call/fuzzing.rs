//! Checks of what must hold for a provider's headers and errors, for callers' queries and paths, and for bodies that come compressed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sluicegate_dialects::hub::ErrorKind;

use super::{coding, keys, retry_after, vendor_limits};
use crate::api::{stored_paths, surfaces};
use crate::compression::{AnswerCoding, forbids};
use crate::memory::MemoryBudget;
use crate::models::ListFilter;

/// The most bytes that a compressed body becomes.
const MOST: usize = 1 << 20;

/// A provider's limits and waits: any headers and any error give a time that is not beyond all measure, or none.
///
/// # Panics
/// When what must hold does not.
pub fn limit_headers(data: &[u8]) {
    let headers = lines(data);
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let wait = vendor_limits::nearly_used_up(&headers, || now);
    assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(300)), "{wait:?}");
    let body = data.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"{")).unwrap_or(data);
    let wanted = retry_after::wanted(&headers, body, now);
    let told = vendor_limits::told(ErrorKind::RateLimit, &headers, body, now);
    assert!(wanted.is_none() || told == wanted, "what is wanted is told");
    let told = vendor_limits::told(ErrorKind::InvalidRequest, &headers, body, now);
    assert!(told.is_none() || told == wanted, "of a mistake nothing else is told");
    let said = std::str::from_utf8(data).unwrap_or_default();
    assert!(retry_after::in_words(said).is_none_or(|wait| wait <= Duration::from_secs(300)), "{said}");
    assert!(
        SystemTime::checked_add(&now, retry_after::span(said).unwrap_or_default().min(Duration::from_secs(1 << 32)))
            .is_some()
    );
}

/// Lines such as `name: value` as headers.
fn lines(data: &[u8]) -> HeaderMap {
    let pairs = data.split(|byte| *byte == b'\n').take(64).filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(at)?;
        let value = value.get(1..)?.trim_ascii();
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    });
    let mut headers = HeaderMap::new();
    pairs.for_each(|(name, value)| {
        headers.append(name, value);
    });
    headers
}

/// Callers' queries and paths: few keys whatever is there, and of what is kept elsewhere nothing but what its path takes.
///
/// # Panics
/// When what must hold does not.
pub fn queries(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let found = keys::keys(&lines(data), Some(text)).map(|key| assert!(!key.is_empty(), "an empty key")).count();
    assert!(found <= 16, "{found} keys");
    let _ = ListFilter::read(Some(text)).is_ok();
    let path = text.split('?').next().unwrap_or_default();
    if let Some(found) = stored_paths::find(path, surfaces::dialect_by(&lines(data))) {
        assert!(found.id.as_deref().is_none_or(|id| !id.is_empty()), "{path}");
        let passed = found.row.query(Some(text));
        assert!(passed.len() <= text.len() && found.row.query(Some(&passed)) == passed, "{passed}");
        let _ = found.row.action(&Method::GET).is_some();
    }
    if let Some(found) = surfaces::find(path) {
        assert!(found.model.is_none_or(|model| !model.is_empty()), "{path}");
    }
    let _ = surfaces::kept_elsewhere(path);
}

/// Bodies that come compressed: whatever they are, what they become is bounded; and what callers say that they take is read.
///
/// # Panics
/// When what must hold does not.
pub fn coded_body(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_bytes(data.split(|byte| *byte < b' ').next().unwrap_or_default());
    if let Ok(value) = value {
        for name in [ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING] {
            headers.insert(name, value.clone());
        }
    }
    assert!(AnswerCoding::accepted(&headers).is_none() || !forbids(&headers), "no one may change it");
    let _ = coding::named(&headers).is_ok_and(|codings| codings.len() < 8);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    let memory = MemoryBudget::new(64 << 20, 1).allowance();
    for name in ["gzip", "deflate", "br", "zstd"] {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        let Ok(codings) = coding::named(&headers) else { continue };
        let decoded = runtime.block_on(coding::decode(Bytes::copy_from_slice(data), &codings, (&memory, MOST)));
        assert!(decoded.is_err() || decoded.is_ok_and(|plain| plain.len() <= MOST), "{name} becomes too much");
    }
}
