//! Fields of Anthropic's that other hosts of its models refuse ("Extra inputs are not permitted"): both check each field by a list of
//! their own. What is not here passes.
//!
//! Sources, read in November 2026: platform.claude.com/docs, "Prompt caching" (automatic caching is not at these hosts);
//! github.com/UKGovernmentBEIS/inspect_ai pull 3851, github.com/dust-tt/dust pull 27109 (`cache_control` at the top);
//! github.com/anthropics/claude-agent-sdk-python issue 694, github.com/BerriAI/litellm-docs pull 1550 (`eager_input_streaming`, and its
//! beta); github.com/BerriAI/litellm issue 26320, github.com/PostHog/posthog pull 71713 (the rest).

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::breakpoints::{CachePlan, CacheWords, place_breakpoints};
use super::envelope::Envelope;
use super::fields::names;
use super::splice::{Edit, splice};
use crate::codec::Refusal;
use crate::json_places::{elements, text};
use crate::vendors::FieldPolicy;

/// The beta by which these hosts are told what `eager_input_streaming` says of a tool.
const EAGER: &str = "fine-grained-tool-streaming-2025-05-14";

/// A body as another host takes it.
#[derive(Debug)]
pub struct AtHost {
    /// The body, uncopied where nothing was to be changed.
    pub body: Bytes,
    /// The fields that were left out.
    pub dropped: Vec<String>,
    /// A beta that says what a field has said.
    pub beta: Option<&'static str>,
}

/// The fate of a field at another host.
enum HostFate {
    /// It is left out: the answer is the same without it.
    Goes,
    /// A breakpoint behind the last turn says the same.
    Breakpoint,
    /// The answer would lack what it asks for, unless it is one of these values.
    Refused(&'static [&'static str]),
}

/// Top-level fields.
const FIELDS: [(&str, HostFate); 8] = [
    ("cache_control", HostFate::Breakpoint),
    ("container", HostFate::Refused(&["null"])),
    ("diagnostics", HostFate::Goes),
    ("fallbacks", HostFate::Goes),
    // Where a host works it says by its address.
    ("inference_geo", HostFate::Refused(&["null", "\"global\""])),
    ("mcp_servers", HostFate::Refused(&["null", "[]"])),
    ("service_tier", HostFate::Goes),
    ("speed", HostFate::Goes),
];

/// The body without what the host that has this envelope refuses. What a provider's policy says of a field goes before.
///
/// Errors: the answer would lack what a field asks for.
pub fn fit_host(body: &Bytes, host: Envelope, policy: &FieldPolicy) -> Result<AtHost, Refusal> {
    let mut at = AtHost { body: body.clone(), dropped: Vec::new(), beta: None };
    if host == Envelope::Plain {
        return Ok(at);
    }
    let top = names(body);
    let (mut edits, mut plan) = (Vec::new(), None);
    for (name, start, value) in top.iter().filter(|(name, ..)| !policy.contains_key(name)) {
        let Some((_, fate)) = FIELDS.iter().find(|(known, _)| known == name) else { continue };
        let said = body.get(value.clone()).unwrap_or_default();
        match fate {
            HostFate::Refused(harmless) if !harmless.iter().any(|word| word.as_bytes() == said) => {
                let what = "only Anthropic itself takes the field, and the answer would lack what it asks for";
                return Err(Refusal::field(name, what));
            }
            HostFate::Breakpoint if said != b"null" => {
                let for_an_hour = memmem::find(said, b"\"1h\"").is_some();
                plan = Some(CachePlan { tools: false, system: false, turns: 1, for_an_hour });
            }
            HostFate::Goes => at.dropped.push(name.clone()),
            HostFate::Breakpoint | HostFate::Refused(_) => {}
        }
        edits.push(Edit::remove(start.start..value.end));
    }
    let of = |name: &str| top.iter().find(|(known, ..)| known == name).map(|(_, _, value)| value.clone());
    let tools = of("tools").into_iter().flat_map(|list| elements(body, list));
    if memmem::find(body, b"\"eager_input_streaming\"").is_some() {
        for (whole, value) in tools.filter_map(|tool| member(body, &tool, "eager_input_streaming")) {
            at.beta = at.beta.or((body.get(value) == Some(b"true")).then_some(EAGER));
            edits.push(Edit::remove(whole));
        }
    }
    if memmem::find(body, b"\"scope\"").is_some() {
        let turns = of("messages").into_iter().flat_map(|list| elements(body, list));
        let contents = turns.filter_map(|turn| member(body, &turn, "content").map(|(_, content)| content));
        for list in of("tools").into_iter().chain(of("system")).chain(contents) {
            scopes(body, list, true, &mut edits);
        }
    }
    if memmem::find(body, b"\"fallback\"").is_some() {
        let turns = of("messages").into_iter().flat_map(|list| elements(body, list));
        turns.for_each(|turn| fallbacks(body, turn, &mut edits));
    }
    at.body = splice(body, &edits);
    if let Some(plan) = plan {
        at.body = place_breakpoints(&at.body, plan, CacheWords::Control);
    }
    Ok(at)
}

/// Takes the blocks out of a turn that say where Anthropic itself went on with another model.
fn fallbacks(body: &[u8], turn: Range<usize>, edits: &mut Vec<Edit>) {
    let Some((_, content)) = member(body, &turn, "content") else { return };
    let blocks = elements(body, content);
    let is_one = |block: &&Range<usize>| text(body, (*block).clone(), b"type") == Some("fallback");
    match blocks.iter().filter(is_one).count() {
        0 => {}
        found if found == blocks.len() => edits.push(Edit::remove(turn)),
        _ => edits.extend(blocks.iter().filter(is_one).map(|block| Edit::remove(block.clone()))),
    }
}

/// Takes the scopes out of the breakpoints of a list's blocks, and of those in these blocks' own content.
fn scopes(body: &[u8], list: Range<usize>, is_outer: bool, edits: &mut Vec<Edit>) {
    for block in elements(body, list) {
        let mark = member(body, &block, "cache_control").and_then(|(_, mark)| member(body, &mark, "scope"));
        edits.extend(mark.map(|(scope, _)| Edit::remove(scope)));
        if let Some((_, content)) = member(body, &block, "content").filter(|_| is_outer) {
            scopes(body, content, false, edits);
        }
    }
}

/// The place of an object's member, name and all, and that of its value.
fn member(body: &[u8], object: &Range<usize>, wanted: &str) -> Option<(Range<usize>, Range<usize>)> {
    let (_, name, value) = names(body.get(object.clone())?).into_iter().find(|(name, ..)| name == wanted)?;
    let at = object.start;
    Some((at + name.start..at + value.end, at + value.start..at + value.end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::FieldAction;

    fn at(body: &str, host: Envelope) -> AtHost {
        fit_host(&Bytes::copy_from_slice(body.as_bytes()), host, &FieldPolicy::new()).unwrap()
    }

    fn body_of(at: &AtHost) -> &str {
        std::str::from_utf8(&at.body).unwrap()
    }

    #[test]
    fn a_host_is_told_no_field_that_it_refuses() {
        let body = r#"{"model":"m","speed":"fast", "service_tier":"auto","diagnostics":{},"fallbacks":[{"model":"n"}],"mcp_servers":[],"messages":[],"container":null}"#;
        for host in [Envelope::Bedrock, Envelope::Vertex] {
            let fitted = at(body, host);
            assert_eq!(body_of(&fitted), r#"{"model":"m", "messages":[]}"#);
            assert_eq!(fitted.dropped, ["speed", "service_tier", "diagnostics", "fallbacks"]);
        }
        assert_eq!(body_of(&at(body, Envelope::Plain)), body);
        let plain = Bytes::from_static(br#"{"model":"m","messages":[{"content":"scope"}]}"#);
        let fitted = fit_host(&plain, Envelope::Bedrock, &FieldPolicy::new()).unwrap();
        assert_eq!(fitted.body.as_ptr(), plain.as_ptr(), "uncopied");
    }

    #[test]
    fn what_the_answer_would_lack_is_refused_by_name_unless_a_policy_says_otherwise() {
        for (name, value) in
            [("container", "\"c\""), ("mcp_servers", r#"[{"type":"url"}]"#), ("inference_geo", "\"us\"")]
        {
            let body = Bytes::from(format!("{{\"{name}\":{value}}}"));
            let refused = fit_host(&body, Envelope::Vertex, &FieldPolicy::new()).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some(name));
            let policy = FieldPolicy::from([(name.to_owned(), FieldAction::Pass)]);
            assert_eq!(fit_host(&body, Envelope::Vertex, &policy).unwrap().body, body);
        }
    }

    #[test]
    fn a_tool_that_streams_eagerly_becomes_a_beta() {
        let body = |eager: &str| {
            format!(
                r#"{{"tools":[{{"name":"a","eager_input_streaming":{eager}}},{{"name":"b","input_schema":{{"properties":{{"eager_input_streaming":{{}}}}}}}}]}}"#
            )
        };
        let bare =
            r#"{"tools":[{"name":"a"},{"name":"b","input_schema":{"properties":{"eager_input_streaming":{}}}}]}"#;
        for (eager, beta) in [("true", Some(EAGER)), ("false", None)] {
            let fitted = at(&body(eager), Envelope::Bedrock);
            assert_eq!((body_of(&fitted), fitted.beta), (bare, beta));
        }
    }

    #[test]
    fn breakpoints_have_no_scope_and_automatic_ones_stand_where_they_are() {
        let mark = |scope: &str| format!(r#""cache_control":{{"type":"ephemeral"{scope}}}"#);
        let body = |scope: &str| {
            let mark = mark(scope);
            format!(
                r#"{{"tools":[{{"name":"a",{mark}}}],"system":[{{"type":"text","text":"s",{mark}}}],"messages":[{{"role":"user","content":[{{"type":"tool_result","content":[{{"type":"text","text":"x",{mark}}}]}}]}},{{"role":"user","content":"scope"}}]}}"#
            )
        };
        let fitted = at(&body(r#","scope":"global""#), Envelope::Vertex);
        assert_eq!(body_of(&fitted), body(""));
        for (ttl, told) in [("", ""), (r#","ttl":"1h""#, r#","ttl":"1h""#)] {
            let automatic = format!(
                r#"{{"cache_control":{{"type":"ephemeral"{ttl}}},"system":"s","messages":[{{"role":"user","content":"u"}}]}}"#
            );
            let block = format!(r#"[{{"type":"text","text":"u","cache_control":{{"type":"ephemeral"{told}}}}}]"#);
            let made = format!(r#"{{"system":"s","messages":[{{"role":"user","content":{block}}}]}}"#);
            assert_eq!(body_of(&at(&automatic, Envelope::Bedrock)), made);
        }
    }

    #[test]
    fn where_another_model_went_on_is_told_to_nobody_else() {
        let turn = |blocks: &str| format!(r#"{{"role":"assistant","content":[{blocks}]}}"#);
        let (note, said) = (r#"{"type":"fallback","from":{"model":"a"}}"#, r#"{"type":"text","text":"fallback"}"#);
        let both = turn(&format!("{note},{said}"));
        let body = format!(r#"{{"messages":[{},{both},{{"role":"user","content":"fallback"}}]}}"#, turn(note));
        let fitted = at(&body, Envelope::Bedrock);
        assert_eq!(
            body_of(&fitted),
            format!(r#"{{"messages":[{},{{"role":"user","content":"fallback"}}]}}"#, turn(said))
        );
        assert_eq!(body_of(&at(&body, Envelope::Plain)), body);
    }
}
