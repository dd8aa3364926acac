//! Columns that line up, for people who look at a terminal.

/// Lays out `rows` under `head`; columns are as wide as their longest cell and two blanks apart.
/// Cells past the head's length are left out.
pub fn render(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize, title: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let longest = cells.map(|cell| cell.chars().count()).max();
        longest.unwrap_or(0).max(title.chars().count())
    };
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, title)| width(column, title))
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("  {}\n", padded.join("  ").trim_end())
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["one".to_owned(), "1 µs".to_owned(), "x".to_owned()],
            vec!["a longer one".to_owned(), "–".to_owned(), "yy".to_owned()],
        ];
        assert_eq!(
            render(&["NAME", "DELAY", ""], &rows),
            "  NAME          DELAY\n\
             \x20 one           1 µs   x\n\
             \x20 a longer one  –      yy\n"
        );
    }
}
