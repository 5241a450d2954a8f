#!/usr/bin/env bash
# Evaluates on a SLURM cluster.
set -euo pipefail
TOOLS=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/launch_common.sh
source "$TOOLS/launch_common.sh"

(($# >= 4)) || fail "usage: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [GPUS] [options of \
test.py...]
  GPUS: of all nodes together (default: 8)
  Environment: GPUS_PER_NODE CPUS_PER_TASK SRUN_ARGS PORT PYTHON"
partition=$1 job=$2 config=$3 checkpoint=$4
shift 4
gpus=8
if (($#)) && is_count "$1"; then
  gpus=$1
  shift
fi
start_on_slurm "$partition" "$job" test.py "$gpus" "$config" "$checkpoint" "$@"
