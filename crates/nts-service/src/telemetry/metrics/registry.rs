//! All instruments of a program, by name and labels.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exposition::{Exposition, Kind, Label};
use super::instruments::{Counter, Gauge, Histogram};

/// The most series that one family holds; more are counted together as `other`.
pub const MAX_SERIES: usize = 16_384;

type Labels = Vec<(&'static str, String)>;
type Collector = Box<dyn Fn(&mut Exposition) + Send + Sync>;

/// The place where instruments are made and read. Clones share their content.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    families: Mutex<BTreeMap<String, Family>>,
    collectors: Mutex<Vec<Collector>>,
}

struct Family {
    kind: Kind,
    help: String,
    series: BTreeMap<Labels, Instrument>,
}

#[derive(Clone)]
enum Instrument {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter of this name and these labels; made at the first call.
    pub fn counter(&self, name: &str, help: &str, labels: &[Label<'_>]) -> Counter {
        let new = || Instrument::Counter(Counter::default());
        match self.instrument(name, Kind::Counter, help, labels, new) {
            Some(Instrument::Counter(counter)) => counter,
            _ => Counter::default(),
        }
    }

    /// The gauge of this name and these labels; made at the first call.
    pub fn gauge(&self, name: &str, help: &str, labels: &[Label<'_>]) -> Gauge {
        let new = || Instrument::Gauge(Gauge::default());
        match self.instrument(name, Kind::Gauge, help, labels, new) {
            Some(Instrument::Gauge(gauge)) => gauge,
            _ => Gauge::default(),
        }
    }

    /// The histogram of this name and these labels; made at the first call with these bounds.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[Label<'_>],
        bounds: &'static [f64],
    ) -> Histogram {
        let new = || Instrument::Histogram(Histogram::new(bounds));
        match self.instrument(name, Kind::Histogram, help, labels, new) {
            Some(Instrument::Histogram(histogram)) => histogram,
            _ => Histogram::new(bounds),
        }
    }

    /// Adds a function that writes families of its own each time the page is made.
    pub fn collect(&self, collector: impl Fn(&mut Exposition) + Send + Sync + 'static) {
        let mut collectors = self
            .0
            .collectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        collectors.push(Box::new(collector));
    }

    /// The whole page.
    pub fn render(&self) -> String {
        let mut page = Exposition::new();
        for (name, family) in &*self.families() {
            family.render(name, &mut page);
        }
        let collectors = self
            .0
            .collectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for collector in &*collectors {
            collector(&mut page);
        }
        page.finish()
    }

    /// `None` if the name is taken by a family of another kind, which is a defect of the caller:
    /// his instrument then works, but is not shown.
    fn instrument(
        &self,
        name: &str,
        kind: Kind,
        help: &str,
        labels: &[Label<'_>],
        new: impl FnOnce() -> Instrument,
    ) -> Option<Instrument> {
        let mut families = self.families();
        let family = families.entry(name.to_owned()).or_insert_with(|| Family {
            kind,
            help: help.to_owned(),
            series: BTreeMap::new(),
        });
        if family.kind != kind {
            tracing::error!(name, "two kinds of metrics under one name");
            return None;
        }
        let mut labels: Labels = labels
            .iter()
            .map(|(label, value)| (*label, (*value).to_owned()))
            .collect();
        if family.series.len() >= MAX_SERIES && !family.series.contains_key(&labels) {
            for (_, value) in &mut labels {
                "other".clone_into(value);
            }
        }
        Some(family.series.entry(labels).or_insert_with(new).clone())
    }

    fn families(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.0
            .families
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.families().keys()).finish()
    }
}

impl Family {
    fn render(&self, name: &str, page: &mut Exposition) {
        page.family(name, self.kind, &self.help);
        for (labels, instrument) in &self.series {
            let labels: Vec<Label<'_>> = labels
                .iter()
                .map(|(label, value)| (*label, value.as_str()))
                .collect();
            match instrument {
                Instrument::Counter(counter) => page.sample(name, &labels, counter.get()),
                Instrument::Gauge(gauge) => page.sample(name, &labels, gauge.get()),
                Instrument::Histogram(histogram) => {
                    render_histogram(name, &labels, histogram, page);
                }
            }
        }
    }
}

fn render_histogram(
    name: &str,
    labels: &[Label<'_>],
    histogram: &Histogram,
    page: &mut Exposition,
) {
    let mut count = 0;
    for (bound, up_to) in histogram.cumulative() {
        let bound = if bound.is_finite() {
            bound.to_string()
        } else {
            "+Inf".to_owned()
        };
        let labels = [labels, &[("le", bound.as_str())]].concat();
        page.sample(&format!("{name}_bucket"), &labels, up_to);
        count = up_to;
    }
    page.sample(
        &format!("{name}_sum"),
        labels,
        histogram.sum().as_secs_f64(),
    );
    page.sample(&format!("{name}_count"), labels, count);
}
