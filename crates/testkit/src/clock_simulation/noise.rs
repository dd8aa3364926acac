//! Random numbers of the shapes that clocks and networks have.

use rand::{RngExt as _, rngs::StdRng};

/// Normally distributed, mean 0, deviation 1 (Box and Muller).
pub(super) fn normal(rng: &mut StdRng) -> f64 {
    let radius = (2.0 * exponential(rng)).sqrt();
    radius * (std::f64::consts::TAU * rng.random_range(0.0..1.0_f64)).cos()
}

/// Exponentially distributed, mean 1.
pub(super) fn exponential(rng: &mut StdRng) -> f64 {
    -(1.0 - rng.random_range(0.0..1.0_f64)).ln()
}

/// How long packets are held up.
#[derive(Debug, Clone, Copy)]
pub enum Jitter {
    /// Exponentially distributed with this mean, s: a queue.
    Exponential(f64),
    /// The positive half of a normal distribution with this deviation, s.
    HalfNormal(f64),
    /// As exponential, but a tenth of the packets take ten times as long, s.
    HeavyTail(f64),
}

impl Jitter {
    pub(super) fn draw(self, rng: &mut StdRng) -> f64 {
        match self {
            Self::Exponential(mean) => mean * exponential(rng),
            Self::HalfNormal(deviation) => deviation * normal(rng).abs(),
            Self::HeavyTail(mean) if rng.random_bool(0.1) => 10.0 * mean * exponential(rng),
            Self::HeavyTail(mean) => mean * exponential(rng),
        }
    }
}

/// A way to a server and back.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    /// Least time there, s.
    pub there: f64,
    /// Least time back, s.
    pub back: f64,
    /// What is added to each.
    pub jitter: Jitter,
    /// Part of the exchanges that get no answer.
    pub loss: f64,
}

impl Path {
    /// The same both ways, without loss.
    pub const fn symmetric(base: f64, jitter: Jitter) -> Self {
        Self {
            there: base,
            back: base,
            jitter,
            loss: 0.0,
        }
    }
}
