"""newsboat, a feed reader for terminals, fetches the feeds without its screen and lists what is unread.

    newsboat.py NEWSBOAT FEED_URL...
"""

import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

import feed
from feed import need

# Longest time that newsboat may take, in seconds.
NEWSBOAT_S_MAX = 60


def look():
    """Has newsboat fetch all feeds into a cache of its own, and compares its cache with the newest events."""
    newsboat, urls = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        listed = pathlib.Path(folder, "urls")
        listed.write_text("".join(f"{url}\n" for url in urls), encoding="utf-8")
        config = pathlib.Path(folder, "config")
        config.write_text('use-proxy no\nuser-agent "newsboat"\n', encoding="utf-8")
        cache = pathlib.Path(folder, "cache.db")
        ended = subprocess.run(
            [newsboat, "-u", listed, "-C", config, "-c", cache, "-x", "reload", "print-unread"],
            capture_output=True,
            text=True,
            timeout=NEWSBOAT_S_MAX,
            check=False,
            env={"HOME": folder, "LC_ALL": "C.UTF-8", "NO_PROXY": "127.0.0.1"},
        )
        need(ended.returncode == 0, f"newsboat: {ended.stdout} {ended.stderr}")
        unread = ended.stdout.split()
        need(unread and unread[0].isdigit(), f"newsboat: {ended.stdout}")
        connection = sqlite3.connect(cache)
        rows = connection.execute("SELECT guid, title, url, feedurl FROM rss_item").fetchall()
        titles = dict(connection.execute("SELECT rssurl, title FROM rss_feed").fetchall())
        connection.close()
    total = 0
    for url in urls:
        listing = json.loads(feed.get(url.rsplit("/", 1)[0], "application/json").body)["feeds"]
        facts = next(facts for facts in listing if url.endswith(f"/{facts['href']}"))
        need(titles.get(url) == facts["title"], f"newsboat: {url} is named {titles.get(url)!r}")
        head = feed.events(url)[-facts["page_capacity"] :]
        wanted = {
            f"urn:uuid:{event['id']}": (f"{event['type']} {event['subject']}", f"{url}/events/{event['id']}")
            for event in head
        }
        found = {guid: (title, link) for guid, title, link, of in rows if of == url}
        differing = sorted(set(found.items()) ^ set(wanted.items()))
        need(not differing, f"newsboat: {url}: {len(found)} entries, not {len(wanted)}: {differing[:4]}")
        total += len(found)
    need(int(unread[0]) == total, f"newsboat: {unread[0]} unread, not {total}")
    return f"newsboat: {len(urls)} feeds, {total} entries unread"


if __name__ == "__main__":
    feed.run(look)
