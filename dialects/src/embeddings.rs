//! Vectors of texts between dialects: the part of a spoke that reads and writes them, and what is left out on the way.

use crate::codec::{Encoded, Malformed, Refusal};
use crate::estimate;
use crate::hub::{Raw, Usage};
use crate::json_places::member;
use crate::left_out::LeftOut;
use serde_json::value::RawValue;

/// A call for vectors.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingCall {
    /// The texts, one vector each.
    pub(crate) inputs: Vec<String>,
    /// The length that the vectors are to have; `None`: as long as the model makes them.
    pub(crate) dimensions: Option<u64>,
    /// Fields of the call that only its own dialect has words for, by name.
    pub(crate) beside: Vec<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingReply {
    /// Its id; empty where the provider says none and nobody has named it yet.
    pub(crate) id: String,
    /// The model that answered, where it is said.
    pub(crate) model: Option<String>,
    /// The vectors, each as the list of numbers that it was written as.
    pub(crate) vectors: Vec<Raw>,
    /// The tokens used, where it is said.
    pub(crate) usage: Option<Usage>,
}

/// The part of a dialect's folder that is for vectors.
pub(crate) struct Embeddings {
    /// The field of the texts.
    pub(crate) texts: &'static str,
    /// The most texts that its vendor takes in one call.
    pub(crate) most: usize,
    /// A caller's call. Errors: it is not what the dialect allows, or only its own vendor can read it.
    pub(crate) decode_call: fn(&[u8]) -> Result<EmbeddingCall, Refusal>,
    /// A provider's call; the model is the provider's own.
    pub(crate) encode_call: fn(&EmbeddingCall, &str) -> Vec<u8>,
    /// An answer. Errors: it is none.
    pub(crate) decode_reply: fn(&[u8]) -> Result<EmbeddingReply, Malformed>,
    /// An answer, written for who sent this body; what was used is known or estimated.
    pub(crate) encode_reply: fn(&EmbeddingReply, &[u8], Usage) -> Vec<u8>,
}

/// An answer in a caller's words.
#[derive(Debug)]
pub struct EmbeddingAnswer {
    /// The body.
    pub body: Vec<u8>,
    /// The model that answered, where the provider says it.
    pub model: Option<String>,
    /// The tokens used, where the provider says it.
    pub usage: Option<Usage>,
}

/// A call in a provider's words.
pub(crate) fn call(from: &Embeddings, to: &Embeddings, body: &[u8], model: &str) -> Result<Encoded, Refusal> {
    let call = (from.decode_call)(body)?;
    if call.inputs.len() > to.most {
        let what = format_args!(
            "this provider takes at most {} texts in one call, and these are {}",
            to.most,
            call.inputs.len()
        );
        return Err(Refusal::field(from.texts, what));
    }
    let body = (to.encode_call)(&call, model);
    let mut dropped = LeftOut::default();
    call.beside.iter().for_each(|name| dropped.add(name));
    Ok(Encoded { body, dropped: dropped.into_names(), headers: Vec::new(), clamped: None })
}

/// An answer in the caller's words; one without an id is told by the call's.
pub(crate) fn answer(
    from: &Embeddings,
    to: &Embeddings,
    body: &[u8],
    (asked, call_id): (&[u8], &str),
) -> Result<EmbeddingAnswer, Malformed> {
    let mut reply = (from.decode_reply)(body)?;
    all_are_there(&reply, to, asked)?;
    if reply.id.is_empty() {
        call_id.clone_into(&mut reply.id);
    }
    let known = reply.usage.unwrap_or_else(|| estimated(asked));
    let body = (to.encode_reply)(&reply, asked, known);
    Ok(EmbeddingAnswer { body, model: reply.model, usage: reply.usage })
}

/// Checks an answer that passes as it came to who sent this body. Errors: it has not a vector for each text.
pub(crate) fn is_whole(own: &Embeddings, body: &[u8], asked: &[u8]) -> Result<(), Malformed> {
    // Forms that only the vendor has are none of its numbers.
    (own.decode_reply)(body).map_or(Ok(()), |reply| all_are_there(&reply, own, asked))
}

/// Each vector is known by its place: where one is missing, all behind it are another text's.
fn all_are_there(reply: &EmbeddingReply, to: &Embeddings, asked: &[u8]) -> Result<(), Malformed> {
    let given = reply.vectors.len();
    match texts(to, asked) {
        Some(texts) if given < texts => {
            Err(Malformed::new(format!("the provider's answer holds {given} vectors for {texts} texts")))
        }
        _ => Ok(()),
    }
}

/// The number of texts in a call; `None`: it says none in a way that is known here.
fn texts(own: &Embeddings, asked: &[u8]) -> Option<usize> {
    let given = asked.get(member(asked, 0..asked.len(), own.texts.as_bytes())?)?;
    let Some(list) = given.strip_prefix(b"[") else { return given.starts_with(b"\"").then_some(1) };
    // Numbers are the tokens of one text.
    if list.trim_ascii_start().first().is_some_and(u8::is_ascii_digit) {
        return Some(1);
    }
    serde_json::from_slice::<Vec<&RawValue>>(given).ok().map(|list| list.len())
}

/// The tokens that a call for vectors uses, by its texts.
pub(crate) fn estimated(asked: &[u8]) -> Usage {
    const TEXTS: [&str; 4] = ["input", "content", "requests", "texts"];
    let input = estimate::tokens_of_messages(asked, &TEXTS).unwrap_or(0);
    Usage { input, ..Usage::default() }
}

#[cfg(test)]
mod tests {
    use crate::dialect::Dialect;

    fn texts(count: usize) -> String {
        let texts = vec!["\"a\""; count].join(",");
        format!(r#"{{"model":"m","input":[{texts}]}}"#)
    }

    #[test]
    fn more_texts_than_a_vendor_takes_are_refused_by_the_callers_field() {
        let call = |count, to| Dialect::OpenAiChat.embedding_call(texts(count).as_bytes(), (to, "m"));
        for (to, most) in [(Dialect::Gemini, 100), (Dialect::CohereChat, 96)] {
            assert!(call(most, to).is_ok(), "{to:?}");
            let refusal = call(most + 1, to).unwrap_err();
            assert_eq!(refusal.param.as_deref(), Some("input"), "{to:?}");
            assert!(refusal.message.contains(&format!("at most {most} texts")), "{}", refusal.message);
        }
    }

    #[test]
    fn an_answer_that_lacks_a_vector_is_none() {
        let openai =
            r#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":2}}"#;
        let gemini = r#"{"embeddings":[{"values":[1]},{"values":[2]}]}"#;
        let cohere = r#"{"id":"c","embeddings":{"float":[[1],[2]]}}"#;
        for (from, body) in [(Dialect::OpenAiChat, openai), (Dialect::Gemini, gemini), (Dialect::CohereChat, cohere)] {
            for (count, is_whole) in [(1, true), (2, true), (3, false)] {
                let asked = texts(count);
                let answer = from.embedding_answer(body.as_bytes(), (Dialect::OpenAiChat, asked.as_bytes(), "id"));
                assert_eq!(answer.is_ok(), is_whole, "{from:?} {count}");
                let said = answer.map(|answer| String::from_utf8(answer.body).unwrap()).unwrap_or_default();
                assert!(!is_whole || said.find("[1]") < said.find("[2]"), "{said}");
            }
        }
        let own = |asked: &str| Dialect::OpenAiChat.has_all_vectors(openai.as_bytes(), asked.as_bytes()).is_ok();
        assert!(own(&texts(2)) && !own(&texts(3)));
        for asked in [r#"{"input":"a"}"#, r#"{"input":[1,2,3]}"#, r#"{"input":[[1,2],[3]]}"#, r#"{"other":[1,2,3]}"#] {
            assert!(own(asked), "{asked}");
        }
        let packed = br#"{"data":[{"embedding":"AAAAPw=="}]}"#;
        assert!(Dialect::OpenAiChat.has_all_vectors(packed, texts(2).as_bytes()).is_err());
        let bits = br#"{"id":"c","embeddings":{"ubinary":[[1]]}}"#;
        assert!(Dialect::CohereChat.has_all_vectors(bits, br#"{"texts":["a","b"]}"#).is_ok());
    }
}
