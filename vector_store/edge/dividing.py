"""Lays a shard's vectors out as several graphs, none of which is large.

A search walks all graphs of a shard, each on a core of its own where there are as many, and keeps
`hnsw_ef` candidates in each. So the default goes on finding what there is as a collection grows,
and a core is not all that one query can use. Edge itself makes one graph of whatever was stored
since the last was built, however much that is; only when it merges graphs it keeps to
`max_segment_size`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import qdrant_edge as edge

_PAGE = 1_000
_BESIDE = "divided"


def divide(
    shard: edge.EdgeShard, folder: Path, config: edge.EdgeConfig, most_points: int
) -> edge.EdgeShard:
    """Store a shard anew with an index of equal graphs; return it, open, in the same folder.

    No graph has more than `most_points`, and any two together have more, so that Edge does not
    merge them. The folder is of no use where this fails on the way: it is for copies.
    """
    beside = folder / _BESIDE
    divided = edge.EdgeShard.create(str(beside), config)
    indexes = shard.info().payload_schema
    for name, index in indexes.items():
        kind = index.data_type if index.params is None else index.params
        divided.update(edge.UpdateOperation.create_field_index(name, kind))
    count = shard.count(edge.CountRequest(exact=True))
    graphs = -(-count // most_points)
    done, following = 0, None
    for ends in (count * (graph + 1) // graphs for graph in range(graphs)):
        while done < ends:
            page, following = shard.scroll(
                edge.ScrollRequest(
                    offset=following,
                    limit=min(_PAGE, ends - done),
                    with_payload=True,
                    with_vector=True,
                )
            )
            points = [edge.Point(one.id, one.vector or [], one.payload) for one in page]
            divided.update(edge.UpdateOperation.upsert_points(points))
            done += len(page)
        divided.flush()
        divided.optimize()
    if (kept := divided.count(edge.CountRequest(exact=True))) != count:
        raise RuntimeError(f"{count} points became {kept} when they were laid out anew")
    shard.close()
    divided.close()
    for old in [one for one in folder.iterdir() if one != beside]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for new in list(beside.iterdir()):
        new.rename(folder / new.name)
    beside.rmdir()
    return edge.EdgeShard.load(str(folder), config)
