//! Bedrock's `CountTokens`, `POST /model/{model}/count-tokens`: the call whose tokens are to be counted stands in an envelope, in Converse's
//! words or in its vendor's own (docs.aws.amazon.com, "CountTokens" of the Bedrock runtime).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::anthropic_messages::is_counted;
use crate::codec::Refusal;
use crate::countable;
use crate::dialect::Dialect;
use crate::json::{Object, Path, ROOT};

const INPUT: Path<'static> = ROOT.field("input");

/// The call in such an envelope, and the dialect that it is in.
///
/// # Errors
/// There is none in it, or more than one.
pub fn counted_input(body: &[u8]) -> Result<(Dialect, Bytes), Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::body("the body is not UTF-8"))?;
    let mut input = Object::read_body(text)?.object("input", &ROOT)?.ok_or_else(|| INPUT.refuse("is missing"))?;
    input.one_of(&["converse", "invokeModel"], &INPUT)?;
    if let Some(call) = input.take("converse") {
        return Ok((Dialect::BedrockConverse, Bytes::copy_from_slice(call.get().as_bytes())));
    }
    let at = INPUT.field("invokeModel");
    let mut invoked = input
        .object("invokeModel", &INPUT)?
        .ok_or_else(|| INPUT.refuse("must hold `converse` or `invokeModel`: the call whose tokens are counted"))?;
    let coded = invoked.required("body", &at)?;
    let decoded = BASE64.decode(coded).map_err(|_| at.field("body").refuse("must be a request's body in base64"))?;
    // What InvokeModel takes, `max_tokens` above all, whoever counts refuses.
    Ok((
        Dialect::BedrockInvoke,
        countable::only(&decoded.into(), |name| is_counted(name) || name.starts_with("anthropic_")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_comes_out_of_its_envelope() {
        let (dialect, call) = counted_input(br#"{"input":{"converse":{"messages":[ ]},"invokeModel":null}}"#).unwrap();
        assert_eq!((dialect, &*call), (Dialect::BedrockConverse, &br#"{"messages":[ ]}"#[..]));
        let (dialect, call) =
            counted_input(br#"{"input":{"invokeModel":{"body":"eyJtZXNzYWdlcyI6MSwibWF4X3Rva2VucyI6OX0="}}}"#).unwrap();
        assert_eq!((dialect, &*call), (Dialect::BedrockInvoke, &br#"{"messages":1}"#[..]));
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
            let refused = counted_input(body.as_bytes()).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some(field), "{body}: {refused:?}");
        }
        assert!(counted_input(b"[").is_err() && counted_input(b"\xff").is_err());
    }
}
