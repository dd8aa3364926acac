//! Limits per network: how often, and how many at the same time, one neighbourhood of addresses may
//! connect (pool design §5.2).
//!
//! An address counts twice: in its narrow prefix (IPv4 /32, IPv6 /56) and in its wide one (/24 and
//! /48), which may do several times as much. The table has a fixed size whatever attackers do: a
//! prefix is hashed with a key that nobody knows to one cell, and prefixes that fall together share
//! it. Pure: time is an argument.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What one prefix may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixLimits {
    /// Connections per second in the long run, of an IPv4 /32 or an IPv6 /56. Not 0.
    pub rate: u32,
    /// Connections at once after a rest. Not 0.
    pub burst: u32,
    /// Connections at the same time. Not 0.
    pub concurrency: u32,
    /// Networks without these limits.
    pub exempt: Vec<IpNet>,
}

impl Default for PrefixLimits {
    /// 50 connections per second, 500 at once, 64 at the same time: the households behind a
    /// carrier's address translator come back together after a power cut. Loopback and private
    /// networks are exempt.
    fn default() -> Self {
        Self {
            rate: 50,
            burst: 500,
            concurrency: 64,
            exempt: private_networks(),
        }
    }
}

/// Loopback, private (RFC 1918, RFC 4193) and link-local networks.
fn private_networks() -> Vec<IpNet> {
    let v4 = [
        ([127, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([172, 16, 0, 0], 12),
        ([192, 168, 0, 0], 16),
        ([169, 254, 0, 0], 16),
    ];
    let v6 = [
        ([0, 0, 0, 0, 0, 0, 0, 1], 128),
        ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
        ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ];
    let v4 = v4.map(|(address, length)| Ipv4Net::new_assert(address.into(), length).into());
    let v6 = v6.map(|(address, length)| Ipv6Net::new_assert(address.into(), length).into());
    v4.into_iter().chain(v6).collect()
}

/// Which of its limits a prefix has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Connections per time.
    Rate,
    /// Connections at the same time.
    Concurrency,
}

/// Where an admitted connection is counted; to be given to [`PrefixTable::release`] once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places(Option<[usize; 2]>);

/// Cells for narrow prefixes, and as many for wide ones: 65,536 in all, of 16 octets each.
const HALF: usize = 32_768;

/// The state of all prefixes.
#[derive(Debug)]
pub(super) struct PrefixTable<S = RandomState> {
    exempt: Vec<IpNet>,
    narrow: Allowance,
    wide_v4: Allowance,
    wide_v6: Allowance,
    hasher: S,
    cells: Box<[Cell]>,
}

/// What all connections that fall into it have in common.
#[derive(Clone, Debug, Default)]
struct Cell {
    /// When the cell will have rested (the "theoretical arrival time" of the generic cell rate
    /// algorithm), in nanoseconds.
    rested_at: u64,
    open: u32,
}

/// The limits of one kind of prefix.
#[derive(Debug)]
struct Allowance {
    /// What one connection adds to the time of rest, in nanoseconds.
    interval: u64,
    /// How far the time of rest may lie ahead, in nanoseconds.
    tolerance: u64,
    concurrency: u32,
}

impl Allowance {
    fn new(limits: &PrefixLimits, factor: u32) -> Self {
        let per_second = u64::from(limits.rate.max(1)) * u64::from(factor);
        let burst = u64::from(limits.burst.max(1)) * u64::from(factor);
        let interval = NANOSECONDS / per_second;
        Self {
            interval,
            tolerance: interval.saturating_mul(burst - 1),
            concurrency: limits.concurrency.max(1).saturating_mul(factor),
        }
    }

    fn has_rate_for(&self, cell: &Cell, now: u64) -> bool {
        cell.rested_at <= now.saturating_add(self.tolerance)
    }

    fn take_from(&self, cell: &mut Cell, now: u64) {
        cell.rested_at = cell.rested_at.max(now).saturating_add(self.interval);
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

impl PrefixTable {
    /// A table with a key of its own.
    pub(super) fn new(limits: PrefixLimits) -> Self {
        Self::with_hasher(limits, RandomState::new())
    }
}

impl<S: BuildHasher> PrefixTable<S> {
    fn with_hasher(limits: PrefixLimits, hasher: S) -> Self {
        Self {
            narrow: Allowance::new(&limits, 1),
            wide_v4: Allowance::new(&limits, 8),
            wide_v6: Allowance::new(&limits, 4),
            exempt: limits.exempt,
            hasher,
            cells: vec![Cell::default(); 2 * HALF].into(),
        }
    }

    /// Other limits from now on; who has taken what stays known.
    pub(super) fn set_limits(&mut self, limits: PrefixLimits) {
        self.narrow = Allowance::new(&limits, 1);
        self.wide_v4 = Allowance::new(&limits, 8);
        self.wide_v6 = Allowance::new(&limits, 4);
        self.exempt = limits.exempt;
    }

    /// Counts a connection of `peer` at `now`, a time since any fixed moment, or says which limit
    /// stands against it. An attempt that fails for lack of places has used up its share of the
    /// rate, but only that of the narrow prefix if the narrow one is full.
    pub(super) fn admit(&mut self, peer: IpAddr, now: Duration) -> Result<Places, Reached> {
        let peer = peer.to_canonical();
        if self.exempt.iter().any(|network| network.contains(&peer)) {
            return Ok(Places(None));
        }
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let places = self.places(peer);
        let wide = match peer {
            IpAddr::V4(_) => &self.wide_v4,
            IpAddr::V6(_) => &self.wide_v6,
        };
        let Ok([near, far]) = self.cells.get_disjoint_mut(places) else {
            // The halves of the table do not overlap.
            return Err(Reached::Rate);
        };
        if !self.narrow.has_rate_for(near, now) || !wide.has_rate_for(far, now) {
            return Err(Reached::Rate);
        }
        self.narrow.take_from(near, now);
        if near.open >= self.narrow.concurrency {
            return Err(Reached::Concurrency);
        }
        wide.take_from(far, now);
        if far.open >= wide.concurrency {
            return Err(Reached::Concurrency);
        }
        near.open += 1;
        far.open += 1;
        Ok(Places(Some(places)))
    }

    /// The connection has ended.
    pub(super) fn release(&mut self, places: Places) {
        for place in places.0.into_iter().flatten() {
            if let Some(cell) = self.cells.get_mut(place) {
                cell.open = cell.open.saturating_sub(1);
            }
        }
    }

    /// The cells of an address: narrow prefix, wide prefix.
    fn places(&self, peer: IpAddr) -> [usize; 2] {
        let (bits, narrow, wide) = match peer {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 0, 8),
            IpAddr::V6(address) => (u128::from(address), 128 - 56, 128 - 48),
        };
        let place = |dropped: u32| {
            let hash = self
                .hasher
                .hash_one((peer.is_ipv4(), dropped, bits >> dropped));
            usize::try_from(hash % HALF as u64).unwrap_or_default()
        };
        [place(narrow), HALF + place(wide)]
    }
}

#[cfg(test)]
mod tests;
