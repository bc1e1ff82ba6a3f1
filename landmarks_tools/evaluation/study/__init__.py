"""Whether vectors cluster by landmark, and which photos lie in no cluster: the study.

The core (`maps`, `clusters`, `factors`, `hypothesis`, `rows`) takes plain arrays and knows nothing
of files, models or pages; `report` puts a study together, and `page` writes it down.
"""
