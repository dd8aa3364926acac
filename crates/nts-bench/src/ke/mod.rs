//! NTS key exchanges over TCP and TLS: load on pools and time sources.

mod latency;
mod load;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::name::NtpServerName;
use rustls_pki_types::ServerName;
use serde::Serialize;

use crate::key_exchange::{Group, Suite, User};
use crate::{BoxError, process};
use latency::Latency;
use load::{Load, Pace, Seen};

/// Options of `nts-bench ke`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Address and port of the NTS-KE server.
    server: SocketAddr,
    /// Name that its certificate must have (default: its address).
    #[arg(long)]
    name: Option<String>,
    /// PEM file of the authority of its certificate.
    #[arg(long, value_name = "FILE")]
    authority: PathBuf,
    /// Users at a time: whoever is done is followed by the next.
    #[arg(long, default_value_t = 1)]
    concurrency: usize,
    /// Users per second instead, evenly spaced, whatever comes back.
    #[arg(long, conflicts_with = "concurrency")]
    rate: Option<f64>,
    /// Seconds that are counted.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds before that are not.
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// Threads that make load.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What users offer for the agreement on TLS keys.
    #[arg(long, value_enum, default_value_t = Group::X25519)]
    group: Group,
    /// Which cipher suites users offer.
    #[arg(long, value_enum, default_value_t = Suite::Any)]
    suite: Suite,
    /// AEAD algorithm: 15, 17 or 30.
    #[arg(long, default_value_t = 15)]
    aead: u16,
    /// Names in the request that the user does not want, none of them known.
    #[arg(long, default_value_t = 0)]
    deny: u8,
    /// Processes whose CPU time and memory are measured, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    exchanges: u64,
    failed: u64,
    seconds: f64,
    exchanges_per_second: f64,
    /// CPU time of the processes, user and system, per exchange.
    cpu_us_per_exchange: Option<f64>,
    /// CPU time of the processes per second.
    cpu_load: Option<f64>,
    /// CPU time of the load itself per second.
    own_cpu_load: f64,
    /// Most memory that the processes ever held together.
    peak_memory_kib: Option<u64>,
    latency: Option<Latency>,
    /// Exchanges by the server that the answer named.
    servers: BTreeMap<String, u64>,
}

/// Makes the load and prints a [`Report`].
///
/// # Errors
/// Whatever went wrong; that an exchange failed is an error too.
pub(crate) fn run(options: &Options) -> Result<(), BoxError> {
    let load = load(options)?;
    let pace = match options.rate {
        None => Pace::Closed(options.concurrency.max(1)),
        Some(rate) => Pace::Every(Duration::try_from_secs_f64(1.0 / rate)?),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads.max(1))
        .enable_all()
        .build()?;
    let warm_up = Duration::try_from_secs_f64(options.warm_up)?;
    if !warm_up.is_zero() {
        runtime.block_on(load.run(pace, warm_up));
    }
    let own = [std::process::id()];
    let (before, own_before) = (process::cpu(&options.pids)?, process::cpu(&own)?);
    let time = Duration::try_from_secs_f64(options.seconds)?;
    let (seen, took) = runtime.block_on(load.run(pace, time));
    let used = process::cpu(&options.pids)?.saturating_sub(before);
    let own_used = process::cpu(&own)?.saturating_sub(own_before);
    report(options, seen, [took, used, own_used])
}

fn load(options: &Options) -> Result<Load, BoxError> {
    let denied = (0..options.deny)
        .map(|n| NtpServerName::from_bytes(format!("denied-{n}.example").as_bytes()));
    let user = User::new(
        &options.authority,
        (options.group, options.suite),
        AeadAlgorithm::from(options.aead),
        denied.collect::<Result<_, _>>()?,
    )?;
    let name = match &options.name {
        None => ServerName::IpAddress(options.server.ip().into()),
        Some(name) => ServerName::try_from(name.clone())?,
    };
    Ok(Load::new(user, options.server, name))
}

fn report(
    options: &Options,
    mut seen: Seen,
    [took, used, own_used]: [Duration; 3],
) -> Result<(), BoxError> {
    let exchanges = seen.exchanges();
    let measured = !options.pids.is_empty();
    let seconds = took.as_secs_f64();
    let report = Report {
        exchanges,
        failed: seen.failed,
        seconds,
        exchanges_per_second: exchanges as f64 / seconds,
        cpu_us_per_exchange: (measured && exchanges > 0)
            .then(|| used.as_secs_f64() * 1e6 / exchanges as f64),
        cpu_load: measured.then(|| used.as_secs_f64() / seconds),
        own_cpu_load: own_used.as_secs_f64() / seconds,
        peak_memory_kib: match measured {
            true => Some(process::peak_memory(&options.pids)?),
            false => None,
        },
        latency: Latency::of(&mut seen.times),
        servers: seen.servers,
    };
    println!("{}", serde_json::to_string(&report)?);
    match seen.fault {
        None => Ok(()),
        Some(fault) => Err(format!("{} exchanges failed: {fault}", seen.failed).into()),
    }
}
