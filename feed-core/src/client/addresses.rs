//! Which addresses a client may connect to. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Which addresses a client may connect to.
///
/// A feed's URL that comes from outside may name what only this machine can reach: a neighbour's administration, or
/// the addresses at which clouds hand out credentials. `PublicOnly` is for such URLs. It holds for the addresses that
/// are really connected to, so a name that means something else at each look-up gains nothing. Proxies of the
/// environment are not used then: a proxy would look names up by itself.
///
/// ```
/// use feed_core::client::{AllowedAddresses, ClientError, ClientOptions, FeedClient};
/// let options = ClientOptions { addresses: AllowedAddresses::PublicOnly, ..ClientOptions::default() };
/// let refused = FeedClient::new("http://0x7f.1/feeds/orders", options);
/// assert!(matches!(refused, Err(ClientError::AddressNotAllowed { .. })));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllowedAddresses {
    /// All: services often follow one another within one network.
    #[default]
    Any,
    /// Those that the internet leads to: none of loopback, private networks, the local link, multicast, or any other
    /// special purpose (RFC 6890 and its registries), also where an IPv6 address wraps such an IPv4 address.
    PublicOnly,
}

/// A block of addresses: its first one, the length of its prefix in bits, and its name.
type Block<A> = (A, u32, &'static str);

/// The blocks of the IANA IPv4 Special-Purpose Address Registry (RFC 6890) that the internet does not lead to, and
/// multicast, which is no place of a server. The registry's few anycast services that it does lead to are left out.
const SPECIAL_V4: [Block<Ipv4Addr>; 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a provider"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "relays to IPv6"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// As [`SPECIAL_V4`], of the IPv6 registry. All that lies outside of [`GLOBAL_UNICAST`] is special too: these of it
/// are here for their names.
const SPECIAL_V6: [Block<Ipv6Addr>; 13] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (v6(0x64, 0xff9b, 1), 48, "translated locally"),
    (v6(0x100, 0, 0), 48, "discarded"),
    // Teredo hides the address of its client in it; the rest are protocols, benchmarks and identifiers.
    (v6(0x2001, 0, 0), 32, "tunnelled"),
    (v6(0x2001, 0, 0), 23, "for protocols"),
    (v6(0x2001, 0xdb8, 0), 32, "documentation"),
    (v6(0x3fff, 0, 0), 20, "documentation"),
    (v6(0x5f00, 0, 0), 16, "segment routing"),
    (v6(0xfc00, 0, 0), 7, "unique-local"),
    (v6(0xfe80, 0, 0), 10, "link-local"),
    (v6(0xfec0, 0, 0), 10, "site-local"),
    (v6(0xff00, 0, 0), 8, "multicast"),
];

/// What the internet leads to, of IPv6 (RFC 4291, section 2.4).
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (v6(0x2000, 0, 0), 3);

/// IPv4 addresses as IPv6 networks write them for a translator (NAT64, RFC 6052, section 2.1).
const TRANSLATED: (Ipv6Addr, u32) = (v6(0x64, 0xff9b, 0), 96);

/// The first address of a block whose prefix has 48 bits at most.
const fn v6(a: u16, b: u16, c: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

/// What an address is for, when it is none that the internet leads to.
pub(super) fn special_purpose(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let is_in = |&&(first, bits, _): &&Block<Ipv4Addr>| {
        (address.to_bits() ^ first.to_bits()).leading_zeros() >= bits
    };
    SPECIAL_V4.iter().find(is_in).map(|(_, _, name)| *name)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(wrapped) = wrapped(address) {
        return special_v4(wrapped);
    }
    let is_in = |&&(first, bits, _): &&Block<Ipv6Addr>| is_within(address, (first, bits));
    match SPECIAL_V6.iter().find(is_in) {
        Some((_, _, name)) => Some(name),
        None if is_within(address, GLOBAL_UNICAST) => None,
        None => Some("reserved"),
    }
}

fn is_within(address: Ipv6Addr, (first, bits): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ first.to_bits()).leading_zeros() >= bits
}

/// The IPv4 address that a packet to this one comes to in the end.
fn wrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, high, low, ..] = address.segments();
    if is_within(address, TRANSLATED) {
        let [.., a, b, c, d] = address.octets();
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    if first == 0x2002 {
        // 6to4 (RFC 3056, section 2).
        return Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    }
    address.to_ipv4_mapped()
}

/// The address that stands in a URL in the place of a name, however it is written.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

#[cfg(test)]
mod tests;
