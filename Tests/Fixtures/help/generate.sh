#!/usr/bin/env bash
# Writes what `--help` prints into the files of this folder: Tests/Fixtures/help/generate.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/../../.."
program=${1:-.build/release/spo}
rm -f Tests/Fixtures/help/*.txt
"$program" --help > Tests/Fixtures/help/spo.txt
for name in $(sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' Tests/Fixtures/help/spo.txt); do
  "$program" "$name" --help > "Tests/Fixtures/help/$name.txt"
done
