#!/usr/bin/env bash
# A real Slurm of two nodes on this machine, for as long as the checks take: Tests/Cluster/slurm.sh [PROGRAM]
#
# 1. pipelines/cluster/slurm.sbatch submits arrays and merges; catalog, cache and shards are those of one run.
# 2. An array of two of its parts alone does what these parts do.
# 3. Training by srun over both nodes gives the LoRA of one process: PMI-2 with MPICH, PMIx with Open MPI.
# 4. A node dies with its part: Slurm requeues it, it goes on elsewhere, and the merge that waits for it is right.
#
# Needs slurm-wlm, slurm-client, munge, mpich, openmpi-bin, libpmix-dev (the plugin wants its libpmix.so) by apt-get, and
# root. Takes six minutes, two of them Slurm's own wait before it starts a task of a lost node again.
set -euo pipefail
cd "$(dirname "$0")/../.."
SPO=$(realpath "${1:-.build/release/spo}")
BED=$(mktemp -d)
export SLURM_CONF=$BED/slurm.conf SPO

begin() {
  mkdir -p "$BED"/{state,n1/tmp,n2/tmp,log,munge}
  chmod 755 "$BED" "$BED/munge"
  dd if=/dev/urandom of="$BED/munge/key" bs=1024 count=1 status=none
  chown -R munge "$BED/munge"
  chmod 400 "$BED/munge/key"
  local host
  host=$(hostname -s)
  cat > "$SLURM_CONF" << END
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
AuthType=auth/munge
AuthInfo=socket=$BED/munge/munge.socket
SlurmUser=root
SlurmdUser=root
SlurmctldPidFile=$BED/slurmctld.pid
SlurmdPidFile=$BED/slurmd.%n.pid
SlurmctldLogFile=$BED/log/slurmctld.log
SlurmdLogFile=$BED/log/slurmd.%n.log
SlurmdSpoolDir=$BED/%n
# The plugin of PMIx makes its folders here: two nodes on one machine must not share them.
TmpFS=$BED/%n/tmp
StateSaveLocation=$BED/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,batch_sched_delay=1,bf_interval=2
ReturnToService=2
SlurmdTimeout=10
KillWait=5
MaxArraySize=20001
MaxJobCount=30000
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17001 CPUs=1 RealMemory=1000
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17002 CPUs=1 RealMemory=1000
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
END
  su -s /bin/sh munge -c "munged --socket=$BED/munge/munge.socket --key-file=$BED/munge/key \
    --pid-file=$BED/munge/pid --log-file=$BED/munge/log --seed-file=$BED/munge/seed"
  slurmctld -f "$SLURM_CONF"
  slurmd -f "$SLURM_CONF" -N n1
  slurmd -f "$SLURM_CONF" -N n2
  until [ "$(sinfo -h -o %T | sort -u)" = idle ]; do sleep 1; done
}

# The numbers of the processes that this script has started, by the files in which they left them.
end() {
  scancel --user=root 2> /dev/null || true
  sleep 2
  for file in "$BED"/slurmd.n1.pid "$BED"/slurmd.n2.pid "$BED"/slurmctld.pid "$BED"/munge/pid; do
    [ -f "$file" ] && kill "$(cat "$file")" 2> /dev/null || true
  done
  sleep 1
  if [ "${KEEP:-}" ]; then echo "kept: $BED"; else rm -rf "$BED"; fi
}
trap end EXIT

fail() {
  echo "FAILED: $*" >&2
  tail -n 5 "$BED"/work/*.out >&2 || true
  exit 1
}

pipeline() { # NAME: a pipeline whose files go to BED/NAME, on enough comparisons to be killed among
  cat > "$BED/$1.json5" << END
{ workspace: "$BED/$1", threads: 1, model: "$PWD/data/tiny-sd",
  stages: { ingest: { source: "$PWD/data/pickapic-sample/data/*.parquet" }, encode: { batch: 4 },
            shard: { shard_size_mb: 2 } } }
END
}

digests() { # NAME: of all that later stages read
  python3 - "$BED/$1" << 'END'
import hashlib, pathlib, sqlite3, sys
folder = pathlib.Path(sys.argv[1])
for name in ["catalog", "cache"]:
    database = sqlite3.connect(f"file:{folder}/{name}.sqlite?immutable=1", uri=True)
    text = "\n".join(database.iterdump())
    print(hashlib.sha256(text.encode()).hexdigest(), name)
for path in sorted((folder / "shards").iterdir()):
    if path.is_file():
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
END
}

finish() { # until no job is left
  until [ -z "$(squeue -h)" ]; do
    # A merge whose array failed is cancelled by Slurm; a part that failed would wait for ever.
    sleep 2
  done
}

same() {
  diff <(digests whole) <(digests "$1") || fail "$2: not what one run gives"
  echo "ok: $2"
}

begin
mkdir "$BED/work"
for name in whole chain some lost; do pipeline $name; done
"$SPO" run "$BED/whole.json5" --quiet

# The script itself runs where the pipeline's paths start; its output files go to the same place.
SCRIPT=$PWD/pipelines/cluster/slurm.sbatch
bash -n "$SCRIPT"
ROOT=$PWD
cd "$BED/work"
sbatch --test-only "$SCRIPT" "$BED/chain.json5" 2>&1 | grep -q "to start at" || fail "sbatch --test-only"

PARTS=4 "$SCRIPT" "$BED/chain.json5"
finish
same chain "arrays of 4 parts, each followed by its merge"
grep -q "from SLURM_ARRAY_TASK_ID" ./*.out || fail "the variable is not named"

"$SPO" run "$BED/some.json5" --through ingest --quiet
for part in 1 2 4 5 6; do
  "$SPO" run "$BED/some.json5" --through encode --partition $part/7 --quiet
done
PARTS=7 ONLY=3,7 STAGES=encode "$SCRIPT" "$BED/some.json5"
finish
"$SPO" run "$BED/some.json5" --quiet
same some "an array of two parts alone"

for name in one pmi2 pmix; do
  sed "s|runs/small|$BED/$name|; s#\"\(data\|Tests\)/#\"$ROOT/\1/#" \
    "$ROOT/Tests/Fixtures/commands/small.json5" > "$BED/$name.json5"
done
"$SPO" run "$BED/one.json5" --through spo --quiet > /dev/null
for kind in pmi2 pmix; do
  STAGES="ingest encode shard" PARTS=2 RANKS=2 MPI=$kind "$SCRIPT" "$BED/$kind.json5"
  finish
  cmp "$BED"/{one,$kind}/spo/pytorch_lora_weights.safetensors || fail "training by srun, $kind: another LoRA"
  grep -h "2 ranks on" ./*.out | tail -n 1
  echo "ok: training by srun over two nodes, $kind"
done

"$SPO" run "$BED/lost.json5" --through ingest --quiet
PARTS=2 STAGES="encode shard" "$SCRIPT" "$BED/lost.json5"
file=$BED/lost/parts/encode/2-of-2.part
until [ -f "$file" ] && [ "$(stat -c %s "$file")" -gt 200000 ]; do sleep 0.2; done
job=$(squeue -h -r -o "%N %A %K" | awk '$3 == 2 { print $1; exit }')
echo "node $job dies with part 2 at $(stat -c %s "$file") bytes"
# Its daemon, the steps it has started and their programs, by their ancestry.
python3 - "$(cat "$BED/slurmd.$job.pid")" "$job" << 'END'
import os, pathlib, signal, sys
daemon, node = int(sys.argv[1]), sys.argv[2]
def environment(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
def command(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
pids = [int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()]
conf = f"SLURM_CONF={os.environ['SLURM_CONF']}".encode()
programs = [p for p in pids if f"SLURMD_NODENAME={node}".encode() in environment(p) and conf in environment(p)]
def parent(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0
steps = {parent(p) for p in programs if b"slurmstepd" in command(parent(p))}
for pid in [daemon, *steps, *programs]:
    os.kill(pid, signal.SIGKILL)
END
finish
"$SPO" run "$BED/lost.json5" --quiet
same lost "a node that died with its part"
grep -lq "part 2/2" ./*.out && ls "$BED"/work > /dev/null
grep -hq "resuming (part 2/2 from SLURM_ARRAY_TASK_ID)" ./*.out || fail "the part began anew instead of going on"
echo "all checks passed"
