"""The study: whether vectors cluster by landmark, and which photos lie in no cluster.

The statistics take plain arrays and know nothing of files, models or pages.
"""
