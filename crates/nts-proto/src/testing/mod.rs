//! What several tests of this crate need: a random source that says what it is told to, and
//! octets that count up.

use std::collections::VecDeque;

use rand_core::{Infallible, TryCryptoRng, TryRng};

/// Gives the octets of its script, in order, and then panics.
pub(crate) struct ScriptedRng(VecDeque<u8>);

impl ScriptedRng {
    pub(crate) fn new(script: &[&[u8]]) -> Self {
        Self(script.iter().copied().flatten().copied().collect())
    }

    /// Octets that nobody has asked for yet.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }
}

impl TryRng for ScriptedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.try_fill_bytes(&mut octets)?;
        Ok(u32::from_le_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        Ok(u64::from_le_bytes(octets))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        for octet in octets {
            *octet = self.0.pop_front().expect("the script is over");
        }
        Ok(())
    }
}

impl TryCryptoRng for ScriptedRng {}

/// `count` octets from `first` on.
pub(crate) fn range(first: u8, count: u8) -> Vec<u8> {
    (0..count).map(|step| first.wrapping_add(step)).collect()
}

pub(crate) mod exchange;
