//! Edits of a body by byte span: every other byte stays.

use std::ops::Range;

use bytes::Bytes;

/// A replacement of bytes in a body; made by `Peek`, for the body it looked at and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub(super) span: Range<usize>,
    pub(super) kind: EditKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EditKind {
    Write(Vec<u8>),
    /// Removes the member and the one comma that goes with it.
    RemoveMember,
}

impl Edit {
    /// Writes other bytes in the place of these.
    #[must_use]
    pub fn write(span: Range<usize>, text: impl Into<Vec<u8>>) -> Self {
        Self { span, kind: EditKind::Write(text.into()) }
    }

    /// Removes a member, name and all, or an element of a list.
    pub(crate) const fn remove(span: Range<usize>) -> Self {
        Self { span, kind: EditKind::RemoveMember }
    }

    /// True if it removes.
    pub(crate) const fn removes(&self) -> bool {
        matches!(self.kind, EditKind::RemoveMember)
    }
}

/// Replaces, inserts and removes by span; every other byte stays. Without edits the body itself is given back,
/// uncopied. Edits that do not fit the body are left out.
#[must_use]
pub fn splice(body: &Bytes, edits: &[Edit]) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    let mut edits: Vec<&Edit> = edits.iter().collect();
    // An insertion goes before a removal at the same place.
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let grown: usize =
        edits.iter().map(|edit| if let EditKind::Write(text) = &edit.kind { text.len() } else { 0 }).sum();
    let mut out = Vec::with_capacity(body.len() + grown);
    let mut at = 0;
    for edit in edits {
        let Some(kept) = body.get(at..edit.span.start) else { continue };
        out.extend_from_slice(kept);
        at = edit.span.end;
        match &edit.kind {
            EditKind::Write(text) => out.extend_from_slice(text),
            EditKind::RemoveMember => {
                let rest = body.get(at..).unwrap_or_default();
                let next = rest.trim_ascii_start();
                if next.first() == Some(&b',') {
                    at += rest.len() - next.len() + 1;
                } else {
                    // The last member: the comma before it, already written, goes with it.
                    out.truncate(out.trim_ascii_end().len());
                    if out.last() == Some(&b',') {
                        out.pop();
                    }
                }
            }
        }
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out.into()
}
