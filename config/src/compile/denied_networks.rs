//! Addresses where no provider may be: those that are the platform's own, which whoever may write a pool could
//! otherwise have called by the gateway and read in its answers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// The IPv6 addresses that stand for IPv4 ones (RFC 6052).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// Cloud metadata and what else is on a link: nobody's model server.
const LINK: [(&str, &str); 7] = [
    ("169.254.0.0/16", "link-local addresses, cloud metadata among them"),
    ("fe80::/10", "link-local addresses"),
    // Where clouds put theirs beside that.
    ("fd00:ec2::/32", "cloud metadata"),
    ("fd20:ce::254/128", "cloud metadata"),
    ("100.100.100.200/32", "cloud metadata"),
    ("168.63.129.16/32", "cloud metadata"),
    ("192.0.0.192/32", "cloud metadata"),
];
/// The machine itself: in a cluster the proxy's own pod, where its admin address is.
const SELF: [(&str, &str); 4] = [
    ("127.0.0.0/8", "the proxy's own pod"),
    ("::1/128", "the proxy's own pod"),
    ("0.0.0.0/8", "the proxy's own pod"),
    ("::/128", "the proxy's own pod"),
];

/// Networks that no provider may be in. Nothing is denied by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeniedNetworks {
    networks: Vec<(IpNet, String)>,
    except: Vec<IpNet>,
}

/// The reason why an address is denied; says how to allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    address: IpAddr,
    network: IpNet,
    what: String,
}

impl DeniedNetworks {
    /// Addresses denied everywhere: metadata and link-local addresses.
    #[must_use]
    pub fn everywhere() -> Self {
        let mut denied = Self::default();
        denied.known(&LINK);
        denied
    }

    /// Addresses denied in a cluster besides: the proxy's own pod, and the API server.
    #[must_use]
    pub fn in_cluster(api_server: Option<IpAddr>) -> Self {
        let mut denied = Self::everywhere();
        denied.known(&SELF);
        denied.networks.extend(api_server.map(|address| (address.into(), "the API server".to_owned())));
        denied
    }

    fn known(&mut self, list: &[(&str, &str)]) {
        let read = |(network, what): &(&str, &str)| Some((network.parse().ok()?, (*what).to_owned()));
        self.networks.extend(list.iter().filter_map(read));
    }

    /// Bars further networks, and leaves exceptions out of all.
    #[must_use]
    pub fn with(mut self, further: &[IpNet], except: &[IpNet]) -> Self {
        self.networks.extend(further.iter().map(|network| (*network, "denied by --deny-networks".to_owned())));
        self.except.extend(except);
        self
    }

    /// The reason why no provider may be at this address, if there is one.
    ///
    /// # Errors
    /// It is denied.
    pub fn check(&self, address: IpAddr) -> Result<(), Denial> {
        let address = meant(address);
        if self.except.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        match self.networks.iter().find(|(network, _)| network.contains(&address)) {
            Some((network, what)) => Err(Denial { address, network: *network, what: what.clone() }),
            None => Ok(()),
        }
    }

    /// The same of a host as a URL writes it. A name is checked when it is resolved, but for the names of the machine
    /// itself.
    ///
    /// # Errors
    /// It is denied.
    pub fn check_host(&self, host: &str) -> Result<(), Denial> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        if let Ok(address) = bare.parse() {
            return self.check(address);
        }
        if bare.eq_ignore_ascii_case("localhost") || bare.to_ascii_lowercase().ends_with(".localhost") {
            return self.check(Ipv4Addr::LOCALHOST.into());
        }
        Ok(())
    }
}

/// An IPv4 address that is written as an IPv6 one is still that.
fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if six.segments().starts_with(&TRANSLATED) => {
            let [.., a, b, c, d] = six.octets();
            IpAddr::from([a, b, c, d])
        }
        canonical => canonical,
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, network, what } = self;
        write!(
            f,
            "no provider may be at {address}, which is in {network} ({what}): write another address, or have whoever runs \
             the gateway allow it with --allow-networks (the chart's egress.allowedNetworks)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_denied(denied: &DeniedNetworks, address: &str) -> bool {
        denied.check_host(address).is_err()
    }

    #[test]
    fn what_is_barred_where() {
        let everywhere = DeniedNetworks::everywhere();
        let cluster = DeniedNetworks::in_cluster("10.96.0.1".parse().ok());
        for (address, alone, in_cluster) in [
            ("169.254.169.254", true, true),
            ("169.254.170.2", true, true),
            ("[::ffff:169.254.169.254]", true, true),
            ("[64:ff9b::a9fe:a9fe]", true, true),
            ("[fd00:ec2::254]", true, true),
            ("[fe80::1]", true, true),
            ("100.100.100.200", true, true),
            ("127.0.0.1", false, true),
            ("127.9.9.9", false, true),
            ("[::1]", false, true),
            ("0.0.0.0", false, true),
            ("localhost", false, true),
            ("a.LocalHost.", false, true),
            ("10.96.0.1", false, true),
            ("10.96.0.2", false, false),
            ("192.0.2.1", false, false),
            ("[fd12::1]", false, false),
            ("[2001:db8::1]", false, false),
            ("api.openai.com", false, false),
        ] {
            assert_eq!(is_denied(&everywhere, address), alone, "{address} alone");
            assert_eq!(is_denied(&cluster, address), in_cluster, "{address} in a cluster");
            assert!(!is_denied(&DeniedNetworks::default(), address), "{address}");
        }
    }

    #[test]
    fn more_can_be_barred_and_any_of_it_allowed() {
        let networks = |text: &str| text.split(',').map(|net| net.parse().unwrap()).collect::<Vec<IpNet>>();
        let denied =
            DeniedNetworks::in_cluster(None).with(&networks("10.0.0.0/8"), &networks("127.0.0.0/8,10.1.0.0/16"));
        assert!(is_denied(&denied, "10.2.0.1") && !is_denied(&denied, "10.1.0.1"));
        assert!(is_denied(&denied, "[::1]") && !is_denied(&denied, "localhost"));
        let nothing = DeniedNetworks::in_cluster(None).with(&[], &networks("0.0.0.0/0,::/0"));
        assert!(!is_denied(&nothing, "169.254.169.254") && !is_denied(&nothing, "[fe80::1]"));
        let said = DeniedNetworks::everywhere().check("169.254.169.254".parse().unwrap()).unwrap_err().to_string();
        assert!(said.contains("169.254.0.0/16") && said.contains("--allow-networks"), "{said}");
    }

    #[test]
    fn every_network_of_the_lists_is_one() {
        assert_eq!(DeniedNetworks::in_cluster(None).networks.len(), LINK.len() + SELF.len());
    }
}
