import PipelineCore

extension CommandSyntax {
  /// The option that an unknown name most likely stands for.
  func meant(by name: String) -> Option? {
    let meant = likeliest(name, in: options.map(\.name), otherNames: Self.otherNames)
    return options.first { $0.name == meant }
  }

  /// Other programs' names of an option, with its possible names here; the first that a command has
  /// is meant.
  private static let otherNames: [String: [String]] = [
    "batch-size": ["count", "batch"], "cfg": ["guidance"], "cfg-scale": ["guidance"],
    "checkpoint": ["model"], "ckpt": ["model"], "config": ["set"], "dataset": ["prompts"],
    "format": ["to"], "guidance-scale": ["guidance"], "height": ["size"], "lora-path": ["lora"],
    "lora-strength": ["lora-scale"], "lora-weight": ["lora-scale"], "lora-weights": ["lora"],
    "metric": ["scorer"], "model-path": ["model"], "n": ["count"], "n-iter": ["count"],
    "negative-lora-scale": ["negative-lora"], "negative-lora-weight": ["negative-lora"],
    "negative-prompt": ["negative"], "num-images": ["count"],
    "num-images-per-prompt": ["count"], "num-inference-steps": ["steps"],
    "num-samples": ["count"], "num-steps": ["steps"], "outdir": ["out"], "output": ["out"],
    "output-dir": ["out"], "output-path": ["out"], "overwrite": ["force"],
    "precision": ["dtype"], "pretrained-model-name-or-path": ["model"],
    "prompt-file": ["prompts"], "random-seed": ["seed"], "resolution": ["size"],
    "sampler": ["scheduler"], "sampling-steps": ["steps"], "save-path": ["out"],
    "strength": ["lora-scale"], "torch-dtype": ["dtype"], "vae-path": ["vae"],
    "width": ["size"], "workers": ["threads"],
  ]
}

extension CommandSyntax.Option {
  /// Its name with what follows.
  var text: String { name + (placeholder.map { " \($0)" } ?? "") }
}
