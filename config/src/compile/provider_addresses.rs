//! The addresses of a pool that are no place for a provider: those that it writes, and those of its Services'
//! endpoints.

use std::net::SocketAddr;

use http::Uri;
use sluicegate_crds::ProviderPoolSpec;

use super::denied_networks::{Denial, DeniedNetworks};
use super::report::Report;

/// Reports the providers whose address says itself that they may not be there. What a name leads to is seen when it is
/// called.
pub(super) fn judge(spec: &ProviderPoolSpec, denied: &DeniedNetworks, report: &mut Report<'_>) {
    for (index, provider) in spec.providers.iter().enumerate() {
        let path = format!("spec.providers[{index}]");
        let own = provider.url.iter().map(|url| (format!("{path}.url"), url));
        let regional = provider.regions.iter().enumerate();
        let regional = regional.map(|(index, region)| (format!("{path}.regions[{index}].url"), &region.url));
        for (path, url) in own.chain(regional) {
            // What is no URL has been reported as that.
            let uri = url.parse::<Uri>().ok();
            if let Some(Err(denial)) = uri.as_ref().and_then(Uri::host).map(|host| denied.check_host(host)) {
                report.invalid(&path, denial.to_string());
            }
        }
    }
}

/// Takes out where no provider may be: whoever may write an `EndpointSlice` writes any address. Gives the first reason.
pub(super) fn leave_out(endpoints: &mut Vec<String>, denied: &DeniedNetworks) -> Option<Denial> {
    let mut first = None;
    endpoints.retain(|endpoint| {
        let address = endpoint.parse().map(|address: SocketAddr| address.ip());
        let denial = address.ok().and_then(|address| denied.check(address).err());
        let stays = denial.is_none();
        first = first.take().or(denial);
        stays
    });
    first
}
