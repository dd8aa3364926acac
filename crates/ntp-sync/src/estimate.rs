//! A Kalman filter of two numbers: how far a remote clock is ahead, and how much faster it runs.
//!
//! Signs: a positive offset means that the local clock is behind; the frequency is
//! d(remote)/d(local) − 1. The frequency does a random walk, and only offsets are observed.

/// The greatest variance that is kept, so that squares of what somebody made up stay finite.
const GREATEST_VARIANCE: f64 = 1e30;

/// The covariance of offset and frequency: a symmetric 2×2 matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Covariance {
    /// Variance of the offset, s².
    pub offset: f64,
    /// Covariance of offset and frequency, s.
    pub mixed: f64,
    /// Variance of the frequency, dimensionless.
    pub frequency: f64,
}

impl Covariance {
    /// Offset and frequency known independently of each other.
    pub const fn diagonal(offset: f64, frequency: f64) -> Self {
        Self {
            offset,
            mixed: 0.0,
            frequency,
        }
    }

    /// The determinant: the smaller, the more is known.
    pub fn determinant(&self) -> f64 {
        (self.offset * self.frequency - self.mixed * self.mixed).max(0.0)
    }

    /// Element by element.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            offset: self.offset + other.offset,
            mixed: self.mixed + other.mixed,
            frequency: self.frequency + other.frequency,
        }
    }

    /// `M · self · Mᵀ` for `M = [[a, b], [c, d]]`.
    pub(crate) fn transformed(&self, [[a, b], [c, d]]: [[f64; 2]; 2]) -> Self {
        let (p, q, r) = (self.offset, self.mixed, self.frequency);
        Self {
            offset: a * a * p + 2.0 * a * b * q + b * b * r,
            mixed: a * c * p + (a * d + b * c) * q + b * d * r,
            frequency: c * c * p + 2.0 * c * d * q + d * d * r,
        }
    }

    /// Rounding must not make a variance negative or a correlation greater than one.
    pub(crate) fn made_valid(self) -> Self {
        let offset = self.offset.clamp(0.0, GREATEST_VARIANCE);
        let frequency = self.frequency.clamp(0.0, GREATEST_VARIANCE);
        let bound = (offset * frequency).sqrt();
        Self {
            offset,
            mixed: self.mixed.clamp(-bound, bound),
            frequency,
        }
    }
}

/// What an observation meant to an estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Chance of being at least that far off, 0…1.
    pub probability: f64,
    /// How much the observation counted against what was known, 0…1.
    pub weight: f64,
}

/// Offset and frequency of a remote clock at one moment, and how well they are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// How far the remote clock is ahead, s.
    pub offset: f64,
    /// How much faster it runs, s/s.
    pub frequency: f64,
    /// How well both are known.
    pub covariance: Covariance,
}

impl Estimate {
    /// Moves on by `seconds`; `wander` is the variance that the frequency gains per second (1/s).
    /// Does nothing backwards.
    pub fn advance(&mut self, seconds: f64, wander: f64) {
        if seconds <= 0.0 {
            return;
        }
        let moved = self.covariance.transformed([[1.0, seconds], [0.0, 1.0]]);
        let walk = Covariance {
            offset: wander * seconds.powi(3) / 3.0,
            mixed: wander * seconds.powi(2) / 2.0,
            frequency: wander * seconds,
        };
        self.offset += self.frequency * seconds;
        self.covariance = moved.plus(&walk).made_valid();
    }

    /// What an offset observed with this variance (s²) would mean; changes nothing.
    pub fn judge(&self, offset: f64, variance: f64) -> Observation {
        let spread = self.covariance.offset + variance;
        let surprise = (offset - self.offset).powi(2);
        Observation {
            probability: libm::erfc((surprise / (2.0 * spread)).sqrt()),
            weight: self.covariance.offset / spread,
        }
    }

    /// Takes in an offset observed with this variance (s², greater than zero).
    pub fn observe(&mut self, offset: f64, variance: f64) {
        let Covariance {
            offset: p,
            mixed: q,
            frequency: r,
        } = self.covariance;
        let spread = p + variance;
        let innovation = offset - self.offset;
        self.offset += p / spread * innovation;
        self.frequency += q / spread * innovation;
        self.covariance = Covariance {
            offset: p * variance / spread,
            mixed: q * variance / spread,
            frequency: r - q * q / spread,
        }
        .made_valid();
    }

    /// The local clock was stepped by so many seconds (positive is ahead).
    pub fn shift(&mut self, step: f64) {
        self.offset -= step;
    }

    /// The local clock now runs `1 + change` times as fast.
    pub fn change_frequency(&mut self, change: f64) {
        self.frequency = (self.frequency - change) / (1.0 + change);
    }

    /// Standard deviation of the offset, s.
    pub fn deviation(&self) -> f64 {
        self.covariance.offset.sqrt()
    }
}

#[cfg(test)]
mod tests;
