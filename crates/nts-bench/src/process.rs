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

/// CPU time used so far by whoever runs on this machine, and taken from it by its host.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn cpu_of_all() -> io::Result<Duration> {
    busy(&fs::read_to_string("/proc/stat")?)
        .ok_or_else(|| io::Error::other("the kernel does not tell how busy it is"))
}

/// The sum of a first line like `cpu 3 0 2 90 1 0 0 0 0 0`, in hundredths of a second: without what
/// was idle (the fourth) or waited for a disk (the fifth); what guests used (from the ninth on) is
/// in the first ones already.
fn busy(stat: &str) -> Option<Duration> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks = line.split_whitespace().take(8).enumerate();
    let ticks = ticks.filter(|(place, _)| ![3, 4].contains(place));
    let sum = ticks
        .map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum::<Option<u64>>()?;
    Some(Duration::from_millis(10 * sum))
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
    fn what_is_idle_is_not_busy() {
        let stat = "cpu  1 20 300 4000 50000 600000 7000000 80000000 900 1000\ncpu0 1\n";
        assert_eq!(busy(stat), Some(Duration::from_millis(876_003_210)));
        assert_eq!(busy("intr 1\n"), None);
        assert!(cpu_of_all().unwrap() >= cpu(&[std::process::id()]).unwrap());
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
