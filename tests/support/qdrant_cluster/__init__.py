"""A cluster of Qdrant for tests: a real one, or a stand-in over three embedded servers.

`clusters.py` starts either. The rest is the stand-in: `__main__.py` runs it as a process of its
own. It does what a real cluster of 1.18.3 was seen to do while nodes are away; its own test replays
what was recorded (tests/cluster/test_recorded_steps.py).
"""
