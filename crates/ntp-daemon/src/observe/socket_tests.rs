use std::os::unix::fs::PermissionsExt;

use super::super::state::*;
use super::*;

fn example() -> ObservableState {
    ObservableState {
        program: ProgramState {
            version: "0.1.0".into(),
            build_commit: "unknown".into(),
            build_commit_date: "unknown".into(),
            uptime_seconds: 1.5,
            now: Timestamp { timestamp: 7 },
        },
        system: SystemState {
            stratum: 16,
            reference_id: u32::from_be_bytes(*b"INIT"),
            accumulated_steps_threshold: None,
            precision: 1e-6,
            root_delay: 0.0,
            root_variance_base_time: Timestamp { timestamp: 0 },
            root_variance_base: 0.0,
            root_variance_linear: 0.0,
            root_variance_quadratic: 0.0,
            root_variance_cubic: 0.0,
            leap_indicator: LeapIndicator::Unsynchronized,
            accumulated_steps: 0.0,
            clock_control: false,
            clock: None,
        },
        sources: Vec::new(),
        configured_sources: Vec::new(),
        servers: Vec::new(),
        nts_ke_servers: Vec::new(),
        cookie_keys: None,
    }
}

fn snapshot() -> Snapshot {
    Arc::new(example)
}

async fn read(path: &Path) -> io::Result<ObservableState> {
    read_state(&mut UnixStream::connect(path).await?).await
}

#[tokio::test]
async fn each_client_gets_the_length_the_document_and_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("observe");
    let _socket = ObservationSocket::bind(&path, 0o600, snapshot()).unwrap();

    let mut octets = Vec::new();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.read_to_end(&mut octets).await.unwrap();
    let (length, json) = octets.split_at(8);
    assert_eq!(
        u64::from_be_bytes(length.try_into().unwrap()),
        json.len() as u64
    );
    assert_eq!(
        serde_json::from_slice::<ObservableState>(json).unwrap(),
        example()
    );
    assert_eq!(read(&path).await.unwrap(), example());
}

#[tokio::test]
async fn what_a_client_sends_is_not_read_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("observe");
    let _socket = ObservationSocket::bind(&path, 0o600, snapshot()).unwrap();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"shutdown").await.unwrap();
    assert_eq!(read_state(&mut stream).await.unwrap(), example());
}

#[tokio::test]
async fn the_file_has_the_configured_mode_and_goes_with_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("observe");
    let socket = ObservationSocket::bind(&path, 0o640, snapshot()).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_the_newer_one_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("observe");
    let old = ObservationSocket::bind(&path, 0o600, snapshot()).unwrap();
    let _new = ObservationSocket::bind(&path, 0o600, snapshot()).unwrap();
    drop(old);
    assert_eq!(read(&path).await.unwrap(), example());
}

#[tokio::test]
async fn a_file_that_is_no_socket_stays_and_the_error_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let error = ObservationSocket::bind(&path, 0o600, snapshot()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(
        error.to_string(),
        format!(
            "observation socket {}: a file that is not a socket is in the way; \
             remove it or set another observation-path",
            path.display()
        )
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named_with_the_cure() {
    let error = ObservationSocket::bind(Path::new("/nonexistent/observe"), 0o600, snapshot());
    assert_eq!(
        error.unwrap_err().to_string(),
        "observation socket /nonexistent/observe: there is no such folder; make it or set \
         another observation-path"
    );
}

#[tokio::test]
async fn idle_clients_do_not_keep_others_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("observe");
    let _socket = ObservationSocket::bind(&path, 0o600, snapshot()).unwrap();
    let mut idle = Vec::new();
    for _ in 0..2 * MAX_CLIENTS {
        idle.push(UnixStream::connect(&path).await.unwrap());
    }
    assert_eq!(read(&path).await.unwrap(), example());
}

#[tokio::test]
async fn readers_refuse_a_length_over_the_limit_before_they_allocate() {
    let mut octets: &[u8] = &u64::MAX.to_be_bytes();
    let error = read_state(&mut octets).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn keys_are_those_that_monitoring_knows() {
    let json = serde_json::to_value(example()).unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        keys(&json["program"]),
        [
            "build_commit",
            "build_commit_date",
            "now",
            "uptime_seconds",
            "version"
        ]
    );
    assert_eq!(json["program"]["now"]["timestamp"], 7);
    for key in [
        "stratum",
        "reference_id",
        "accumulated_steps_threshold",
        "precision",
        "root_delay",
        "root_variance_base_time",
        "root_variance_base",
        "root_variance_linear",
        "root_variance_quadratic",
        "root_variance_cubic",
        "leap_indicator",
        "accumulated_steps",
    ] {
        assert!(keys(&json["system"]).contains(&key.to_owned()), "{key}");
    }
    assert_eq!(json["system"]["leap_indicator"], "Unsynchronized");
}

#[test]
fn root_dispersion_grows_with_time_across_the_era() {
    let mut system = example().system;
    system.root_variance_base_time = Timestamp {
        timestamp: u64::MAX - (1 << 32) + 1,
    };
    system.root_variance_base = 1.0;
    system.root_variance_linear = 2.0;
    system.root_variance_quadratic = 3.0;
    system.root_variance_cubic = 10.0;
    let one_second_later = Timestamp { timestamp: 0 };
    assert_eq!(system.root_dispersion(one_second_later), 4.0);
}
