//! Files and batches: what is asked about them, and the requests of a batch, each answered as by itself.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::Call;
use crate::anthropic::request::Purpose;
use crate::clock::unix_seconds;
use crate::fault::{Checked, Fault};
use crate::kept::{KeptAnswer, KeptRoute};
use crate::model;
use crate::plan::Plan;
use crate::route::Vendor;
use crate::script::Script;
use crate::side::SideRequest;
use crate::{anthropic, openai};

impl Call {
    /// Answers what is asked about a file or a batch.
    pub(super) fn kept(self, route: &KeptRoute, parts: &Parts, body: &[u8]) -> Response<Script> {
        let ours = (self.vendor == Vendor::Anthropic, self.model.ids());
        let work = |path: &str, request: &Value| self.worked(path, request);
        let read = || {
            let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            SideRequest::read(kind, None, body)
        };
        let answered = match route.is_batch {
            true => self.model.kept().batch((route, body), ours, &work),
            false => self.model.kept().file(route, ours, read),
        };
        match answered {
            Ok(KeptAnswer::Json(value)) => self.whole(&value, 0, &Plan::default()),
            Ok(KeptAnswer::Raw(kind, bytes)) => {
                let headers = self.headers();
                let script = Script::whole(Bytes::from(bytes), &self.fate, self.outcome);
                let mut response = super::respond(StatusCode::OK, HeaderValue::from_static(kind), script);
                response.headers_mut().extend(headers);
                response
            }
            Err(fault) => self.refuse(&fault),
        }
    }

    /// The answer to one request of a batch.
    fn worked(&self, path: &str, request: &Value) -> Checked<Value> {
        let (body, plan) = (request.to_string(), Plan::default());
        let (ids, known) = (self.model.ids(), |ask| self.known(ask));
        match path {
            "/v1/messages" => {
                let ask = anthropic::request::read(body.as_bytes(), Purpose::Answer).and_then(known)?;
                let answer = model::answer(&ask, &plan).into_iter().next().unwrap_or_default();
                let cached = self.model.prompts().consult(&ask.beginnings);
                Ok(anthropic::reply::write(&ask, &answer, cached, ids))
            }
            "/v1/chat/completions" => {
                let ask = openai::request::read(body.as_bytes()).and_then(known)?;
                let answers = model::answer(&ask, &plan);
                let cached = self.model.prompts().consult(&ask.beginnings);
                Ok(openai::reply::write(&self.letterhead(&ask), &ask, &answers, cached, ids))
            }
            "/v1/responses" => {
                use openai::responses::reply;
                let ask = openai::responses::request::read(body.as_bytes()).and_then(known)?;
                let answer = model::answer(&ask, &plan).into_iter().next().unwrap_or_default();
                let cached = self.model.prompts().consult(&ask.beginnings);
                let head = reply::head(&ask, &answer, cached, ids, unix_seconds());
                let items = reply::items(&ask, &answer, ids);
                Ok(reply::response(&head, &ask, reply::status(&answer), &items, &json!(null)))
            }
            "/v1/embeddings" => {
                let embed = openai::embeddings::read(body.as_bytes())?;
                self.named(&embed.model).map(|()| openai::embeddings::write(&embed))
            }
            _ => Err(Fault::new(400, format!("The URL '{path}' is not supported in batches."))),
        }
    }
}
