use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nts_proto::code_points::AeadAlgorithm;
use nts_proto::cookie::Cookie;
use nts_proto::ke::keys::SessionKeys;

use super::*;

fn config(path: Option<&Path>, stale_key_count: usize) -> KeysetConfig {
    KeysetConfig {
        stale_key_count,
        key_storage_path: path.map(Path::to_owned),
        ..KeysetConfig::default()
    }
}

/// A file with a secret of 64 times the same character for each one in `characters`.
pub(super) fn secrets(characters: &str) -> SharedSecrets {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets");
    let lines: Vec<_> = characters
        .chars()
        .map(|it| it.to_string().repeat(64))
        .collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    SharedSecrets::load(&path).unwrap()
}

fn shared(characters: &str) -> KeysetConfig {
    KeysetConfig {
        shared_secrets: Some(secrets(characters)),
        ..config(None, 7)
    }
}

fn cookie(store: &KeyStore) -> Cookie {
    let keys = SessionKeys::new(&[1; 32], &[2; 32]).unwrap();
    store
        .current()
        .seal(AeadAlgorithm::AesSivCmac256, &keys, &mut rand::rng())
        .unwrap()
}

fn opens(store: &KeyStore, cookie: &Cookie) -> bool {
    store.current().open(cookie.as_bytes()).is_ok()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_rotation_keeps_as_many_old_keys_as_configured() {
    let store = KeyStore::open(&config(None, 1)).unwrap();
    let first = cookie(&store);
    store.rotate();
    assert!(opens(&store, &first));
    let second = cookie(&store);
    store.rotate();
    assert!(!opens(&store, &first));
    assert!(opens(&store, &second));
}

/// The daemon saves when it stops, whether or not a rotation is under way.
#[test]
fn the_file_has_the_keys_in_use_whoever_wrote_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let store = KeyStore::open(&config(Some(&path), 7)).unwrap();
    let begin = std::sync::Barrier::new(3);
    for _ in 0..50 {
        std::thread::scope(|scope| {
            for write in [KeyStore::rotate, KeyStore::save, KeyStore::save] {
                let (store, begin) = (&store, &begin);
                scope.spawn(move || {
                    begin.wait();
                    write(store);
                });
            }
        });
        let reopened = KeyStore::open(&config(Some(&path), 7)).unwrap();
        let ids = [&reopened, &store].map(|it| it.current().sealing_id());
        assert_eq!(ids[0], ids[1]);
    }
}

#[test]
fn a_pipe_instead_of_the_file_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let store = KeyStore::open(&config(Some(&path), 7)).unwrap();
    let first = cookie(&store);
    // The file is in its place now.
    let store = KeyStore::open(&config(Some(&path), 7)).unwrap();
    assert!(opens(&store, &first));
}

#[test]
fn keys_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let store = KeyStore::open(&config(Some(&path), 7)).unwrap();
    let first = cookie(&store);
    store.rotate();
    let second = cookie(&store);
    assert_eq!(mode(&path), 0o600);
    assert!(!folder.path().join("keys.tmp").exists());

    let store = KeyStore::open(&config(Some(&path), 7)).unwrap();
    assert!(opens(&store, &first) && opens(&store, &second));
    let third = cookie(&store);
    assert_eq!(
        third.as_bytes()[..4],
        second.as_bytes()[..4],
        "the same key seals"
    );
    // Fewer keys are to be kept from now on.
    let store = KeyStore::open(&config(Some(&path), 0)).unwrap();
    assert!(!opens(&store, &first) && opens(&store, &second));
}

#[test]
fn a_spoilt_file_gives_new_keys_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let old = cookie(&KeyStore::open(&config(Some(&path), 7)).unwrap());
    let mut octets = std::fs::read(&path).unwrap();
    *octets.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &octets).unwrap();
    let store = KeyStore::open(&config(Some(&path), 7)).unwrap();
    assert!(!opens(&store, &old));
    let new = cookie(&store);
    assert!(opens(
        &KeyStore::open(&config(Some(&path), 7)).unwrap(),
        &new
    ));
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    KeyStore::open(&config(Some(&path), 7)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = KeyStore::open(&config(Some(&path), 7)).unwrap_err();
    let shown = path.display();
    assert_eq!(
        error.to_string(),
        format!(
            "others can read or write `{shown}` (mode 640), so its keys are no secret; \
             run `rm '{shown}'`, and new keys will be made"
        )
    );
}

#[test]
fn a_temporary_file_left_behind_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(folder.path().join("keys.tmp"), "half").unwrap();
    let store = KeyStore::open(&config(Some(&path), 7)).unwrap();
    let made = cookie(&store);
    assert!(opens(
        &KeyStore::open(&config(Some(&path), 7)).unwrap(),
        &made
    ));
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test(start_paused = true)]
async fn keys_rotate_by_themselves_until_shutdown() {
    let interval = Duration::from_secs(3600);
    let config = KeysetConfig {
        key_rotation_interval: interval,
        ..config(None, 7)
    };
    let store = Arc::new(KeyStore::open(&config).unwrap());
    let first = store.current().sealing_id();
    let (trigger, shutdown) = nts_service::shutdown::channel();
    let task = tokio::spawn(Arc::clone(&store).rotate_on_schedule(shutdown));
    tokio::time::sleep(interval * 2 + Duration::from_secs(300)).await;
    assert_eq!(store.current().sealing_id(), first.wrapping_add(2));
    trigger.fire();
    task.await.unwrap();
}

#[test]
fn nodes_with_a_secret_in_common_open_each_others_cookies() {
    let open = |characters| KeyStore::open(&shared(characters)).unwrap();
    let (one, other, stranger) = (open("a"), open("ab"), open("b"));
    assert!(opens(&other, &cookie(&one)) && opens(&one, &cookie(&other)));
    assert!(opens(&other, &cookie(&stranger)) && !opens(&stranger, &cookie(&other)));
    assert!(!opens(&one, &cookie(&stranger)) && !opens(&stranger, &cookie(&one)));
    assert!(!opens(
        &KeyStore::open(&config(None, 7)).unwrap(),
        &cookie(&one)
    ));
    // Nothing but the time makes another key seal.
    let before = cookie(&one);
    one.rotate();
    assert!(opens(&one, &before));
}

#[test]
fn secrets_are_taken_over_and_nothing_else_is() {
    let store = KeyStore::open(&shared("a")).unwrap();
    let (old, new) = (cookie(&store), KeyStore::open(&shared("b")).unwrap());
    assert!(store.reload(&shared("ab")));
    assert!(opens(&store, &old) && opens(&store, &cookie(&new)) && !opens(&new, &cookie(&store)));
    assert!(store.reload(&shared("ba")));
    assert!(opens(&store, &old) && opens(&new, &cookie(&store)));
    assert!(store.reload(&shared("b")));
    assert!(!opens(&store, &old));
    // Keys of one's own cannot take their place while it runs, nor the other way round.
    assert!(!store.reload(&config(None, 7)));
    assert!(opens(&new, &cookie(&store)));
    let own = KeyStore::open(&config(None, 7)).unwrap();
    let cookie = cookie(&own);
    assert!(own.reload(&config(None, 3)) && !own.reload(&shared("a")));
    assert!(opens(&own, &cookie));
}

#[test]
fn an_operator_is_told_what_is_no_secret() {
    let store = KeyStore::open(&config(None, 2)).unwrap();
    let status = store.status();
    assert_eq!((status.shared, status.count), (false, 2));
    assert!(status.age < Duration::from_secs(60));
    let day = Duration::from_secs(86_400);
    assert!(status.next_rotation <= day && status.next_rotation + Duration::from_secs(60) > day);
    store.rotate();
    assert_eq!(store.status().count, 3);
    assert_eq!(store.status().sealing_id, status.sealing_id.wrapping_add(1));

    let status = KeyStore::open(&shared("ab")).unwrap().status();
    assert_eq!((status.shared, status.count), (true, 2 * 9));
    assert_eq!(status.age + status.next_rotation, day);
}
