#!/usr/bin/env bash
# What parts do to the file system, and the recipes for engines other than Slurm: Tests/Cluster/engines.sh [PROGRAM]
#
# Needs strace and parallel (apt-get), and, from PYTHON's environment, kubernetes-validate and snakemake.
set -euo pipefail
cd "$(dirname "$0")/../.."
SPO=$(realpath "${1:-.build/release/spo}")
BIN=$(realpath "${2:-/}")                # where kubernetes-validate and snakemake are
BED=$(mktemp -d)
trap 'rm -rf "$BED"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

pipeline() { # NAME SOURCE MEGABYTES: one whose files go to BED/NAME
  cat > "$BED/$1.json5" << END
{ workspace: "$BED/$1", threads: 1, model: "$PWD/data/tiny-sd",
  stages: { ingest: { source: "$PWD/$2/*.parquet" }, encode: { batch: 4 },
            shard: { shard_size_mb: $3 } } }
END
}
for name in whole traced parallel snake; do
  pipeline $name Tests/Fixtures/commands/comparisons 0.1
done
same() { # NAME WHAT
  (cd "$BED/$1/shards" && sha256sum ./*) | diff <(cd "$BED/whole/shards" && sha256sum ./*) - || fail "$2"
  echo "ok: $2"
}
"$SPO" run "$BED/whole.json5" --quiet

for stage in ingest encode shard; do
  strace -f -o "$BED/trace" -e trace=%file,flock,ftruncate,fcntl \
    "$SPO" run "$BED/traced.json5" --through $stage --partition 1/1 --quiet
  ! grep -E 'flock\(|F_SETLK|F_OFD_SETLK' "$BED/trace" || fail "$stage: a part takes a lock"
  ! grep -E -e '-(wal|shm|journal)".*O_CREAT' "$BED/trace" || fail "$stage: SQLite makes a log"
  ! grep -E 'O_WRONLY|O_RDWR|^[0-9]+ +(rename|unlink|rmdir|mkdir|link|symlink)' "$BED/trace" \
    | grep -F "$BED/traced" | grep -vF -e "$BED/traced/parts" | grep -vE 'mkdir\("[^"]*/traced",' \
    || fail "$stage: a part changes something else"
  ! grep -E '^[0-9]+ +rename' "$BED/trace" | grep -F .part || fail "$stage: a part's file is renamed"
  "$SPO" run "$BED/traced.json5" --through $stage --merge --quiet
done
same traced "a part writes below parts/STAGE alone, and takes no lock"

for stage in ingest encode shard; do
  parallel -j 4 --retries 3 "JOB_COMPLETION_INDEX={} $SPO run $BED/parallel.json5 --through $stage \
    --partition auto/8 --quiet" ::: 0 1 2 3 4 5 6 7 2> /dev/null
  "$SPO" run "$BED/parallel.json5" --through $stage --merge --quiet
done
same parallel "GNU parallel, with the index of Kubernetes"

[ "$BIN" != / ] || exit 0
for version in 1.29 1.31 1.37; do
  "$BIN/kubernetes-validate" --strict -k $version pipelines/cluster/k8s-job.yaml > "$BED/log" 2>&1 \
    || { cat "$BED/log"; fail "k8s-job.yaml for $version"; }
done
echo "ok: k8s-job.yaml for three versions of Kubernetes"
sed 's/completionMode/completionsMode/' pipelines/cluster/k8s-job.yaml > "$BED/wrong.yaml"
! "$BIN/kubernetes-validate" --strict -k 1.31 "$BED/wrong.yaml" > /dev/null 2>&1 || fail "the check of manifests"

"$BIN/snakemake" -s "$PWD/pipelines/cluster/Snakefile" -j 4 --quiet all --directory "$BED" --nolock --config \
  pipeline="$BED/snake.json5" parts=3 spo="$SPO" options=--quiet marks="$BED/marks" > "$BED/log" 2>&1 \
  || { cat "$BED/log"; fail snakemake; }
same snake "Snakemake"
