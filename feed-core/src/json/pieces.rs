//! A batch that is read while it comes, piece by piece, so that its bytes are not put together first.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::ours::Ours;
use super::read::read_any_batch;
use crate::document::DocumentError;
use crate::event::Event;

/// How a batch begins as we write it.
const BEGINNING: &[u8] = b"[\n{\"specversion\":\"1.0\",\"id\":\"";

/// What stands between two events as we write them, with the beginning of the second.
const BETWEEN: &[u8] = b",\n{\"specversion\":\"1.0\",\"id\":\"";

/// Bytes of it that belong to the first.
const SEPARATOR_BYTES: usize = 2;

/// Smaller pieces are put together until they are so large, in bytes: one keeps all that was received with it in memory.
const PIECE_BYTES_MIN: usize = 16 << 10;

/// The pieces of a batch that have come.
pub(crate) struct Pieces {
    /// All of them, for the general reader, should it have to read them.
    all: Vec<Bytes>,
    /// Such as are too small to be kept by themselves.
    small: BytesMut,
    piece_bytes_min: usize,
    /// What was read of them; none when they are not laid out as ours are.
    ours: Option<Ours>,
    /// The beginning of an event whose end has not come yet, and what was left unread for another reason.
    left: BytesMut,
    /// It is not tried again before so much of it is there, so that a long one is not read again and again.
    left_min: usize,
    between: Finder<'static>,
}

impl Pieces {
    /// None yet, of about so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Pieces {
            all: Vec::new(),
            small: BytesMut::new(),
            piece_bytes_min: PIECE_BYTES_MIN,
            ours: Some(Ours::new(bytes)),
            left: BytesMut::new(),
            left_min: 0,
            between: Finder::new(BETWEEN),
        }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.small.is_empty() && piece.len() >= self.piece_bytes_min {
            return self.take(piece);
        }
        self.small.extend_from_slice(&piece);
        if self.small.len() >= self.piece_bytes_min {
            self.take_small();
        }
    }

    fn take_small(&mut self) {
        let small = self.small.split().freeze();
        if !small.is_empty() {
            self.take(small);
        }
    }

    fn take(&mut self, mut piece: Bytes) {
        self.all.push(piece.clone());
        let is_first = self.all.len() == 1;
        if is_first && piece.len() >= BEGINNING.len() && !piece.starts_with(BEGINNING) {
            self.ours = None;
        }
        // Of what a piece begins with, only the one event that is split is copied.
        while !self.left.is_empty() && !piece.is_empty() && self.ours.is_some() {
            let event = self.between.find(&piece);
            let end = event.map_or(piece.len(), |at| at + SEPARATOR_BYTES);
            self.left.extend_from_slice(&piece.split_to(end));
            if self.left.len() >= self.left_min {
                self.read_left();
            }
        }
        if !piece.is_empty() {
            self.read(&piece);
        }
    }

    fn read_left(&mut self) {
        let left = self.left.split().freeze();
        self.read(&left);
    }

    /// Reads as far as whole events go, and keeps the rest.
    fn read(&mut self, piece: &Bytes) {
        let Some(ours) = &mut self.ours else {
            return;
        };
        let Some(read) = ours.read(piece) else {
            self.ours = None;
            return;
        };
        let left = piece.get(read..).unwrap_or_default();
        self.left_min = if read == 0 { 2 * left.len() } else { 0 };
        self.left.extend_from_slice(left);
    }

    /// The events, when all pieces have come.
    ///
    /// # Errors
    /// As [`read_batch`](super::read_batch).
    pub(crate) fn finish(mut self) -> Result<Vec<Event>, DocumentError> {
        self.take_small();
        self.read_left();
        let ours = self.ours.take().filter(|_| self.left.is_empty());
        match ours.and_then(Ours::finish) {
            Some(events) => Ok(events),
            None => read_any_batch(&joined(&self.all)),
        }
    }
}

fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [piece] => piece.clone(),
        pieces => pieces.concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;
    use crate::json::{read_batch, write_batch};

    /// Of which no piece is too small.
    fn pieces(bytes: usize) -> Pieces {
        Pieces {
            piece_bytes_min: 0,
            ..Pieces::new(bytes)
        }
    }

    fn read(bytes: &[u8], cuts: &[prop::sample::Index]) -> Result<Vec<Event>, DocumentError> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut pieces = pieces(bytes.len());
        for pair in cuts.windows(2) {
            pieces.push(Bytes::copy_from_slice(&bytes[pair[0]..pair[1]]));
        }
        pieces.finish()
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_is_read_the_same(events in vec(arbitrary::events(), 0..6), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
            prop_assert_eq!(read(&write_batch(&events), &cuts).unwrap(), events);
        }

        #[test]
        fn whatever_comes_is_decided_as_if_it_came_at_once(
            bytes in arbitrary::mutated(vec(arbitrary::events(), 0..4).prop_map(|events| write_batch(&events))),
            cuts in vec(any::<prop::sample::Index>(), 0..12)
        ) {
            let at_once = read_batch(&bytes).map_err(|error| error.to_string());
            prop_assert_eq!(read(&bytes, &cuts).map_err(|error| error.to_string()), at_once);
        }
    }

    #[test]
    fn each_byte_may_come_by_itself() {
        let events = arbitrary::golden().events.split_off(1);
        let bytes = write_batch(&events);
        let mut pieces = pieces(bytes.len());
        for byte in &bytes {
            pieces.push(Bytes::copy_from_slice(&[*byte]));
        }
        assert!(pieces.ours.is_some());
        assert_eq!(pieces.finish().unwrap(), events);
    }

    #[test]
    fn data_is_shared_with_the_piece_that_it_came_in() {
        let event = arbitrary::golden().events.remove(4);
        let events = vec![event; 6];
        let bytes = Bytes::from(write_batch(&events));
        let middle = bytes.len() / 2;
        let halves = [bytes.slice(..middle), bytes.slice(middle..)];
        let mut pieces = pieces(bytes.len());
        halves.into_iter().for_each(|half| pieces.push(half));
        let read = pieces.finish().unwrap();
        let shared = |event: &Event| {
            let data = event.data.as_ref().map(|data| data.bytes().as_ptr());
            data.is_none_or(|data| bytes.as_ptr_range().contains(&data))
        };
        assert_eq!(read, events);
        assert!(read.iter().filter(|event| !shared(event)).count() <= 1);
    }
}
