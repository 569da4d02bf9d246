//! Lists of models: whatever a provider's list holds is told in every dialect's, page by page, and read there again.

use super::ground::{DIALECTS, is_json, shown};
use crate::ListedModel;

/// The target. It is taken for a provider's list, and for a caller's query.
///
/// # Panics
/// When what must hold does not.
pub fn check(data: &[u8]) {
    for from in DIALECTS.iter().copied() {
        let Some(page) = from.read_models(data) else { continue };
        for to in DIALECTS.iter().copied() {
            for publisher in [false, true] {
                let list = to.model_list(&page.models, None, publisher);
                let list = list.unwrap_or_else(|refusal| panic!("{from:?} to {to:?}: {refusal}"));
                assert!(is_json(&list), "{}", shown(&list));
                if let Some(again) = to.read_models(&list) {
                    assert!(again.models.len() <= page.models.len(), "{from:?} to {to:?} adds models");
                }
            }
            for listed in &page.models {
                assert!(is_json(&to.model(listed, false)));
            }
        }
    }
    if let Ok(query) = std::str::from_utf8(data) {
        asked(query);
    }
}

fn asked(query: &str) {
    let models: Vec<ListedModel> = ["a", "b/c", "d%"]
        .map(|name| ListedModel { name: name.to_owned(), ..ListedModel::default() })
        .into_iter()
        .collect();
    for dialect in DIALECTS.iter().copied() {
        if let Ok(list) = dialect.model_list(&models, Some(query), false) {
            assert!(is_json(&list), "{dialect:?}: {}", shown(&list));
        }
    }
}
