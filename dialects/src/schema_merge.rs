//! Two JSON schemas made one.

use serde_json::{Map, Value};

/// Adds what one of `allOf` says; what is said already stays.
pub(crate) fn merge(schema: &mut Map<String, Value>, part: Value) {
    let Value::Object(part) = part else { return };
    for (name, value) in part {
        match (schema.get_mut(&name), value) {
            (Some(Value::Object(members)), Value::Object(more)) => {
                for (name, value) in more {
                    members.entry(name).or_insert(value);
                }
            }
            (Some(Value::Array(list)), Value::Array(more)) if name == "required" => list.extend(more),
            (Some(_), _) => {}
            (None, value) => drop(schema.insert(name, value)),
        }
    }
}
