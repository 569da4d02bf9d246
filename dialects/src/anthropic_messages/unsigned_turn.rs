//! The budget for thinking that Anthropic refuses where the last turn has called tools without a thought that it has signed: it is left out.

use std::ops::Range;

use bytes::Bytes;

use crate::json_places::{elements, member, text};
use crate::mark::SeenMarks;
use crate::unsigned_turn::{TurnPart, Turns};
use crate::vendors;
use crate::verbatim::{Edit, names, splice};

/// The beginning of the names of edits of the conversation that Anthropic refuses where the model does not think.
const CLEARS: &str = "clear_thinking";

/// The body without thinking where the model would refuse its budget; itself, uncopied, elsewhere.
pub(super) fn rested(body: &Bytes, seen: SeenMarks, model: &str) -> Bytes {
    let known = vendors::claude(model);
    if !seen.thinks || !(seen.carried || seen.thoughtless_calls) || !(known.is_known() && known.takes_budgets()) {
        return body.clone();
    }
    let fields = names(body);
    let field = |wanted: &str| fields.iter().find(|(name, ..)| name == wanted);
    let whole = |(_, name, value): &(String, Range<usize>, Range<usize>)| Edit::remove(name.start..value.end);
    let Some((thinking, (.., turns))) = field("thinking").zip(field("messages")) else { return body.clone() };
    if text(body, thinking.2.clone(), b"type") != Some("enabled") {
        return body.clone();
    }
    let Some(mut edits) = Turns::of(body, turns.clone(), kind).at_rest() else { return body.clone() };
    edits.push(whole(thinking));
    if let Some(managed) = field("context_management") {
        let listed = member(body, managed.2.clone(), b"edits").map(|list| elements(body, list)).unwrap_or_default();
        let (clear, rest): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .partition(|edit| text(body, edit.clone(), b"type").is_some_and(|kind| kind.starts_with(CLEARS)));
        match (clear.is_empty(), rest.is_empty()) {
            (true, _) => {}
            (false, true) => edits.push(whole(managed)),
            (false, false) => edits.extend(clear.into_iter().map(Edit::remove)),
        }
    }
    splice(body, &edits)
}

fn kind(body: &[u8], part: Range<usize>) -> TurnPart<'_> {
    match text(body, part.clone(), b"type") {
        Some("thinking" | "redacted_thinking") => TurnPart::Thought,
        Some("tool_use") => TurnPart::Call(text(body, part, b"id").unwrap_or_default()),
        Some("tool_result") => TurnPart::Result,
        _ => TurnPart::Other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::dialect::Dialect;
    use crate::mark::SeenMarks;

    const BUDGET: &str = r#""thinking":{"type":"enabled","budget_tokens":4096},"#;
    const THOUGHT: &str = r#"{"type":"thinking","thinking":"Hm.","signature":"S"}"#;
    const SAID: &str = r#"{"type":"text","text":"I look."}"#;
    const OTHERS: &str = r#"{"type":"tool_use","id":"call_1","name":"f","input":{"a":"user"}}"#;
    const OWN: &str = r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{}}"#;

    /// A conversation that begins so, in whose last turn the model has taken these steps.
    fn turn(start: &str, steps: &[&[&str]]) -> String {
        let result = r#",{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"r"}]}"#;
        let steps =
            steps.iter().map(|parts| format!(r#",{{"role":"assistant","content":[{}]}}{result}"#, parts.join(",")));
        let earlier = format!(r#"{{"role":"user","content":"a"}},{{"role":"assistant","content":[{THOUGHT},{SAID}]}}"#);
        let steps: String = steps.collect();
        format!(r#"{{{start}"messages":[{earlier},{{"role":"user","content":"b"}}{steps}],"max_tokens":9}}"#)
    }

    fn sent(dialect: Dialect, body: &str, model: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        String::from_utf8(dialect.disown(&body, SeenMarks::of(&body), model).to_vec()).unwrap()
    }

    const SONNET: &str = "claude-sonnet-4-5";

    #[test]
    fn a_call_goes_without_thinking_where_another_vendors_turn_called_tools() {
        let unsigned = r#"{"type":"thinking","thinking":"Hm.","signature":""}"#;
        for (given, made) in [
            (&[&[SAID, OTHERS][..]][..], &[&[SAID, OTHERS][..]][..]),
            (&[&[unsigned, OTHERS]], &[&[OTHERS]]),
            (&[&[SAID, OTHERS, OTHERS]], &[&[SAID, OTHERS, OTHERS]]),
            // Claude began, and another goes on.
            (&[&[THOUGHT, OWN], &[SAID, OTHERS]], &[&[OWN], &[SAID, OTHERS]]),
            // Another began, and Claude goes on.
            (&[&[OTHERS], &[OWN]], &[&[OTHERS], &[OWN]]),
        ] {
            for model in [SONNET, "eu.anthropic.claude-haiku-4-5-v1:0", "claude-opus-4-6"] {
                assert_eq!(sent(Dialect::AnthropicMessages, &turn(BUDGET, given), model), turn("", made), "{model}");
            }
            assert_eq!(sent(Dialect::BedrockInvoke, &turn(BUDGET, given), SONNET), turn("", made));
        }
    }

    #[test]
    fn what_anthropic_takes_stays_as_it_came() {
        let adaptive = r#""thinking":{"type":"adaptive"},"#;
        for (start, steps, model) in [
            (BUDGET, &[&[THOUGHT, SAID, OTHERS][..]][..], SONNET),
            (BUDGET, &[&[THOUGHT, OWN], &[SAID, OWN]], SONNET),
            (BUDGET, &[&[OTHERS], &[THOUGHT, OWN]], SONNET),
            (BUDGET, &[&[SAID]], SONNET),
            (BUDGET, &[&[OTHERS]], "deepseek-v4"),
            (BUDGET, &[&[OTHERS]], "claude-opus-5"),
            (adaptive, &[&[OTHERS]], "claude-opus-4-6"),
            ("", &[&[OTHERS]], SONNET),
        ] {
            let given = turn(start, steps);
            assert_eq!(sent(Dialect::AnthropicMessages, &given, model), given, "{model}");
        }
    }

    #[test]
    fn edits_of_thoughts_go_with_the_thinking() {
        let clear = r#"{"type":"clear_thinking_20251015","keep":"all"}"#;
        let tools = r#"{"type":"clear_tool_uses_20250919"}"#;
        let managed = |edits: &str| format!(r#""context_management":{{"edits":[{edits}]}},"#);
        for (given, made) in [
            (managed(clear), String::new()),
            (managed(&format!("{clear},{tools}")), managed(tools)),
            (managed(tools), managed(tools)),
        ] {
            let given = turn(&format!("{given}{BUDGET}"), &[&[OTHERS]]);
            assert_eq!(sent(Dialect::AnthropicMessages, &given, SONNET), turn(&made, &[&[OTHERS]]));
        }
    }
}
