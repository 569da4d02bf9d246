//! Forms: what is found in one stands there, a name that is written is read again, and every other byte stays.

use bytes::Bytes;

use super::ground::shown;
use crate::form::{boundary, is_form, peek, set};
use crate::verbatim::{Field, PathSays, splice};

/// The target. The first line is taken for the content type, and what the form begins with for its boundary.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if let Some(found) = std::str::from_utf8(line).ok().and_then(boundary) {
        assert!(is_form(line) && !found.is_empty() && found.len() <= 70, "{found}");
        holds(data, found);
    }
    let own = line.strip_prefix(b"--").map(<[u8]>::trim_ascii_end).and_then(|own| std::str::from_utf8(own).ok());
    holds(data, own.unwrap_or("x"));
}

fn holds(body: &[u8], boundary: &str) {
    let Ok(found) = peek(body, boundary, PathSays::default()) else { return };
    let model = found.model.of(body);
    assert!(!model.is_empty() && model.len() <= 1 << 10);
    let whole = Bytes::copy_from_slice(body);
    let written = splice(&whole, &[set(&found, boundary, Field::Model, "another one")]);
    let again = peek(&written, boundary, PathSays::default());
    let again = again.unwrap_or_else(|refusal| panic!("{refusal}: {}", shown(&written)));
    assert_eq!((again.model.of(&written), again.stream), ("another one", found.stream), "{}", shown(&written));
    let back = splice(&written, &[set(&again, boundary, Field::Model, model)]);
    assert_eq!(shown(&back), shown(body), "nothing else has changed");
    // Where the path says the model, one is added.
    let says = PathSays { model: Some("of the path"), ..PathSays::default() };
    if let Ok(found) = peek(body, boundary, says) {
        assert_eq!(found.model.of(body), "of the path");
    }
}
