//! Batches: taken, worked off between two looks at them, told, ended.

use serde_json::{Value, json};

use super::{Kept, KeptAnswer, KeptAsk, KeptRoute, KeptStore, set, text};
use crate::clock::{rfc3339, unix_seconds};
use crate::fault::{Checked, Fault};
use crate::ids::Ids;

/// Answers one request, by its path and its body.
pub(crate) type Worker<'a> = &'a dyn Fn(&str, &Value) -> Checked<Value>;

const DAY: u64 = 86_400;

impl KeptStore {
    /// Answers what is asked about batches. `ours`: in Anthropic's words.
    pub(crate) fn batch(
        &mut self,
        (route, body): (&KeptRoute, &[u8]),
        (ours, ids): (bool, &Ids),
        work: Worker<'_>,
    ) -> Checked<KeptAnswer> {
        let id = &route.id;
        let gone = || Fault::new(404, format!("No batch found with id '{id}'."));
        let is_own = |id: &str| id.starts_with("msgbatch_") == ours;
        if route.ask == KeptAsk::Make {
            let (told, results) = if ours { of_messages(body, ids, work)? } else { self.of_file(body, ids, work)? };
            let id = text(&told, "id").to_owned();
            self.put(id, Kept::Batch { told: told.clone(), results, looks: 0 });
            return Ok(KeptAnswer::Json(told));
        }
        if route.ask == KeptAsk::List {
            let page = self.page(&route.query, |kept| match kept {
                Kept::Batch { told, .. } if is_own(text(told, "id")) => Some(told.clone()),
                _ => None,
            })?;
            return Ok(KeptAnswer::Json(page));
        }
        if !matches!(self.all.get(id), Some(Kept::Batch { .. })) || !is_own(id) {
            return Err(gone());
        }
        if route.ask == KeptAsk::Delete {
            drop(self.remove(id));
            return Ok(KeptAnswer::Json(json!({ "id": id, "type": "message_batch_deleted" })));
        }
        let Some(Kept::Batch { mut told, results, looks }) = self.all.remove(id) else { return Err(gone()) };
        let answered = match route.ask {
            KeptAsk::Content if text(&told, "processing_status") == "ended" => {
                Ok(KeptAnswer::Raw("application/x-jsonl", results.clone().into_bytes()))
            }
            KeptAsk::Content => Err(Fault::new(400, format!("Batch {id} has not finished processing."))),
            KeptAsk::Cancel => {
                cancelled(&mut told, ours);
                Ok(KeptAnswer::Json(told.clone()))
            }
            _ => {
                self.moved_on(&mut told, (&results, looks), (ours, ids, &route.base));
                Ok(KeptAnswer::Json(told.clone()))
            }
        };
        self.all.insert(id.clone(), Kept::Batch { told, results, looks: looks + 1 });
        answered
    }

    fn of_file(&self, body: &[u8], ids: &Ids, work: Worker<'_>) -> Checked<(Value, String)> {
        let asked = object(body)?;
        let said = |name: &str| {
            let said = asked.get(name).and_then(Value::as_str);
            said.ok_or_else(|| Fault::new(400, format!("Missing required parameter: '{name}'.")).at(name))
        };
        let (input, endpoint, window) = (said("input_file_id")?, said("endpoint")?, said("completion_window")?);
        let (mut results, mut failed, mut total) = (String::new(), 0, 0);
        for line in String::from_utf8_lossy(&self.input(input)?).lines().filter(|line| !line.trim().is_empty()) {
            let request: Value =
                serde_json::from_str(line).map_err(|_| Fault::new(400, "The file holds a line that is no JSON."))?;
            let done = work(text(&request, "url"), request.get("body").unwrap_or(&Value::Null));
            let (status, answer) = match done {
                Ok(answer) => (200, answer),
                Err(fault) => (fault.status, crate::openai::error::body(&fault)),
            };
            total += 1;
            failed += u32::from(status != 200);
            let response = json!({ "status_code": status, "request_id": ids.next("req_"), "body": answer });
            let line = json!({ "id": ids.next("batch_req_"), "custom_id": request.get("custom_id"), "response": response, "error": null });
            results.push_str(&format!("{line}\n"));
        }
        let now = unix_seconds();
        let told = json!({
            "id": ids.next("batch_"), "object": "batch", "endpoint": endpoint, "errors": null, "input_file_id": input,
            "completion_window": window, "status": "validating", "output_file_id": null, "error_file_id": null,
            "created_at": now, "in_progress_at": null, "expires_at": now + DAY, "finalizing_at": null, "completed_at": null,
            "failed_at": null, "expired_at": null, "cancelling_at": null, "cancelled_at": null,
            "request_counts": { "total": total, "completed": 0, "failed": failed }, "metadata": asked.get("metadata").cloned().unwrap_or_default(),
        });
        Ok((told, results))
    }

    /// A look at a batch finds it one step further.
    fn moved_on(&mut self, told: &mut Value, (results, looks): (&str, u32), (ours, ids, base): (bool, &Ids, &str)) {
        let now = unix_seconds();
        let count =
            |told: &Value, name: &str| told.pointer(&format!("/request_counts/{name}")).cloned().unwrap_or_default();
        if ours {
            let is_cancelled = text(told, "processing_status") == "canceling";
            if !is_cancelled && (text(told, "processing_status") != "in_progress" || looks == 0) {
                return;
            }
            let total = count(told, "processing");
            let counts = [("processing", json!(0)), (if is_cancelled { "canceled" } else { "succeeded" }, total)];
            told.get_mut("request_counts").into_iter().for_each(|told| set(told, counts.clone()));
            let url = json!(format!("{base}/{}/results", text(told, "id")));
            let ended = json!(rfc3339(now));
            set(told, [("results_url", url), ("processing_status", json!("ended")), ("ended_at", ended)]);
            return;
        }
        match text(told, "status") {
            "validating" => set(told, [("status", json!("in_progress")), ("in_progress_at", json!(now))]),
            "in_progress" => {
                let output = self.put_output(results.as_bytes().to_vec(), ids);
                let total = count(told, "total");
                told.get_mut("request_counts").into_iter().for_each(|told| set(told, [("completed", total.clone())]));
                let completed = [("status", json!("completed")), ("completed_at", json!(now))];
                set(told, completed);
                set(told, [("output_file_id", output)]);
            }
            "cancelling" => set(told, [("status", json!("cancelled")), ("cancelled_at", json!(now))]),
            _ => {}
        }
    }
}

fn cancelled(told: &mut Value, ours: bool) {
    let now = unix_seconds();
    if ours && text(told, "processing_status") == "in_progress" {
        set(told, [("processing_status", json!("canceling")), ("cancel_initiated_at", json!(rfc3339(now)))]);
    } else if !ours && matches!(text(told, "status"), "validating" | "in_progress") {
        set(told, [("status", json!("cancelling")), ("cancelling_at", json!(now))]);
    }
}

fn of_messages(body: &[u8], ids: &Ids, work: Worker<'_>) -> Checked<(Value, String)> {
    let asked = object(body)?;
    let requests = asked.get("requests").and_then(Value::as_array).filter(|list| !list.is_empty());
    let requests = requests.ok_or_else(|| Fault::new(400, "requests: Field required"))?;
    let mut results = String::new();
    for request in requests {
        let result = match work("/v1/messages", request.get("params").unwrap_or(&Value::Null)) {
            Ok(mut message) => {
                message.get_mut("usage").into_iter().for_each(|usage| set(usage, [("service_tier", json!("batch"))]));
                json!({ "type": "succeeded", "message": message })
            }
            Err(fault) => {
                json!({ "type": "errored", "error": crate::anthropic::error::body(&fault, &ids.next("req_")) })
            }
        };
        results.push_str(&format!("{}\n", json!({ "custom_id": request.get("custom_id"), "result": result })));
    }
    let now = unix_seconds();
    let counts = json!({ "processing": requests.len(), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0 });
    let told = json!({
        "id": ids.next("msgbatch_"), "type": "message_batch", "processing_status": "in_progress", "request_counts": counts,
        "ended_at": null, "created_at": rfc3339(now), "expires_at": rfc3339(now + DAY), "archived_at": null,
        "cancel_initiated_at": null, "results_url": null,
    });
    Ok((told, results))
}

fn object(body: &[u8]) -> Checked<Value> {
    let read: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
    read.ok_or_else(|| Fault::new(400, "We could not parse the JSON body of your request."))
}
