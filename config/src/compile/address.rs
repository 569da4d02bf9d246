//! A provider's address, checked and brought into one form.

use http::Uri;
use sluicegate_crds as crds;

/// The path of a provider's address that has none.
pub(super) const fn default_path(kind: crds::ProviderType) -> &'static str {
    match kind {
        crds::ProviderType::Gemini => "/v1beta",
        crds::ProviderType::Cohere => "/v2",
        crds::ProviderType::AzureOpenAI => "/openai",
        crds::ProviderType::Bedrock => "",
        _ => "/v1",
    }
}

/// Google's address of a location of Vertex AI.
pub(super) fn of_vertex(place: &crds::VertexAi) -> String {
    match place.location.as_str() {
        "global" => "https://aiplatform.googleapis.com/v1".to_owned(),
        // Several regions together.
        wide @ ("us" | "eu") => format!("https://aiplatform.{wide}.rep.googleapis.com/v1"),
        location => format!("https://{location}-aiplatform.googleapis.com/v1"),
    }
}

/// True for an address that the gateway's own identity may be shown to: Google's, or this machine's.
pub(super) fn is_googles(url: &str) -> bool {
    is_of(url, |host| host.ends_with(".googleapis.com"))
}

/// True for an address of Bedrock's, or of this machine.
pub(super) fn is_amazons(url: &str) -> bool {
    is_of(url, |host| {
        let Some(host) = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn")) else {
            return false;
        };
        // A private endpoint's own name stands before the service's.
        let is_service = |host: &str| {
            let place = host.strip_prefix("bedrock-runtime-fips.").or_else(|| host.strip_prefix("bedrock-runtime."));
            place.is_some_and(|place| !place.is_empty())
        };
        is_service(host) || host.split_once('.').is_some_and(|(before, rest)| !before.is_empty() && is_service(rest))
    })
}

/// True for an address of Azure's that answers calls, or of this machine.
pub(super) fn is_azures(url: &str) -> bool {
    is_of(url, |host| {
        let Some((resource, rest)) = host.split_once('.') else { return false };
        let clouds = ["azure.com", "azure.us", "azure.cn"];
        let services = ["openai.", "cognitiveservices.", "services.ai."];
        !resource.is_empty()
            && services.iter().any(|service| rest.strip_prefix(service).is_some_and(|cloud| clouds.contains(&cloud)))
    })
}

/// True for an address of OpenAI's own, or of this machine.
pub(super) fn is_openais(url: &str) -> bool {
    is_of(url, |host| {
        let region = host.strip_suffix("api.openai.com").map(|region| region.strip_suffix('.').unwrap_or(region));
        region.is_some_and(|region| !region.contains('.'))
            && (host == "api.openai.com" || host.ends_with(".api.openai.com"))
    })
}

/// True for an address over TLS at such a host, or of this machine.
fn is_of(url: &str, is_host: impl FnOnce(&str) -> bool) -> bool {
    let (is_right, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://127.0.0.1")) {
        (Some(behind), _) => {
            let end = behind.find(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '.')).unwrap_or(behind.len());
            let (host, rest) = behind.split_at_checked(end).unwrap_or((behind, ""));
            (is_host(host), rest)
        }
        (None, Some(rest)) => (true, rest),
        (None, None) => return false,
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty();
    let port = rest.split('/').next().unwrap_or_default();
    is_right && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))
}

/// The path of a place at Vertex AI below the API's version.
pub(super) fn below_vertex(place: &crds::VertexAi) -> String {
    format!("/projects/{}/locations/{}", place.project, place.location)
}

/// Endings of a call's own path. It is added to an address: copied out of a vendor's example into one, it would be there
/// twice.
const CALLS: [&str; 2] = ["/chat/completions", "/messages"];

/// Scheme, host, port and path prefix, without a slash at the end. An address without a path gets `default_path`; one with
/// a path is used as it is. The scheme's own port is left out and the host is in lower case, so that two spellings of one
/// address share their connections and their health.
pub(super) fn normalise(url: &str, default_path: &str) -> Result<String, String> {
    let example = "write one such as https://api.openai.com";
    let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("{url:?} has no scheme: {example}"))?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return Err(format!("the scheme {scheme:?} is not spoken: write http:// or https://"));
    }
    if rest.contains(['?', '#']) {
        return Err(format!("{url:?} has a query or a fragment: leave it out, {example}"));
    }
    // Not echoed: what stands before the @ may be a password.
    if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
        return Err(format!(
            "the url holds a user or password: leave it out and name a Secret in credentials, {example}"
        ));
    }
    let uri: Uri = url.parse().map_err(|error| format!("{url:?} is not a url ({error}): {example}"))?;
    let authority = uri.authority().ok_or_else(|| format!("{url:?} has no host: {example}"))?;
    let host = authority.host().to_ascii_lowercase();
    if host.is_empty() || host == "[]" {
        return Err(format!("{url:?} has no host: {example}"));
    }
    let port =
        port(authority.as_str(), &host, &scheme).ok_or_else(|| format!("{url:?} has no valid port: {example}"))?;
    let path = uri.path().trim_end_matches('/');
    if path.split('/').any(|segment| segment == "." || segment == "..") || path.contains("//") {
        return Err(format!("the path {path:?} has empty, . or .. segments: write it without them"));
    }
    if let Some(call) = CALLS.iter().find(|call| path.ends_with(**call)) {
        return Err(format!("the path {path:?} ends in {call}, which is added to every address: leave it out"));
    }
    Ok(format!("{scheme}://{host}{port}{}", if path.is_empty() { default_path } else { path }))
}

/// The address as a kind of provider has it: vendors' pages show theirs with the API's version, a deployment or
/// a project behind them, which every call has of its own.
pub(super) fn of_kind(kind: crds::ProviderType, url: String) -> Result<String, String> {
    if kind == crds::ProviderType::VertexAI && url.contains("/projects/") {
        return Err(format!("{url:?} names a project: leave /projects/… out, and write it as vertexAI.project"));
    }
    if kind != crds::ProviderType::AzureOpenAI {
        return Ok(url);
    }
    if url.contains("/deployments/") {
        return Err(format!(
            "{url:?} names a deployment: leave /deployments/… out, and write the deployment as a model's name or upstreamName"
        ));
    }
    Ok(url.strip_suffix("/openai/v1").map(|rest| format!("{rest}/openai")).unwrap_or(url))
}

/// `:port`, or nothing for the scheme's own.
fn port(authority: &str, host: &str, scheme: &str) -> Option<String> {
    let rest = authority.get(host.len()..)?;
    let Some(digits) = rest.strip_prefix(':') else { return rest.is_empty().then(String::new) };
    let number: u16 = digits.parse().ok().filter(|number| *number > 0)?;
    let own = if scheme == "https" { 443 } else { 80 };
    Some(if number == own { String::new() } else { format!(":{number}") })
}

#[cfg(test)]
mod tests {
    fn normalise(url: &str) -> Result<String, String> {
        super::normalise(url, "/v1")
    }

    #[test]
    fn one_form_for_each_address() {
        for (url, expected) in [
            ("https://api.openai.com", "https://api.openai.com/v1"),
            ("https://api.openai.com/", "https://api.openai.com/v1"),
            ("https://API.OpenAI.com:443/v1/", "https://api.openai.com/v1"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
            ("http://[::1]:8000/api", "http://[::1]:8000/api"),
            ("http://localhost:80", "http://localhost/v1"),
            ("https://llm.example.com/api/openai", "https://llm.example.com/api/openai"),
        ] {
            assert_eq!(normalise(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn azures_addresses_are_taken_as_its_portal_shows_them() {
        let of = |url: &str| {
            let kind = sluicegate_crds::ProviderType::AzureOpenAI;
            super::normalise(url, super::default_path(kind)).and_then(|url| super::of_kind(kind, url))
        };
        for url in
            ["https://x.openai.azure.com", "https://x.openai.azure.com/openai/v1/", "https://x.openai.azure.com/openai"]
        {
            assert_eq!(of(url).as_deref(), Ok("https://x.openai.azure.com/openai"), "{url}");
        }
        assert_eq!(of("https://apim.example.com/llm").as_deref(), Ok("https://apim.example.com/llm"));
        assert!(of("https://x.openai.azure.com/openai/deployments/gpt").is_err());
    }

    #[test]
    fn vertex_is_where_its_location_is() {
        for (location, host) in
            [("global", "aiplatform"), ("eu", "aiplatform.eu.rep"), ("us-east5", "us-east5-aiplatform")]
        {
            let place = sluicegate_crds::VertexAi { project: "p".to_owned(), location: location.to_owned() };
            assert_eq!(
                super::of_vertex(&place) + &super::below_vertex(&place),
                format!("https://{host}.googleapis.com/v1/projects/p/locations/{location}")
            );
        }
    }

    #[test]
    fn the_gateways_own_identity_is_shown_to_google_alone() {
        for (url, is) in [
            ("https://us-east5-aiplatform.googleapis.com", true),
            ("https://x.p.googleapis.com:443/v1", true),
            ("http://127.0.0.1:8080/v1", true),
            ("http://us-east5-aiplatform.googleapis.com", false),
            ("https://googleapis.com.evil.example", false),
            ("https://evilgoogleapis.com", false),
            ("https://evil.example/.googleapis.com", false),
            ("https://evil.example:443.googleapis.com", false),
            ("https://x.googleapis.com:evil", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://127.0.0.1", true),
        ] {
            assert_eq!(super::is_googles(url), is, "{url}");
        }
    }

    #[test]
    fn the_gateways_own_identity_is_shown_to_each_cloud_alone() {
        for (url, is) in [
            ("https://bedrock-runtime.us-east-1.amazonaws.com", true),
            ("https://bedrock-runtime-fips.us-east-1.amazonaws.com:443/x", true),
            ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", true),
            ("https://vpce-0a1b.bedrock-runtime.us-east-1.vpce.amazonaws.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://bedrock-runtime.us-east-1.amazonaws.com", false),
            ("https://x.execute-api.us-east-1.amazonaws.com", false),
            ("https://bedrock-runtime.us-east-1.amazonaws.com.evil.example", false),
            ("https://bedrock-runtime.evil.example", false),
            ("https://a.b.bedrock-runtime.us-east-1.amazonaws.com", false),
        ] {
            assert_eq!(super::is_amazons(url), is, "{url}");
        }
        for (url, is) in [
            ("https://x.openai.azure.com/openai", true),
            ("https://x.openai.azure.us", true),
            ("https://x-1.cognitiveservices.azure.cn:443", true),
            ("https://x.services.ai.azure.com", true),
            ("http://127.0.0.1", true),
            ("https://openai.azure.com", false),
            ("https://x.blob.azure.com", false),
            ("https://x.y.openai.azure.com", false),
            ("https://x.openai.azure.com.evil.example", false),
            ("http://x.openai.azure.com", false),
        ] {
            assert_eq!(super::is_azures(url), is, "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "",
            "api.openai.com",
            "ftp://x",
            "https://",
            "https:///v1",
            "https://user:pass@host",
            "https://api.openai.com/v1/chat/completions",
            "https://api.anthropic.com/v1/messages/",
            "https://h?x=1",
            "https://h#f",
            "https://h:0",
            "https://h:99999",
            "https://h:x",
            "https://h/../x",
            "https://h//x",
            "https://h /x",
        ] {
            assert!(normalise(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        assert!(!normalise("https://user:hunter2@host").expect_err("refused").contains("hunter2"));
    }
}
