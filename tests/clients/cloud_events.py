"""The CloudEvents SDK for Python reads every JSON form of the events.

    cloud_events.py [--binary] FEED_URL...
"""

import base64
import datetime
import json
import sys

from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_binary_event,
    from_structured_event,
    to_structured_event,
)
from cloudevents.core.exceptions import CloudEventValidationError

import feed
from feed import need

# Asked for by `--binary`: single events are looked at in binary mode too, as they are answered to `?format=binary`.
BINARY_MODE = "--binary" in sys.argv[1:]


def read(parse, headers, body, what):
    """The event that the SDK makes of a message; its own checks run on the way."""
    try:
        return parse(HTTPMessage(headers, body))
    except CloudEventValidationError as error:
        raise feed.Broken(f"{what}: {error}") from error


def check_attributes(event, sent, what):
    """All attributes, and no others, are those of the JSON text."""
    wanted = {name: value for name, value in sent.items() if name not in ("data", "data_base64")}
    wanted["time"] = datetime.datetime.fromisoformat(sent["time"].replace("Z", "+00:00"))
    found = dict(event.get_attributes())
    need(found == wanted, f"{what}: attributes {found}, not {wanted}")


def check_structured(event, sent, what):
    """The SDK found what was sent, and writes it again as it was."""
    check_attributes(event, sent, what)
    data = base64.b64decode(sent["data_base64"]) if "data_base64" in sent else sent.get("data")
    need(event.get_data() == data, f"{what}: data {str(event.get_data())[:200]}")
    again = json.loads(to_structured_event(event).body)
    again["time"], before = sent["time"], again["time"]
    need(before.rstrip("Z")[:19] == sent["time"][:19], f"{what}: time {before}")
    # Neither null nor nothing is written again as data.
    need(again == {name: value for name, value in sent.items() if value is not None}, f"{what}: written again: {again}")


def check_binary(url, sent, what):
    """The event with its attributes in headers and its data as the body."""
    answer = feed.get(f"{url}/events/{sent['id']}?format=binary", "*/*")
    headers = {"content-type": answer.headers["content-type"]} if "content-type" in answer.headers else {}
    headers.update({name: value for name, value in answer.headers.items() if name.startswith("ce-")})
    event = read(from_binary_event, headers, answer.body, what)
    wanted = {name: value for name, value in sent.items() if name not in ("data", "data_base64", "time")}
    found = dict(event.get_attributes())
    found.pop("time")
    # A header has no types: numbers and booleans come as texts.
    texts = {name: json.dumps(value) if isinstance(value, (bool, int)) else value for name, value in wanted.items()}
    need(found == texts, f"{what}: binary attributes {found}, not {texts}")
    if "data_base64" in sent:
        need(answer.body == base64.b64decode(sent["data_base64"]), f"{what}: another body")
    elif "data" in sent:
        need(json.loads(answer.body) == sent["data"], f"{what}: another body")
    else:
        need(answer.body == b"", f"{what}: a body without data")


def look():
    """Reads batches, single events and, where they are, binary events of all feeds."""
    counts = {"batches": 0, "batched": 0, "singles": 0, "binary": 0}
    for url in sys.argv[2 if BINARY_MODE else 1 :]:
        all_events = feed.events(url)
        documents = feed.walk(url, feed.BATCH_TYPE) + feed.walk_back(url, feed.BATCH_TYPE)
        documents += feed.odd_tails(url, all_events, feed.BATCH_TYPE)
        for document in documents:
            kind = document.answer.headers["content-type"]
            need(kind == feed.BATCH_TYPE, f"{document}: of type {kind}")
            batch = json.loads(document.body)
            counts["batches"] += 1
            for sent in batch:
                # This SDK has no batches: each member of one is an event in structured form.
                text = json.dumps(sent, ensure_ascii=False).encode()
                what = f"{document}: {sent.get('id')}"
                event = read(from_structured_event, {"content-type": feed.EVENT_TYPE}, text, what)
                check_structured(event, sent, what)
                counts["batched"] += 1
        for document in feed.singles(url, all_events, feed.EVENT_TYPE):
            headers = {"content-type": document.answer.headers["content-type"]}
            event = read(from_structured_event, headers, document.body, str(document))
            check_structured(event, json.loads(document.body), str(document))
            counts["singles"] += 1
            if BINARY_MODE:
                check_binary(url, json.loads(document.body), f"binary {document}")
                counts["binary"] += 1
    text = "CloudEvents SDK for Python: {batches} batches with {batched} events, {singles} single events"
    return (text + (", {binary} in binary mode" if BINARY_MODE else "")).format(**counts)


if __name__ == "__main__":
    feed.run(look)
