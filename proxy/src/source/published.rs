//! The content of a published object, read out of it: hostile or from another version, it is read or refused with a
//! reason.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sluicegate_config::compile::{Credentials, SecretValue};
use sluicegate_config::published::{self, Content};
use sluicegate_config::{CredentialId, FORMAT, ObjectId, PROFILE_FEATURE};
use sluicegate_dialects::vendors::LookAlike;

/// The most bytes of one object; more than the API server takes.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The most letters of a feature's name that are repeated.
const MOST_NAME: usize = 64;

/// A published object, as it came.
pub(super) struct Published {
    /// The ConfigMap's or Secret's own name.
    pub(super) name: String,
    /// Its `resourceVersion`.
    pub(super) version: String,
    /// The label that says what is inside.
    pub(super) content: String,
    /// The annotation that names the resource.
    pub(super) object: String,
    /// The annotation that names the compiled form.
    pub(super) revision: String,
    /// True if it was a Secret.
    pub(super) secret: bool,
    /// The annotation that says that it is about to go is there.
    pub(super) withdrawn: bool,
    /// The content.
    pub(super) body: Option<Vec<u8>>,
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Published({} {} at {})", self.content, self.name, self.version)
    }
}

impl Published {
    /// Its kind of content, and the resource that it is of: by label and annotation, when these belong to its name.
    pub(super) fn identity(&self, gateway: &str) -> Option<(Content, ObjectId)> {
        let content = Content::parse(&self.content).filter(|content| self.secret == content.is_secret())?;
        let id = ObjectId(self.object.clone());
        let whole = id.0.split_once('/').is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
        (whole && published::name(gateway, content, &id) == self.name).then_some((content, id))
    }

    /// The token by which the operator is known, if this is what it holds.
    pub(super) fn operator_token(&self, gateway: &str) -> Option<SecretValue> {
        let is_it = self.secret
            && self.content == published::OPERATOR_CONTENT
            && self.name == published::operator_name(gateway);
        let token = self.body.as_ref().filter(|token| is_it && token.len() >= published::LEAST_TOKEN)?;
        Some(SecretValue::new(token.clone()))
    }

    /// The compiled form that it holds, for a reader who knows these features. An error says why it can not be used, and
    /// never repeats any of what it holds but the names of features.
    pub(super) fn compiled<T: DeserializeOwned>(
        &self,
        features: &[&str],
        revision: fn(&T) -> &str,
    ) -> Result<T, String> {
        let form: T = self.of_this_format(self.body()?, features)?;
        self.belongs(revision(&form))?;
        Ok(form)
    }

    /// The credentials that it holds.
    pub(super) fn credentials(&self) -> Result<Credentials, String> {
        credentials(self.body()?)
    }

    fn body(&self) -> Result<&[u8], String> {
        let body = self.body.as_deref().ok_or_else(|| format!("it has no {:?} in its data", published::DATA_KEY))?;
        if body.len() > MOST_BYTES {
            return Err(format!("it is larger than {MOST_BYTES} bytes"));
        }
        Ok(body)
    }

    /// The format is looked at first: what another version wrote may have another shape, and is named as such.
    fn of_this_format<T: DeserializeOwned>(&self, body: &[u8], features: &[&str]) -> Result<T, String> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
            #[serde(default)]
            requires: Vec<String>,
        }
        let Versioned { format, requires } = serde_json::from_slice(body).map_err(|error| unread(&error))?;
        if format != FORMAT {
            return Err(format!(
                "it is of format {format}, and this proxy ({}) reads format {FORMAT}: upgrade it with the operator",
                env!("CARGO_PKG_VERSION")
            ));
        }
        if let Some(unknown) = requires.iter().find(|name| !is_known(name, features)) {
            let name: String = unknown.chars().filter(|letter| !letter.is_control()).take(MOST_NAME).collect();
            return Err(format!(
                "it requires {name:?}, which this proxy ({}) does not know: upgrade it with the operator",
                env!("CARGO_PKG_VERSION")
            ));
        }
        serde_json::from_slice(body).map_err(|error| unread(&error))
    }

    fn belongs(&self, revision: &str) -> Result<(), String> {
        if !revision.is_empty() && self.revision == revision {
            return Ok(());
        }
        Err(format!("its annotation {} says another revision than its content", published::REVISION_ANNOTATION))
    }
}

/// True if a feature is among those that are known, or the name of a look-alike that the tables have.
fn is_known(feature: &str, features: &[&str]) -> bool {
    let profile = feature.strip_prefix(PROFILE_FEATURE);
    features.contains(&feature) || profile.is_some_and(|name| LookAlike::named(name).is_some())
}

/// The place where the reading ended, not what was there: it may be a credential's Secret.
fn unread(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "of another shape than expected" } else { "no JSON" };
    format!("it is {what} (line {}, column {})", error.line(), error.column())
}

fn credentials(body: &[u8]) -> Result<Credentials, String> {
    let encoded: BTreeMap<CredentialId, String> = serde_json::from_slice(body).map_err(|error| unread(&error))?;
    let value = |(id, text): (CredentialId, String)| match STANDARD.decode(text) {
        Ok(bytes) => Ok((id, SecretValue::new(bytes))),
        Err(_) => Err(format!("its value of {} is no base64", id.0)),
    };
    encoded.into_iter().map(value).collect()
}
