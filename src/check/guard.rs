//! Which addresses may be dialled.
//!
//! A catalogue entry names a host, DNS says where it is, and neither is allowed to point the operator at the
//! cluster it runs in: at loopback, at the metadata service of a cloud, at a private network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use url::{Host, Url};

/// Judges addresses. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allow: Arc<[IpNet]>,
}

impl Guard {
    /// A guard that refuses every address that is not public, except those in `allow` (`--allow-network`).
    #[must_use]
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow: allow.into() }
    }

    /// Whether `address` may be dialled.
    ///
    /// `--allow-network` is matched against the address as it stands; an IPv4-mapped address is also matched as
    /// the IPv4 address that the kernel dials for it. Other addresses that carry an IPv4 address (NAT64, 6to4,
    /// Teredo …) are refused when that one is, whatever is allowed for IPv4: who wants those allows them as IPv6.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        if self.allows(address) {
            return true;
        }
        match address {
            IpAddr::V4(v4) => is_public_v4(v4),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => self.permits(IpAddr::V4(v4)),
                None => is_public_v6(v6) && embedded(v6).into_iter().flatten().all(is_public_v4),
            },
        }
    }

    /// Whether the host of `endpoint` is an IP literal that may not be dialled.
    ///
    /// The address is read by the WHATWG parser, the one that reqwest dials with, so every disguise that it
    /// understands (`0x7f000001`, `127.1`, `2130706433`, `[::ffff:7f00:1]` …) is seen through. A text that this
    /// parser refuses (`https://1.2.3.4.5`) counts as forbidden: it can never be dialled, and a person has to
    /// change it. What DNS answers for a name is known only to the check.
    #[must_use]
    pub fn forbids_literal(&self, endpoint: &str) -> bool {
        match Url::parse(endpoint) {
            Ok(url) => match url.host() {
                Some(Host::Domain(_)) => false,
                Some(Host::Ipv4(v4)) => !self.permits(v4.into()),
                Some(Host::Ipv6(v6)) => !self.permits(v6.into()),
                None => true,
            },
            Err(_) => true,
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&address))
    }
}

/// The IPv4 blocks that are not public, from IANA's special-purpose registry. Documentation blocks are absent on
/// purpose: nothing answers there, so they are no danger, and refusing them would only change one error to another.
const FORBIDDEN_V4: [([u8; 4], u8); 12] = [
    ([0, 0, 0, 0], 8),          // this network; 0.0.0.0 reaches loopback on Linux
    ([10, 0, 0, 0], 8),         // RFC 1918
    ([100, 64, 0, 0], 10),      // CGNAT, RFC 6598
    ([127, 0, 0, 0], 8),        // loopback
    ([169, 254, 0, 0], 16),     // link-local; the metadata service of clouds
    ([172, 16, 0, 0], 12),      // RFC 1918
    ([192, 0, 0, 0], 24),       // IETF protocol assignments
    ([192, 168, 0, 0], 16),     // RFC 1918
    ([198, 18, 0, 0], 15),      // benchmarking
    ([224, 0, 0, 0], 4),        // multicast
    ([240, 0, 0, 0], 4),        // reserved
    ([255, 255, 255, 255], 32), // broadcast
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !FORBIDDEN_V4.iter().any(|&(network, length)| {
        let network = u32::from_be_bytes(network);
        (bits ^ network).checked_shr(32 - u32::from(length)).unwrap_or(0) == 0
    })
}

/// The IPv6 blocks that are not public.
const FORBIDDEN_V6: [([u16; 8], u8); 8] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 128),        // unspecified
    ([0, 0, 0, 0, 0, 0, 0, 1], 128),        // loopback
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), // NAT64 of the local network's own choosing, RFC 8215
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64),     // discard-only
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),     // unique local
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),    // link-local
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),    // site-local
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),     // multicast
];

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    !FORBIDDEN_V6.iter().any(|&(network, length)| {
        let network = Ipv6Addr::from(network).to_bits();
        (bits ^ network).checked_shr(128 - u32::from(length)).unwrap_or(0) == 0
    })
}

/// The IPv4 addresses that a packet to `address` may end at: some gateway unwraps them.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match s {
        // 6to4, RFC 3056
        [0x2002, ..] => [v4(s[1], s[2]), None],
        // Teredo, RFC 4380: the server, and the client with its bits turned
        [0x2001, 0, ..] => [v4(s[2], s[3]), v4(!s[6], !s[7])],
        // IPv4-compatible (deprecated) and IPv4-translated; NAT64, RFC 6052; ISATAP, RFC 5214
        [0, 0, 0, 0, 0 | 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] | [.., 0 | 0x200, 0x5efe, _, _] => {
            [v4(s[6], s[7]), None]
        }
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn guard(allow: &[&str]) -> Guard {
        Guard::new(allow.iter().map(|net| net.parse().unwrap()).collect())
    }

    #[test]
    fn every_disguise_of_an_inner_address_is_seen_through() {
        let guard = guard(&[]);
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "0",
            "0.0.0.0",
            "127.0.0.1.",
            "0x7f.0x0.0x0.0x1",
            "127.255.255.254",
            "１２７.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "10.0.0.1",
            "10.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.168.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "4294967295",
            "[::]",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:a00:1]",
            "[::127.0.0.1]",
            "[::7f00:1]",
            "[::ffff:0:7f00:1]",
            "[fe80::1]",
            "[febf::1]",
            "[fec0::1]",
            "[feff::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[ff02::1]",
            "[100::1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b::169.254.169.254]",
            "[64:ff9b:1::808:808]",
            "[2002:7f00:1::]",
            "[2002:a00:1::1]",
            "[2002:a9fe:a9fe::]",
            "[2001:0:7f00:1::]",
            "[2001:0:808:808:0:0:80ff:fffe]",
            "[2001:0:a00:1:0:0:f7f7:f7f7]",
            "[2001:4860::5efe:10.0.0.1]",
            "[2001:4860::200:5efe:7f00:1]",
            // nothing that can be dialled
            "1.2.3.4.5",
            "256.256.256.256",
            "0x1ffffffff",
            "08.1.1.1",
            "[::1",
            "[fe80::1%25eth0]",
            "[::g]",
        ] {
            assert!(guard.forbids_literal(&format!("https://{host}/base")), "{host}");
            assert!(guard.forbids_literal(&format!("https://{host}:8443")), "{host} with a port");
        }
    }

    #[test]
    fn public_addresses_and_names_are_no_forbidden_literals() {
        let guard = guard(&[]);
        for host in [
            "8.8.8.8",
            "1.1.1.1",
            "134744072",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "169.253.255.255",
            "169.255.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "192.0.1.0",
            "[2606:4700::1111]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::8.8.8.8]",
            "[2002:808:808::1]",
            "[2001:0:808:808:0:0:f7f7:f7f7]",
            "[fbff::1]",
            "[fe7f::1]",
            "[2001:4860:4860::8888]",
            "api.datadoghq.eu",
            "localhost",
            "127.0.0.1.example.com",
            "0x7f.example.com",
        ] {
            assert!(!guard.forbids_literal(&format!("https://{host}/base")), "{host}");
        }
    }

    #[test]
    fn an_allowed_network_opens_that_network_and_nothing_beside_it() {
        let guard = guard(&["127.0.0.0/8", "fd00:1::/32", "64:ff9b::a00:0/104"]);
        for (host, permitted) in [
            ("127.0.0.1", true),
            ("0x7f.1", true),
            ("[::ffff:127.0.0.1]", true),
            ("[fd00:1::5]", true),
            ("[64:ff9b::10.0.0.1]", true),
            ("10.0.0.1", false),
            ("[::1]", false),
            ("[fd00:2::5]", false),
            ("[64:ff9b::127.0.0.1]", false),
            ("[2002:7f00:1::]", false),
            ("[::ffff:10.0.0.1]", false),
        ] {
            assert_eq!(guard.forbids_literal(&format!("https://{host}")), !permitted, "{host}");
        }
    }

    #[test]
    fn a_mapped_network_may_be_allowed_as_it_is_written() {
        let guard = guard(&["::ffff:10.0.0.0/104"]);
        assert!(guard.permits("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!guard.permits("10.1.2.3".parse().unwrap()));
    }

    /// Each block once more, written by other hands: the standard library's own predicates.
    fn is_inner(v4: Ipv4Addr) -> bool {
        let [a, b, ..] = v4.octets();
        v4.is_loopback()
            || v4.is_private()
            || v4.is_link_local()
            || v4.is_unspecified()
            || v4.is_multicast()
            || v4.is_broadcast()
            || a == 0
            || a >= 240
            || (a == 100 && (64..128).contains(&b))
            || (a == 198 && (b == 18 || b == 19))
            || v4.octets()[..3] == [192, 0, 0]
    }

    fn v4() -> impl Strategy<Value = Ipv4Addr> {
        let block = proptest::sample::select(FORBIDDEN_V4.to_vec());
        prop_oneof![
            any::<u32>().prop_map(Ipv4Addr::from_bits),
            // Addresses near the ends of the blocks.
            (block, any::<u32>(), -2_i64..=2).prop_map(|((network, length), bits, off)| {
                let span = 1_u64 << (32 - length);
                let start = u64::from(u32::from_be_bytes(network));
                let at = if bits % 2 == 0 { start } else { start + span - 1 };
                Ipv4Addr::from_bits(u32::try_from(at.saturating_add_signed(off)).unwrap_or(u32::MAX))
            }),
        ]
    }

    /// The spellings of one IPv4 address that the WHATWG parser reads.
    fn spelled(v4: Ipv4Addr, form: usize) -> String {
        let [a, b, c, d] = v4.octets();
        let tail = u32::from_be_bytes([0, b, c, d]);
        match form {
            0 => v4.to_string(),
            1 => v4.to_bits().to_string(),
            2 => format!("0x{:x}", v4.to_bits()),
            3 => format!("0{:o}", v4.to_bits()),
            4 => format!("{a}.{tail}"),
            5 => format!("0x{a:X}.0{b:o}.{}", u16::from_be_bytes([c, d])),
            6 => format!("{v4}."),
            _ => format!("[::ffff:{v4}]"),
        }
    }

    proptest! {
        #[test]
        fn however_an_address_is_spelled_it_is_judged_by_what_it_is(address in v4(), form in 0_usize..8) {
            let host = spelled(address, form);
            prop_assert_eq!(Guard::default().forbids_literal(&format!("https://{host}:444/x")), is_inner(address), "{}", host);
        }

        #[test]
        fn an_inner_address_is_refused_however_it_is_wrapped(address in v4()) {
            let guard = Guard::default();
            let [a, b, c, d] = address.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for wrapped in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !0x808, !0x808),
                Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
            ] {
                prop_assert_eq!(guard.permits(wrapped.into()), !is_inner(address), "{}", wrapped);
            }
        }
    }
}
