//! A pool whose list of sources is exchanged ten times a second under load, and once a second its
//! certificate, the authorities that it trusts and the token that it shows: no user may fail, and
//! neither open files nor memory may grow.
//!
//! `cargo bench --package testkit --features unstable_nts-pool --bench soak`, or with the seconds to
//! go on in `SOAK_SECONDS`.
#![expect(clippy::print_stdout, reason = "a benchmark shows its figures")]

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use ntp_daemon::config::KeAuthorization;
use testkit::deadline::eventually;
use testkit::file_pool::PoolFiles;
use testkit::lab::{POOL_NAME, RealSource, TOKEN, loopback, token};
use testkit::managed::{self, Manager, Program};
use testkit::user::{Session, User, plain_request};
use testkit::wire::http_get;
use testkit::{CertificateAuthority, Lab};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::interval;

const USERS: usize = 16;
const SOURCES: u8 = 6;
const RELOADS_PER_SECOND: u32 = 10;
/// Sources know it as well as [`TOKEN`].
const OTHER_TOKEN: &str = "laboratory-token-for-every-other-second";
/// Memory has settled by then.
const WARM_UP: Duration = Duration::from_secs(10);
const SOAK: u64 = 60;
/// So many looks at the program.
const SLICES: u32 = 6;
/// So much more is noise.
const MEMORY_NOISE: u64 = 4 << 20;

/// What users saw.
#[derive(Default)]
struct Tally {
    over: AtomicBool,
    served: AtomicUsize,
    failed: AtomicUsize,
}

/// One user after the other, for ever.
async fn come_again(user: User, pool: SocketAddr, tally: Arc<Tally>) {
    let request = plain_request();
    while !tally.over.load(Ordering::Relaxed) {
        match user.key_exchange(pool, POOL_NAME, &request).await {
            Ok(Session { .. }) => tally.served.fetch_add(1, Ordering::Relaxed),
            Err(failure) => {
                println!("  failed: {failure:?}");
                tally.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// Exchanges one source for another, now and then other files, and says so.
struct Operator<'a> {
    lab: &'a Lab,
    files: &'a PoolFiles,
    manager: &'a Manager,
    addresses: &'a [SocketAddr],
    /// How often it said so.
    round: usize,
    /// How often the program was done with it.
    done: usize,
}

impl Operator<'_> {
    async fn work(&mut self, program: &Program, time: Duration) {
        let mut ticks = interval(Duration::from_secs(1) / RELOADS_PER_SECOND);
        let begun = Instant::now();
        while begun.elapsed() < time {
            ticks.tick().await;
            let mut list = self.addresses.to_vec();
            list.remove(self.round % list.len());
            self.files.write("sources.toml", self.files.list(&list));
            self.exchange_others();
            self.listen();
            program.tell(Signal::SIGHUP);
            self.round += 1;
        }
    }

    /// Hears what the program says of its reloads.
    fn listen(&mut self) {
        while let Some(word) = self.manager.told_already() {
            self.done += usize::from(word.starts_with("READY=1"));
        }
    }

    /// Each of the other files has its turn once in ten rounds.
    fn exchange_others(&self) {
        match self.round % 10 {
            0 => {
                let new = self.lab.authority().server(&[POOL_NAME]);
                self.files.write_credentials(&new);
            }
            3 => {
                let another = CertificateAuthority::new();
                let both = another.pem().to_owned() + self.lab.authority().pem();
                self.files.write("ca.pem", both);
            }
            6 => {
                let token = [TOKEN, OTHER_TOKEN][self.round / 10 % 2];
                self.files.write("token", token);
            }
            _ => {}
        }
    }
}

/// Its open files and memory, which are printed.
fn look(program: &Program, when: &str) -> (usize, u64) {
    let (files, memory) = (program.open_files(), program.resident());
    println!("  {when:<9}  {files} open files, {} KiB", memory >> 10);
    (files, memory)
}

/// Prints what the page says of reloads; how many were refused.
fn show_reloads(page: &str) -> u64 {
    let refused = "nts_pool_ke_reload_failures_total";
    for line in page.lines() {
        if line.starts_with(refused) || line.starts_with("nts_pool_ke_snapshot_serial") {
            println!("  {line}");
        }
    }
    testkit::page::total(page, refused)
}

/// A port that is free now; a file cannot ask for any.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    listener.local_addr().expect("an address")
}

async fn soak(seconds: u64) -> bool {
    let lab = Lab::new();
    let known = KeAuthorization {
        tokens: vec![token(TOKEN), token(OTHER_TOKEN)],
        certificates: Vec::new(),
    };
    let sources: Vec<RealSource> = (0..SOURCES)
        .map(|it| lab.source_with(loopback(2 + it), known.clone(), |_| {}))
        .collect();
    let addresses: Vec<_> = sources.iter().map(|it| it.ke).collect();
    let metrics = free_port();
    let more = format!("[observability]\nmetrics-exporter-listen = \"{metrics}\"\n");
    let files = PoolFiles::listening("\"systemd\"", &lab, &addresses, &more);
    let manager = Manager::new(files.path("pool.toml"), &[]);
    let mut program = manager.start();
    let tally = Arc::new(Tally::default());
    let mut users = JoinSet::new();
    for _ in 0..USERS {
        users.spawn(come_again(
            lab.user(),
            manager.address(),
            Arc::clone(&tally),
        ));
    }
    let served = || (tally.served.load(Ordering::Relaxed) > USERS).then_some(());
    eventually("users who are served", served).await;

    let mut operator = Operator {
        lab: &lab,
        files: &files,
        manager: &manager,
        addresses: &addresses,
        round: 0,
        done: 0,
    };
    operator.work(&program, WARM_UP).await;
    let before = look(&program, "beginning");
    let served_before = tally.served.load(Ordering::Relaxed);
    let slice = Duration::from_secs(seconds) / SLICES;
    for number in 1..SLICES {
        operator.work(&program, slice).await;
        look(&program, &format!("{} s", (slice * number).as_secs()));
    }
    operator.work(&program, slice).await;
    let after = look(&program, "end");
    let served = tally.served.load(Ordering::Relaxed) - served_before;
    tally.over.store(true, Ordering::Relaxed);
    users.join_all().await;
    let failed = tally.failed.load(Ordering::Relaxed);
    operator.listen();
    let (round, done) = (operator.round, operator.done);
    println!("  {served} exchanges, {failed} failed, {round} reloads, {done} of them done");
    let refused = show_reloads(&http_get(metrics, "/metrics").await.1);
    program.tell(Signal::SIGTERM);
    // The last reload may be under way, and the end has its word too.
    operator.listen();
    let ended = program.end().await.success();
    failed == 0
        && refused == 0
        // A busy machine may be told twice before it is done once.
        && done > round / 2
        && ended
        && after.0 <= before.0 + 2 * USERS
        && after.1 <= before.1 + before.1 / 10 + MEMORY_NOISE
}

fn main() -> ExitCode {
    if managed::run_if_managed() {
        return ExitCode::SUCCESS;
    }
    let seconds = std::env::var("SOAK_SECONDS");
    let seconds = seconds.map_or(SOAK, |text| text.parse().expect("a number of seconds"));
    println!(
        "{RELOADS_PER_SECOND} reloads a second for {seconds} s, {USERS} users at the same time"
    );
    let runtime = Runtime::new().expect("threads");
    match runtime.block_on(soak(seconds)) {
        true => ExitCode::SUCCESS,
        false => {
            println!("something failed or grew");
            ExitCode::FAILURE
        }
    }
}
