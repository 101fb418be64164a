"""What a feed of this protocol has to be beyond what the grammar of RFC 4287 can say.

    atom_check.py FEED_URL...

The grammar takes an entry twice, any text for a link, base64 that is none, an archive without a self link. Numbers in
messages are sections of RFC 4287 unless they say otherwise.
"""

import base64
import binascii
import datetime
import hashlib
import re
import sys
import urllib.parse
import uuid

import feed
from feed import ATOM, HISTORY, OURS, need

# RFC 3339, section 5.6, in UTC and with the capital letters that RFC 4287, 3.3 asks for.
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
# Media types whose content RFC 4287, 4.1.3.3 reads otherwise than as base64.
NOT_BASE64 = re.compile(r"text/|.*[+/]xml$|message/|multipart/", re.IGNORECASE)


def one_text(element, name, what):
    """The text of the only child of this name."""
    found = element.findall(name)
    need(len(found) == 1, f"{what}: {len(found)} of {name}")
    return found[0].text or ""


def moment(text, what):
    """A time that is written as it has to be."""
    need(MOMENT.fullmatch(text), f"{what}: {text!r} is no RFC 3339 time in UTC (3.3)")
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise feed.Broken(f"{what}: {error}") from error


def uuid_of(text, what):
    """The UUID of an id, in its one spelling (4.2.6.1)."""
    need(text.startswith("urn:uuid:"), f"{what}: id {text!r} is no urn:uuid")
    try:
        found = uuid.UUID(text.removeprefix("urn:uuid:"))
    except ValueError as error:
        raise feed.Broken(f"{what}: id {text!r}: {error}") from error
    need(f"urn:uuid:{found}" == text, f"{what}: id {text!r} is not normalized")
    return found


def links_of(element, base, what):
    """The links by relation, resolved; each relation once for a type and language (4.1.1, 4.1.2)."""
    found = {}
    for link in element.findall(f"{ATOM}link"):
        relation = link.get("rel", "alternate")
        target = link.get("href")
        need(target, f"{what}: {relation} leads nowhere")
        parts = urllib.parse.urlsplit(target)
        need(not parts.scheme and not parts.netloc, f"{what}: {relation} is not relative: {target}")
        need(not target.startswith("/"), f"{what}: {relation} would not survive a path prefix: {target}")
        need(relation not in found, f"{what}: two links {relation}")
        need(link.get("type", feed.ATOM_TYPE) == feed.ATOM_TYPE, f"{what}: {relation} of type {link.get('type')}")
        found[relation] = urllib.parse.urljoin(base, target)
    return found


def check_content(entry, what):
    """A text is text, base64 is base64, and where it is, a summary says something to people (4.1.2)."""
    found = entry.findall(f"{ATOM}content")
    need(len(found) == 1, f"{what}: {len(found)} contents")
    content, kind = found[0], found[0].get("type", "text")
    need(not len(content), f"{what}: markup in a content of type {kind}")
    need(content.get("src") is None, f"{what}: the content stands elsewhere")
    said = entry.findall(f"{OURS}datacontenttype")
    if kind != "text":
        need("/" in kind and not NOT_BASE64.match(kind), f"{what}: content of type {kind} would not be base64 (4.1.3.3)")
        need(entry.find(f"{ATOM}summary") is not None, f"{what}: base64 without a summary (4.1.2)")
        try:
            base64.b64decode("".join((content.text or "").split()), validate=True)
        except binascii.Error as error:
            raise feed.Broken(f"{what}: content is no base64: {error}") from error
        need(said, f"{what}: base64, but no datacontenttype")
        same = said[0].text.split(";")[0].strip().lower() == kind.split(";")[0].strip().lower()
        need(same or kind == "application/octet-stream", f"{what}: {kind} for {said[0].text}")


def check_entry(entry, base, what):
    """One entry. Returns its position with what has to be the same wherever the event stands."""
    title = one_text(entry, f"{ATOM}title", what)
    need(title.strip(), f"{what}: no title")
    need(one_text(entry, f"{ATOM}summary", what).strip(), f"{what}: no summary")
    updated = moment(one_text(entry, f"{ATOM}updated", what), what)
    moment(one_text(entry, f"{ATOM}published", what), what)
    categories = entry.findall(f"{ATOM}category")
    need(len(categories) == 1 and categories[0].get("scheme") is None, f"{what}: {len(categories)} categories")
    links = links_of(entry, base, what)
    number = uuid_of(one_text(entry, f"{ATOM}id", what), what)
    need(links.get("alternate", "").endswith(f"/events/{number}"), f"{what}: alternate is {links.get('alternate')}")
    check_content(entry, what)
    position = int(one_text(entry, f"{OURS}position", what))
    check = one_text(entry, f"{OURS}check", what)
    content = entry.find(f"{ATOM}content")
    same_everywhere = (number, updated, check, title, content.get("type"), content.text, links["alternate"])
    return position, same_everywhere


def check_archive(root, links, what):
    """fh:archive on sealed pages alone (RFC 5005, 4); what tells of the present, on all others alone."""
    archive = root.findall(f"{HISTORY}archive")
    present = root.findall(f"{OURS}head") + root.findall(f"{OURS}caught-up")
    if "/archive/" in links["self"]:
        need(len(archive) == 1, f"{what}: a sealed page without fh:archive")
        need(not present, f"{what}: a sealed page tells of the present")
    else:
        need(not archive, f"{what}: fh:archive outside of the archive")
        need(len(present) == 2, f"{what}: head or caught-up is not said")
    need(root.find(f"{HISTORY}complete") is None, f"{what}: fh:complete")


def check_feed(document, found, seen):
    """One feed document. `seen` collects what has to be the same in all of them."""
    what = str(document)
    need(document.body.startswith(b'<?xml version="1.0" encoding="utf-8"?>'), f"{what}: no XML declaration")
    need(b"<!DOCTYPE" not in document.body, f"{what}: a DOCTYPE")
    root = feed.parse(document)
    need(root.tag == f"{ATOM}feed", f"{what}: a {root.tag}")
    uuid_of(one_text(root, f"{ATOM}id", what), what)
    identity = (one_text(root, f"{ATOM}id", what), one_text(root, f"{ATOM}title", what))
    need(seen.setdefault("identity", identity) == identity, f"{what}: {identity}, elsewhere {seen['identity']}")
    authors = root.findall(f"{ATOM}author/{ATOM}name")
    need(len(authors) == 1 and (authors[0].text or "").strip(), f"{what}: no author (4.1.1)")
    links = links_of(root, document.url, what)
    # The tail may have been asked for by another name than its own; every other document has one URL.
    need("self" in links, f"{what}: no self (4.1.1)")
    need("?" in links["self"] or links["self"] == document.url, f"{what}: self is {links['self']}")
    # What was asked for of the form goes on with the link.
    current = links.get("current", "").removesuffix("?format=atom")
    need(current == seen["url"], f"{what}: current is {links.get('current')}")
    need(("next" in links) == (document.role != "head"), f"{what}: next in the wrong kind of document")
    need(links == document.answer.links(), f"{what}: the Link header says otherwise: {document.answer.links()}")
    check_archive(root, links, what)
    updated = moment(one_text(root, f"{ATOM}updated", what), what)
    children = [child.tag for child in root]
    entries = root.findall(f"{ATOM}entry")
    need(children[len(children) - len(entries) :] == [f"{ATOM}entry"] * len(entries), f"{what}: entries are not last")
    positions = []
    for number, entry in enumerate(entries):
        position, facts = check_entry(entry, document.url, f"{what}, entry {number + 1}")
        need(found.setdefault(position, facts) == facts, f"{what}: position {position} is another event elsewhere")
        need(facts[1] <= updated, f"{what}: an entry is newer than the feed")
        positions.append(position)
    step = -1 if document.role == "head" else 1
    ids = {found[position][0] for position in positions}
    need(len(ids) == len(positions), f"{what}: an id stands twice (4.1.1)")
    following = [positions[0] + step * index for index in range(len(positions))] if positions else []
    need(positions == following, f"{what}: positions {positions}")
    if document.role == "archive":
        newest = found[positions[-1]][1] if positions else None
        need(updated == newest, f"{what}: a sealed page was updated {updated}, not with its last entry")
        seen.setdefault("archives", {})[document.url] = set(positions)
    else:
        need(seen.setdefault("updated", updated) == updated, f"{what}: updated {updated}, elsewhere {seen['updated']}")
    return len(entries)


def check_single(document, found):
    """An entry document: with an author of its own (4.1.2), and the same event as in the feed."""
    what = str(document)
    kind = document.answer.headers["content-type"].replace(" ", "")
    need(kind == "application/atom+xml;type=entry", f"{what}: of type {kind} (RFC 5023, 12)")
    root = feed.parse(document)
    need(root.tag == f"{ATOM}entry", f"{what}: a {root.tag}")
    need(root.find(f"{ATOM}author/{ATOM}name") is not None, f"{what}: no author (4.1.2)")
    position, facts = check_entry(root, document.url, what)
    # RFC 4287 asks a feed alone for a self link; the entry's alternate is itself.
    need(links_of(root, document.url, what)["alternate"] == document.url, f"{what}: alternate is another document")
    need(found.get(position) == facts, f"{what}: not the event of the feed")


def check_history(found, backwards, seen):
    """Over all documents: every position, times in order, the running check, an archive that reaches back to page 1."""
    url = seen["url"]
    need(sorted(found) == list(range(1, len(found) + 1)), f"{url}: {len(found)} positions with a hole")
    previous_check, previous_time = bytes(6), None
    for position in sorted(found):
        number, updated, check = found[position][:3]
        need(previous_time is None or updated >= previous_time, f"{url}: position {position} goes back in time")
        previous_check = hashlib.sha256(previous_check + number.bytes).digest()[:6]
        need(previous_check.hex() == check, f"{url}: position {position} has check {check}, not {previous_check.hex()}")
        previous_time = updated
    need(len({facts[0] for facts in found.values()}) == len(found), f"{url}: an id stands twice in the feed")
    reached = [seen["archives"][document.url] for document in backwards]
    need(len(reached) == len(seen.get("archives", {})), f"{url}: prev-archive reaches {len(reached)} pages")
    need(not reached or 1 in reached[-1], f"{url}: prev-archive does not reach page 1")
    sealed = [position for page in reversed(reached) for position in sorted(page)]
    need(sealed == list(range(1, len(sealed) + 1)), f"{url}: the archive has a hole")


def check(url):
    """Checks one feed. Returns documents and entries."""
    walked = feed.walk(url, feed.ATOM_TYPE)
    backwards = feed.walk_back(url, feed.ATOM_TYPE)
    all_events = feed.events(url)
    seen, found, entries = {"url": url}, {}, 0
    documents = walked + backwards + feed.odd_tails(url, all_events, feed.ATOM_TYPE)
    for document in documents:
        entries += check_feed(document, found, seen)
    check_history(found, backwards, seen)
    need(len(found) == len(all_events), f"{url}: {len(found)} of {len(all_events)} events")
    singles = feed.singles(url, all_events, feed.ATOM_TYPE)
    for document in singles:
        check_single(document, found)
    return len(documents) + len(singles), entries + len(singles)


def look():
    """Checks all feeds."""
    counts = [check(url) for url in sys.argv[1:]]
    documents, entries = (sum(column) for column in zip(*counts))
    return f"beyond the grammar: {len(counts)} feeds, {documents} documents, {entries} entries"


if __name__ == "__main__":
    feed.run(look)
