import CommandSyntax
import Diffusion
import Files
import Foundation

/// `spo export`: writes a LoRA for other programs, or a model with it merged in.
enum Export: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "export", summary: "Write a LoRA for other programs, or merge it into its model.",
      operands: [],
      options: [
        .value("model", "DIR", "the LoRA's model: a diffusers folder or a checkpoint file"),
        .value("tokenizer", "DIR", "for merged: a tokenizer folder, for a checkpoint file"),
        .value("vae", "PATH", "a VAE to use instead of the model's: a folder or a file"),
        .value(
          "lora", "FILE", isRepeatable: true,
          "a LoRA file with diffusers, PEFT or kohya keys; for merged, several add up"),
        .value(
          "lora-scale", "X", isRepeatable: true,
          "for merged: LoRA scale: one for all LoRA files, or one per --lora (1)"),
        .value("to", "FORM", "lora (for diffusers), webui, or merged (a model folder)"),
        .value("dtype", "NAME", "f32, f16 or bf16 (f32)"),
        .value(
          "lora-keys", "NAME",
          "for lora: diffusers or peft (diffusers); for webui: diffusers or sgm (sgm for SDXL)"),
        .value("out", "PATH", "the file to write; for merged, a folder that does not exist"),
      ],
      examples: [
        (
          "spo export --model data/tiny-sd --lora pytorch_lora_weights.safetensors --to webui"
            + " --out spo.safetensors", "for the webui and ComfyUI"
        ),
        (
          "spo export --model models/sd15 --lora style.safetensors --lora detail.safetensors"
            + " --lora-scale 0.8 --lora-scale 0.4 --to merged --out models/mine",
          "a model with two LoRA files in it"
        ),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let folder = try arguments.modelFolder()
    _ = try arguments.required("lora")
    let loraPaths = arguments.values("lora")
    let output = try arguments.required("out")
    guard let form: Form = try arguments.choice("to") else {
      throw arguments.error("--to is missing")
    }
    for option in ["vae", "lora-scale"] where form != .merged && arguments.has(option) {
      throw arguments.error("--\(option) applies only to --to merged")
    }
    guard form == .merged || loraPaths.count == 1 else {
      throw arguments.error("several --lora can only be merged into their model: --to merged")
    }
    let scales = try arguments.loraScales()
    switch form {
    case .merged:
      if let ending = [".safetensors", ".ckpt", ".bin", ".pt", ".pth"].first(
        where: output.hasSuffix)
      {
        throw arguments.error(
          "--to merged writes a folder in diffusers' layout, not a single file; name a folder, such as "
            + "--out \(output.dropLast(ending.count))")
      }
      try OutputPlace.require(output, besides: loraPaths, models: arguments.modelPaths)
      try OutputPath.requireAbsent(output)
    case .lora, .webui:
      try OutputPlace.requireFile(
        output, ending: "safetensors", besides: loraPaths, models: arguments.modelPaths)
    }
    let precision: WeightPrecision = try arguments.choice("dtype") ?? .f32
    let files = try arguments.loraPaths().map { try LoRAFile(path: $0) }
    func lora() throws -> LoRAWeights {
      try files[0].effectiveWeights(for: try folder.unetLayers())
    }
    let provenance = try Provenance(of: files, scales: scales)
    switch form {
    case .lora:
      let keys: DiffusersKeys = try arguments.choice("lora-keys") ?? .diffusers
      try lora().write(
        to: output, as: keys == .peft ? .peft : .diffusers, precision: precision,
        provenance: provenance)
    case .webui:
      let name = URL(fileURLWithPath: output).deletingPathExtension().lastPathComponent
      let header = try folder.webUIHeader(
        name: name, blockNames: try arguments.choice("lora-keys"))
      try lora().write(
        to: output, as: .webUI(header), precision: precision, provenance: provenance)
    case .merged:
      guard !arguments.has("lora-keys") else {
        throw arguments.error("--lora-keys does not apply to --to merged")
      }
      var changes = ModelChanges()
      for (file, scale) in zip(files, scales) {
        try changes.add(file, strength: scale, to: folder)
      }
      try folder.writeMerged(changes, precision: precision, provenance: provenance, to: output)
    }
    try Console.print(output)
  }

  private enum Form: String, CaseIterable {
    case lora
    case webui
    case merged
  }

  private enum DiffusersKeys: String, CaseIterable {
    case diffusers
    case peft
  }
}
