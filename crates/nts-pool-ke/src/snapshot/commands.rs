//! `nts-pool-ke snapshot`: for whoever publishes a signed list, and for whoever wants to know what is
//! in one. No private key is ever printed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use nts_service::config::{Located, Place, Problem, Problems, read_file, read_secret_file};
use nts_service::diagnosis::show;
use nts_service::exit::ExitCode;
use nts_service::tls;

use super::MAX_LENGTH;
use super::cache::{PRIVATE, PUBLIC, create, folder, read, replace};
use super::document::{Document, Header, Trust, is_pool, sign};
use super::entries;
use super::signature::{PublicKey, SigningKey};
use crate::age;
use crate::config::{Catalogue, Tokens};

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a key pair: the private key goes to a new file, the public key is printed
    Keygen(Keygen),
    /// Make a signed list of a file of sources
    Sign(Sign),
    /// Say what is in a signed list, if pools would take it
    Verify(Verify),
}

/// Where the private key goes.
#[derive(Debug, Args)]
pub struct Keygen {
    /// The new file
    #[arg(long, value_name = "FILE")]
    private_key_path: PathBuf,
}

/// What is signed.
#[derive(Debug, Args)]
pub struct Sign {
    /// The sources: TOML or JSON, as `key-exchange-servers-path` has them, with `policy`, `regions` and
    /// `allow-mass-removal` beside them if they are wanted
    #[arg(value_name = "SOURCES")]
    sources: PathBuf,
    /// The pool that the list is for
    #[arg(long, value_name = "NAME")]
    pool: String,
    /// The file that `keygen` made
    #[arg(long, value_name = "FILE")]
    private_key_path: PathBuf,
    /// The file to publish, which is replaced
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Which list it is, greater than that of the last one [default: the time in seconds since 1970]
    #[arg(long, value_name = "NUMBER")]
    serial: Option<u64>,
}

/// What is looked at.
#[derive(Debug, Args)]
pub struct Verify {
    /// The signed list
    #[arg(value_name = "FILE")]
    list: PathBuf,
    /// A key that may have signed it, as `keygen` prints it
    #[arg(long, value_name = "KEY", required_unless_present = "public_key_path")]
    public_key: Vec<String>,
    /// A PEM file with such a key
    #[arg(long, value_name = "FILE")]
    public_key_path: Option<PathBuf>,
    /// The pool that it must be for
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
}

/// Does it, prints to `out`, and to `problems` what is wrong.
pub fn snapshot(action: &Action, out: &mut dyn Write, problems: &mut dyn Write) -> ExitCode {
    let list = Problems::new();
    let said = match action {
        Action::Keygen(arguments) => keygen(arguments, &list),
        Action::Sign(arguments) => sign_list(arguments, &list),
        Action::Verify(arguments) => verify(arguments, &list),
    };
    show(&list, problems);
    match said.map(|text| out.write_all(text.as_bytes())) {
        Some(Ok(())) => ExitCode::Success,
        Some(Err(_)) | None => ExitCode::Failure,
    }
}

fn keygen(arguments: &Keygen, problems: &Problems) -> Option<String> {
    let file = &arguments.private_key_path;
    let key = SigningKey::generate().map_err(|error| fail(file, error, problems));
    let key = key.ok()?;
    if let Err(error) = create(file, key.to_pem().as_bytes(), PRIVATE) {
        let message = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "is there already, and a key that is in use would be lost; \
                 name another file"
                    .to_owned()
            }
            _ => cannot_write(file, &error),
        };
        fail(file, message, problems);
        return None;
    }
    Some(format!("public-key = \"{}\"\n", key.public()))
}

fn sign_list(arguments: &Sign, problems: &Problems) -> Option<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = Duration::from_secs(now.unwrap_or_default().as_secs());
    if !is_pool(&arguments.pool) {
        fail(
            Path::new("--pool"),
            "no name of a pool; write one",
            problems,
        );
        return None;
    }
    let header = Header {
        pool: arguments.pool.clone(),
        serial: arguments.serial.unwrap_or(now.as_secs()),
        issued: UNIX_EPOCH + now,
    };
    let file = named(&arguments.private_key_path, "--private-key-path");
    let pem = read_secret_file(&file, problems)?;
    let key = SigningKey::from_pem(&pem).map_err(|error| fail(&file, error, problems));
    let key = key.ok()?;
    let sources = named(&arguments.sources, "SOURCES");
    Catalogue::check_file(&sources, problems)?;
    let entries = entries::read(&sources).map_err(|error| fail(&sources, error, problems));
    let list = sign(&header, entries.ok()?, &key);
    let list = list.map_err(|rejection| {
        fail(&sources, format!("cannot be signed: {rejection}"), problems);
    });
    let list = Arc::new(list.ok()?);
    let trust = Trust {
        keys: vec![key.public()],
        pool: None,
    };
    refuse_older(&list, &arguments.output, &trust)
        .map_err(|error| {
            fail(&arguments.output, error, problems);
        })
        .ok()?;
    // Warnings were said when the file was checked.
    let described = describe(&list, &sources);
    let (said, _) = described.map_err(|faults| push(faults, problems)).ok()?;
    if let Err(error) = replace(&arguments.output, list.octets(), PUBLIC) {
        let message = cannot_write(&arguments.output, &error);
        fail(&arguments.output, message, problems);
        return None;
    }
    Some(said)
}

/// Without the name of the file that could not be made beside it.
fn cannot_write(file: &Path, error: &io::Error) -> String {
    let folder = folder(file);
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "cannot be written: there is no folder `{}`; make it, or name another",
            folder.display()
        ),
        kind => format!("cannot be written: {kind}"),
    }
}

/// Refuses a list that no pool would take after the one that is published now.
fn refuse_older(list: &Document, output: &Path, trust: &Trust) -> Result<(), String> {
    let published = read(output, MAX_LENGTH).ok().flatten();
    let published = published.and_then(|octets| Document::open(octets, trust).ok());
    let same_pool = published.filter(|it| it.header().pool == list.header().pool);
    match same_pool {
        Some(last) if last.header().serial >= list.header().serial => Err(format!(
            "holds a list of serial {} already, after which no pool takes one of serial {}; give a \
             greater --serial",
            last.header().serial,
            list.header().serial
        )),
        _ => Ok(()),
    }
}

fn verify(arguments: &Verify, problems: &Problems) -> Option<String> {
    let mut keys = Vec::new();
    for text in &arguments.public_key {
        let key = PublicKey::from_base64(text);
        keys.push(
            key.map_err(|error| fail(Path::new("--public-key"), error, problems))
                .ok()?,
        );
    }
    if let Some(path) = &arguments.public_key_path {
        let octets = read_file(&named(path, "--public-key-path"), problems)?;
        let key = PublicKey::from_pem(&octets);
        keys.push(key.map_err(|error| fail(path, error, problems)).ok()?);
    }
    let file = named(&arguments.list, "FILE");
    let octets = read_file(&file, problems)?;
    let trust = Trust {
        keys,
        pool: arguments.pool.clone(),
    };
    let list = Document::open(octets, &trust)
        .map_err(|rejection| fail(&file, format!("no pool takes it: {rejection}"), problems));
    let described = describe(&Arc::new(list.ok()?), &file);
    let (said, warnings) = described.map_err(|faults| push(faults, problems)).ok()?;
    push(warnings, problems);
    Some(said)
}

/// What is in it, with warnings; all problems if pools would not use it.
fn describe(list: &Arc<Document>, name: &Path) -> Result<(String, Vec<Problem>), Vec<Problem>> {
    let (catalogue, warnings) = Catalogue::of_document(list, name, Tokens::Elsewhere)?;
    let sources = catalogue.sources.sources.len();
    let header = list.header();
    let said = format!(
        "{sources} sources for the pool {}, serial {}, made on {} ({} ago)\n",
        header.pool,
        header.serial,
        tls::date(header.issued),
        age::shown(header.age(SystemTime::now()))
    );
    Ok((said, warnings))
}

/// All of them are problems.
fn push(faults: Vec<Problem>, problems: &Problems) {
    for fault in faults {
        problems.push(fault);
    }
}

fn named(path: &Path, argument: &str) -> Located<PathBuf> {
    Located::new(path.to_owned(), Place::file(argument))
}

fn fail(place: &Path, message: impl Into<String>, problems: &Problems) {
    problems.push(Problem::error(Place::file(place), message));
}

#[cfg(test)]
mod tests;
