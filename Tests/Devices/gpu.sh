#!/usr/bin/env bash
# Everything worth knowing about a GPU, in one go: Tests/Devices/gpu.sh [PROGRAM [FOLDER]]
#
# Needs the program, data/tiny-sd, a driver and NVRTC; no Swift. MODEL=DIR, a folder of Stable Diffusion v1.5,
# measures that, too. What each part prints is kept in FOLDER; the end is one table. See docs/devices.md.
set -uo pipefail
program=${1:-.build/release/spo}
folder=${2:-gpu-report}
model=${MODEL:-data/tiny-sd}
[ -x "$program" ] || { echo "$program is not there, or no program" >&2; exit 4; }
mkdir -p "$folder"
failures=0
summary=()

# part NAME COMMAND...: runs it, keeps what it prints, and notes how it went.
part() {
  local name=$1 start=$SECONDS code
  shift
  echo "== $name: $*"
  "$@" > "$folder/$name.txt" 2> "$folder/$name.log"
  code=$?
  [ $code = 0 ] || { failures=$((failures + 1)); tail -n 3 "$folder/$name.log" >&2; }
  summary+=("$(printf '%-28s %-9s %5d s' "$name" "$([ $code = 0 ] && echo right || echo "code $code")" \
    $((SECONDS - start)))")
}

"$program" doctor > "$folder/doctor.txt" 2>&1
grep '^devices' "$folder/doctor.txt"
devices=$(grep '^devices' "$folder/doctor.txt" | grep -oE '(cuda|opencl):[0-9]+ ' | tr -d ' ')
[ -n "$devices" ] || { echo "no device: $(grep '^devices' "$folder/doctor.txt")" >&2; exit 3; }

for device in $devices; do
  # A processor's OpenCL is asked for by name alone.
  grep -oE "$device [^;]*" "$folder/doctor.txt" | grep -qE 'a CPU:|not usable' \
    && [ "${PROCESSORS:-no}" = no ] && continue
  part "check-$device" "$program" doctor --device-check --device "$device"
  if command -v compute-sanitizer > /dev/null && [ "${device%%:*}" = cuda ]; then
    for tool in memcheck racecheck; do
      part "$tool-$device" compute-sanitizer --tool "$tool" --error-exitcode 1 \
        "$program" doctor --device-check --device "$device"
    done
  fi
  for operator in convolution linear attention group-norm layer-norm geglu; do
    part "$operator-$device" "$program" bench "$operator" --gradients --device "$device" --repeat 5 --profile
  done
  for subject in unet unet-lora vae-decode; do
    part "$subject-$device" "$program" bench "$subject" --model "$model" --device "$device" --repeat 5 \
      --profile
  done
  part "saved-$device" "$program" bench unet --model "$model" --batch 1 --device "$device" --repeat 1 \
    --save "$folder/inputs-$device.safetensors" --json
done

# The U-Net again on the processor, from the same noise.
part "saved-cpu" "$program" bench unet --model "$model" --batch 1 --device cpu --repeat 1 \
  --save "$folder/inputs-cpu.safetensors" --json
for file in "$folder"/inputs-*:*.safetensors; do
  [ -e "$file" ] || continue
  part "unet-against-cpu-$(basename "$file" .safetensors)" python3 - "$folder/inputs-cpu.safetensors" "$file" << 'END'
import array, json, struct, sys
def read(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            arrays[name] = array.array("f", data[8 + size + start:8 + size + end])
    return arrays
expected, found = map(read, sys.argv[1:])
worst = 0.0
for name, values in expected.items():
    largest = max(map(abs, values))
    error = max(abs(a - b) for a, b in zip(values, found[name]))
    print(f"{name}: largest {largest:.4g}, error {error / largest:.2e} of it")
    worst = max(worst, error / largest)
sys.exit(worst > 1e-3)
END
done

{
  grep '^devices' "$folder/doctor.txt"
  printf '%s\n' "${summary[@]}"
  for file in "$folder"/*:*.txt; do
    case $(basename "$file") in check-*|memcheck-*|racecheck-*|saved-*) ;; *)
      echo; echo "$(basename "$file" .txt)"; sed '/^$/,$d' "$file" ;;
    esac
  done
} | tee "$folder/table.txt"
[ $failures = 0 ] || { echo "$failures parts failed; see $folder" >&2; exit 1; }
