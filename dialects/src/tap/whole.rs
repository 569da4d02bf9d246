//! The usage of a whole answer, read from the answer's end: the text before it is not looked at.

use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::anthropic;
use crate::dialect::Dialect;
use crate::hub::Usage;
use crate::openai::{self, WireUsage};

use super::counts::AnthropicUsage;

const USAGE: &[u8] = b"\"usage\"";

/// The usage that a whole answer says; `None` when it says none.
///
/// Where the last `"usage"` of the body is a member of the top level, and everything from there on is well formed, the
/// body is not read from its beginning: answers are long before their usage and short behind it.
#[must_use]
pub fn usage_of_whole(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    // Anything else would be read as a list of an object's values.
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    match dialect {
        Dialect::OpenAiChat => from_the_end::<WireUsage>(body).map(Usage::from).or_else(|| openai_from_the_start(body)),
        Dialect::AnthropicMessages => {
            let counts = from_the_end::<anthropic::Tally>(body);
            let counts = counts.or_else(|| serde_json::from_slice::<AnthropicUsage>(body).ok()?.usage);
            counts.map(|counts| counts.usage())
        }
    }
}

fn openai_from_the_start(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
    }
    serde_json::from_slice::<Whole<'_>>(body).ok()?.usage.and_then(openai::usage)
}

/// The value of the last `"usage"`, if it is a member of the body's own object. The body begins as an object.
fn from_the_end<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    // A quote inside a string is always escaped: this is a name or a whole string, and names have a colon behind them.
    let behind = body.get(memmem::rfind(body, USAGE)? + USAGE.len()..)?;
    let value = behind.trim_ascii_start().strip_prefix(b":")?;
    let (usage, rest) = first::<T>(value)?;
    ends_the_object(rest).then_some(usage)
}

/// Whether this is the rest of an object, behind one of its values, and nothing else: as many braces are closed as
/// were open, so an object within the body's own does not pass for it.
fn ends_the_object(mut rest: &[u8]) -> bool {
    loop {
        rest = rest.trim_ascii_start();
        if let Some(behind) = rest.strip_prefix(b"}") {
            return behind.trim_ascii().is_empty();
        }
        match rest.strip_prefix(b",").and_then(skip_member) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
}

fn skip_member(text: &[u8]) -> Option<&[u8]> {
    let name = text.trim_ascii_start();
    let (IgnoredAny, rest) = first(name.starts_with(b"\"").then_some(name)?)?;
    let (IgnoredAny, rest) = first(rest.trim_ascii_start().strip_prefix(b":")?)?;
    Some(rest)
}

/// The JSON value that a text begins with, and what comes behind it.
fn first<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<(T, &'a [u8])> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
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
        for (body, from_end) in [
            (format!("{{{five}}}"), true),
            (format!(" {{\"choices\":[], {five} , \"a\" : [1,{{}}], \"b\":null }}\n"), true),
            (format!("{{{five},\"note\":\"usage\"}}"), false),
            (format!("{{{five},\"extra\":{{\"usage\":{{\"completion_tokens\":9}}}}}}"), false),
            (format!("{{{five},\"extra\":[{{\"usage\":{{\"completion_tokens\":9}},\"x\":1}}]}}"), false),
        ] {
            assert_eq!(output(&body), Some(5), "{body}");
            assert_eq!(from_the_end::<WireUsage>(body.as_bytes()).is_some(), from_end, "{body}");
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
        assert_eq!(output(r#"{"usage":null}"#), None);
        assert_eq!(output(r#"{"usage":{"completion_tokens":"many"}}"#), None);
    }
}
