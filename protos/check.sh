#!/bin/sh
# Checks the protos against what is made from them, and against main. Says what is wrong and what to run.
# Usage: protos/check.sh generated | breaking
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
    echo "$1" >&2
    exit 1
}

stubs_in() {
    (cd "$1" && find pixvec/*/v1 buf -name '*_pb2*.py*' ! -name '*.pyc')
}

stub_faults() {
    { stubs_in . && stubs_in "$scratch"; } | sort -u | while read -r file; do
        if [ ! -e "$scratch/$file" ]; then
            echo "$file is made from no proto: delete it"
        elif ! cmp -s "$scratch/$file" "$file"; then
            echo "$file is not what the protos say: run make protos"
        fi
    done
}

generated() {
    PYTHON="$python" protos/generate.sh "$scratch"
    "$python" docs/generate_api.py "$scratch/api.md"
    faults=$(stub_faults)
    cmp -s "$scratch/api.md" docs/api.md || faults="$faults
docs/api.md is not what the protos say: run make docs"
    "$python" docs/generate_operations.py "$scratch/operations.md"
    cmp -s "$scratch/operations.md" docs/operations.md || faults="$faults
docs/operations.md is not what pixvec/settings.py says: run make docs"
    [ -z "$faults" ] || fail "$faults"
    echo "Stubs, docs/api.md and docs/operations.md are what they are made from."
}

commit_of_main() {
    git rev-parse --verify --quiet 'main^{commit}' 2>/dev/null ||
        git rev-parse --verify --quiet 'origin/main^{commit}' 2>/dev/null
}

breaking() {
    if [ -n "${BREAKING:-}" ]; then
        echo "Skipped: buf breaking. BREAKING is set."
    elif ! main=$(commit_of_main); then
        echo "Skipped: buf breaking. There is no commit of main here, as in a shallow clone: git fetch origin main:main"
    else
        git archive "$main" protos buf.yaml | tar -x -C "$scratch"
        "$BUF" breaking --against "$scratch" ||
            fail "The protos above break what main has: add instead. If it is meant, run make check BREAKING=meant"
        echo "The protos break nothing that main has."
    fi
}

case "${1:-}" in
    generated | breaking) "$1" ;;
    *) fail "usage: protos/check.sh generated | breaking" ;;
esac
