//! A pool in a process of its own, with as many open files as a test allows.
//!
//! The child is the same program. So its beginning must call [`run_if_child`]: the `main` of a
//! benchmark, or a test by the name of [`TEST`].

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nts_pool_ke::{Config as PoolConfig, Pool};
use tempfile::TempDir;

use crate::Lab;
use crate::deadline::DEADLINE;
use crate::lab::{POOL_NAME, RealSource, TOKEN};
use crate::managed;
use crate::page;
use crate::wire::http_get;

/// The variable that tells the child its configuration.
const CONFIG: &str = "TESTKIT_CHILD_POOL";

/// The variable that is there if the child has to be [patient](ChildPool::patient).
const PATIENT: &str = "TESTKIT_CHILD_POOL_PATIENT";

/// Longer than any test or benchmark goes on.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The test in which a child of a test begins.
pub const TEST: &str = "a_child_pool_begins_here";

/// What runs in the child; false if this is none. It says where it listens, and at the end of its
/// input what it counted.
///
/// # Panics
/// If the pool does not start.
pub fn run_if_child() -> bool {
    let Ok(path) = std::env::var(CONFIG) else {
        return false;
    };
    let mut config = PoolConfig::load(path).expect("a good configuration").value;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    config.listen = vec![any].into();
    config.observability.metrics_exporter_listen = Some(any);
    if std::env::var_os(PATIENT).is_some() {
        config.key_exchange_timeout = PATIENCE;
        config.limits.first_byte_timeout.get_or_insert(PATIENCE);
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let pool = runtime.block_on(async { Pool::start(config).expect("a pool starts") });
    let mut out = std::io::stdout();
    let metrics = pool.metrics_address().expect("it was asked for");
    let users = pool.local_addresses()[0];
    writeln!(out, "\nADDRESSES {users} {metrics}").expect("a parent that reads");
    std::io::stdin().lock().lines().for_each(drop);
    writeln!(out, "{}", pool.registry().render()).expect("a parent that reads");
    true
}

/// See the module. It ends with its input, so also with the test.
pub struct ChildPool {
    /// Where users reach it.
    pub address: SocketAddr,
    metrics: SocketAddr,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _files: TempDir,
}

impl ChildPool {
    /// A pool of `source` with this section `[limits]`, and so many open files.
    pub fn start(lab: &Lab, source: &RealSource, limits: &str, open_files: u32) -> Self {
        Self::begin(lab, source, limits, open_files, false)
    }

    /// The same, but where `limits` sets no time, connections may stay as they are for an hour.
    pub fn patient(lab: &Lab, source: &RealSource, limits: &str, open_files: u32) -> Self {
        Self::begin(lab, source, limits, open_files, true)
    }

    fn begin(lab: &Lab, source: &RealSource, limits: &str, open_files: u32, patient: bool) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let config = files.path().join("pool.toml");
        let text = configuration(lab, source, limits, files.path());
        std::fs::write(&config, text).expect("a file");
        let mut command = Command::new("sh");
        if patient {
            command.env(PATIENT, "");
        }
        let mut child = command
            .arg("-c")
            .arg("ulimit -n \"$1\" && exec \"$0\" --exact \"$2\" --nocapture")
            .arg(std::env::current_exe().expect("a path"))
            .arg(open_files.to_string())
            .arg(TEST)
            .env(CONFIG, config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let input = child.stdin.take().expect("a pipe");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let [address, metrics] = loop {
            let mut line = String::new();
            let length = output.read_line(&mut line).expect("a child that writes");
            assert_ne!(length, 0, "the child ended");
            if let Some((users, metrics)) = line
                .trim()
                .strip_prefix("ADDRESSES ")
                .and_then(|both| both.split_once(' '))
            {
                break [users, metrics].map(|it| it.parse().expect("an address"));
            }
        };
        Self {
            address,
            metrics,
            child,
            input,
            output,
            _files: files,
        }
    }

    /// Its page of metrics.
    pub async fn page(&self) -> String {
        http_get(self.metrics, "/metrics").await.1
    }

    /// The value of a series of its metrics, written as on the page; 0 if there is none.
    ///
    /// # Panics
    /// If the value is no whole number.
    pub async fn metric(&self, series: &str) -> u64 {
        page::value(&self.page().await, series)
    }

    /// Waits until a series of its metrics has this value.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn until(&self, series: &str, expected: u64) {
        let begun = Instant::now();
        loop {
            let page = self.page().await;
            let value = page::value(&page, series);
            if value == expected {
                return;
            }
            assert!(
                begun.elapsed() < DEADLINE,
                "{series} is {value}, not {expected}: {page}"
            );
        }
    }

    /// The processor time that it has spent so far.
    pub fn cpu(&self) -> Duration {
        managed::cpu(self.child.id())
    }

    /// The memory that it has in use, in octets.
    pub fn resident(&self) -> u64 {
        managed::resident(self.child.id())
    }

    /// Ends it in good order; its metrics.
    pub fn end(mut self) -> String {
        drop(self.input);
        let mut page = String::new();
        self.output
            .read_to_string(&mut page)
            .expect("a child that writes");
        assert!(self.child.wait().expect("a child").success());
        page
    }
}

fn configuration(lab: &Lab, source: &RealSource, limits: &str, directory: &Path) -> String {
    let authority = lab.authority().write(directory, "ca");
    let credentials = lab.authority().server(&[POOL_NAME]);
    let (chain, key) = credentials.write(directory, "pool");
    format!(
        "[nts-pool-ke-server]
listen = \"127.0.0.1:4460\"
certificate-authority-path = {authority:?}
certificate-chain-path = {chain:?}
private-key-path = {key:?}
key-exchange-servers = [
    {{ domain = \"{}\", port = {}, auth-token = \"{TOKEN}\" }},
]
key-exchange-timeout-ms = 60000
[limits]
{limits}
",
        source.ke.ip(),
        source.ke.port(),
    )
}
