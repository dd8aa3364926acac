//! What systemd is told, by a program that has its variables: a child of this test, since a process
//! cannot set its own.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nts_service::{notify, runtime};

/// Tells the child that it is one.
const CHILD: &str = "NTS_SERVICE_TEST_CHILD";

/// Not a test by itself but where the child of one begins.
#[test]
fn a_child_begins_here() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    runtime::run(async {
        notify::ready();
        notify::reloading();
        notify::ready();
        notify::status("all is well");
        notify::stopping();
        std::future::pending::<()>().await
    })
    .unwrap();
}

/// Ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing can be done where that fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn systemd_is_told_the_state_and_that_the_program_lives() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_begins_here"])
        .env(CHILD, "yes")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "30000")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let _child = Program(child);
    let hear = || {
        let mut octets = [0; 256];
        let length = socket.recv(&mut octets).unwrap();
        String::from_utf8(octets[..length].to_vec()).unwrap()
    };
    let mut watchdog = 0;
    let mut others = Vec::new();
    while watchdog < 3 || others.len() < 5 {
        match hear() {
            word if word == "WATCHDOG=1\n" => watchdog += 1,
            word => others.push(word),
        }
    }
    let [ready, reloading, again, status, stopping] = others.try_into().unwrap();
    assert_eq!([ready, again], ["READY=1\n"; 2]);
    let at = reloading
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .unwrap();
    assert!(at.trim_end().parse::<u64>().unwrap() > 0);
    assert_eq!(status, "STATUS=all is well\n");
    assert_eq!(stopping, "STOPPING=1\n");
}
