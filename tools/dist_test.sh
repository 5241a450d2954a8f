#!/usr/bin/env bash
# Evaluates on several GPUs of one node, or of several nodes; without any GPU, on CPU processes.
set -euo pipefail
TOOLS=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/launch_common.sh
source "$TOOLS/launch_common.sh"

(($# >= 3)) || fail "usage: dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py...]
  Environment: NNODES NODE_RANK MASTER_ADDR PORT (several nodes), PYTHON, OMP_NUM_THREADS"
start test.py "$3" "$1" "$2" "${@:4}"
