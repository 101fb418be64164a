//! Values by work and peer, a value per round; medians, spread and ratios.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::peers::feedway::Growth;
use crate::peers::peer::{About, Unit, Work};

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// With the round that it is from.
    values: BTreeMap<(Work, &'static str), Vec<(usize, f64)>>,
    /// Everybody who was there, in the order of the tables.
    pub(crate) peers: Vec<(&'static str, About)>,
    /// Who was not there, and what failed.
    pub(crate) notes: Vec<String>,
    /// What did not keep up a pace.
    pub(crate) not_sustained: Vec<&'static str>,
    pub(crate) growth: Vec<Growth>,
    /// What was said about the run itself.
    pub(crate) rounds: usize,
    pub(crate) catch_up_events: u64,
    pub(crate) event_bytes: usize,
}

/// Middle and ends of what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Figures {
    /// Nothing yet, of a run in which so many events of this size are caught up with.
    pub(crate) fn new(catch_up_events: u64, event_bytes: usize) -> Self {
        Figures {
            catch_up_events,
            event_bytes,
            ..Figures::default()
        }
    }

    pub(crate) fn add(&mut self, round: usize, work: Work, who: &'static str, value: f64) {
        self.values
            .entry((work, who))
            .or_default()
            .push((round, value));
    }

    pub(crate) fn spread(&self, work: Work, who: &'static str) -> Option<Spread> {
        let values = self.values.get(&(work, who))?;
        spread(values.iter().map(|&(_, value)| value).collect())
    }

    pub(crate) fn median(&self, work: Work, who: &'static str) -> Option<f64> {
        Some(self.spread(work, who)?.median)
    }

    /// The median of the rounds' own ratios: what was measured at about the same time is compared.
    pub(crate) fn ratio(
        &self,
        ours: (Work, &'static str),
        theirs: (Work, &'static str),
    ) -> Option<f64> {
        let (ours, theirs) = (self.values.get(&ours)?, self.values.get(&theirs)?);
        let of_round = |wanted: usize| {
            let found = theirs.iter().find(|&&(round, _)| round == wanted);
            found.map(|&(_, value)| value)
        };
        let ratios = ours
            .iter()
            .filter_map(|&(round, value)| Some(value / of_round(round)?));
        Some(spread(ratios.collect())?.median)
    }

    /// Everybody of whom this is known, with the median first.
    pub(crate) fn of(&self, work: Work) -> Vec<(&'static str, Spread)> {
        let known = self
            .peers
            .iter()
            .filter_map(|&(who, _)| Some((who, self.spread(work, who)?)));
        known.collect()
    }

    pub(crate) fn json(&self, machine: &[(String, String)]) -> Value {
        let values: Vec<Value> = self
            .values
            .iter()
            .map(|((work, who), values)| {
                let rounds: Vec<f64> = values.iter().map(|&(_, value)| value).collect();
                json!({ "work": work.title().1, "who": who, "rounds": rounds, "median": self.median(*work, who) })
            })
            .collect();
        let peers: Vec<Value> = self
            .peers
            .iter()
            .map(|(who, about)| json!({ "who": who, "version": about.version, "settings": about.settings }))
            .collect();
        let growth: Vec<Value> = self
            .growth
            .iter()
            .map(|growth| json!({ "work": growth.work, "ratio": growth.ratio }))
            .collect();
        let machine: serde_json::Map<String, Value> = machine
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({
            "machine": machine, "rounds": self.rounds, "catch_up_events": self.catch_up_events,
            "event_bytes": self.event_bytes, "peers": peers, "figures": values, "growth": growth,
            "notes": self.notes,
        })
    }
}

fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (lowest, highest) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    };
    Some(Spread {
        median,
        lowest,
        highest,
    })
}

/// A value with as many digits as mean something.
pub(super) fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond if value >= 10_000.0 => thousands((value / 100.0).round() * 100.0),
        Unit::PerSecond => thousands(value.round()),
        Unit::Milliseconds => format!("{value:.2}"),
        Unit::Megabytes => format!("{value:.0}"),
        Unit::PercentOfACore => format!("{value:.1}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::peers::peer::{FEEDWAY, REDIS};

    pub(crate) fn about() -> About {
        About {
            version: "1.2".into(),
            settings: "a | b".into(),
        }
    }

    pub(crate) fn measured() -> Figures {
        let mut figures = Figures {
            peers: vec![(FEEDWAY, about()), (REDIS, about())],
            rounds: 3,
            catch_up_events: 1_000_000,
            event_bytes: 512,
            ..Figures::default()
        };
        for (round, (ours, theirs)) in [(100.0, 50.0), (300.0, 100.0), (20_000.0, 40_000.0)]
            .into_iter()
            .enumerate()
        {
            figures.add(round, Work::AppendOne, FEEDWAY, ours);
            figures.add(round, Work::AppendOne, REDIS, theirs);
        }
        figures
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]).unwrap().median, 2.0);
        let even = spread(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((even.median, even.lowest, even.highest), (2.5, 1.0, 4.0));
        assert_eq!(spread(Vec::new()), None);
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        let figures = measured();
        let (ours, theirs) = ((Work::AppendOne, FEEDWAY), (Work::AppendOne, REDIS));
        assert_eq!(figures.ratio(ours, theirs), Some(2.0));
        assert_eq!(figures.ratio(ours, (Work::AppendMany, REDIS)), None);
    }

    #[test]
    fn numbers_say_no_more_than_is_known() {
        assert_eq!(number(1_234_567.0, Unit::PerSecond), "1,234,600");
        assert_eq!(number(9_876.4, Unit::PerSecond), "9,876");
        assert_eq!(number(12.0, Unit::PerSecond), "12");
        assert_eq!(number(0.456, Unit::Milliseconds), "0.46");
    }
}
