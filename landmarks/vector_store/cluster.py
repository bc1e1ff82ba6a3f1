"""The nodes of a Qdrant cluster, and which of them have copies of a collection. For threads."""

from __future__ import annotations

import threading
from collections import Counter

from qdrant_client import QdrantClient, models

from landmarks.errors import LandmarksError, UnavailableError
from landmarks.settings import QdrantSettings
from landmarks.vector_store.client import connect_to, nodes_of
from landmarks.vector_store.copies import Node
from landmarks.vector_store.errors import qdrant_failures


class Cluster:
    """The nodes that the settings name, each with a client of its own; close it when done."""

    def __init__(self, settings: QdrantSettings) -> None:
        self._settings = settings
        self._nodes: dict[str, Node] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        for node in self._nodes.values():
            node.client.close()
        self._nodes.clear()

    def nodes(self) -> list[Node]:
        """Return the nodes, as the settings and the names in them have them now."""
        addresses = nodes_of(self._settings)
        with self._lock:
            for address in addresses:
                if address not in self._nodes:
                    self._nodes[address] = Node(address, connect_to(self._settings, address))
            return [self._nodes[address] for address in addresses]

    def nodes_of(self, collection: str) -> list[Node]:
        """Return the nodes that have copies of a collection; none if there is one copy of it.

        Raises NotFoundError; UnavailableError while a node is away or not known, or a copy is being
        recovered.
        """
        nodes = self.nodes()
        holders: set[int] = set()
        by_peer: dict[int, Node] = {}
        for node in nodes:
            info = _info(node, collection)
            if not _are_several(info):
                return []
            _check_active(info, collection)
            by_peer.setdefault(info.peer_id, node)
            holders.update(one.peer_id for one in info.remote_shards)
            if info.local_shards:
                holders.add(info.peer_id)
        if unknown := holders - by_peer.keys():
            raise UnavailableError(
                f"{len(holders)} nodes have copies of {collection}, and {len(unknown)} of them"
                f" answer at none of {', '.join(one.address for one in nodes)}; start them, or set"
                " LANDMARKS_QDRANT_HOST to the addresses of all nodes"
            )
        return [node for peer, node in by_peer.items() if peer in holders]

    def away(self) -> list[str]:
        """Return the addresses of the nodes that do not answer."""
        found = []
        for node in self.nodes():
            try:
                with qdrant_failures(node.address):
                    node.client.info()
            except LandmarksError:
                found.append(node.address)
        return found


def has_several_copies(client: QdrantClient, address: str, collection: str) -> bool:
    """Say whether there is more than one copy of a collection."""
    return _are_several(_info(Node(address, client), collection))


def _are_several(info: models.CollectionClusterInfo) -> bool:
    copies = Counter(one.shard_id for one in info.local_shards)
    copies.update(one.shard_id for one in info.remote_shards)
    return max(copies.values(), default=0) > 1


def _info(node: Node, collection: str) -> models.CollectionClusterInfo:
    with qdrant_failures(node.address):
        return node.client.collection_cluster_info(collection)


def _check_active(info: models.CollectionClusterInfo, collection: str) -> None:
    states = Counter(one.state.value for one in info.local_shards)
    states.update(one.state.value for one in info.remote_shards)
    if set(states) - {models.ReplicaState.ACTIVE.value}:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        raise UnavailableError(
            f"not all copies of {collection} are active ({counts}): Qdrant recovers them, and they"
            " are compared then"
        )
