//! One estimate from those of several sources.

use crate::estimate::{Covariance, Estimate};

/// An estimate with two covariances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Combined {
    /// Offset and frequency with the covariance of their noise: what the next estimate will
    /// differ from this one by chance. The clock is steered by this.
    pub estimate: Estimate,
    /// The covariance with what the sources say about their own errors, by which they are
    /// weighed. The root dispersion comes from this.
    pub total: Covariance,
}

impl Combined {
    /// That of one source. `dispersion` is the standard deviation of its own error, s.
    pub fn of_source(estimate: Estimate, dispersion: f64) -> Self {
        let own = Covariance::diagonal(dispersion.powi(2), 0.0);
        Self {
            estimate,
            total: estimate.covariance.plus(&own).made_valid(),
        }
    }

    /// Both together, each with the weight that its total covariance gives it.
    #[must_use]
    pub fn merged_with(&self, other: &Self) -> Self {
        let sum = self.total.plus(&other.total);
        let determinant = sum.determinant();
        if determinant <= f64::MIN_POSITIVE {
            return *self;
        }
        // M = P_a · (P_a + P_b)⁻¹
        let (a, b) = (&self.total, &sum);
        let weight = [
            [
                (a.offset * b.frequency - a.mixed * b.mixed) / determinant,
                (a.mixed * b.offset - a.offset * b.mixed) / determinant,
            ],
            [
                (a.mixed * b.frequency - a.frequency * b.mixed) / determinant,
                (a.frequency * b.offset - a.mixed * b.mixed) / determinant,
            ],
        ];
        let [[m00, m01], [m10, m11]] = weight;
        let rest = [[1.0 - m00, -m01], [-m10, 1.0 - m11]];
        let mix = |own: &Covariance, others: &Covariance| {
            own.transformed(rest)
                .plus(&others.transformed(weight))
                .made_valid()
        };
        let offset = other.estimate.offset - self.estimate.offset;
        let frequency = other.estimate.frequency - self.estimate.frequency;
        Self {
            estimate: Estimate {
                offset: self.estimate.offset + m00 * offset + m01 * frequency,
                frequency: self.estimate.frequency + m10 * offset + m11 * frequency,
                covariance: mix(&self.estimate.covariance, &other.estimate.covariance),
            },
            total: mix(&self.total, &other.total),
        }
    }
}

#[cfg(test)]
mod tests;
