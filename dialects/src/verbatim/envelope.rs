//! The envelopes of Anthropic's bodies: each of their hosts says the model, the stream, the version and the betas elsewhere; all
//! else is the same, and stays as it was.

use bytes::Bytes;

use super::fields::names;
use super::splice::{Edit, EditKind, splice};
use crate::codec::{Refusal, no_threads};

/// A host's envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// Anthropic's own: model and stream in the body, version and betas in headers.
    Plain,
    /// Amazon Bedrock's: model and stream in the path, version and betas in the body.
    Bedrock,
    /// Google Vertex AI's: the model in the path, the version in the body, the betas in headers.
    Vertex,
}

/// The words that an envelope says of a call.
#[derive(Debug, Clone, Copy)]
pub struct Enveloped<'a> {
    /// The model, by its host's name.
    pub model: &'a str,
    /// True if the answer is to be a stream.
    pub stream: bool,
    /// The betas of the caller's headers.
    pub betas: &'a [String],
}

/// The fields that belong to an envelope and not to what is in it.
const OF_ENVELOPES: [&str; 4] = ["model", "stream", "anthropic_version", "anthropic_beta"];

/// Puts what is in one envelope into another; in the same one it stays as it is, to the byte.
#[must_use]
pub fn rewrap(body: &Bytes, (from, to): (Envelope, Envelope), said: Enveloped<'_>) -> Bytes {
    if from == to {
        return body.clone();
    }
    let members = names(body);
    let (own, others): (Vec<_>, Vec<_>) = members.iter().partition(|(name, ..)| OF_ENVELOPES.contains(&name.as_str()));
    let mut added = words(to, said).join(",");
    if !others.is_empty() && !added.is_empty() {
        added.push(',');
    }
    let open = body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
    let mut edits = vec![Edit { span: open..open, kind: EditKind::Write(added.into_bytes()) }];
    edits.extend(own.iter().map(|(_, name, value)| Edit { span: name.start..value.end, kind: EditKind::RemoveMember }));
    splice(body, &edits)
}

/// Refuses a conversation of which Anthropic holds what came before, for another host of its models: those hold none, and would
/// say so in words upon which SDKs that try it first give up.
///
/// Errors: the body has a `thread`.
pub fn refuse_threads(body: &[u8]) -> Result<(), Refusal> {
    let thread = names(body).into_iter().find(|(name, ..)| name == "thread");
    match thread.and_then(|(_, _, value)| body.get(value)) {
        None | Some(b"null") => Ok(()),
        Some(_) => Err(no_threads()),
    }
}

/// The betas that a body says in its envelope.
#[must_use]
pub fn betas(body: &[u8]) -> Vec<String> {
    let found = names(body).into_iter().find(|(name, ..)| name == "anthropic_beta");
    let list = found.and_then(|(_, _, value)| serde_json::from_slice::<Vec<String>>(body.get(value)?).ok());
    list.unwrap_or_default()
}

fn words(to: Envelope, said: Enveloped<'_>) -> Vec<String> {
    let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let stream = said.stream.then(|| "\"stream\":true".to_owned());
    match to {
        Envelope::Plain => std::iter::once(format!("\"model\":{}", text(said.model))).chain(stream).collect(),
        Envelope::Vertex => {
            std::iter::once("\"anthropic_version\":\"vertex-2023-10-16\"".to_owned()).chain(stream).collect()
        }
        Envelope::Bedrock => {
            let betas = said.betas.iter().map(|beta| text(beta)).collect::<Vec<_>>().join(",");
            let betas = (!betas.is_empty()).then(|| format!("\"anthropic_beta\":[{betas}]"));
            std::iter::once("\"anthropic_version\":\"bedrock-2023-05-31\"".to_owned()).chain(betas).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_an_envelope_stays_as_it_was() {
        let (plain, bedrock, vertex) = (Envelope::Plain, Envelope::Bedrock, Envelope::Vertex);
        let betas = ["a-1".to_owned(), "b-2".to_owned()];
        for (from, to, stream, given, made) in [
            (
                plain,
                bedrock,
                true,
                r#"{ "model":"m", "messages" :[ 1.50e2 ], "stream": true}"#,
                r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a-1","b-2"],  "messages" :[ 1.50e2 ]}"#,
            ),
            (
                bedrock,
                plain,
                true,
                r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["x"],"messages":[]}"#,
                r#"{"model":"m","stream":true,"messages":[]}"#,
            ),
            (
                plain,
                vertex,
                false,
                r#"{"messages":[],"model":"x"}"#,
                r#"{"anthropic_version":"vertex-2023-10-16","messages":[]}"#,
            ),
            (
                vertex,
                bedrock,
                false,
                r#"{"stream":false,"a":1}"#,
                r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a-1","b-2"],"a":1}"#,
            ),
            (bedrock, bedrock, true, r#"{"anthropic_version" : "new"}"#, r#"{"anthropic_version" : "new"}"#),
            (plain, vertex, true, r#"{"model":"m"}"#, r#"{"anthropic_version":"vertex-2023-10-16","stream":true}"#),
        ] {
            let said = Enveloped { model: "m", stream, betas: &betas };
            let body = rewrap(&Bytes::copy_from_slice(given.as_bytes()), (from, to), said);
            assert_eq!(String::from_utf8_lossy(&body), made);
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
        for (body, refused) in [
            (&br#"{"thread":{"type":"create"}}"#[..], true),
            (br#"{"thread" : null}"#, false),
            (br#"{"messages":[{"thread":1}]}"#, false),
        ] {
            assert_eq!(refuse_threads(body).is_err(), refused, "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(super::betas(br#"{"anthropic_beta":["x","y"]}"#), ["x", "y"]);
        assert!(super::betas(br#"{"anthropic_beta":"x"}"#).is_empty());
    }
}
