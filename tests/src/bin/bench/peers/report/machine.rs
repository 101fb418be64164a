//! What the figures were measured on.

use std::fs;

/// Names and values, as they stand in the document.
pub(super) fn machine() -> Vec<(String, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory_kb: u64 = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    [
        (
            "processor",
            format!("{model}, {cores} cores, shared by clients and servers"),
        ),
        (
            "memory",
            format!("{:.0} GB", memory_kb as f64 / 1_048_576.0),
        ),
        ("kernel", format!("Linux {}", kernel.trim())),
        (
            "load at the end",
            load.split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned(),
        ),
        ("date", chrono::Utc::now().format("%Y-%m-%d").to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_is() {
        let machine = machine();
        assert!(
            machine
                .iter()
                .all(|(name, value)| !name.is_empty() && !value.is_empty()),
            "{machine:?}"
        );
    }
}
