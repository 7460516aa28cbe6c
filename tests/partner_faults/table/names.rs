//! DNS that fails, lies, points inside, and changes its mind.

use std::net::{IpAddr, Ipv4Addr};

use crate::behaviour::{BadName, Behaviour, Fault};

pub fn table() -> Vec<Behaviour> {
    let name = |name, reason, bad| Behaviour::new(name, reason, Fault::Name(bad));
    let dns = "DNSFailure";
    let forbidden = "EndpointForbidden";
    let at = |addresses: &[&str], own| {
        BadName::Addresses(addresses.iter().map(|address| address.parse().unwrap()).collect(), own)
    };
    let inside: Vec<IpAddr> = (0..20).map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n))).collect();
    vec![
        name("dns-no-such-name", dns, BadName::Code(3)),
        name("dns-server-failure", dns, BadName::Code(2)),
        name("dns-refused", dns, BadName::Code(5)),
        name("dns-not-implemented", dns, BadName::Code(4)),
        name("dns-format-error", dns, BadName::Code(1)),
        name("dns-empty", dns, BadName::Empty),
        name("dns-alias-loop", dns, BadName::AliasLoop),
        // Nobody listens on the TCP port, which is where the whole answer would be.
        name("dns-truncated", dns, BadName::Truncated),
        // What is no answer to the question is no answer at all: anybody could have sent it. The resolver waits on for the
        // right one, until the deadline of the check or its own, whichever comes first.
        name("dns-garbage", "Timeout", BadName::Garbage),
        name("dns-silent", "Timeout", BadName::Silent),
        name("dns-wrong-id", "Timeout", BadName::WrongId),
        name("dns-garbage-for-long", dns, BadName::Garbage),
        name("dns-silent-for-long", dns, BadName::Silent),
        name("dns-wrong-id-for-long", dns, BadName::WrongId),
        // It was at an address that is allowed, and is at one that is not: rebinding.
        name("dns-rebinds-to-metadata", forbidden, at(&["169.254.169.254"], false)),
        name("dns-rebinds-to-private", forbidden, at(&["10.0.0.1"], false)),
        name("dns-rebinds-to-loopback-6", forbidden, at(&["::1"], false)),
        name("dns-only-private-6", forbidden, at(&["fd00::1"], false)),
        name("dns-only-nat64-loopback", forbidden, at(&["64:ff9b::7f00:1"], false)),
        name("dns-many-inside", forbidden, BadName::Addresses(inside.clone(), false)),
        name("dns-mixed", "Connected", at(&["10.0.0.1", "169.254.169.254"], true)),
        name("dns-many-inside-one-good", "Connected", BadName::Addresses(inside, true)),
    ]
}
