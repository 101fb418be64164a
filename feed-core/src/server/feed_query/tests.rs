use proptest::prelude::*;

use super::*;

fn parsed(query: &str) -> FeedQuery {
    FeedQuery::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"))
}

#[test]
fn what_is_known_is_taken() {
    assert_eq!(parsed(""), FeedQuery::default());
    assert_eq!(
        parsed("after=start").begin,
        Some(Begin::After(After::Start))
    );
    assert_eq!(parsed("limit=10000").limit, Some(10_000));
    assert_eq!(parsed("format=sse").form, Some(FeedForm::Stream));
    let filtered = parsed("type=A&subject=s-1&type=B&type=A");
    let types: Vec<_> = filtered.filter.types().iter().map(|t| t.as_str()).collect();
    assert_eq!(types, ["A", "B"]);
    assert_eq!(filtered.filter.subjects().len(), 1);
}

#[test]
fn times_are_taken_as_people_write_them() {
    let since = |text: &str| match parsed(&format!("since={text}")).begin {
        Some(Begin::Since(time)) => time.to_rfc3339(),
        other => panic!("{other:?}"),
    };
    for text in [
        "2026-01-31T12:00:00Z",
        "2026-01-31T13:00:00%2B01:00",
        "2026-01-31T13:00:00+01:00",
    ] {
        assert_eq!(since(text), "2026-01-31T12:00:00+00:00", "{text}");
    }
    assert_eq!(since("2026-01-31"), "2026-01-31T00:00:00+00:00");
    let (cut, up) = (
        "2026-01-31T12:00:00.000001001Z",
        "2026-01-31T12:00:00.000002+00:00",
    );
    assert_eq!(since(cut), up, "what was recorded before is not wanted");
    for wrong in [
        "-0001-01-01",
        "+12026-01-01",
        "",
        "yesterday",
        "2026-01-31T12:00:00",
        "2026-02-30",
    ] {
        let query = format!("since={wrong}");
        let error = FeedQuery::parse(&query).unwrap_err();
        assert!(matches!(error, QueryError::Invalid(_)), "{wrong}: {error}");
    }
}

#[test]
fn waits_are_bounded_whatever_is_asked_for() {
    let wait = |query: &str| parsed(query).wait.map(|wait| wait.as_millis());
    assert_eq!(wait("wait=20"), Some(20_000));
    assert_eq!(wait("wait=0"), Some(0));
    assert_eq!(wait("timeout=1500"), Some(1_500));
    for long in ["wait=3600", "wait=99999999999999999999999", "timeout=60000"] {
        assert_eq!(wait(long), Some(u128::from(WAIT_MS_MAX)), "{long}");
    }
}

#[test]
fn the_http_feeds_convention_is_understood() {
    let id = "0190b6e2-1111-7000-8000-000000000001";
    let next = parsed(&format!("lastEventId={id}&timeout=5000"));
    assert!(next.http_feeds);
    assert_eq!(next.begin, Some(Begin::After(id.parse().unwrap())));
    for first in ["timeout=5000", "lastEventId=", "lastEventId=&timeout=5000"] {
        let query = parsed(first);
        assert_eq!(query.begin, Some(Begin::After(After::Start)), "{first}");
        assert!(query.http_feeds, "{first}");
    }
    // A client that was given a URL with a query adds to it.
    let added = parsed(&format!("after=start&lastEventId={id}"));
    assert_eq!(added.begin, Some(Begin::After(id.parse().unwrap())));
}

#[test]
fn what_is_wrong_is_named() {
    for (query, part) in [
        ("tpye=A", "\"tpye\" is unknown"),
        ("after=start&after=now", "\"after\" is given twice"),
        ("after=nonsense", "cursor \"nonsense\""),
        ("after=", "cursor \"\""),
        ("limit=0", "limit \"0\""),
        ("limit=10001", "limit \"10001\""),
        ("limit=+1", "limit \" 1\""),
        ("limit=%2B1", "limit \"+1\""),
        ("format=html", "format \"html\""),
        ("wait=-1", "wait \"-1\""),
        ("wait=1.5", "wait \"1.5\""),
        ("timeout=", "timeout \"\""),
        ("type=", "\"\""),
        ("subject=a%20b", "\"a b\""),
        ("since=2026-01-01&after=now", "two places"),
        ("wait=1&timeout=1", "mean the same"),
    ] {
        let error = FeedQuery::parse(query).unwrap_err().to_string();
        assert!(error.contains(part), "{query}: {error}");
    }
    let many: Vec<_> = (0..=16).map(|number| format!("type=T{number}")).collect();
    assert!(FeedQuery::parse(&many[..16].join("&")).is_ok());
    assert!(FeedQuery::parse(&many.join("&")).is_err());
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    for query in ["type=A", "subject=s", "wait=1"] {
        assert!(parsed(query).check_head().is_err(), "{query}");
    }
    for query in ["limit=5", "format=json", ""] {
        assert!(parsed(query).check_head().is_ok(), "{query}");
    }
    for query in ["limit=5", "wait=5", "timeout=5"] {
        assert!(parsed(query).check_stream().is_err(), "{query}");
    }
    assert!(parsed("type=A&after=now").check_stream().is_ok());
}

proptest! {
    #[test]
    fn what_is_carried_on_asks_for_the_same(types in proptest::collection::vec("[!-~]{1,12}", 0..4),
            subjects in proptest::collection::vec("[!-~]{1,12}", 0..4), limit in proptest::option::of(1..=10_000u32), json in any::<bool>()) {
        let mut query = FeedQuery { limit, ..FeedQuery::default() };
        if json {
            query.form = Some(FeedForm::Document(Format::Json));
        }
        for one in types {
            query.filter.add_type(EventType::new(one).unwrap()).unwrap();
        }
        for one in subjects {
            query.filter.add_subject(Subject::new(one).unwrap()).unwrap();
        }
        prop_assert_eq!(FeedQuery::parse(&query.carried()).unwrap(), query);
    }

    #[test]
    fn no_query_panics(text in "\\PC{0,80}") {
        let _ = FeedQuery::parse(&text);
    }

    #[test]
    fn no_query_of_known_names_panics(name in "(after|since|type|subject|limit|format|wait|lastEventId|timeout)", value in "\\PC{0,40}") {
        let _ = FeedQuery::parse(&format!("{name}={value}"));
    }
}
