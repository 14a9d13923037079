import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// A copy of `data/tiny-sd` in which something is different.
struct ModelVariant {
  let path: String

  init(in folder: String, named name: String = "model") throws {
    path = "\(folder)/\(name)"
    try FileManager.default.copyItem(atPath: "\(repository)/data/tiny-sd", toPath: path)
  }

  /// Replaces settings of a part's `config.json`, or of another file.
  func configure(_ file: String, _ changes: [String: JSON]) throws {
    let path = "\(path)/\(file)"
    var object = try JSON(contentsOf: path).object ?? JSON.Object()
    for (key, value) in changes { object[key] = value }
    try AtomicFile.replace(path, with: Array(JSON.object(object).text(.pretty).utf8))
  }

  /// Replaces tensors of a part.
  func replace(_ part: String, _ changes: [String: TensorData]) throws {
    let stem = part == "text_encoder" ? "model" : "diffusion_pytorch_model"
    let path = "\(path)/\(part)/\(stem).safetensors"
    var tensors = try TensorData.all(of: path)
    for (name, tensor) in changes { tensors[name] = tensor }
    try TensorData.write(tensors, to: path)
  }

  /// Says that a tensor's numbers are integers, of as many bits as they have.
  func makeIntegers(_ part: String, _ name: String) throws {
    let stem = part == "text_encoder" ? "model" : "diffusion_pytorch_model"
    let path = "\(path)/\(part)/\(stem).safetensors"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    let entry = Data("\"\(name)\":{\"dtype\":\"F".utf8)
    let range = try #require(bytes.range(of: entry))
    bytes.replaceSubrange(range, with: entry.dropLast() + Data("I".utf8))
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  /// A tensor of a part as it is.
  func tensor(_ part: String, _ name: String) throws -> TensorData {
    let stem = part == "text_encoder" ? "model" : "diffusion_pytorch_model"
    return try TensorData.all(of: "\(path)/\(part)/\(stem).safetensors")[name]
      ?? TensorData(shape: [0], values: [])
  }

  /// A U-Net whose first convolution takes this many channels; those it did not have weigh nothing.
  static func withUNetInputs(_ channels: Int, in folder: String) throws -> ModelVariant {
    let model = try ModelVariant(in: folder, named: "in-\(channels)")
    let name = "conv_in.weight"
    let old = try model.tensor("unet", name)
    let (outputs, inputs) = (old.shape[0], old.shape[1])
    var values: [Float] = []
    for output in 0..<outputs {
      values += old.values[output * inputs * 9..<(output + 1) * inputs * 9]
      values += [Float](repeating: 0, count: (channels - inputs) * 9)
    }
    try model.replace("unet", [name: TensorData(shape: [outputs, channels, 3, 3], values: values)])
    try model.configure("unet/config.json", ["in_channels": .integer(channels)])
    return model
  }

  /// An autoencoder whose latents have this many channels, with a U-Net of 4.
  static func withLatentChannels(_ channels: Int, in folder: String) throws -> ModelVariant {
    let model = try ModelVariant(in: folder, named: "vae-\(channels)")
    func constant(_ shape: Int...) -> TensorData {
      TensorData(shape: shape, values: Array(repeating: 0.1, count: shape.reduce(1, *)))
    }
    let decoderWidth = try model.tensor("vae", "decoder.conv_in.weight").shape[0]
    let encoderWidth = try model.tensor("vae", "encoder.conv_out.weight").shape[1]
    try model.replace(
      "vae",
      [
        "decoder.conv_in.weight": constant(decoderWidth, channels, 3, 3),
        "post_quant_conv.weight": constant(channels, channels, 1, 1),
        "post_quant_conv.bias": constant(channels),
        "quant_conv.weight": constant(2 * channels, 2 * channels, 1, 1),
        "quant_conv.bias": constant(2 * channels),
        "encoder.conv_out.weight": constant(2 * channels, encoderWidth, 3, 3),
        "encoder.conv_out.bias": constant(2 * channels),
      ])
    try model.configure("vae/config.json", ["latent_channels": .integer(channels)])
    return model
  }
}

/// A tensor's shape and its elements, row-major.
struct TensorData {
  var shape: [Int]
  var values: [Float]

  static func all(of path: String) throws -> [String: TensorData] {
    let file = try SafetensorsFile(path: path)
    var tensors: [String: TensorData] = [:]
    for entry in file.entries {
      tensors[entry.name] = TensorData(shape: entry.shape, values: try file.floats(entry.name))
    }
    return tensors
  }

  static func write(_ tensors: [String: TensorData], to path: String) throws {
    try writeSafetensors(
      tensors.map { name, tensor in
        OutgoingTensor(name, shape: tensor.shape, floats: { tensor.values })
      }, metadata: ["format": "pt"], to: path)
  }
}

/// Writes a LoRA of rank 4 for `data/tiny-sd` in diffusers' names whose `up` matrices hold `value`.
func writeLoRA(to path: String, up value: Float) throws {
  let unet = try SafetensorsFile(
    path: "\(repository)/data/tiny-sd/unet/diffusion_pytorch_model.safetensors")
  var tensors: [String: TensorData] = [:]
  for entry in unet.entries where entry.name.hasSuffix(".to_q.weight") {
    let stem = "unet.\(entry.name.dropLast(".weight".count)).lora"
    tensors["\(stem).down.weight"] = TensorData(
      shape: [4, entry.shape[1]], values: Array(repeating: 0.1, count: 4 * entry.shape[1]))
    tensors["\(stem).up.weight"] = TensorData(
      shape: [entry.shape[0], 4], values: Array(repeating: value, count: 4 * entry.shape[0]))
  }
  try TensorData.write(tensors, to: path)
}
