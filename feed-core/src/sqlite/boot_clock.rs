//! A clock for leases between processes on one machine: it only runs forward, and starts anew with the machine.

use crate::store::LeaseClock;

/// What it says now. Two processes of one boot see the same clock, whatever is done to the wall clock.
///
/// On Linux it counts while the machine sleeps too. Elsewhere the wall clock stands in for it: a jump of that moves the
/// moment at which a lease may be taken over, and nothing else.
pub(super) fn now() -> LeaseClock {
    #[cfg(target_os = "linux")]
    if let (Some(boot), Ok(time)) = (
        boot_id(),
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME),
    ) {
        return LeaseClock {
            boot: boot.to_owned(),
            ms: time.tv_sec() * 1_000 + time.tv_nsec() / 1_000_000,
        };
    }
    LeaseClock {
        boot: "wall".to_owned(),
        ms: chrono::Utc::now().timestamp_millis(),
    }
}

/// The id that the kernel made at this boot (random(4)).
#[cfg(target_os = "linux")]
fn boot_id() -> Option<&'static str> {
    static BOOT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let read = || std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let boot = BOOT.get_or_init(read).as_deref()?.trim();
    (!boot.is_empty()).then_some(boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_forward_within_one_boot() {
        let (first, second) = (now(), now());
        assert_eq!(first.boot, second.boot);
        assert!(first.ms <= second.ms);
    }
}
