//! A subscription against a model of it: any sequence of events, steps of two instances, deaths, and what operators do.

mod expected;
mod moves;
mod observed;
mod operated;
mod world;

use proptest::prelude::*;

use moves::{Fate, Move, Operation, Which};
use world::World;

fn play(moves: Vec<Move>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new().await;
        for made in moves {
            world.make(made).await;
        }
        world.end().await;
    });
}

fn append(subject: usize, fate: Fate) -> Move {
    Move::Append { subject, fate }
}

fn steps(instance: usize, count: usize) -> Move {
    Move::Steps { instance, count }
}

/// Found by the sequences below: it said that it halts, though an operator had resumed it meanwhile.
#[test]
fn i09_whoever_finds_no_room_after_it_lost_the_fence_says_that_it_lost_it() {
    let parked = (0..3).map(|subject| append(subject, Fate::Permanent));
    let waiting = (0..5).map(|_| append(0, Fate::Good));
    let mut moves: Vec<Move> = parked.chain(waiting).collect();
    // The last event is fetched and has no room.
    moves.push(steps(0, 7));
    moves.push(Move::Operate(Operation::Retry(Which::All)));
    moves.push(steps(0, 1));
    play(moves);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: super::MODEL_CASES, max_shrink_iters: 100, ..ProptestConfig::default() })]
    #[test]
    fn i07_i08_i09_i10_i13_hold_for_any_sequence_of_moves(moves in moves::sequences()) {
        play(moves);
    }
}
