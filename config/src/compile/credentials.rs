//! The credentials that pools name: whether they are there, and their values.

use std::collections::BTreeMap;

use sluicegate_crds::ProviderPoolSpec;

use super::gcp_key::{GcpKeyFault, gcp_key};
use super::inputs::{Credentials, Inputs, SecretValue};
use super::pool;
use super::report::Report;
use super::verdict::Reason;
use crate::identity::{Identity, aws_keys};
use crate::{CredentialId, ObjectId, Pool, Provider};

/// Says which credentials of a pool are missing or cannot be sent.
pub(super) fn resolve(spec: &ProviderPoolSpec, pool: &Pool, inputs: &Inputs<'_>, report: &mut Report<'_>) {
    for (index, provider) in spec.providers.iter().enumerate() {
        let Some(form) = pool.providers.iter().find(|form| form.name == provider.name) else { continue };
        let path = format!("spec.providers[{index}].credentials");
        let mut tell = |id: &CredentialId, path: String| {
            if let Err((reason, message)) = look((id, form.identity.as_ref()), inputs) {
                report.error(&path, reason, message);
            }
        };
        form.credential.iter().for_each(|id| tell(id, format!("{path}.secretRef")));
        let keys = provider.credentials.iter().flat_map(|given| given.keys.iter().flatten());
        for (at, key) in keys.enumerate() {
            let of_form = form.keys.iter().find(|of_form| of_form.name == key.name);
            of_form.iter().for_each(|of_form| tell(&of_form.credential, format!("{path}.keys[{at}].secretRef")));
        }
    }
}

/// True if a provider's key can be had, or one of its keys, if it takes any. Of a previous form the previous key will do.
pub(super) fn has_key(provider: &Provider, inputs: &Inputs<'_>, is_previous: bool) -> bool {
    let identity = provider.identity.as_ref();
    let is_there = |id| value((id, identity), inputs, is_previous).is_some();
    !provider.has_credential() || provider.credentials().any(is_there)
}

/// The values that the pools name; `is_kept` tells those in their previous form. A provider whose credential is nowhere
/// is taken out: without its key it would only refuse calls. Of several keys those are taken out that are nowhere.
pub(super) fn gather(
    inputs: &Inputs<'_>,
    pools: &mut BTreeMap<ObjectId, Pool>,
    is_kept: impl Fn(&ObjectId) -> bool,
) -> Credentials {
    let mut credentials = Credentials::new();
    pools.retain(|pool_id, pool| {
        let count = |pool: &Pool| pool.providers.iter().map(|provider| 1 + provider.keys.len()).sum::<usize>();
        let before = count(pool);
        pool.providers.retain_mut(|provider| {
            let identity = provider.identity.clone();
            let mut is_known = |id: &CredentialId| {
                let value = value((id, identity.as_ref()), inputs, is_kept(pool_id));
                let is_known = value.is_some();
                credentials.extend(value.map(|value| (id.clone(), value)));
                is_known
            };
            if !provider.keys.is_empty() {
                provider.keys.retain(|key| is_known(&key.credential));
                return !provider.keys.is_empty();
            }
            provider.credential.as_ref().is_none_or(is_known)
        });
        if count(pool) != before {
            pool::seal(pool);
        }
        !pool.providers.is_empty()
    });
    credentials
}

/// The value of a credential. The previous one belongs to previous forms only: a key whose Secret is gone is not sent to an
/// address that it was never meant for.
fn value(
    (id, identity): (&CredentialId, Option<&Identity>),
    inputs: &Inputs<'_>,
    is_previous: bool,
) -> Option<SecretValue> {
    let previous = || inputs.previous_credentials.filter(|_| is_previous)?.get(id).cloned();
    look((id, identity), inputs).ok().or_else(previous)
}

/// A key of a Secret: the Secret's name, the key's, and the value; or why there is none. `whose` key it is, the words tell.
pub(super) fn find<'i>(
    id: &'i CredentialId,
    whose: &str,
    inputs: &'i Inputs<'_>,
) -> Result<(&'i str, &'i str, &'i SecretValue), (Reason, String)> {
    let (secret, key) = id.0.rsplit_once('/').unwrap_or((&id.0, ""));
    let data = inputs.secrets.get(&ObjectId(secret.to_owned())).ok_or_else(|| {
        let message = format!("there is no Secret {secret}: create it, with the {whose}'s key under {key:?}");
        (Reason::SecretNotFound, message)
    })?;
    let value = data.get(key).ok_or_else(|| {
        let keys: Vec<&str> = data.keys().map(String::as_str).collect();
        let message =
            format!("the Secret {secret} has no key {key:?}: add it, or name one that is there ({})", keys.join(", "));
        (Reason::SecretNotFound, message)
    })?;
    Ok((secret, key, value))
}

/// The value of a credential as its kind has it, or why there is none.
fn look(
    (id, identity): (&CredentialId, Option<&Identity>),
    inputs: &Inputs<'_>,
) -> Result<SecretValue, (Reason, String)> {
    let (secret, key, value) = find(id, "provider", inputs)?;
    if let Some(length) = value.excess() {
        let message = format!(
            "{key:?} of the Secret {secret} has {length} bytes, and a provider's key {} at most: write the key there, and nothing else",
            SecretValue::LONGEST
        );
        return Err((Reason::SecretInvalid, message));
    }
    let trimmed = value.trimmed();
    let fault = match identity {
        Some(Identity::Aws { .. }) if aws_keys(trimmed).is_none() => {
            Some("no keys of Amazon's: write ID:SECRET, or ID:SECRET:TOKEN for a session")
        }
        Some(Identity::Gcp) => match gcp_key(trimmed) {
            Ok(_) => None,
            Err(GcpKeyFault::NoKey) => Some(
                "no key of a service account: write the JSON file that Google gives out, with \"type\": \"service_account\" (other kinds are for the gateway's own identity: name their file in GOOGLE_APPLICATION_CREDENTIALS)",
            ),
            Err(fault @ GcpKeyFault::TokenUri) => Some(fault.in_words()),
        },
        // A client's secret is sent in a form, and holds what it holds.
        Some(Identity::Azure { .. }) if !std::str::from_utf8(trimmed).is_ok_and(|text| !text.is_empty()) => {
            Some("no secret of a client's: write it as Azure shows it")
        }
        Some(Identity::Aws { .. } | Identity::Azure { .. } | Identity::OpenAi { .. } | Identity::Passthrough)
        | None => None,
    };
    if let Some(fault) = fault {
        return Err((Reason::SecretInvalid, format!("{key:?} of the Secret {secret} holds {fault}")));
    }
    if identity.is_some() {
        return Ok(SecretValue::new(trimmed.to_vec()));
    }
    if trimmed.is_empty() || !trimmed.iter().all(u8::is_ascii_graphic) {
        let message = format!(
            "{key:?} of the Secret {secret} is empty or no key that a header can carry: write printable ASCII without spaces"
        );
        return Err((Reason::SecretInvalid, message));
    }
    Ok(SecretValue::new(trimmed.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a provider's and of a consumer's key in a Secret.
    fn said(value: SecretValue) -> (Result<Vec<u8>, String>, Result<(), String>) {
        let secret = BTreeMap::from([("api-key".to_owned(), value)]);
        let inputs = Inputs { secrets: [(ObjectId("a/s".to_owned()), secret)].into(), ..Inputs::default() };
        let id = CredentialId("a/s/api-key".to_owned());
        let provider = look((&id, None), &inputs).map(|value| value.expose().to_vec()).map_err(|(_, words)| words);
        (provider, crate::compile::consumer::look(&id, &inputs).map(drop).map_err(|(_, words)| words))
    }

    #[test]
    fn a_key_that_is_too_long_is_told_so_with_its_length() {
        for value in [SecretValue::new(vec![b'k'; 20_000]), SecretValue::bounded(vec![b'k'; 20_000])] {
            let (provider, consumer) = said(value);
            let words = provider.unwrap_err();
            assert!(words.contains("has 20000 bytes, and a provider's key 16384 at most"), "{words}");
            let words = consumer.unwrap_err();
            assert!(words.contains("with 20000 letters: write 20 to 512 letters"), "{words}");
        }
        let (provider, consumer) = said(SecretValue::bounded(vec![b'k'; SecretValue::LONGEST]));
        assert!(provider.is_ok() && consumer.unwrap_err().contains("with 16384 letters"));
    }

    #[test]
    fn what_editors_and_shells_put_around_a_key_is_no_part_of_it() {
        for around in [("\u{feff}", ""), ("\u{feff} ", "\r\n"), ("", "\n")] {
            let text = format!("{}key-0123456789-abcdef{}", around.0, around.1);
            let (provider, consumer) = said(SecretValue::new(text.into_bytes()));
            assert_eq!((provider.as_deref(), consumer), (Ok(&b"key-0123456789-abcdef"[..]), Ok(())), "{around:?}");
        }
        let (provider, consumer) = said(SecretValue::new("key-\u{feff}0123456789-abcdef".into()));
        assert!(provider.is_err() && consumer.is_err(), "inside it is a fault");
    }
}
