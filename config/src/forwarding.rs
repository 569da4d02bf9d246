//! Headers of a caller's that go to no provider, whoever asks for it.

/// Headers that say what is asked for, beside others of their beginnings that say who asks: a caller's own id of the call, and the guardrail,
/// the tier and the latency that Bedrock's InvokeModel is asked for.
const ARE_OF_A_CALL: [&str; 2] = ["x-client-request-id", "x-amzn-bedrock-"];

/// True if a header (by its lower-case name) stays with the gateway: it belongs to one connection, holds a key, says who
/// the caller is (most often in the words of a proxy in front), names an account at a provider, or is the gateway's own.
#[must_use]
pub fn stays_here(name: &str) -> bool {
    // By its first letter: headers of every call are asked.
    let (words, beginnings): (&[&str], &[&str]) = match name.as_bytes().first() {
        Some(b'a') => (&["accept", "api-key", "authorization"], &["accept-", "access-control-"]),
        Some(b'b') => (&["baggage"], &[]),
        Some(b'c') => (&["cdn-loop", "connection", "cookie"], &["cf-", "content-"]),
        Some(b'e') => (&["expect"], &[]),
        Some(b'f') => (&["forwarded", "from"], &[]),
        Some(b'h') => (&["host", "http2-settings"], &[]),
        Some(b'k') => (&["keep-alive"], &[]),
        Some(b'o') => (&["origin"], &[]),
        Some(b'p') => (&[], &["proxy-"]),
        Some(b'r') => (&["referer", "remote-user"], &[]),
        Some(b's') => (&[], &["sec-"]),
        Some(b't') => (&["te", "trailer", "transfer-encoding", "true-client-ip"], &[]),
        Some(b'u') => (&["upgrade"], &[]),
        Some(b'v') => (&["via"], &[]),
        Some(b'x') => (
            &["x-api-key", "x-real-ip", "x-request-id", "x-user"],
            &[
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
            ],
        ),
        _ => (&[], &[]),
    };
    words.contains(&name)
        || name.ends_with("api-key")
        || names_an_account(name)
        || (!ARE_OF_A_CALL.iter().any(|of_a_call| name.starts_with(of_a_call))
            && beginnings.iter().any(|beginning| name.starts_with(beginning)))
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
            "openai-api-key",
            "anthropic-api-key",
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
        for name in [
            "anthropic-beta",
            "openai-beta",
            "openai-projection",
            "x-mine",
            "x-client-request-id",
            "x-amzn-bedrock-trace",
        ] {
            assert!(!stays_here(name), "{name}");
        }
    }
}
