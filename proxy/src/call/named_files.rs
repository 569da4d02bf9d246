//! The files that a call names, where a provider keeps them: opened for their owner, asked of who keeps them, and named as that does. What an
//! answer names comes back sealed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluicegate_dialects::hub::ErrorKind;
use sluicegate_dialects::{named_files, renamed_files};

use crate::errors::Problem;
use crate::sealing::{IdKind, IdOwner, IdSealer, SealedId};
use crate::state::Provider;

use super::cache_lookup;
use super::call_files::CallFiles;
use super::inbound::InboundCall;
use super::sealed_stream::SealFiles;
use super::stored_object::opened;

/// The most files that one call names.
const MOST: usize = 100;
/// The kinds of files that calls may name.
const KINDS: [IdKind; 4] = [IdKind::File, IdKind::BatchInput, IdKind::BatchOutput, IdKind::Document];

/// Looks for files in a call, where the gateway has keys.
///
/// # Errors
/// One of them is not there for this caller, or they are not all in one place.
pub(super) fn look(call: &InboundCall) -> Result<(), Problem> {
    let Some(file) = &call.context.worker.shared.response_keys else { return Ok(()) };
    if !call.operation.generates() && call.operation != crate::account::Operation::CountTokens {
        return Ok(());
    }
    let named = named_files(&call.body);
    if named.is_empty() {
        return Ok(());
    }
    if named.len() > MOST {
        return Err(wrong(format!("The call names more than {MOST} files.")));
    }
    let (sealer, owner) = (file.current(), cache_lookup::caller(call).unwrap_or_default());
    let mut files: Option<CallFiles> = None;
    for id in named {
        let thing = opened(&owner, &sealer, (&KINDS, &id)).ok_or_else(|| not_there(&id))?;
        let files = files.get_or_insert_with(|| CallFiles { target: thing.opened.target, names: Vec::new() });
        if files.target != thing.opened.target {
            return Err(wrong(
                "The files that the call names are kept at several providers; send them to one.".to_owned(),
            ));
        }
        files.names.push((thing.sealed, thing.opened.id));
    }
    files.into_iter().for_each(|files| call.names_files(files));
    Ok(())
}

/// The seal for the files that answers name; `None`: there are no keys.
pub(super) fn sealed(call: &InboundCall, body: &Bytes, provider: &Provider) -> Bytes {
    let Some(file) = &call.context.worker.shared.response_keys else { return body.clone() };
    if !call.operation.generates() {
        return body.clone();
    }
    let named = named_files(body);
    if named.is_empty() {
        return body.clone();
    }
    let owner = cache_lookup::caller(call).unwrap_or_default();
    sealed_names(&named, (&owner, &file.current(), provider.stands_for), body)
}

/// The seal for the files that the events of an answer name, where a call has tools that make some; `None`: it has none.
pub(super) fn seal_of_stream(call: &InboundCall, provider: &Provider) -> Option<SealFiles> {
    let file = call.context.worker.shared.response_keys.as_ref()?;
    memchr::memmem::find(&call.body, b"code_execution")?;
    let (sealer, owner) = (file.current(), cache_lookup::caller(call).unwrap_or_default());
    let target = provider.stands_for;
    Some(Rc::new(move |events: Bytes| {
        let data = events.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
        let named: Vec<String> = data.flat_map(named_files).collect();
        sealed_names(&named, (&owner, &sealer, target), &events)
    }))
}

fn sealed_names(named: &[String], (owner, sealer, target): (&IdOwner, &Arc<IdSealer>, u64), body: &Bytes) -> Bytes {
    let mut body = body.clone();
    for id in named.iter().take(MOST) {
        let kind = if id.starts_with(IdKind::Document.beginning()) { IdKind::Document } else { IdKind::File };
        let sealed = sealer.seal(owner, kind, &SealedId { target, id: id.clone() });
        if let Some(sealed) = sealed {
            body = renamed_files(&body, &[(id.clone(), sealed)]).unwrap_or(body);
        }
    }
    body
}

/// The problem of a call whose files' keeper does not take it.
pub(super) fn kept_elsewhere(call: &InboundCall, is_asked: bool) -> Problem {
    if is_asked {
        let message = "The one provider that keeps the files of this call can not take it now. Try again in a moment.";
        return Problem::gateway(ErrorKind::Overloaded, message).retry(true, Some(Duration::from_secs(1)));
    }
    let model: String = call.model().chars().take(200).collect();
    wrong(format!(
        "The files that this call names are kept at a provider that is not asked for the model `{model}`. Send them again with the header \
         `x-sluicegate-model: {model}`, or put them into the call."
    ))
}

fn not_there(id: &str) -> Problem {
    let shown: String = id.chars().take(200).collect();
    let message = format!("There is no file '{shown}'. Send it to /v1/files of this gateway first.");
    Problem::client(ErrorKind::NotFound, message).param("file_id".to_owned()).retry(false, None)
}

fn wrong(message: String) -> Problem {
    Problem::client(ErrorKind::InvalidRequest, message).param("file_id".to_owned()).retry(false, None)
}
