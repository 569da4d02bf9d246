//! The surfaces: every path that callers may address, one row each.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method};
use percent_encoding::percent_decode_str;
use sluicegate_dialects::Dialect;
use sluicegate_dialects::verbatim::Envelope;

use crate::account::Operation;

/// The version of their API, which Anthropic's SDKs always say and OpenAI's never do.
pub(crate) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The header in which Google's SDKs put their key.
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// The methods of a path that answers a body.
pub(crate) const POSTS: &str = "POST, OPTIONS";
/// The methods of a path that is looked at.
pub(crate) const GETS: &str = "GET, HEAD, OPTIONS";

/// A row: one API operation at one path.
#[derive(Debug)]
pub(crate) struct Surface {
    /// The path's pattern. `{model}` stands for a model's name, slashes included; any other name in braces for one
    /// segment.
    pub(crate) path: &'static str,
    /// The methods it takes.
    pub(crate) methods: &'static str,
    /// The dialect of its bodies; `None`: the caller's headers tell.
    pub(crate) dialect: Option<Dialect>,
    pub(crate) operation: Operation,
    /// `Some`: the path says whether the answer is a stream; `None`: the body does.
    pub(crate) stream: Option<bool>,
    /// The envelope of Anthropic's bodies, where it is not the dialect's own.
    pub(crate) envelope: Option<Envelope>,
}

const fn posts(path: &'static str, dialect: Dialect, operation: Operation) -> Surface {
    Surface { path, methods: POSTS, dialect: Some(dialect), operation, stream: None, envelope: None }
}

const fn generates(path: &'static str, stream: bool) -> Surface {
    streams(path, Dialect::Gemini, stream)
}

const fn streams(path: &'static str, dialect: Dialect, stream: bool) -> Surface {
    Surface { stream: Some(stream), ..posts(path, dialect, Operation::Chat) }
}

/// A row of the Messages API as Vertex AI has it.
const fn predicts(path: &'static str, stream: bool) -> Surface {
    Surface { envelope: Some(Envelope::Vertex), ..streams(path, Dialect::AnthropicMessages, stream) }
}

const fn gets(path: &'static str, operation: Operation) -> Surface {
    Surface { path, methods: GETS, dialect: None, operation, stream: None, envelope: None }
}

/// A row of models as Vertex AI's publisher has them.
const fn publishes(path: &'static str, operation: Operation) -> Surface {
    Surface { dialect: Some(Dialect::Gemini), envelope: Some(Envelope::Vertex), ..gets(path, operation) }
}

/// Every row; the first whose pattern fits counts.
pub(crate) const SURFACES: &[Surface] = &[
    posts("/v1/chat/completions", Dialect::OpenAiChat, Operation::Chat),
    posts("/v1/responses", Dialect::OpenAiResponses, Operation::Chat),
    posts("/v1/responses/input_tokens", Dialect::OpenAiResponses, Operation::CountTokens),
    posts("/v1/completions", Dialect::OpenAiCompletions, Operation::TextCompletion),
    posts("/v1/embeddings", Dialect::OpenAiChat, Operation::Embeddings),
    posts("/v1/messages", Dialect::AnthropicMessages, Operation::Chat),
    posts("/v1/messages/count_tokens", Dialect::AnthropicMessages, Operation::CountTokens),
    posts("/v2/chat", Dialect::CohereChat, Operation::Chat),
    posts("/v2/embed", Dialect::CohereChat, Operation::Embeddings),
    posts("/v1/images/generations", Dialect::OpenAiChat, Operation::ImageGeneration),
    posts("/v1/images/edits", Dialect::OpenAiChat, Operation::ImageEdit),
    posts("/v1/images/variations", Dialect::OpenAiChat, Operation::ImageVariation),
    posts("/v1/audio/speech", Dialect::OpenAiChat, Operation::Speech),
    posts("/v1/audio/transcriptions", Dialect::OpenAiChat, Operation::Transcription),
    posts("/v1/audio/translations", Dialect::OpenAiChat, Operation::Translation),
    posts("/v1/moderations", Dialect::OpenAiChat, Operation::Moderation),
    Surface { dialect: None, ..posts("/v1/batch", Dialect::OpenAiChat, Operation::Batch) },
    posts("/v1/rerank", Dialect::OpenAiChat, Operation::Rerank),
    posts("/v2/rerank", Dialect::CohereChat, Operation::Rerank),
    posts("/openai/deployments/{model}/images/generations", Dialect::OpenAiChat, Operation::ImageGeneration),
    posts("/openai/deployments/{model}/images/edits", Dialect::OpenAiChat, Operation::ImageEdit),
    posts("/openai/deployments/{model}/audio/speech", Dialect::OpenAiChat, Operation::Speech),
    posts("/openai/deployments/{model}/audio/transcriptions", Dialect::OpenAiChat, Operation::Transcription),
    posts("/openai/deployments/{model}/audio/translations", Dialect::OpenAiChat, Operation::Translation),
    posts("/openai/v1/images/generations", Dialect::OpenAiChat, Operation::ImageGeneration),
    posts("/openai/v1/images/edits", Dialect::OpenAiChat, Operation::ImageEdit),
    posts("/openai/v1/audio/speech", Dialect::OpenAiChat, Operation::Speech),
    posts("/openai/v1/audio/transcriptions", Dialect::OpenAiChat, Operation::Transcription),
    posts("/openai/v1/audio/translations", Dialect::OpenAiChat, Operation::Translation),
    posts("/openai/deployments/{model}/chat/completions", Dialect::OpenAiChat, Operation::Chat),
    posts("/openai/deployments/{model}/completions", Dialect::OpenAiCompletions, Operation::TextCompletion),
    posts("/openai/deployments/{model}/embeddings", Dialect::OpenAiChat, Operation::Embeddings),
    posts("/openai/responses", Dialect::OpenAiResponses, Operation::Chat),
    posts("/openai/v1/chat/completions", Dialect::OpenAiChat, Operation::Chat),
    posts("/openai/v1/responses", Dialect::OpenAiResponses, Operation::Chat),
    posts("/openai/v1/completions", Dialect::OpenAiCompletions, Operation::TextCompletion),
    posts("/openai/v1/embeddings", Dialect::OpenAiChat, Operation::Embeddings),
    streams("/model/{model}/invoke", Dialect::BedrockInvoke, false),
    streams("/model/{model}/invoke-with-response-stream", Dialect::BedrockInvoke, true),
    streams("/model/{model}/converse", Dialect::BedrockConverse, false),
    streams("/model/{model}/converse-stream", Dialect::BedrockConverse, true),
    posts("/model/{model}/count-tokens", Dialect::BedrockConverse, Operation::CountTokens),
    generates("/v1beta/models/{model}:generateContent", false),
    generates("/v1beta/models/{model}:streamGenerateContent", true),
    posts("/v1beta/models/{model}:countTokens", Dialect::Gemini, Operation::CountTokens),
    posts("/v1beta/models/{model}:embedContent", Dialect::Gemini, Operation::Embedding),
    posts("/v1beta/models/{model}:batchEmbedContents", Dialect::Gemini, Operation::Embeddings),
    posts("/v1/models/{model}:embedContent", Dialect::Gemini, Operation::Embedding),
    posts("/v1/models/{model}:batchEmbedContents", Dialect::Gemini, Operation::Embeddings),
    generates("/v1/models/{model}:generateContent", false),
    generates("/v1/models/{model}:streamGenerateContent", true),
    posts("/v1/models/{model}:countTokens", Dialect::Gemini, Operation::CountTokens),
    generates(
        "/{version}/projects/{project}/locations/{location}/publishers/google/models/{model}:generateContent",
        false,
    ),
    generates(
        "/{version}/projects/{project}/locations/{location}/publishers/google/models/{model}:streamGenerateContent",
        true,
    ),
    posts(
        "/{version}/projects/{project}/locations/{location}/publishers/google/models/{model}:countTokens",
        Dialect::Gemini,
        Operation::CountTokens,
    ),
    generates("/{version}/publishers/google/models/{model}:generateContent", false),
    generates("/{version}/publishers/google/models/{model}:streamGenerateContent", true),
    posts("/{version}/publishers/google/models/{model}:countTokens", Dialect::Gemini, Operation::CountTokens),
    Surface {
        envelope: Some(Envelope::Vertex),
        ..posts(
            "/{version}/projects/{project}/locations/{location}/publishers/anthropic/models/count-tokens:rawPredict",
            Dialect::AnthropicMessages,
            Operation::CountTokens,
        )
    },
    predicts(
        "/{version}/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:rawPredict",
        false,
    ),
    predicts(
        "/{version}/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:streamRawPredict",
        true,
    ),
    Surface { dialect: Some(Dialect::Gemini), ..gets("/v1beta/models", Operation::ListModels) },
    Surface { dialect: Some(Dialect::Gemini), ..gets("/v1beta/models/{model}", Operation::GetModel) },
    Surface { dialect: Some(Dialect::OpenAiChat), ..gets("/openai/models", Operation::ListModels) },
    Surface { dialect: Some(Dialect::OpenAiChat), ..gets("/openai/models/{model}", Operation::GetModel) },
    Surface { dialect: Some(Dialect::OpenAiChat), ..gets("/openai/v1/models", Operation::ListModels) },
    Surface { dialect: Some(Dialect::OpenAiChat), ..gets("/openai/v1/models/{model}", Operation::GetModel) },
    Surface { dialect: Some(Dialect::BedrockConverse), ..gets("/foundation-models", Operation::ListModels) },
    Surface { dialect: Some(Dialect::BedrockConverse), ..gets("/foundation-models/{model}", Operation::GetModel) },
    publishes("/{version}/publishers/google/models", Operation::ListModels),
    publishes("/{version}/publishers/google/models/{model}", Operation::GetModel),
    gets("/v1/models", Operation::ListModels),
    gets("/v1/models/{model}", Operation::GetModel),
];

impl Surface {
    /// `true`: it takes the method.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        self.methods.split(", ").any(|taken| taken == method.as_str())
    }
}

/// A path, found in the table.
#[derive(Debug)]
pub(crate) struct SurfaceMatch {
    pub(crate) surface: &'static Surface,
    /// The model that the path names: `%2F` and the like turned back, anything broken as it is.
    pub(crate) model: Option<String>,
}

/// Finds a path's row.
pub(crate) fn find(path: &str) -> Option<SurfaceMatch> {
    SURFACES
        .iter()
        .find_map(|surface| Some(SurfaceMatch { surface, model: matched(surface.path, path)?.map(unescaped) }))
}

/// The dialect of a path just below that of answers, which a provider alone could answer (`compact`); `None`: it is another path.
pub(crate) fn kept_elsewhere(path: &str) -> Option<Dialect> {
    const KEPT: [&str; 3] = ["/v1/responses/", "/openai/v1/responses/", "/openai/responses/"];
    let below = KEPT.iter().find_map(|kept| path.strip_prefix(kept));
    below.is_some_and(|below| !below.contains('/')).then_some(Dialect::OpenAiResponses)
}

/// Paths that are one vendor's whatever stands behind them, and the dialect that its errors are told in; the first counts. `*` stands
/// for one segment.
const OF_ONE_VENDOR: [(&str, Dialect); 12] = [
    ("/model/", Dialect::BedrockConverse),
    ("/guardrail/", Dialect::BedrockConverse),
    ("/async-invoke", Dialect::BedrockConverse),
    ("/v2/", Dialect::CohereChat),
    ("/v1beta/", Dialect::Gemini),
    ("/upload/v1beta/", Dialect::Gemini),
    ("/*/projects/*/locations/*/publishers/anthropic/", Dialect::AnthropicMessages),
    ("/*/projects/*/locations/", Dialect::Gemini),
    ("/*/publishers/google/", Dialect::Gemini),
    ("/v1/messages", Dialect::AnthropicMessages),
    ("/v1/complete", Dialect::AnthropicMessages),
    ("/openai/", Dialect::OpenAiChat),
];

/// The dialect of a path that has no row: its vendor's, where it can be told by the path, else by the caller's headers.
pub(crate) fn dialect_of_unknown(path: &str, headers: &HeaderMap) -> Dialect {
    let row = OF_ONE_VENDOR.iter().find(|(beginning, _)| begins(path, beginning));
    match row {
        Some((_, dialect)) => *dialect,
        None if names_operation(path) => Dialect::Gemini,
        None => dialect_by(headers),
    }
}

/// True if a path ends in an operation as Google's do: `…/models/MODEL:OPERATION`.
pub(crate) fn names_operation(path: &str) -> bool {
    let models = ["/v1/models/", "/v1beta/models/"].into_iter().find_map(|beginning| path.strip_prefix(beginning));
    let published = || path.split_once("/publishers/google/models/").map(|(_, model)| model);
    models.or_else(published).is_some_and(|model| model.contains(':'))
}

fn begins(path: &str, beginning: &str) -> bool {
    let mut rest = path;
    for (at, literal) in beginning.split('*').enumerate() {
        if at > 0 {
            let end = rest.find('/').unwrap_or(rest.len());
            rest = rest.get(end..).filter(|_| end > 0).unwrap_or_default();
        }
        let Some(behind) = rest.strip_prefix(literal) else { return false };
        rest = behind;
    }
    // `/v1/complete` is not the beginning of `/v1/completions`.
    beginning.ends_with('/') || rest.is_empty() || rest.starts_with('/')
}

/// The dialect of a path that several have.
pub(crate) fn dialect_by(headers: &HeaderMap) -> Dialect {
    match () {
        () if headers.contains_key(ANTHROPIC_VERSION) => Dialect::AnthropicMessages,
        () if headers.contains_key(X_GOOG_API_KEY) => Dialect::Gemini,
        () => Dialect::OpenAiChat,
    }
}

fn unescaped(model: &str) -> String {
    percent_decode_str(model).decode_utf8().map_or_else(|_| model.to_owned(), Cow::into_owned)
}

/// The model that a path names; `None`: the path does not fit the pattern.
fn matched<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return (pattern == path).then_some(None);
    };
    let (name, behind) = rest.split_once('}')?;
    let path = path.strip_prefix(before)?;
    if name == "model" {
        return path.strip_suffix(behind).filter(|model| !model.is_empty()).map(Some);
    }
    let end = path.find('/').unwrap_or(path.len());
    let (segment, path) = path.split_at_checked(end)?;
    if segment.is_empty() { None } else { matched(behind, path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_they_say() {
        for (pattern, path, model) in [
            ("/v1/models", "/v1/models", Some(None)),
            ("/v1/models", "/v1/models/a", None),
            ("/v1/models/{model}", "/v1/models/", None),
            ("/v1/models/{model}", "/v1/models/meta/llama", Some(Some("meta/llama"))),
            ("/v1beta/models/{model}:generateContent", "/v1beta/models/gemini:generateContent", Some(Some("gemini"))),
            ("/v1beta/models/{model}:generateContent", "/v1beta/models/tuned:a:generateContent", Some(Some("tuned:a"))),
            ("/v1beta/models/{model}:generateContent", "/v1beta/models/gemini:countTokens", None),
            ("/openai/deployments/{model}/chat/completions", "/openai/deployments/d/chat/completions", Some(Some("d"))),
            (
                "/v1/projects/{project}/locations/{location}/models/{model}:x",
                "/v1/projects/p/locations/l/models/m:x",
                Some(Some("m")),
            ),
            (
                "/v1/projects/{project}/locations/{location}/models/{model}:x",
                "/v1/projects//locations/l/models/m:x",
                None,
            ),
        ] {
            assert_eq!(matched(pattern, path), model, "{pattern} {path}");
        }
    }

    #[test]
    fn unknown_paths_are_told_in_the_words_of_whose_they_are() {
        let none = HeaderMap::new();
        for (path, dialect) in [
            ("/model/m/invoke-model", Dialect::BedrockConverse),
            ("/model/m/counted-tokens", Dialect::BedrockConverse),
            ("/async-invoke", Dialect::BedrockConverse),
            ("/v2/classify", Dialect::CohereChat),
            ("/v1beta/cachedContents", Dialect::Gemini),
            ("/v1beta/models/m:predict", Dialect::Gemini),
            ("/v1/models/m:predict", Dialect::Gemini),
            ("/v1/projects/p/locations/l/publishers/google/models/m:predict", Dialect::Gemini),
            ("/v1/projects/p/locations/l/publishers/anthropic/models/m:predict", Dialect::AnthropicMessages),
            ("/v1beta1/projects/p/locations/l/endpoints/e:predict", Dialect::Gemini),
            ("/v1beta1/publishers/google/models/m:predict", Dialect::Gemini),
            ("/v1/messages/batches", Dialect::AnthropicMessages),
            ("/v1/complete", Dialect::AnthropicMessages),
            ("/v1/completed", Dialect::OpenAiChat),
            ("/v1/fine_tuning/jobs", Dialect::OpenAiChat),
            ("/projects", Dialect::OpenAiChat),
            ("//projects/p/locations/l", Dialect::OpenAiChat),
        ] {
            assert_eq!(dialect_of_unknown(path, &none), dialect, "{path}");
        }
        let anthropic = HeaderMap::from_iter([(ANTHROPIC_VERSION, http::HeaderValue::from_static("x"))]);
        assert_eq!(dialect_of_unknown("/v1/files", &anthropic), Dialect::AnthropicMessages);
        assert_eq!(dialect_of_unknown("/openai/files", &anthropic), Dialect::OpenAiChat);
    }

    #[test]
    fn no_row_hides_one_behind_it() {
        for surface in SURFACES {
            let path = surface.path.replace(['{', '}'], "");
            let found = find(&path).unwrap();
            assert_eq!(found.surface.path, surface.path);
        }
    }

    #[test]
    fn names_in_paths_are_unescaped() {
        let model = |path| find(path).unwrap().model.unwrap();
        assert_eq!(model("/v1/models/meta%2Fllama"), "meta/llama");
        assert_eq!(model("/v1/models/50%"), "50%");
    }
}
