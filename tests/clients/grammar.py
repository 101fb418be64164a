"""jing validates every Atom document of the feeds with the RELAX NG grammar of RFC 4287, appendix B.

    grammar.py JING GRAMMAR FEED_URL...
"""

import pathlib
import subprocess
import sys
import tempfile

import feed
from feed import need

# Longest time that jing may take, in seconds: it starts a Java machine, once for all documents.
JING_S_MAX = 120


def look():
    """Writes all documents to a folder and has them validated in one go."""
    jing, grammar, urls = sys.argv[1], sys.argv[2], sys.argv[3:]
    with tempfile.TemporaryDirectory() as folder:
        names = {}
        for url in urls:
            for document in feed.atom_documents(url, feed.events(url)):
                path = pathlib.Path(folder, f"{len(names) + 1}.xml")
                path.write_bytes(document.body)
                names[path] = document
        ended = subprocess.run(
            [jing, grammar, *names], capture_output=True, text=True, timeout=JING_S_MAX, check=False
        )
        text = ended.stdout
        for path, document in names.items():
            text = text.replace(f"{path}:", f"{document}:")
        need(ended.returncode == 0, f"jing: {text or ended.stderr}")
    singles = sum(document.role == "event" for document in names.values())
    return f"jing: {len(urls)} feeds, {len(names) - singles} feed documents and {singles} entry documents are valid"


if __name__ == "__main__":
    feed.run(look)
