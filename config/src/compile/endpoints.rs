//! The pods behind a Service, from its `EndpointSlice`s as plain values.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// The part of an `EndpointSlice` that says where pods are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slice {
    /// Its ports.
    pub ports: Vec<SlicePort>,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// A port of a slice: what the Service's port of the same name leads to on its pods.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlicePort {
    /// The name of the Service's port; empty where it has none.
    pub name: String,
    /// The number on the pods. `None` is written only by hand, and means any: such a port is passed over.
    pub port: Option<u16>,
}

/// An endpoint of a slice. What is not said means what the API of `EndpointSlice` says it means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SliceEndpoint {
    /// Its addresses, all of one pod: the first counts, as it does for kube-proxy.
    pub addresses: Vec<String>,
    /// Takes calls, and is not being ended. `None`: it does.
    pub ready: Option<bool>,
    /// Takes calls, being ended or not. `None`: as `ready`.
    pub serving: Option<bool>,
    /// Is being ended. `None`: it is not.
    pub terminating: Option<bool>,
}

/// The fitness of an endpoint; the fittest there are take the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    Ready,
    /// Being ended, and still answering: better than nothing while a rollout has no other pod.
    ServingToTheEnd,
}

/// The endpoints of a Service's port: `ip:port` (IPv6 in brackets), sorted, each once. Those that are ready; where none
/// is, those that are being ended and still serve. A pod of two families has an address of each, which would give it
/// twice its share: one family is taken, the one that is fitter, IPv4 among equals.
#[must_use]
pub fn endpoints(slices: &[Slice], port_name: &str) -> Vec<String> {
    let mut found: BTreeSet<(Fitness, bool, SocketAddr)> = BTreeSet::new();
    for slice in slices {
        let ports = slice.ports.iter().filter(|port| port.name == port_name).filter_map(|port| port.port);
        for port in ports {
            found.extend(slice.endpoints.iter().filter_map(|endpoint| {
                let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
                Some((fitness(endpoint)?, address.is_ipv6(), SocketAddr::new(address, port)))
            }));
        }
    }
    let Some((best, family, _)) = found.first().copied() else { return Vec::new() };
    let mut list: Vec<String> = found
        .into_iter()
        .filter(|(fitness, is_ipv6, _)| (*fitness, *is_ipv6) == (best, family))
        .map(|(_, _, address)| address.to_string())
        .collect();
    list.sort_unstable();
    list
}

fn fitness(endpoint: &SliceEndpoint) -> Option<Fitness> {
    let ready = endpoint.ready.unwrap_or(true);
    if ready {
        return Some(Fitness::Ready);
    }
    let serving = endpoint.serving.unwrap_or(ready);
    (serving && endpoint.terminating.unwrap_or(false)).then_some(Fitness::ServingToTheEnd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(address: &str, ready: Option<bool>, serving: Option<bool>, terminating: Option<bool>) -> SliceEndpoint {
        SliceEndpoint { addresses: vec![address.to_owned()], ready, serving, terminating }
    }

    fn slice(name: &str, port: Option<u16>, endpoints: Vec<SliceEndpoint>) -> Slice {
        Slice { ports: vec![SlicePort { name: name.to_owned(), port }], endpoints }
    }

    fn ready(address: &str) -> SliceEndpoint {
        endpoint(address, Some(true), Some(true), Some(false))
    }

    fn ending(address: &str) -> SliceEndpoint {
        endpoint(address, Some(false), Some(true), Some(true))
    }

    #[test]
    fn which_endpoints_take_calls() {
        let (yes, no) = (Some(true), Some(false));
        let unready = || endpoint("10.0.0.8", no, no, no);
        for (what, endpoints, expected) in [
            ("nothing", vec![], vec![]),
            ("ready", vec![ready("10.0.0.2"), ready("10.0.0.1")], vec!["10.0.0.1:80", "10.0.0.2:80"]),
            ("nothing said is ready", vec![endpoint("10.0.0.1", None, None, None)], vec!["10.0.0.1:80"]),
            ("not ready", vec![unready()], vec![]),
            ("not ready beside ready", vec![unready(), ready("10.0.0.1")], vec!["10.0.0.1:80"]),
            ("ending beside ready", vec![ending("10.0.0.9"), ready("10.0.0.1")], vec!["10.0.0.1:80"]),
            ("only ending", vec![ending("10.0.0.9"), unready()], vec!["10.0.0.9:80"]),
            ("ending, and serves no more", vec![endpoint("10.0.0.9", no, no, yes)], vec![]),
            ("ending, serving not said", vec![endpoint("10.0.0.9", no, None, yes)], vec![]),
            ("serving, neither ready nor ending", vec![endpoint("10.0.0.9", no, yes, no)], vec![]),
            (
                "published although not ready: always ready",
                vec![endpoint("10.0.0.9", yes, no, yes)],
                vec!["10.0.0.9:80"],
            ),
            ("IPv6", vec![ready("fd00::1")], vec!["[fd00::1]:80"]),
            ("of two families one", vec![ready("fd00::1"), ready("10.0.0.1")], vec!["10.0.0.1:80"]),
            ("the fitter family", vec![ready("fd00::1"), ending("10.0.0.1")], vec!["[fd00::1]:80"]),
            ("a name is no address", vec![ready("model.example.com")], vec![]),
            ("no address", vec![SliceEndpoint { ready: yes, ..SliceEndpoint::default() }], vec![]),
            (
                "the first address counts",
                vec![SliceEndpoint {
                    addresses: vec!["10.0.0.2".to_owned(), "10.0.0.1".to_owned()],
                    ..SliceEndpoint::default()
                }],
                vec!["10.0.0.2:80"],
            ),
        ] {
            assert_eq!(super::endpoints(&[slice("http", Some(80), endpoints)], "http"), expected, "{what}");
        }
    }

    #[test]
    fn slices_are_joined_by_the_name_of_the_port() {
        let slices = [
            slice("http", Some(8080), vec![ready("10.0.0.1"), ready("10.0.0.2")]),
            // While a Deployment's containers change their port, two slices have one name and two numbers.
            slice("http", Some(9090), vec![ready("10.0.0.3"), ready("10.0.0.1")]),
            slice("http", Some(8080), vec![ready("10.0.0.2")]),
            slice("metrics", Some(9100), vec![ready("10.0.0.1")]),
            slice("", Some(7000), vec![ready("10.0.0.1")]),
            slice("any", None, vec![ready("10.0.0.1")]),
        ];
        let expected = ["10.0.0.1:8080", "10.0.0.1:9090", "10.0.0.2:8080", "10.0.0.3:9090"];
        assert_eq!(endpoints(&slices, "http"), expected);
        assert_eq!(endpoints(&slices, ""), ["10.0.0.1:7000"]);
        assert!(endpoints(&slices, "any").is_empty() && endpoints(&slices, "none").is_empty());
    }
}
