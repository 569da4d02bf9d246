//! Breakpoints of a prompt cache: what a rule says, in place of its route.

use sluicegate_crds as crds;

use crate::PromptCache;

/// The turns that have one where nothing is said.
const TURNS: u8 = 2;

/// The breakpoints of a rule's calls; `None`: there are none.
pub(super) fn compile(said: Option<&crds::PromptCache>) -> Option<PromptCache> {
    let crds::PromptCache { tools, system, turns, ttl } = said?;
    let compiled = PromptCache {
        tools: tools.unwrap_or(true),
        system: system.unwrap_or(true),
        turns: turns.unwrap_or(TURNS),
        for_an_hour: *ttl == Some(crds::PromptCacheTtl::Hour),
    };
    (compiled.tools || compiled.system || compiled.turns > 0).then_some(compiled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_usual_and_nothing_at_all_is_none() {
        let of = |text: &str| compile(Some(&serde_json::from_str(text).unwrap()));
        let usual = PromptCache { tools: true, system: true, turns: 2, for_an_hour: false };
        assert_eq!(compile(None), None);
        assert_eq!(of("{}"), Some(usual));
        assert_eq!(
            of(r#"{"tools":false,"turns":0,"ttl":"1h"}"#),
            Some(PromptCache { tools: false, turns: 0, for_an_hour: true, ..usual })
        );
        assert_eq!(of(r#"{"tools":false,"system":false,"turns":0}"#), None);
    }
}
