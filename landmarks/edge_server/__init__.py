"""The embedded vector database: Qdrant's own gRPC protocol over Qdrant Edge, on one machine.

It answers what this project calls and refuses everything else, methods and fields alike, with
UNIMPLEMENTED and the name: never a silently different answer. What was acknowledged is in Edge's
write-ahead log and survives a crash.

Every call into Edge holds Python's global lock, so each collection has a process of its own; all
of them die with the server.
"""
