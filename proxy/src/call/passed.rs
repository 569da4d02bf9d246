//! The body of an operation that passes untouched: the few things that are looked at in it, and another name of the model put in.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use sluicegate_dialects::verbatim::{self, Field, PathSays, Peek};
use sluicegate_dialects::{Refusal, form, side};

use crate::api::passed::PassedOperation;

/// The bytes of a form that are reserved as one token: what files are in tokens nobody knows beforehand.
const FORM_BYTES_PER_TOKEN: u64 = 1_024;

/// Looks at a body. Beside what it says is the boundary of its parts, where it is a form.
///
/// # Errors
/// It is no form or no JSON object, or does not say which model is asked for where it has to.
pub(super) fn look(
    row: &PassedOperation,
    named: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Peek, Option<Box<str>>), Refusal> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = if row.takes_forms && form::is_form(kind.as_bytes()) {
        let said = form::boundary(kind);
        Some(said.ok_or_else(|| Refusal::body("content-type: it says no boundary of the form's parts"))?)
    } else {
        None
    };
    let peek = |model| {
        let path = PathSays { model, stream: None };
        match boundary {
            Some(boundary) => form::peek(body, boundary, path),
            None => side::peek(body, path),
        }
    };
    let read = match peek(named) {
        Err(refusal) if refusal.param.as_deref() == Some(Field::Model.name()) && row.default_model.is_some() => {
            // A model that is named wrongly is no model that is not named; in JSON, `null` names none.
            let is_null = |span: Range<usize>| boundary.is_none() && body.get(span) == Some(b"null");
            let unnamed = peek(row.default_model).ok().filter(|peek| peek.span(Field::Model).is_none_or(is_null));
            unnamed.ok_or(refusal)
        }
        read => read,
    };
    Ok((read?, boundary.map(Box::from)))
}

/// The tokens of a form, about: for what is reserved of limits and budgets until its provider says what it was.
pub(super) fn tokens_of_form(body: &[u8]) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX) / FORM_BYTES_PER_TOKEN + 1
}

/// The name that a body is to ask for.
pub(super) struct Renaming<'a> {
    /// The model, by the provider's own name.
    pub(super) model: &'a str,
    /// The model that a body means which names none; `None`: its path named it.
    pub(super) unnamed: Option<&'a str>,
    /// True if the provider's path names it.
    pub(super) in_path: bool,
}

/// The body that asks for this model: the same bytes, where it does so already or the path does.
pub(super) fn renamed(body: &Bytes, (peek, boundary): (&Peek, Option<&str>), to: &Renaming<'_>) -> Bytes {
    let said = peek.span(Field::Model).and_then(|span| text(body, span, boundary.is_some()));
    let means = said.as_deref().or(to.unnamed);
    if means == Some(to.model) || (to.in_path && said.is_none()) {
        return body.clone();
    }
    let edit = match boundary {
        Some(boundary) => form::set(peek, boundary, Field::Model, to.model),
        None => peek.set_model(to.model),
    };
    verbatim::splice(body, &[edit])
}

fn text(body: &Bytes, span: Range<usize>, is_form: bool) -> Option<Cow<'_, str>> {
    let bytes = body.get(span)?;
    if is_form {
        return std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::account::Operation;
    use crate::api::passed;

    #[test]
    fn a_body_is_changed_only_where_another_model_is_meant() {
        let row = passed::of(Operation::Moderation).unwrap();
        let json = |model: &str| format!("{{{model}\"input\":1.50}}");
        let (named, unnamed, null) = (json("\"model\" : \"a\","), json(""), json("\"model\": null,"));
        for (body, path, model, in_path, changed) in [
            (&named, None, "a", false, None),
            (&named, None, "b", false, Some(json("\"model\" : \"b\","))),
            (&named, Some("deployment"), "a", true, None),
            (&named, Some("deployment"), "b", true, Some(json("\"model\" : \"b\","))),
            (&unnamed, None, "omni-moderation-latest", false, None),
            (&unnamed, None, "b", false, Some(json("\"model\":\"b\","))),
            (&null, None, "omni-moderation-latest", false, None),
            (&null, None, "b", false, Some(json("\"model\": \"b\","))),
            (&unnamed, Some("deployment"), "b", true, None),
            (&unnamed, Some("b"), "b", false, Some(json("\"model\":\"b\","))),
        ] {
            let body = Bytes::from(body.clone());
            let (peek, boundary) = look(row, path, &HeaderMap::new(), &body).unwrap();
            let unnamed = path.is_none().then(|| peek.model.of(&body));
            let made = renamed(&body, (&peek, boundary.as_deref()), &Renaming { model, unnamed, in_path });
            assert_eq!(made, changed.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned()).as_bytes());
        }
    }

    #[test]
    fn who_names_no_model_means_the_vendors_and_who_names_it_wrongly_nothing() {
        let headers = |kind: &'static str| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        let edit = passed::of(Operation::ImageEdit).unwrap();
        let form = headers("multipart/form-data; boundary=b");
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let of = |body: String| look(edit, None, &form, (body + "--b--\r\n").as_bytes());
        assert_eq!(of(part("prompt", "a")).unwrap().0.model.of(b""), "dall-e-2");
        assert_eq!(of(part("model", "gpt-image-1")).unwrap().0.model.of(b""), "gpt-image-1");
        assert!(of(part("model", "")).is_err() && of(part("model", "a").repeat(2)).is_err());
        let hear = passed::of(Operation::Transcription).unwrap();
        let body = part("prompt", "a") + "--b--\r\n";
        assert!(look(hear, None, &form, body.as_bytes()).is_err());
        assert!(look(hear, None, &headers("multipart/form-data"), body.as_bytes()).is_err());
        assert!(look(edit, None, &headers("application/json"), br#"{"model":1}"#).is_err());
        let null = look(edit, None, &headers("application/json"), br#"{"model": null}"#).unwrap().0;
        assert_eq!(null.model.of(b""), "dall-e-2");
        assert_eq!(of(part("model", "null")).unwrap().0.model.of(b""), "null");
        assert!(look(hear, None, &headers("application/json"), br#"{"model":null}"#).is_err());
        assert_eq!(look(edit, None, &headers("application/json"), br#"{"a":1}"#).unwrap().0.model.of(b""), "dall-e-2");
    }
}
