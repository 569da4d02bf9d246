//! The profiles: what each kind of provider offers, one row each.

use http::{HeaderName, HeaderValue};
use sluicegate_config::{Provider, ProviderKind};
use sluicegate_dialects::Dialect;
use sluicegate_dialects::verbatim::{Envelope, LabelPlace};

use crate::account::Operation;

/// A row: a kind of provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindProfile {
    /// The place that its credential goes to; `None`: it takes none.
    pub(crate) auth: Option<Auth>,
    /// The operations that it offers. Of several dialects for one operation the first is its main one, into which
    /// others are translated.
    pub(crate) offers: &'static [Offer],
    /// It refuses fields that it does not know.
    pub(crate) refuses_unknown_fields: bool,
}

/// The header that a credential goes in, and what stands before it there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Auth {
    pub(crate) header: &'static str,
    pub(crate) before: &'static str,
    /// Signed tokens are taken too, as bearers.
    pub(crate) takes_tokens: bool,
}

impl Auth {
    /// The header that carries a secret; `None`: no header can.
    pub(crate) fn carrying(&self, secret: &[u8]) -> Option<(HeaderName, HeaderValue)> {
        let Self { header, before, .. } = if self.takes_tokens && is_token(secret) { &BEARER } else { self };
        let mut value = HeaderValue::from_bytes(&[before.as_bytes(), secret].concat()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_static(header), value))
    }
}

/// True if a secret is a token and no key: a signed one (of Entra ID), three parts of which the first begins as JSON does; one of
/// Google's; or one of a login at Anthropic's.
fn is_token(secret: &[u8]) -> bool {
    secret.starts_with(b"ya29.")
        || secret.starts_with(b"sk-ant-oat")
        || secret.starts_with(b"eyJ") && secret.iter().filter(|byte| **byte == b'.').count() == 2
}

/// An operation that a provider offers in a dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) operation: Operation,
    pub(crate) dialect: Dialect,
    /// The path below the provider's URL; `{model}` stands for the model's name, `{version}` for the API's.
    pub(crate) path: &'static str,
    /// The path of a streamed answer, where it is another.
    pub(crate) stream_path: Option<&'static str>,
    /// The envelope of Anthropic's bodies, where it is not the dialect's own.
    pub(crate) envelope: Option<Envelope>,
    /// The field that a request may stand in, and at this place does not.
    pub(crate) unpacks: Option<&'static str>,
    /// The publisher whose models it is for; `None`: it is for all.
    pub(crate) publisher: Option<ModelPublisher>,
    /// Words of which one stands in the names of the models that it is for; `None`: every model.
    pub(crate) models: Option<&'static [&'static str]>,
    /// Headers that are said where the caller did not say them.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// The place for a consumer's labels.
    pub(crate) labels: Option<LabelPlace>,
}

/// A publisher of models at a host of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelPublisher {
    Google,
    Anthropic,
}

/// The beginnings of models' names by which their publisher is known; any other is Google's.
const PUBLISHERS: [(&str, ModelPublisher); 1] = [("claude", ModelPublisher::Anthropic)];

impl ModelPublisher {
    /// The one of a model, by the host's name of it.
    pub(crate) fn of(model: &str) -> Self {
        let known = PUBLISHERS.iter().find(|(beginning, _)| model.starts_with(beginning));
        known.map_or(Self::Google, |(_, publisher)| *publisher)
    }
}

impl Offer {
    /// `true`: the path says which model is asked for; the body need not.
    pub(crate) fn names_the_model(&self) -> bool {
        self.path.contains("{model}")
    }
}

const CHAT: Offer = Offer {
    operation: Operation::Chat,
    dialect: Dialect::OpenAiChat,
    path: "/chat/completions",
    stream_path: None,
    envelope: None,
    unpacks: None,
    publisher: None,
    models: None,
    headers: &[],
    labels: None,
};
/// A path that a rule names: every provider is asked for what it may have there.
pub(crate) const NAMED_PATH: Offer = Offer { operation: Operation::NamedPath, path: "", ..CHAT };
const COMPLETIONS: Offer =
    Offer { operation: Operation::TextCompletion, dialect: Dialect::OpenAiCompletions, path: "/completions", ..CHAT };
/// Their errors and usage are Chat Completions'.
const EMBEDDINGS: Offer = Offer { operation: Operation::Embeddings, path: "/embeddings", ..CHAT };
const RESPONSES: Offer = Offer { dialect: Dialect::OpenAiResponses, path: "/responses", ..CHAT };
/// Answers that it keeps, each by its id behind this path.
const STORED_RESPONSES: Offer = Offer { operation: Operation::StoredResponse, ..RESPONSES };
const COUNT_ITEMS: Offer = Offer { operation: Operation::CountTokens, path: "/responses/input_tokens", ..RESPONSES };
const MESSAGES: Offer = Offer {
    dialect: Dialect::AnthropicMessages,
    path: "/messages",
    // What is said where the caller, speaking another dialect, could not.
    headers: &[("anthropic-version", "2023-06-01")],
    ..CHAT
};
const COUNT_TOKENS: Offer = Offer { operation: Operation::CountTokens, path: "/messages/count_tokens", ..MESSAGES };

/// Files that it keeps, and requests that it works off in its own time, each by its id behind this path.
const FILES: Offer = Offer { operation: Operation::File, path: "/files", ..CHAT };
const BATCHES: Offer = Offer { operation: Operation::StoredBatch, path: "/batches", ..CHAT };
const DOCUMENTS: Offer = Offer { operation: Operation::File, path: "/files", ..MESSAGES };
const MESSAGE_BATCHES: Offer = Offer { operation: Operation::StoredBatch, path: "/messages/batches", ..MESSAGES };

const DRAW: Offer = Offer { operation: Operation::ImageGeneration, path: "/images/generations", ..CHAT };
const EDIT_IMAGE: Offer = Offer { operation: Operation::ImageEdit, path: "/images/edits", ..CHAT };
const VARY_IMAGE: Offer = Offer { operation: Operation::ImageVariation, path: "/images/variations", ..CHAT };
const SPEAK: Offer = Offer { operation: Operation::Speech, path: "/audio/speech", ..CHAT };
const TRANSCRIBE: Offer = Offer { operation: Operation::Transcription, path: "/audio/transcriptions", ..CHAT };
const TRANSLATE: Offer = Offer { operation: Operation::Translation, path: "/audio/translations", ..CHAT };
const MODERATE: Offer = Offer { operation: Operation::Moderation, path: "/moderations", ..CHAT };
/// Jina's form, which servers of open models have too.
const RERANK: Offer = Offer { operation: Operation::Rerank, path: "/rerank", ..CHAT };

/// A token, or a key like one.
pub(crate) const BEARER: Auth = Auth { header: "authorization", before: "Bearer ", takes_tokens: false };
/// A key in a header of its own.
const PLAIN: Auth = Auth { before: "", ..BEARER };

/// Words in the names of models that take function tools by the Responses API alone: Chat Completions has them beside the effort `none`
/// only, and these can not be told to rest. Callers of Chat Completions know their vendor; all others are translated.
const BY_RESPONSES: &[&str] = &["gpt-6-astra"];

const OPENAI: KindProfile = KindProfile {
    auth: Some(BEARER),
    offers: &[
        Offer { models: Some(BY_RESPONSES), ..RESPONSES },
        CHAT,
        RESPONSES,
        STORED_RESPONSES,
        FILES,
        BATCHES,
        COUNT_ITEMS,
        COMPLETIONS,
        EMBEDDINGS,
        DRAW,
        EDIT_IMAGE,
        VARY_IMAGE,
        SPEAK,
        TRANSCRIBE,
        TRANSLATE,
        MODERATE,
    ],
    refuses_unknown_fields: true,
};
/// Of those that look like it few speak the Responses API.
const OPENAI_COMPATIBLE: KindProfile = KindProfile {
    offers: &[
        CHAT,
        COMPLETIONS,
        EMBEDDINGS,
        DRAW,
        EDIT_IMAGE,
        VARY_IMAGE,
        SPEAK,
        TRANSCRIBE,
        TRANSLATE,
        MODERATE,
        RERANK,
        // Of servers that are known to have them.
        FILES,
        BATCHES,
    ],
    refuses_unknown_fields: false,
    ..OPENAI
};
const ANTHROPIC: KindProfile = KindProfile {
    auth: Some(Auth { header: "x-api-key", takes_tokens: true, ..PLAIN }),
    offers: &[MESSAGES, COUNT_TOKENS, DOCUMENTS, MESSAGE_BATCHES],
    refuses_unknown_fields: false,
};
const GENERATE: Offer = Offer {
    dialect: Dialect::Gemini,
    path: "/models/{model}:generateContent",
    stream_path: Some("/models/{model}:streamGenerateContent?alt=sse"),
    ..CHAT
};
const COUNT_CONTENTS: Offer =
    Offer { operation: Operation::CountTokens, path: "/models/{model}:countTokens", stream_path: None, ..GENERATE };
const EMBED_CONTENT: Offer =
    Offer { operation: Operation::Embedding, path: "/models/{model}:embedContent", ..COUNT_CONTENTS };
const EMBED_CONTENTS: Offer =
    Offer { operation: Operation::Embeddings, path: "/models/{model}:batchEmbedContents", ..COUNT_CONTENTS };
const GEMINI: KindProfile = KindProfile {
    auth: Some(Auth { header: "x-goog-api-key", ..PLAIN }),
    offers: &[GENERATE, COUNT_CONTENTS, EMBED_CONTENT, EMBED_CONTENTS],
    refuses_unknown_fields: false,
};
const COHERE_CHAT: Offer = Offer { dialect: Dialect::CohereChat, path: "/chat", ..CHAT };
const COHERE_EMBED: Offer = Offer { operation: Operation::Embeddings, path: "/embed", ..COHERE_CHAT };
const COHERE_RERANK: Offer = Offer { operation: Operation::Rerank, path: "/rerank", ..COHERE_CHAT };
const COHERE: KindProfile = KindProfile {
    auth: Some(BEARER),
    offers: &[COHERE_CHAT, COHERE_EMBED, COHERE_RERANK],
    refuses_unknown_fields: false,
};
/// Azure's API v1, which names the model in the body as OpenAI does.
const AZURE_V1: KindProfile = KindProfile {
    auth: Some(Auth { header: "api-key", takes_tokens: true, ..PLAIN }),
    offers: &[
        Offer { path: "/v1/responses", models: Some(BY_RESPONSES), ..RESPONSES },
        Offer { path: "/v1/chat/completions", ..CHAT },
        Offer { path: "/v1/responses", ..RESPONSES },
        Offer { path: "/v1/responses", ..STORED_RESPONSES },
        Offer { path: "/v1/files", ..FILES },
        Offer { path: "/v1/batches", ..BATCHES },
        Offer { path: "/v1/completions", ..COMPLETIONS },
        Offer { path: "/v1/embeddings", ..EMBEDDINGS },
        Offer { path: "/v1/images/generations", ..DRAW },
        Offer { path: "/v1/images/edits", ..EDIT_IMAGE },
        Offer { path: "/v1/audio/speech", ..SPEAK },
        Offer { path: "/v1/audio/transcriptions", ..TRANSCRIBE },
        Offer { path: "/v1/audio/translations", ..TRANSLATE },
    ],
    refuses_unknown_fields: true,
};
/// Azure's API by version: the path names the deployment. Responses came when bodies did again.
const AZURE_DEPLOYMENTS: KindProfile = KindProfile {
    offers: &[
        Offer { path: "/responses?api-version={version}", models: Some(BY_RESPONSES), ..RESPONSES },
        Offer { path: "/deployments/{model}/chat/completions?api-version={version}", ..CHAT },
        Offer { path: "/responses?api-version={version}", ..RESPONSES },
        Offer { path: "/responses?api-version={version}", ..STORED_RESPONSES },
        Offer { path: "/files?api-version={version}", ..FILES },
        Offer { path: "/batches?api-version={version}", ..BATCHES },
        Offer { path: "/deployments/{model}/completions?api-version={version}", ..COMPLETIONS },
        Offer { path: "/deployments/{model}/embeddings?api-version={version}", ..EMBEDDINGS },
        Offer { path: "/deployments/{model}/images/generations?api-version={version}", ..DRAW },
        Offer { path: "/deployments/{model}/images/edits?api-version={version}", ..EDIT_IMAGE },
        Offer { path: "/deployments/{model}/audio/speech?api-version={version}", ..SPEAK },
        Offer { path: "/deployments/{model}/audio/transcriptions?api-version={version}", ..TRANSCRIBE },
        Offer { path: "/deployments/{model}/audio/translations?api-version={version}", ..TRANSLATE },
    ],
    ..AZURE_V1
};
/// Words in the names of Anthropic's models at Bedrock, of their inference profiles, and in what people call them.
const ANTHROPICS: &[&str] = &["anthropic.", "claude"];
/// Models at Bedrock in their vendor's own words.
const INVOKE: Offer = Offer {
    dialect: Dialect::BedrockInvoke,
    path: "/model/{model}/invoke",
    stream_path: Some("/model/{model}/invoke-with-response-stream"),
    labels: Some(LabelPlace::RequestMetadataHeader),
    ..CHAT
};
const CONVERSE: Offer = Offer {
    dialect: Dialect::BedrockConverse,
    path: "/model/{model}/converse",
    stream_path: Some("/model/{model}/converse-stream"),
    labels: Some(LabelPlace::RequestMetadata),
    ..CHAT
};
/// A key of Bedrock's own goes as a bearer; what is signed carries none. Anthropic's models are asked in Anthropic's words, in which
/// nothing is lost; all others in Converse's.
const BEDROCK: KindProfile = KindProfile {
    auth: Some(BEARER),
    offers: &[Offer { models: Some(ANTHROPICS), ..INVOKE }, CONVERSE],
    refuses_unknown_fields: false,
};
/// Vertex AI: each publisher's models are spoken to in its own dialect.
const VERTEX: KindProfile = KindProfile {
    auth: Some(Auth { header: "x-goog-api-key", takes_tokens: true, ..PLAIN }),
    offers: &[
        Offer {
            path: "/publishers/google/models/{model}:generateContent",
            stream_path: Some("/publishers/google/models/{model}:streamGenerateContent?alt=sse"),
            publisher: Some(ModelPublisher::Google),
            labels: Some(LabelPlace::Labels),
            ..GENERATE
        },
        Offer {
            path: "/publishers/google/models/{model}:countTokens",
            unpacks: Some("generateContentRequest"),
            publisher: Some(ModelPublisher::Google),
            ..COUNT_CONTENTS
        },
        Offer {
            path: "/publishers/anthropic/models/{model}:rawPredict",
            stream_path: Some("/publishers/anthropic/models/{model}:streamRawPredict"),
            envelope: Some(Envelope::Vertex),
            publisher: Some(ModelPublisher::Anthropic),
            headers: &[],
            ..MESSAGES
        },
        Offer {
            path: "/publishers/anthropic/models/count-tokens:rawPredict",
            publisher: Some(ModelPublisher::Anthropic),
            headers: &[],
            ..COUNT_TOKENS
        },
    ],
    refuses_unknown_fields: false,
};
/// Ours speaks whatever it is spoken to in.
const SIMULATED: KindProfile = KindProfile {
    auth: None,
    offers: &[
        CHAT,
        RESPONSES,
        STORED_RESPONSES,
        FILES,
        BATCHES,
        DOCUMENTS,
        MESSAGE_BATCHES,
        COUNT_ITEMS,
        COMPLETIONS,
        EMBEDDINGS,
        MESSAGES,
        COUNT_TOKENS,
        GENERATE,
        COUNT_CONTENTS,
        EMBED_CONTENT,
        EMBED_CONTENTS,
        INVOKE,
        COHERE_CHAT,
        COHERE_EMBED,
        CONVERSE,
        DRAW,
        EDIT_IMAGE,
        VARY_IMAGE,
        SPEAK,
        TRANSCRIBE,
        TRANSLATE,
        MODERATE,
        RERANK,
        // Below one address there are both forms.
        Offer { path: "/v2/rerank", ..COHERE_RERANK },
    ],
    refuses_unknown_fields: false,
};

/// The word that a kind of provider has in configurations.
pub(crate) const fn type_name(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::OpenAi => "OpenAI",
        ProviderKind::OpenAiCompatible => "OpenAICompatible",
        ProviderKind::Anthropic => "Anthropic",
        ProviderKind::Gemini => "Gemini",
        ProviderKind::Cohere => "Cohere",
        ProviderKind::AzureOpenAi => "AzureOpenAI",
        ProviderKind::Bedrock => "Bedrock",
        ProviderKind::VertexAi => "VertexAI",
        ProviderKind::Simulated => "Simulated",
    }
}

/// The row of a provider's kind.
pub(crate) const fn of(provider: &Provider) -> &'static KindProfile {
    match provider.kind {
        ProviderKind::OpenAi => &OPENAI,
        ProviderKind::OpenAiCompatible => &OPENAI_COMPATIBLE,
        ProviderKind::Anthropic => &ANTHROPIC,
        ProviderKind::Gemini => &GEMINI,
        ProviderKind::Cohere => &COHERE,
        ProviderKind::AzureOpenAi if provider.api_version.is_some() => &AZURE_DEPLOYMENTS,
        ProviderKind::AzureOpenAi => &AZURE_V1,
        ProviderKind::Bedrock => &BEDROCK,
        ProviderKind::VertexAi => &VERTEX,
        ProviderKind::Simulated => &SIMULATED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_without_tools_on_chat_completions_are_asked_by_responses() {
        for kind in [&OPENAI, &AZURE_V1, &AZURE_DEPLOYMENTS] {
            let asked = |model: &str| {
                let takes =
                    |offer: &&Offer| offer.models.is_none_or(|words| words.iter().any(|word| model.contains(word)));
                kind.offers.iter().find(takes).map(|offer| offer.dialect)
            };
            assert_eq!(asked("gpt-6-astra-2026-09-01"), Some(Dialect::OpenAiResponses));
            assert_eq!(asked("gpt-6-sol"), Some(Dialect::OpenAiChat));
        }
    }
}
