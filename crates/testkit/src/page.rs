//! What stands on a page of metrics.

/// The value of a series, written as on the page, such as `name{label="value"}`; 0 if there is none.
///
/// # Panics
/// If the value is no whole number.
pub fn value(page: &str, series: &str) -> u64 {
    let mut values = page.lines().filter_map(|line| line.strip_prefix(series));
    let value = values.find_map(|rest| rest.strip_prefix(' '));
    value.map_or(0, whole)
}

/// The values of all series that begin like this, added up: those of a metric, or those of it that
/// have certain first labels.
///
/// # Panics
/// If a value is no whole number.
pub fn total(page: &str, beginning: &str) -> u64 {
    let series = page.lines().filter_map(|line| line.strip_prefix(beginning));
    let values = series.filter(|rest| rest.starts_with(['{', ',', ' ']));
    values
        .filter_map(|rest| rest.rsplit(' ').next())
        .map(whole)
        .sum()
}

fn whole(value: &str) -> u64 {
    value.parse().expect("a whole number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_taken_for_the_beginning_of_another() {
        let page = "a 1\na{x=\"1\",y=\"1\"} 2\na{x=\"1\",y=\"2\"} 4\na{x=\"12\"} 8\na_total 16\n";
        let values = ["a", "a{x=\"1\",y=\"2\"}", "a_total", "b"].map(|it| value(page, it));
        assert_eq!(values, [1, 4, 16, 0]);
        let totals = ["a", "a{x=\"1\"", "a_total", "b"].map(|it| total(page, it));
        assert_eq!(totals, [15, 6, 16, 0]);
    }
}
