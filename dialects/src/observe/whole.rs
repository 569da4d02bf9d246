//! A whole answer that passes: its usage, found by a scan that builds nothing, and an answer told from what only looks like one.

use crate::codec::Malformed;
use crate::hub::{ProviderError, Usage};
use crate::scan;

/// The marks that a dialect's whole answers are known by.
#[derive(Clone, Copy)]
pub(crate) struct AnswerShape {
    /// The core of an answer: the name of a member of its top level.
    pub(crate) core: &'static str,
    /// True if that is an object, and no list.
    pub(crate) core_is_object: bool,
    /// The list may be empty where this member says something.
    pub(crate) may_be_empty_beside: Option<&'static str>,
    /// The list may be missing where that member says something.
    pub(crate) may_be_missing: bool,
    /// The usage of an answer and the value of its core; `None`: it is not a JSON object to its last byte.
    pub(crate) usage: fn(&[u8]) -> Option<SeenAnswer<'_>>,
    /// Reads an error that stands where an answer should.
    pub(crate) error: fn(&[u8]) -> ProviderError,
    /// The error of an answer that has its core all the same; `None`: there is none.
    pub(crate) failure: fn(&[u8]) -> Option<ProviderError>,
}

/// The parts of a whole answer that are found in one look over it.
#[derive(Debug)]
pub(crate) struct SeenAnswer<'a> {
    /// The usage, where it says one.
    pub(crate) usage: Option<Usage>,
    /// The core as it is written; empty where there is none.
    pub(crate) core: &'a [u8],
}

/// The usage that a whole answer says, `None` when it says none; and whether its core begins as those of its dialect's answers do, and no
/// error stands in it.
pub(crate) fn usage_of_whole(shape: &AnswerShape, body: &[u8]) -> Result<(Option<Usage>, bool), Malformed> {
    let SeenAnswer { usage, core } = (shape.usage)(body).ok_or_else(|| not_an_object(body))?;
    let begins = if shape.core_is_object {
        core.starts_with(b"{")
    } else {
        core.strip_prefix(b"[").is_some_and(|list| list.trim_ascii_start().starts_with(b"{"))
    };
    Ok((usage, begins && (shape.failure)(body).is_none()))
}

/// Checks that a whole answer holds what its dialect's answers do. Errors: it does not: a provider's error under status
/// 200, whose message is repeated, an empty list, or something else in JSON.
pub(crate) fn is_answer(shape: &AnswerShape, body: &[u8]) -> Result<(), Malformed> {
    let core = shape.core;
    let (mut holds, mut empty, mut stopped, mut failed) = (false, false, false, false);
    let mut is_there = false;
    let seen = scan::members(body, |name, value| {
        let value = body.get(value).unwrap_or_default();
        let something = value != b"null";
        if name == core.as_bytes() {
            is_there = true;
            holds = value.starts_with(if shape.core_is_object { b"{" } else { b"[" });
            empty = value.strip_prefix(b"[").is_some_and(|list| list.trim_ascii_start().starts_with(b"]"));
        }
        stopped |= something && shape.may_be_empty_beside.is_some_and(|beside| name == beside.as_bytes());
        failed |= something && name == b"error";
    });
    seen.map_err(|_| not_an_object(body))?;
    if failed {
        let said = (shape.error)(body).message;
        return Err(Malformed::new(format!("an error stands where an answer should: {said}")));
    }
    if let Some(error) = (shape.failure)(body) {
        return Err(Malformed::new(format!("an error stands in the answer: {}", error.message)));
    }
    match (holds, empty) {
        (false, _) if shape.may_be_missing && stopped && !is_there => Ok(()),
        (false, _) => Err(Malformed::new(format!("{core}: the field is required"))),
        (true, true) if !stopped => Err(Malformed::new(format!("{core}: there is no answer in the list"))),
        (true, _) => Ok(()),
    }
}

/// The error that stands where a whole answer should; `None`: there is none.
pub(crate) fn error_of_whole(shape: &AnswerShape, body: &[u8]) -> Option<ProviderError> {
    let mut failed = false;
    scan::members(body, |name, value| {
        let value = body.get(value).unwrap_or_default();
        failed |= (name == b"error" && value != b"null") || (name == b"object" && value == b"\"error\"");
    })
    .ok()?;
    if failed { Some((shape.error)(body)) } else { (shape.failure)(body) }
}

/// In the words of a parser that says where.
fn not_an_object(body: &[u8]) -> Malformed {
    let said = serde_json::from_slice::<serde::de::IgnoredAny>(body).err();
    Malformed::new(said.map_or_else(|| "not a JSON object".to_owned(), |error| error.to_string()))
}
