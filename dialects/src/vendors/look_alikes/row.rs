//! A row of the tables, and the one of a server of an unknown make.

use super::habits::{
    CallHabit, CallIds, HostFieldRule, KeyUse, MessageFields, OffWord, PrefillMark, ReasoningBack, SideOperation,
    SignaturePlace, SystemMessages, UsageHabit,
};

/// A row: a look-alike, and the way to speak to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookAlike {
    /// Its name, by which `compatibility.profile` knows it; empty: a server of an unknown make.
    pub name: &'static str,
    /// The hosts that it answers at; all below them count too. None: people run it themselves.
    pub hosts: &'static [&'static str],
    /// The address to call it at; words in capitals stand for what each customer has of his own. `None`: people run it
    /// themselves.
    pub base: Option<&'static str>,
    /// The place that its facts are from.
    pub source: &'static str,
    /// True if it asks for a key.
    pub key: KeyUse,
    /// The operations that it has beside Chat Completions.
    pub beside_chat: &'static [SideOperation],
    /// True if it takes text as a list of parts; else text alone is one string.
    pub content_lists: bool,
    /// The place that instructions in mid-conversation go to.
    pub system_messages: SystemMessages,
    /// The field of the model's thoughts, in answers and on their way back.
    pub thoughts: &'static str,
    /// The way in which the model's thoughts go back to it.
    pub reasoning: ReasoningBack,
    /// The place of signatures.
    pub signatures: SignaturePlace,
    /// The values of `reasoning_effort` that it takes, whichever the model; `None`: as the table of models says.
    pub efforts: Option<&'static [&'static str]>,
    /// Those that it takes for some of its models, by the beginnings of their names; the first that matches counts, before `efforts`.
    pub model_efforts: &'static [(&'static str, &'static [&'static str])],
    /// The word by which a model is told not to think, where it is no effort.
    pub off: Option<OffWord>,
    /// True if a tool can be forced while the model thinks.
    pub must_beside_thoughts: bool,
    /// Fields that every call of another dialect's is sent with, and their JSON.
    pub always: &'static [(&'static str, &'static str)],
    /// True if it refuses `top_p` below 1 beside a `temperature` of 0.
    pub greedy_alone: bool,
    /// True if it reads the arguments of calls in a conversation, and refuses a call where they are no JSON object.
    pub reads_arguments: bool,
    /// The way in which its streams say what was used.
    pub usage: UsageHabit,
    /// The ids of tool calls that it takes.
    pub call_ids: CallIds,
    /// The differences of its tool calls from OpenAI's in a stream.
    pub calls: &'static [CallHabit],
    /// True if it takes a turn of the user's right behind tool results.
    pub user_after_results: bool,
    /// The mark of a last turn of the model's that it is to go on with. `None`: it takes one as it is, or nobody knows.
    pub prefill: Option<PrefillMark>,
    /// The same, where it is taken below one path of its host's alone.
    pub prefill_at: Option<(&'static str, PrefillMark)>,
    /// The fields of messages that it knows, where it refuses others, as other vendors' thoughts; `None`: it reads past those.
    pub message_fields: Option<&'static MessageFields>,
    /// True if a document is a piece by its address, `document_url`, which its bytes may be too; else a `file`.
    pub documents_by_address: bool,
    /// True if it knows OpenAI's newer role for instructions, `developer`.
    pub developer: bool,
    /// True if it takes a form for its answer beside tools.
    pub format_beside_tools: bool,
    /// True if it takes a schema for its answer; else any JSON object is all that can be asked for by a field.
    pub schemas: bool,
    /// True if it takes any regular expression in a schema, or reads past them; else one that its engine may not compile is said in the
    /// description.
    pub any_pattern: bool,
    /// True if it wants a type of every schema, none beside `anyOf`, and nothing beside a reference.
    pub typed_schemas: bool,
    /// The rules for top-level fields, in its own words.
    pub fields: &'static [(&'static str, HostFieldRule)],
    /// Words in the names of the models whose prompts are cached where a part is marked with Anthropic's `cache_control`.
    pub cache_marks: &'static [&'static str],
    /// The seconds after which an idle connection is let go, where the server itself closes one sooner than is common.
    pub idle_seconds: Option<u64>,
}

/// A server of an unknown make.
pub(super) const UNKNOWN: LookAlike = LookAlike {
    name: "",
    hosts: &[],
    base: None,
    source: "",
    key: KeyUse::Optional,
    // vLLM, SGLang, llama.cpp, LM Studio and Ollama all have the first two; of the others nobody knows, so it is asked.
    beside_chat: &[
        SideOperation::Completions,
        SideOperation::Embeddings,
        SideOperation::ImageGenerations,
        SideOperation::ImageEdits,
        SideOperation::ImageVariations,
        SideOperation::Speech,
        SideOperation::Transcriptions,
        SideOperation::Translations,
        SideOperation::Moderations,
        SideOperation::Rerank,
    ],
    content_lists: false,
    system_messages: SystemMessages::First,
    thoughts: "reasoning_content",
    reasoning: ReasoningBack::Never,
    // A gateway before Google's models says them so; what is no gateway reads past it.
    signatures: SignaturePlace::OnCalls,
    efforts: None,
    model_efforts: &[],
    off: None,
    must_beside_thoughts: true,
    always: &[],
    greedy_alone: false,
    reads_arguments: false,
    usage: UsageHabit::WhenAsked,
    call_ids: CallIds::Any,
    calls: &[],
    user_after_results: true,
    prefill: None,
    prefill_at: None,
    message_fields: None,
    documents_by_address: false,
    developer: false,
    format_beside_tools: true,
    schemas: true,
    // A gateway may have OpenAI behind it.
    any_pattern: false,
    typed_schemas: false,
    fields: &[],
    cache_marks: &[],
    idle_seconds: None,
};

impl Default for LookAlike {
    fn default() -> Self {
        UNKNOWN
    }
}
