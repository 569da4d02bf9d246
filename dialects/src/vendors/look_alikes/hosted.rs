//! Look-alikes that answer at hosts of their own. Sources stand in the rows, read in November 2026; comments say what of
//! them decides.

use super::habits::HostFieldRule::{Drop, Refuse, Rename};
use super::habits::SideOperation::{
    Completions, Embeddings, Files, ImageEdits, ImageGenerations, Moderations, Rerank, Speech, Transcriptions,
    Translations,
};
use super::habits::{
    CallHabit, CallIds, KeyUse, MessageFields, OffWord, PrefillMark, ReasoningBack, SignaturePlace, SystemMessages,
    UsageHabit,
};
use super::row::{LookAlike, UNKNOWN};

/// A server with a key and Chat Completions alone.
const HOSTED: LookAlike = LookAlike {
    key: KeyUse::Needed,
    beside_chat: &[],
    signatures: SignaturePlace::Nowhere,
    any_pattern: true,
    ..UNKNOWN
};

/// The fields of a call that everybody knows.
const OF_CALLS: &[&str] = &["id", "type", "function", "custom"];

/// The fields of messages in the SDKs of Groq (`groq`) and of Cerebras (`cerebras_cloud_sdk`).
const WITH_NAMES: MessageFields = MessageFields {
    instructions: &["role", "content", "name"],
    user: &["role", "content", "name"],
    assistant: &["role", "content", "name", "reasoning", "tool_calls"],
    tool: &["role", "content", "tool_call_id"],
    calls: OF_CALLS,
};
/// Those in Mistral's (`mistralai` 3.7).
const MISTRALS: MessageFields = MessageFields {
    instructions: &["role", "content"],
    user: &["role", "content"],
    assistant: &["role", "content", "tool_calls", "prefix"],
    tool: &["role", "content", "tool_call_id", "name"],
    calls: OF_CALLS,
};

/// Every row.
pub(super) const ROWS: [LookAlike; 21] = [
    // A field of a message that it does not know is refused ("property 'x' is unsupported"); so do Mistral and Cerebras.
    // Of the fields that it says are answered with 400, two decide what is answered; `logprobs` may say `false`.
    LookAlike {
        name: "Groq",
        hosts: &["api.groq.com"],
        base: Some("https://api.groq.com/openai/v1"),
        source: "console.groq.com/docs/openai, …/docs/batch, …/docs/speech-to-text, …/docs/text-to-speech; github.com/agno-agi/agno/issues/1065 (a form beside tools), github.com/eigent-ai/eigent/issues/1827 (refused fields), github.com/earendil-works/pi/issues/1745 (Qwen's efforts)",
        beside_chat: &[Files, Speech, Transcriptions, Translations],
        content_lists: true,
        thoughts: "reasoning",
        message_fields: Some(&WITH_NAMES),
        format_beside_tools: false,
        fields: &[
            ("top_k", Drop),
            ("logit_bias", Refuse),
            ("top_logprobs", Refuse),
            ("prompt_cache_key", Drop),
            ("prompt_cache_retention", Drop),
            ("prompt_cache_options", Drop),
            ("safety_identifier", Drop),
            ("verbosity", Drop),
            ("store", Drop),
            ("prediction", Drop),
        ],
        model_efforts: &[("qwen/", &["none", "default"])],
        ..HOSTED
    },
    // A turn that calls tools is refused without its thoughts, and empty ones are taken; efforts `high` and `max` (lower
    // ones are taken as `high`). The reference knows `max_tokens` alone, and of forms `text` and `json_object`: a schema is answered
    // with 400, "This response_format type is unavailable now".
    LookAlike {
        name: "DeepSeek",
        hosts: &["api.deepseek.com"],
        base: Some("https://api.deepseek.com/v1"),
        source: "api-docs.deepseek.com/guides/thinking_mode, …/api/create-chat-completion, …/guides/chat_prefix_completion; github.com/deepseek-ai/DeepSeek-V3/issues/1376 (forced tools)",
        reasoning: ReasoningBack::Required,
        prefill_at: Some(("/beta", PrefillMark { field: "prefix", echoes: false })),
        efforts: Some(&["low", "medium", "high", "max"]),
        schemas: false,
        fields: &[("max_completion_tokens", Rename("max_tokens"))],
        any_pattern: false,
        // Models think unless told not to, and refuse a forced tool while they do.
        off: Some(OffWord::Thinking),
        must_beside_thoughts: false,
        ..HOSTED
    },
    LookAlike {
        name: "Together",
        hosts: &["api.together.ai", "api.together.xyz"],
        base: Some("https://api.together.ai/v1"),
        source: "docs.together.ai/docs/inference/openai-compatibility; …/reference (images, audio, rerank)",
        beside_chat: &[Completions, Embeddings, ImageGenerations, Speech, Transcriptions, Translations, Rerank],
        thoughts: "reasoning",
        ..HOSTED
    },
    // What does not fit lowers `max_tokens` there, and is no error.
    LookAlike {
        name: "Fireworks",
        hosts: &["api.fireworks.ai"],
        base: Some("https://api.fireworks.ai/inference/v1"),
        source: "docs.fireworks.ai/tools-sdks/openai-compatibility; reference.langchain.com/python/langchain-fireworks (rerank)",
        // Speech is heard at another host, and images are drawn at paths of their models.
        beside_chat: &[Completions, Embeddings, Rerank],
        usage: UsageHabit::AtTheEnd,
        ..HOSTED
    },
    // Any effort, mapped to what the model behind it takes.
    LookAlike {
        name: "OpenRouter",
        hosts: &["openrouter.ai"],
        base: Some("https://openrouter.ai/api/v1"),
        source: "openrouter.ai/docs/guides/best-practices/reasoning-tokens, …/docs/api/api-reference, …/docs/guides/overview/multimodal/stt, …/docs/guides/best-practices/prompt-caching",
        // Transcripts are asked for in JSON, with the sound in it: a form is refused there.
        beside_chat: &[Completions, Embeddings, Speech, Transcriptions, Rerank],
        content_lists: true,
        system_messages: SystemMessages::InPlace,
        developer: true,
        thoughts: "reasoning",
        signatures: SignaturePlace::InDetails,
        efforts: Some(&["minimal", "low", "medium", "high", "xhigh"]),
        // It hands schemas on to OpenAI and DeepSeek.
        any_pattern: false,
        off: Some(OffWord::Reasoning),
        cache_marks: &["claude", "qwen"],
        ..HOSTED
    },
    // Its models that reason refuse both penalties; an effort is refused by those that choose for themselves, which the table of models
    // tells from those that do not.
    LookAlike {
        name: "xAI",
        hosts: &["api.x.ai"],
        base: Some("https://api.x.ai/v1"),
        source: "docs.x.ai/docs/guides/reasoning, …/developers/model-capabilities/images",
        // Images to edit stand in JSON, by their addresses or as data: a form is refused there.
        beside_chat: &[ImageGenerations, ImageEdits],
        content_lists: true,
        fields: &[("frequency_penalty", Drop), ("presence_penalty", Drop), ("top_k", Drop)],
        ..HOSTED
    },
    // No tools, and an address without a version. What was used grows from chunk to chunk.
    LookAlike {
        name: "Perplexity",
        hosts: &["api.perplexity.ai"],
        base: Some("https://api.perplexity.ai"),
        source: "docs.perplexity.ai/docs/sonar/openai-compatibility; github.com/agno-agi/agno/pull/6058 (usage)",
        efforts: Some(&[]),
        usage: UsageHabit::InEveryChunk,
        fields: &[("max_completion_tokens", Rename("max_tokens")), ("tools", Refuse)],
        ..HOSTED
    },
    LookAlike {
        name: "Cerebras",
        hosts: &["api.cerebras.ai"],
        base: Some("https://api.cerebras.ai/v1"),
        source: "inference-docs.cerebras.ai/resources/openai (refused fields)",
        beside_chat: &[Completions],
        thoughts: "reasoning",
        message_fields: Some(&WITH_NAMES),
        fields: &[
            ("frequency_penalty", Drop),
            ("logit_bias", Refuse),
            ("presence_penalty", Drop),
            ("service_tier", Drop),
            ("top_k", Drop),
            ("prompt_cache_key", Drop),
            ("prompt_cache_retention", Drop),
            ("prompt_cache_options", Drop),
            ("safety_identifier", Drop),
            ("verbosity", Drop),
            ("store", Drop),
        ],
        ..HOSTED
    },
    LookAlike {
        name: "SambaNova",
        hosts: &["api.sambanova.ai"],
        base: Some("https://api.sambanova.ai/v1"),
        source: "docs.sambanova.ai/docs/en/features/openai-compatibility, …/features/audio",
        // Models that hear are there for its customers with machines of their own.
        beside_chat: &[Completions, Embeddings, Transcriptions, Translations],
        fields: &[("max_completion_tokens", Rename("max_tokens"))],
        ..HOSTED
    },
    LookAlike {
        name: "Nebius",
        hosts: &["api.tokenfactory.nebius.com", "api.studio.nebius.com", "api.studio.nebius.ai"],
        base: Some("https://api.tokenfactory.nebius.com/v1"),
        source: "docs.tokenfactory.nebius.com/api-reference/introduction, docs.agno.com/tools/toolkits/models/nebius (images)",
        beside_chat: &[Completions, Embeddings, ImageGenerations],
        ..HOSTED
    },
    // The same refusal of turns without thoughts as DeepSeek's. Efforts since K3; models before it read past the field. Kimi's models have one
    // temperature each, and refuse any other (400, "invalid temperature: only 1 is allowed for this model"), as they do the rest.
    LookAlike {
        name: "Moonshot",
        hosts: &["api.moonshot.ai", "api.moonshot.cn"],
        base: Some("https://api.moonshot.ai/v1"),
        source: "platform.kimi.ai/docs/guide/use-kimi-k2-thinking-model, …/guide/use-thinking-effort, …/api/models-overview (sampling); java.agentscope.io/v2/en/integration/model/kimi; github.com/UKGovernmentBEIS/inspect_ai/pull/5152 (forced tools); github.com/MoonshotAI/kimi-cli/issues/1595, github.com/lidge-jun/opencodex/pull/2677 (schemas)",
        reasoning: ReasoningBack::Required,
        efforts: Some(&["low", "high", "max"]),
        fields: &[("temperature", Drop), ("top_p", Drop), ("frequency_penalty", Drop), ("presence_penalty", Drop)],
        off: Some(OffWord::Thinking),
        must_beside_thoughts: false,
        typed_schemas: true,
        ..HOSTED
    },
    // Thoughts are taken back, and not asked for. A call is streamed in pieces only where `tool_stream` says so.
    LookAlike {
        name: "Zhipu",
        hosts: &["api.z.ai", "open.bigmodel.cn"],
        base: Some("https://api.z.ai/api/paas/v4"),
        source: "docs.z.ai/guides/capabilities/thinking-mode, …/capabilities/stream-tool, …/api-reference/image/generate-image, …/api-reference/audio/audio-transcriptions, …/guides/capabilities/thinking; github.com/theopenco/llmgateway/pull/3605 (GLM-5.3, probed)",
        beside_chat: &[Embeddings, ImageGenerations, Transcriptions],
        reasoning: ReasoningBack::Sent,
        efforts: Some(&[]),
        calls: &[CallHabit::Whole],
        any_pattern: false,
        // Before 5.2 a model thinks or does not.
        model_efforts: &[("glm-5.3", &["low", "high", "max"]), ("glm-5.2", &["high", "max"])],
        off: Some(OffWord::Thinking),
        ..HOSTED
    },
    LookAlike {
        name: "Qwen",
        hosts: &["dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"],
        base: Some("https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
        source: "help.aliyun.com/en/model-studio/deep-thinking, …/compatibility-of-openai-with-dashscope, …/openai-file-interface, …/context-cache; github.com/cloudwego/eino/issues/994 (forced tools)",
        beside_chat: &[Embeddings, Files],
        content_lists: true,
        calls: &[CallHabit::EmptyId],
        off: Some(OffWord::EnableThinking),
        must_beside_thoughts: false,
        cache_marks: &["qwen"],
        ..HOSTED
    },
    // It reads past what it does not take. Models think between `<think>` and `</think>` in the text itself where they are not told to keep
    // the two apart; the guide wants their thoughts back as they came.
    LookAlike {
        name: "MiniMax",
        hosts: &["api.minimax.io", "api.minimaxi.com"],
        base: Some("https://api.minimax.io/v1"),
        source: "platform.minimax.io/docs/api-reference/text-openai-api, …/docs/guides/text-m3-function-call; github.com/MiniMax-AI/MiniMax-M2/issues/95 (streams, probed)",
        efforts: Some(&[]),
        off: Some(OffWord::Thinking),
        always: &[("reasoning_split", "true")],
        thoughts: "reasoning_details",
        reasoning: ReasoningBack::Sent,
        ..HOSTED
    },
    // Fields that it does not know are refused (422, `extra_forbidden`); those it knows are in its SDK (`mistralai` 3.7,
    // ChatCompletionRequest). Call ids: 400, "must be a-z, A-Z, 0-9, with a length of 9"; a user's turn behind a tool's: 400,
    // "Unexpected role 'user' after role 'tool'"; a last turn of the model's: 400, "Expected last role User or Tool (or Assistant with
    // prefix True)". A `file` with its data: 422 (github.com/nextcloud/integration_openai/pull/419). Calls come whole; usage comes with the last chunk.
    LookAlike {
        name: "Mistral",
        hosts: &["api.mistral.ai"],
        base: Some("https://api.mistral.ai/v1"),
        source: "docs.mistral.ai/api/endpoint/chat; github.com/anomalyco/opencode/issues/1680 (ids); github.com/zed-industries/zed/issues/37021 (order); github.com/langchain-ai/langchain/pull/28846, github.com/SillyTavern/SillyTavern/issues/2557 (prefix); docs.mistral.ai/studio/audio/overview; github.com/anomalyco/models.dev/pull/1986, …/pull/7334 (efforts, probed); github.com/dust-tt/dust/pull/27613 (top_p)",
        // It speaks in JSON, which is no sound.
        beside_chat: &[Embeddings, Transcriptions, Moderations],
        content_lists: true,
        thoughts: "content",
        usage: UsageHabit::AtTheEnd,
        call_ids: CallIds::NineLetters,
        calls: &[CallHabit::Whole],
        user_after_results: false,
        message_fields: Some(&MISTRALS),
        documents_by_address: true,
        prefill: Some(PrefillMark { field: "prefix", echoes: true }),
        fields: &[
            ("seed", Rename("random_seed")),
            ("max_completion_tokens", Rename("max_tokens")),
            // Of vectors: 400, `extra_forbidden`.
            ("dimensions", Rename("output_dimension")),
            ("user", Drop),
            ("store", Drop),
            ("service_tier", Drop),
            ("safety_identifier", Drop),
            ("prompt_cache_retention", Drop),
            ("prompt_cache_options", Drop),
            ("verbosity", Drop),
            ("top_k", Drop),
            ("modalities", Drop),
            ("logit_bias", Refuse),
            ("audio", Refuse),
            ("web_search_options", Refuse),
        ],
        // They think only when told to.
        model_efforts: &[
            ("mistral-small-2603", &["none", "high"]),
            ("mistral-small-latest", &["none", "high"]),
            ("mistral-medium-2604", &["none", "high"]),
            ("mistral-medium-3-5", &["none", "high"]),
            ("mistral-medium-3.5", &["none", "high"]),
            ("mistral-medium-latest", &["none", "high"]),
            ("zai-glm-5-3", &["low", "high", "max"]),
            ("zai-glm-5-2", &["none", "high", "max"]),
        ],
        greedy_alone: true,
        ..HOSTED
    },
    LookAlike {
        name: "HuggingFace",
        hosts: &["router.huggingface.co"],
        base: Some("https://router.huggingface.co/v1"),
        source: "huggingface.co/docs/inference-providers",
        ..HOSTED
    },
    // vLLM or SGLang behind it, and before it a door that refuses fields it does not know (`extra_forbidden`, "Unsupported
    // parameter(s)"). Which of the penalties a model takes differs from one to the next.
    LookAlike {
        name: "NIM",
        hosts: &["integrate.api.nvidia.com"],
        base: Some("https://integrate.api.nvidia.com/v1"),
        source: "docs.nvidia.com/nim/large-language-models/reference/api-reference; github.com/sipeed/picoclaw/issues/1019, github.com/NousResearch/hermes-agent/pull/77973 (refused fields), …/issues/19883 (thoughts)",
        beside_chat: &[Completions, Embeddings],
        fields: &[
            ("prompt_cache_key", Drop),
            ("prompt_cache_retention", Drop),
            ("reasoning", Drop),
            ("safety_identifier", Drop),
        ],
        ..HOSTED
    },
    // A field that it does not know is refused ("json: unknown field"), `stream_options` too, and so is one of a message ("Extra inputs are
    // not permitted"). Models that think say so in a list, with a piece of type `reasoning`.
    LookAlike {
        name: "Databricks",
        hosts: &["cloud.databricks.com", "azuredatabricks.net", "gcp.databricks.com"],
        base: Some("https://WORKSPACE.cloud.databricks.com/serving-endpoints"),
        source: "docs.databricks.com/aws/en/machine-learning/foundation-model-apis/api-reference; github.com/continuedev/continue/issues/12936 (stream_options), github.com/BerriAI/litellm/issues/36931 (messages, thoughts); github.com/block/goose/issues/6320 (cache_control)",
        beside_chat: &[Completions, Embeddings],
        content_lists: true,
        thoughts: "content",
        usage: UsageHabit::AtTheEnd,
        message_fields: Some(&WITH_NAMES),
        fields: &[
            ("max_completion_tokens", Rename("max_tokens")),
            ("prompt_cache_key", Drop),
            ("prompt_cache_retention", Drop),
            ("safety_identifier", Drop),
            ("service_tier", Drop),
            ("store", Drop),
            ("user", Drop),
            ("verbosity", Drop),
        ],
        any_pattern: false,
        cache_marks: &["claude"],
        ..HOSTED
    },
    LookAlike {
        name: "Cloudflare",
        hosts: &["api.cloudflare.com"],
        base: Some("https://api.cloudflare.com/client/v4/accounts/ACCOUNT/ai/v1"),
        source: "developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility",
        beside_chat: &[Embeddings],
        fields: &[("max_completion_tokens", Rename("max_tokens"))],
        ..HOSTED
    },
    LookAlike {
        name: "GeminiOpenAI",
        hosts: &["generativelanguage.googleapis.com"],
        base: Some("https://generativelanguage.googleapis.com/v1beta/openai"),
        source: "ai.google.dev/gemini-api/docs/openai, …/docs/thought-signatures",
        beside_chat: &[Embeddings, ImageGenerations],
        content_lists: true,
        signatures: SignaturePlace::OnCalls,
        efforts: Some(&["low", "medium", "high"]),
        calls: &[CallHabit::Whole],
        // 400, "Unknown name": what is not in its list of parameters.
        fields: &[
            ("top_k", Drop),
            ("seed", Drop),
            ("frequency_penalty", Drop),
            ("presence_penalty", Drop),
            ("logit_bias", Refuse),
            ("prompt_cache_key", Drop),
            ("prompt_cache_retention", Drop),
            ("prompt_cache_options", Drop),
            ("safety_identifier", Drop),
            ("verbosity", Drop),
            ("store", Drop),
            ("prediction", Drop),
        ],
        ..HOSTED
    },
    // The models in its cloud; who runs it himself names it.
    LookAlike {
        name: "OllamaCloud",
        hosts: &["ollama.com"],
        base: Some("https://ollama.com/v1"),
        source: "docs.ollama.com/api/openai-compatibility",
        thoughts: "reasoning",
        calls: &[CallHabit::Whole],
        fields: &[("max_completion_tokens", Rename("max_tokens"))],
        reads_arguments: true,
        ..HOSTED
    },
];
