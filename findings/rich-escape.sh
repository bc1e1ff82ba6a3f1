#!/bin/sh
# rich 15.0.0: `Console.print` with markup off removes some control characters from a text and passes
# others on, ESC among them. BEL, backspace, vertical tab, form feed and carriage return are gone;
# ESC [ 2 J still clears the terminal, ESC ] 0 ; sets its title, and the C1 form of the same
# (U+009B) passes too, in plain texts and in cells of tables. Expected from a library that strips
# control codes, has `strip_control_codes`, and wrote to no terminal here: none passes, or all do.
#
# So names of files and other texts of strangers are escaped before they reach rich.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check rich==15.0.0
cat >check.py <<'END'
import io
from rich.console import Console
from rich.table import Table
from rich.text import Text

def printed(renderable):
    into = io.StringIO()
    Console(file=into, markup=False, highlight=False, color_system=None, width=80).print(renderable)
    return into.getvalue()

table = Table(box=None)
table.add_column("name")
table.add_row(Text("\x1b[2J"))
for renderable in ("\x1b[2J", Text("\x1b[2J"), table):
    assert "\x1b[2J" in printed(renderable), "changed: ESC is removed"
assert "\x9b2J" in printed("\x9b2J"), "changed: C1 controls are removed"
assert printed("a\x07\x08\x0b\x0c\rb") == "ab\n", "changed: other controls pass"
print(repr(printed("\x1b[2J\x07")))
END
venv/bin/python check.py
echo "as found: rich 15.0.0 removes BEL from a text, and lets ESC pass"
