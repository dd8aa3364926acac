//! Writing the Prometheus text format (version 0.0.4).
//!
//! Pure text: the values come from elsewhere. A program whose metrics live in a state of its own
//! uses this directly instead of the registry.

use std::fmt::{Display, Write};

/// A label's name and value.
pub type Label<'a> = (&'static str, &'a str);

/// What kind of metric a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Adds a label's value as it stands between quotation marks. The format has a way to write
/// backslashes, quotation marks and line feeds; other control characters, which readers may take for
/// the end of a line, are spelled out.
pub fn push_label_value(page: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            _ if letter.is_control() => {
                page.push('\\');
                page.extend(letter.escape_unicode());
            }
            _ => page.push(letter),
        }
    }
}

/// A growing page of metrics.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a family: its samples follow. A name that ends in `_seconds` or `_bytes` (before
    /// `_total`) gets its UNIT line.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.name()));
        let base = name.strip_suffix("_total").unwrap_or(name);
        for unit in ["seconds", "bytes"] {
            if base
                .strip_suffix(unit)
                .is_some_and(|rest| rest.ends_with('_'))
            {
                self.line(format_args!("# UNIT {name} {unit}"));
            }
        }
    }

    /// Adds one sample. Label values may be any text.
    pub fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.text.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            push_label_value(&mut self.text, value);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    /// The page, ended by `# EOF`.
    pub fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}
