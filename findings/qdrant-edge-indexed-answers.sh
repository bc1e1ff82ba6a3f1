#!/bin/sh
# qdrant-edge-py 0.9.0: a payload index changes what a filter finds. With a geo index, a box that
# reaches to both poles finds nothing at all, and one of all longitudes only places beside the date
# line; without one they find what lies in them. With a datetime index, a range of numbers finds dates,
# by their microseconds since 1970; with a float index, a range of times finds numbers. Expected: the
# same points, faster.
#
# Boxes leave out what lies on their edge, so a place at longitude 180 is in no box that ends there.
# So a filter for "the world" is best left out, and one must know a field's index to ask by number.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check qdrant-edge-py==0.9.0
cat >check.py <<'END'
import tempfile
import qdrant_edge as edge
def found(values, kind, condition):
    """Return which values pass, without an index and with one."""
    answers = []
    for indexed in (False, True):
        config = edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(size=2, distance=edge.Distance.Cosine)
        )
        shard = edge.EdgeShard.create(tempfile.mkdtemp(), config)
        points = [edge.Point(n, [1.0, 0.5], {"f": value}) for n, value in enumerate(values)]
        shard.update(edge.UpdateOperation.upsert_points(points, None, edge.UpdateMode.Upsert))
        if indexed:
            shard.update(edge.UpdateOperation.create_field_index("f", kind))
        request = edge.ScrollRequest(limit=10, filter=edge.Filter(must=[condition]))
        answers.append([one.id for one in shard.scroll(request)[0]])
    return answers
def box(north, west, south, east):
    corners = edge.GeoPoint(west, north), edge.GeoPoint(east, south)
    return edge.FieldCondition("f", geo_bounding_box=edge.GeoBoundingBox(*corners))
def ranged(kind, **bound):
    bounds = {"gte": None, "gt": None, "lte": None, "lt": None, **bound}
    return edge.FieldCondition("f", range=kind(**bounds))
places = [{"lat": lat, "lon": lon} for lat, lon in ((50.9, 4.3), (-40.0, 170.0), (0.0, 180.0))]
geo = edge.PayloadSchemaType.Geo
world = found(places, geo, box(90.0, -180.0, -90.0, 180.0))
assert world == [[0, 1], []], world
tall = found(places, geo, box(90.0, 0.0, -90.0, 10.0))
assert tall == [[0], []], tall
less = found(places, geo, box(89.0, -179.0, -89.0, 179.0))
assert less == [[0, 1], [0, 1]], less
equator = [{"lat": 0.0, "lon": lon} for lon in (-170.0, 0.0, 90.0)]
ring = found(equator, geo, box(10.0, -180.0, -10.0, 180.0))
assert ring == [[0, 1, 2], [0]], ring
positive = ranged(edge.RangeFloat, gte=0.0)
dates = found(["2024-05-01T00:00:00Z"], edge.PayloadSchemaType.Datetime, positive)
assert dates == [[], [0]], dates
past = ranged(edge.RangeDateTime, lt="2100-01-01T00:00:00Z")
numbers = found([1889.5], edge.PayloadSchemaType.Float, past)
assert numbers == [[], [0]], numbers
print("world", world, "tall", tall, "dates by number", dates, "numbers by time", numbers)
END
venv/bin/python check.py
echo "as found: qdrant-edge-py 0.9.0: an index of places empties a box, one of dates answers numbers"
