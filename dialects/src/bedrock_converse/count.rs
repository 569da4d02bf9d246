//! Bedrock's `CountTokens`, `POST /model/{model}/count-tokens`: the call whose tokens are to be counted stands in an envelope, in Converse's
//! words or in its vendor's own (docs.aws.amazon.com, "CountTokens" of the Bedrock runtime).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::anthropic_messages::is_counted;
use crate::codec::Refusal;
use crate::countable;
use crate::json::{Object, Path, ROOT};

const INPUT: Path<'static> = ROOT.field("input");

/// The call in such an envelope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CountedCall {
    /// In Converse's words.
    Conversed(Bytes),
    /// In those of its vendor.
    Invoked(Bytes),
}

/// Takes the call out. Errors: there is none, or more than one.
pub(crate) fn counted_call(body: &[u8]) -> Result<CountedCall, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::body("the body is not UTF-8"))?;
    let mut input = Object::read_body(text)?.object("input", &ROOT)?.ok_or_else(|| INPUT.refuse("is missing"))?;
    input.one_of(&["converse", "invokeModel"], &INPUT)?;
    if let Some(call) = input.take("converse") {
        return Ok(CountedCall::Conversed(Bytes::copy_from_slice(call.get().as_bytes())));
    }
    let at = INPUT.field("invokeModel");
    let mut invoked = input
        .object("invokeModel", &INPUT)?
        .ok_or_else(|| INPUT.refuse("must hold `converse` or `invokeModel`: the call whose tokens are counted"))?;
    let coded = invoked.required("body", &at)?;
    let decoded = BASE64.decode(coded).map_err(|_| at.field("body").refuse("must be a request's body in base64"))?;
    // What InvokeModel takes, `max_tokens` above all, whoever counts refuses.
    Ok(CountedCall::Invoked(countable::only(&decoded.into(), |name| {
        is_counted(name) || name.starts_with("anthropic_")
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_comes_out_of_its_envelope() {
        let call = counted_call(br#"{"input":{"converse":{"messages":[ ]},"invokeModel":null}}"#).unwrap();
        assert_eq!(call, CountedCall::Conversed(Bytes::from_static(br#"{"messages":[ ]}"#)));
        let call =
            counted_call(br#"{"input":{"invokeModel":{"body":"eyJtZXNzYWdlcyI6MSwibWF4X3Rva2VucyI6OX0="}}}"#).unwrap();
        assert_eq!(call, CountedCall::Invoked(Bytes::from_static(br#"{"messages":1}"#)));
    }

    #[test]
    fn an_envelope_without_one_call_is_refused_by_its_field() {
        for (body, field) in [
            ("{}", "input"),
            (r#"{"input":null}"#, "input"),
            (r#"{"input":{}}"#, "input"),
            (r#"{"input":{"converse":{},"invokeModel":{}}}"#, "input"),
            (r#"{"input":{"invokeModel":{}}}"#, "input.invokeModel.body"),
            (r#"{"input":{"invokeModel":{"body":"?"}}}"#, "input.invokeModel.body"),
            (r#"{"input":[]}"#, "input"),
        ] {
            let refused = counted_call(body.as_bytes()).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some(field), "{body}: {refused:?}");
        }
        assert!(counted_call(b"[").is_err() && counted_call(b"\xff").is_err());
    }
}
