#!/bin/sh
# kombu 5.7.0 and redis 8.1.0 read the same Redis address differently. redis-py takes options after a
# question mark, as in redis://host/0?password=x&db=1&socket_timeout=3. kombu passes each of them to
# functions of its own as an argument, so that any of these three is a TypeError that names neither
# the address nor the option's place. Expected: the address that connects the one connects the other.
#
# So an address that Celery and redis-py share keeps to user, password, host, port and number.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "kombu[redis]==5.7.0" redis==8.1.0
cat >check.py <<'END'
from kombu import Connection
from redis.connection import parse_url

def by_kombu(address):
    try:
        return f"no error, password {Connection(address).password!r}"
    except TypeError as error:
        return f"TypeError: {error}"

assert Connection("redis://:x@host/0").password == "x", "changed: kombu reads no password"
for option, value, words in (
    ("password", "x", "multiple values for keyword argument 'password'"),
    ("db", 1, "unexpected keyword argument 'db'"),
    ("socket_timeout", 3.0, "unexpected keyword argument 'socket_timeout'"),
):
    address = f"redis://host?{option}={value}"
    assert parse_url(address)[option] == value, "changed: redis-py"
    said = by_kombu(address)
    assert words in said, f"changed: {said!r}"
    print(f"{address}: redis-py takes it; kombu: {said}")
END
venv/bin/python check.py
echo "as found: kombu 5.7.0 takes no options of redis-py in an address"
