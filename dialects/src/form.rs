//! A form (`multipart/form-data`) that passes: the few fields that routing needs, and the model's name written in another way.
//!
//! A provider's reader of forms may be more forgiving than this one. So whatever two readers could take in two ways is refused: who is
//! asked, and for what, is never a matter of taste.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use crate::codec::Refusal;
use crate::verbatim::{Edit, Field, PathSays, Peek};

/// The most parts of a form.
const MOST_PARTS: usize = 512;
/// The most bytes of a part's head.
const LONGEST_HEAD: usize = 8 << 10;
/// The most bytes of a field that is looked at.
const LONGEST_FIELD: usize = 1 << 10;
/// The most characters that a boundary has.
const LONGEST_BOUNDARY: usize = 70;

/// True for the content type of a form, parameters or not.
#[must_use]
pub fn is_form(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"multipart/form-data")
}

/// The boundary between the parts of a form, by its content type; `None`: it is no form, or says none that is one.
#[must_use]
pub fn boundary(content_type: &str) -> Option<&str> {
    let (_, mut rest) = content_type.split_once(';').filter(|_| is_form(content_type.as_bytes()))?;
    let mut found = None;
    loop {
        let (name, value) = rest.trim_start().split_once('=')?;
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at_checked(value.find(';').unwrap_or(value.len()))?,
        };
        if name.trim_end().eq_ignore_ascii_case("boundary") && found.replace(value.trim_end()).is_some() {
            return None;
        }
        match behind.trim_start().strip_prefix(';') {
            Some(more) if !more.trim().is_empty() => rest = more,
            _ => break,
        }
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    found.filter(|text| (1..=LONGEST_BOUNDARY).contains(&text.len()) && text.bytes().all(allowed))
}

/// Looks at a form. What its path says is not looked for in it.
///
/// # Errors
/// It is none, the model is missing, a field looked at is wrong or stands there twice.
pub fn peek(body: &[u8], boundary: &str, path: PathSays<'_>) -> Result<Peek, Refusal> {
    let (mut named, mut streamed, mut open) = (None, None, None);
    parts(body, boundary, |start, disposition, content| {
        open.get_or_insert(start);
        let (field, place) = match disposition.name.as_ref() {
            "model" => (Field::Model, &mut named),
            "stream" => (Field::Stream, &mut streamed),
            _ => return Ok(()),
        };
        if disposition.is_file {
            return Err(Refusal::field(field.name(), "must be a text, and no file"));
        }
        match place.replace(content) {
            Some(_) => Err(Refusal::field(field.name(), "the field stands in the form twice")),
            None => Ok(()),
        }
    })?;
    let text = |field: Field, span: &Option<Range<usize>>| {
        let Some(span) = span else { return Ok(None) };
        let bytes = body.get(span.clone()).filter(|bytes| bytes.len() <= LONGEST_FIELD);
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.map(Some).ok_or_else(|| Refusal::field(field.name(), "must be a short text"))
    };
    let model = match path.model {
        Some(model) => model,
        None => text(Field::Model, &named)?.ok_or_else(|| Refusal::field("model", "the field is required"))?,
    };
    if model.is_empty() {
        return Err(Refusal::field("model", "must not be empty"));
    }
    let stream = match (path.stream, text(Field::Stream, &streamed)?) {
        (Some(stream), _) => stream,
        (None, None | Some("false" | "False" | "0" | "")) => false,
        (None, Some("true" | "True" | "1")) => true,
        (None, Some(_)) => return Err(Refusal::field("stream", "must be true or false")),
    };
    Ok(Peek::of_form((model, stream), open.unwrap_or_default(), named))
}

/// The fields of a form by these names, each where its content stands; `None`: there is none such.
///
/// # Errors
/// It is no form, or a field that is looked for stands there twice.
pub fn fields<const N: usize>(
    body: &[u8],
    boundary: &str,
    names: [&str; N],
) -> Result<[Option<Range<usize>>; N], Refusal> {
    let mut found = [const { None }; N];
    parts(body, boundary, |_, disposition, content| {
        let of_name = names.iter().zip(&mut found).find(|(name, _)| **name == disposition.name);
        match of_name.and_then(|(name, place)| place.replace(content).map(|_| name)) {
            Some(name) => Err(Refusal::field(*name, "the field stands in the form twice")),
            None => Ok(()),
        }
    })?;
    Ok(found)
}

/// Writes a field of the form that was looked at, or adds it as the first part.
#[must_use]
pub fn set(peek: &Peek, boundary: &str, field: Field, text: &str) -> Edit {
    match peek.span(field) {
        Some(span) => Edit::write(span, text),
        None => {
            let name = field.name();
            let part = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
            Edit::write(peek.opening()..peek.opening(), part)
        }
    }
}

/// The name of a part, and whether it is a file.
struct Disposition<'a> {
    name: Cow<'a, str>,
    is_file: bool,
}

/// Shows each part: where its delimiter begins, what its head says, and where its content stands.
fn parts<'a>(
    body: &'a [u8],
    boundary: &str,
    mut show: impl FnMut(usize, &Disposition<'a>, Range<usize>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mark = format!("--{boundary}");
    let mut before: Option<(usize, usize)> = None;
    let mut count = 0;
    for at in memmem::find_iter(body, mark.as_bytes()) {
        if !begins_a_line(body, at)? {
            continue;
        }
        if let Some((start, inside)) = before.take() {
            let content_end =
                at.checked_sub(2).filter(|end| *end >= inside).ok_or_else(|| wrong("a part has no head"))?;
            let (disposition, content) = head(body, inside..content_end)?;
            count += 1;
            if count > MOST_PARTS {
                return Err(wrong("it has too many parts"));
            }
            show(start, &disposition, content..content_end)?;
        }
        let behind = at + mark.len();
        match body.get(behind..).unwrap_or_default() {
            rest if rest.starts_with(b"--") => return Ok(()),
            rest => {
                let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                if !rest.get(blanks..).unwrap_or_default().starts_with(b"\r\n") {
                    return Err(wrong("something stands behind a boundary"));
                }
                before = Some((at, behind + blanks + 2));
            }
        }
    }
    Err(wrong("its closing boundary is missing"))
}

/// True if a boundary's dashes at this place are those of a delimiter.
fn begins_a_line(body: &[u8], at: usize) -> Result<bool, Refusal> {
    let before = body.get(..at).unwrap_or_default();
    match before {
        [] | [.., b'\r', b'\n'] => Ok(true),
        // A more forgiving reader would take it for one.
        [.., b'\n' | b'\r'] => Err(wrong("a boundary stands behind half a line end")),
        _ => Ok(false),
    }
}

/// A part's head, and where its content begins.
fn head(body: &[u8], part: Range<usize>) -> Result<(Disposition<'_>, usize), Refusal> {
    let bytes = body.get(part.clone()).unwrap_or_default();
    let near = bytes.get(..LONGEST_HEAD.min(bytes.len())).unwrap_or_default();
    let end = memmem::find(near, b"\r\n\r\n").ok_or_else(|| wrong("a part has no head, or one that is too long"))?;
    let text = near.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let text = text.ok_or_else(|| wrong("a part's head is not UTF-8"))?;
    let mut found = None;
    for line in text.split("\r\n") {
        if line.starts_with([' ', '\t']) || line.contains(['\r', '\n']) {
            return Err(wrong("a part's head is folded"));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("a part's head has a line without a colon"))?;
        if name.eq_ignore_ascii_case("content-disposition") && found.replace(disposition(value)?).is_some() {
            return Err(wrong("a part has two names"));
        }
        let coded = name.eq_ignore_ascii_case("content-transfer-encoding")
            && !["7bit", "8bit", "binary"].iter().any(|plain| value.trim().eq_ignore_ascii_case(plain));
        if coded {
            return Err(wrong("a part is coded (content-transfer-encoding)"));
        }
    }
    let disposition = found.ok_or_else(|| wrong("a part has no name"))?;
    Ok((disposition, part.start + end + 4))
}

/// `form-data; name="…"; filename="…"`.
fn disposition(value: &str) -> Result<Disposition<'_>, Refusal> {
    let unreadable = || wrong("a part's content-disposition can not be read");
    let (kind, mut rest) = value.split_once(';').ok_or_else(unreadable)?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return Err(unreadable());
    }
    let (mut name, mut is_file) = (None, false);
    loop {
        let (key, said) = rest.split_once('=').ok_or_else(unreadable)?;
        let (said, behind) = parameter(said.trim_start()).ok_or_else(unreadable)?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" if name.replace(said).is_some() => return Err(wrong("a part has two names")),
            "name*" => return Err(wrong("a part's name is coded")),
            "filename" | "filename*" => is_file = true,
            _ => {}
        }
        match behind.trim_start().strip_prefix(';') {
            Some(more) if !more.trim().is_empty() => rest = more,
            Some(_) => break,
            None if behind.trim().is_empty() => break,
            None => return Err(unreadable()),
        }
    }
    Ok(Disposition { name: name.ok_or_else(unreadable)?, is_file })
}

/// A parameter's value, and what stands behind it.
fn parameter(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, behind) = text.split_at_checked(text.find(';').unwrap_or(text.len()))?;
        return Some((Cow::Borrowed(value.trim_end()), behind));
    };
    let mut escaped = false;
    let end = quoted.char_indices().find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    let (inside, behind) = quoted.split_at_checked(end?.0)?;
    let value = if inside.contains('\\') { Cow::Owned(unescaped(inside)) } else { Cow::Borrowed(inside) };
    Some((value, behind.get(1..)?))
}

fn unescaped(text: &str) -> String {
    let mut escaped = false;
    let keep = |character: &char| {
        escaped = *character == '\\' && !escaped;
        !escaped
    };
    text.chars().filter(keep).collect()
}

fn wrong(what: &str) -> Refusal {
    Refusal::body(format!("the body is not a form as its content type says: {what}"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::verbatim::splice;

    const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n\0\x01--bx--b\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\ncontent-disposition:form-data;name=stream\r\n\r\ntrue\r\n--b--\r\n";

    #[test]
    fn a_boundary_is_read_out_of_a_content_type() {
        for (kind, found) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data;charset=utf-8;Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data; boundary=\"a;b\"", None),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data", None),
            ("multipart/mixed; boundary=a", None),
            ("application/json", None),
        ] {
            assert_eq!(boundary(kind), found, "{kind}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "a".repeat(71))), None);
    }

    #[test]
    fn the_model_is_found_wherever_it_stands_and_can_be_written_in_another_way() {
        let seen = peek(FORM.as_bytes(), "b", PathSays::default()).unwrap();
        assert_eq!((seen.model.of(b""), seen.stream), ("whisper-1", true));
        let body = Bytes::from_static(FORM.as_bytes());
        let renamed = splice(&body, &[set(&seen, "b", Field::Model, "tiny")]);
        assert_eq!(renamed, FORM.replace("whisper-1", "tiny").as_bytes());
        let without = FORM.replace("name=\"model\"", "name=\"other\"");
        assert!(peek(without.as_bytes(), "b", PathSays::default()).is_err());
        let path = PathSays { model: Some("m"), stream: None };
        let seen = peek(without.as_bytes(), "b", path).unwrap();
        let added = splice(&Bytes::from(without.clone()), &[set(&seen, "b", Field::Model, "tiny")]);
        let read = peek(&added, "b", PathSays::default()).unwrap();
        assert_eq!(read.model.of(b""), "tiny");
        assert!(added.ends_with(without.as_bytes()));
    }

    #[test]
    fn what_two_readers_could_take_in_two_ways_is_refused() {
        let field = |head: &str, text: &str| format!("--b\r\n{head}\r\n\r\n{text}\r\n");
        let model = field("Content-Disposition: form-data; name=\"model\"", "m");
        for (parts, said) in [
            (vec![model.clone(), model.clone()], "twice"),
            (vec![model.clone(), field("Content-Disposition: form-data; name=\"mo\\del\"", "n")], "twice"),
            (vec![model.clone(), field("content-disposition: form-data; NAME=model", "n")], "twice"),
            (vec![model.clone(), field("Content-Disposition: form-data; name*=utf-8''model", "n")], "coded"),
            (vec![field("Content-Disposition: form-data; name=\"model\"; name=\"x\"", "n")], "two names"),
            (vec![field("Content-Disposition: form-data; name=\"model\"; filename=\"x\"", "n")], "no file"),
            (vec![field("X: a\r\n b\r\nContent-Disposition: form-data; name=\"model\"", "n")], "folded"),
            (
                vec![field(
                    "Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64",
                    "bQ==",
                )],
                "coded",
            ),
            (
                vec![model.clone(), "\n--b\nContent-Disposition: form-data; name=\"model\"\n\nn\n".to_owned()],
                "half a line end",
            ),
            (vec![model.clone(), "--bx\r\n".to_owned()], "behind a boundary"),
            (vec![field("X: y", "n")], "no name"),
            (vec![field("Content-Disposition: form-data; name=\"model\"", "")], "empty"),
            (vec![field("Content-Disposition: form-data; name=\"model\"", &"m".repeat(2_000))], "short text"),
            (vec![model, field("Content-Disposition: form-data; name=\"stream\"", "yes")], "true or false"),
            (vec![field("Content-Disposition: form-data; name=\"a\"", "").repeat(600)], "too many parts"),
        ] {
            let form = parts.concat() + "--b--";
            let refused = peek(form.as_bytes(), "b", PathSays::default()).unwrap_err();
            assert!(refused.message.contains(said), "{said}: {}", refused.message);
        }
        for cut in 0..FORM.len() - 4 {
            assert!(peek(&FORM.as_bytes()[..cut], "b", PathSays::default()).is_err(), "{cut}");
        }
    }
}
