//! The seeds do all that there is, and always the same.

use super::*;

#[test]
fn a_seed_always_does_the_same_and_another_something_else() {
    let text = |seed| format!("{:?}", Scenario::draw(seed, Choice::Both));
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
}

fn held(what: Held) -> Act {
    Act::Hold {
        side: Side::Order,
        what,
        away: Duration::ZERO,
    }
}

#[test]
fn what_is_on_sqlite_does_the_same_without_postgresql() {
    let only = Scenario::draw(7, Choice::Only(Kind::Sqlite));
    assert!(only.postgres_harm.is_empty() && !only.second);
    let both = (0..50).map(|seed| Scenario::draw(seed, Choice::Both));
    for one in both.filter(|one| !one.stores.has_postgres()) {
        let only = Scenario::draw(one.seed, Choice::Only(Kind::Sqlite));
        assert_eq!(format!("{one:?}"), format!("{only:?}"));
    }
}

#[test]
fn the_seeds_do_everything() {
    let all: Vec<Scenario> = (0..500)
        .map(|seed| Scenario::draw(seed, Choice::Both))
        .collect();
    let acts: Vec<&Act> = all
        .iter()
        .flat_map(|one| one.moves.iter().map(|one| &one.act))
        .collect();
    assert!(acts.iter().any(|act| matches!(act, Act::FullDisk { .. })));
    assert!(acts.iter().any(|act| matches!(act, Act::Clock { .. })));
    assert!(acts.iter().any(|act| matches!(act, Act::Terminate { .. })));
    assert!(acts.iter().any(|act| matches!(act, Act::Partition { .. })));
    for act in [
        Act::CrashServer,
        held(Held::Append),
        held(Held::Subscriptions),
    ] {
        let drawn = |one: &&Act| std::mem::discriminant(*one) == std::mem::discriminant(&act);
        assert!(acts.iter().any(drawn), "{act:?}");
    }
    for point in POINTS.iter().chain(&POSTGRES_POINTS) {
        for what in ["crash", "stop"] {
            let drawn = |harm: &String| harm.starts_with(point) && harm.ends_with(what);
            let harms = |one: &Scenario| {
                let mut harms = one.self_harm.iter().chain(&one.postgres_harm);
                harms.any(drawn)
            };
            assert!(all.iter().any(harms), "{point} {what}");
        }
    }
    for order in [Kind::Sqlite, Kind::Postgres] {
        for customer in [Kind::Sqlite, Kind::Postgres] {
            let stores = Stores { order, customer };
            assert!(all.iter().any(|one| one.stores == stores), "{stores:?}");
        }
    }
    for pollers in 1..=3 {
        assert!(all.iter().any(|one| one.pollers == pollers));
    }
}
