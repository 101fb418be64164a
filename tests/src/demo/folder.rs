//! The folder of a run: its databases and logs.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::failure::{Context, Failure};

/// Marks a folder as the demo's own, so that nothing else is ever deleted.
const MARK: &str = "feedway-demo";

/// Where a run keeps what it writes. A temporary one goes with the run, unless it is kept.
pub(super) enum Folder {
    Temporary(TempDir),
    Chosen(PathBuf),
}

impl Folder {
    /// A clean folder: `chosen`, or a temporary one.
    ///
    /// # Errors
    /// When `chosen` holds something that no earlier run wrote, or cannot be written.
    pub(super) fn prepare(chosen: Option<&Path>) -> Result<Self, Failure> {
        match chosen {
            None => tempfile::Builder::new()
                .prefix("feedway-demo-")
                .tempdir()
                .context("making a temporary folder")
                .map(Folder::Temporary),
            Some(chosen) => clean(chosen).map(|()| Folder::Chosen(chosen.to_owned())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Folder::Temporary(folder) => folder.path(),
            Folder::Chosen(folder) => folder,
        }
    }

    /// Lets the folder stay.
    pub(super) fn keep(self) -> PathBuf {
        match self {
            Folder::Temporary(folder) => folder.keep(),
            Folder::Chosen(folder) => folder,
        }
    }
}

fn clean(folder: &Path) -> Result<(), Failure> {
    let name = folder.display();
    fs::create_dir_all(folder).context(format!("--dir {name}"))?;
    let mark = folder.join(MARK);
    let entries = fs::read_dir(folder).context(format!("--dir {name}"))?;
    let paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .context(format!("--dir {name}"))?;
    if !paths.is_empty() && !paths.contains(&mark) {
        return Err(Failure::new(format!(
            "--dir {name} holds files that no earlier run of the demo wrote: choose an empty folder"
        )));
    }
    for path in paths.iter().filter(|path| **path != mark) {
        let deleted = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        deleted.context(format!("deleting {}", path.display()))?;
    }
    fs::write(mark, "").context(format!("--dir {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_earlier_run_wrote_is_deleted() {
        let outer = TempDir::new().unwrap();
        let dir = outer.path().join("run");
        let first = Folder::prepare(Some(&dir)).unwrap();
        fs::write(first.path().join("order.db"), "x").unwrap();
        let second = Folder::prepare(Some(&dir)).unwrap();
        assert!(!second.path().join("order.db").exists());

        let error = Folder::prepare(Some(outer.path())).err().unwrap();
        assert!(
            error.to_string().contains("choose an empty folder"),
            "{error}"
        );
        assert!(dir.exists());
    }
}
