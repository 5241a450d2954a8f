# Shared by the dist_*.sh and slurm_*.sh launchers, which set TOOLS to this directory.
# shellcheck shell=bash

fail() {
  echo "error: $*" >&2
  exit 2
}

# start SCRIPT PROCESSES [ARGUMENT...]: run SCRIPT with the arguments in that many processes.
start() {
  local script=$1 processes=$2
  shift 2
  require_count GPUS "$processes"

  local nodes=${NNODES:-1} rendezvous python
  require_count NNODES "$nodes"
  python=$(find_python)
  if ((nodes == 1)) && [[ -z ${PORT:-} ]]; then
    rendezvous=(--standalone) # takes a free port
  else
    [[ $nodes == 1 || -n ${MASTER_ADDR:-} ]] ||
      fail "NNODES=$nodes: set MASTER_ADDR to the address of node 0, and NODE_RANK on every node"
    rendezvous=(--nnodes "$nodes" --node-rank "${NODE_RANK:-0}"
      --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}")
  fi

  # Without a setting torchrun allows one thread only, and MMEngine sets MKL to one.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(threads_per_process "$processes")}
  export MKL_NUM_THREADS=${MKL_NUM_THREADS:-$OMP_NUM_THREADS}
  exec "$python" -m mmvan.engine.launch "${rendezvous[@]}" --nproc-per-node "$processes" \
    "$TOOLS/$script" "$@" --launcher pytorch
}

# start_on_slurm PARTITION JOB_NAME SCRIPT GPUS [ARGUMENT...]: the same through srun, on any number
# of nodes.
start_on_slurm() {
  local partition=$1 job=$2 script=$3 gpus=$4 python extra
  shift 4
  local per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
  require_count GPUS_PER_NODE "$per_node"
  python=$(find_python)
  read -ra extra <<<"${SRUN_ARGS:-}"
  # MMEngine's fixed default would collide with another job on the same node.
  export MASTER_PORT=${PORT:-$((20000 + RANDOM % 20000))}
  exec srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node" --ntasks="$gpus" \
    --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
    "${extra[@]}" "$python" -u "$TOOLS/$script" "$@" --launcher slurm
}

is_count() {
  [[ $1 =~ ^[1-9][0-9]*$ ]]
}

require_count() {
  is_count "$2" || fail "$1 is '$2'; expected a positive integer"
}

threads_per_process() {
  local cores
  cores=$(getconf _NPROCESSORS_ONLN)
  echo $((cores > $1 ? cores / $1 : 1))
}

# PYTHON, else the project's own environment of either family, else the one on PATH.
find_python() {
  local own
  if [[ -n ${PYTHON:-} ]]; then
    echo "$PYTHON"
    return
  fi
  for own in "$TOOLS"/../.venv/bin/python "$TOOLS"/../.venv-onedl/bin/python; do
    if [[ -x $own ]]; then
      echo "$own"
      return
    fi
  done
  command -v python3
}
