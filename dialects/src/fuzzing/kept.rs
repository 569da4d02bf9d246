//! Conversations that are kept: whatever a call and an answer hold, what is put together of them is read again.

use bytes::Bytes;

use super::ground::{is_json, shown};
use crate::Dialect;
use crate::openai_responses::stored;
use crate::verbatim::PathSays;

/// The target. It is taken for a call, an answer, an event, what is kept, and a query.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Some((id, span)) = stored::id_of_answer(data) {
        assert_eq!(data.get(span), Some(id.as_bytes()), "{}", shown(data));
        let renamed = stored::renamed_answer(&bytes, |_| Some("resp_other".to_owned()), Some(("a", "b")));
        let other = stored::id_of_answer(&renamed).map(|(id, _)| id);
        assert_eq!(other, Some("resp_other"), "{}", shown(&renamed));
    }
    let _ = (stored::id_of_event(data), stored::ids_of_items(data), stored::item_references(data));
    let _ = stored::renamed_text(&bytes, ("a", "b"));
    let other = |name: &[u8], _: &str| [&b"id"[..], b"model"].contains(&name).then(|| "other".to_owned());
    if let Some(renamed) = stored::renamed_members(&bytes, other) {
        assert_eq!(is_json(&renamed), is_json(data), "{}", shown(&renamed));
    }
    if let Some(answer) = stored::answer_of_event(data) {
        assert!(is_json(answer.as_bytes()));
    }
    told(&bytes);
    if let Some(written) = stored::written_answer("a \"model\"", data) {
        let (model, answer) = stored::opened_answer(&written).expect("what is written is opened");
        assert_eq!((&*model, is_json(answer.as_bytes())), ("a \"model\"", true));
    }
}

/// A call, with what it goes on from and without.
fn told(call: &Bytes) {
    const ANSWER: &[u8] =
        br#"{"id":"resp_1","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant",
        "content":[{"type":"output_text","text":"a","annotations":[]}]}]}"#;
    let Some(first) = stored::conversation(None, call, ANSWER) else { return };
    assert!(is_json(&first), "{}", shown(&first));
    let second = stored::conversation(Some(&first), call, ANSWER).expect("it goes on as it began");
    assert!(is_json(&second) && second.len() > first.len(), "{}", shown(&second));
    let by_id = stored::items_by_id(&first);
    assert!(by_id.contains_key("msg_1"), "{}", shown(&first));
    // Nobody comes so far whose call is no UTF-8.
    if let Some(whole) = stored::with_items(call, &by_id).filter(|_| is_json(call)) {
        assert!(is_json(&whole), "{}", shown(&whole));
    }
    if let Ok(peek) = Dialect::OpenAiResponses.peek(call, PathSays::default())
        && let Some(expanded) = stored::expanded(call, &peek, &first)
    {
        assert!(is_json(&expanded), "{}", shown(&expanded));
    }
    if let (Some(items), Ok(query)) = (stored::input_items(&first, &shown(ANSWER)), std::str::from_utf8(call)) {
        assert!(stored::page(&items, query).is_ok_and(|page| is_json(page.as_bytes())) || query.contains('='));
    }
}
