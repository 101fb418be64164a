use super::*;
use proptest::prelude::*;

/// First and last addresses of all blocks of the IPv4 registry that are not "Globally Reachable", and of multicast.
const BLOCKS_V4: [(&str, &str); 16] = [
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.254"),
    ("255.255.255.255", "255.255.255.255"),
];

/// As [`BLOCKS_V4`], of the IPv6 registry, with the blocks that RFC 4291 sets apart.
const BLOCKS_V6: [(&str, &str); 18] = [
    ("::", "::"),
    ("::1", "::1"),
    // Once for IPv4 addresses, now for nothing.
    ("::2", "::fffe:ffff:ffff"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("100::", "100::ffff:ffff:ffff:ffff"),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
    ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
];

#[test]
fn i12_every_special_purpose_of_the_registries_is_known() {
    for (first, last) in BLOCKS_V4.iter().chain(&BLOCKS_V6) {
        for address in [first, last] {
            let address: IpAddr = address.parse().unwrap();
            assert!(special_purpose(address).is_some(), "{address}");
        }
    }
}

#[test]
fn the_neighbours_of_special_blocks_are_public() {
    for public in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.1.255",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "8.8.8.8",
        "2000::",
        "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:200::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db9::",
        "2003::",
        "2606:4700::1111",
        "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff:1000::",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ] {
        let address: IpAddr = public.parse().unwrap();
        assert_eq!(special_purpose(address), None, "{address}");
    }
}

#[test]
fn what_an_address_is_for_is_told() {
    for (address, purpose) in [
        ("127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("::1", "loopback"),
        ("fd00:ec2::254", "unique-local"),
        ("::ffff:192.168.0.1", "private"),
        ("64:ff9b::a00:1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2001:0:7f00:1::", "tunnelled"),
        ("::7f00:1", "reserved"),
    ] {
        assert_eq!(
            special_purpose(address.parse().unwrap()),
            Some(purpose),
            "{address}"
        );
    }
}

#[test]
fn an_address_is_found_in_a_url_however_it_is_written() {
    let loopback = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0177.0.0.01",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
    ] {
        let url = Url::parse(&format!("http://{host}/feeds/lamps")).unwrap();
        assert_eq!(literal(&url), loopback, "{host}");
    }
    let url = |text: &str| literal(&Url::parse(text).unwrap());
    assert_eq!(
        url("http://[::FFFF:7f00:1]:81/"),
        "::ffff:127.0.0.1".parse().ok()
    );
    assert_eq!(url("http://example.org/"), None);
    assert_eq!(url("http://localhost/"), None);
}

proptest! {
    #[test]
    fn i12_an_ipv4_address_is_judged_the_same_in_every_wrapping(bits: u32, rest: u64) {
        let address = Ipv4Addr::from_bits(bits);
        let purpose = special_v4(address);
        let mapped = address.to_ipv6_mapped();
        let translated = Ipv6Addr::from_bits(TRANSLATED.0.to_bits() | u128::from(bits));
        let six_to_four = Ipv6Addr::from_bits(0x2002 << 112 | u128::from(bits) << 80 | u128::from(rest));
        for wrapping in [mapped, translated, six_to_four] {
            prop_assert_eq!(special_v6(wrapping), purpose, "{}", wrapping);
        }
    }

    #[test]
    fn i12_what_the_standard_library_knows_of_ipv4_is_special(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        let known = address.is_private() || address.is_loopback() || address.is_link_local()
            || address.is_broadcast() || address.is_documentation() || address.is_unspecified()
            || address.is_multicast();
        prop_assert!(!known || special_v4(address).is_some(), "{}", address);
    }

    #[test]
    fn i12_within_a_special_block_everything_is_special(block in 0..BLOCKS_V4.len(), bits: u32) {
        let [first, last] = [BLOCKS_V4[block].0, BLOCKS_V4[block].1].map(|text| text.parse::<Ipv4Addr>().unwrap().to_bits());
        let within = Ipv4Addr::from_bits(first | (bits & (first ^ last)));
        prop_assert!(special_v4(within).is_some(), "{}", within);
    }

    #[test]
    fn i12_outside_of_global_unicast_nothing_is_public_but_what_wraps_it(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        let public = special_v6(address).is_none();
        let leads = is_within(address, GLOBAL_UNICAST) || wrapped(address).is_some();
        prop_assert!(!public || leads, "{}", address);
    }
}
