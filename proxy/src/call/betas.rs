//! The values of `anthropic-beta`, and which of them a provider is told.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use sluicegate_config::BetaAction;
use sluicegate_dialects::verbatim::{BetaFate, Envelope};
use sluicegate_dialects::{Refusal, verbatim};

pub(super) const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// The outcome of a provider's rules for the caller's betas.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Betas {
    /// They go on as they came.
    AsTheyCame,
    /// These go on instead.
    Only(HeaderValue),
    /// None of them goes on.
    None,
}

/// Says in a header what a body says in its envelope.
pub(super) fn of_body(headers: &mut HeaderMap, body: &[u8]) {
    let line = verbatim::betas(body).join(",");
    if let Some(line) = HeaderValue::try_from(line).ok().filter(|line| !line.is_empty()) {
        headers.append(ANTHROPIC_BETA, line);
    }
}

impl Betas {
    /// Adds one that says what a field has said, unless a rule of the provider's leaves it out.
    pub(super) fn with(
        self,
        beta: Option<&'static str>,
        headers: &HeaderMap,
        rules: &BTreeMap<String, BetaAction>,
    ) -> Self {
        let wanted = beta.filter(|beta| matches!(rule(beta, rules), None | Some(BetaAction::Pass)));
        let Some(beta) = wanted else { return self };
        let mut list = self.list(headers);
        if list.iter().any(|known| known == beta) {
            return self;
        }
        list.push(beta.to_owned());
        HeaderValue::try_from(list.join(",")).map_or(self, Self::Only)
    }

    /// The betas that go on, one by one.
    pub(super) fn list(&self, headers: &HeaderMap) -> Vec<String> {
        let all =
            || headers.get_all(ANTHROPIC_BETA).into_iter().filter_map(|line| line.to_str().ok()).collect::<Vec<_>>();
        let lines = match self {
            Self::AsTheyCame => all().join(","),
            Self::Only(line) => line.to_str().unwrap_or_default().to_owned(),
            Self::None => String::new(),
        };
        lines.split(',').map(str::trim).filter(|beta| !beta.is_empty()).map(str::to_owned).collect()
    }
}

/// Goes through the caller's betas, for a `host` that is not the one it speaks to. Errors: one that the provider does not take.
pub(super) fn told(
    headers: &HeaderMap,
    rules: &BTreeMap<String, BetaAction>,
    host: Option<Envelope>,
) -> Result<Betas, Refusal> {
    let host = host.unwrap_or(Envelope::Plain);
    if (rules.is_empty() && host == Envelope::Plain) || !headers.contains_key(ANTHROPIC_BETA) {
        return Ok(Betas::AsTheyCame);
    }
    let lines = headers.get_all(ANTHROPIC_BETA).into_iter().filter_map(|line| line.to_str().ok());
    let all: Vec<&str> =
        lines.flat_map(|line| line.split(',')).map(str::trim).filter(|beta| !beta.is_empty()).collect();
    let mut kept = Vec::with_capacity(all.len());
    for beta in &all {
        match rule(beta, rules) {
            Some(BetaAction::Pass) => kept.push(*beta),
            None => match host.beta(beta) {
                BetaFate::Passes => kept.push(*beta),
                BetaFate::Becomes(name) if !all.contains(&name) => kept.push(name),
                BetaFate::Becomes(_) | BetaFate::Goes => {}
            },
            Some(BetaAction::Drop) => {}
            Some(BetaAction::Refuse) => {
                let what = format_args!("this provider does not take the beta `{beta}`");
                return Err(Refusal::field(ANTHROPIC_BETA.as_str(), what));
            }
        }
    }
    if kept == all {
        return Ok(Betas::AsTheyCame);
    }
    let line = Some(kept.join(",")).filter(|line| !line.is_empty());
    Ok(line.and_then(|line| HeaderValue::try_from(line).ok()).map_or(Betas::None, Betas::Only))
}

/// The rule for a beta: the one that names it, else the one with the longest beginning.
fn rule(beta: &str, rules: &BTreeMap<String, BetaAction>) -> Option<BetaAction> {
    if let Some(exact) = rules.get(beta) {
        return Some(*exact);
    }
    let begins = rules.iter().filter_map(|(name, action)| Some((name.strip_suffix('*')?, *action)));
    begins.filter(|(start, _)| beta.starts_with(start)).max_by_key(|(start, _)| start.len()).map(|(_, action)| action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beta_that_a_field_has_said_is_added_once() {
        let mut headers = HeaderMap::new();
        let none = BTreeMap::new();
        let with = |betas: Betas, headers: &HeaderMap, rules: &BTreeMap<String, BetaAction>| {
            betas.with(Some("fine-1"), headers, rules).list(headers).join(",")
        };
        assert_eq!(with(Betas::AsTheyCame, &headers, &none), "fine-1");
        headers.append(ANTHROPIC_BETA, HeaderValue::from_static("a-1"));
        assert_eq!(with(Betas::AsTheyCame, &headers, &none), "a-1,fine-1");
        assert_eq!(with(Betas::None, &headers, &none), "fine-1");
        assert_eq!(with(Betas::Only(HeaderValue::from_static("fine-1")), &headers, &none), "fine-1");
        let rules = BTreeMap::from([("fine-*".to_owned(), BetaAction::Drop)]);
        assert_eq!(with(Betas::AsTheyCame, &headers, &rules), "a-1");
        assert_eq!(Betas::AsTheyCame.with(None, &headers, &none), Betas::AsTheyCame);
    }

    #[test]
    fn the_most_exact_rule_counts() {
        let mut headers = HeaderMap::new();
        headers.append(ANTHROPIC_BETA, HeaderValue::from_static("context-management-2025-06-27,claude-code-20250219"));
        headers.append(ANTHROPIC_BETA, HeaderValue::from_static(" fine-1 "));
        let rules = |list: &[(&str, BetaAction)]| list.iter().map(|(name, to)| ((*name).to_owned(), *to)).collect();
        let only = |line: &'static str| Betas::Only(HeaderValue::from_static(line));
        let (pass, drop) = (BetaAction::Pass, BetaAction::Drop);
        for (list, told_so) in [
            (rules(&[]), Betas::AsTheyCame),
            (rules(&[("other", drop)]), Betas::AsTheyCame),
            (rules(&[("context-management-2025-06-27", drop)]), only("claude-code-20250219,fine-1")),
            (rules(&[("*", drop), ("claude-code-*", pass)]), only("claude-code-20250219")),
            (rules(&[("*", drop)]), Betas::None),
        ] {
            assert_eq!(told(&headers, &list, None).unwrap(), told_so, "{list:?}");
        }
        let refusal = told(&headers, &rules(&[("fine-*", BetaAction::Refuse)]), None).unwrap_err();
        assert!(refusal.message.contains("`fine-1`"), "{}", refusal.message);
        assert_eq!(told(&HeaderMap::new(), &rules(&[("*", drop)]), None).unwrap(), Betas::AsTheyCame);
        // Another host is told what it knows, and what the provider's own rules say.
        headers.append(ANTHROPIC_BETA, HeaderValue::from_static("advanced-tool-use-2025-11-20"));
        for (list, told_so) in [
            (rules(&[]), only("context-management-2025-06-27,fine-1,tool-search-tool-2025-10-19")),
            (
                rules(&[("claude-code-*", pass), ("advanced-*", drop)]),
                only("context-management-2025-06-27,claude-code-20250219,fine-1"),
            ),
        ] {
            assert_eq!(told(&headers, &list, Some(Envelope::Bedrock)).unwrap(), told_so, "{list:?}");
            assert_eq!(told(&headers, &rules(&[]), Some(Envelope::Plain)).unwrap(), Betas::AsTheyCame);
        }
    }
}
