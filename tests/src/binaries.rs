//! Builds the services and says where their binaries are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::failure::{Context, Failure};

/// How the services are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build.
    Debug,
    /// Fast to run.
    Release,
}

impl Profile {
    /// The profile that this code itself was built in.
    pub fn own() -> Self {
        if cfg!(debug_assertions) {
            Profile::Debug
        } else {
            Profile::Release
        }
    }
}

/// Beginnings of the variables that cargo sets for what it runs. A build that sees them rebuilds the packages that
/// depend on their values, and the next build from a shell, which does not see them, rebuilds them again.
const SET_BY_CARGO: [&str; 6] = [
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

/// The services' binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// order-svc.
    pub order_svc: PathBuf,
    /// customer-svc.
    pub customer_svc: PathBuf,
}

/// One line of `cargo build --message-format=json`, as far as it is of interest.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds both services with the cargo that runs this, or the one in the path. Cargo's own progress goes to stderr;
/// `CARGO_TARGET_DIR` says where to, as always.
///
/// # Errors
/// When cargo is not there or the build fails.
pub fn build(profile: Profile) -> Result<Binaries, Failure> {
    build_with(profile, &[])
}

/// Builds both services with crash points, a ledger and bugs that can be planted (feature `faults`). They lie where
/// [`build`] puts its own: [`copied_to`](Binaries::copied_to) takes them away from there.
///
/// # Errors
/// When cargo is not there or the build fails.
pub fn build_faulty(profile: Profile) -> Result<Binaries, Failure> {
    build_with(profile, &["--features", "feedway-tests/faults"])
}

fn build_with(profile: Profile, features: &[&str]) -> Result<Binaries, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--message-format=json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(manifest)
        // The whole workspace is selected, as by a `cargo run --bin demo` at its root: with the same features of what
        // they share, nothing is compiled a second time.
        .args(["--workspace", "--bin", "order-svc", "--bin", "customer-svc"])
        .args(features)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    for (name, _) in std::env::vars_os() {
        let name_bytes = name.as_encoded_bytes();
        if SET_BY_CARGO
            .iter()
            .any(|start| name_bytes.starts_with(start.as_bytes()))
        {
            command.env_remove(name);
        }
    }
    if profile == Profile::Release {
        command.arg("--release");
    }
    let output = command
        .output()
        .context(format!("starting {}", cargo.display()))?;
    if !output.status.success() {
        return Err(Failure::new(format!(
            "cargo could not build the services ({}); what it said stands above",
            output.status
        )));
    }
    found(&String::from_utf8_lossy(&output.stdout))
}

impl Binaries {
    /// The same binaries in `folder`, where no further build replaces them.
    ///
    /// # Errors
    /// When they cannot be copied.
    pub fn copied_to(self, folder: &Path) -> Result<Self, Failure> {
        let copy = |from: &Path, name: &str| {
            let to = folder.join(name);
            std::fs::copy(from, &to).context(to.display())?;
            Ok::<_, Failure>(to)
        };
        Ok(Binaries {
            order_svc: copy(&self.order_svc, "order-svc")?,
            customer_svc: copy(&self.customer_svc, "customer-svc")?,
        })
    }
}

fn found(messages: &str) -> Result<Binaries, Failure> {
    let executables: Vec<(String, PathBuf)> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter_map(|message| Some((message.target?.name, message.executable?)))
        .collect();
    let of = |name: &str| {
        executables
            .iter()
            .find(|(target, _)| target == name)
            .map(|(_, path)| path.clone())
            .context(format!("cargo built no binary named {name}"))
    };
    Ok(Binaries {
        order_svc: of("order-svc")?,
        customer_svc: of("customer-svc")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_cargo_s_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"order_svc","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"order-svc","kind":["bin"]},"executable":"/t/debug/order-svc"}
{"reason":"compiler-artifact","target":{"name":"customer-svc"},"executable":"/t/debug/customer-svc"}
{"reason":"build-finished","success":true}"#;
        let binaries = found(messages).unwrap();
        assert_eq!(binaries.order_svc, Path::new("/t/debug/order-svc"));
        assert_eq!(binaries.customer_svc, Path::new("/t/debug/customer-svc"));
        let error = found("").unwrap_err();
        assert!(error.to_string().contains("order-svc"), "{error}");
    }
}
