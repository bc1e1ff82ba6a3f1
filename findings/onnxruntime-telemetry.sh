#!/bin/sh
# onnxruntime 1.32.0 from the package index, on Linux: importing it writes a lasting id of the
# machine into the user's cache, and some ten seconds later it looks up its maker's address to report
# the process. Expected, from its documents of many years: only Windows builds report. Where CI is
# set it does neither, so no build server ever sees it. ORT_DISABLE_TELEMETRY=1, set before the import
# (os.environ will do), ends it; ORT_TELEMETRY_DISABLED, as other programs spell it, does not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0
id=.cache/Microsoft/DeveloperTools/.onnxruntime/deviceid
imported() { # HOME [NAME=VALUE]: import it with nothing else of this environment
    home=$folder/$1
    mkdir "$home"
    shift
    env -i PATH="$PATH" HOME="$home" "$@" "$folder/venv/bin/python" -c "import onnxruntime"
    [ -e "$home/$id" ]
}
imported plain || { echo "changed: importing it writes no id" >&2; exit 1; }
echo "id: $(cat "$folder/plain/$id")" >&2
! imported ci CI=true || { echo "changed: it writes an id where CI is set, too" >&2; exit 1; }
! imported disabled ORT_DISABLE_TELEMETRY=1 || {
    echo "changed: ORT_DISABLE_TELEMETRY=1 does not keep it from writing an id" >&2
    exit 1
}
imported misspelt ORT_TELEMETRY_DISABLED=1 || {
    echo "changed: ORT_TELEMETRY_DISABLED works, too" >&2
    exit 1
}
echo "as found: onnxruntime 1.32.0 writes an id of the machine when imported, unless CI is set"
