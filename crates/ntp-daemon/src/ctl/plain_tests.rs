use super::*;
use crate::observe::state::tests::example;

#[test]
fn the_whole_page() {
    let page = "\
Synchronised, stratum 2, by 1 source: a.test 192.0.2.1:123
  clock      the system's, steered by this daemon
  offset     +4.20 µs ± 2.10 µs
  frequency  -3.210 ppm ± 0.012 ppm, for now +50.000 ppm more to make up for the offset
  error      at most 600 µs (root delay 1.00 ms, root dispersion 100 µs)
  leap       no leap second is announced
  daemon     ntp-daemon 0.1.0, running for 3 min 12 s

Sources
  SOURCE          MODE      SERVER                NTS            REACH  POLL  OFFSET ± ERROR      DELAY   JITTER   COOKIES  STATE
  pool.test:4460  nts-pool  a.test 192.0.2.1:123  authenticated  377    16 s  +12.3 µs ± 80.1 µs  160 µs  3.00 µs  8/8      best, stratum 1
  ntp.test:123    server    192.0.2.9:123         no             000    16 s  –                   –       –        –        no answer yet: cannot send: \\u{1b}[31mno route
  pool.test:4460  nts-pool  –                     –              –      –     –                   –       –        –        1 of 2 held: the pool named a.test again, so it seems to have no other now; next try in 9 s

Servers
  ADDRESS   RECEIVED  ANSWERED  WITH NTS  NTS NAK  DENIED  RATE-LIMITED  IGNORED  NOT SENT
  [::]:123  10        7         5         0        0       0             3        0

NTS key exchange servers
  ADDRESS    CONNECTIONS  RATE-LIMITED  USERS SERVED  SERVED FOR POOLS  POOLS' QUESTIONS  REFUSED  NO HANDSHAKE  ABANDONED
  [::]:4460  4            0             1             2                 1                 0        0             0

Cookie keys
  9 keys, shared with other nodes; 0123abcd has been sealing for 2 h 0 min, the next one will in 22 h 0 min
";
    assert_eq!(render(&example()), page);
}

#[test]
fn a_daemon_without_sources_says_so() {
    let state = ObservableState {
        sources: Vec::new(),
        configured_sources: Vec::new(),
        servers: Vec::new(),
        nts_ke_servers: Vec::new(),
        cookie_keys: None,
        ..example()
    };
    assert!(render(&state).ends_with("\nSources\n  none configured\n"));
}

#[test]
fn a_server_that_serves_its_own_clock() {
    let mut state = ObservableState {
        sources: Vec::new(),
        configured_sources: Vec::new(),
        ..example()
    };
    state.system.clock = None;
    state.system.leap_indicator = LeapIndicator::Unsynchronized;
    assert!(render(&state).starts_with("Not synchronised: no sources are configured\n"));
    state.system.stratum = 1;
    state.system.leap_indicator = LeapIndicator::NoWarning;
    let page = render(&state);
    assert!(
        page.starts_with(
            "Serves stratum 1, without sources\n  clock      the system's, left alone\n"
        ),
        "{page}"
    );
}

#[test]
fn a_clock_that_is_not_synchronised_says_so_first_and_why() {
    let mut state = example();
    state.system.leap_indicator = LeapIndicator::Unsynchronized;
    state.system.clock_control = false;
    state.system.clock = Some(ClockState {
        synchronized: false,
        reason: Some("the sources have not agreed for a day".into()),
        offset: None,
        offset_uncertainty: None,
        frequency_uncertainty: None,
        ..example().system.clock.unwrap()
    });
    let page = render(&state);
    let head = "\
NOT SYNCHRONISED: the sources have not agreed for a day
  clock      the daemon's own; the system's clock is left alone
  frequency  -3.210 ppm, for now +50.000 ppm more to make up for the offset
  daemon     ntp-daemon 0.1.0, running for 3 min 12 s

Sources
";
    assert!(page.starts_with(head), "{page}");
    state.system.stratum = 10;
    state.system.leap_indicator = LeapIndicator::NoWarning;
    let line = synchronization(&state);
    assert!(
        line.ends_with("; served as stratum 10 all the same"),
        "{line}"
    );
}
