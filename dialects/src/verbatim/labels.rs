//! A consumer's labels in the vendors' own fields, by which their bills and logs are split.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::fields::names;
use super::splice::{Edit, splice};

/// The header of Bedrock's `InvokeModel` that holds them, as a JSON object of texts.
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>
pub const REQUEST_METADATA_HEADER: &str = "x-amzn-bedrock-request-metadata";

/// The place that a vendor has for labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelPlace {
    /// `labels` of a body to Vertex AI.
    /// <https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/add-labels-to-api-calls>
    Labels,
    /// `requestMetadata` of a body to Bedrock's Converse.
    /// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>
    RequestMetadata,
    /// [`REQUEST_METADATA_HEADER`].
    RequestMetadataHeader,
}

/// Labels as vendors spell them, made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorLabels {
    google: Map<String, Value>,
    amazon: Map<String, Value>,
}

/// The most labels and the longest name or value, in characters, at Google and at Amazon.
const OF_GOOGLE: (usize, usize) = (64, 63);
const OF_AMAZON: (usize, usize) = (16, 256);

/// One character as Google's labels may have it.
fn of_google(given: char) -> char {
    let lower = given.to_ascii_lowercase();
    if lower.is_ascii_lowercase() || lower.is_ascii_digit() || lower == '-' { lower } else { '_' }
}

/// One character as Amazon's metadata may have it.
fn of_amazon(given: char) -> char {
    if given.is_ascii_alphanumeric() || " ._:/=+$@-".contains(given) { given } else { '_' }
}

fn spelled(text: &str, spell: fn(char) -> char, longest: usize) -> String {
    text.chars().take(longest).map(spell).collect()
}

impl VendorLabels {
    /// Those of names and values. Characters that a vendor does not take become `_`, and what is too long is cut.
    #[must_use]
    pub fn of(labels: &[(String, String)]) -> Self {
        let spell = |(most, longest), by: fn(char) -> char| {
            let spelled = |text: &str| spelled(text, by, longest);
            labels.iter().take(most).map(|(name, value)| (spelled(name), Value::String(spelled(value)))).collect()
        };
        let mut google: Map<String, Value> = spell(OF_GOOGLE, of_google);
        // A name there begins with a letter.
        google.retain(|name, _| name.starts_with(|first: char| first.is_ascii_lowercase()));
        let mut amazon: Map<String, Value> = spell(OF_AMAZON, of_amazon);
        // No value there is empty.
        amazon.retain(|_, value| value.as_str() != Some(""));
        Self { google, amazon }
    }

    /// The header's value, for [`LabelPlace::RequestMetadataHeader`].
    #[must_use]
    pub fn header(&self) -> String {
        Value::Object(self.amazon.clone()).to_string()
    }

    /// The body with them. What a caller says there under another name stays, as far as the vendor takes so many; a field that is no
    /// object is the vendor's to refuse.
    #[must_use]
    pub fn put(&self, body: &Bytes, place: LabelPlace) -> Bytes {
        let (field, own, most) = match place {
            LabelPlace::Labels => ("labels", &self.google, OF_GOOGLE.0),
            LabelPlace::RequestMetadata => ("requestMetadata", &self.amazon, OF_AMAZON.0),
            LabelPlace::RequestMetadataHeader => return body.clone(),
        };
        if own.is_empty() {
            return body.clone();
        }
        let top = names(body);
        let Some((.., span)) = top.iter().find(|(name, ..)| name == field) else {
            let Some(open) = body.iter().position(|byte| *byte == b'{') else { return body.clone() };
            let comma = if top.is_empty() { "" } else { "," };
            let text = format!("\"{field}\":{}{comma}", Value::Object(own.clone()));
            return splice(body, &[Edit::write(open + 1..open + 1, text)]);
        };
        let theirs = body.get(span.clone()).and_then(|text| serde_json::from_slice(text).ok());
        let mut all = own.clone();
        match theirs {
            Some(Value::Object(theirs)) => {
                let others = theirs.into_iter().filter(|(name, _)| !own.contains_key(name));
                all.extend(others.take(most.saturating_sub(own.len())));
            }
            Some(Value::Null) => {}
            _ => return body.clone(),
        }
        splice(body, &[Edit::write(span.clone(), Value::Object(all).to_string())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(given: &[(&str, &str)]) -> VendorLabels {
        let owned: Vec<(String, String)> =
            given.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        VendorLabels::of(&owned)
    }

    #[test]
    fn labels_are_spelled_as_their_vendor_takes_them() {
        let own = labels(&[("cost-center", "4711"), ("acme.com/Team", "R&D, Zürich"), ("1st", ""), ("empty", "")]);
        let google = r#"{"labels":{"cost-center":"4711","acme_com_team":"r_d__z_rich","empty":""},"x":1}"#;
        assert_eq!(own.put(&Bytes::from_static(br#"{"x":1}"#), LabelPlace::Labels), google.as_bytes());
        assert_eq!(own.header(), r#"{"cost-center":"4711","acme.com/Team":"R_D_ Z_rich"}"#);
        let long = labels(&[("a", &"v".repeat(300))]);
        assert_eq!(long.header().len(), r#"{"a":""}"#.len() + 256);
        assert_eq!(long.put(&Bytes::from_static(b"{}"), LabelPlace::Labels).len(), r#"{"labels":{"a":""}}"#.len() + 63);
    }

    #[test]
    fn the_callers_own_stay_beside_them_and_never_in_their_place() {
        let own = labels(&[("team", "red")]);
        for (given, made) in [
            (
                r#"{"x":1.50,"requestMetadata":{"team":"blue","run":"7"}}"#,
                r#"{"x":1.50,"requestMetadata":{"team":"red","run":"7"}}"#,
            ),
            (r#"{"requestMetadata":null}"#, r#"{"requestMetadata":{"team":"red"}}"#),
            (r#"{"requestMetadata":[1]}"#, r#"{"requestMetadata":[1]}"#),
            ("{}", r#"{"requestMetadata":{"team":"red"}}"#),
        ] {
            let put = own.put(&Bytes::from_static(given.as_bytes()), LabelPlace::RequestMetadata);
            assert_eq!(put, made.as_bytes(), "{given}");
        }
        let many: Map<String, Value> = (0..20).map(|at| (format!("k{at}"), Value::from("v"))).collect();
        let body = Bytes::from(format!(r#"{{"requestMetadata":{}}}"#, Value::Object(many)));
        let put: Value = serde_json::from_slice(&own.put(&body, LabelPlace::RequestMetadata)).unwrap();
        assert_eq!(put["requestMetadata"].as_object().unwrap().len(), 16);
        assert_eq!(put["requestMetadata"]["team"], "red");
        assert_eq!(labels(&[]).put(&body, LabelPlace::RequestMetadata), body);
        assert_eq!(own.put(&body, LabelPlace::RequestMetadataHeader), body);
    }
}
