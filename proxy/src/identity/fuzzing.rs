//! Checks of what must hold for any answer of a token service, and for any file that names who somebody is.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;

use super::{aws_chain, azure, gcp, gcp_file, openai, sts};

/// Answers of token services, and files: each gives a token, keys, or words that repeat nothing of it at length.
///
/// # Panics
/// When what must hold does not.
pub fn token_answers(data: &[u8]) {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    for status in [StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE] {
        let why = [
            aws_chain::read(status, data, now).err(),
            azure::read(status, data).err(),
            gcp::read(status, data).err(),
            gcp::impersonated(status, data, now).err(),
            sts::read(status, data, now).err(),
            openai::read(status, data).err(),
        ];
        for why in why.into_iter().flatten() {
            assert!(!why.is_empty() && why.len() < 500, "{why}");
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = gcp_file::read(text).is_ok();
    if let Some(profile) = aws_chain::of_profile(text, "default") {
        assert!(profile.len() <= text.len() && !profile.starts_with('['));
    }
}
