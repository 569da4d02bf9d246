//! Files: taken as a form, told, fetched, forgotten.

use serde_json::{Value, json};

use super::{Kept, KeptAnswer, KeptAsk, KeptRoute, KeptStore, text};
use crate::clock::{rfc3339, unix_seconds};
use crate::fault::{Checked, Fault};
use crate::ids::Ids;
use crate::openai::field::missing;
use crate::side::SideRequest;

impl KeptStore {
    /// Answers what is asked about files. `ours`: in Anthropic's words.
    pub(crate) fn file(
        &mut self,
        route: &KeptRoute,
        (ours, ids): (bool, &Ids),
        read: impl FnOnce() -> Checked<SideRequest>,
    ) -> Checked<KeptAnswer> {
        let id = &route.id;
        let gone = || match ours {
            true => Fault::new(404, format!("File not found: {id}")),
            false => Fault::new(404, format!("No such File object: {id}")).at("id"),
        };
        let is_own = |id: &str| id.starts_with("file_") == ours;
        let told = match route.ask {
            KeptAsk::Make => {
                let (told, content) = made(&read()?, ours, ids)?;
                let id = text(&told, "id").to_owned();
                self.put(id, Kept::File { told: told.clone(), content });
                told
            }
            KeptAsk::List => self.page(&route.query, |kept| match kept {
                Kept::File { told, .. } if is_own(text(told, "id")) => Some(told.clone()),
                _ => None,
            })?,
            KeptAsk::Fetch | KeptAsk::Content => match self.all.get(id) {
                Some(Kept::File { told, .. }) if is_own(id) && route.ask == KeptAsk::Fetch => told.clone(),
                Some(Kept::File { .. }) if ours && is_own(id) => {
                    return Err(Fault::new(400, format!("File {id} is not downloadable.")));
                }
                Some(Kept::File { content, .. }) if is_own(id) => {
                    return Ok(KeptAnswer::Raw("application/octet-stream", content.clone()));
                }
                _ => return Err(gone()),
            },
            KeptAsk::Delete => {
                match self.all.get(id) {
                    Some(Kept::File { .. }) if is_own(id) => drop(self.remove(id)),
                    _ => return Err(gone()),
                }
                match ours {
                    true => json!({ "id": id, "type": "file_deleted" }),
                    false => json!({ "id": id, "object": "file", "deleted": true }),
                }
            }
            KeptAsk::Cancel => return Err(gone()),
        };
        Ok(KeptAnswer::Json(told))
    }

    /// Keeps the answers of a batch as a file of OpenAI's; gives its id.
    pub(super) fn put_output(&mut self, content: Vec<u8>, ids: &Ids) -> Value {
        let told = openai(&ids.next("file-"), ("output.jsonl", "batch_output"), content.len());
        let id = text(&told, "id").to_owned();
        self.put(id.clone(), Kept::File { told, content });
        id.into()
    }

    /// The content of a file with the requests of a batch.
    pub(super) fn input(&self, id: &str) -> Checked<Vec<u8>> {
        match self.all.get(id) {
            Some(Kept::File { told, content }) if text(told, "purpose") == "batch" => Ok(content.clone()),
            _ => Err(Fault::new(400, format!("Invalid input_file_id: no file '{id}' with the purpose 'batch'."))
                .at("input_file_id")),
        }
    }
}

fn made(request: &SideRequest, ours: bool, ids: &Ids) -> Checked<(Value, Vec<u8>)> {
    let file = request.files_of("file").into_iter().next().ok_or_else(|| missing("file"))?;
    if ours {
        let told = json!({
            "id": ids.next("file_"), "type": "file", "filename": file.name, "mime_type": "application/octet-stream",
            "size_bytes": file.bytes, "created_at": rfc3339(unix_seconds()), "downloadable": false,
        });
        return Ok((told, file.content.clone()));
    }
    const PURPOSES: [&str; 6] = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];
    let purpose = request.required("purpose")?;
    if !PURPOSES.contains(&purpose) {
        return Err(Fault::new(400, format!("'{purpose}' is not one of {PURPOSES:?} - 'purpose'")).at("purpose"));
    }
    Ok((openai(&ids.next("file-"), (&file.name, purpose), file.bytes), file.content.clone()))
}

fn openai(id: &str, (name, purpose): (&str, &str), bytes: usize) -> Value {
    json!({
        "id": id, "object": "file", "bytes": bytes, "created_at": unix_seconds(), "filename": name, "purpose": purpose,
        "status": "processed", "status_details": null, "expires_at": null,
    })
}
