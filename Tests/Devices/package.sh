#!/usr/bin/env bash
# Packs what a GPU machine without Swift needs, gpu.py and the program among it: Tests/Devices/package.sh [FILE.tar.xz]
#
# The program is linked statically with Swift's libraries, for any x86-64 processor of the last ten years, and finds the
# others in lib/ beside itself. The machine brings glibc 2.35 and the libstdc++ of GCC 12, or newer ones: Ubuntu 22.04 does.
set -euo pipefail
cd "$(dirname "$0")/../.."
file=${1:-runs/gpu-package.tar.xz}
mkdir -p "$(dirname "$file")"
scratch=.build-package
options=(-c release --product spo --static-swift-stdlib --scratch-path "$scratch")
[ "$(uname -m)" = x86_64 ] && options+=(-Xcc -march=x86-64-v3)
# DT_RPATH instead of DT_RUNPATH: libraries find theirs in lib/, too.
options+=(-Xlinker -rpath -Xlinker '$ORIGIN/lib' -Xlinker --disable-new-dtags)
swift build "${options[@]}" 2>&1 | cat

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
package=$work/spo-gpu
mkdir -p "$package"/{lib,Tests/Reference}
strip -o "$package/spo" "$scratch/release/spo"
# Name and path of each; those of glibc and of GCC belong to the system.
ldd "$scratch/release/spo" | awk '$2 == "=>" { print $1, $3 }' | while read -r name path; do
  case $name in
    libc.so.*|libm.so.*|libdl.so.*|libpthread.so.*|librt.so.*|libresolv.so.*|libutil.so.*) ;;
    libstdc++.so.*|libgcc_s.so.*) ;;
    *) [ -f "$path" ] || { echo "$name is missing here" >&2; exit 1; }
       cp -L "$path" "$package/lib/$name" ;;
  esac
done
cp -r data pipelines "$package/"
cp -r Tests/Devices "$package/Tests/"
cp Tests/Reference/kill.py "$package/Tests/Reference/"
rm -rf "$package"/data/*.png "$package/Tests/Devices/__pycache__"
tar -C "$work" -c spo-gpu | xz -T0 -6 > "$file"
ls -l "$file"
