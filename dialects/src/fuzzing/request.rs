//! Calls: whatever is read can be written in its own dialect, and what is written is read again and written the same.

use crate::hub::Call;
use crate::vendors::LookAlike;
use crate::verbatim::PathSays;
use crate::{Dialect, ProviderProfile, Refusal};

use super::ground::{DIALECTS, is_json, shown};

/// The target.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    for from in DIALECTS.iter().copied() {
        let Ok(mut call) = from.decode_call(data) else { continue };
        // A call of nothing but empty instructions says nothing in any dialect.
        if call.messages.is_empty() && call.system.is_empty() {
            continue;
        }
        // Where the path says both, the body does not.
        if from.habits().names_model
            && let Ok(peek) = from.peek(data, PathSays::default())
        {
            assert_eq!((peek.model.of(data), peek.stream), (&*call.model, call.stream), "two readers disagree");
        }
        if !from.habits().names_model {
            call.model = "m".to_owned();
        }
        for to in DIALECTS.iter().copied() {
            for target in targets() {
                encode(from, to, &call, &target);
            }
        }
    }
}

fn targets() -> [ProviderProfile; 2] {
    let number = serde_json::Number::from_f64(0.5);
    [
        ProviderProfile::default(),
        ProviderProfile {
            default_max_tokens: Some(500),
            default_temperature: number,
            look_alike: Some(LookAlike::default()),
            ..ProviderProfile::default()
        },
    ]
}

fn encode(from: Dialect, to: Dialect, call: &Call, target: &ProviderProfile) {
    let Ok(encoded) = to.encode_call(call, target) else { return };
    assert!(is_json(&encoded.body), "{}", shown(&encoded.body));
    for (name, value) in &encoded.headers {
        let is_token =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        assert!(is_token && value.bytes().all(|byte| byte >= b' ' && byte != 0x7f), "{name}: {value}");
    }
    let again = match to.decode_call(&encoded.body) {
        Ok(again) => again,
        // A caller may write the other dialect's words beside its own: they pass as they are, for the provider to judge.
        Err(refusal) if from != to && names(&refusal, call) => return,
        // Nothing but instructions is a call of some dialects only.
        Err(_) if call.messages.is_empty() => return,
        Err(refusal) => panic!("{from:?} to {to:?}: {refusal}: {}", shown(&encoded.body)),
    };
    // Where the path says both, the body does not.
    if to.habits().names_model {
        assert_eq!((&again.model, again.stream), (&call.model, call.stream));
    }
    if again.messages.is_empty() {
        return;
    }
    let twice = to.encode_call(&again, target);
    let twice = twice.unwrap_or_else(|refusal| panic!("{from:?} to {to:?}: {refusal}: {}", shown(&encoded.body)));
    // Another dialect's words, passed through raw the first time, are known words the second.
    if from == to {
        assert_eq!(shown(&twice.body), shown(&encoded.body), "{from:?} to {to:?}, written twice");
    }
}

fn names(refusal: &Refusal, call: &Call) -> bool {
    let top = refusal.param.as_deref().and_then(|path| path.split(['.', '[']).next());
    top.is_some_and(|field| call.extra.fields.contains_key(field))
}
