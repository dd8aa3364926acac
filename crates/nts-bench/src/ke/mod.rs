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

use crate::key_exchange::{Group, Offer, Suite, User};
use crate::{BoxError, connections, process};
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
    /// Threads that make load (default: one for each CPU that it may use).
    #[arg(long)]
    threads: Option<usize>,
    /// Of the signatures that prove the server's identity each so-manyth is verified, after the first
    /// (1: all, and the certificates each time too).
    #[arg(long, default_value_t = 64)]
    verify_every: u64,
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
    /// Processes behind them, like a pool's time sources: CPU time, and connections begun to them.
    #[arg(long, value_delimiter = ',')]
    behind: Vec<u32>,
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
    /// CPU time of those behind them, per exchange and per second.
    behind_cpu_us_per_exchange: Option<f64>,
    behind_cpu_load: Option<f64>,
    /// Connections per exchange that others than the load began in this network namespace.
    connections_per_exchange: Option<f64>,
    /// CPU time of the load itself, per exchange and per second.
    own_cpu_us_per_exchange: Option<f64>,
    own_cpu_load: f64,
    /// CPU time per second of whoever else ran on the machine: of none if the figures are any good.
    elsewhere_cpu_load: f64,
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
    let threads = match options.threads {
        Some(threads) => threads.max(1),
        None => std::thread::available_parallelism()?.get(),
    };
    // With what there is it runs too, as long as that suffices.
    let _ = nts_service::files::raise_limit();
    let warm_up = Duration::try_from_secs_f64(options.warm_up)?;
    if !warm_up.is_zero() {
        load.run(pace, warm_up, threads)?;
    }
    let before = Spent::so_far(options)?;
    let time = Duration::try_from_secs_f64(options.seconds)?;
    let (seen, took) = load.run(pace, time, threads)?;
    let spent = Spent::so_far(options)?.since(&before);
    report(options, seen, took, &spent)
}

/// What has been used up, by whom.
#[derive(Debug)]
struct Spent {
    cpu: Duration,
    behind: Duration,
    own: Duration,
    all: Duration,
    connections: u64,
}

impl Spent {
    fn so_far(options: &Options) -> Result<Self, BoxError> {
        Ok(Self {
            cpu: process::cpu(&options.pids)?,
            behind: process::cpu(&options.behind)?,
            own: process::cpu(&[std::process::id()])?,
            all: process::cpu_of_all()?,
            connections: connections::begun()?,
        })
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            behind: self.behind.saturating_sub(before.behind),
            own: self.own.saturating_sub(before.own),
            all: self.all.saturating_sub(before.all),
            connections: self.connections - before.connections,
        }
    }
}

fn load(options: &Options) -> Result<Load, BoxError> {
    let denied = (0..options.deny)
        .map(|n| NtpServerName::from_bytes(format!("denied-{n}.example").as_bytes()));
    let user = User::new(
        &options.authority,
        Offer {
            group: options.group,
            suite: options.suite,
            verify_every: options.verify_every,
        },
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
    took: Duration,
    spent: &Spent,
) -> Result<(), BoxError> {
    let exchanges = seen.exchanges();
    let measured = !options.pids.is_empty();
    let has_behind = !options.behind.is_empty();
    let seconds = took.as_secs_f64();
    let per_exchange = |amount: f64| (exchanges > 0).then(|| amount / exchanges as f64);
    let each = |time: Duration| per_exchange(time.as_secs_f64() * 1e6);
    let load = |time: Duration| time.as_secs_f64() / seconds;
    let others = spent.connections.saturating_sub(exchanges + seen.failed);
    let report = Report {
        exchanges,
        failed: seen.failed,
        seconds,
        exchanges_per_second: exchanges as f64 / seconds,
        cpu_us_per_exchange: each(spent.cpu).filter(|_| measured),
        cpu_load: measured.then(|| load(spent.cpu)),
        behind_cpu_us_per_exchange: each(spent.behind).filter(|_| has_behind),
        behind_cpu_load: has_behind.then(|| load(spent.behind)),
        connections_per_exchange: per_exchange(others as f64).filter(|_| has_behind),
        own_cpu_us_per_exchange: each(spent.own),
        own_cpu_load: load(spent.own),
        elsewhere_cpu_load: load(
            spent
                .all
                .saturating_sub(spent.cpu + spent.behind + spent.own),
        ),
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
