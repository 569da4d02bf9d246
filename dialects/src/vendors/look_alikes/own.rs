//! Look-alikes that people run themselves, at hosts that say nothing: `compatibility.profile` names them. Sources stand in the
//! rows, read in November 2026; comments say what of them decides.

use super::habits::HostFieldRule::Rename;
use super::habits::SideOperation::{
    Completions, Embeddings, ImageGenerations, Rerank, Speech, Transcriptions, Translations,
};
use super::habits::{CallHabit, SignaturePlace};
use super::row::{LookAlike, UNKNOWN};

/// The seconds that a connection is kept where the server closes one after five.
const BEFORE_FIVE: Option<u64> = Some(4);

/// A server of models with open weights.
const OWN: LookAlike = LookAlike { signatures: SignaturePlace::Nowhere, any_pattern: true, ..UNKNOWN };

/// Every row.
pub(super) const ROWS: [LookAlike; 6] = [
    // The reference lists `max_tokens` alone.
    LookAlike {
        name: "Ollama",
        source: "docs.ollama.com/api/openai-compatibility",
        // Images as an experiment, sound since 0.40.
        beside_chat: &[Completions, Embeddings, ImageGenerations, Speech, Transcriptions],
        thoughts: "reasoning",
        calls: &[CallHabit::Whole],
        fields: &[("max_completion_tokens", Rename("max_tokens"))],
        reads_arguments: true,
        ..OWN
    },
    // `reasoning_content` is called `reasoning` since 0.11. Its HTTP server closes an idle connection after 5 s.
    LookAlike {
        name: "vLLM",
        source: "docs.vllm.ai/en/stable/features/reasoning_outputs; github.com/vllm-project/vllm/pull/18472 (idle); docs.vllm.ai/en/stable/serving/online_serving (operations); github.com/vllm-project/vllm/pull/48922 (arguments)",
        // What a server has of it goes by its model.
        beside_chat: &[Completions, Embeddings, Transcriptions, Translations, Rerank],
        thoughts: "reasoning",
        idle_seconds: BEFORE_FIVE,
        reads_arguments: true,
        ..OWN
    },
    LookAlike {
        name: "SGLang",
        source: "docs.sglang.ai/basic_usage/openai_api; github.com/sgl-project/sglang/issues/20851 (idle)",
        beside_chat: &[Completions, Embeddings, Transcriptions, Rerank],
        idle_seconds: BEFORE_FIVE,
        reads_arguments: true,
        ..OWN
    },
    // cpp-httplib, which it serves with, closes an idle connection after 5 s (CPPHTTPLIB_KEEPALIVE_TIMEOUT_SECOND).
    LookAlike {
        name: "LlamaCpp",
        source: "github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md; github.com/OpenHands/software-agent-sdk/issues/2887 (arguments)",
        // Ranking where it is started for that.
        beside_chat: &[Completions, Embeddings, Rerank],
        idle_seconds: BEFORE_FIVE,
        reads_arguments: true,
        ..OWN
    },
    LookAlike {
        name: "TGI",
        source: "huggingface.co/docs/text-generation-inference/messages_api",
        beside_chat: &[Completions],
        calls: &[CallHabit::NoIndex],
        fields: &[("max_completion_tokens", Rename("max_tokens"))],
        ..OWN
    },
    // Node's HTTP server, which it serves with, closes an idle connection after 5 s.
    LookAlike {
        name: "LMStudio",
        source: "lmstudio.ai/docs/developer/openai-compat",
        beside_chat: &[Completions, Embeddings],
        fields: &[("max_completion_tokens", Rename("max_tokens"))],
        idle_seconds: BEFORE_FIVE,
        ..OWN
    },
];
