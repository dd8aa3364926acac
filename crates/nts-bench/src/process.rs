//! CPU time, user and system, and memory of processes.

use std::fs;
use std::io;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// CPU time used so far by all threads of all these processes, those that have ended included.
///
/// # Errors
/// If a process is gone.
pub(crate) fn cpu(pids: &[u32]) -> io::Result<Duration> {
    pids.iter().copied().map(cpu_of).sum()
}

fn cpu_of(pid: u32) -> io::Result<Duration> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let clock = clock_getcpuclockid(Pid::from_raw(pid))?;
    Ok(clock_gettime(clock)?.into())
}

/// The most memory that each of these processes ever held, in KiB, added up.
///
/// # Errors
/// If a process is gone, or tells something that is no number.
pub(crate) fn peak_memory(pids: &[u32]) -> io::Result<u64> {
    let peak = |pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        number(line.and_then(|line| line.split_whitespace().next()))
    };
    pids.iter().map(peak).sum()
}

fn number(text: Option<&str>) -> io::Result<u64> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| io::Error::other("no number where /proc has one"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn memory_that_was_given_back_still_counts() {
        let pid = std::process::id();
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        assert!(peak_memory(&[pid]).unwrap() >= 64 << 10);
        assert!(peak_memory(&[pid, pid]).unwrap() >= 128 << 10);
    }

    #[test]
    fn what_a_busy_thread_uses_is_seen() {
        let pid = std::process::id();
        let before = cpu(&[pid]).unwrap();
        let started = Instant::now();
        // Ends by itself: CPU time goes on while this runs.
        while cpu(&[pid]).unwrap() - before < Duration::from_millis(50) {
            assert!(started.elapsed() < Duration::from_secs(60));
        }
        // No process number is greater than 2 to the 22nd.
        assert!(cpu(&[(1 << 22) + 1]).is_err());
    }
}
