//! How many connections the system's limit on open files allows.

use crate::limits::{CONNECTIONS_MAX, FILES_RESERVED};

/// Raises the limit on open files as far as this process may, and says how many connections fit below it.
pub(super) fn connections_max() -> usize {
    let limit = match raised() {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "the limit on open files cannot be read");
            return CONNECTIONS_MAX;
        }
    };
    let fitting = fitting(limit);
    if fitting < CONNECTIONS_MAX {
        tracing::warn!(
            limit,
            connections_max = fitting,
            "the limit on open files allows fewer connections than {CONNECTIONS_MAX}: raise it (ulimit -Hn, LimitNOFILE)"
        );
    }
    fitting
}

/// The limit that holds from now on.
fn raised() -> std::io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX).or_else(|error| {
        tracing::warn!(%error, "the limit on open files cannot be raised");
        soft()
    })
}

#[cfg(unix)]
fn soft() -> std::io::Result<u64> {
    rlimit::Resource::NOFILE.get_soft()
}

#[cfg(not(unix))]
fn soft() -> std::io::Result<u64> {
    Ok(u64::MAX)
}

/// Connections that leave files for everything else. Where there are few files, half of them: both are needed.
fn fitting(limit: u64) -> usize {
    let reserved = FILES_RESERVED.min(limit / 2);
    let left = usize::try_from(limit - reserved).unwrap_or(usize::MAX);
    left.clamp(1, CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_connections_leave_files_for_the_database() {
        for (limit, connections) in [
            (u64::MAX, CONNECTIONS_MAX),
            (1 << 20, CONNECTIONS_MAX),
            (CONNECTIONS_MAX as u64 + FILES_RESERVED, CONNECTIONS_MAX),
            (
                CONNECTIONS_MAX as u64 + FILES_RESERVED - 1,
                CONNECTIONS_MAX - 1,
            ),
            (1_024, 768),
            (256, 128),
            (3, 2),
            (0, 1),
        ] {
            assert_eq!(fitting(limit), connections, "{limit}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_on_open_files_is_raised() {
        assert!(connections_max() >= 1);
        let (soft, hard) = rlimit::Resource::NOFILE.get().unwrap();
        assert_eq!(raised().unwrap(), soft);
        // macOS has a limit of its own below the hard one.
        if cfg!(target_os = "linux") {
            assert_eq!(soft, hard);
        }
    }
}
