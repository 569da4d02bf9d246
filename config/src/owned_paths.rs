//! The paths that the gateway answers by itself: of these, and of all below them, no rule passes anything on. What a known path refuses
//! so stays refused, whatever is configured.

/// The trees, each with all that is below it; `*` stands for one segment.
const OWNED: [&str; 44] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v2/chat",
    "/v2/embed",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/images/variations",
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/moderations",
    "/v1/batch",
    "/v1/rerank",
    "/v2/rerank",
    "/v1/files",
    "/v1/batches",
    "/v1/models",
    "/v1beta/models",
    "/model",
    "/foundation-models",
    "/openai/deployments",
    "/openai/responses",
    "/openai/files",
    "/openai/batches",
    "/openai/models",
    "/openai/v1/chat/completions",
    "/openai/v1/responses",
    "/openai/v1/completions",
    "/openai/v1/embeddings",
    "/openai/v1/images/generations",
    "/openai/v1/images/edits",
    "/openai/v1/audio/speech",
    "/openai/v1/audio/transcriptions",
    "/openai/v1/audio/translations",
    "/openai/v1/files",
    "/openai/v1/batches",
    "/openai/v1/models",
    "/*/projects/*/locations/*/publishers/google/models",
    "/*/projects/*/locations/*/publishers/anthropic/models",
    "/*/publishers/google/models",
    "/*/publishers/anthropic/models",
];

/// The tree that a path is in; `None`: it is no path of the gateway's own.
#[must_use]
pub fn owner_of_path(path: &str) -> Option<&'static str> {
    OWNED.into_iter().find(|owned| {
        let mut segments = path.split('/');
        owned.split('/').all(|own| segments.next().is_some_and(|segment| is_alike(own, segment)))
    })
}

/// A tree that has a part below this beginning of paths; `None`: none has.
#[must_use]
pub fn owner_below_path(beginning: &str) -> Option<&'static str> {
    let beginning = beginning.strip_suffix('/').unwrap_or(beginning);
    OWNED.into_iter().find(|owned| {
        let mut own = owned.split('/');
        // What any segment is like is not named by one.
        let mut is_named = false;
        let within = beginning.split('/').all(|segment| {
            own.next().is_some_and(|own| {
                is_named |= !own.is_empty() && own != "*";
                is_alike(own, segment)
            })
        });
        within && is_named
    })
}

/// Some servers do not tell capital letters from small ones.
fn is_alike(own: &str, segment: &str) -> bool {
    (own == "*" && !segment.is_empty()) || own.eq_ignore_ascii_case(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_owned_with_all_that_is_below_it() {
        for (path, owned) in [
            ("/v1/files", true),
            ("/v1/files/file-1/content", true),
            ("/V1/Files/x", true),
            ("/v1/files2", false),
            ("/v1/chat", false),
            ("/v1/fine_tuning/jobs", false),
            ("/tokenize", false),
            ("/v9/publishers/google/models/gemini:predict", true),
            ("/v1/projects/p/locations/l/cachedContents", false),
            ("/v1/projects//locations/l/publishers/google/models", false),
        ] {
            assert_eq!(owner_of_path(path).is_some(), owned, "{path}");
        }
    }

    #[test]
    fn a_beginning_that_holds_a_path_of_the_gateways_is_known() {
        for (beginning, owned) in [
            ("/v1/", Some("/v1/chat/completions")),
            ("/openai/", Some("/openai/deployments")),
            ("/v1/audio/", Some("/v1/audio/speech")),
            ("/v1/projects/p/", Some("/*/projects/*/locations/*/publishers/google/models")),
            ("/v1/fine_tuning/", None),
            ("/api/", None),
            ("/v1/files/", Some("/v1/files")),
        ] {
            assert_eq!(owner_below_path(beginning), owned, "{beginning}");
        }
    }
}
