//! What a world is made of, and what happens in it.

use ntp_sync::Config;
use nts_proto::association::AssociationConfig;
use nts_proto::ntp::header::LeapIndicator;

use super::clock::ClockModel;
use super::noise::{Jitter, Path};

/// A server and the way to it.
#[derive(Debug, Clone, Copy)]
pub struct ServerModel {
    /// The way.
    pub path: Path,
    /// How far its clock is ahead of UTC at the start, s.
    pub offset: f64,
    /// Its stratum.
    pub stratum: u8,
}

impl ServerModel {
    /// A server of stratum 1 that is right.
    pub const fn right(path: Path) -> Self {
        Self {
            path,
            offset: 0.0,
            stratum: 1,
        }
    }
}

/// Something that happens at a moment.
#[derive(Debug, Clone, Copy)]
pub enum Happening {
    /// A server's clock is stepped, s.
    ServerSteps(usize, f64),
    /// A server's clock runs too fast from now on, s/s.
    ServerDrifts(usize, f64),
    /// A server answers no more.
    ServerDies(usize),
    /// It answers again.
    ServerReturns(usize),
    /// A server asks for fewer requests with all its answers, or not any more.
    ServerIsBusy(usize, bool),
    /// A server announces a leap second, or not any more.
    ServerAnnounces(usize, LeapIndicator),
    /// The way to a server becomes another one.
    PathChanges(usize, Path),
    /// Something else steps the clock, s.
    ClockIsStepped(f64),
    /// The oscillator's frequency jumps, s/s.
    ClockJolts(f64),
}

/// A world.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// How long it lasts, s.
    pub duration: f64,
    /// From when on the clock should have settled, s.
    pub settled: f64,
    /// Unix time at its beginning.
    pub epoch: i64,
    /// The clock.
    pub clock: ClockModel,
    /// Frequency that a drift file tells, s/s.
    pub drift: Option<f64>,
    /// The servers.
    pub servers: Vec<ServerModel>,
    /// What happens, each with its time, s.
    pub happenings: Vec<(f64, Happening)>,
    /// When a second is inserted into UTC, s.
    pub leap_at: Option<f64>,
    /// How the clock is kept.
    pub config: Config,
    /// How servers are asked.
    pub association: AssociationConfig,
}

/// 2026-06-01.
const EPOCH: i64 = 1_780_272_000;

/// A local network: 0.1 ms each way, with as much jitter.
pub const LAN: Path = Path::symmetric(0.1e-3, Jitter::Exponential(0.1e-3));

/// A wide network with this one-way delay, s: a millisecond of jitter.
pub const fn wan(base: f64) -> Path {
    Path::symmetric(base, Jitter::Exponential(1e-3))
}

impl Scenario {
    /// A clock that is 0.1 s and 100 ppm off, and right servers on these paths, for 10,000 s.
    pub fn new(name: &'static str, paths: &[Path], settled: f64) -> Self {
        let servers: Vec<_> = paths.iter().copied().map(ServerModel::right).collect();
        let config = Config {
            minimum_agreeing_sources: servers.len().min(3),
            ..Config::default()
        };
        Self {
            name,
            duration: 10_000.0,
            settled,
            epoch: EPOCH,
            clock: ClockModel::default(),
            drift: None,
            servers,
            happenings: Vec::new(),
            leap_at: None,
            config,
            association: AssociationConfig {
                precision: -30,
                ..AssociationConfig::default()
            },
        }
    }

    /// A: one server on a local network.
    pub fn lan() -> Self {
        Self::new("A  1 source, LAN", &[LAN], 210.0)
    }

    /// B: four servers on a local network.
    pub fn lan_four() -> Self {
        Self::new("B  4 sources, LAN", &[LAN; 4], 210.0)
    }

    /// C: four servers far away.
    pub fn wan_four() -> Self {
        let paths = [wan(5e-3), wan(10e-3), wan(15e-3), wan(20e-3)];
        Self::new("C  4 sources, WAN", &paths, 1000.0)
    }

    /// D: as A, with a clock that wanders a hundred times as much.
    pub fn restless() -> Self {
        let mut scenario = Self::lan().named("D  as A, wander 1e-7");
        scenario.clock.wander = 1e-7;
        scenario
    }

    /// E: the network of chrony's tests with a jitter of 0.1 s.
    pub fn jittery() -> Self {
        let path = Path::symmetric(0.1e-3, Jitter::Exponential(0.1));
        Self::new("E  1 source, jitter 0.1 s", &[path], 1000.0)
    }

    /// F: one server far away.
    pub fn wan_one() -> Self {
        Self::new("F  1 source, WAN", &[wan(20e-3)], 1000.0)
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// The same with something happening.
    #[must_use]
    pub fn with(mut self, at: f64, happening: Happening) -> Self {
        self.happenings.push((at, happening));
        self
    }

    /// The same with another jitter on all paths.
    #[must_use]
    pub fn with_jitter(mut self, jitter: Jitter) -> Self {
        for server in &mut self.servers {
            server.path.jitter = jitter;
        }
        self
    }

    /// The same with losses on all paths.
    #[must_use]
    pub fn with_loss(mut self, loss: f64) -> Self {
        for server in &mut self.servers {
            server.path.loss = loss;
        }
        self
    }

    /// The same with a clock that is too fast by so much at the start, s/s.
    #[must_use]
    pub fn starting_at(mut self, frequency: f64) -> Self {
        self.clock.frequency = frequency;
        self
    }

    /// The same with a server that is ahead from the start, s.
    #[must_use]
    pub fn with_offset(mut self, server: usize, offset: f64) -> Self {
        self.servers[server].offset = offset;
        self
    }

    /// The same with a drift file of an hour ago.
    #[must_use]
    pub fn knowing_its_drift(mut self) -> Self {
        let wandered = self.clock.wander * 60.0;
        self.drift = Some(-self.clock.frequency - wandered);
        self
    }

    /// The same for another time, s.
    #[must_use]
    pub fn lasting(mut self, duration: f64) -> Self {
        self.duration = duration;
        self
    }
}
