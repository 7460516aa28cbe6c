// Included by the fuzz target of this name, and by the unit test that runs the kept corpus.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use partner_integration_operator::api::PartnerSpec;
use partner_integration_operator::check::{CompiledCheck, Guard};
use serde_json::json;
use url::{Host, Url};

static SPEC: LazyLock<PartnerSpec> = LazyLock::new(|| {
    serde_json::from_value(json!({
        "displayName": "P", "regions": [{"name": "r", "endpoint": "https://api.example"}],
        "authentication": {"bearer": {}}, "check": {"path": "/v1"},
    }))
    .unwrap()
});

/// By the standard library's own words, and by the octets where it has none.
fn is_inner_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast();
    special || a == 0 || a >= 240 || (a == 100 && b & 0xc0 == 64) || (a == 198 && b & 0xfe == 18) || [a, b, c] == [192, 0, 0]
}

/// Every IPv4 address that may be inside is looked at, wherever the known forms of embedding put it.
fn is_inner_v6(v6: Ipv6Addr) -> bool {
    let s = v6.segments();
    let v4 = |high: u16, low: u16| is_inner_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    let own = v6.is_unspecified()
        || v6.is_loopback()
        || v6.is_multicast()
        || v6.is_unique_local()
        || v6.is_unicast_link_local()
        || s[0] & 0xffc0 == 0xfec0
        || s[..4] == [0x100, 0, 0, 0]
        || s[..3] == [0x64, 0xff9b, 1];
    let mapped = s[..5] == [0; 5] && s[5] == 0xffff || s[..6] == [0; 6] || s[..6] == [0, 0, 0, 0, 0xffff, 0];
    let last = mapped || s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] || (s[4] & !0x200 == 0 && s[5] == 0x5efe);
    own || (last && v4(s[6], s[7]))
        || (s[0] == 0x2002 && v4(s[1], s[2]))
        || (s[..2] == [0x2001, 0] && (v4(s[2], s[3]) || v4(!s[6], !s[7])))
}

fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_inner_v4(v4),
        IpAddr::V6(v6) => is_inner_v6(v6),
    }
}

/// However an inner address is written, it is not let through; and an endpoint with a path stays at its own host.
pub fn property(bytes: &[u8]) {
    let guard = Guard::default();
    // As an address.
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        let address = IpAddr::from(octets);
        assert_eq!(guard.permits(address), !is_inner(address), "{address}");
    }
    if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        let address = IpAddr::from(octets);
        assert_eq!(guard.permits(address), !is_inner(address), "{address}");
    }
    // As a host, and as the first of two lines: a host, and the path of the check.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (host, path) = text.split_once('\n').unwrap_or((text, "/v1"));
    let endpoint = format!("https://{host}");
    let literal = Url::parse(&endpoint).ok().and_then(|url| match url.host()? {
        Host::Ipv4(v4) => Some(IpAddr::V4(v4)),
        Host::Ipv6(v6) => Some(IpAddr::V6(v6)),
        Host::Domain(_) => None,
    });
    match literal {
        Some(address) => assert_eq!(guard.forbids_literal(&endpoint), is_inner(address), "{endpoint}: {address}"),
        None if Url::parse(&endpoint).is_ok() => assert!(!guard.forbids_literal(&endpoint), "{endpoint}"),
        None => assert!(guard.forbids_literal(&endpoint), "{endpoint}"),
    }
    // A name that the resolver would be asked for must not be one that it reads as an address by itself.
    if literal.is_none() && !guard.forbids_literal(&endpoint) {
        let name = Url::parse(&endpoint).unwrap().host_str().unwrap().to_owned();
        assert!(name.parse::<IpAddr>().is_err(), "{endpoint}: {name}");
    }
    let mut spec = SPEC.clone();
    path.clone_into(&mut spec.check.path);
    let Ok(check) = CompiledCheck::parse(&spec) else { return };
    if check.can_reach(&endpoint) {
        let (base, whole) = (Url::parse(&endpoint).unwrap(), Url::parse(&format!("{endpoint}{path}")).unwrap());
        assert_eq!(whole.scheme(), "https");
        assert_eq!((whole.host(), whole.port()), (base.host(), base.port()), "{endpoint} and {path}");
        assert_eq!((whole.username(), whole.password()), ("", None), "{endpoint} and {path}");
    }
}
