#!/usr/bin/env bash
# Training over the ranks of Open MPI and of MPICH: Tests/Cluster/ranks.sh [PROGRAM]
#
# 1. LoRA and preference model of 1, 2, 3 and 4 ranks are those of one process, for two kinds of groups.
# 2. SIGTERM and SIGINT to any rank end all with 143 and 130, with a checkpoint of the batch at hand.
# 3. A library that is not the launcher's, none, and nested launchers are refused within five seconds.
# 4. Two ranks of one thread against one process of two.
#
# Needs openmpi-bin and mpich (apt-get).
set -euo pipefail
cd "$(dirname "$0")/../.."
SPO=$(realpath "${1:-.build/release/spo}")
BED=$(mktemp -d)
trap 'rm -rf "$BED"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
PIPELINE=Tests/Fixtures/commands/small.json5
LONG="--set spo.iterations=12 --set spo.checkpoint_every=4"

fail() {
  echo "FAILED: $*" >&2
  tail -n 15 "$BED/log" >&2 || true
  exit 1
}

ranks() { # LAUNCHER COUNT WORDS...
  case $1 in
  openmpi) mpirun.openmpi --oversubscribe -n "$2" "${@:3}" ;;
  mpich) mpirun.mpich -n "$2" "${@:3}" ;;
  esac
}
train() { # NAME STAGE OPTIONS...: in one process
  "$SPO" run $PIPELINE --workspace "$BED/$1" --through "$2" --quiet "${@:3}" > "$BED/log" 2>&1 || fail "$1"
}
train_over() { # LAUNCHER COUNT NAME OPTIONS...
  ranks "$1" "$2" "$SPO" run $PIPELINE --workspace "$BED/$3" --through spo --quiet "${@:4}" > "$BED/log" 2>&1
}
fresh() { # NAME: a workspace in which the data are ready
  rm -rf "${BED:?}/$1"
  cp -r "$BED/data" "$BED/$1"
}
digest() { (cd "$BED/$1" && cat spo/pytorch_lora_weights.safetensors "${@:2}" | sha256sum); }
of_rank() { # NAME RANK: its process
  local process
  for process in $(pgrep -f "^$SPO run .*$BED/$1 "); do
    if tr '\0' '\n' < "/proc/$process/environ" | grep -qE "^(OMPI_COMM_WORLD_RANK|PMI_RANK)=$2$"; then
      echo "$process"
      return
    fi
  done
}

! ldd "$SPO" | grep -qi mpi || fail "the program is linked to MPI"
train data shard

MODEL=preference/model/model.safetensors
for options in "" "--set spo.prompts_at_once=1 --set spo.micro_batch=1 --set preference.micro_batch=1"; do
  fresh alone
  train alone spo $options
  for launcher in openmpi mpich; do
    for count in 1 2 3 4; do
      fresh some
      train_over $launcher $count some $options || fail "$launcher $count $options"
      [ "$(digest some $MODEL)" = "$(digest alone $MODEL)" ] || fail "$launcher, $count ranks, $options: other bytes"
    done
  done
done
echo "ok: the bytes of one process, from 1 to 4 ranks of both libraries"

fresh trained
train trained preference
rm -rf "$BED/data"
mv "$BED/trained" "$BED/data"
fresh long
train long spo $LONG
for launcher in openmpi mpich; do
  for rank in 0 1 2; do
    for signal in TERM INT; do
      fresh some
      train_over $launcher 3 some $LONG & job=$!
      until [ -d "$BED/some/spo/.building/checkpoints/step-000004" ]; do sleep 0.05; done
      kill -$signal "$(of_rank some $rank)"
      code=0
      wait $job || code=$?
      [ $code = $([ $signal = TERM ] && echo 143 || echo 130) ] || fail "$launcher, $signal to rank $rank: $code"
      train_over $launcher 2 some $LONG || fail "$launcher: going on"
      [ "$(digest some)" = "$(digest long)" ] || fail "$launcher: other bytes after SIG$signal"
    done
  done
done
echo "ok: SIGTERM and SIGINT to each rank"

refused() { # TEXT WORDS...
  local start=$SECONDS
  ! "${@:2}" > "$BED/log" 2>&1 || fail "not refused: $1"
  grep -q "$1" "$BED/log" || fail "not named: $1"
  [ $((SECONDS - start)) -lt 6 ] || fail "slow: $1"
}
fresh some
SPO_MPI_LIBRARY=libmpich.so.12 refused "libmpich.so.12 (MPICH.* sees 1" train_over openmpi 2 some
SPO_MPI_LIBRARY=libmpi.so.40 refused "libmpi.so.40 (Open MPI.* sees 1" train_over mpich 2 some
SPO_MPI_LIBRARY=/nowhere refused "no MPI library among /nowhere" train_over mpich 2 some
refused "was started by" mpirun.openmpi --oversubscribe -n 2 mpirun.mpich -n 2 "$SPO" run $PIPELINE
echo "ok: other libraries, none, nested launchers"

seconds() { # WORDS...: of stage spo
  rm -rf "$BED/some"
  cp -r "$BED/data" "$BED/some"
  "$@" "$SPO" run $PIPELINE --workspace "$BED/some" --through spo --set spo.iterations=30 \
    --set spo.checkpoint_every=30 --set spo.pictures=0 2>&1 | sed -n 's/.*batches in \([0-9.]*\) s.*/\1/p'
}
sed 's/threads: 1/threads: 2/' $PIPELINE > "$BED/two.json5"
for round in 1 2 3; do
  one=$(seconds ranks openmpi 2)
  two=$(PIPELINE=$BED/two.json5 seconds)
  echo "30 batches: two ranks of one thread $one s, one process of two threads $two s"
done
