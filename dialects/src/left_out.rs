//! The list, for people, of what a request's writer leaves out by rule.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::hub::Fields;

/// The members of an object beside those `known`: what a field says that is only partly carried.
pub(crate) fn beside(raw: &RawValue, known: &[&str]) -> Vec<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    members.into_keys().filter(|name| !known.contains(&name.as_str())).collect()
}

/// The names of what a request's writer leaves out by rule: each once, and no more than people read.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(Vec<String>);

impl LeftOut {
    const MOST: usize = 32;

    /// Notes a field.
    pub(crate) fn add(&mut self, path: impl std::fmt::Display) {
        if self.0.len() < Self::MOST {
            let path = path.to_string();
            if !self.0.contains(&path) {
                self.0.push(path);
            }
        }
    }

    /// Notes fields of an owner that only the caller's dialect has words for.
    pub(crate) fn add_fields(&mut self, owner: impl std::fmt::Display, fields: &Fields) {
        fields.keys().take(Self::MOST).for_each(|name| self.add(format_args!("{owner}.{name}")));
    }

    /// The names, in the order in which they were noted.
    pub(crate) fn into_names(self) -> Vec<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_beside_those_that_are_carried_are_named() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let config = raw(r#"{"effort":"low","task_budget":{"total":1},"format":null}"#);
        assert_eq!(beside(&config, &["effort", "format"]), ["task_budget"]);
        assert!(beside(&raw("[1]"), &[]).is_empty());
    }

    #[test]
    fn what_is_left_out_is_named_once_and_bounded() {
        let mut left_out = LeftOut::default();
        let raw = || serde_json::value::RawValue::from_string("1".into()).unwrap();
        let fields: Fields = (0..100).map(|number| (format!("f{number:03}"), raw())).collect();
        left_out.add("n");
        left_out.add(format_args!("{}", "n"));
        left_out.add_fields("messages[0]", &fields);
        let names = left_out.into_names();
        assert_eq!((names.len(), names[0].as_str()), (LeftOut::MOST, "n"));
        assert!(names[1..].iter().all(|name| name.starts_with("messages[0].f")));
    }
}
