//! The geo database. Without a good one the pool runs all the same: users then get sources from
//! anywhere.

use std::path::PathBuf;
use std::sync::Arc;

use nts_service::config::{Located, Problems, Section, read_file};

use crate::selection::Geo;

/// A geo database and where it is read from.
#[derive(Clone, Debug)]
pub struct GeoDatabase {
    /// The file.
    pub file: Located<PathBuf>,
    /// Its content; `None` if it is not good, as was reported.
    pub geo: Option<Arc<Geo>>,
}

impl GeoDatabase {
    /// Reads the whole file and verifies it. What is wrong is a warning.
    pub fn load(file: Located<PathBuf>, problems: &Problems) -> Self {
        let geo = load(&file, problems).map(Arc::new);
        Self { file, geo }
    }
}

fn load(file: &Located<PathBuf>, problems: &Problems) -> Option<Geo> {
    const MEANWHILE: &str = "until then nobody knows where users are";
    let unread = Problems::new();
    let Some(content) = read_file(file, &unread) else {
        for problem in unread.into_vec() {
            let message = format!("{}; {MEANWHILE}", problem.message());
            problems.warning(problem.place(), message);
        }
        return None;
    };
    let shown = file.display();
    Geo::new(content)
        .map_err(|error| {
            let message = format!("`{shown}` is {error}; fetch the database again; {MEANWHILE}");
            problems.warning(file.place(), message);
        })
        .ok()
}

/// Reads the key. `None` if it is not there.
pub(super) fn read(server: &Section<'_>) -> Option<GeoDatabase> {
    let file = server.path("geo-database-path")?;
    Some(GeoDatabase::load(file, server.problems()))
}
