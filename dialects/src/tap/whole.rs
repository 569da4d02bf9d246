//! The usage of a whole answer: found by a scan that builds nothing and tells an answer from what only looks like one.

use memchr::memmem;

use crate::anthropic::Tally;
use crate::dialect::Dialect;
use crate::hub::Usage;
use crate::openai::WireUsage;
use crate::scan;
use crate::seam::Malformed;

/// The usage that a whole answer says; `None` when it says none.
///
/// # Errors
/// The answer is not a JSON object to its last byte.
pub fn usage_of_whole(dialect: Dialect, body: &[u8]) -> Result<Option<Usage>, Malformed> {
    let read = match dialect {
        Dialect::OpenAiChat => scan::counts(body, b"usage", WireUsage::PLACES)
            .map(|seen| seen.and_then(|seen| WireUsage::read(&seen)).map(Usage::from)),
        Dialect::AnthropicMessages => scan::counts(body, b"usage", Tally::PLACES)
            .map(|seen| seen.and_then(|seen| Tally::read(&seen)).map(|counts| counts.usage())),
    };
    read.map_err(|_| not_an_object(body))
}

/// What an answer is made of.
const fn core(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "choices",
        Dialect::AnthropicMessages => "content",
    }
}

/// Whether something that looks like a dialect's answers stands in a body, without reading the whole of it. If not,
/// `is_answer` has the last word.
#[must_use]
pub fn begins_an_answer(dialect: Dialect, body: &[u8]) -> bool {
    let key = match dialect {
        Dialect::OpenAiChat => &b"\"choices\""[..],
        Dialect::AnthropicMessages => b"\"content\"",
    };
    let Some(at) = memmem::find(body, key) else { return false };
    let rest = body.get(at + key.len()..).unwrap_or_default().trim_ascii_start();
    let list = rest.strip_prefix(b":").and_then(|rest| rest.trim_ascii_start().strip_prefix(b"["));
    list.is_some_and(|list| list.trim_ascii_start().starts_with(b"{"))
}

/// Whether a whole answer holds what its dialect's answers do.
///
/// # Errors
/// It does not: a provider's error under status 200, whose message is repeated, an empty list, or something else in JSON.
pub fn is_answer(dialect: Dialect, body: &[u8]) -> Result<(), Malformed> {
    let core = core(dialect);
    let (mut holds, mut empty, mut stopped, mut failed) = (false, false, false, false);
    let seen = scan::members(body, |name, value| {
        let value = body.get(value).unwrap_or_default();
        let something = value != b"null";
        if name == core.as_bytes() {
            holds = value.starts_with(b"[");
            empty = value.strip_prefix(b"[").is_some_and(|list| list.trim_ascii_start().starts_with(b"]"));
        }
        stopped |= something && name == b"stop_reason";
        failed |= something && name == b"error";
    });
    seen.map_err(|_| not_an_object(body))?;
    if failed {
        let said = dialect.decode_error(0, body).message;
        return Err(Malformed::new(format!("an error stands where an answer should: {said}")));
    }
    // Anthropic's model may have nothing to say, and says why it stopped.
    let may_be_empty = dialect == Dialect::AnthropicMessages && stopped;
    match (holds, empty) {
        (false, _) => Err(Malformed::new(format!("{core}: the field is required"))),
        (true, true) if !may_be_empty => Err(Malformed::new(format!("{core}: there is no answer in the list"))),
        (true, _) => Ok(()),
    }
}

/// In the words of a parser that says where.
fn not_an_object(body: &[u8]) -> Malformed {
    let said = serde_json::from_slice::<serde::de::IgnoredAny>(body).err();
    Malformed::new(said.map_or_else(|| "not a JSON object".to_owned(), |error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(body: &str) -> Option<u64> {
        usage_of_whole(Dialect::OpenAiChat, body.as_bytes()).unwrap().map(|usage| usage.output)
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

    /// What a whole parser says of a usage object.
    fn parsed(dialect: Dialect, usage: &str) -> Option<Usage> {
        match dialect {
            Dialect::OpenAiChat => serde_json::from_str::<WireUsage>(usage).ok().map(Usage::from),
            Dialect::AnthropicMessages => serde_json::from_str::<Tally>(usage).ok().map(|counts| counts.usage()),
        }
    }

    #[test]
    fn counts_are_what_a_whole_parser_says_however_they_are_written() {
        const NAMES: [&str; 15] = [
            "prompt_tokens",
            "completion_tokens",
            "prompt_cache_hit_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "output_tokens_details",
            "cache_creation",
            "prompt\\u005ftokens",
            "total_tokens",
            "cached_tokens",
            "thinking_tokens",
        ];
        const VALUES: [&str; 14] = [
            "0",
            "12",
            "007",
            "18446744073709551615",
            "18446744073709551616",
            "-1",
            "1.0",
            "1e2",
            "null",
            "true",
            "[]",
            "{}",
            r#"{"cached_tokens":3,"cache_write_tokens":null,"reasoning_tokens":4,"thinking_tokens":5,"ephemeral_1h_input_tokens":6,"new":"x"}"#,
            r#"{"cached_tokens":3.5,"reasoning_tokens":"4","thinking_tokens":{}}"#,
        ];
        let members = NAMES.iter().flat_map(|name| VALUES.iter().map(move |value| format!("\"{name}\" : {value}")));
        let members: Vec<String> = members.collect();
        for (at, first) in members.iter().enumerate() {
            for second in members.iter().skip(at % 7).step_by(7) {
                let usage = format!("{{{first},{second}}}");
                let body = format!("{{\"usage\":{usage}}}");
                let whole = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
                for dialect in [Dialect::OpenAiChat, Dialect::AnthropicMessages] {
                    let said = usage_of_whole(dialect, body.as_bytes());
                    assert_eq!(said.is_ok(), whole, "{body}");
                    assert_eq!(said.ok().flatten(), parsed(dialect, &usage), "{body}");
                }
            }
        }
    }

    #[test]
    fn an_error_under_a_good_status_is_no_answer() {
        let (openai, anthropic) = (Dialect::OpenAiChat, Dialect::AnthropicMessages);
        for (dialect, body) in [
            (openai, r#"{"choices":[{"message":{"content":"\"error\":1"}}],"error":null}"#),
            (anthropic, r#"{"type":"message","content":[],"stop_reason":"end_turn"}"#),
            (anthropic, r#"{"type":"message","content":[{"type":"text","text":""}]}"#),
        ] {
            assert_eq!(is_answer(dialect, body.as_bytes()), Ok(()));
        }
        for (dialect, body, said) in [
            (openai, r#"{"error":{"message":"no capacity","code":502}}"#, "no capacity"),
            (openai, r#"{"choices":[],"error":{"message":"no capacity"}}"#, "no capacity"),
            (anthropic, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "Overloaded"),
            (openai, r#"{"content":[]}"#, "choices"),
            (openai, r#"{"choices":null}"#, "choices"),
            (openai, r#"{"choices":[ ],"usage":{"prompt_tokens":1,"completion_tokens":0}}"#, "choices"),
            (openai, r#"{"choices":{}}"#, "choices"),
            (openai, "null", "object"),
            (openai, "[]", "object"),
            (openai, "\"\"", "object"),
            (openai, "{}", "choices"),
            (openai, "", "EOF"),
            (anthropic, r#"{"type":"message","content":[],"stop_reason":null}"#, "content"),
            (anthropic, "{}", "content"),
            (anthropic, r#"{"choices":[]}"#, "content"),
            (openai, "{", "EOF"),
        ] {
            assert!(!begins_an_answer(dialect, body.as_bytes()) || body.contains("error"), "{body}");
            let message = is_answer(dialect, body.as_bytes()).unwrap_err().message;
            assert!(message.contains(said), "{body}: {message}");
        }
    }

    #[test]
    fn what_is_cut_or_no_object_is_told_from_what_says_nothing() {
        let body =
            r#"{"choices":[{"text":"\"usage\":{\"completion_tokens\":7}"}],"usage":{"completion_tokens":5},"x":"y"}"#;
        let broken = |body: &str| usage_of_whole(Dialect::OpenAiChat, body.as_bytes()).is_err();
        assert_eq!(output(body), Some(5));
        for end in 0..body.len() {
            assert!(broken(&body[..end]), "{end}");
        }
        assert!(broken(&format!("[{body}]")));
        assert!(broken(&format!("{body}{{}}")));
        assert!(broken(&format!("{{\"broken\":[}},{}", &body[1..])));
        let said = usage_of_whole(Dialect::OpenAiChat, b"\"an answer\"").unwrap_err();
        assert_eq!(said.message, "not a JSON object");
        assert_eq!(output("{}"), None);
        assert_eq!(output(r#"{"usage":null}"#), None);
        assert_eq!(output(r#"{"usage":{"completion_tokens":"many"}}"#), None);
    }
}
