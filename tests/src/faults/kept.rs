//! What was got from the upstream before, as a cache would keep it.

use std::collections::VecDeque;

use rand::RngExt;
use rand::rngs::SmallRng;

use super::answer::Answer;
use super::damage::Damage;

/// Documents that are kept of all feeds together; the oldest goes first.
const DOCUMENTS_MAX: usize = 64;

/// The documents that were got last.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Oldest first.
    documents: VecDeque<(String, Answer)>,
}

impl Kept {
    pub(super) fn keep(&mut self, url: &str, answer: Answer) {
        if self.documents.len() == DOCUMENTS_MAX {
            self.documents.pop_front();
        }
        self.documents.push_back((url.to_owned(), answer));
    }

    /// An older answer to give instead of asking for `url`, if there is one that would be this damage.
    ///
    /// What answered another URL has events: behind an empty document of a reader who is further on, a consumer would
    /// wait for news without knowing what it has missed.
    pub(super) fn instead(
        &self,
        damage: Damage,
        url: &str,
        random: &mut SmallRng,
    ) -> Option<Answer> {
        let feed = feed_of(url)?;
        let fits = |(from, answer): &&(String, Answer)| match damage {
            Damage::Stale => from == url,
            Damage::OtherPage => from != url && feed_of(from) == Some(feed) && answer.has_events(),
            _ => feed_of(from) == Some(feed) && answer.has_events(),
        };
        let fitting: Vec<&(String, Answer)> = self.documents.iter().filter(fits).collect();
        let index = match damage {
            Damage::Again => fitting.len().checked_sub(1)?,
            _ if fitting.is_empty() => return None,
            _ => random.random_range(0..fitting.len()),
        };
        fitting.get(index).map(|(_, answer)| answer.clone())
    }
}

/// Path of the feed that a URL belongs to.
fn feed_of(url: &str) -> Option<&str> {
    const FEEDS: &str = "/feeds/";
    let path = url.split('?').next()?;
    let begin = path.find(FEEDS)? + FEEDS.len();
    let end = path[begin..].find('/').map_or(path.len(), |at| begin + at);
    Some(&path[..end])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn document(events: &str) -> Answer {
        Answer::json(&format!("[{events}]\n"))
    }

    #[test]
    fn a_feed_is_known_by_its_path() {
        for (url, feed) in [
            ("/feeds/orders", Some("/feeds/orders")),
            ("/feeds/orders?after=start", Some("/feeds/orders")),
            (
                "/a/feeds/orders/archive/ff/1.r1.json",
                Some("/a/feeds/orders"),
            ),
            ("/feeds", None),
            ("/orders?next=/feeds/orders", None),
        ] {
            assert_eq!(feed_of(url), feed, "{url}");
        }
    }

    #[test]
    fn what_is_given_instead_is_an_older_answer_of_the_same_feed() {
        let mut random = SmallRng::seed_from_u64(1);
        let mut kept = Kept::default();
        let mut instead = |kept: &Kept, damage, url| {
            let answer = kept.instead(damage, url, &mut random)?;
            Some(String::from_utf8(answer.body.to_vec()).unwrap())
        };
        for damage in [Damage::Again, Damage::Stale, Damage::OtherPage] {
            assert_eq!(instead(&kept, damage, "/feeds/a?after=2"), None);
        }
        kept.keep("/feeds/b?after=1", document("{}"));
        kept.keep("/feeds/a?after=1", document("1"));
        kept.keep("/feeds/a?after=2", document(""));
        let got = |text: &str| Some(format!("[{text}]\n"));
        assert_eq!(instead(&kept, Damage::Again, "/feeds/a?after=2"), got("1"));
        assert_eq!(instead(&kept, Damage::Stale, "/feeds/a?after=2"), got(""));
        assert_eq!(
            instead(&kept, Damage::OtherPage, "/feeds/a?after=2"),
            got("1")
        );
        assert_eq!(instead(&kept, Damage::OtherPage, "/feeds/a?after=1"), None);
        assert_eq!(instead(&kept, Damage::Stale, "/feeds/a?after=3"), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        for number in 0..2 * DOCUMENTS_MAX {
            kept.keep(&format!("/feeds/a?after={number}"), document("1"));
        }
        assert_eq!(kept.documents.len(), DOCUMENTS_MAX);
    }
}
