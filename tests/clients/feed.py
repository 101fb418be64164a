"""A feed's documents, found by its links alone, with nothing but Python's own library.

What the other programs here look at comes from here, so all of them look at every kind of document: the head, the
tails from the start on, one from the middle of a page, the one behind the newest event, every sealed page both
forwards and backwards, and single events.
"""

import dataclasses
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

ATOM_TYPE = "application/atom+xml"
BATCH_TYPE = "application/cloudevents-batch+json"
EVENT_TYPE = "application/cloudevents+json"
ATOM = "{http://www.w3.org/2005/Atom}"
HISTORY = "{http://purl.org/syndication/history/1.0}"
OURS = "{urn:feedway:atom:1}"

# Longest time for one request, in seconds.
REQUEST_S_MAX = 30
# More documents than any feed has that is looked at here.
DOCUMENTS_MAX = 1_000
# Single events that are asked for in a long feed: so many from each end.
SINGLES_AT_EACH_END = 5

# What is on this machine is asked directly.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Broken(Exception):
    """Something is not as it has to be."""


def need(condition, message):
    """Ends the run with `message` unless the condition holds."""
    if not condition:
        raise Broken(message)


def run(look):
    """Calls `look`, prints what it saw, and ends with 1 and the reason when something was broken."""
    try:
        print(look())
    except Broken as broken:
        print(f"broken: {broken}", file=sys.stderr)
        sys.exit(1)


@dataclasses.dataclass
class Answer:
    """What came back, and from where in the end."""

    url: str
    status: int
    headers: dict
    body: bytes

    def links(self):
        """The targets of the Link header by their relations, resolved."""
        found = re.findall(r'<([^>]*)>; rel="([^"]*)"', self.headers.get("link", ""))
        return {relation: urllib.parse.urljoin(self.url, target) for target, relation in found}


def get(url, accept):
    """The answer to a GET, over redirects."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with _OPENER.open(request, timeout=REQUEST_S_MAX) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.geturl(), response.status, headers, response.read())
    except urllib.error.HTTPError as error:
        raise Broken(f"{url}: {error.code} {error.read()[:300]!r}") from error


@dataclasses.dataclass
class Document:
    """A document with the role in which it was found: head, tail, archive, or event."""

    role: str
    answer: Answer

    @property
    def url(self):
        """Where it was found."""
        return self.answer.url

    @property
    def body(self):
        """Its bytes."""
        return self.answer.body

    def __str__(self):
        return f"{self.role} {self.url}"


def _role(answer):
    return "archive" if "/archive/" in answer.url else "tail"


def walk(feed_url, accept):
    """The head, then everything from the start on by `next`, until the feed says that nothing comes behind."""
    documents = [Document("head", get(feed_url, accept))]
    url = f"{feed_url}?after=start"
    for _ in range(DOCUMENTS_MAX):
        answer = get(url, accept)
        documents.append(Document(_role(answer), answer))
        if answer.headers.get("feed-caught-up") == "true":
            return documents
        url = answer.links().get("next")
        need(url, f"{answer.url} has no next")
    raise Broken(f"{feed_url}: no end after {DOCUMENTS_MAX} documents")


def walk_back(feed_url, accept):
    """The sealed pages from the newest to the first, by `prev-archive`."""
    found = []
    url = get(feed_url, accept).links().get("prev-archive")
    while url:
        need(len(found) < DOCUMENTS_MAX, f"{feed_url}: prev-archive has no end")
        answer = get(url, accept)
        found.append(Document("archive", answer))
        url = answer.links().get("prev-archive")
    return found


def events(feed_url):
    """All events from the start on, as plain JSON objects: what the other representations are compared with."""
    read = []
    for document in walk(feed_url, BATCH_TYPE)[1:]:
        read.extend(json.loads(document.body))
    positions = [int(event["sequence"]) for event in read]
    need(positions == list(range(1, len(read) + 1)), f"{feed_url}: positions {positions}")
    return read


def cursor(event):
    """The cursor behind an event."""
    return f"{event['epoch']}.{int(event['sequence'])}.{event['check']}"


def odd_tails(feed_url, all_events, accept):
    """Tails that a walk from the start does not meet: from the middle of a page, after nothing, by other names."""
    places = ["now"]
    if all_events:
        middle = all_events[len(all_events) // 2]
        places += [cursor(middle), middle["id"], middle["sequence"].lstrip("0"), cursor(all_events[-1])]
    found = [get(f"{feed_url}?after={place}", accept) for place in places]
    return [Document(_role(answer), answer) for answer in found]


def singles(feed_url, all_events, accept):
    """Single events: all of a short feed, both ends of a long one."""
    chosen = all_events
    if len(chosen) > 10 * SINGLES_AT_EACH_END:
        chosen = chosen[:SINGLES_AT_EACH_END] + chosen[-SINGLES_AT_EACH_END:]
    return [Document("event", get(f"{feed_url}/events/{event['id']}", accept)) for event in chosen]


def atom_documents(feed_url, all_events):
    """Every kind of Atom document of the feed, feeds first, then single entries."""
    return (
        walk(feed_url, ATOM_TYPE)
        + walk_back(feed_url, ATOM_TYPE)
        + odd_tails(feed_url, all_events, ATOM_TYPE)
        + singles(feed_url, all_events, ATOM_TYPE)
    )


def parse(document):
    """The root element of an Atom document."""
    try:
        return ElementTree.fromstring(document.body)
    except ElementTree.ParseError as error:
        raise Broken(f"{document}: {error}") from error
