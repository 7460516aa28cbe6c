#!/usr/bin/env bash
# Installs checkov, pinned, into .cache/tools/checkov-VERSION by Python's venv and pip: some minutes and 400 MB once. It is a second
# opinion on the chart's security beside kube-score; where it is missing, the tests of the chart say so and go on.
#
#   checkov.sh               install, then print the program's path on the last line
#   checkov.sh --print-path  only print the path; fails when it is missing
set -euo pipefail

version=3.3.30
folder=$(cd "$(dirname "$0")/../.." && pwd)/.cache/tools/checkov-$version
say() { echo "checkov: $*" >&2; }

if [ ! -x "$folder/bin/checkov" ]; then
    if [ "${1:-}" = --print-path ]; then
        say "$folder/bin/checkov is missing; hack/tools/checkov.sh installs it"
        exit 1
    fi
    command -v python3 >/dev/null || { say 'python3 is needed: get it with your package manager'; exit 1; }
    say "installing checkov $version into $folder, some minutes"
    python3 -m venv "$folder" || { say 'python3 has no venv: on Debian and Ubuntu install python3-venv'; exit 1; }
    "$folder/bin/pip" install --quiet --disable-pip-version-check "checkov==$version" >&2
fi
echo "$folder/bin/checkov"
