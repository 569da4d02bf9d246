//! The line that Claude Code puts before its system prompt for its own vendor's accounts.

use std::borrow::Cow;

/// The line's beginning. Its hash is another one with every call: to any other vendor it says nothing, and spoils what
/// was kept of the prompt before it. (Claude Code 2.1, November 2026; `CLAUDE_CODE_ATTRIBUTION_HEADER=0` leaves it
/// out.)
const BEGINNING: &str = "x-anthropic-billing-header:";

/// The text without that line, if it begins with it; `None`: there was nothing else.
pub(crate) fn without_attribution(text: &str) -> Option<Cow<'_, str>> {
    let line = text.trim_start();
    if !line.get(..BEGINNING.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEGINNING)) {
        return Some(Cow::Borrowed(text));
    }
    let rest = line.split_once('\n').map_or("", |(_, rest)| rest);
    (!rest.trim().is_empty()).then_some(Cow::Borrowed(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_line_alone_goes() {
        let line = "x-anthropic-billing-header: cc_version=2.1.330.abc; cc_entrypoint=cli; cch=11111;";
        assert_eq!(without_attribution(line), None);
        assert_eq!(without_attribution(&format!("{line}\n")), None);
        assert_eq!(without_attribution(&format!("{line}\nYou are a coder.")).as_deref(), Some("You are a coder."));
        let quoted = format!("The header reads\n{line}");
        for other in ["", "You are a coder.", &quoted] {
            assert_eq!(without_attribution(other).as_deref(), Some(other));
        }
    }
}
