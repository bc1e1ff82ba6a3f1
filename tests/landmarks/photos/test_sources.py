"""Where photos are read from: what is listed, and what is refused."""

import errno
import http.server
import os
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from landmarks.errors import (
    ForbiddenError,
    InvalidInputError,
    InvalidPhotoError,
    LandmarksError,
    NotFoundError,
    UnavailableError,
)
from landmarks.photos.entry import Entry
from landmarks.photos.location import parse_location
from landmarks.photos.source_roots import SourceRoots
from landmarks.photos.sources import Sources
from landmarks.photos.web_pages import links_below


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    for name in ("taj/b.JPG", "taj/a.png", "taj/deep/er/c.webp", "atomium/a.png", "none.jpeg"):
        put(made / name)
    for name in ("notes.txt", ".hidden.jpg", ".cache/x.jpg", "taj/.x.png", "taj/README"):
        put(made / name)
    return made


def put(path: Path, data: bytes = b"photo") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def manifest(folder: Path, text: str, name: str = "m.csv") -> str:
    return str(put(folder / name, text.encode()))


def sources(*roots: object) -> Sources:
    return Sources(SourceRoots([str(root) for root in roots]))


def entries(root: object, source: object, *splits: str) -> list[Entry]:
    return list(sources(root).open(str(source), splits).entries())


# Folders


def test_a_folder_lists_photos_sorted_with_the_first_level_as_landmark(root):
    found = entries(root, root)
    assert [(entry.path, entry.landmark) for entry in found] == [
        ("atomium/a.png", "atomium"),
        ("none.jpeg", None),
        ("taj/a.png", "taj"),
        ("taj/b.JPG", "taj"),
        ("taj/deep/er/c.webp", "taj"),
    ]
    assert found[0].uri == f"file://{root}/atomium/a.png"
    assert entries(root, f"file://{root}/") == found
    assert sources(root).open(str(root)).name == "photos"


def test_a_photo_is_read_up_to_a_cap(root):
    entry = entries(root, root)[0]
    assert sources(root).read(entry, 5) == b"photo"
    with pytest.raises(InvalidPhotoError, match="larger than 4 bytes"):
        sources(root).read(entry, 4)


def test_an_empty_folder_is_refused_with_what_would_be_found(tmp_path):
    put(tmp_path / "notes.txt")
    with pytest.raises(InvalidInputError, match=r"has no photos.*\.jpg"):
        sources(tmp_path).open(str(tmp_path)).check()


def test_a_source_that_does_not_exist_is_not_found(root):
    for name in ("missing", "missing.csv", "missing.zip"):
        with pytest.raises(NotFoundError, match="does not exist"):
            sources(root).open(f"{root}/{name}")


def test_a_file_that_is_no_manifest_is_refused(root):
    put(root / "notes.md")
    with pytest.raises(InvalidInputError, match="neither a folder, a manifest"):
        sources(root).open(f"{root}/notes.md")


def test_links_are_followed_within_the_roots_and_not_out_of_them(root, tmp_path):
    outside = put(tmp_path / "outside/secret.jpg")
    (root / "atomium/out.jpg").symlink_to(outside)
    (root / "away").symlink_to(outside.parent)
    (root / "again").symlink_to(root / "taj/deep")
    (root / "taj/loop").symlink_to(root)

    found = {entry.path: entry for entry in entries(root, root)}

    assert found["again/er/c.webp"].landmark == "again"
    assert "link" in found["atomium/out.jpg"].problem
    assert "link" in found["away"].problem
    assert not any("secret" in path for path in found)
    with pytest.raises(ForbiddenError):
        SourceRoots([str(root)]).read(f"file://{root}/atomium/out.jpg", 100)


def test_what_is_no_file_is_not_waited_for(root):
    os.mkfifo(root / "pipe.jpg")
    with pytest.raises(InvalidPhotoError, match="not a regular file"):
        SourceRoots([str(root)]).read(f"{root}/pipe.jpg", 100)


def test_a_name_that_is_no_text_is_a_problem_of_that_photo(root):
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff.jpg"))).write_bytes(b"x")
    found = entries(root, root)
    assert [entry.path for entry in found if entry.problem] == [r"\udcff.jpg"]
    assert len(found) == 6


# Manifests


def test_a_manifests_other_columns_are_kept(root):
    source = manifest(
        root, "\ufefflandmark,path,split,licence\ntaj,taj/a.png,train,cc0\n,x y.png,,\n"
    )
    first, second = entries(root, source)
    assert first == Entry(
        "taj/a.png", f"file://{root}/taj/a.png", "taj", {"split": "train", "licence": "cc0"}
    )
    assert (second.path, second.landmark) == ("x y.png", None)
    assert sources(root).open(source).name == "photos"


def test_splits_select_rows(root):
    rows = "".join(f"{n}.png,x,{split}\n" for n, split in enumerate(("a", "b", "c", "a", "")))
    source = manifest(root, "path,landmark,split\n" + rows)
    assert [entry.path for entry in entries(root, source, "a", "c")] == ["0.png", "2.png", "3.png"]
    with pytest.raises(InvalidInputError, match=r"no row .* z; there are: , a, b, c") as caught:
        entries(root, source, "z")
    assert caught.value.field == "splits"


@pytest.mark.parametrize(
    ("text", "splits", "said"),
    [
        ("file,landmark\na,b\n", (), "no column 'path'.*names: file, landmark"),
        ("path|landmark\na|b\n", (), "no column 'path'.*separated by commas"),
        ("path,label\na,b\n", (), "no column 'landmark'"),
        ("", (), "no column 'path'.*nothing"),
        ("path,landmark,path\na,b,c\n", (), "names a column twice"),
        ("path,landmark\n", (), "the manifest has no rows"),
        ("path,landmark\na,b\n", ("train",), "no column 'split'"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_with_the_reason(root, text, splits, said):
    with pytest.raises(InvalidInputError, match=said):
        entries(root, manifest(root, text), *splits)


def test_a_manifest_that_is_no_text_is_refused(root):
    put(root / "m.csv", b"path,landmark\n\xff\xfe,b\n")
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        entries(root, root / "m.csv")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../secret.jpg", "climbs out"),
        ("a/../../secret.jpg", "climbs out"),
        ("/etc/passwd", "absolute"),
        ("http://169.254.169.254/x.jpg", "URI"),
        ("zip://x.jpg::file:///a.zip", "URI"),
        ("", "line 2 of the manifest has no path"),
        ("  ", "no path"),
        ("a,b,c", "more cells"),
        ("a\0.jpg", "NUL"),
    ],
)
def test_a_path_that_cannot_be_read_is_a_problem_of_that_photo(root, path, said):
    source = manifest(root, f"path,landmark\n{path},x\ntaj/a.png,y\n")
    bad, good = entries(root, source)
    assert said in bad.problem
    assert bad.uri == ""
    assert good.problem == ""


def test_a_path_is_what_it_means_not_how_it_is_written(root):
    source = manifest(root, "path,landmark\n./taj//a.png,x\natomium/../taj/a.png,x\n")
    assert [entry.path for entry in entries(root, source)] == ["taj/a.png", "taj/a.png"]


def test_a_missing_photo_is_reported_when_it_is_read(root):
    (entry,) = entries(root, manifest(root, "path,landmark\ngone.png,x\n"))
    with pytest.raises(NotFoundError, match=r"gone\.png does not exist"):
        sources(root).read(entry, 100)


# Roots


@pytest.mark.parametrize(
    "source",
    [
        "/etc",
        "file:///etc",
        "{root}/../outside",
        "{root}-not",
        "http://127.0.0.1/photos",
        "https://other/photos",
        "https://host/photosandmore",
        "https://host/photos/../secret",
        "https://host/photos/%2e%2e/secret",
        "https://host/photos/.\t./secret",
        "zip://m.csv::https://host/photos/.\n./secret.zip",
        "https://host/photos/%252e%252e/secret",
        "https://user@host/photos",
        "https://host@other/photos",
        "ftp://host/photos",
        "memory://photos",
        "zip://::/etc/x.zip",
        "zip://../x::{root}/x.zip",
        "zip://::http://127.0.0.1/x.zip",
        "simplecache::http://127.0.0.1/x",
        "filecache::file:///etc",
        "zip://::simplecache::http://127.0.0.1/x.zip",
        "ftp://127.0.0.1/photos/#/../../etc/x.jpg",
        "ftp://127.0.0.1/photos/?/%2e%2e/x.jpg",
        "zip://::zip://x::{root}/x.zip",
        "reference::{root}",
    ],
)
def test_what_is_not_below_a_root_is_refused_before_anything_is_called(root, source):
    with pytest.raises(ForbiddenError):
        sources(root, "https://host/photos/").open(source.format(root=root))


@pytest.mark.parametrize("source", ["", "photos", "../photos", "zip://x", "a\0", "https://h/p?q=1"])
def test_what_is_no_location_is_refused(root, source):
    with pytest.raises(InvalidInputError):
        sources(root, "https://h/").open(source)


def test_without_roots_everything_is_forbidden(root):
    with pytest.raises(ForbiddenError, match="LANDMARKS_SOURCE_ROOTS"):
        sources().open(str(root))


def test_a_root_that_is_a_link_is_what_it_points_at(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert len(entries(tmp_path / "link", tmp_path / "link")) == 5
    assert len(entries(root, tmp_path / "link")) == 5


@pytest.mark.parametrize(
    "text", ["/a/b.jpg", "https://h/a%20b/c.jpg", "zip://a/b.jpg::file:///z.zip"]
)
def test_a_location_is_read_back_from_its_uri(text):
    location = parse_location(text)
    assert parse_location(location.uri) == location


# Zip files and web servers


@pytest.fixture
def archive(root: Path) -> Path:
    with zipfile.ZipFile(root / "all.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("set/taj/a.png", "set/atomium/b.png", "set/c.png", "set/.x.png", "set/d.txt"):
            file.writestr(name, b"photo")
        file.writestr("set/bomb.png", b"\0" * 1_000_000)
        file.writestr("m.csv", "path,landmark\nset/c.png,soreq\nset/gone.png,soreq\n")
        file.writestr("../evil.png", b"x")
    return root / "all.zip"


def test_a_zip_file_is_a_folder(root, archive):
    found = entries(root, f"zip://set::{archive}")
    assert [(entry.path, entry.landmark) for entry in found] == [
        ("bomb.png", None),
        ("c.png", None),
        ("atomium/b.png", "atomium"),
        ("taj/a.png", "taj"),
    ]
    assert sources(root).read(found[2], 100) == b"photo"
    with pytest.raises(InvalidPhotoError, match="larger"):
        sources(root).read(found[0], 100)
    assert not any("evil" in entry.path for entry in entries(root, archive))
    assert sources(root).open(str(archive)).name == "all"


def test_a_manifest_may_be_in_a_zip_file(root, archive):
    first, second = entries(root, f"zip://m.csv::file://{archive}")
    assert sources(root).read(first, 100) == b"photo"
    with pytest.raises(NotFoundError):
        sources(root).read(second, 100)


def test_a_broken_zip_file_is_refused(root):
    put(root / "broken.zip", b"PK nothing")
    with pytest.raises(LandmarksError, match="BadZipFile"):
        entries(root, root / "broken.zip")


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; what starts with /away is a redirect."""

    def do_GET(self):
        if self.path.startswith("/photos/away"):
            self.send_response(302)
            self.send_header("Location", "/secret.jpg")
            self.end_headers()
        elif self.path.startswith("/photos/busy"):
            self.send_error(503)
        else:
            self.asked.append(self.path)
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815 - its base class says so

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    put(tmp_path / "secret.jpg", b"secret")
    put(tmp_path / "photos/taj/a b.png")
    manifest(
        tmp_path / "photos", "path,landmark\ntaj/a b.png,x\naway.png,x\ngone.png,x\nbusy.png,x\n"
    )
    asked: list[str] = []
    handler = type("Handler", (Files,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *rest: handler(*rest, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/photos", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_photos_are_read_from_a_web_server_and_redirects_are_not_followed(web):
    base, asked = web
    allowed = sources(base)
    good, away, gone, busy = allowed.open(f"{base}/m.csv").entries()
    assert allowed.read(good, 100) == b"photo"
    with pytest.raises(InvalidPhotoError, match="larger"):
        allowed.read(good, 4)
    for ask in (lambda: allowed.read(away, 100), lambda: allowed.version(away)):
        with pytest.raises(InvalidPhotoError, match="TooManyRedirects"):
            ask()
    with pytest.raises(NotFoundError):
        allowed.read(gone, 100)
    with pytest.raises(UnavailableError):
        allowed.read(busy, 100)
    assert allowed.version(good) == allowed.version(good) != ""
    assert not any("secret" in path for path in asked)


def test_a_web_servers_folder_is_listed_where_it_shows_one(web):
    base, _ = web
    (entry,) = sources(base).open(base).entries()
    assert (entry.path, entry.landmark) == ("taj/a b.png", "taj")
    assert sources(base).read(entry, 100) == b"photo"


def test_a_web_server_that_is_away_may_come_back():
    allowed = sources("http://127.0.0.1:9/photos")
    with pytest.raises(UnavailableError):
        allowed.open("http://127.0.0.1:9/photos/m.csv").check()


def test_a_list_has_an_address_in_each_line(web, root):
    base, asked = web
    photo = put(root / "in a folder/b.png")
    lines = ["# mine", "", f"{base}/taj/a%20b.png", str(photo), "https://elsewhere/x.jpg", "b.png"]
    (root / "photos.txt").write_text("\n".join(lines))
    allowed = Sources(SourceRoots([str(root), base]))
    source = allowed.open(str(root / "photos.txt"))
    remote, local, forbidden, relative = source.entries()
    assert source.name == "photos"
    assert remote.path == f"{base.removeprefix('http://')}/taj/a b.png"
    assert allowed.read(remote, 100) == b"photo"
    assert (local.path, local.landmark) == (str(photo)[1:], None)
    assert allowed.read(local, 100) == b"photo"
    assert forbidden.path == "elsewhere/x.jpg"  # as if it were allowed, so that it is not "gone"
    assert "line 5 of the list" in forbidden.problem
    assert "not below an allowed root" in forbidden.problem
    assert "line 6 of the list" in relative.problem
    assert not any("elsewhere" in path for path in asked)
    with pytest.raises(InvalidInputError, match="is a list; only a manifest"):
        list(allowed.open(str(root / "photos.txt"), ["train"]).entries())
    (root / "empty.txt").write_text("# none\n")
    with pytest.raises(InvalidInputError, match="no addresses"):
        list(allowed.open(str(root / "empty.txt")).entries())


def test_an_unreadable_entry_is_reported_and_not_skipped(root):
    (root / "nas").symlink_to(root / "away")
    (root / "loop").symlink_to(root / "loop")
    found = {entry.path: entry.problem for entry in entries(root, root) if entry.problem}
    assert "cannot be followed" in found["nas"]
    assert "cannot be followed" in found["loop"]


class Failing(fsspec.AbstractFileSystem):
    """Lists one folder, and fails in the one below."""

    protocol = "failing"

    def ls(self, path, detail=True, **_):
        if path.rstrip("/").endswith("below"):
            raise OSError(errno.EBUSY, "slow down")
        found = [
            {"name": f"{path}/a.jpg", "type": "file", "size": 1},
            {"name": f"{path}/below", "type": "directory", "size": 0},
        ]
        return found if detail else [one["name"] for one in found]


def test_a_folder_of_an_object_store_that_cannot_be_listed_is_not_empty():
    fsspec.register_implementation("failing", Failing, clobber=True)
    allowed = Sources(SourceRoots(["failing://photos"]))
    with pytest.raises(UnavailableError, match="slow down"):
        list(allowed.open("failing://photos").entries())


def test_a_folder_that_cannot_be_listed_is_reported_and_the_rest_is_listed(root, monkeypatch):
    (root / "closed").mkdir()
    scandir = os.scandir

    def refusing(path):
        if Path(f"/proc/self/fd/{path}").readlink().name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    before = [entry.path for entry in entries(root, root)]
    monkeypatch.setattr(os, "scandir", refusing)
    found = {entry.path: entry.problem for entry in entries(root, root)}
    assert found.pop("closed") == "it cannot be read: Permission denied"
    assert list(found) == before


def test_photos_of_a_zip_file_with_unnormalised_names_are_reported(root):
    with zipfile.ZipFile(root / "dotted.zip", "w") as file:
        file.writestr("./1.jpg", b"photo")
        file.writestr("plain/2.jpg", b"photo")
    dotted, plain = sorted(entries(root, root / "dotted.zip"), key=lambda entry: entry.path)
    assert (dotted.path, "./1.jpg" in dotted.problem) == ("1.jpg", True)
    assert (plain.path, plain.problem) == ("plain/2.jpg", "")


@pytest.mark.parametrize(("name", "first"), [("l.txt", "/x.jpg"), ("m.csv", "path,landmark")])
def test_a_line_that_would_fill_the_memory_is_refused(root, name, first):
    (root / name).write_text(first + "\n" + "x" * 1_000_001)
    with pytest.raises(InvalidInputError, match="a line of more than 1,000,000 characters"):
        entries(root, root / name)


# Manifests that may not say what was meant

ROWS = [f"{n}.jpg,Atomium" for n in range(12)]


@pytest.mark.parametrize(
    ("bad", "further"),
    [
        ('3.jpg,"Big Ben', ""),
        ('"3.jpg,Big Ben', ""),
        ('3.jpg,"Big Ben', '8.jpg,"Atomium"'),
        ('3.jpg,"Big Ben', '8.jpg,Atomium"'),
        ('3.jpg,Big Ben,"a tower', '8.jpg,Atomium,5"'),
        ('3.jpg,Big Ben,"', '8.jpg,Atomium,"'),
    ],
)
def test_a_quote_that_is_not_closed_is_refused_with_its_line(root, bad, further):
    rows = [*ROWS]
    rows[3] = bad
    rows[8] = further or rows[8]
    source = manifest(root, "\n".join(["path,landmark,note", *rows, ""]))
    with pytest.raises(InvalidInputError, match=r"line 5: a quote is opened there and not closed"):
        sources(root).open(source).check()


def test_cells_of_several_lines_and_quotes_in_cells_are_read(root):
    rows = ['1.jpg,"Big ""Ben""","a tower,\nand its clock, of 1859"', '2.jpg,Atomium,5" of steel']
    first, second = entries(root, manifest(root, "path,landmark,note\n" + "\n".join(rows)))
    assert (first.landmark, first.columns) == (
        'Big "Ben"',
        {"note": "a tower,\nand its clock, of 1859"},
    )
    assert second.columns == {"note": '5" of steel'}


def test_a_column_without_a_name_is_left_out_and_said(root):
    source = sources(root).open(manifest(root, ",path,landmark,\n0,taj/a.png,Taj,x\n"))
    (entry,) = source.entries()
    assert (entry.path, entry.landmark, entry.columns) == ("taj/a.png", "Taj", {})
    assert source.notes == (
        "left out: column 1, 4 of the manifest, which its first line does not name",
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("taj/a.png,Taj\n", ""),
        ("taj/a.png,Taj\ntaj/b.p", "line 3 of the manifest has fewer cells"),
        ("taj/a.png,Taj,more\n", "more cells"),
        ("../a.png,Taj\ntaj/a.png,Taj\n", "climbs out"),
    ],
)
def test_a_source_says_why_photos_may_be_missing_from_its_list(root, rows, said):
    source = sources(root).open(manifest(root, "path,landmark\n" + rows))
    assert list(source.entries())
    assert said in source.doubt
    assert bool(source.doubt) is bool(said)


# Pages of a web server that lead elsewhere

SECRET = "secret"
OUTWARD = [
    "../{0}.jpg",
    "%2e%2e/{0}.jpg",
    "%2E./{0}.jpg",
    "%252e%252e/{0}.jpg",
    "..%2f{0}.jpg",
    "taj/..%2f..%2f{0}.jpg",
    "taj/../../{0}.jpg",
    "..;x/{0}.jpg",
    "..\\{0}.jpg",
    "..%5c{0}.jpg",
    "/{0}.jpg",
    "/photos/../{0}.jpg",
    "/photos/%2e%2e/{0}.jpg",
    "//{host}/{0}.jpg",
    "http://{host}/{0}.jpg",
    "http://{host}/photos/../{0}.jpg",
    "http://{host}/photosandmore/{0}.jpg",
    "http://elsewhere.invalid/photos/{0}.jpg",
    "https://{host}/photos/{0}.jpg",
    ".\t./{0}.jpg",
    "file:///photos/{0}.jpg",
    "a.jpg?/../{0}.jpg",
    "a.jpg#/../{0}.jpg",
]


class Pages(http.server.BaseHTTPRequestHandler):
    """Serves pages from a dictionary, as a server that takes addresses as they come."""

    pages: dict[str, str]
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        page = self.pages.get(self.path)
        if page is None and self.path + "/" in self.pages:
            self.send_response(301)
            self.send_header("Location", self.path + "/")
            self.end_headers()
        elif page is None:
            self.send_error(404)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

    do_HEAD = do_GET  # noqa: N815 - its base class says so

    def log_message(self, *_):
        pass


@pytest.fixture
def pages() -> Iterator[type[Pages]]:
    made = type("Made", (Pages,), {"pages": {}, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), made)
    made.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def page(*links: str) -> str:
    return "<html>" + "".join(f'<a class=x\nHREF = "{link}">x</a>' for link in links)


def test_links_of_a_page_that_lead_out_of_its_folder_are_not_followed(pages):
    out = [link.format(SECRET, host=pages.host) for link in OUTWARD]
    folders = [link.replace(f"{SECRET}.jpg", f"{SECRET}/") for link in out]
    pages.pages |= {"/photos/": page("a%20b.jpg", "taj/", "../", "?C=N;O=D", *out, *folders)}
    pages.pages |= {"/photos/taj/": page("/photos/taj/c.png", "../", *out, *folders)}
    base = f"http://{pages.host}/photos"
    found = list(sources(base).open(base).entries())
    assert [(one.path, one.problem) for one in found] == [("a b.jpg", ""), ("taj/c.png", "")]
    assert pages.asked == ["/photos/", "/photos/taj/"]


def test_an_empty_folder_of_a_web_server_is_empty(pages):
    pages.pages |= {"/photos/": page("a.jpg", "none/", "taj/"), "/photos/none/": page("../")}
    pages.pages |= {"/photos/taj/": page("b.jpg")}
    base = f"http://{pages.host}/photos"
    assert [one.path for one in sources(base).open(base).entries()] == ["a.jpg", "taj/b.jpg"]


def test_a_dead_link_to_a_folder_is_reported_and_the_rest_is_listed(pages):
    pages.pages |= {"/photos/": page("gone/", "taj/"), "/photos/taj/": page("b.jpg")}
    base = f"http://{pages.host}/photos"
    source = sources(base).open(base)
    gone, photo = source.entries()
    assert (gone.path, photo.path) == ("gone", "taj/b.jpg")
    assert gone.problem == f"it cannot be listed: {base}/gone/ does not exist"
    assert gone.problem in source.doubt
    with pytest.raises(NotFoundError, match="elsewhere/ does not exist"):
        list(sources(base).open(f"{base}/elsewhere").entries())


@pytest.mark.parametrize(
    "path", ["%25252e%25252e/x.jpg", "..;/x.jpg", "..%5cx.jpg", "%2e%2e;a=b/x.jpg"]
)
def test_an_address_that_some_server_takes_for_one_above_is_refused(path):
    with pytest.raises(ForbiddenError):
        SourceRoots(["https://host/photos"]).read(f"https://host/photos/{path}", 10)


# Links that are swapped while photos are read


@pytest.fixture
def swapping(root, tmp_path, monkeypatch):
    """Once a path below `taj` was resolved, `taj` is a link out of the root."""
    put(tmp_path / "outside/a.png", SECRET.encode())
    put(tmp_path / "outside/other.png")
    realpath = os.path.realpath

    def then_swapped(path, **options):
        resolved = realpath(path, **options)
        if "/taj" in str(path) and not (root / "taj").is_symlink():
            (root / "taj").rename(tmp_path / "moved")
            (root / "taj").symlink_to(tmp_path / "outside")
        return resolved

    allowed = sources(root)
    monkeypatch.setattr(os.path, "realpath", then_swapped)
    return allowed


def test_a_folder_that_becomes_a_link_out_is_not_read_through(swapping, root):
    with pytest.raises(LandmarksError):
        swapping.read(Entry("taj/a.png", f"file://{root}/taj/a.png"), 100)


def test_a_folder_that_becomes_a_link_out_tells_no_version(swapping, root):
    with pytest.raises(LandmarksError):
        swapping.version(Entry("taj/a.png", f"file://{root}/taj/a.png"))


def test_a_folder_that_becomes_a_link_out_is_not_listed(root, tmp_path, monkeypatch):
    put(tmp_path / "outside/other.png")
    scandir = os.scandir

    def then_swapped(path):
        found = scandir(path)
        if not (root / "taj").is_symlink():
            (root / "taj").rename(tmp_path / "moved")
            (root / "taj").symlink_to(tmp_path / "outside")
        return found

    monkeypatch.setattr(os, "scandir", then_swapped)
    found = {entry.path: entry.problem for entry in entries(root, root)}
    assert found["taj"]
    assert "taj/other.png" not in found


# Zip files are opened once


def test_the_directory_of_a_zip_file_is_read_once_for_all_its_photos(root, archive, monkeypatch):
    opened = []
    make = zipfile.ZipFile.__init__
    monkeypatch.setattr(
        zipfile.ZipFile,
        "__init__",
        lambda *rest, **more: (opened.append(1), make(*rest, **more))[1],
    )
    allowed = sources(root)
    photos = [one for one in allowed.open(str(archive)).entries() if "bomb" not in one.path] * 20
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda one: allowed.read(one, 100), photos)) == {b"photo"}
    assert len(opened) == 1


def test_a_zip_file_that_was_replaced_is_opened_again(root, archive):
    allowed = sources(root)
    entry = Entry("set/c.png", f"zip://set/c.png::file://{archive}")
    assert allowed.read(entry, 100) == b"photo"
    with zipfile.ZipFile(root / "new.zip", "w") as file:
        file.writestr("set/c.png", b"new")
    (root / "new.zip").rename(archive)
    assert allowed.read(entry, 100) == b"new"


def test_only_the_zip_files_that_were_used_last_stay_open(root):
    allowed = sources(root)
    entries = []
    for number in range(9):
        with zipfile.ZipFile(root / f"{number}.zip", "w") as file:
            file.writestr("a.png", str(number))
        entries.append(Entry("a.png", f"zip://a.png::file://{root}/{number}.zip"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for entry in entries * 2:
        assert allowed.read(entry, 100) == entry.uri[-5:-4].encode()
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 4


def test_a_file_uri_may_have_its_characters_encoded(tmp_path):
    root = tmp_path / "Café à 100%"
    put(root / "taj/a b.png")
    (tmp_path / "all.zip").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "é.zip", "w") as file:
        file.writestr("x/1.png", b"photo")
    assert "%C3%A9" in root.as_uri()
    allowed = sources(tmp_path.as_uri())
    source = allowed.open(root.as_uri())
    assert source.name == "Café à 100%"
    (entry,) = source.entries()
    assert allowed.read(entry, 100) == b"photo"
    (entry,) = allowed.open((tmp_path / "é.zip").as_uri()).entries()
    assert allowed.read(entry, 100) == b"photo"
    local = allowed.open(root.as_uri().replace("file:///", "file://localhost/"))
    assert [one.path for one in local.entries()] == ["taj/a b.png"]


def test_a_name_with_a_percent_sign_is_read_as_it_is_written(root):
    put(root / "taj/a%20b.png", b"percent")
    put(root / "taj/a b.png", b"blank")
    found = {entry.path: entry for entry in entries(root, root)}
    assert sources(root).read(found["taj/a%20b.png"], 100) == b"percent"
    with pytest.raises(ForbiddenError):
        sources(root).open(f"file://{root}/%2e%2e/")


@pytest.mark.parametrize("text", ["Notes on the trip\n/photos/x.jpg\n", "\n# x\nlicence: cc0\n"])
def test_a_text_that_is_no_list_of_addresses_is_refused(root, text):
    (root / "notes.txt").write_text(text)
    with pytest.raises(InvalidInputError, match=r"is not a list of photos: line [13], .* neither"):
        sources(root).open(str(root / "notes.txt")).check()


def test_links_are_found_however_a_page_writes_them():
    text = """<A href=a.jpg>a</A> <a title='x' href='b&amp;c.jpg'>b</a> <a\nHREF = "d%20e.jpg" >
        <area href="f.jpg"> <b href=h.jpg> <a href=""> <a href="i.jpg"""
    assert links_below(text, "https://host/x/") == ["a.jpg", "b&c.jpg", "d e.jpg"]


@pytest.mark.parametrize("part", ["<a ", '<a href="', "<!--", "<a href ", "<a href='a.jpg' "])
def test_a_page_that_is_damaged_on_purpose_is_read_once(part):
    assert len(links_below(part * 300_000, "https://host/x/")) <= 1


def test_a_link_that_is_gone_while_it_is_followed_is_a_missing_photo(root, monkeypatch):
    allowed = sources(root)

    def gone(path, **_):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    monkeypatch.setattr(os.path, "realpath", gone)
    with pytest.raises(NotFoundError, match="does not exist"):
        allowed.read(Entry("taj/a.png", f"file://{root}/taj/a.png"), 100)
