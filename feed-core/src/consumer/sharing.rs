//! How instances share the partitions of a subscription. Pure: all instances compute it from the same rows.

use std::collections::BTreeSet;

use super::lease::HolderId;

/// A partition as an instance sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) number: u32,
    pub(super) can: Can,
    /// Who may count on it: no one whose lease is over.
    pub(super) holder: Option<HolderId>,
}

/// Whether a partition can be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Can {
    Run,
    /// It halts: each instance tries it once.
    BeTried,
    /// It is paused.
    Not,
}

/// What an instance does next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) give: Vec<u32>,
    pub(super) take: Vec<u32>,
}

/// How many partitions the instance `me` is to have, of `partitions` that are shared by `members`: the shares of all make
/// up all partitions, and differ by one at most. A share never grows when somebody joins, nor shrinks when somebody leaves,
/// so nothing is handed back and forth.
pub(super) fn share(partitions: usize, members: &[HolderId], me: &HolderId) -> usize {
    let rank = members.iter().filter(|member| *member < me).count();
    if !members.contains(me) {
        return 0;
    }
    partitions.saturating_sub(rank).div_ceil(members.len())
}

/// What the instance `me` gives back and takes, if it works on `mine` and has already tried those of `tried`.
pub(super) fn plan(
    partitions: &[Seen],
    members: &[HolderId],
    me: &HolderId,
    mine: &BTreeSet<u32>,
    tried: &BTreeSet<u32>,
) -> Plan {
    let running = partitions.iter().filter(|seen| seen.can == Can::Run);
    let share = share(running.clone().count(), members, me);
    let (held, free): (Vec<&Seen>, Vec<&Seen>) =
        running.partition(|seen| mine.contains(&seen.number));
    // What others hold is theirs until they give it back or their leases are over.
    let free = free
        .into_iter()
        .filter(|seen| seen.holder.is_none_or(|holder| holder == *me));
    let mut plan = Plan {
        give: held.iter().skip(share).map(|seen| seen.number).collect(),
        take: free
            .take(share.saturating_sub(held.len()))
            .map(|seen| seen.number)
            .collect(),
    };
    let to_try = partitions
        .iter()
        .filter(|seen| seen.can == Can::BeTried && seen.holder.is_none())
        .map(|seen| seen.number)
        .filter(|number| !tried.contains(number) && !mine.contains(number));
    plan.take.extend(to_try);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members(count: usize) -> Vec<HolderId> {
        (0..count).map(|number| [number as u8 + 1; 16]).collect()
    }

    proptest! {
        #[test]
        fn shares_are_even_and_all_is_shared(partitions in 0..65_usize, count in 1..12_usize) {
            let members = members(count);
            let shares: Vec<usize> = members.iter().map(|me| share(partitions, &members, me)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), partitions);
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}", shares);
        }

        #[test]
        fn a_share_never_grows_when_another_joins(partitions in 0..65_usize, count in 2..12_usize, joins in 0..12_usize) {
            let after = members(count);
            let mut before = after.clone();
            before.remove(joins % count);
            for me in &before {
                prop_assert!(share(partitions, &after, me) <= share(partitions, &before, me));
            }
        }

        /// Whoever acts when, in as many rounds as there are instances all have their share, and then nothing moves.
        #[test]
        fn i13_all_have_their_share_soon_and_keep_it(
            partitions in 1..65_u32, count in 1..8_usize, holders in proptest::collection::vec(0..10_usize, 64),
            order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..40),
        ) {
            let members = members(count);
            // Some are held by instances that are gone: they are free.
            let mut held: Vec<Option<usize>> = holders.into_iter().take(partitions as usize)
                .map(|holder| (holder < count).then_some(holder)).collect();
            let act = |who: usize, held: &mut Vec<Option<usize>>| {
                let mine: BTreeSet<u32> = (0..).zip(held.iter()).filter(|(_, holder)| **holder == Some(who))
                    .map(|(number, _)| number).collect();
                let seen: Vec<Seen> = (0..).zip(held.iter())
                    .map(|(number, holder)| Seen { number, can: Can::Run, holder: holder.map(|holder| members[holder]) })
                    .collect();
                let plan = plan(&seen, &members, &members[who], &mine, &BTreeSet::new());
                for number in &plan.give { held[*number as usize] = None; }
                for number in &plan.take {
                    assert_eq!(held[*number as usize], None);
                    held[*number as usize] = Some(who);
                }
                plan != Plan::default()
            };
            for who in order { act(who.index(count), &mut held); }
            for _ in 0..2 { for who in 0..count { act(who, &mut held); } }
            for who in 0..count { prop_assert!(!act(who, &mut held), "{:?}", held); }
            for (number, me) in members.iter().enumerate() {
                let has = held.iter().filter(|holder| **holder == Some(number)).count();
                prop_assert_eq!(has, share(partitions as usize, &members, me));
            }
        }
    }

    #[test]
    fn what_halts_is_tried_once_and_what_is_paused_is_left_alone() {
        let me = [7; 16];
        let seen = |number, can| Seen {
            number,
            can,
            holder: None,
        };
        let all = [
            seen(0, Can::Not),
            seen(1, Can::BeTried),
            seen(2, Can::BeTried),
            seen(3, Can::Run),
        ];
        let plan = plan(&all, &[me], &me, &BTreeSet::new(), &BTreeSet::from([2]));
        assert_eq!(
            (plan.give, plan.take),
            (vec![], vec![3, 1]),
            "2 was tried before"
        );
    }
}
