//! A pool that was configured by files, with somebody who takes in what changes, as the program does.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nts_pool_ke::reload::Reloader;
use nts_pool_ke::wall_clock::{SystemClock, WallClock};
use nts_pool_ke::{Config, Pool};
use nts_service::telemetry::metrics::Registry;
use nts_service::watch::Timing;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::Lab;
use crate::authority::Credentials;
use crate::deadline::{eventually, within};
use crate::lab::{POOL_NAME, TOKEN};

/// Files are looked at so often that no test waits long.
const TIMING: Timing = Timing {
    interval: Duration::from_millis(20),
    settle: Duration::from_millis(10),
};

/// The files of a pool: `pool.toml`, `sources.toml`, `ca.pem`, `pool.pem`, `pool.key`, `token`.
pub struct PoolFiles {
    directory: TempDir,
}

impl PoolFiles {
    /// Good ones, for these sources, with `more` at the end of `[nts-pool-ke-server]`.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn new(lab: &Lab, sources: &[SocketAddr], more: &str) -> Self {
        Self::listening("\"127.0.0.1:4460\"", lab, sources, more)
    }

    /// The same for a pool that listens there.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn listening(listen: &str, lab: &Lab, sources: &[SocketAddr], more: &str) -> Self {
        let files = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        lab.authority().write(files.directory.path(), "ca");
        lab.authority()
            .server(&[POOL_NAME])
            .write(files.directory.path(), "pool");
        files.write("token", TOKEN);
        files.write("sources.toml", files.list(sources));
        let directory = files.directory.path().display();
        files.write(
            "pool.toml",
            format!(
                "[nts-pool-ke-server]
listen = {listen}
certificate-authority-path = \"{directory}/ca.pem\"
certificate-chain-path = \"{directory}/pool.pem\"
private-key-path = \"{directory}/pool.key\"
key-exchange-servers-path = \"{directory}/sources.toml\"
key-exchange-timeout-ms = 10000
{}
",
                more.replace("DIR", &directory.to_string())
            ),
        );
        files
    }

    /// A list of sources as `sources.toml` holds it; all have the token of the file `token`.
    pub fn list(&self, sources: &[SocketAddr]) -> String {
        let token = self.path("token");
        let mut list = "key-exchange-servers = [\n".to_owned();
        for source in sources {
            let (ip, port) = (source.ip(), source.port());
            let entry = writeln!(
                list,
                "  {{ domain = \"{ip}\", port = {port}, auth-token-path = {token:?} }},"
            );
            entry.expect("a string grows");
        }
        list + "]\n"
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file for its owner only, and puts it in its place in one moment.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let new = self.path(&format!("{name}.new"));
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .expect("a new file");
        file.write_all(content.as_ref()).expect("room");
        fs::rename(new, self.path(name)).expect("a writable directory");
    }

    /// Puts these in the place of the pool's certificate and key, one after the other.
    pub fn write_credentials(&self, credentials: &Credentials) {
        self.write("pool.pem", &credentials.certificate_pem);
        self.write("pool.key", &credentials.key_pem);
    }
}

/// See the module.
pub struct FilePool {
    /// Where users reach it.
    pub address: SocketAddr,
    /// Its files.
    pub files: PoolFiles,
    registry: Registry,
    metrics: SocketAddr,
    hang_ups: mpsc::Sender<oneshot::Sender<bool>>,
    _operator: JoinSet<()>,
}

impl FilePool {
    /// A pool of these sources.
    pub async fn start(lab: &Lab, sources: &[SocketAddr]) -> Self {
        Self::with(lab, sources, "").await
    }

    /// The same with `more` at the end of `[nts-pool-ke-server]`.
    pub async fn with(lab: &Lab, sources: &[SocketAddr], more: &str) -> Self {
        let files = PoolFiles::new(lab, sources, more);
        Self::of(files, Arc::new(SystemClock)).await
    }

    /// A pool of these files, which checks certificates by this clock.
    ///
    /// # Panics
    /// If they are no good.
    pub async fn of(files: PoolFiles, clock: Arc<dyn WallClock>) -> Self {
        let path = files.path("pool.toml");
        let mut config = Config::load(&path).expect("a good configuration").value;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listen = vec![any].into();
        config.observability.metrics_exporter_listen = Some(any);
        if let Some(snapshot) = &mut config.snapshot {
            snapshot.interval = TIMING.interval;
        }
        let pool = Pool::start_by(config, clock).expect("a pool starts");
        let reloader = Reloader::with_timing(&path, &pool, TIMING).await;
        let (hang_ups, orders) = mpsc::channel(1);
        let (address, registry) = (pool.local_addresses()[0], pool.registry().clone());
        let metrics = pool.metrics_address().expect("it was asked for");
        let mut operator = JoinSet::new();
        operator.spawn(operate(pool, reloader, orders));
        Self {
            address,
            files,
            registry,
            metrics,
            hang_ups,
            _operator: operator,
        }
    }

    /// What SIGHUP does; whether the configuration was taken in.
    ///
    /// # Panics
    /// If the pool is gone.
    pub async fn hang_up(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.hang_ups.send(answer).await.expect("a pool");
        within("a reload", answered).await.expect("a pool")
    }

    /// Its page of metrics.
    pub fn page(&self) -> String {
        self.registry.render()
    }

    /// The value of a series, by the beginning of its line.
    ///
    /// # Panics
    /// If there is none.
    pub fn value(&self, series: &str) -> f64 {
        let page = self.page();
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        let value = line.and_then(|value| value.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {series} in {page}"))
    }

    /// How often something of this kind was not taken in.
    pub fn refused(&self, what: &str) -> f64 {
        self.value(&format!(
            "nts_pool_ke_reload_failures_total{{what=\"{what}\"}}"
        ))
    }

    /// Waits until so many reloads of this kind were refused.
    pub async fn until_refused(&self, what: &str, times: f64) {
        let often = || (self.refused(what) >= times).then_some(());
        eventually("a refusal", often).await;
    }

    /// How often the registry of sources was asked with this outcome.
    pub fn fetched(&self, outcome: &str) -> f64 {
        self.value(&format!(
            "nts_pool_ke_snapshot_fetches_total{{outcome=\"{outcome}\"}}"
        ))
    }

    /// Waits until the registry was asked once more with this outcome.
    pub async fn until_fetched(&self, outcome: &str) {
        let before = self.fetched(outcome);
        let again = || (self.fetched(outcome) > before).then_some(());
        eventually(outcome, again).await;
    }

    /// How many sources it shows in its metrics.
    pub fn sources(&self) -> usize {
        let page = self.page();
        let line = |line: &&str| line.starts_with("nts_pool_ke_source_state{");
        page.lines().filter(line).count()
    }

    /// What `/readyz` answers: the first line, and the text.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn readyz(&self) -> (String, String) {
        let ask = async {
            let mut stream = TcpStream::connect(self.metrics).await?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = within("an answer", ask).await.expect("an answer");
        let (head, text) = answer.split_once("\r\n\r\n").expect("HTTP");
        let status = head.lines().next().unwrap_or_default();
        (status.to_owned(), text.trim().to_owned())
    }
}

/// What the program does between its start and its end.
async fn operate(
    mut pool: Pool,
    mut reloader: Reloader,
    mut hang_ups: mpsc::Receiver<oneshot::Sender<bool>>,
) {
    loop {
        tokio::select! {
            answer = hang_ups.recv() => {
                let Some(answer) = answer else { return };
                let taken_in = reloader.reload(&mut pool).await.is_some();
                let _ = answer.send(taken_in);
            }
            due = reloader.due() => reloader.take_in(due, &mut pool).await,
        }
    }
}

/// Overwrites a file where it stands, so that whoever reads it meanwhile sees a part.
///
/// # Panics
/// If it cannot be written.
pub fn overwrite(file: &Path, content: &[u8]) {
    fs::write(file, content).expect("a writable file");
}
