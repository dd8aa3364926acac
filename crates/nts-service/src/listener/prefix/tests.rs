use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

use super::*;

/// Hashes with a key that is known, so that the same prefixes fall together each time.
type Table = PrefixTable<BuildHasherDefault<DefaultHasher>>;

const START: Duration = Duration::from_secs(1000);

fn table(change: impl FnOnce(&mut PrefixLimits)) -> Table {
    let mut limits = PrefixLimits {
        exempt: Vec::new(),
        ..PrefixLimits::default()
    };
    change(&mut limits);
    PrefixTable::with_hasher(limits, BuildHasherDefault::default())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn after(milliseconds: u64) -> Duration {
    START + Duration::from_millis(milliseconds)
}

/// How many of `tries` connections are admitted, each ended at once.
fn burst(table: &mut Table, peer: &str, tries: usize, now: Duration) -> usize {
    let admitted = |_: &usize| match table.admit(ip(peer), now) {
        Ok(places) => {
            table.release(places);
            true
        }
        Err(reached) => {
            assert_eq!(reached, Reached::Rate);
            false
        }
    };
    (0..tries).filter(admitted).count()
}

/// How many of `tries` connections are admitted and stay.
fn stay(table: &mut Table, peer: &str, tries: usize) -> usize {
    let admitted = |_: &usize| match table.admit(ip(peer), START) {
        Ok(_) => true,
        Err(reached) => {
            assert_eq!(reached, Reached::Concurrency);
            false
        }
    };
    (0..tries).filter(admitted).count()
}

#[test]
fn a_burst_then_the_rate() {
    let mut table = table(|_| {});
    assert_eq!(burst(&mut table, "192.0.2.1", 1000, START), 500);
    // One for each 20 ms.
    assert_eq!(burst(&mut table, "192.0.2.1", 10, after(19)), 0);
    assert_eq!(burst(&mut table, "192.0.2.1", 10, after(20)), 1);
    assert_eq!(burst(&mut table, "192.0.2.1", 1000, after(1020)), 50);
    // Rested, but not more than rested.
    assert_eq!(burst(&mut table, "192.0.2.1", 1000, after(60_000)), 500);
}

#[test]
fn time_that_goes_backwards_gives_nothing_and_breaks_nothing() {
    let mut table = table(|_| {});
    assert_eq!(burst(&mut table, "192.0.2.1", 1000, START), 500);
    assert_eq!(burst(&mut table, "192.0.2.1", 1000, Duration::ZERO), 0);
    assert_eq!(burst(&mut table, "192.0.2.1", 1000, after(60_000)), 500);
}

#[test]
fn neighbours_share_eight_times_as_much() {
    let mut table = table(|limits| limits.burst = 10);
    let admitted: usize = (0..=255)
        .map(|last| burst(&mut table, &format!("192.0.2.{last}"), 10, START))
        .sum();
    assert_eq!(admitted, 80);
    assert_eq!(burst(&mut table, "192.0.3.0", 20, START), 10);
}

#[test]
fn places_are_limited_and_come_back() {
    let mut table = table(|limits| limits.concurrency = 2);
    let first = table.admit(ip("192.0.2.1"), START).unwrap();
    assert_eq!(stay(&mut table, "192.0.2.1", 5), 1);
    table.release(first);
    assert_eq!(stay(&mut table, "192.0.2.1", 5), 1);
    let neighbours: usize = (2..=255)
        .map(|last| stay(&mut table, &format!("192.0.2.{last}"), 2))
        .sum();
    assert_eq!(neighbours, 2 * 8 - 2);
    assert_eq!(stay(&mut table, "198.51.100.1", 5), 2);
}

#[test]
fn in_ipv6_a_site_counts_as_one_and_its_provider_as_four() {
    let mut table = table(|limits| limits.concurrency = 3);
    assert_eq!(stay(&mut table, "2001:db8:0:100::1", 2), 2);
    assert_eq!(stay(&mut table, "2001:db8:0:1ff:ffff::1", 5), 1);
    let others: usize = (2..=255)
        .map(|site| stay(&mut table, &format!("2001:db8:0:{site:x}00::1"), 5))
        .sum();
    assert_eq!(others, 3 * 4 - 3);
    assert_eq!(stay(&mut table, "2001:db8:1::1", 5), 3);
}

#[test]
fn mapped_addresses_are_ipv4_addresses() {
    let mut table = table(|limits| limits.concurrency = 1);
    assert_eq!(stay(&mut table, "::ffff:192.0.2.1", 5), 1);
    assert_eq!(stay(&mut table, "192.0.2.1", 5), 0);
    assert_eq!(stay(&mut table, "::ffff:198.51.100.1", 5), 1);
}

#[test]
fn a_full_prefix_uses_up_its_own_rate_but_not_its_neighbours() {
    let mut table = table(|limits| (limits.concurrency, limits.burst) = (1, 10));
    assert_eq!(stay(&mut table, "192.0.2.1", 10), 1);
    assert_eq!(table.admit(ip("192.0.2.1"), START), Err(Reached::Rate));
    // The wide prefix has given one of its 80.
    let admitted: usize = (2..=20)
        .map(|last| burst(&mut table, &format!("192.0.2.{last}"), 10, START))
        .sum();
    assert_eq!(admitted, 79);
}

#[test]
fn loopback_and_private_networks_are_exempt_by_default() {
    let mut limited = table(|limits| {
        *limits = PrefixLimits {
            rate: 1,
            burst: 1,
            concurrency: 1,
            ..PrefixLimits::default()
        }
    });
    for peer in [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.0.1",
        "169.254.1.1",
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:127.0.0.1",
    ] {
        assert_eq!(stay(&mut limited, peer, 100), 100, "{peer}");
    }
    for peer in ["172.32.0.1", "192.0.2.1", "2001:db8::1", "::2"] {
        assert!(limited.admit(ip(peer), START).is_ok(), "{peer}");
        assert_eq!(limited.admit(ip(peer), START), Err(Reached::Rate), "{peer}");
    }
}

#[test]
fn a_million_attackers_change_nothing_about_its_size_and_little_for_others() {
    let mut table = table(|limits| limits.burst = 1);
    for attacker in 0..1_000_000_u32 {
        let peer = IpAddr::from((0x5000_0000 + attacker).to_be_bytes());
        let _ = table.admit(peer, START);
    }
    assert_eq!(table.cells.len(), 65_536);
    // All cells have been used by somebody, and rest within a second.
    assert_eq!(burst(&mut table, "192.0.2.1", 1, after(60_000)), 1);
}

#[test]
fn the_key_decides_what_falls_together() {
    let limits = PrefixLimits::default();
    let places = |table: &PrefixTable| table.places(ip("192.0.2.1"));
    let keyed: Vec<_> = (0..8)
        .map(|_| places(&PrefixTable::new(limits.clone())))
        .collect();
    assert!(keyed.iter().any(|places| *places != keyed[0]));
    for [near, far] in keyed {
        assert!(near < HALF && (HALF..2 * HALF).contains(&far));
    }
}
