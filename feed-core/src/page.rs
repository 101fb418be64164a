//! Pages: the fixed windows of positions that a feed is cut into. Arithmetic only.

use std::ops::RangeInclusive;

use crate::error::InvalidValue;
use crate::limits::{PAGE_CAPACITY_DEFAULT, PAGE_CAPACITY_MAX, POSITION_MAX};
use crate::position::Position;

/// Number of a page, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageNumber(u64);

impl PageNumber {
    /// # Errors
    /// When `number` is 0 or no page can have it.
    pub fn new(number: u64) -> Result<Self, InvalidValue> {
        if (1..=POSITION_MAX).contains(&number) {
            Ok(PageNumber(number))
        } else {
            Err(InvalidValue::new(
                "page",
                &number.to_string(),
                "a number from 1 to 2^40 - 1",
            ))
        }
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The page after this one.
    #[must_use]
    pub fn next(self) -> PageNumber {
        PageNumber(self.0 + 1)
    }

    /// The page before this one; none before the first.
    pub fn previous(self) -> Option<PageNumber> {
        (self.0 > 1).then(|| PageNumber(self.0 - 1))
    }
}

impl std::fmt::Display for PageNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Events in a page. Belongs to the feed and never changes.
///
/// ```
/// use feed_core::{PageCapacity, PageNumber, Position};
/// let capacity = PageCapacity::new(100)?;
/// let second = PageNumber::new(2)?;
/// assert_eq!(capacity.page_of(Position::new(101)?), Some(second));
/// assert_eq!(capacity.last(second).get(), 200);
/// assert!(capacity.is_sealed(second, Position::new(200)?));
/// assert!(!capacity.is_sealed(second, Position::new(199)?));
/// # Ok::<(), feed_core::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCapacity(u32);

impl PageCapacity {
    /// [`PAGE_CAPACITY_DEFAULT`] events.
    pub const DEFAULT: PageCapacity = PageCapacity(PAGE_CAPACITY_DEFAULT);

    /// # Errors
    /// When `capacity` is 0 or above [`PAGE_CAPACITY_MAX`].
    pub fn new(capacity: u32) -> Result<Self, InvalidValue> {
        if (1..=PAGE_CAPACITY_MAX).contains(&capacity) {
            Ok(PageCapacity(capacity))
        } else {
            Err(InvalidValue::new(
                "page capacity",
                &capacity.to_string(),
                "1 to 10000 events",
            ))
        }
    }

    /// The number of events.
    pub fn get(self) -> u32 {
        self.0
    }

    fn wide(self) -> u64 {
        u64::from(self.0)
    }

    /// The page that holds `position`; none for position 0.
    pub fn page_of(self, position: Position) -> Option<PageNumber> {
        let before = position.get().checked_sub(1)?;
        Some(PageNumber(before / self.wide() + 1))
    }

    /// The page that the event after `position` is on.
    pub fn page_after(self, position: Position) -> PageNumber {
        PageNumber(position.get() / self.wide() + 1)
    }

    /// Position of the first event of `page`, as a number, since it may lie beyond the last possible position.
    pub fn first(self, page: PageNumber) -> u64 {
        (page.0 - 1).saturating_mul(self.wide()).saturating_add(1)
    }

    /// Position of the last event of `page`, cut at the last possible position.
    pub fn last(self, page: PageNumber) -> Position {
        let last = page.0.saturating_mul(self.wide()).min(POSITION_MAX);
        Position::new(last).unwrap_or_default()
    }

    /// The positions of `page`.
    pub fn positions(self, page: PageNumber) -> RangeInclusive<u64> {
        self.first(page)..=self.last(page).get()
    }

    /// Whether `page` is full when the newest event is at `head`.
    pub fn is_sealed(self, page: PageNumber, head: Position) -> bool {
        page.0.saturating_mul(self.wide()) <= head.get()
    }

    /// The newest sealed page; none before the first is full.
    pub fn newest_sealed(self, head: Position) -> Option<PageNumber> {
        let sealed = head.get() / self.wide();
        (sealed > 0).then_some(PageNumber(sealed))
    }

    /// Whether a page ends at `position`; also true for 0, behind which page 1 begins.
    pub fn is_page_end(self, position: Position) -> bool {
        position.get().is_multiple_of(self.wide())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn i04_every_position_is_on_one_page(position in 1..=POSITION_MAX, capacity in 1..=PAGE_CAPACITY_MAX) {
            let capacity = PageCapacity::new(capacity).unwrap();
            let position = Position::new(position).unwrap();
            let page = capacity.page_of(position).unwrap();
            prop_assert!(capacity.positions(page).contains(&position.get()));
            prop_assert!(!capacity.positions(page.next()).contains(&position.get()));
            if let Some(previous) = page.previous() {
                prop_assert!(!capacity.positions(previous).contains(&position.get()));
                prop_assert_eq!(capacity.last(previous).get() + 1, capacity.first(page));
            }
        }

        #[test]
        fn i04_sealed_stays_sealed_and_means_full(head in 0..1_000_000u64, page in 1..20_000u64, capacity in 1..=PAGE_CAPACITY_MAX) {
            let capacity = PageCapacity::new(capacity).unwrap();
            let page = PageNumber::new(page).unwrap();
            let at = |head| capacity.is_sealed(page, Position::new(head).unwrap());
            prop_assert_eq!(at(head), capacity.last(page).get() <= head);
            prop_assert!(!at(head) || at(head + 1));
            let newest = capacity.newest_sealed(Position::new(head).unwrap());
            prop_assert_eq!(at(head), newest.is_some_and(|newest| page <= newest));
        }

        #[test]
        fn the_page_after_a_page_end_is_the_next(page in 1..1_000_000u64, capacity in 1..=PAGE_CAPACITY_MAX) {
            let capacity = PageCapacity::new(capacity).unwrap();
            let page = PageNumber::new(page).unwrap();
            let end = capacity.last(page);
            prop_assert!(capacity.is_page_end(end));
            prop_assert_eq!(capacity.page_after(end), page.next());
            prop_assert_eq!(capacity.page_of(end), Some(page));
        }
    }

    #[test]
    fn capacities_are_limited() {
        for capacity in [1, 100, 10_000] {
            assert!(PageCapacity::new(capacity).is_ok());
        }
        for capacity in [0, 10_001, u32::MAX] {
            assert!(PageCapacity::new(capacity).is_err());
        }
    }

    #[test]
    fn page_one_begins_at_the_start() {
        assert!(PageCapacity::DEFAULT.is_page_end(Position::START));
        assert_eq!(PageCapacity::DEFAULT.page_after(Position::START).get(), 1);
        assert_eq!(PageCapacity::DEFAULT.page_of(Position::START), None);
        assert!(PageNumber::new(0).is_err());
    }
}
