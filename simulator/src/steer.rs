//! The header by which a test steers a single call.

use std::time::Duration;

use crate::behaviour::FailureKind;

/// Steers one call: `x-simulate: key=value; key=value`.
///
/// | key | meaning |
/// |---|---|
/// | `first-token=200ms` | wait so long before the first token (`ms` or `s`; a bare number is seconds) |
/// | `interval=10ms` | wait so long between two tokens |
/// | `tokens=64` | answer with so many tokens of text |
/// | `text=hello` | answer with this text (no `;` in it) |
/// | `refuse=1` | the model refuses |
/// | `status=429` | answer with the vendor's error of this status |
/// | `code=insufficient_quota` | with `status=429`: money is the reason, not pace |
/// | `retry-after=2` | with `status`: say when to come back (`2`, `2s`, `50ms`) |
/// | `should-retry=false` | with `status`: say `x-should-retry` |
/// | `fail=reset` | `reset`, `silent`, `cut`, `stall` or `stream-error` |
/// | `after=3` | with `fail`: after so many tokens |
/// | `times=2` | with `status` or `fail`: only the first so many calls that carry this same header value |
/// | `id=abc` | tells apart calls that would carry the same header value |
/// | `chunk=7` | send the body in writes of so many bytes |
pub const STEER_HEADER: &str = "x-simulate";

/// `x-simulate-echo: 1` makes the answer's text the JSON of what was received: method, path, headers and body.
/// Credentials are not shown; the binary's journal shows them.
pub const ECHO_HEADER: &str = "x-simulate-echo";

/// The instructions of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steer {
    pub(crate) first_token: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) tokens: Option<u32>,
    pub(crate) text: Option<String>,
    pub(crate) refuse: bool,
    pub(crate) status: Option<u16>,
    pub(crate) quota: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) should_retry: Option<bool>,
    pub(crate) fail: Option<FailureKind>,
    pub(crate) after: Option<u32>,
    pub(crate) times: Option<u32>,
    pub(crate) chunk: Option<usize>,
}

/// Reads the header's value; an unknown key or value is an error that says which.
pub(crate) fn read(value: &str) -> Result<Steer, String> {
    let mut steer = Steer::default();
    for pair in value.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{STEER_HEADER}: `{pair}` has no `=`"))?;
        let (key, value) = (key.trim(), value.trim());
        set(&mut steer, key, value).ok_or_else(|| format!("{STEER_HEADER}: `{key}={value}` is not understood"))?;
    }
    Ok(steer)
}

fn set(steer: &mut Steer, key: &str, value: &str) -> Option<()> {
    match key {
        "first-token" => steer.first_token = Some(span(value)?),
        "interval" => steer.interval = Some(span(value)?),
        "tokens" => steer.tokens = Some(value.parse().ok()?),
        "text" => steer.text = Some(value.to_owned()),
        "refuse" => steer.refuse = flag(value)?,
        "status" => steer.status = Some(value.parse().ok().filter(|status| (400..=599).contains(status))?),
        "code" => steer.quota = value == "insufficient_quota",
        "retry-after" => steer.retry_after = Some(span(value)?),
        "should-retry" => steer.should_retry = Some(flag(value)?),
        "fail" => steer.fail = Some(kind(value)?),
        "after" => steer.after = Some(value.parse().ok()?),
        "times" => steer.times = Some(value.parse().ok()?),
        "id" => {}
        "chunk" => steer.chunk = Some(value.parse().ok()?),
        _ => return None,
    }
    Some(())
}

fn kind(word: &str) -> Option<FailureKind> {
    Some(match word {
        "reset" => FailureKind::Reset,
        "silent" => FailureKind::Silent,
        "cut" => FailureKind::Cut,
        "stall" => FailureKind::Stall,
        "stream-error" => FailureKind::StreamError,
        _ => return None,
    })
}

fn flag(word: &str) -> Option<bool> {
    match word {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn span(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.trim().parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_table_says() {
        let steer =
            read("first-token=200ms; interval=0.5; status=429; retry-after=2s; fail=stream-error; after=3;").unwrap();
        assert_eq!(steer.first_token, Some(Duration::from_millis(200)));
        assert_eq!(steer.interval, Some(Duration::from_millis(500)));
        assert_eq!((steer.status, steer.retry_after), (Some(429), Some(Duration::from_secs(2))));
        assert_eq!((steer.fail, steer.after), (Some(FailureKind::StreamError), Some(3)));
        assert_eq!(read("").unwrap(), Steer::default());
    }

    #[test]
    fn says_what_it_does_not_understand() {
        for (text, word) in
            [("fail=often", "fail=often"), ("tokens", "`tokens`"), ("status=200", "200"), ("a=b", "a=b")]
        {
            assert!(read(text).unwrap_err().contains(word), "{text}");
        }
    }
}
