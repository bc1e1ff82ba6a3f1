"""Everything that uses Qdrant as a client: collections, points, queries, export and import.

Only this room and the embedded server import `qdrant_client`. Every operation has a deadline and
raises `landmarks.errors`: UnavailableError if Qdrant cannot be reached, NotFoundError,
InvalidInputError, LineageError. The same calls work against the embedded server and a Qdrant
server or cluster; one contract suite runs against all of them.
"""
