//! Headers of a caller's that go to no provider, whoever asks for it.

/// True if a header (by its lower-case name) stays with the gateway: it belongs to one connection, holds a key, says who
/// the caller is (most often in the words of a proxy in front), names an account at a provider, or is the gateway's own.
#[must_use]
pub fn stays_here(name: &str) -> bool {
    const BEGINNINGS: [&str; 17] = [
        "accept-",
        "access-control-",
        "cf-",
        "content-",
        "proxy-",
        "sec-",
        "x-amz-",
        "x-amzn-",
        "x-auth-",
        "x-client-",
        "x-envoy-",
        "x-forwarded",
        "x-goog-",
        "x-ms-",
        "x-original-",
        "x-remote-",
        "x-sluicegate-",
    ];
    matches!(
        name,
        "accept"
            | "api-key"
            | "authorization"
            | "baggage"
            | "cdn-loop"
            | "connection"
            | "cookie"
            | "expect"
            | "forwarded"
            | "from"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "origin"
            | "referer"
            | "remote-user"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "true-client-ip"
            | "upgrade"
            | "via"
            | "x-api-key"
            | "x-real-ip"
            | "x-request-id"
            | "x-user"
    ) || names_an_account(name)
        || (name != "x-client-request-id" && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)))
}

/// True if a header names an account, organisation, project or workspace at a provider. From a caller it would be set
/// beside the gateway's own key; from a provider it tells whose key that is.
#[must_use]
pub fn names_an_account(name: &str) -> bool {
    const VENDORS: [&str; 3] = ["openai-", "anthropic-", "x-goog-"];
    const ACCOUNTS: [&str; 5] = ["organization", "project", "workspace", "account", "user-project"];
    VENDORS.iter().filter_map(|vendor| name.strip_prefix(vendor)).any(|rest| {
        ACCOUNTS
            .iter()
            .any(|account| rest.strip_prefix(account).is_some_and(|end| end.is_empty() || end.starts_with('-')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_callers_the_connections_or_an_accounts_stays() {
        for name in [
            "authorization",
            "x-api-key",
            "x-goog-api-key",
            "cookie",
            "te",
            "proxy-authorization",
            "x-auth-request-email",
            "x-forwarded-for",
            "x-forwarded-user",
            "x-amzn-oidc-data",
            "cf-connecting-ip",
            "x-ms-client-principal",
            "x-goog-iap-jwt-assertion",
            "via",
            "sec-fetch-mode",
            "sec-ch-ua",
            "baggage",
            "x-sluicegate-consumer",
            "openai-organization",
            "openai-project",
            "x-goog-user-project",
            "anthropic-workspace-id",
            "anthropic-organization-id",
            "accept-encoding",
        ] {
            assert!(stays_here(name), "{name}");
        }
        for name in
            ["anthropic-beta", "openai-beta", "openai-projection", "x-mine", "traceparent", "x-client-request-id"]
        {
            assert!(!stays_here(name), "{name}");
        }
    }
}
