"""What schemathesis is told beside `schemathesis.toml`: it need not wait for events that do not come."""

import re

import schemathesis

# The longest that a request waits, by parameter. Longer ones are as right, and take their time.
WAITS_MAX = {"wait": 1, "timeout": 100}
# Resources whose `after` is waited for, and one that never is: before the first event of any feed.
WAITED_FOR = {"/orders/{id}", "/reservations/{order_id}", "/customers/{id}", "/geos/{geo}"}
NOT_WAITED_FOR = "0" * 16 + ".0.0"
# Ids of events, and cursors.
EVENT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-f]{16}\.[0-9]+\.[0-9a-f]+")


@schemathesis.hook
def map_query(_context, query):
    for name, longest in WAITS_MAX.items():
        value = (query or {}).get(name)
        if type(value) is int and value > longest:
            query[name] = longest
    return query


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Examples of the document do not go through `map_query`."""
    after = (case.query or {}).get("after")
    if case.operation.path in WAITED_FOR and type(after) is str and EVENT.fullmatch(after):
        case.query["after"] = NOT_WAITED_FOR
