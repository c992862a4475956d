#!/bin/sh
# Regenerates the Python stubs beside the packages that import them: pixvec/*/v1 and buf/validate.
# Usage: protos/generate.sh [OUTPUT_DIR]
set -eu
cd "$(dirname "$0")/.."
out=${1:-.}
python=${PYTHON:-.venv/bin/python}
PATH="$(dirname "$python"):$PATH"
"$python" -m grpc_tools.protoc -I protos --python_out="$out" --pyi_out="$out" protos/buf/validate/validate.proto
"$python" -m grpc_tools.protoc -I protos --python_out="$out" --pyi_out="$out" protos/pixvec/*/v1/*.proto
"$python" -m grpc_tools.protoc -I protos --grpc_python_out="$out" --mypy_grpc_out="quiet:$out" protos/pixvec/*/v1/*_service.proto
