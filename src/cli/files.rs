//! How input is read and output is written: files, or `-` for standard input.

use super::CliError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Whether an argument means standard input.
pub fn is_stdin(argument: impl AsRef<Path>) -> bool {
    argument.as_ref() == Path::new("-")
}

/// The text of a file, or of standard input for `-`. A byte order mark at its head is no part of it.
pub fn read_text(path: &Path) -> Result<String, CliError> {
    let text = if is_stdin(path) { read_stdin()? } else { fs::read_to_string(path).map_err(|error| CliError::unreadable(path, &error))? };
    Ok(text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text))
}

/// The bytes of a file, or of standard input for `-`, whatever they are.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    if !is_stdin(path) {
        return fs::read(path).map_err(|error| CliError::unreadable(path, &error));
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(|error| CliError::usage(format!("standard input cannot be read: {error}")))?;
    Ok(bytes)
}

fn read_stdin() -> Result<String, CliError> {
    let mut text = String::new();
    match io::stdin().lock().read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(CliError::usage("standard input is not UTF-8 text")),
        Err(error) => Err(CliError::usage(format!("standard input cannot be read: {error}"))),
    }
}

/// A JSON value as a command prints it: on one line, so that the output of several runs is JSON Lines.
pub fn json_bytes(value: &impl std::fmt::Display) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

/// Where a command's result goes.
pub enum Output {
    /// Standard output.
    Stdout,
    /// A file, which is there whole or, if anything goes wrong, as it was before.
    File(PathBuf),
}

impl Output {
    /// Standard output, or the file that `option` names. A file that cannot be written is told now and not
    /// after a long run.
    pub fn new(option: &str, file: Option<PathBuf>) -> Result<Self, CliError> {
        let Some(path) = file else { return Ok(Self::Stdout) };
        let named = format!("{option} {}", path.display());
        if path.is_dir() {
            return Err(CliError::usage(format!("{named} is a folder")).hint("name a file in it"));
        }
        let folder = folder_of(&path);
        if !folder.is_dir() {
            return Err(CliError::usage(format!("{named}: there is no folder {}", folder.display())));
        }
        match probe(&path) {
            Ok(()) => Ok(Self::File(path)),
            Err(error) => Err(CliError::usage(format!("{named} cannot be written: {error}"))),
        }
    }

    /// Whether it is standard output.
    pub fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Writes all of `bytes`.
    pub fn write(&self, bytes: &[u8]) -> Result<(), CliError> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| CliError::output(&error))
            }
            Self::File(path) => {
                write_whole(path, bytes).map_err(|error| CliError::failure(format!("{} cannot be written: {error}", path.display())))
            }
        }
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether a file can be written, found out by beginning to: nothing is left behind.
fn probe(path: &Path) -> io::Result<()> {
    let (path, before) = target(path);
    if is_device(before.as_ref()) {
        return Ok(());
    }
    let part = part_of(&path)?;
    File::create_new(&part)?;
    fs::remove_file(&part)
}

/// The file that a path leads to, and what is known of it where it is there. A link is followed, so that
/// it is its target that changes and not the link.
fn target(path: &Path) -> (PathBuf, Option<fs::Metadata>) {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let metadata = fs::metadata(&path).ok();
    (path, metadata)
}

/// Whether it is a device or a pipe (`-o /dev/null`), which cannot be replaced, only written to.
fn is_device(metadata: Option<&fs::Metadata>) -> bool {
    metadata.is_some_and(|metadata| !metadata.is_file())
}

/// The file beside `path` that is written first.
fn part_of(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it has no file name"))?;
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(format!(".{}.part", std::process::id()));
    Ok(folder_of(path).join(part))
}

/// Writes a file beside the one meant and renames it: readers see the old one or the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (path, before) = target(path);
    if is_device(before.as_ref()) {
        return OpenOptions::new().write(true).open(&path)?.write_all(bytes);
    }
    let part = part_of(&path)?;
    let written = File::create_new(&part)
        .and_then(|mut file| {
            if let Some(before) = &before {
                file.set_permissions(before.permissions())?;
            }
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&part, &path));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}
