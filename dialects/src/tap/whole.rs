//! The usage of a whole answer: found by a scan that builds nothing and tells an answer from what only looks like one.

use crate::anthropic;
use crate::dialect::Dialect;
use crate::hub::Usage;
use crate::openai::WireUsage;
use crate::scan;

/// The usage that a whole answer says; `None` when it says none, or is not a JSON object to its last byte.
#[must_use]
pub fn usage_of_whole(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    let mut said = None;
    let mut look = |name: &[u8], value| {
        if name == b"usage" {
            said = body.get(value);
        }
    };
    scan::members(body, &mut look).ok()?;
    match dialect {
        Dialect::OpenAiChat => serde_json::from_slice::<WireUsage>(said?).ok().map(Usage::from),
        Dialect::AnthropicMessages => {
            serde_json::from_slice::<anthropic::Tally>(said?).ok().map(|counts| counts.usage())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(body: &str) -> Option<u64> {
        usage_of_whole(Dialect::OpenAiChat, body.as_bytes()).map(|usage| usage.output)
    }

    #[test]
    fn only_the_top_levels_usage_counts_wherever_it_stands() {
        let five = r#""usage" : {"completion_tokens": 5, "new": [{}]}"#;
        for body in [
            format!("{{{five}}}"),
            format!(
                " {{\"choices\":[], {five} , \"a\" : [1,{{}}], \"b\":null }}
"
            ),
            format!("{{{five},\"note\":\"usage\"}}"),
            format!("{{{five},\"extra\":{{\"usage\":{{\"completion_tokens\":9}}}}}}"),
            format!("{{\"extra\":[{{\"usage\":{{\"completion_tokens\":9}},\"x\":1}}],{five}}}"),
        ] {
            assert_eq!(output(&body), Some(5), "{body}");
        }
    }

    #[test]
    fn what_is_cut_or_no_object_says_nothing() {
        let body =
            r#"{"choices":[{"text":"\"usage\":{\"completion_tokens\":7}"}],"usage":{"completion_tokens":5},"x":"y"}"#;
        assert_eq!(output(body), Some(5));
        for end in 0..body.len() {
            assert_eq!(output(&body[..end]), None, "{end}");
        }
        assert_eq!(output(&format!("[{body}]")), None);
        assert_eq!(output(&format!("{body}{{}}")), None);
        assert_eq!(output(&format!("{{\"broken\":[}},{}", &body[1..])), None);
        assert_eq!(output(r#"{"usage":null}"#), None);
        assert_eq!(output(r#"{"usage":{"completion_tokens":"many"}}"#), None);
    }
}
