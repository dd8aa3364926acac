//! Which sources tell the truth: those whose intervals overlap with most others (after RFC 5905
//! §11.2.1, but centres need not lie inside).

/// Where a source says the offset of the local clock is, s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The least offset that it finds possible.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl Interval {
    /// The interval of `radius` around `centre`.
    pub fn around(centre: f64, radius: f64) -> Self {
        Self {
            low: centre - radius,
            high: centre + radius,
        }
    }

    fn contains(&self, point: f64) -> bool {
        self.low <= point && point <= self.high
    }
}

/// What came of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// How many intervals share a point, at most.
    pub agreeing: usize,
    /// For each interval, in the order given, whether it belongs to those. Where several points
    /// are shared by equally many, the intervals of all of them do.
    pub chosen: Vec<bool>,
}

impl Agreement {
    /// Finds the points that most intervals share. Intervals that touch share a point.
    pub fn of(intervals: &[Interval]) -> Self {
        let coverage = |point: f64| intervals.iter().filter(|it| it.contains(point)).count();
        // What most intervals share begins where one of them begins.
        let starts: Vec<(f64, usize)> = intervals
            .iter()
            .map(|interval| (interval.low, coverage(interval.low)))
            .collect();
        let agreeing = starts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let best: Vec<f64> = starts
            .into_iter()
            .filter(|(_, count)| *count == agreeing)
            .map(|(point, _)| point)
            .collect();
        let chosen = intervals
            .iter()
            .map(|interval| best.iter().any(|point| interval.contains(*point)))
            .collect();
        Self { agreeing, chosen }
    }

    /// Whether so many sources may be believed: at least `minimum`, and more than half of all,
    /// with those that have no interval yet (`undecided`).
    pub fn is_consensus(&self, minimum: usize, undecided: usize) -> bool {
        let all = self.chosen.len() + undecided;
        self.agreeing >= minimum.max(1) && 2 * self.agreeing > all
    }
}

#[cfg(test)]
mod tests;
