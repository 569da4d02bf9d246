//! The tokens of a call, counted by a provider or written by the gateway.

use bytes::Bytes;

use crate::bedrock_converse::{CountedCall, counted_call};
use crate::codec::{Encoded, ProviderProfile, Refusal};
use crate::dialect::Dialect;
use crate::hub::Call;
use crate::spoke::Habits;
use crate::token_count;

impl Dialect {
    /// The call that a caller wants the tokens of to be counted, and its dialect: at Bedrock it stands in an envelope, in Converse's words or in
    /// its vendor's own.
    ///
    /// # Errors
    /// There is none in it.
    pub fn counted_input(self, body: &Bytes) -> Result<(Self, Bytes), Refusal> {
        if self != Self::BedrockConverse {
            return Ok((self, body.clone()));
        }
        Ok(match counted_call(body)? {
            CountedCall::Conversed(call) => (self, call),
            CountedCall::Invoked(call) => (Self::BedrockInvoke, call),
        })
    }

    /// True if a provider counts the tokens of a call that came in another dialect.
    #[must_use]
    pub const fn counts_for_others(self) -> bool {
        self.spoke().encode_count.is_some()
    }

    /// Writes what a provider is sent that counts the tokens of a call.
    ///
    /// # Errors
    /// The call holds what the dialect has no word for, or such a provider is asked in its own words only.
    pub fn encode_count(self, call: &Call, profile: &ProviderProfile) -> Result<Encoded, Refusal> {
        let encode = self.spoke().encode_count;
        let encode = encode.ok_or_else(|| Refusal::body("this provider counts no tokens for another dialect"))?;
        let caller = call.extra.dialect.spoke();
        let told = self.told(call);
        encode(told.as_ref().unwrap_or(call), profile, caller.part_path)
            .map_err(|refusal| refusal.in_words(caller.words))
    }

    /// A count of tokens in the words of another dialect; `None`: there is none in the answer.
    #[must_use]
    pub fn count_for(self, body: &[u8], caller: Self) -> Option<Vec<u8>> {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        let tokens = token_count::of_value(value.get(self.habits().counted.1)?)?;
        Some(caller.count(tokens))
    }

    /// A count of tokens, written.
    #[must_use]
    pub fn count(self, tokens: u64) -> Vec<u8> {
        let Habits { counted: (_, name), count_object, .. } = self.habits();
        let object = count_object.map_or_else(String::new, |object| format!("\"object\":\"{object}\","));
        format!("{{{object}\"{name}\":{tokens}}}").into_bytes()
    }
}
