//! Checks of what must hold for any message in the log by which proxies tell one another.

use std::time::Duration;

use super::message;

/// Messages: whatever is there is few news, each for an hour at most, or none; and nobody hears itself.
///
/// # Panics
/// When what must hold does not.
pub fn news(data: &[u8]) {
    for age in [0, 5, 4_000] {
        let Some(heard) = message::read("own", data, Duration::from_secs(age)) else { continue };
        assert!(heard.len() <= 64);
        for one in heard {
            assert!(one.holds <= Duration::from_secs(3_600), "{one:?}");
        }
    }
}
