//! A provider's differences from its dialect's vendor.

use std::collections::BTreeMap;

use sluicegate_crds::{self as crds, rules};

use super::report::Report;
use crate::{BetaAction, Compatibility, FieldAction, ReasoningContent};

/// Compiles it. `path` is the provider's.
pub(super) fn compile(spec: &crds::Provider, path: &str, report: &mut Report<'_>) -> Compatibility {
    let Some(given) = &spec.compatibility else { return Compatibility::default() };
    let crds::Compatibility { profile, fields, betas, server_tools, content, system_messages, reasoning_content } =
        given;
    let look_alike = spec.kind == crds::ProviderType::OpenAICompatible;
    let forms = profile.is_some() || content.is_some() || system_messages.is_some() || reasoning_content.is_some();
    report.rule(path, rules::FORMS_OF_LOOK_ALIKES, look_alike || !forms);
    let has_betas =
        matches!(spec.kind, crds::ProviderType::Anthropic | crds::ProviderType::Bedrock | crds::ProviderType::VertexAI);
    report.rule(path, rules::BETAS_OF_ANTHROPIC, has_betas || betas.is_empty());
    let path = format!("{path}.compatibility");
    Compatibility {
        profile: profile.clone(),
        fields: self::fields(fields, &path, report),
        betas: self::betas(betas, &path, report),
        drop_server_tools: *server_tools == Some(crds::ServerTools::Drop),
        refuse_server_tools: *server_tools == Some(crds::ServerTools::Refuse),
        content_lists: content.map(|form| form == crds::ContentForm::Parts),
        system_in_place: system_messages.map(|place| place == crds::SystemMessages::InPlace),
        reasoning_content: reasoning_content.map(|how| match how {
            crds::ReasoningContent::Never => ReasoningContent::Never,
            crds::ReasoningContent::Sent => ReasoningContent::Sent,
            crds::ReasoningContent::Required => ReasoningContent::Required,
        }),
    }
}

fn fields(specs: &[crds::FieldRule], path: &str, report: &mut Report<'_>) -> BTreeMap<String, FieldAction> {
    let mut fields = BTreeMap::new();
    for (index, crds::FieldRule { name, action, to }) in specs.iter().enumerate() {
        let path = format!("{path}.fields[{index}]");
        report.rule(&path, rules::FIELD_TO, (*action == crds::FieldAction::Rename) == to.is_some());
        let reserved = |name: &str| matches!(name, "model" | "messages" | "stream");
        report.rule(&path, rules::FIELD_RESERVED, !reserved(name) && !to.as_deref().is_some_and(reserved));
        let action = match action {
            crds::FieldAction::Pass => FieldAction::Pass,
            crds::FieldAction::Drop => FieldAction::Drop,
            crds::FieldAction::Refuse => FieldAction::Refuse,
            crds::FieldAction::Rename => FieldAction::Rename(to.clone().unwrap_or_default()),
        };
        if fields.insert(name.clone(), action).is_some() {
            report.invalid(&path, format!("Duplicate value: {{\"name\":{name:?}}}: list each field once"));
        }
    }
    fields
}

fn betas(specs: &[crds::BetaRule], path: &str, report: &mut Report<'_>) -> BTreeMap<String, BetaAction> {
    let mut betas = BTreeMap::new();
    for (index, crds::BetaRule { name, action }) in specs.iter().enumerate() {
        let action = match action {
            crds::BetaAction::Pass => BetaAction::Pass,
            crds::BetaAction::Drop => BetaAction::Drop,
            crds::BetaAction::Refuse => BetaAction::Refuse,
        };
        if betas.insert(name.clone(), action).is_some() {
            let path = format!("{path}.betas[{index}]");
            report.invalid(&path, format!("Duplicate value: {{\"name\":{name:?}}}: list each beta once"));
        }
    }
    betas
}
