"""The embedded vector database: Qdrant's own gRPC protocol over Qdrant Edge, on one machine.

    server       binds, locks the data directory, serves until told to stop
    collections  the Collections service: what collections there are, aliases, parameters
    points       the Points service: passes each request on to the process of its collection
    snapshots    the Snapshots service: a copy of everything, while reads go on
    methods      which requests write and which read
    services     tables of methods as gRPC services
    catalog      what is known of collections, kept in one file that is replaced as a whole
    zygote       the small process that shard processes are forked from, and its handle
    engine       all collections of a data directory
    collection   one of them, being served
    host         one shard process, seen from the server
    worker       one shard process, from the inside
    shard        a collection's shard: Qdrant's requests carried out by Edge
    optimizing   builds a collection's index beside it while it goes on serving
    allowed      the fields of requests that are honoured; every other is refused by name
    schema       a collection's parameters and payload indexes
    frames       what the server and a shard process say to each other
    locks        one owner for a folder
    files        copies of folders, without their holes
    convert      Qdrant's messages to Edge's values and back

Every call into Edge holds Python's global lock, so each collection has a process of its own; all
die with the server. What was acknowledged is in Edge's write-ahead log and survives that.
"""
