//! Fields that an object has lost without having been changed: a CustomResourceDefinition that does not know them took its place, such as
//! one of an older release. The API server leaves them out then, in silence, and who may call and how much would be forgotten with them.

use serde_json::Value;

/// The fields that one generation of an object has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenFields {
    /// Its spec while it had them, as JSON.
    pub(super) whole: Box<str>,
    /// Their paths, such as `spec.access`; the first of them, where there are many.
    pub paths: Vec<String>,
}

/// So many fields are named.
const MOST: usize = 8;

/// The spec of one generation, as it was and as it is, each as JSON: the fields that are there no longer.
pub(super) fn taken(before: &str, now: &str) -> Vec<String> {
    let read = |text| serde_json::from_str::<Value>(text).ok();
    let mut fields = Vec::new();
    if let Some((before, now)) = read(before).zip(read(now)) {
        compare(&before, &now, "spec", &mut fields);
    }
    fields
}

fn compare(before: &Value, now: &Value, path: &str, fields: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (name, value) in before {
                let path = format!("{path}.{name}");
                match now.get(name) {
                    Some(still) => compare(value, still, &path, fields),
                    None if fields.len() < MOST => fields.push(path),
                    None => return,
                }
            }
        }
        // An element is never taken out by itself.
        (Value::Array(before), Value::Array(now)) => {
            for (index, (value, still)) in before.iter().zip(now).enumerate() {
                compare(value, still, &format!("{path}[{index}]"), fields);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_gone_are_named_and_those_that_came_are_not() {
        let before = r#"{"access":{"from":"Known"},"rules":[{"name":"a","limits":{"rate":[]}},{"name":"b"}]}"#;
        for (now, fields) in [
            (before, &[][..]),
            (r#"{"rules":[{"name":"a"},{"name":"b"}]}"#, &["spec.access", "spec.rules[0].limits"]),
            (r#"{"access":{"from":"Known","new":1},"rules":[{"name":"a","limits":{"rate":[]}},{"name":"b"}]}"#, &[]),
            (r#"{"access":{},"rules":[]}"#, &["spec.access.from"]),
            ("null", &[]),
        ] {
            assert_eq!(taken(before, now), fields, "{now}");
        }
        let many: String = (0..40).map(|n| format!(r#""f{n}":1,"#)).collect();
        assert_eq!(taken(&format!(r#"{{{many}"x":1}}"#), "{}").len(), MOST);
    }
}
