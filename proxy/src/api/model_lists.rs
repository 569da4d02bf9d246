//! The lists of models that kinds of providers have of their own, one row each.

use sluicegate_config::ProviderKind;
use sluicegate_dialects::Dialect;

/// The list of a kind of provider.
pub(crate) struct ListAddress {
    pub(crate) dialect: Dialect,
    /// Its path below the provider's URL; with `beside`, below what stands before the last part of that.
    pub(crate) path: &'static str,
    pub(crate) beside: bool,
    /// The member of the query that names the page.
    pub(crate) page: Option<&'static str>,
}

/// The row of a kind; `None`: it has no list of what can be called there.
pub(crate) const fn address(kind: ProviderKind) -> Option<ListAddress> {
    let own = ListAddress { dialect: Dialect::OpenAiChat, path: "/models", beside: false, page: None };
    match kind {
        ProviderKind::OpenAi | ProviderKind::OpenAiCompatible => Some(own),
        ProviderKind::Anthropic => Some(ListAddress {
            dialect: Dialect::AnthropicMessages,
            path: "/models?limit=1000",
            page: Some("after_id"),
            ..own
        }),
        ProviderKind::Gemini => Some(ListAddress {
            dialect: Dialect::Gemini,
            path: "/models?pageSize=1000",
            page: Some("pageToken"),
            ..own
        }),
        ProviderKind::Cohere => Some(ListAddress {
            dialect: Dialect::CohereChat,
            path: "/v1/models?page_size=1000",
            beside: true,
            page: Some("page_token"),
        }),
        ProviderKind::AzureOpenAi | ProviderKind::Bedrock | ProviderKind::VertexAi | ProviderKind::Simulated => None,
    }
}
