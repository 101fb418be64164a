"""httpx with hishel, a cache after RFC 9111, keeps what may be kept and asks again where it has to.

    caching.py FEED_URL PRIVATE_FEED_URL

Both feeds have two sealed pages at least. The first is that of order-svc, to which an order is sent, so that the feed
changes between two looks.
"""

import itertools
import json
import pathlib
import sys
import tempfile

import hishel
import httpx
from hishel.httpx import CacheTransport

import feed
from feed import need

REPRESENTATIONS = {"atom": feed.ATOM_TYPE, "json": feed.BATCH_TYPE}
# Each cache has a file of its own.
NUMBERS = itertools.count(1)


class Wire(httpx.HTTPTransport):
    """What goes over the wire, past the cache."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def handle_request(self, request):
        """Notes what was asked, whether by a tag, and what came."""
        response = super().handle_request(request)
        self.sent.append((request.url.raw_path.decode(), request.headers.get("if-none-match"), response.status_code))
        return response


class Reader:
    """A client with a cache of its own: of one person, or shared as in a proxy."""

    def __init__(self, folder, shared):
        self.wire = Wire()
        name = f"{next(NUMBERS)}.db"
        transport = CacheTransport(
            self.wire,
            storage=hishel.SqliteStorage(database_path=folder / name),
            rfc=hishel.CacheOptions(shared=shared),
        )
        self.client = httpx.Client(transport=transport, timeout=feed.REQUEST_S_MAX, trust_env=False)

    def get(self, url, accept, status=200):
        """The answer, and what went over the wire for it."""
        before = len(self.wire.sent)
        response = self.client.get(url, headers={"accept": accept})
        need(response.status_code == status, f"{url}: {response.status_code}, not {status}")
        return response, self.wire.sent[before:]


def link(response, relation):
    """Where a link leads, if there is one."""
    target = response.links.get(relation)
    return target and str(response.url.join(target["url"]))


def first_page(url, kind):
    """The URL of the first sealed page."""
    documents = feed.walk_back(url, REPRESENTATIONS[kind])
    need(len(documents) >= 2, f"{url}: {len(documents)} sealed pages")
    return documents[-1].url


def check_kept(reader, url, accept, what):
    """Asked for once, then never again, whatever is accepted: it is one document for everybody."""
    first, sent = reader.get(url, accept)
    need(len(sent) == 1, f"{what}: {url} was asked for by {sent}")
    for accepted in (accept, "*/*", "application/xml;q=0.5"):
        again, sent = reader.get(url, accepted)
        need(not sent, f"{what}: {url} was asked for again: {sent}")
        need(again.content == first.content, f"{what}: {url} is another one from the cache")


def check_asked_again(reader, url, accept, what):
    """Asked for again each time, by its tag, and not sent again."""
    first, _ = reader.get(url, accept)
    again, sent = reader.get(url, accept)
    need([(tag, status) for _, tag, status in sent] == [(first.headers["etag"], 304)], f"{what}: {url} cost {sent}")
    need(again.content == first.content, f"{what}: {url} is another one from the cache")
    need(again.headers["content-type"] == first.headers["content-type"], f"{what}: {url} changed its type")


def check_not_kept(reader, url, accept, status, what):
    """Sent whole each time."""
    for _ in range(2):
        _, sent = reader.get(url, accept, status)
        need([(tag, code) for _, tag, code in sent] == [(None, status)], f"{what}: {url} cost {sent}")


def walk(reader, url, accept, what):
    """Reads the feed from the start on. Returns the ids and what it cost."""
    before, found = len(reader.wire.sent), []
    response = reader.client.get(f"{url}?after=start", headers={"accept": accept}, follow_redirects=True)
    for _ in range(feed.DOCUMENTS_MAX):
        need(response.status_code == 200, f"{what}: {response.url}: {response.status_code}")
        found.append(response.content)
        if response.headers.get("feed-caught-up") == "true":
            return found, reader.wire.sent[before:]
        response = reader.client.get(link(response, "next"), headers={"accept": accept}, follow_redirects=True)
    raise feed.Broken(f"{what}: {url} has no end")


def check_walks(reader, url, accept, what):
    """A second walk costs no sealed page, and nothing of the tail that is known."""
    first, _ = walk(reader, url, accept, what)
    second, sent = walk(reader, url, accept, what)
    need(first == second, f"{what}: {url}: another feed from the cache")
    pages = [cost for cost in sent if "/archive/" in cost[0] and cost[2] != 307]
    need(not pages, f"{what}: sealed pages were asked for again: {pages}")
    whole = [cost for cost in sent if cost[2] == 200]
    need(not whole, f"{what}: sent again: {whole}")
    return len(first)


def check_vary(reader, url):
    """Neither representation is given for the other, whichever tag the cache names when it asks."""
    kinds = list(REPRESENTATIONS.values())
    for accept in kinds + kinds:
        response, sent = reader.get(url, accept)
        need(response.headers["content-type"] == accept, f"Vary: {accept} was answered by the other one: {sent}")
        need(response.headers.get("vary", "").lower() == "accept", f"Vary: {response.headers.get('vary')}")
        need(len(sent) == 1, f"Vary: {sent}")
        _, tag, status = sent[0]
        need((status == 304) == (tag == response.headers["etag"]), f"Vary: {sent}")


def check_change(reader, url):
    """After an order was placed, the head is the new one."""
    before, _ = reader.get(url, feed.BATCH_TYPE)
    answer = httpx.post(
        f"{url.rsplit('/feeds/', 1)[0]}/orders",
        json={"customer_id": "c-nobody", "requested_mbps": 100},
        trust_env=False,
    )
    need(answer.status_code == 202, f"the order was answered by {answer.status_code}")
    after, sent = reader.get(url, feed.BATCH_TYPE)
    need(sent[0][1] == before.headers["etag"] and sent[0][2] == 200, f"change: {sent}")
    subjects = [event["subject"] for event in json.loads(after.content)]
    need(f"order-{answer.json()['id']}" in subjects, "change: the new order is not in the head")


def check_public(folder, url):
    """What every cache may keep of a public feed, and what not."""
    pages = 0
    for shared in (True, False):
        for kind, accept in REPRESENTATIONS.items():
            reader, what = Reader(folder, shared), f"{'shared' if shared else 'own'} cache, {kind}"
            check_kept(reader, first_page(url, kind), accept, what)
            pages += check_walks(reader, url, accept, what)
            events = feed.events(url)
            for path in ("", f"?after={feed.cursor(events[-2])}", "?after=now"):
                check_asked_again(reader, url + path, accept, what)
            single = feed.EVENT_TYPE if kind == "json" else feed.ATOM_TYPE
            check_asked_again(reader, f"{url}/events/{events[0]['id']}", single, what)
            # What redirects and refuses is true for now only. (A cache that has another representation names its tag.)
            reader = Reader(folder, shared)
            check_not_kept(reader, f"{url}?after=start", accept, 307, what)
            check_not_kept(reader, f"{url}?after=nonsense", accept, 400, what)
            check_not_kept(reader, f"{url}?after=ffffffffffffffff.1.ffffffffffff", accept, 409, what)
            check_not_kept(reader, f"{url}?unknown=1", accept, 400, what)
            check_not_kept(reader, f"{url}x", accept, 404, what)
            check_not_kept(reader, url, "image/png", 406, what)
    check_vary(Reader(folder, True), url)
    check_change(Reader(folder, True), url)
    return pages


def check_private(folder, url):
    """A private feed is kept by caches of one person alone."""
    for kind, accept in REPRESENTATIONS.items():
        page = first_page(url, kind)
        own, shared = Reader(folder, False), Reader(folder, True)
        check_kept(own, page, accept, f"own cache of a private feed, {kind}")
        check_asked_again(own, url, accept, f"own cache of a private feed, {kind}")
        check_not_kept(shared, page, accept, 200, f"shared cache of a private feed, {kind}")
        check_not_kept(shared, url, accept, 200, f"shared cache of a private feed, {kind}")


def look():
    """Looks at both feeds."""
    url, private = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        pages = check_public(pathlib.Path(folder), url)
        check_private(pathlib.Path(folder), private)
    return f"httpx with hishel: {pages} documents kept or asked for again by their tags, a private feed kept from shared caches"


if __name__ == "__main__":
    feed.run(look)
