//! The budget for thinking that Claude refuses where the last turn has called tools without a thought that it has signed: it is left out.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use crate::json_places::{member, text};
use crate::mark::SeenMarks;
use crate::unsigned_turn::{TurnPart, Turns};
use crate::vendors;
use crate::verbatim::{Edit, splice};

/// The body without thinking where the model would refuse its budget; itself, uncopied, elsewhere.
pub(super) fn rested(body: &Bytes, seen: SeenMarks, model: &str) -> Bytes {
    let known = vendors::claude(model);
    if !(seen.thinks && known.is_known() && known.takes_budgets()) {
        return body.clone();
    }
    let of = |name: &[u8]| member(body, 0..body.len(), name);
    let thinking = of(b"additionalModelRequestFields").and_then(|beside| {
        let thinking = member(body, beside.clone(), b"thinking")?;
        let name = memmem::rfind(body.get(beside.start..thinking.start)?, b"\"thinking\"")?;
        let is_enabled = text(body, thinking.clone(), b"type") == Some("enabled");
        is_enabled.then(|| Edit::remove(beside.start + name..thinking.end))
    });
    let Some((thinking, turns)) = thinking.zip(of(b"messages")) else { return body.clone() };
    let Some(mut edits) = Turns::of(body, turns, kind).at_rest() else { return body.clone() };
    edits.push(thinking);
    splice(body, &edits)
}

fn kind(body: &[u8], part: Range<usize>) -> TurnPart<'_> {
    let of = |name: &[u8]| member(body, part.clone(), name);
    if of(b"reasoningContent").is_some() {
        return TurnPart::Thought;
    }
    match of(b"toolUse") {
        Some(call) => TurnPart::Call(text(body, call, b"toolUseId").unwrap_or_default()),
        None if of(b"toolResult").is_some() => TurnPart::Result,
        None => TurnPart::Other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::dialect::Dialect;
    use crate::mark::SeenMarks;

    #[test]
    fn a_budget_goes_where_another_vendors_turn_called_tools() {
        let turn = |beside: &str, thought: &str| {
            format!(
                r#"{{"messages":[{{"role":"user","content":[{{"text":"a"}}]}},{{"role":"assistant","content":[{thought}{{"toolUse":{{"toolUseId":"call_1","name":"f","input":{{}}}}}}]}},{{"role":"user","content":[{{"toolResult":{{"toolUseId":"call_1","content":[]}}}}]}}],"additionalModelRequestFields":{{{beside}"top_k":5}}}}"#
            )
        };
        let sent = |body: &str, model: &str| {
            let body = Bytes::copy_from_slice(body.as_bytes());
            let body = Dialect::BedrockConverse.disown(&body, SeenMarks::of(&body), model);
            String::from_utf8(body.to_vec()).unwrap()
        };
        let budget = r#""thinking":{"type":"enabled","budget_tokens":4096},"#;
        let signed = r#"{"reasoningContent":{"reasoningText":{"text":"Hm.","signature":"S"}}},"#;
        let unsigned = r#"{"reasoningContent":{"reasoningText":{"text":"Hm."}}},"#;
        let sonnet = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
        assert_eq!(sent(&turn(budget, ""), sonnet), turn("", ""));
        assert_eq!(sent(&turn(budget, unsigned), sonnet), turn("", ""));
        for (beside, thought, model) in [
            (budget, signed, sonnet),
            ("", "", sonnet),
            (r#""thinking":{"type":"adaptive"},"#, "", "anthropic.claude-opus-4-6-v1"),
            (budget, "", "amazon.nova-pro-v1:0"),
        ] {
            assert_eq!(sent(&turn(beside, thought), model), turn(beside, thought), "{model}");
        }
    }
}
