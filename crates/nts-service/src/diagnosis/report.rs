//! What was found, step by step.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::printable::printable;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but somebody should look at it.
    Warning,
    /// It does not work.
    Failed,
    /// Not tried, because of what failed before.
    Skipped,
}

/// One step. Its texts hold nothing that a terminal would obey, and no secret.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    id: &'static str,
    verdict: Verdict,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    facts: Map<String, Value>,
}

impl Step {
    /// A step that went as it should.
    pub fn ok(id: &'static str, text: impl AsRef<str>) -> Self {
        Self::new(id, Verdict::Ok, text.as_ref(), None)
    }

    /// A step that works but needs a look, and what to do about it.
    pub fn warning(id: &'static str, text: impl AsRef<str>, advice: impl AsRef<str>) -> Self {
        Self::new(id, Verdict::Warning, text.as_ref(), Some(advice.as_ref()))
    }

    /// A step that failed, and what to do about it.
    pub fn failed(id: &'static str, text: impl AsRef<str>, advice: impl AsRef<str>) -> Self {
        Self::new(id, Verdict::Failed, text.as_ref(), Some(advice.as_ref()))
    }

    /// A step that was not tried, and why.
    pub fn skipped(id: &'static str, reason: impl AsRef<str>) -> Self {
        Self::new(id, Verdict::Skipped, reason.as_ref(), None)
    }

    fn new(id: &'static str, verdict: Verdict, text: &str, advice: Option<&str>) -> Self {
        Self {
            id,
            verdict,
            text: printable(text),
            advice: advice.map(printable),
            facts: Map::new(),
        }
    }

    /// Adds a figure for programs that read the report.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(key.to_owned(), clean(value.into()));
        self
    }

    /// The name of the step, which never changes.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// How it ended.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What was found.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What to do, if anything.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }
}

/// The same value with all texts made printable.
fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text)),
        Value::Array(values) => Value::Array(values.into_iter().map(clean).collect()),
        other => other,
    }
}

/// All steps, each shown to a watcher as it is added.
pub struct Report<'w> {
    steps: Vec<Step>,
    watcher: Box<dyn FnMut(&Step) + 'w>,
}

impl<'w> Report<'w> {
    /// An empty report; `watcher` sees each step as it is added.
    pub fn new(watcher: impl FnMut(&Step) + 'w) -> Self {
        Self {
            steps: Vec::new(),
            watcher: Box::new(watcher),
        }
    }

    /// Adds a step.
    pub fn add(&mut self, step: Step) {
        (self.watcher)(&step);
        self.steps.push(step);
    }

    /// All steps in their order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The same, when nothing more is added.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_came_from_the_network_is_shown_harmlessly_wherever_it_stands() {
        let step = Step::failed("tls", "it says \u{1b}c", "ask \u{7}")
            .with("names", vec!["a\n.test".to_owned()])
            .with("issuer", "\u{202e}x");
        assert_eq!(
            serde_json::to_value(&step).unwrap(),
            json!({
                "id": "tls",
                "verdict": "failed",
                "text": "it says \\u{1b}c",
                "advice": "ask \\u{7}",
                "facts": { "names": ["a\\u{a}.test"], "issuer": "\\u{202e}x" },
            })
        );
    }

    #[test]
    fn the_watcher_sees_each_step_once() {
        let mut seen = Vec::new();
        let mut report = Report::new(|step: &Step| seen.push(step.id()));
        report.add(Step::ok("name", "good"));
        report.add(Step::warning("tcp", "slow", "wait"));
        report.add(Step::skipped("tls", "no"));
        assert_eq!(report.steps().len(), 3);
        assert_eq!(report.into_steps().len(), 3);
        assert_eq!(seen, ["name", "tcp", "tls"]);
    }
}
