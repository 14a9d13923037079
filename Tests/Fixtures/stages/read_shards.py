"""Reads WORKSPACE/shards with numpy and safetensors; prints one line for each pair."""
import json, pathlib, sys
from safetensors.numpy import load_file

folder = pathlib.Path(sys.argv[1])
for shard in json.loads((folder / "index.json").read_text())["shards"]:
    t = load_file(folder / shard["file"])
    text, cuts = t["prompt_text"].tobytes(), t["prompt_text_offsets"]
    prompts = [text[a:b].decode() for a, b in zip(cuts, cuts[1:])]
    for p, a, b, label in zip(t["pair_prompt"], t["pair_image_0"], t["pair_image_1"], t["labels"]):
        print(shard["split"], prompts[p], label, t["latents"][a].std(), t["latents"][b].std())
