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

  local python rendezvous=()
  python=$(find_python)
  choose_rendezvous
  # Every start of an elastic run goes on from where the last one ended.
  if [[ $script == train.py && ${rendezvous[0]} == --rdzv-backend && " $* " != *" --resume"* ]]; then
    set -- "$@" --resume
  fi

  # Without a setting torchrun allows one thread only, and MMEngine sets MKL to one.
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(threads_per_process "$processes")}
  export MKL_NUM_THREADS=${MKL_NUM_THREADS:-$OMP_NUM_THREADS}
  exec "$python" -m mmvan.engine.launch "${rendezvous[@]}" --nproc-per-node "$processes" \
    "$TOOLS/$script" "$@" --launcher pytorch
}

# choose_rendezvous: set torchrun's options in `rendezvous` by the environment.
choose_rendezvous() {
  local nodes=${NNODES:-1}
  if [[ -n ${RDZV_ENDPOINT:-} ]]; then
    [[ $nodes =~ ^[1-9][0-9]*(:[1-9][0-9]*)?$ ]] ||
      fail "NNODES is '$nodes'; expected a number of nodes, or the least and the most, as in 1:2"
    [[ ${MAX_RESTARTS:-3} =~ ^[0-9]+$ ]] ||
      fail "MAX_RESTARTS is '$MAX_RESTARTS'; expected an integer from 0"
    rendezvous=(--rdzv-backend c10d --rdzv-endpoint "$RDZV_ENDPOINT" --rdzv-id "${RDZV_ID:-mmvan}"
      --nnodes "$nodes" --max-restarts "${MAX_RESTARTS:-3}")
    # torchrun of PyTorch 2.13 gives a node that comes back no address of the first process, unless
    # the processes connect by a store of their own.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=${TORCH_DISABLE_SHARE_RDZV_TCP_STORE:-1}
    # By itself torchrun knows only the addresses that the host's name resolves to.
    if [[ -n ${LOCAL_ADDR:-} ]]; then
      local is_host=0
      [[ ${RDZV_ENDPOINT%:*} != "$LOCAL_ADDR" ]] || is_host=1
      rendezvous+=(--local-addr "$LOCAL_ADDR" --rdzv-conf "is_host=$is_host")
    fi
    return
  fi
  [[ -z ${MAX_RESTARTS:-} ]] ||
    fail "MAX_RESTARTS: restarts need RDZV_ENDPOINT=HOST:PORT, where the nodes find each other"
  require_count NNODES "$nodes"
  if ((nodes == 1)) && [[ -z ${PORT:-} ]]; then
    # A free port. Of itself torchrun waits for minutes where the host's own name leads nowhere, as in
    # many containers.
    rendezvous=(--standalone --local-addr 127.0.0.1)
    return
  fi
  [[ $nodes == 1 || -n ${MASTER_ADDR:-} ]] ||
    fail "NNODES=$nodes: set MASTER_ADDR to the address of node 0, and NODE_RANK on every node"
  rendezvous=(--nnodes "$nodes" --node-rank "${NODE_RANK:-0}"
    --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}")
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
  local command=(srun --partition="$partition" --job-name="$job" --gres="gpu:$per_node"
    --ntasks="$gpus" --ntasks-per-node="$per_node" --cpus-per-task="${CPUS_PER_TASK:-5}"
    --kill-on-bad-exit=1)
  local program=("$python" -u "$TOOLS/$script" "$@" --launcher slurm)
  [[ $script == train.py ]] || exec "${command[@]}" "${extra[@]}" "${program[@]}"
  # A job that was started before goes on. The last --resume counts, if there are several.
  [[ -z ${SLURM_RESTART_COUNT:-} ]] || program+=(--resume)
  # Two minutes before the time limit, training writes a checkpoint and asks to be started again.
  train_until_done "${command[@]}" --signal=USR1@120 "${extra[@]}" "${program[@]}"
}

# train_until_done COMMAND...: start it again for as long as it ends with REQUEUE_STATUS of
# mmvan.engine.signals: the batch job that this belongs to, or srun itself where there is none.
train_until_done() {
  local status
  while run_child "$@" && status=0 || status=$?; ((status == 75)); do
    if [[ -n ${SLURM_JOB_ID:-} ]]; then
      scontrol requeue "$SLURM_JOB_ID" || echo "start the job again with --resume" >&2
      break
    fi
    set -- "$@" --resume
  done
  exit "$status"
}

# run_child COMMAND...: run it and pass signals on to it; bash alone would end and leave it running.
run_child() {
  local child status
  set -m # in a group of its own, or Ctrl-C would be ignored
  "$@" </dev/null &
  child=$!
  set +m
  trap 'kill -TERM "$child"' TERM
  trap 'kill -INT "$child"' INT
  while wait "$child" && status=0 || status=$?; kill -0 "$child" 2>/dev/null; do :; done
  wait "$child" && status=0 || status=$?
  trap - TERM INT
  return "$status"
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
