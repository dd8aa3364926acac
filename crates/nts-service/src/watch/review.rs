//! What to make of a row of looks: pure, so that time plays no part.

use std::path::PathBuf;

use super::look::{Look, Looks};

/// Files that change again at every look hold up the others for this many looks only.
const PATIENCE: u32 = 10;

/// Compares looks.
#[derive(Debug)]
pub(super) struct Review {
    /// What has been reported, or was there at the beginning.
    known: Looks,
    /// What was seen last.
    last: Looks,
    /// How many looks ago the first of the changes was seen that are not reported yet.
    waited: u32,
}

impl Review {
    /// Begins with what is there.
    pub(super) fn new(looks: Looks) -> Self {
        Self {
            last: looks.clone(),
            known: looks,
            waited: 0,
        }
    }

    /// The files to look at.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.known.keys().cloned().collect()
    }

    /// Exchanges the files; what is known of those that stay is kept.
    pub(super) fn watch_instead(&mut self, looks: Looks) {
        let keep = |old: &Looks| {
            let look =
                |(file, new): (&PathBuf, &Look)| (file.clone(), *old.get(file).unwrap_or(new));
            looks.iter().map(look).collect()
        };
        (self.known, self.last) = (keep(&self.known), keep(&self.last));
    }

    /// Takes another look in; tells the files that differ from what is known and were the same at
    /// the last two looks. They wait for each other, since files are often renewed together.
    pub(super) fn add(&mut self, looks: Looks) -> Vec<PathBuf> {
        let mut resting = Vec::new();
        let mut moving = false;
        for (file, look) in looks {
            let (Some(known), Some(last)) = (self.known.get_mut(&file), self.last.get_mut(&file))
            else {
                continue;
            };
            if look == Look::Unknown {
                continue;
            }
            // What could not be seen at the beginning is seen now for the first time.
            if *known == Look::Unknown {
                (*known, *last) = (look, look);
            }
            let rests = look == *last;
            *last = look;
            match (look == *known, rests) {
                (true, _) => {}
                (false, true) => resting.push(file),
                (false, false) => moving = true,
            }
        }
        self.waited = if resting.is_empty() && !moving {
            0
        } else {
            self.waited + 1
        };
        if moving && self.waited < PATIENCE {
            return Vec::new();
        }
        for file in &resting {
            if let (Some(known), Some(last)) = (self.known.get_mut(file), self.last.get(file)) {
                *known = *last;
            }
        }
        if !moving {
            self.waited = 0;
        }
        resting
    }

    /// Whether there is no change that waits to be reported.
    pub(super) fn is_at_rest(&self) -> bool {
        self.waited == 0
    }
}
