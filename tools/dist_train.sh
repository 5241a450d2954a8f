#!/usr/bin/env bash
# Trains on several GPUs of one node, or of several nodes; without any GPU, on as many CPU processes.
set -euo pipefail
TOOLS=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/launch_common.sh
source "$TOOLS/launch_common.sh"

(($# >= 2)) || fail "usage: dist_train.sh CONFIG GPUS [options of train.py...]
  Environment: NNODES NODE_RANK MASTER_ADDR PORT (several nodes), or RDZV_ENDPOINT=HOST:PORT NNODES
  MAX_RESTARTS RDZV_ID LOCAL_ADDR (nodes that come and go), PYTHON, OMP_NUM_THREADS"
start train.py "$2" "$1" "${@:3}"
