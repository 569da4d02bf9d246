//! Prompt-cache breakpoints put into a body that goes to a vendor which caches on request: by span, every other byte stays.
//!
//! A breakpoint caches all that stands before it, in the order tools, system, messages. There are at most four with the caller's own, and
//! those that are kept for an hour stand before those of five minutes.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::splice::{Edit, splice};
use crate::scan;

/// The most breakpoints of a request.
const MOST: usize = 4;

/// The breakpoints that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePlan {
    /// One behind the tools.
    pub tools: bool,
    /// One behind the instructions.
    pub system: bool,
    /// One behind each of so many of the caller's last turns.
    pub turns: usize,
    /// True if what is written is to be kept for an hour.
    pub for_an_hour: bool,
}

/// The words in which a vendor is told of a breakpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheWords {
    /// Anthropic's: `cache_control`, a member of the block.
    Control,
    /// The same in Chat Completions' words: a member of a message's part, where instructions are messages too. None among tools.
    PartControl,
    /// Converse's: `cachePoint`, a block behind it.
    Point,
    /// The same to a model that takes none among its tools, and none for an hour.
    PointOutsideTools,
}

impl CacheWords {
    /// True if it is a member of what it stands on.
    fn is_control(self) -> bool {
        matches!(self, Self::Control | Self::PartControl)
    }
}

/// A place in a body where a breakpoint stands, or may.
#[derive(Debug, Clone)]
struct CachePlace {
    /// The edit that puts a breakpoint here, or why there is none to put.
    at: PlaceKind,
    rank: usize,
}

#[derive(Debug, Clone)]
enum PlaceKind {
    /// There is one already: for an hour, or not.
    Taken(bool),
    /// A member at the end of an object, or an element at the end of a list, which are not empty.
    Last(usize),
    /// A text that has to become a list of one block.
    Text(Range<usize>),
    /// Nothing can be put here.
    None,
}

/// Puts them in. The body itself, uncopied, where there is no place for any.
#[must_use]
pub fn place_breakpoints(body: &Bytes, plan: CachePlan, words: CacheWords) -> Bytes {
    let Some(mut places) = places(body, plan, words) else { return body.clone() };
    let taken = places.iter().filter(|place| matches!(place.at, PlaceKind::Taken(_))).count();
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.retain(|at| {
        places
            .get(*at)
            .is_some_and(|place| matches!(place.at, PlaceKind::Last(_) | PlaceKind::Text(_)) && place.rank < usize::MAX)
    });
    order.sort_by_key(|at| places.get(*at).map(|place| place.rank));
    order.truncate(MOST.saturating_sub(taken));
    let mut edits = Vec::new();
    for at in order {
        let hours = |places: &[CachePlace]| places.iter().any(|place| matches!(place.at, PlaceKind::Taken(true)));
        let minutes = |places: &[CachePlace]| places.iter().any(|place| matches!(place.at, PlaceKind::Taken(false)));
        let (before, behind) = (places.get(..at).unwrap_or_default(), places.get(at + 1..).unwrap_or_default());
        // What stands before one of an hour is kept as long as that one anyway.
        let for_an_hour = hours(behind) || (plan.for_an_hour && !minutes(before));
        let Some(place) = places.get_mut(at) else { continue };
        edits.extend(edit(&place.at, words, for_an_hour));
        place.at = PlaceKind::Taken(for_an_hour);
    }
    splice(body, &edits)
}

fn edit(at: &PlaceKind, words: CacheWords, for_an_hour: bool) -> Vec<Edit> {
    let point = match (words, for_an_hour) {
        (CacheWords::Control | CacheWords::PartControl, false) => r#""cache_control":{"type":"ephemeral"}"#,
        (CacheWords::Control | CacheWords::PartControl, true) => r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#,
        (CacheWords::Point, false) | (CacheWords::PointOutsideTools, _) => r#"{"cachePoint":{"type":"default"}}"#,
        (CacheWords::Point, true) => r#"{"cachePoint":{"type":"default","ttl":"1h"}}"#,
    };
    match at {
        PlaceKind::Last(end) => vec![Edit::write(*end..*end, format!(",{point}"))],
        PlaceKind::Text(span) => vec![
            Edit::write(span.start..span.start, r#"[{"type":"text","text":"#),
            Edit::write(span.end..span.end, format!(",{point}}}]")),
        ],
        PlaceKind::Taken(_) | PlaceKind::None => Vec::new(),
    }
}

/// The body's places in the order of the prompt; `None`: it is none that breakpoints are put into.
fn places(body: &[u8], plan: CachePlan, words: CacheWords) -> Option<Vec<CachePlace>> {
    let top = members(body, 0..body.len())?;
    let of = |name: &[u8]| top.iter().find(|(known, _)| *known == name).map(|(_, span)| span.clone());
    // A caller that lets the vendor place them by itself needs no help.
    if words.is_control() && of(b"cache_control").is_some() {
        return None;
    }
    let mut places = Vec::new();
    let tools = match words {
        CacheWords::Control => of(b"tools"),
        CacheWords::PointOutsideTools | CacheWords::PartControl => None,
        CacheWords::Point => {
            let config = of(b"toolConfig").and_then(|span| members(body, span));
            config.and_then(|config| config.into_iter().find(|(name, _)| *name == b"tools").map(|(_, span)| span))
        }
    };
    tools
        .into_iter()
        .for_each(|span| places.extend(blocks(body, span, (words, if plan.tools { 2 } else { usize::MAX }))));
    let rank = if plan.system { 1 } else { usize::MAX };
    of(b"system").into_iter().for_each(|span| places.extend(content(body, span, (words, rank))));
    let messages = of(b"messages").map(|span| elements(body, &span)).unwrap_or_default();
    let mut turns = Vec::new();
    let mut left = plan.turns;
    let (mut of_results, mut instructed) = (false, false);
    // From the last turn, which gets the first breakpoint.
    for message in messages.iter().rev() {
        let parts = members(body, message.clone()).unwrap_or_default();
        let of = |name: &[u8]| parts.iter().find(|(known, _)| *known == name).map(|(_, span)| span.clone());
        let role = of(b"role").and_then(|span| body.get(span)).unwrap_or_default();
        let is_result = words == CacheWords::PartControl && role == br#""tool""#;
        // Results of several calls are one turn.
        let is_callers = role == br#""user""# || (is_result && !of_results);
        of_results = is_result;
        let instructs = words == CacheWords::PartControl && matches!(role, br#""system""# | br#""developer""#);
        let rank = match () {
            () if is_callers && left > 0 => (plan.turns - left) * 3,
            () if instructs && plan.system && !instructed => 1,
            () => usize::MAX,
        };
        instructed |= instructs;
        left -= usize::from(is_callers && left > 0);
        turns.push(of(b"content").map(|span| content(body, span, (words, rank))).unwrap_or_default());
    }
    places.extend(turns.into_iter().rev().flatten());
    Some(places)
}

/// The places of a content: a text, or blocks.
fn content(body: &[u8], span: Range<usize>, (words, rank): (CacheWords, usize)) -> Vec<CachePlace> {
    match body.get(span.start) {
        Some(b'"') if words.is_control() && span.len() > 2 => {
            vec![CachePlace { at: PlaceKind::Text(span), rank }]
        }
        Some(b'[') => blocks(body, span, (words, rank)),
        _ => Vec::new(),
    }
}

/// The places of a list of blocks, of which the last that can have one is of this rank.
fn blocks(body: &[u8], span: Range<usize>, (words, rank): (CacheWords, usize)) -> Vec<CachePlace> {
    let elements = elements(body, &span);
    let mut places: Vec<CachePlace> = elements
        .iter()
        .map(|element| CachePlace { at: place(body, element.clone(), words), rank: usize::MAX })
        .collect();
    match words {
        CacheWords::Control | CacheWords::PartControl => {
            let last = places.iter_mut().rfind(|place| !matches!(place.at, PlaceKind::None));
            last.into_iter().for_each(|place| place.rank = rank);
        }
        CacheWords::Point | CacheWords::PointOutsideTools => {
            let ends_so = places.last().is_some_and(|place| matches!(place.at, PlaceKind::Taken(_)));
            // A thought is never the last of what is cached.
            let holds = elements.last().is_some_and(|last| !has(body, last, b"reasoningContent"));
            let behind = elements.last().filter(|_| holds && !ends_so).map(|last| last.end);
            places.retain(|place| matches!(place.at, PlaceKind::Taken(_)));
            places.extend(behind.map(|end| CachePlace { at: PlaceKind::Last(end), rank }));
        }
    }
    places
}

/// The place that a block is.
fn place(body: &[u8], block: Range<usize>, words: CacheWords) -> PlaceKind {
    let Some(parts) = members(body, block.clone()) else { return PlaceKind::None };
    let of = |name: &[u8]| parts.iter().find(|(known, _)| *known == name).and_then(|(_, span)| body.get(span.clone()));
    let word = if words.is_control() { &b"cache_control"[..] } else { b"cachePoint" };
    if let Some(said) = of(word) {
        return if said == b"null" { PlaceKind::None } else { PlaceKind::Taken(is_of_an_hour(said)) };
    }
    let thinks = of(b"type").is_some_and(|kind| matches!(kind, br#""thinking""# | br#""redacted_thinking""#));
    let is_empty = of(b"text").is_some_and(|text| text == br#""""#);
    let is_deferred = of(b"defer_loading") == Some(b"true");
    match body.get(block.end.saturating_sub(1)) {
        Some(b'}') if !(thinks || is_empty || is_deferred || parts.is_empty()) => PlaceKind::Last(block.end - 1),
        _ => PlaceKind::None,
    }
}

fn is_of_an_hour(breakpoint: &[u8]) -> bool {
    members(breakpoint, 0..breakpoint.len())
        .and_then(|parts| parts.into_iter().find(|(name, _)| *name == b"ttl"))
        .is_some_and(|(_, span)| breakpoint.get(span) == Some(br#""1h""#))
}

fn has(body: &[u8], block: &Range<usize>, name: &[u8]) -> bool {
    members(body, block.clone()).is_some_and(|parts| parts.iter().any(|(known, _)| *known == name))
}

/// The members of an object, by their names as they are written; `None`: it is none.
fn members(body: &[u8], span: Range<usize>) -> Option<Vec<(&[u8], Range<usize>)>> {
    let json = body.get(span.clone())?;
    let mut found = Vec::new();
    scan::members(json, |name, value| {
        let start = (name.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        let name = body.get(start..start + name.len()).unwrap_or_default();
        found.push((name, span.start + value.start..span.start + value.end));
    })
    .ok()?;
    Some(found)
}

/// The elements of a list.
fn elements(body: &[u8], span: &Range<usize>) -> Vec<Range<usize>> {
    let list = body.get(span.clone()).and_then(|json| serde_json::from_slice::<Vec<&RawValue>>(json).ok());
    let place = |element: &RawValue| {
        let start = (element.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        start..start + element.get().len()
    };
    list.unwrap_or_default().into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: CachePlan = CachePlan { tools: true, system: true, turns: 2, for_an_hour: false };

    fn placed(body: &str, plan: CachePlan, words: CacheWords) -> String {
        let made = place_breakpoints(&Bytes::copy_from_slice(body.as_bytes()), plan, words);
        String::from_utf8(made.to_vec()).unwrap()
    }

    fn control(body: &str, plan: CachePlan) -> String {
        placed(body, plan, CacheWords::Control)
    }

    #[test]
    fn breakpoints_stand_behind_tools_system_and_the_last_turns_and_every_other_byte_stays() {
        const M: &str = r#","cache_control":{"type":"ephemeral"}"#;
        let body = r#"{"model" : "m","tools":[{"name":"a"}, {"name":"b","input_schema":{}}],"system":"be \"good\"","messages":[{"role":"user","content":"one"},{"role":"assistant","content":"two"},{"role":"user","content":[{"type":"text","text":"three"},{"type":"image","source":{}} ]},{"role":"user","content":"four"}],"x":1.50}"#;
        let made = format!(
            r#"{{"model" : "m","tools":[{{"name":"a"}}, {{"name":"b","input_schema":{{}}{M}}}],"system":[{{"type":"text","text":"be \"good\""{M}}}],"messages":[{{"role":"user","content":"one"}},{{"role":"assistant","content":"two"}},{{"role":"user","content":[{{"type":"text","text":"three"}},{{"type":"image","source":{{}}{M}}} ]}},{{"role":"user","content":[{{"type":"text","text":"four"{M}}}]}}],"x":1.50}}"#
        );
        assert_eq!(control(body, ALL), made);
        // Who has been helped needs no more help.
        assert_eq!(control(&made, ALL), made);
        let only = CachePlan { tools: false, system: false, turns: 1, for_an_hour: false };
        assert_eq!(control(body, only).matches("cache_control").count(), 1);
        assert!(control(body, only).contains(r#""text":"four","cache_control""#));
    }

    #[test]
    fn in_chats_words_instructions_are_messages_and_results_of_several_calls_one_turn() {
        const M: &str = r#","cache_control":{"type":"ephemeral"}"#;
        let text = |text: &str| format!(r#"[{{"type":"text","text":"{text}"{M}}}]"#);
        let body = |of: &dyn Fn(&str, bool) -> String| {
            format!(
                r#"{{"tools":[{{"type":"function"}}],"messages":[{{"role":"system","content":{}}},{{"role":"user","content":"u"}},{{"role":"assistant","content":"a"}},{{"role":"tool","content":"r1"}},{{"role":"tool","content":{}}},{{"role":"user","content":{}}}]}}"#,
                of("s", true),
                of("r2", true),
                of("v", true)
            )
        };
        let given = body(&|text, _| format!("\"{text}\""));
        assert_eq!(placed(&given, ALL, CacheWords::PartControl), body(&|of, _| text(of)));
    }

    #[test]
    fn there_are_four_with_the_callers_own_and_the_last_turn_comes_first() {
        let own = r#","cache_control":{"type":"ephemeral"}"#;
        let body = |marks: usize| {
            let block = |at: usize| format!(r#"{{"type":"text","text":"t{at}"{}}}"#, if at < marks { own } else { "" });
            let blocks = (0..4).map(block).collect::<Vec<_>>().join(",");
            format!(
                r#"{{"tools":[{{"name":"a"}}],"system":"s","messages":[{{"role":"user","content":[{blocks}]}},{{"role":"assistant","content":"a"}},{{"role":"user","content":"last"}}]}}"#
            )
        };
        for (marks, places) in
            [(0, "tools system t3 last"), (1, "tools system last"), (2, "system last"), (3, "last"), (4, "")]
        {
            let given = body(marks);
            let made = control(&given, ALL);
            assert_eq!(
                made.matches("cache_control").count(),
                4.min(marks + places.split_whitespace().count()),
                "{made}"
            );
            let has = |text: &str| made.contains(&format!("{text}{own}"));
            let at = [
                ("tools", has(r#""name":"a""#)),
                ("system", has(r#""text":"s""#)),
                ("t3", marks < 4 && has(r#""text":"t3""#)),
                ("last", has(r#""text":"last""#)),
            ];
            let found: Vec<&str> = at.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
            assert_eq!(found.join(" "), places, "{marks}: {made}");
        }
    }

    #[test]
    fn an_hour_never_stands_behind_minutes() {
        let hour = CachePlan { for_an_hour: true, ..ALL };
        let mark = |ttl: &str| format!(r#","cache_control":{{"type":"ephemeral","ttl":"{ttl}"}}"#);
        let body = |system: &str, turn: &str| {
            format!(
                r#"{{"tools":[{{"name":"a"}}],"system":[{{"type":"text","text":"s"{system}}}],"messages":[{{"role":"user","content":[{{"type":"text","text":"u"{turn}}}]}}]}}"#
            )
        };
        for (plan, system, turn, lifetimes) in [
            (hour, "", "", "1h 1h 1h"),
            (hour, mark("5m").as_str(), "", "1h 5m 5m"),
            (ALL, mark("1h").as_str(), "", "1h 1h 5m"),
            (ALL, "", mark("1h").as_str(), "1h 1h 1h"),
            (hour, "", mark("5m").as_str(), "1h 1h 5m"),
        ] {
            let made = control(&body(system, turn), plan);
            let seen: Vec<&str> = made
                .split("ephemeral")
                .skip(1)
                .map(|rest| if rest.starts_with(r#"","ttl":"1h""#) { "1h" } else { "5m" })
                .collect();
            assert_eq!(seen.join(" "), lifetimes, "{made}");
        }
    }

    #[test]
    fn what_can_not_be_cached_gets_none() {
        let all = |body: &str| control(body, ALL);
        for body in [
            r#"{"system":"","messages":[{"role":"user","content":""}]}"#,
            r#"{"cache_control":{"type":"ephemeral"},"system":"s","messages":[{"role":"user","content":"u"}]}"#,
            r#"{"tools":[{"name":"a","defer_loading":true}],"messages":[]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":""}]},{"role":"assistant","content":"a"}]}"#,
            r#"{"system":[],"tools":[],"messages":"x"}"#,
            r#"{"system":[{"type":"text","text":"s","cache_control":null}],"messages":[]}"#,
            r"[]",
            "no json",
        ] {
            assert_eq!(all(body), body);
        }
        let thinking = r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"},{"type":"thinking","thinking":"x"}]}]}"#;
        assert!(all(thinking).contains(r#""tool_use_id":"t","cache_control""#));
        let body = Bytes::from_static(br#"{"messages":[]}"#);
        assert_eq!(place_breakpoints(&body, ALL, CacheWords::Control).as_ptr(), body.as_ptr(), "uncopied");
    }

    #[test]
    fn converse_is_told_in_blocks_of_their_own() {
        const P: &str = r#",{"cachePoint":{"type":"default"}}"#;
        let body = r#"{"system":[{"text":"s"}],"toolConfig":{"tools":[{"toolSpec":{}}]},"messages":[{"role":"user","content":[{"text":"one"}]},{"role":"assistant","content":[{"text":"two"}]},{"role":"user","content":[{"text":"three"}]}]}"#;
        let made = format!(
            r#"{{"system":[{{"text":"s"}}{P}],"toolConfig":{{"tools":[{{"toolSpec":{{}}}}{P}]}},"messages":[{{"role":"user","content":[{{"text":"one"}}{P}]}},{{"role":"assistant","content":[{{"text":"two"}}]}},{{"role":"user","content":[{{"text":"three"}}{P}]}}]}}"#
        );
        assert_eq!(placed(body, ALL, CacheWords::Point), made);
        assert_eq!(placed(&made, ALL, CacheWords::Point), made);
    }
}
