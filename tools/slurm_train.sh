#!/usr/bin/env bash
# Trains on a SLURM cluster.
set -euo pipefail
TOOLS=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/launch_common.sh
source "$TOOLS/launch_common.sh"

(($# >= 3)) || fail "usage: slurm_train.sh PARTITION JOB_NAME CONFIG [GPUS] [options of train.py...]
  GPUS: of all nodes together (default: 8)
  Environment: GPUS_PER_NODE CPUS_PER_TASK SRUN_ARGS PORT PYTHON"
partition=$1 job=$2 config=$3
shift 3
gpus=8
if (($#)) && is_count "$1"; then
  gpus=$1
  shift
fi
start_on_slurm "$partition" "$job" train.py "$gpus" "$config" "$@"
