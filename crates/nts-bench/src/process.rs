//! CPU time, user and system, and memory of processes, from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// Clock ticks per second in `/proc/PID/stat`: 100 on every Linux of today.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time used so far by all threads of all these processes.
///
/// Summed over the threads that live now from `schedstat`, which counts nanoseconds; where the
/// kernel does not keep it, from `stat`, which counts ticks of 10 ms.
///
/// # Errors
/// If a process is gone, or tells something that is no number.
pub(crate) fn cpu(pids: &[u32]) -> io::Result<Duration> {
    pids.iter().copied().map(cpu_of).sum()
}

fn cpu_of(pid: u32) -> io::Result<Duration> {
    let precise = threads(pid)?;
    if precise.is_zero() {
        ticks(pid)
    } else {
        Ok(precise)
    }
}

fn threads(pid: u32) -> io::Result<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = thread?.path().join("schedstat");
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            // The thread ended, or the kernel has no such file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        sum += Duration::from_nanos(number(text.split_whitespace().next())?);
    }
    Ok(sum)
}

fn ticks(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program, in parentheses, may hold blanks.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut fields = fields.split_whitespace().skip(11);
    let ticks = number(fields.next())? + number(fields.next())?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
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
        assert!(ticks(pid).unwrap() >= Duration::from_millis(40));
        assert_eq!(
            cpu(&[u32::MAX]).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
