//! The Services that pools name: where their pods are.

use sluicegate_crds::{self as crds, ProviderPoolSpec};

use super::address;
use super::inputs::Inputs;
use super::provider_addresses;
use super::report::Report;
use super::verdict::Reason;
use crate::{Pool, Provider, ServicePort};

/// The most endpoints of one provider: each has a circuit, connections and gauges in every proxy.
const MAX_ENDPOINTS: usize = 1000;

/// The address that a Service goes by, as a url is written: for the `host` header, the certificate, and for DNS where
/// there is no cluster to ask.
pub(super) fn url(spec: &crds::ServiceRef, namespace: &str, default_path: &str) -> Result<String, String> {
    let crds::ServiceRef { name, port, scheme, path } = spec;
    let scheme = match scheme {
        crds::Scheme::Http => "http",
        crds::Scheme::Https => "https",
    };
    let path = path.as_deref().unwrap_or_default();
    address::normalise(&format!("{scheme}://{name}.{namespace}.svc:{port}{path}"), default_path)
}

/// Writes into a pool where the pods of its Services are, and says which Services cannot be used.
pub(super) fn resolve(spec: &ProviderPoolSpec, pool: &mut Pool, inputs: &Inputs<'_>, report: &mut Report<'_>) {
    for (index, provider) in spec.providers.iter().enumerate() {
        let Some(compiled) = pool.providers.iter_mut().find(|p| p.name == provider.name) else { continue };
        let Some(service) = &compiled.service else { continue };
        let path = format!("spec.providers[{index}].serviceRef");
        compiled.endpoints = look(service, inputs).map(|found| match found {
            Ok(mut endpoints) => {
                if let Some(denial) = provider_addresses::leave_out(&mut endpoints, &inputs.denied) {
                    report.error(
                        &path,
                        Reason::ServiceInvalid,
                        format!("an endpoint of the Service {} is left out: {denial}", service.id.0),
                    );
                }
                judge(service, &endpoints, &path, report);
                endpoints.truncate(MAX_ENDPOINTS);
                endpoints
            }
            Err((reason, message)) => {
                report.error(&path, reason, message);
                Vec::new()
            }
        });
    }
}

/// Writes into a previous form where the pods of its Services are by now: its addresses may be another's today.
pub(super) fn refresh(pool: &mut Pool, inputs: &Inputs<'_>) {
    for provider in &mut pool.providers {
        let Some(service) = &provider.service else { continue };
        provider.endpoints = look(service, inputs).map(Result::unwrap_or_default).map(|mut endpoints| {
            provider_addresses::leave_out(&mut endpoints, &inputs.denied);
            endpoints.truncate(MAX_ENDPOINTS);
            endpoints
        });
    }
}

/// True if the Service of a provider is there, if it names one.
pub(super) fn is_there(provider: &Provider, inputs: &Inputs<'_>) -> bool {
    let found = provider.service.as_ref().and_then(|service| look(service, inputs));
    found.is_none_or(|found| found.is_ok())
}

fn judge(service: &ServicePort, endpoints: &[String], path: &str, report: &mut Report<'_>) {
    let ServicePort { id, port } = service;
    if endpoints.is_empty() {
        let message = format!(
            "the Service {} has no ready endpoint at port {port}, so this provider takes no calls: see whether its selector finds pods, and why they are not ready",
            id.0
        );
        report.error(path, Reason::NoEndpoints, message);
    }
    if endpoints.len() > MAX_ENDPOINTS {
        let message = format!(
            "the Service {} has {} endpoints, of which the first {MAX_ENDPOINTS} take calls: split it into several Services and providers",
            id.0,
            endpoints.len()
        );
        report.warning(path, Reason::TooManyEndpoints, message);
    }
}

/// The endpoints of a Service's port, or why there are none; `None`: there is no cluster to ask.
fn look(service: &ServicePort, inputs: &Inputs<'_>) -> Option<Result<Vec<String>, (Reason, String)>> {
    let ServicePort { id, port } = service;
    let services = inputs.services.as_ref()?;
    let Some(found) = services.get(id) else {
        let message = format!("there is no Service {}: create it, or name another", id.0);
        return Some(Err((Reason::ServiceNotFound, message)));
    };
    if found.is_external_name {
        let message = format!(
            "the Service {} is of type ExternalName and has no pods: write the name that it stands for as url",
            id.0
        );
        return Some(Err((Reason::ServiceInvalid, message)));
    }
    let Some(endpoints) = found.ports.get(port) else {
        let known: Vec<String> = found.ports.keys().map(u16::to_string).collect();
        let message = format!(
            "the Service {} has no port {port}: write one that it has as `port` ({}), not a port of its pods",
            id.0,
            known.join(", ")
        );
        return Some(Err((Reason::ServiceNotFound, message)));
    };
    let mut endpoints = endpoints.clone();
    endpoints.sort_unstable();
    endpoints.dedup();
    Some(Ok(endpoints))
}
