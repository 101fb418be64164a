"""What schemathesis is told beside `schemathesis.toml`: it need not wait for events that do not come."""

import schemathesis

# The longest that a request waits, by parameter. Longer ones are as right, and take their time.
WAITS_MAX = {"wait": 1, "timeout": 100}


@schemathesis.hook
def map_query(_context, query):
    for name, longest in WAITS_MAX.items():
        value = (query or {}).get(name)
        if type(value) is int and value > longest:
            query[name] = longest
    return query
