//! Places of parts in a body that passes: where something stands that is to be changed, so that everything else stays as it came.

use std::ops::Range;

use crate::scan;

/// The place of an object's member; `None`: it has none of that name, or is no object.
pub(crate) fn member(body: &[u8], object: Range<usize>, wanted: &[u8]) -> Option<Range<usize>> {
    let json = body.get(object.clone())?;
    let mut found = None;
    scan::members(json, |name, value| {
        if name == wanted {
            found = Some(object.start + value.start..object.start + value.end);
        }
    })
    .ok()?;
    found
}

/// The text of a member, where it is one without escapes: marks have none.
pub(crate) fn text<'a>(body: &'a [u8], object: Range<usize>, name: &[u8]) -> Option<&'a str> {
    let json = body.get(member(body, object, name)?)?;
    std::str::from_utf8(json).ok()?.strip_prefix('"')?.strip_suffix('"')
}

/// The places of the objects in a list.
pub(crate) fn elements(body: &[u8], list: Range<usize>) -> Vec<Range<usize>> {
    let json = body.get(list).and_then(|json| serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(json).ok());
    let place = |element: &serde_json::value::RawValue| {
        let start = (element.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        start..start + element.get().len()
    };
    json.unwrap_or_default().into_iter().map(place).collect()
}
