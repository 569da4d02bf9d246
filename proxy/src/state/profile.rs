//! The profile by which a provider is spoken to: what is known of its host, and what the user says over that.

use std::borrow::Cow;

use http::Uri;
use sluicegate_config::{self as config, Millis, ProviderKind};
use sluicegate_dialects::vendors::{FieldAction, LookAlike, ReasoningBack, SystemMessages};
use sluicegate_dialects::{ProviderProfile, ServerTools};

/// The path of an address that was written without one.
const COMMON_PATH: &str = "/v1";

/// Puts it together.
pub(super) fn of(from: &config::Provider) -> ProviderProfile {
    let row = (from.kind == ProviderKind::OpenAiCompatible).then(|| look_alike(from));
    let mut fields = row.as_ref().map(LookAlike::policy).unwrap_or_default();
    if from.kind == ProviderKind::AzureOpenAi && from.api_version.as_deref().is_some_and(is_without_stream_options) {
        fields.insert("stream_options".to_owned(), FieldAction::Drop);
    }
    fields.extend(from.compatibility.fields.iter().map(|(name, action)| (name.clone(), self::action(action))));
    let own_name =
        |name: &String, model: &config::Model| -> String { model.upstream_name.as_ref().unwrap_or(name).clone() };
    let limit = |(name, model): (&String, &config::Model)| Some((own_name(name, model), model.max_output_tokens?));
    let known = |(name, model): (&String, &config::Model)| Some((own_name(name, model), model.facts.max_output?));
    ProviderProfile {
        default_max_tokens: from.defaults.max_tokens,
        default_temperature: from.defaults.temperature.as_ref().and_then(|text| serde_json::from_str(text).ok()),
        look_alike: row,
        max_output: from.models.iter().filter_map(limit).collect(),
        known_output: from.models.iter().filter_map(known).collect(),
        fields,
        server_tools: match (from.compatibility.drop_server_tools, from.compatibility.refuse_server_tools) {
            (true, _) => ServerTools::Drop,
            (false, true) => ServerTools::Refuse,
            (false, false) => ServerTools::RefuseButSearch,
        },
    }
}

/// True for a version of Azure's API by deployments that refuses to be asked what a stream has used: they begin with their date, and
/// `stream_options` came with `2024-09-01-preview` (Azure OpenAI's "API version lifecycle").
fn is_without_stream_options(version: &str) -> bool {
    version < "2024-09-01"
}

fn look_alike(from: &config::Provider) -> LookAlike {
    let config::Compatibility { profile, content_lists, system_in_place, reasoning_content, .. } = &from.compatibility;
    let named = profile.as_deref().map(|name| LookAlike::named(name).ok_or(name)).transpose();
    let named = named.unwrap_or_else(|name| {
        tracing::warn!(
            provider = from.name,
            name,
            "no look-alike has the name: the provider is one of an unknown make"
        );
        Some(LookAlike::default())
    });
    let url = Uri::try_from(&from.url).ok();
    let known = named.unwrap_or_else(|| at_host(from)).at_path(url.as_ref().map_or("", Uri::path));
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

/// The look-alike at the host of a provider's address.
fn at_host(from: &config::Provider) -> LookAlike {
    let url = Uri::try_from(&from.url).ok();
    LookAlike::at(url.as_ref().and_then(Uri::host).unwrap_or_default())
}

/// The same provider, with what is known of it where the user has said nothing: the path of its host's address in place of
/// the common one, and the time after which it closes idle connections.
pub(super) fn completed<'a>(from: &'a config::Provider, row: Option<&LookAlike>) -> Cow<'a, config::Provider> {
    let Some(row) = row else { return Cow::Borrowed(from) };
    let host = from.url.strip_suffix(COMMON_PATH).filter(|host| host.matches('/').count() == 2);
    let path = at_host(from).base_path().filter(|path| *path != COMMON_PATH);
    let url = host.zip(path).map(|(host, path)| format!("{host}{path}"));
    let idle = row.idle_seconds.map(|seconds| Millis(seconds * 1_000)).filter(|_| !from.connection.idle_said);
    let idle = idle.filter(|idle| *idle < from.connection.idle_timeout);
    if url.is_none() && idle.is_none() {
        return Cow::Borrowed(from);
    }
    let mut completed = from.clone();
    completed.url = url.unwrap_or(completed.url);
    completed.connection.idle_timeout = idle.unwrap_or(completed.connection.idle_timeout);
    Cow::Owned(completed)
}

fn action(from: &config::FieldAction) -> FieldAction {
    match from {
        config::FieldAction::Pass => FieldAction::Pass,
        config::FieldAction::Drop => FieldAction::Drop,
        config::FieldAction::Refuse => FieldAction::Refuse,
        config::FieldAction::Rename(to) => FieldAction::Rename(to.clone()),
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_config::compile;

    use super::*;

    fn provider(fields: &str) -> config::Provider {
        let text = format!(
            "apiVersion: sluicegate.dev/v1alpha1\nkind: ProviderPool\nmetadata: {{name: p}}\n\
             spec: {{providers: [{{name: one, type: OpenAICompatible, {fields}}}]}}"
        );
        let (inputs, _) = compile::manifests::read(&[("p.yaml".to_owned(), text)]);
        let compiled = compile::compile(&inputs);
        let pool = compiled.snapshot.pools.into_values().next();
        pool.unwrap_or_else(|| panic!("{:?}", compiled.verdicts)).providers.remove(0)
    }

    #[test]
    fn what_nobody_said_is_as_the_row_has_it() {
        for (fields, url, idle) in [
            ("url: \"https://api.groq.com\"", "https://api.groq.com/openai/v1", 10_000),
            ("url: \"https://api.groq.com/own\"", "https://api.groq.com/own", 10_000),
            ("url: \"https://api.perplexity.ai\"", "https://api.perplexity.ai", 10_000),
            ("url: \"https://x.azuredatabricks.net\"", "https://x.azuredatabricks.net/serving-endpoints", 10_000),
            ("url: \"https://api.cloudflare.com\"", "https://api.cloudflare.com/v1", 10_000),
            ("url: \"http://m:8000\"", "http://m:8000/v1", 10_000),
            ("url: \"http://m:8000\", compatibility: {profile: vLLM}", "http://m:8000/v1", 4_000),
            // Somebody else's address, called as this one's.
            ("url: \"http://m:8000\", compatibility: {profile: Groq}", "http://m:8000/v1", 10_000),
            (
                "url: \"http://m:8000\", compatibility: {profile: vLLM}, connection: {idleTimeout: 20s}",
                "http://m:8000/v1",
                20_000,
            ),
        ] {
            let from = provider(fields);
            let completed = completed(&from, of(&from).look_alike.as_ref());
            assert_eq!((completed.url.as_str(), completed.connection.idle_timeout.0), (url, idle), "{fields}");
        }
    }
}
