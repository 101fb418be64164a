//! How often the proxy does what. Pure.

use rand::rngs::SmallRng;
use rand::{Rng, RngExt};

use super::damage::Damage;

/// How often each kind of damage is done, in proportion to the sum of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the kind of damage of its name")]
pub struct Weights {
    /// Nothing is done.
    pub pass: u32,
    pub delay_head: u32,
    pub delay_body: u32,
    pub drip: u32,
    pub cut_head: u32,
    pub cut_body: u32,
    pub internal_error: u32,
    pub unavailable: u32,
    pub too_many_requests: u32,
    pub not_http: u32,
    pub truncated: u32,
    pub corrupted: u32,
    pub wrong_type: u32,
    pub html_page: u32,
    pub again: u32,
    pub stale: u32,
    pub other_page: u32,
    pub doubled: u32,
    pub gap: u32,
    pub short: u32,
    pub swapped: u32,
    pub reversed: u32,
}

impl Weights {
    /// No damage at all.
    pub const NONE: Weights = Weights {
        pass: 1,
        delay_head: 0,
        delay_body: 0,
        drip: 0,
        cut_head: 0,
        cut_body: 0,
        internal_error: 0,
        unavailable: 0,
        too_many_requests: 0,
        not_http: 0,
        truncated: 0,
        corrupted: 0,
        wrong_type: 0,
        html_page: 0,
        again: 0,
        stale: 0,
        other_page: 0,
        doubled: 0,
        gap: 0,
        short: 0,
        swapped: 0,
        reversed: 0,
    };

    /// Some of everything. One request in four is harmed, one in five so that a consumer waits before
    /// it tries again; more would make failures in a row, which it waits after longer and longer.
    pub const MIXED: Weights = Weights {
        pass: 150,
        delay_head: 8,
        delay_body: 4,
        drip: 4,
        cut_head: 3,
        cut_body: 3,
        internal_error: 3,
        unavailable: 2,
        too_many_requests: 2,
        not_http: 2,
        truncated: 2,
        corrupted: 2,
        wrong_type: 2,
        html_page: 2,
        again: 3,
        stale: 3,
        other_page: 3,
        doubled: 2,
        gap: 2,
        short: 2,
        swapped: 2,
        reversed: 2,
    };

    /// How often this is done.
    pub fn of(&self, damage: Damage) -> u32 {
        let mut weights = *self;
        *weights.of_mut(damage)
    }

    fn of_mut(&mut self, damage: Damage) -> &mut u32 {
        match damage {
            Damage::DelayHead => &mut self.delay_head,
            Damage::DelayBody => &mut self.delay_body,
            Damage::Drip => &mut self.drip,
            Damage::CutHead => &mut self.cut_head,
            Damage::CutBody => &mut self.cut_body,
            Damage::InternalError => &mut self.internal_error,
            Damage::Unavailable => &mut self.unavailable,
            Damage::TooManyRequests => &mut self.too_many_requests,
            Damage::NotHttp => &mut self.not_http,
            Damage::Truncated => &mut self.truncated,
            Damage::Corrupted => &mut self.corrupted,
            Damage::WrongType => &mut self.wrong_type,
            Damage::HtmlPage => &mut self.html_page,
            Damage::Again => &mut self.again,
            Damage::Stale => &mut self.stale,
            Damage::OtherPage => &mut self.other_page,
            Damage::Doubled => &mut self.doubled,
            Damage::Gap => &mut self.gap,
            Damage::Short => &mut self.short,
            Damage::Swapped => &mut self.swapped,
            Damage::Reversed => &mut self.reversed,
        }
    }
}

/// What a proxy does from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultPlan {
    /// How often it does what.
    pub weights: Weights,
    /// Longest delay, in milliseconds.
    pub delay_ms_max: u64,
    /// Longest time that a slow body takes beside the upstream's own, in milliseconds.
    pub drip_ms_max: u64,
    /// Longest `Retry-After`, in seconds; each is from 0 to this.
    pub retry_after_s_max: u64,
    /// Whether a request with `Cache-Control: no-cache` is never lied to. Two lies in a row, the second past all caches,
    /// halt a consumer for good, and rightly so.
    pub honest_past_caches: bool,
}

impl Default for FaultPlan {
    /// [`Weights::MIXED`], a quarter of a second of delay at most, and honest past caches.
    fn default() -> Self {
        FaultPlan {
            weights: Weights::MIXED,
            delay_ms_max: 250,
            drip_ms_max: 250,
            retry_after_s_max: 1,
            honest_past_caches: true,
        }
    }
}

/// What is done to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    /// None: nothing.
    pub(super) damage: Option<Damage>,
    /// Seed of how it is done: where the body is cut, which older answer is given.
    pub(super) detail: u64,
}

impl Decision {
    pub(super) const NOTHING: Decision = Decision {
        damage: None,
        detail: 0,
    };
}

impl FaultPlan {
    /// Everything passes.
    pub fn healed() -> Self {
        FaultPlan {
            weights: Weights::NONE,
            ..FaultPlan::default()
        }
    }

    /// This is done to each request to which it can be done.
    pub fn only(damage: Damage) -> Self {
        let mut weights = Weights {
            pass: 0,
            ..Weights::NONE
        };
        *weights.of_mut(damage) = 1;
        FaultPlan {
            weights,
            ..FaultPlan::default()
        }
    }

    /// What is done to the next request. Takes the same from `random` whatever comes out, so that one request does not
    /// change what happens to the next.
    pub(super) fn decide(&self, random: &mut SmallRng, past_caches: bool) -> Decision {
        let (drawn, detail) = (random.random::<f64>(), random.next_u64());
        let harm: u64 = Damage::ALL
            .iter()
            .map(|damage| u64::from(self.weights.of(*damage)))
            .sum();
        let mut left = drawn * (harm + u64::from(self.weights.pass)) as f64;
        let damage = Damage::ALL.into_iter().find(|damage| {
            let weight = f64::from(self.weights.of(*damage));
            let found = left < weight;
            left -= weight;
            found
        });
        Decision {
            damage: damage
                .filter(|damage| !(past_caches && self.honest_past_caches && damage.is_lie())),
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use super::*;

    fn decisions(plan: FaultPlan, seed: u64, past_caches: bool) -> Vec<Decision> {
        let mut random = SmallRng::seed_from_u64(seed);
        (0..5_000)
            .map(|_| plan.decide(&mut random, past_caches))
            .collect()
    }

    #[test]
    fn the_same_seed_decides_the_same() {
        let plan = FaultPlan::default();
        assert_eq!(decisions(plan, 7, false), decisions(plan, 7, false));
        assert_ne!(decisions(plan, 7, false), decisions(plan, 8, false));
    }

    #[test]
    fn an_honest_request_changes_nothing_for_those_behind_it() {
        let plan = FaultPlan::default();
        let (told, honest) = (decisions(plan, 7, false), decisions(plan, 7, true));
        for (told, honest) in told.iter().zip(&honest) {
            let expected = told.damage.filter(|damage| !damage.is_lie());
            assert_eq!(honest.damage, expected);
            assert_eq!(honest.detail, told.detail);
        }
    }

    #[test]
    fn everything_is_done_in_proportion() {
        let plan = FaultPlan::default();
        let done = decisions(plan, 1, false);
        let kinds: HashSet<_> = done.iter().filter_map(|decision| decision.damage).collect();
        let wanted = |damage: &Damage| plan.weights.of(*damage) > 0;
        assert_eq!(kinds, Damage::ALL.into_iter().filter(wanted).collect());
        let harmed = done.iter().filter(|decision| decision.damage.is_some());
        let share = harmed.count() as f64 / done.len() as f64;
        assert!((0.2..0.3).contains(&share), "{share}");
    }

    #[test]
    fn a_healed_plan_does_nothing_and_one_of_one_kind_nothing_else() {
        let passed = decisions(FaultPlan::healed(), 1, false);
        assert!(passed.iter().all(|decision| decision.damage.is_none()));
        for damage in Damage::ALL {
            let done = decisions(FaultPlan::only(damage), 1, false);
            assert!(done.iter().all(|decision| decision.damage == Some(damage)));
        }
        let liar = FaultPlan {
            honest_past_caches: false,
            ..FaultPlan::only(Damage::Gap)
        };
        let done = decisions(liar, 1, true);
        assert!(done.iter().all(|decision| decision.damage.is_some()));
    }
}
