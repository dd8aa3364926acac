//! NTP and NTS requests over UDP.

mod generator;
mod requests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nts_proto::code_points::AeadAlgorithm;
use serde::Serialize;

use crate::{BoxError, key_exchange, process};
use generator::{Generator, Pace, Seen};
use requests::Requests;

/// Load before anything is counted: caches, frequencies and pages settle.
const WARM_UP: Duration = Duration::from_millis(500);

/// Options of `nts-bench ntp`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Address and port of the NTP server.
    server: SocketAddr,
    /// Address and port of its key exchange server: requests are then protected by NTS.
    #[arg(long, requires = "authority")]
    ke: Option<SocketAddr>,
    /// PEM file of the authority of its certificate.
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// AEAD algorithm: 15, 17 or 30.
    #[arg(long, default_value_t = 15)]
    aead: u16,
    /// Seconds that are counted, after half a second that is not.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Threads that make load.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Sockets of each thread; a server of several threads spreads clients by their ports.
    #[arg(long, default_value_t = 8)]
    sockets: usize,
    /// Requests on their way per socket, at most 64: each answer lets the next one go.
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// Requests per second instead, evenly spaced, whatever comes back.
    #[arg(long)]
    rate: Option<f64>,
    /// One in this many answers is verified with NTS and all; the others by their header.
    #[arg(long, default_value_t = 1)]
    verify_every: u64,
    /// Processes whose CPU time is measured, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    sent: u64,
    answered: u64,
    wrong: u64,
    seconds: f64,
    answers_per_second: f64,
    /// CPU time of the server, user and system, per answer.
    cpu_us_per_answer: Option<f64>,
    /// CPU time of the server per second.
    cpu_load: Option<f64>,
    request_octets: usize,
}

/// Makes the load and prints a [`Report`].
///
/// # Errors
/// Whatever went wrong; that an answer was wrong is an error too.
pub(crate) fn run(options: &Options) -> Result<(), BoxError> {
    let requests = requests(options)?;
    measure(options, &requests, WARM_UP)?;
    let started = Instant::now();
    let before = process::cpu(&options.pids)?;
    let seen = measure(
        options,
        &requests,
        Duration::try_from_secs_f64(options.seconds)?,
    )?;
    let used = process::cpu(&options.pids)? - before;
    let seconds = started.elapsed().as_secs_f64();
    let measured = !options.pids.is_empty() && seen.answered > 0;
    let report = Report {
        sent: seen.sent,
        answered: seen.answered,
        wrong: seen.wrong,
        seconds,
        answers_per_second: seen.answered as f64 / seconds,
        cpu_us_per_answer: measured.then(|| used.as_secs_f64() * 1e6 / seen.answered as f64),
        cpu_load: measured.then(|| used.as_secs_f64() / seconds),
        request_octets: requests.datagram(0).len(),
    };
    println!("{}", serde_json::to_string(&report)?);
    match seen.fault {
        None => Ok(()),
        Some(fault) => Err(format!("{} answers were wrong: {fault}", seen.wrong).into()),
    }
}

fn requests(options: &Options) -> Result<Requests, BoxError> {
    match (options.ke, &options.authority) {
        (Some(ke), Some(authority)) => {
            let algorithm = AeadAlgorithm::from(options.aead);
            Requests::nts(&key_exchange::run(ke, authority, algorithm)?)
        }
        _ => Ok(Requests::plain()),
    }
}

fn measure(options: &Options, requests: &Requests, time: Duration) -> Result<Seen, BoxError> {
    let pace = match options.rate {
        None => Pace::Closed(options.window),
        Some(rate) => Pace::Every(Duration::try_from_secs_f64(options.threads as f64 / rate)?),
    };
    let end = Instant::now() + time;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|_| {
                scope.spawn(move || -> Result<Seen, BoxError> {
                    let verify = options.verify_every.max(1);
                    let mut generator =
                        Generator::new(requests, options.server, options.sockets, verify)?;
                    Ok(generator.run(pace, end)?)
                })
            })
            .collect();
        let mut sum = Seen::default();
        for thread in threads {
            sum.add(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(sum)
    })
}
