//! Events and checks.

use super::super::spoil::answers;
use super::caught;

#[tokio::test]
async fn broken_events_are_caught() {
    let every =
        |change: fn(&mut Vec<serde_json::Value>)| answers(move |_, answer| answer.events(change));
    let second = |change: fn(&mut serde_json::Value)| {
        answers(move |asked, answer| {
            if !asked.is_head() {
                answer.events(|events| events.iter_mut().skip(1).take(1).for_each(change));
            }
        })
    };
    caught(
        "C1",
        "a wrong check",
        second(|event| event["check"] = "000000000000".into()),
    )
    .await;
    caught(
        "E1",
        "no epoch",
        every(|events| {
            events
                .iter_mut()
                .for_each(|event| drop(event.as_object_mut().unwrap().remove("epoch")))
        }),
    )
    .await;
    caught(
        "E1",
        "an id that is no UUID",
        second(|event| event["id"] = "7".into()),
    )
    .await;
    caught(
        "E1",
        "another specversion",
        second(|event| event["specversion"] = "0.3".into()),
    )
    .await;
    caught(
        "E2",
        "a sequence without zeros",
        second(|event| event["sequence"] = "2".into()),
    )
    .await;
    caught(
        "E2",
        "an event that is left out",
        every(|events| {
            if events.len() > 2 {
                events.remove(1);
            }
        }),
    )
    .await;
    caught(
        "C1",
        "an event that is left out",
        every(|events| {
            if events.len() > 2 {
                events.remove(1);
            }
        }),
    )
    .await;
    caught(
        "E3",
        "recorded that goes back",
        second(|event| event["recorded"] = "2001-01-01T00:00:00Z".into()),
    )
    .await;
    caught(
        "E3",
        "a time that is not in UTC",
        second(|event| event["time"] = "2001-01-01T00:00:00+01:00".into()),
    )
    .await;
    caught(
        "E4",
        "a version that is left out",
        second(|event| event["version"] = 7.into()),
    )
    .await;
    caught(
        "E5",
        "an id twice",
        every(|events| {
            events
                .iter_mut()
                .for_each(|event| event["id"] = "0190b6e2-1111-7000-8000-000000000001".into())
        }),
    )
    .await;
    caught(
        "E8",
        "a name that is none",
        second(|event| event["Bad_Name"] = 1.into()),
    )
    .await;
    caught(
        "E8",
        "a subject of two words",
        second(|event| event["subject"] = "a b".into()),
    )
    .await;
    caught(
        "E8",
        "a number that is too large",
        second(|event| event["large"] = (1_u64 << 40).into()),
    )
    .await;
    caught(
        "E6",
        "data in a title",
        answers(|_, answer| answer.replace("<title>", "<title>Alexandra Nobody ")),
    )
    .await;
    caught(
        "E6",
        "data in a header",
        answers(|_, answer| answer.set("x-owner", "Alexandra Nobody")),
    )
    .await;
    caught(
        "E7",
        "other data in Atom",
        answers(|_, answer| {
            if !answer.is_json() {
                answer.replace("Alexandra", "Alexander")
            }
        }),
    )
    .await;
    caught(
        "E7",
        "other data in binary mode",
        answers(|asked, answer| {
            if asked.query.contains("binary") {
                answer.body.push(b' ')
            }
        }),
    )
    .await;
}
