//! A form as a vendor reads it (RFC 7578), once it is here whole.

use memchr::memmem;
use serde_json::{Map, Value};

use crate::fault::{Checked, Fault};

/// The parts of a form.
#[derive(Debug, Default)]
pub(super) struct FormParts {
    pub(super) fields: Map<String, Value>,
    pub(super) files: Vec<File>,
}

/// A file of a form.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) field: String,
    pub(crate) name: String,
    pub(crate) bytes: usize,
    pub(crate) content: Vec<u8>,
}

/// The boundary that a content type says; `None`: it is no form's.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    let said = parameters.split_once("boundary=")?.1;
    let boundary = said.split(';').next().unwrap_or_default().trim().trim_matches('"');
    kind.trim().eq_ignore_ascii_case("multipart/form-data").then_some(boundary)
}

/// Reads its parts.
pub(super) fn read(boundary: &str, body: &[u8]) -> Checked<FormParts> {
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has no line before it.
    let whole = [b"\r\n", body].concat();
    let places: Vec<usize> = memmem::find_iter(&whole, delimiter.as_bytes()).collect();
    let mut request = FormParts::default();
    for pair in places.windows(2) {
        let [start, end] = pair else { continue };
        let part = whole.get(start + delimiter.len() + 2..*end).unwrap_or_default();
        let head = memmem::find(part, b"\r\n\r\n").ok_or_else(broken)?;
        let (head, content) = (part.get(..head).unwrap_or_default(), part.get(head + 4..).unwrap_or_default());
        let head = String::from_utf8_lossy(head);
        let said = |word: &str| {
            let rest = head.split_once(&format!("; {word}=\""))?.1;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let name = said("name").ok_or_else(broken)?;
        match said("filename") {
            Some(file) => {
                request.files.push(File { field: name, name: file, bytes: content.len(), content: content.to_vec() });
            }
            None => {
                let text = Value::String(String::from_utf8_lossy(content).into_owned());
                request.fields.insert(name, text);
            }
        }
    }
    let is_closed =
        places.last().is_some_and(|at| whole.get(at + delimiter.len()..).is_some_and(|end| end.starts_with(b"--")));
    if is_closed { Ok(request) } else { Err(broken()) }
}

fn broken() -> Box<Fault> {
    Fault::new(400, "Could not parse multipart form")
}
