//! The profile by which a provider is spoken to: what is known of its host, and what the user says over that.

use http::Uri;
use sluicegate_config::{self as config, ProviderKind};
use sluicegate_dialects::vendors::{self, FieldAction, LookAlike, ReasoningBack, SystemMessages};
use sluicegate_dialects::{ProviderProfile, ServerTools};

/// Puts it together.
pub(super) fn of(from: &config::Provider) -> ProviderProfile {
    let row = (from.kind == ProviderKind::OpenAiCompatible).then(|| look_alike(from));
    let mut fields = row.as_ref().map(LookAlike::policy).unwrap_or_default();
    fields.extend(from.compatibility.fields.iter().map(|(name, action)| (name.clone(), self::action(action))));
    let limit = |(name, model): (&String, &config::Model)| {
        Some((model.upstream_name.as_ref().unwrap_or(name).clone(), model.max_output_tokens?))
    };
    ProviderProfile {
        default_max_tokens: from.defaults.max_tokens,
        default_temperature: from.defaults.temperature.as_ref().and_then(|text| serde_json::from_str(text).ok()),
        look_alike: row,
        max_output: from.models.iter().filter_map(limit).collect(),
        fields,
        server_tools: match (from.compatibility.drop_server_tools, from.compatibility.refuse_server_tools) {
            (true, _) => ServerTools::Drop,
            (false, true) => ServerTools::Refuse,
            (false, false) => ServerTools::RefuseButSearch,
        },
    }
}

fn look_alike(from: &config::Provider) -> LookAlike {
    let url = Uri::try_from(&from.url).ok();
    let known = vendors::look_alike(url.as_ref().and_then(Uri::host).unwrap_or_default());
    let config::Compatibility { content_lists, system_in_place, reasoning_content, .. } = &from.compatibility;
    LookAlike {
        content_lists: content_lists.unwrap_or(known.content_lists),
        system_messages: match system_in_place {
            Some(true) => SystemMessages::InPlace,
            Some(false) => SystemMessages::First,
            None => known.system_messages,
        },
        reasoning: match reasoning_content {
            Some(config::ReasoningContent::Never) => ReasoningBack::Never,
            Some(config::ReasoningContent::Sent) => ReasoningBack::Sent,
            Some(config::ReasoningContent::Required) => ReasoningBack::Required,
            None => known.reasoning,
        },
        ..known
    }
}

fn action(from: &config::FieldAction) -> FieldAction {
    match from {
        config::FieldAction::Pass => FieldAction::Pass,
        config::FieldAction::Drop => FieldAction::Drop,
        config::FieldAction::Refuse => FieldAction::Refuse,
        config::FieldAction::Rename(to) => FieldAction::Rename(to.clone()),
    }
}
