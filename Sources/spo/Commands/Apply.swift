import Apply
import Autograd
import Checkpoints
import CommandSyntax
import Diffusion
import Files

/// `spo apply`: runs one part of a model on tensors from a file.
enum ApplyCommand: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "apply", summary: "Run one part of a model on tensors from a file.",
      operands: [CommandSyntax.Operand("OP")],
      options: [
        .value("model", "DIR", "a diffusers folder or a checkpoint file"),
        .value("inputs", "FILE", "a safetensors file with the operation's inputs"),
        .value("outputs", "FILE", "the safetensors file to write"),
        .value("lora", "FILE", "a LoRA file for the U-Net"),
        .value("steps", "N", "sampling steps of the DDIM schedule (20)"),
        .value("eta", "X", "DDIM eta, 0 to 1 (1)"),
        .value("guidance", "X", "classifier-free guidance scale (5)"),
        .value("beta", "X", "strength of the preference loss (10)"),
        .value("clip", "X", "clamp of the likelihood ratio around 1 (0.1)"),
        ComputingDevice.option,
        ComputingDevice.precisionOption,
        .flag(
          "gradient-checkpointing", "recompute the U-Net's blocks in the backward pass: less memory"
        ),
      ],
      examples: [
        (
          "spo apply unet --model data/tiny-sd --inputs in.safetensors --outputs out.safetensors",
          "predict the noise with the U-Net"
        )
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let name = arguments.operands[0]
    guard let operation = Operation.all.first(where: { $0.name == name }) else {
      let names = Operation.all.map(\.name).joined(separator: ", ")
      throw arguments.error("unknown operation \"\(name)\"; available: \(names)")
    }
    var options = OperationOptions(
      model: try arguments.modelFolder(isOfDiffusion: !operation.isOfPreferenceModel))
    options.loraPath = arguments.value("lora")
    options.steps = try arguments.int("steps", in: 1...1000) ?? options.steps
    options.eta = try arguments.float("eta") ?? options.eta
    options.guidance = try arguments.float("guidance") ?? options.guidance
    options.beta = try arguments.float("beta") ?? options.beta
    options.clip = try arguments.float("clip") ?? options.clip
    guard options.clip > 0, options.clip < 1 else {
      throw arguments.error("--clip must be above 0 and below 1, but is \(options.clip)")
    }
    options.usesGradientCheckpointing = arguments.has("gradient-checkpointing")
    let outputs = try arguments.required("outputs")
    let inputsPath = try arguments.required("inputs")
    try OutputPlace.requireFile(
      outputs, ending: "safetensors",
      besides: [inputsPath] + (options.loraPath.map { [$0] } ?? []), models: arguments.modelPaths)
    let inputs = InputTensors(try SafetensorsFile(path: inputsPath))
    try ComputingDevice(arguments).perform {
      let results = try operation(options, inputs)
      try writeSafetensors(
        results.map { name, tensor in
          OutgoingTensor(name, shape: tensor.shape, floats: { tensor.values })
        }, to: outputs)
    }
  }
}

extension Arguments {
  /// Parses a number that fits single precision.
  func float(_ option: String) throws -> Float? {
    guard let number = try double(option).map({ Float($0) }) else { return nil }
    guard number.isFinite else { throw error("--\(option) must be a finite number") }
    return number
  }
}
