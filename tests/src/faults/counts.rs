//! What a proxy has done.

use std::collections::BTreeMap;
use std::fmt;

use super::damage::Damage;

/// How many requests a proxy answered, and what it did to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    passed: u64,
    done: BTreeMap<Damage, u64>,
}

impl Counts {
    /// Requests that suffered this. What was drawn and could not be done, as cutting a body that is not there, does not
    /// count: the request passed.
    pub fn of(&self, damage: Damage) -> u64 {
        self.done.get(&damage).copied().unwrap_or(0)
    }

    /// Requests that passed unharmed.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Requests that suffered something.
    pub fn harmed(&self) -> u64 {
        self.done.values().sum()
    }

    /// Requests that were told something false.
    pub fn lies(&self) -> u64 {
        let lies = self.done.iter().filter(|(damage, _)| damage.is_lie());
        lies.map(|(_, count)| count).sum()
    }

    pub(super) fn add(&mut self, done: Option<Damage>) {
        match done {
            None => self.passed += 1,
            Some(damage) => *self.done.entry(damage).or_default() += 1,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let harmed = self.harmed();
        write!(f, "{harmed} of {} requests harmed", harmed + self.passed)?;
        for (index, (damage, count)) in self.done.iter().enumerate() {
            let before = if index == 0 { ": " } else { ", " };
            write!(f, "{before}{damage} {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_one_line() {
        let mut counts = Counts::default();
        assert_eq!(counts.to_string(), "0 of 0 requests harmed");
        for done in [
            None,
            Some(Damage::Gap),
            Some(Damage::CutHead),
            Some(Damage::Gap),
        ] {
            counts.add(done);
        }
        assert_eq!(
            counts.to_string(),
            "3 of 4 requests harmed: cut before the head 1, event left out 2"
        );
        assert_eq!(
            (counts.passed(), counts.of(Damage::Gap), counts.lies()),
            (1, 2, 2)
        );
    }
}
