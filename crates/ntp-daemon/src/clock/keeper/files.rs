//! The files in which the keeper leaves something for the next run. Written without its lock, as
//! disks are slow.

use std::sync::Arc;

use nts_proto::time::NtpTimestamp;

use crate::clock::{DriftFile, LastTime};

/// 2026-01-01 in Unix seconds: of the times that a timestamp may mean, the one nearest to it is meant.
const NEAR: i64 = 1_767_225_600;

/// The files that are configured.
#[derive(Debug)]
pub(super) struct Files {
    drift: Option<DriftFile>,
    last_time: Option<Arc<LastTime>>,
}

impl Files {
    pub(super) fn new(drift: Option<DriftFile>, last_time: Option<Arc<LastTime>>) -> Self {
        Self { drift, last_time }
    }

    /// Writes the frequency of the clock, s/s, and its time, each if it is known to be right.
    pub(super) fn store(&mut self, frequency: Option<f64>, now: Option<NtpTimestamp>) {
        if let (Some(file), Some(frequency)) = (&mut self.drift, frequency) {
            file.store(frequency);
        }
        if let (Some(file), Some(now)) = (&self.last_time, now) {
            file.store(now.to_unix(NEAR).0);
        }
    }
}
