//! Counts of tokens that one dialect asks for and another makes.

use crate::codec::ProviderProfile;
use crate::dialect::Dialect;

#[test]
fn a_call_that_is_only_counted_need_not_say_how_long_its_answer_may_be() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    let anthropic = Dialect::AnthropicMessages;
    assert!(anthropic.decode_call(body).is_err());
    let call = anthropic.decode_counted(body).unwrap();
    let asked = Dialect::Gemini.encode_count(&call, &ProviderProfile::default()).unwrap();
    let expected = r#"{"generateContentRequest":{"model":"models/m","contents":[{"role":"user","parts":[{"text":"x"}]}],"generationConfig":{}}}"#;
    assert_eq!(String::from_utf8(asked.body).unwrap(), expected);
    let told = Dialect::Gemini.count_for(br#"{"totalTokens":7}"#, anthropic);
    assert_eq!(told.unwrap(), br#"{"input_tokens":7}"#);
}
