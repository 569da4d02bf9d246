//! The namespaces that may claim a model by name: what a platform says beside the resources. A route elsewhere that
//! names such a model is refused, so that no tenant takes a model from everybody.

use serde::Deserialize;

use crate::{ModelMatch, ObjectId, Route};

/// Every namespace, among the namespaces of a claim.
const EVERY: &str = "*";

/// A platform's rules about models: of a model that several patterns hold, the closest decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelClaims(Vec<Claim>);

/// One pattern, and who may claim what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    pattern: Pattern,
    namespaces: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Name(String),
    Prefix(String),
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    models: Vec<String>,
    namespaces: Vec<String>,
}

impl ModelClaims {
    /// Reads a JSON list of `{"models": ["gpt-*", "o3"], "namespaces": ["platform"]}`: names of models, or the letters
    /// that they begin with and `*`.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written: Vec<Written> = serde_json::from_str(text).map_err(|error| {
            format!(
                "it is no list of claims ({error}): write such as \
                 [{{\"models\": [\"gpt-*\"], \"namespaces\": [\"platform\"]}}]"
            )
        })?;
        let mut claims: Vec<Claim> = Vec::new();
        for Written { models, namespaces } in written {
            if models.is_empty() || namespaces.is_empty() || namespaces.iter().any(String::is_empty) {
                return Err("a claim has no models or no namespaces: write at least one of each".to_owned());
            }
            for model in models {
                let pattern = Pattern::parse(&model)?;
                match claims.iter_mut().find(|claim| claim.pattern == pattern) {
                    Some(claim) => claim.namespaces.extend(namespaces.iter().cloned()),
                    None => claims.push(Claim { pattern, namespaces: namespaces.clone() }),
                }
            }
        }
        Ok(Self(claims))
    }

    /// The first claim that a condition on the model breaks, when it is of a route in this namespace.
    fn broken(&self, model: &ModelMatch, namespace: &str) -> Option<&Claim> {
        // The closest claim that holds all that the condition can match decides about it …
        let around =
            self.0.iter().filter(|claim| claim.pattern.holds(model)).max_by_key(|claim| claim.pattern.closeness());
        let is_closer =
            |claim: &&Claim| around.is_none_or(|around| claim.pattern.closeness() > around.pattern.closeness());
        // … and those that hold a part of it have each their say.
        let within = self.0.iter().filter(is_closer).filter(|claim| claim.pattern.meets(model));
        around.into_iter().chain(within).find(|claim| !claim.lets(namespace))
    }

    /// True if a compiled route claims what it may not.
    pub(super) fn are_broken_by(&self, id: &ObjectId, route: &Route) -> bool {
        let namespace = namespace(id);
        let mut models = route.rules.iter().flat_map(|rule| &rule.matches).filter_map(|one| one.model.as_ref());
        models.any(|model| self.broken(model, namespace).is_some())
    }

    /// The models that a route claims and may not: where, and what to write.
    pub(super) fn refusals(&self, id: &ObjectId, route: &Route) -> Vec<(String, String)> {
        let namespace = namespace(id);
        let rules = route.rules.iter().enumerate();
        let models = rules.flat_map(|(rule, compiled)| {
            let matches = compiled.matches.iter().enumerate();
            matches.filter_map(move |(at, one)| Some((rule, at, one.model.as_ref()?)))
        });
        let refused = models.filter_map(|(rule, at, model)| {
            let claim = self.broken(model, namespace)?;
            Some((format!("spec.rules[{rule}].matches[{at}].model"), claim.refusal(model, namespace)))
        });
        refused.collect()
    }
}

impl Claim {
    fn lets(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|own| own == EVERY || own == namespace)
    }

    fn refusal(&self, model: &ModelMatch, namespace: &str) -> String {
        let (said, instead) = match model {
            ModelMatch::Exact(name) => (format!("the model {name:?}"), "ask for another model"),
            ModelMatch::Prefix(prefix) => {
                (format!("models that begin with {prefix:?}"), "write a longer prefix or exact names of other models")
            }
            ModelMatch::Regex(_) => (
                "models by this expression".to_owned(),
                "begin it with letters that only other models begin with, or write their exact names",
            ),
        };
        format!(
            "routes of namespace {namespace} may not claim {said}: the platform keeps {} for {}. Here {instead}, or have \
             the platform let this namespace in",
            self.pattern.said(),
            if self.namespaces.len() == 1 { "another namespace" } else { "other namespaces" }
        )
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (head, is_open) = text.strip_suffix('*').map_or((text, false), |head| (head, true));
        if text.is_empty() || head.contains('*') {
            return Err(format!(
                "{text:?} is no pattern of models: write a name such as \"o3\", or its beginning and one * such as \"gpt-*\""
            ));
        }
        Ok(if is_open { Self::Prefix(head.to_owned()) } else { Self::Name(head.to_owned()) })
    }

    fn said(&self) -> String {
        match self {
            Self::Name(name) => format!("{name:?}"),
            Self::Prefix(prefix) => format!("\"{prefix}*\""),
        }
    }

    /// The larger, the fewer names it holds.
    const fn closeness(&self) -> (bool, usize) {
        match self {
            Self::Name(_) => (true, 0),
            Self::Prefix(prefix) => (false, prefix.len()),
        }
    }

    /// True if it holds every name that the condition can match.
    fn holds(&self, model: &ModelMatch) -> bool {
        match (self, model) {
            (Self::Name(name), ModelMatch::Exact(exact)) => name == exact,
            (Self::Name(_), _) => false,
            (Self::Prefix(prefix), _) => beginning(model).starts_with(prefix.as_str()),
        }
    }

    /// True if it may hold a name that the condition matches.
    fn meets(&self, model: &ModelMatch) -> bool {
        let begins = beginning(model);
        match (self, model) {
            (Self::Name(name), ModelMatch::Regex(regex)) => {
                name.starts_with(&begins) && regex::Regex::new(regex).is_ok_and(|regex| regex.is_match(name))
            }
            (Self::Name(name), ModelMatch::Exact(exact)) => name == exact,
            (Self::Name(name), ModelMatch::Prefix(_)) => name.starts_with(&begins),
            (Self::Prefix(prefix), ModelMatch::Exact(exact)) => exact.starts_with(prefix.as_str()),
            (Self::Prefix(prefix), _) => prefix.starts_with(&begins) || begins.starts_with(prefix.as_str()),
        }
    }
}

/// The letters that every name begins with which the condition can match; of an expression at least these.
fn beginning(model: &ModelMatch) -> String {
    match model {
        ModelMatch::Exact(text) | ModelMatch::Prefix(text) => text.clone(),
        ModelMatch::Regex(regex) => literal_beginning(regex.strip_prefix("^(?:").unwrap_or(regex)),
    }
}

/// The literal letters that an expression begins with. Fewer than there are do no harm: more would.
fn literal_beginning(regex: &str) -> String {
    // An alternative at the top begins otherwise; brackets are not looked into, so any bar counts that is outside of them.
    let mut depth = 0_u32;
    for letter in regex.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return String::new(),
            '[' | '\\' if depth == 0 && regex.contains('|') => return String::new(),
            _ => {}
        }
    }
    let mut literal = String::new();
    let mut letters = regex.chars().peekable();
    while let Some(letter) = letters.next() {
        let plain = match letter {
            '\\' => match letters.next() {
                Some(escaped) if !escaped.is_ascii_alphanumeric() => escaped,
                _ => break,
            },
            letter if letter.is_alphanumeric() || matches!(letter, '-' | '_' | '/' | ':' | '@') => letter,
            _ => break,
        };
        // What may be there or not, or be repeated, is no sure beginning.
        if matches!(letters.peek(), Some('?' | '*' | '{')) {
            break;
        }
        literal.push(plain);
        if letters.peek() == Some(&'+') {
            break;
        }
    }
    literal
}

fn namespace(id: &ObjectId) -> &str {
    id.0.split_once('/').map_or("default", |(namespace, _)| namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_begins_with_no_more_than_is_sure() {
        for (regex, begins) in [
            ("gpt-4o(-mini)?", "gpt-4o"),
            ("gpt-4\\.1", "gpt-4.1"),
            ("gpt-4o?", "gpt-4"),
            ("gpt-*", "gpt"),
            ("a+b", "a"),
            ("a|b", ""),
            ("ab(c|d)", "ab"),
            ("[|]x|y", ""),
            ("\\||y", ""),
            ("(?i)gpt", ""),
            ("\\x67pt", ""),
            ("ab{0}c", "a"),
            (".*", ""),
        ] {
            assert_eq!(literal_beginning(regex), begins, "{regex}");
        }
    }

    #[test]
    fn the_closest_claim_decides_and_each_within_has_its_say() {
        let claims = ModelClaims::parse(
            r#"[{"models": ["*"], "namespaces": ["platform"]}, {"models": ["llama-*", "gpt-4o"], "namespaces": ["team-a", "platform"]},
                {"models": ["llama-big"], "namespaces": ["platform"]}, {"models": ["free-*"], "namespaces": ["*"]}]"#,
        )
        .unwrap();
        let exact = |name: &str| ModelMatch::Exact(name.to_owned());
        let prefix = |name: &str| ModelMatch::Prefix(name.to_owned());
        let regex = |name: &str| ModelMatch::Regex(format!("^(?:{name})$"));
        for (model, namespaces) in [
            (exact("gpt-5"), "platform"),
            (exact("gpt-4o"), "platform team-a"),
            (exact("llama-big"), "platform"),
            (exact("llama-small"), "platform team-a"),
            (prefix("llama-s"), "platform team-a"),
            (prefix("llama-"), "platform"),
            (prefix("l"), "platform"),
            (regex("llama-(small|tiny)"), "platform team-a"),
            (regex("llama-(small|big)"), "platform"),
            (regex("(llama|free)-x"), "platform"),
            (exact("free-x"), "platform team-a team-b"),
            (regex("free-.*"), "platform team-a team-b"),
        ] {
            let let_in: Vec<&str> = ["platform", "team-a", "team-b"]
                .into_iter()
                .filter(|namespace| claims.broken(&model, namespace).is_none())
                .collect();
            assert_eq!(let_in.join(" "), namespaces, "{model:?}");
        }
    }

    #[test]
    fn what_is_no_claim_says_what_to_write() {
        for text in [
            "",
            "{}",
            r#"[{"models": [], "namespaces": ["a"]}]"#,
            r#"[{"models": ["a*b"], "namespaces": ["a"]}]"#,
            r#"[{"models": [""], "namespaces": ["a"]}]"#,
            r#"[{"models": ["a"], "namespace": ["a"]}]"#,
        ] {
            assert!(ModelClaims::parse(text).unwrap_err().contains("write"), "{text}");
        }
        assert_eq!(ModelClaims::parse("[]"), Ok(ModelClaims::default()));
    }
}
