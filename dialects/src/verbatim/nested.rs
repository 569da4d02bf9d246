//! Settings put into an object of settings: what stands there already stays as it was written.

use crate::scan;

/// A setting in an object of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedSetting {
    /// Its names; the first is the one that is written.
    pub names: &'static [&'static str],
    /// Its value, in JSON.
    pub value: String,
    /// True if it takes the place of one that stands there.
    pub replaces: bool,
}

/// The object with these settings; `None`: nothing is to be changed, or it is no object.
pub(super) fn put(object: &str, settings: &[NestedSetting]) -> Option<Vec<u8>> {
    let mut places = vec![Vec::new(); settings.len()];
    let mut empty = true;
    scan::members(object.as_bytes(), |name, value| {
        empty = false;
        let known = settings.iter().position(|one| one.names.iter().any(|known| known.as_bytes() == name));
        if let Some(place) = known.and_then(|known| places.get_mut(known)) {
            place.push(value);
        }
    })
    .ok()?;
    let mut text = object.to_owned();
    let mut added = Vec::new();
    let mut written = Vec::new();
    for (setting, places) in settings.iter().zip(places) {
        if places.is_empty() {
            added.push(format!("\"{}\":{}", setting.names.first()?, setting.value));
        }
        // It may stand there by several of its names.
        let is_replaced =
            |place: &std::ops::Range<usize>| setting.replaces || object.get(place.clone()) == Some("null");
        written.extend(places.into_iter().filter(is_replaced).map(|place| (place, &setting.value)));
    }
    let changed = !written.is_empty();
    // From the end, so that places stay what they are.
    written.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    for (place, value) in written {
        text.replace_range(place, value);
    }
    if !added.is_empty() {
        let open = text.find('{')? + 1;
        let comma = if empty { "" } else { "," };
        text.insert_str(open, &format!("{}{comma}", added.join(",")));
    } else if !changed {
        return None;
    }
    Some(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_put_where_they_are_missing_and_replaced_where_they_must_be() {
        let most =
            |replaces| NestedSetting { names: &["maxOutputTokens", "max_output_tokens"], value: "7".into(), replaces };
        let degree = NestedSetting { names: &["temperature"], value: "0.5".into(), replaces: false };
        for (given, settings, made) in [
            ("{}", vec![most(false)], Some(r#"{"maxOutputTokens":7}"#)),
            (
                r#"{ "topK":1.0}"#,
                vec![most(false), degree.clone()],
                Some(r#"{"maxOutputTokens":7,"temperature":0.5, "topK":1.0}"#),
            ),
            (r#"{"temperature":1e0 }"#, vec![degree.clone()], None),
            (r#"{"temperature":null,"x":[]}"#, vec![degree.clone()], Some(r#"{"temperature":0.5,"x":[]}"#)),
            (
                r#"{"max_output_tokens":900,"temperature":1}"#,
                vec![most(true), degree.clone()],
                Some(r#"{"max_output_tokens":7,"temperature":1}"#),
            ),
            (
                r#"{"max_output_tokens":900,"maxOutputTokens":8}"#,
                vec![most(true)],
                Some(r#"{"max_output_tokens":7,"maxOutputTokens":7}"#),
            ),
            ("[]", vec![degree], None),
        ] {
            let put = put(given, &settings).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(put.as_deref(), made, "{given}");
        }
    }
}
