//! The data of every event, the same bytes for everybody, with the time at which it was sent.

use std::time::{SystemTime, UNIX_EPOCH};

const STAMP: &[u8] = b"\"at\":\"";
const DIGITS: usize = 20;

/// JSON of a wanted size: `{"at":"<nanoseconds>","filler":"xxx…"}`.
#[derive(Debug, Clone)]
pub(crate) struct Payload(Vec<u8>);

/// The same as a value, for whoever takes values and for whoever reads into a struct.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Measured {
    pub(crate) at: String,
    pub(crate) filler: String,
}

impl Payload {
    /// Of `bytes` bytes, or of as few as it takes.
    pub(crate) fn new(bytes: usize) -> Self {
        let empty = Self::with_filler(0).0.len();
        Self::with_filler(bytes.saturating_sub(empty))
    }

    fn with_filler(length: usize) -> Self {
        let (digits, filler) = ("0".repeat(DIGITS), "x".repeat(length));
        Payload(format!(r#"{{"at":"{digits}","filler":"{filler}"}}"#).into_bytes())
    }

    /// With the time of now in it.
    pub(crate) fn stamped(&mut self) -> &[u8] {
        let from = 1 + STAMP.len();
        let stamp = stamp();
        self.0[from..from + DIGITS].copy_from_slice(stamp.as_bytes());
        &self.0
    }

    /// The same as a value.
    pub(crate) fn value(&self) -> Measured {
        let filler = self.0.len() - (STAMP.len() + DIGITS + r#"{","filler":""}"#.len());
        Measured {
            at: stamp(),
            filler: "x".repeat(filler),
        }
    }
}

/// Now, as it stands in a payload.
pub(crate) fn stamp() -> String {
    format!("{:0width$}", now_ns(), width = DIGITS)
}

/// How long ago, in milliseconds, the payload was sent that is somewhere in `bytes`.
pub(crate) fn age_ms(bytes: &[u8]) -> Option<f64> {
    let at = bytes
        .windows(STAMP.len())
        .position(|window| window == STAMP)?
        + STAMP.len();
    let digits = bytes.get(at..at + DIGITS)?;
    let sent: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(now_ns().saturating_sub(sent) as f64 / 1e6)
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_json_of_the_size_and_says_when_it_was_sent() {
        let mut payload = Payload::new(512);
        let bytes = payload.stamped().to_vec();
        assert_eq!(bytes.len(), 512);
        let value: Measured = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value.filler, payload.value().filler);
        let in_envelope = [b"{\"data\":".to_vec(), bytes].concat();
        assert!(age_ms(&in_envelope).is_some_and(|age| age < 60_000.0));
        assert_eq!(age_ms(b"\"at\":\"12"), None);
    }
}
