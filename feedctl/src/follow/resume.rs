//! The file that says where to go on. It is replaced whole, so that a crash leaves the old one or the new one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use feed_core::Cursor;
use serde::{Deserialize, Serialize};

/// Largest file that is believed to be one, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What is in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    /// The feed's own URL.
    feed: String,
    /// The last event that was written out.
    cursor: String,
}

/// A resume file for one feed.
#[derive(Debug, Clone)]
pub(crate) struct ResumeFile {
    path: PathBuf,
    feed: String,
}

impl ResumeFile {
    pub(crate) fn new(path: &Path, feed: &str) -> Self {
        ResumeFile {
            path: path.to_owned(),
            feed: feed.to_owned(),
        }
    }

    /// The saved cursor; none when there is no file yet.
    ///
    /// # Errors
    /// When the file cannot be read, is no resume file, or belongs to another feed. The text says what to do.
    pub(crate) fn load(&self) -> Result<Option<Cursor>, String> {
        let name = self.path.display();
        let mut text = String::new();
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{name}: {error}")),
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_string(&mut text),
        }
        .map_err(|error| format!("{name}: {error}"))?;
        let saved: Saved = serde_json::from_str(&text).map_err(|error| {
            format!(
                "{name} is no resume file ({error}); name another one, or remove it to begin anew"
            )
        })?;
        if saved.feed != self.feed {
            return Err(format!(
                "{name} belongs to {}; name another one for this feed",
                crate::text::cut(&saved.feed, 200)
            ));
        }
        let cursor = saved.cursor.parse();
        cursor
            .map(Some)
            .map_err(|error| format!("{name}: {error}; remove it to begin anew"))
    }

    /// Saves the cursor, and returns when it is on the disk.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn save(&self, cursor: Cursor) -> io::Result<()> {
        let saved = Saved {
            feed: self.feed.clone(),
            cursor: cursor.to_string(),
        };
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        // Always the same, so that what a crash leaves is overwritten.
        name.push(".new");
        let new = folder.join(name);
        let written = write_and_sync(&new, &serde_json::to_vec(&saved)?);
        let replaced = written.and_then(|()| fs::rename(&new, &self.path));
        if replaced.is_err() {
            // What could not be finished is of no use; that it cannot be removed either is not the point.
            let _ = fs::remove_file(&new);
        }
        replaced?;
        // The new name is on the disk when its folder is.
        if cfg!(unix) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

fn write_and_sync(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: &str = "http://h/feeds/x";

    fn cursor(position: u64) -> Cursor {
        format!("0123456789abcdef.{position}.00aa11bb22cc")
            .parse()
            .unwrap()
    }

    #[test]
    fn what_was_saved_comes_back_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = ResumeFile::new(&folder.path().join("place"), FEED);
        assert_eq!(file.load().unwrap(), None);
        for position in [1, 2] {
            file.save(cursor(position)).unwrap();
            assert_eq!(file.load().unwrap(), Some(cursor(position)));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let other = ResumeFile::new(&folder.path().join("place"), "http://h/feeds/y");
        assert!(other.load().unwrap_err().contains(FEED));
    }

    #[test]
    fn what_is_no_resume_file_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("place");
        for text in [
            "",
            "{}",
            "garbage",
            r#"{"feed":"http://h/feeds/x","cursor":"1"}"#,
        ] {
            fs::write(&path, text).unwrap();
            let error = ResumeFile::new(&path, FEED).load().unwrap_err();
            assert!(error.contains("place"), "{error}");
        }
        assert!(ResumeFile::new(folder.path(), FEED).load().is_err());
        let nowhere = ResumeFile::new(&folder.path().join("no/such/folder"), FEED);
        assert!(nowhere.save(cursor(1)).is_err());
    }
}
