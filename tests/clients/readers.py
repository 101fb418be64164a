"""feedparser and fastfeedparser read every Atom document of a feed, and find in it what the JSON form says.

    readers.py feedparser|fastfeedparser FEED_URL...
"""

import base64
import datetime
import json
import sys

import fastfeedparser
import feedparser

import feed
from feed import need


def moment(text):
    """A time as an instant."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def as_feedparser_reads(text):
    """It takes the characters U+0080 to U+009F for a slip of the pen, and means the Windows code page by them."""
    windows = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}
    return text.translate(windows)


def same_json(found, data):
    """Whether the text `found` means `data`."""
    try:
        return json.loads(found) == json.loads(as_feedparser_reads(json.dumps(data, ensure_ascii=False)))
    except ValueError:
        return False


def same_content(found, event):
    """Whether the text `found` is the event's data. What is base64 and no text inside is handed out as base64."""
    if "data" in event:
        return same_json(found, event["data"])
    binary = base64.b64decode(event.get("data_base64", ""))
    try:
        return found == as_feedparser_reads(binary.decode()).strip()
    except UnicodeDecodeError:
        return base64.b64decode(found) == binary


def with_feedparser(document, by_id):
    """Compares what feedparser finds. Returns the ids of the entries."""
    headers = {"content-type": document.answer.headers["content-type"], "content-location": document.url}
    read = feedparser.parse(document.body, response_headers=headers, sanitize_html=False)
    need(not read.bozo, f"feedparser: {document}: {read.get('bozo_exception')!r}")
    need(read.version == "atom10", f"feedparser: {document}: version {read.version!r}")
    if document.role != "event":
        need(read.feed.id.startswith("urn:uuid:"), f"feedparser: {document}: id {read.feed.id}")
        need(read.feed.author and read.feed.title, f"feedparser: {document}: no author or title")
        links = {link.rel: link.href for link in read.feed.links}
        for relation, target in document.answer.links().items():
            need(links.get(relation) == target, f"feedparser: {document}: {relation} is {links.get(relation)}")
    for entry in read.entries:
        event = by_id.get(entry.id)
        need(event, f"feedparser: {document}: no event {entry.id}")
        what = f"feedparser: {document}: {entry.id}"
        need(entry.title.startswith(event["type"]), f"{what}: title {entry.title!r}")
        need([tag.term for tag in entry.tags] == [event["type"]], f"{what}: {entry.tags}")
        need(moment(entry.updated) == moment(event["recorded"]), f"{what}: updated {entry.updated}")
        need(moment(entry.published) == moment(event["time"]), f"{what}: published {entry.published}")
        need(entry.link.endswith(f"/events/{event['id']}"), f"{what}: link {entry.link}")
        contents = [content.value for content in entry.get("content", [])] or [""]
        need(len(contents) == 1, f"{what}: {len(contents)} contents")
        need(same_content(contents[0], event), f"{what}: content {contents[0]!r}")
    return [entry.id for entry in read.entries]


def with_fastfeedparser(document, by_id):
    """Compares what fastfeedparser finds. Returns the ids of the entries."""
    try:
        read = fastfeedparser.parse(document.body)
    except ValueError as error:
        raise feed.Broken(f"fastfeedparser: {document}: {error}") from error
    for entry in read.entries:
        what = f"fastfeedparser: {document}: {entry.id}"
        event = by_id.get(entry.id)
        need(event, f"{what}: no such event")
        need(entry.title.startswith(event["type"]), f"{what}: title {entry.title!r}")
        need(moment(entry.updated) == moment(event["recorded"]), f"{what}: updated {entry.updated}")
        need(moment(entry.published) == moment(event["time"]), f"{what}: published {entry.published}")
        need(entry.link.endswith(f"events/{event['id']}"), f"{what}: link {entry.link}")
    return [entry.id for entry in read.entries]


READERS = {"feedparser": with_feedparser, "fastfeedparser": with_fastfeedparser}


def look():
    """Looks at all feeds with one reader."""
    name, urls = sys.argv[1], sys.argv[2:]
    seen = {"documents": 0, "entries": 0, "events": 0}
    for url in urls:
        all_events = feed.events(url)
        by_id = {f"urn:uuid:{event['id']}": event for event in all_events}
        walked = set()
        for document in feed.atom_documents(url, all_events):
            if name == "fastfeedparser" and document.role == "event":
                # It reads feeds, and no entry that stands alone.
                continue
            found = READERS[name](document, by_id)
            ids = [element.text for element in feed.parse(document).iter(f"{feed.ATOM}id")]
            ids = ids if document.role == "event" else ids[1:]
            need(found == ids, f"{name}: {document}: {len(found)} of {len(ids)} entries")
            seen["documents"] += 1
            seen["entries"] += len(ids)
            walked.update(ids)
        need(walked == set(by_id), f"{name}: {url}: {len(walked)} of {len(by_id)} events")
        seen["events"] += len(by_id)
    return f"{name}: {len(urls)} feeds, {seen['documents']} documents, {seen['entries']} entries, {seen['events']} events"


if __name__ == "__main__":
    feed.run(look)
