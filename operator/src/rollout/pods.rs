//! The proxies' Pods, as the API server shows them.

use std::net::SocketAddr;

use futures_util::{Stream, StreamExt as _, future};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Client};

use super::fleet::{PodEvent, PodFacts};
use crate::client::{error_text, watch_settings};
use crate::watch_pause::paced;

/// The container port that the admin address is on, by name.
const ADMIN_PORT: &str = "admin";

/// Watches for ever. What can not be watched is tried again, ever more slowly; what was seen stands meanwhile.
pub(super) fn watch(client: Client, namespace: &str, selector: &str) -> impl Stream<Item = PodEvent> + use<> {
    let pods: Api<Pod> = Api::namespaced(client, namespace);
    let events = paced(watcher(pods, watch_settings().labels(selector)));
    events.scan(Vec::new(), |listed, event| future::ready(Some(seen(event, listed)))).filter_map(future::ready)
}

/// The change that an event shows; a list is shown when it has been read whole.
fn seen(event: watcher::Result<watcher::Event<Pod>>, listed: &mut Vec<PodFacts>) -> Option<PodEvent> {
    match event {
        Ok(watcher::Event::Init) => listed.clear(),
        Ok(watcher::Event::InitApply(pod)) => listed.extend(facts(&pod)),
        Ok(watcher::Event::InitDone) => return Some(PodEvent::All(std::mem::take(listed))),
        Ok(watcher::Event::Apply(pod)) => return facts(&pod).map(PodEvent::Pod),
        Ok(watcher::Event::Delete(pod)) => return pod.metadata.name.map(PodEvent::Gone),
        Err(error) => {
            let error = error_text(&error);
            tracing::warn!(error, "proxies' pods can not be watched: tried again");
            return Some(PodEvent::Failing(error));
        }
    }
    None
}

fn facts(pod: &Pod) -> Option<PodFacts> {
    let (metadata, status) = (&pod.metadata, pod.status.as_ref());
    let phase = status.and_then(|status| status.phase.as_deref());
    // Its address may be another pod's by now.
    let ended = matches!(phase, Some("Succeeded" | "Failed"));
    let ready = status.and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    Some(PodFacts {
        name: metadata.name.clone()?,
        uid: metadata.uid.clone().unwrap_or_default(),
        address: if ended { None } else { address(pod) },
        ready: ready && !ended,
        deleting: metadata.deletion_timestamp.is_some(),
    })
}

fn address(pod: &Pod) -> Option<SocketAddr> {
    let ip = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
    let containers = pod.spec.as_ref()?.containers.iter();
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let port = ports.find(|port| port.name.as_deref() == Some(ADMIN_PORT))?;
    Some(SocketAddr::new(ip, u16::try_from(port.container_port).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(json: serde_json::Value) -> Pod {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_pod_is_read_with_its_admin_port() {
        let mut json = serde_json::json!({
            "metadata": { "name": "p", "uid": "u" },
            "spec": { "containers": [
                { "name": "side" },
                { "name": "proxy", "ports": [{ "name": "http", "containerPort": 1 }, { "name": "admin", "containerPort": 9090 }] },
            ] },
            "status": { "phase": "Running", "podIP": "fd00::1", "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        let found = facts(&pod(json.clone())).unwrap();
        assert_eq!(found.address, Some("[fd00::1]:9090".parse().unwrap()));
        assert!(found.ready && !found.deleting);

        json["status"]["phase"] = "Failed".into();
        let found = facts(&pod(json.clone())).unwrap();
        assert!(found.address.is_none() && !found.ready);

        json["status"] = serde_json::json!({});
        json["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let found = facts(&pod(json)).unwrap();
        assert!(found.address.is_none() && !found.ready && found.deleting);
    }

    #[test]
    fn a_list_is_shown_when_it_has_been_read_whole() {
        let named = |name: &str| pod(serde_json::json!({ "metadata": { "name": name } }));
        let mut listed = Vec::new();
        assert!(seen(Ok(watcher::Event::Init), &mut listed).is_none());
        assert!(seen(Ok(watcher::Event::InitApply(named("a"))), &mut listed).is_none());
        // The list is begun anew.
        assert!(seen(Ok(watcher::Event::Init), &mut listed).is_none());
        assert!(seen(Ok(watcher::Event::InitApply(named("b"))), &mut listed).is_none());
        let all = seen(Ok(watcher::Event::InitDone), &mut listed);
        assert!(matches!(all, Some(PodEvent::All(all)) if all.len() == 1 && all[0].name == "b"));
        let failing = seen(Err(watcher::Error::NoResourceVersion), &mut listed);
        assert!(matches!(failing, Some(PodEvent::Failing(_))));
        let gone = seen(Ok(watcher::Event::Delete(named("b"))), &mut listed);
        assert!(matches!(gone, Some(PodEvent::Gone(name)) if name == "b"));
    }
}
