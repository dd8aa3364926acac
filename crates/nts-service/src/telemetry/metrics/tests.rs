use std::time::Duration;

use super::*;

#[test]
fn renders_families_in_order_with_escaped_labels() {
    let registry = Registry::new();
    registry
        .counter("b_total", "Things.", &[("name", "a\"\\\nb"), ("id", "1")])
        .add(2);
    registry.gauge("a_seconds", "Age.\nOld", &[]).set(1.5);
    assert_eq!(
        registry.render(),
        "# HELP a_seconds Age.\\nOld\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n\
         a_seconds 1.5\n\
         # HELP b_total Things.\n# TYPE b_total counter\n\
         b_total{name=\"a\\\"\\\\\\nb\",id=\"1\"} 2\n# EOF\n"
    );
}

#[test]
fn no_label_ends_a_line() {
    let mut page = Exposition::new();
    page.sample("x", &[("a", "1\r\n2\t\u{1b}\u{85}ä")], 1);
    assert_eq!(
        page.finish(),
        "x{a=\"1\\\\u{d}\\n2\\\\u{9}\\\\u{1b}\\\\u{85}ä\"} 1\n# EOF\n"
    );
}

#[test]
fn the_same_name_and_labels_are_the_same_instrument() {
    let registry = Registry::new();
    registry
        .counter("x_total", "X.", &[("kind", "a")])
        .increment();
    let again = registry.clone().counter("x_total", "X.", &[("kind", "a")]);
    again.increment();
    assert_eq!(again.get(), 2);
    assert_eq!(registry.counter("x_total", "X.", &[("kind", "b")]).get(), 0);
}

#[test]
fn a_histogram_counts_up_to_and_including_its_bounds() {
    let registry = Registry::new();
    let histogram = registry.histogram("t_seconds", "T.", &[("phase", "tls")], &[0.5, 1.0]);
    for millis in [500, 501, 1000, 3000] {
        histogram.observe(Duration::from_millis(millis));
    }
    assert_eq!(
        registry.render(),
        "# HELP t_seconds T.\n# TYPE t_seconds histogram\n# UNIT t_seconds seconds\n\
         t_seconds_bucket{phase=\"tls\",le=\"0.5\"} 1\n\
         t_seconds_bucket{phase=\"tls\",le=\"1\"} 3\n\
         t_seconds_bucket{phase=\"tls\",le=\"+Inf\"} 4\n\
         t_seconds_sum{phase=\"tls\"} 5.001\n\
         t_seconds_count{phase=\"tls\"} 4\n# EOF\n"
    );
}

#[test]
fn a_full_family_counts_the_rest_together() {
    let registry = Registry::new();
    for source in 0..MAX_SERIES + 10 {
        registry
            .counter("s_total", "S.", &[("source", &source.to_string())])
            .increment();
    }
    assert_eq!(
        registry
            .counter("s_total", "S.", &[("source", "other")])
            .get(),
        10
    );
    let samples = registry
        .render()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    assert_eq!(samples, MAX_SERIES + 1);
}

#[test]
fn a_name_of_another_kind_is_not_shown_and_breaks_nothing() {
    let registry = Registry::new();
    registry.counter("x_total", "X.", &[]).increment();
    registry.gauge("x_total", "X.", &[]).set(7.0);
    assert_eq!(registry.counter("x_total", "X.", &[]).get(), 1);
}

#[test]
fn a_held_gauge_comes_down_again() {
    let gauge = Gauge::default();
    let one = gauge.hold();
    let two = gauge.hold();
    assert!((gauge.get() - 2.0).abs() < f64::EPSILON);
    drop((one, two));
    assert!(gauge.get().abs() < f64::EPSILON);
}

#[test]
fn collectors_write_their_own_families() {
    let registry = Registry::new();
    registry.collect(|page| {
        page.family("up", Kind::Gauge, "Up.");
        page.sample("up", &[], 1);
    });
    assert_eq!(
        registry.render(),
        "# HELP up Up.\n# TYPE up gauge\nup 1\n# EOF\n"
    );
}
