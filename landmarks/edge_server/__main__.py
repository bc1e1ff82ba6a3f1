"""`python -m landmarks.edge_server`: the embedded vector database."""

import os
import sys

if __name__ == "__main__":
    # A walk through an index reads memory here and there, and much of its time goes into finding
    # where that is. With pages of 2 MB instead of 4 KB, a query of a million int8 vectors takes a
    # third less. The C library reads this when a program starts, and only then.
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - itself, as it was called

    from landmarks.edge_server.server import main

    sys.exit(main())
