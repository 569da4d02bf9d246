//! Regular expressions of routes, and names of headers.

use http::HeaderName;
use regex::RegexBuilder;

/// The most memory that one compiled expression may take, in bytes.
const REGEX_SIZE: usize = 256 * 1024;

/// The expression, anchored on both sides, or what is wrong with it.
pub(super) fn anchored(regex: &str) -> Result<String, String> {
    // The bare one first: `a)(b` is wrong, though it would be right between the anchors' brackets.
    check(regex)?;
    let anchored = format!("^(?:{regex})$");
    check(&anchored)?;
    Ok(anchored)
}

fn check(regex: &str) -> Result<(), String> {
    RegexBuilder::new(regex).size_limit(REGEX_SIZE).build().map(|_| ()).map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("the regular expression takes more than {limit} bytes when compiled: write a smaller one")
        }
        // The library draws the place over several lines; the last one says what it is.
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("{regex:?} is not a regular expression ({last}): write one in RE2 syntax, without look-around")
        }
    })
}

/// A header's name in lower case, or what is wrong with it.
pub(super) fn header_name(name: &str) -> Result<String, String> {
    HeaderName::from_bytes(name.as_bytes())
        .map(|name| name.as_str().to_owned())
        .map_err(|_| format!("{name:?} is not a header name: write letters, digits and dashes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_as_a_whole() {
        assert_eq!(anchored("gpt-4o(-mini)?|o1").as_deref(), Ok("^(?:gpt-4o(-mini)?|o1)$"));
        for regex in ["a)(b", "(", "[", "(?=x)", "(?x)a #", "(\\w{500}){500}"] {
            let message = anchored(regex).expect_err(regex);
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn header_names_are_lower_case() {
        assert_eq!(header_name("X-Tier").as_deref(), Ok("x-tier"));
        for name in ["", "a b", "a:b", "ä"] {
            assert!(header_name(name).is_err(), "{name}");
        }
    }
}
