#!/bin/sh
# fsspec 2026.9.0: HTTPFileSystem.ls() joins the links of a page as they are written, so a link
# `in/../../private/` is reported below the page's folder, and listing it asks the server for the
# folder above. Expected: links resolved as browsers do, or left out where they lead away.
#
# And a page of a folder without any link is asked for again without its slash, which servers
# answer with a redirect to the folder. Expected: an empty folder is an empty list.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check fsspec==2026.9.0 aiohttp==3.14.5
cat >check.py <<'END'
import http.server, threading
import fsspec

PAGES = {
    "/photos/": '<a href="in/../../private/">x</a>',
    "/private/": '<a href="secret.jpg">x</a>',
    "/photos/none/": "nothing here",
    "/photos/none": "asked again",
}
asked = []

class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGES[self.path].encode())

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
threading.Thread(target=server.serve_forever, daemon=True).start()
root = f"http://127.0.0.1:{server.server_port}/photos/"
files = fsspec.filesystem("http", use_listings_cache=False)
(found,) = files.ls(root, detail=False)
assert found.startswith(root), f"changed: {found} is not reported below the page"
(secret,) = files.ls(found, detail=False)
assert asked[-1] == "/private/", f"changed: {asked[-1]} was asked for"
asked.clear()
assert files.ls(root + "none/", detail=False) == [], "changed: an empty folder is not empty"
assert asked == ["/photos/none/", "/photos/none"], f"changed: {asked} were asked for"
END
venv/bin/python check.py
echo "as found: fsspec 2026.9.0: links with .. lead out of a folder, and an empty one is asked for twice"
