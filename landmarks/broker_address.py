"""The address of Redis, with its password apart from it."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_SCHEMES = ("redis", "rediss")
_ENCODE = "write the characters / ? # @ of a password as %2F %3F %23 %40"


def password_apart(address: str) -> tuple[str, str]:
    """Return an address without its password, and the password, empty if there is none.

    Takes the forms that redis-py takes: `redis://user:password@host/0`, also with an @ in the
    password, and `redis://host?username=user&password=password&db=0`, of which Celery would take
    none (findings/kombu-redis-query.sh). Raises ValueError that shows no value of the address.
    """
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - raises ValueError if it is no number
        query = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    except ValueError:
        # Without its text, which may be a part of the password.
        raise ValueError(f"it is not redis://host:port/number; {_ENCODE}") from None
    if parts.scheme not in _SCHEMES or "@" in parts.path or parts.fragment:
        raise ValueError(f"it does not begin with redis:// or rediss://, a host, a port; {_ENCODE}")
    given = dict(query)
    users = [unquote(parts.username or ""), given.pop("username", "")]
    passwords = [unquote(parts.password or ""), given.pop("password", "")]
    if all(users) or all(passwords):
        raise ValueError("it has a user or a password twice, before the host and after it")
    path = f"/{given.pop('db')}" if "db" in given else parts.path
    if any(not name.startswith("ssl_") for name in given):
        # Their names may be a part of the password too.
        raise ValueError(
            "it has options other than username, password, db and ssl_…, which Celery does not"
            f" take; {_ENCODE}"
        )
    host = parts.netloc.rpartition("@")[2]
    user = quote("".join(users), safe="")
    parts = parts._replace(
        netloc=f"{user}@{host}" if user else host, path=path, query=urlencode(given)
    )
    return parts.geturl(), "".join(passwords)


def with_password(address: str, password: str) -> str:
    """Return an address that `password_apart` returned with a password in it."""
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()
