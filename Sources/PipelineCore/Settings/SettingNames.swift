/// Other programs' names of a setting, with its possible names here; the first that a stage has is
/// meant.
private let otherNames: [String: [String]] = [
  "accumulation_steps": ["gradient_accumulation"], "batchsize": ["batch"], "bs": ["batch"],
  "caption_column": ["columns"], "cfg": ["guidance"], "cfg_scale": ["guidance"],
  "checkpointing_steps": ["checkpoint_every"], "clip_grad": ["gradient_limit"],
  "cutoff": ["threshold"], "data": ["source"], "data_dir": ["source"], "dataset": ["source"],
  "dataset_name": ["source"], "dim": ["rank"], "eval_prompts": ["prompts"], "files": ["source"],
  "images": ["pictures", "source"], "images_per_prompt": ["pictures_per_prompt"],
  "learningrate": ["learning_rate"], "lora_r": ["rank"], "lr": ["learning_rate"],
  "max_grad_norm": ["gradient_limit"], "max_samples": ["limit"],
  "max_steps": ["steps", "iterations"],
  "mixed_precision": ["precision", "dtype"], "network_dim": ["rank"],
  "num_candidates": ["candidates"], "num_inference_steps": ["sampling_steps", "steps"],
  "num_samples": ["candidates", "limit"], "output_dir": ["workspace"], "output": ["workspace"],
  "out": ["workspace"], "path": ["source", "model"], "pretrained_model_name_or_path": ["model"],
  "r": ["rank"], "resolution": ["size"], "resume_from": ["start"], "reward_model": ["preference"],
  "save_every": ["checkpoint_every"], "save_steps": ["checkpoint_every"],
  "train_data_dir": ["source"],
  "train_steps": ["steps", "iterations"], "validation_split": ["validation_fraction"],
  "wd": ["weight_decay"],
]

/// Returns the setting that an unknown name most likely stands for: one with that name in other
/// programs, one with a similar spelling, or the one that shares the most words with it
/// (`lora_rank`: `rank`); nil if there is none.
package func nearestSetting(to name: String, in known: [String]) -> String? {
  let plain = name.lowercased().map { $0 == "-" ? "_" : $0 }
  if let meant = otherNames[String(plain)]?.first(where: known.contains) { return meant }
  if let spelt = nearest(to: String(plain), in: known) { return spelt }
  let words = Set(plain.split(separator: "_").map { String($0) })
  let shared = known.map { candidate -> (candidate: String, words: Int) in
    let other = Set(candidate.split(separator: "_").map(String.init))
    return (candidate, other.isSubset(of: words) || words.isSubset(of: other) ? other.count : 0)
  }
  return shared.filter { $0.words > 0 }.min {
    ($0.words, $0.candidate.count) < ($1.words, $1.candidate.count)
  }?
  .candidate
}
