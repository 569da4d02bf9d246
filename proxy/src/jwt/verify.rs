//! The check of a token: first what it says of itself, which decides whose it would be, then whether that is true.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, dangerous, decode, decode_header};
use serde_json::{Map, Value};
use sluicegate_config::{ConsumerJwt, RequiredClaim};

use super::key_set::KeySet;

/// The longest token that is looked at.
const LONGEST: usize = 16 * 1024;
/// The beginning of every token: of an object's first letters, encoded.
const BEGINNING: &[u8] = b"eyJ";

/// The claims of a token.
pub(crate) type Claims = Map<String, Value>;

/// The claims of a token as it says them: nothing of it is known to be true.
pub(crate) struct Untrusted {
    claims: Claims,
}

/// The claims of a token as it says them, if it is one.
pub(crate) fn untrusted(token: &[u8]) -> Option<Untrusted> {
    let is_one = token.len() <= LONGEST && looks_like_one(token);
    let claims = is_one.then(|| dangerous::insecure_decode_claims::<Claims>(token).ok()).flatten()?;
    Some(Untrusted { claims })
}

/// True if it would be a token if it were not so long: nobody looks at it, and it is a key that is not known.
pub(crate) fn is_too_long(token: &[u8]) -> bool {
    token.len() > LONGEST && looks_like_one(token)
}

fn looks_like_one(token: &[u8]) -> bool {
    token.starts_with(BEGINNING) && token.iter().filter(|byte| **byte == b'.').count() == 2
}

impl Untrusted {
    /// The issuer that it names.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}

/// The tokens of an issuer that are one consumer's.
pub(crate) struct TokenRules {
    claims: Box<[RequiredClaim]>,
    audiences: Box<[String]>,
    validation: Validation,
    /// The clocks may differ by so many seconds.
    pub(crate) skew: i64,
}

impl TokenRules {
    /// Makes them ready.
    pub(crate) fn new(from: &ConsumerJwt) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.algorithms = from.algorithms.iter().filter_map(|name| algorithm(name)).collect();
        validation.leeway = from.clock_skew;
        validation.validate_nbf = true;
        validation.set_audience(&from.audiences);
        validation.set_issuer(&[&from.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Self {
            claims: from.claims.iter().cloned().collect(),
            audiences: from.audiences.iter().cloned().collect(),
            validation,
            skew: i64::try_from(from.clock_skew).unwrap_or_default(),
        }
    }

    /// True if a token that says this would be one of them.
    pub(crate) fn select(&self, token: &Untrusted) -> bool {
        let has = |name: &str, values: &[String]| {
            claim(&token.claims, name).is_some_and(|found| values.iter().any(|value| holds(found, value)))
        };
        has("aud", &self.audiences) && self.claims.iter().all(|claim| has(&claim.name, &claim.values))
    }

    /// The claims of a token that is good by these keys.
    ///
    /// # Errors
    /// It is not, and why, for the log; with the name of its key (empty: it names none), where that is not among them.
    pub(crate) fn verify(&self, token: &[u8], keys: &KeySet) -> Result<Claims, (&'static str, Option<String>)> {
        let header = decode_header(token).map_err(|_| ("its header is not understood", None))?;
        if !self.validation.algorithms.contains(&header.alg) {
            return Err(("it is signed by an algorithm that is not allowed", None));
        }
        let missing = Some(header.kid.clone().unwrap_or_default());
        let mut why = ("it names a key that the issuer does not publish", missing);
        for key in keys.candidates(header.kid.as_deref(), header.alg) {
            let mut validation = self.validation.clone();
            validation.algorithms = vec![header.alg];
            match decode::<Claims>(token, key, &validation) {
                Ok(verified) => return Ok(verified.claims),
                Err(error) => why = (in_words(error.kind()), None),
            }
            if why.0 != WRONG_SIGNATURE {
                break;
            }
        }
        Err(why)
    }
}

const WRONG_SIGNATURE: &str = "its signature is wrong";

fn in_words(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::InvalidSignature => WRONG_SIGNATURE,
        ErrorKind::ExpiredSignature => "it is over",
        ErrorKind::ImmatureSignature => "it is not good yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it is another issuer's",
        ErrorKind::MissingRequiredClaim(_) => "it lacks exp, iss or aud",
        _ => "it is no token that can be read",
    }
}

/// The algorithms that may be allowed: none by a secret that both know, and never none at all.
fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// The text of a claim.
pub(crate) fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claim(claims, name)?.as_str()
}

/// A claim by its name, or by a path of names where none has the whole name.
fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let (first, rest) = name.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

/// True if a claim has a value, or is a list that holds it.
fn holds(found: &Value, wanted: &str) -> bool {
    match found {
        Value::String(text) => text == wanted,
        Value::Bool(flag) => wanted == if *flag { "true" } else { "false" },
        Value::Number(number) => number.to_string() == wanted,
        Value::Array(values) => values.iter().any(|value| !value.is_array() && holds(value, wanted)),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    fn rules(claims: &[(&str, &str)]) -> TokenRules {
        let claim = |(name, value): &(&str, &str)| RequiredClaim {
            name: (*name).to_owned(),
            values: vec!["else".to_owned(), (*value).to_owned()],
        };
        TokenRules::new(&ConsumerJwt {
            issuer: "https://x".to_owned(),
            audiences: vec!["gateway".to_owned()],
            jwks_url: None,
            jwks: None,
            ca_pem: None,
            subjects: None,
            claims: claims.iter().map(claim).collect(),
            algorithms: ["RS256", "HS256", "none"].map(str::to_owned).into(),
            clock_skew: 60,
        })
    }

    fn said(claims: &Value) -> Untrusted {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.x", part(&json!({"alg": "RS256"})), part(claims));
        untrusted(token.as_bytes()).unwrap()
    }

    #[test]
    fn a_token_is_selected_by_its_audience_and_all_of_the_claims() {
        let all = json!({"iss": "https://x", "aud": ["other", "gateway"], "groups": ["a", "research"], "admin": true,
            "realm": {"roles": ["caller"]}, "https://x.example/team": "t", "level": 3});
        let token = said(&all);
        assert_eq!(token.issuer(), Some("https://x"));
        for (name, value) in [
            ("groups", "research"),
            ("admin", "true"),
            ("realm.roles", "caller"),
            ("https://x.example/team", "t"),
            ("level", "3"),
        ] {
            assert!(rules(&[(name, value), ("groups", "a")]).select(&token), "{name}");
            assert!(!rules(&[(name, "no"), ("groups", "a")]).select(&token), "{name}");
        }
        assert!(!rules(&[("realm", "roles")]).select(&token) && !rules(&[("none", "")]).select(&token));
        assert!(!rules(&[]).select(&said(&json!({"iss": "https://x", "aud": "another"}))));
        assert!(!rules(&[]).select(&said(&json!({"iss": "https://x"}))));
        assert_eq!(rules(&[]).validation.algorithms, [Algorithm::RS256], "no secrets, and never none");
    }

    #[test]
    fn a_token_that_is_too_long_is_told_from_a_key() {
        let token = |length: usize| format!("eyJ{}.a.b", "a".repeat(length - "eyJ.a.b".len()));
        assert!(is_too_long(token(LONGEST + 1).as_bytes()) && !is_too_long(token(LONGEST).as_bytes()));
        assert!(!is_too_long("a".repeat(LONGEST * 2).as_bytes()));
    }

    #[test]
    fn what_is_no_token_is_a_key() {
        for key in ["", "sk-1", "eyJ", "eyJ.a.b.c", "eyJh.eyJh.x", "a.b.c", &format!("eyJ{}.a.b", "a".repeat(LONGEST))]
        {
            assert!(untrusted(key.as_bytes()).is_none(), "{key:.40}");
        }
    }
}
