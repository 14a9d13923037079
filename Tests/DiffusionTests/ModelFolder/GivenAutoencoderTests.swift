import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import TestSupport
import Testing

/// A VAE that takes the place of a model's own, in each form in which people have one.
@Suite struct GivenAutoencoderTests {
  private static let model = fixturePath("sample/model")
  private static let stem = "diffusion_pytorch_model.safetensors"

  enum Form: String, CaseIterable, Sendable {
    case folder
    case modelFolder
    case file
    case originalFile
    case wholeCheckpoint
  }

  private struct StoredArray {
    let shape: [Int]
    let values: [Float]
  }

  /// The model's own weights, a little larger.
  private func weights() throws -> [String: StoredArray] {
    let own = try SafetensorsFile(path: "\(Self.model)/vae/\(Self.stem)")
    return Dictionary(
      uniqueKeysWithValues: try own.entries.map { entry in
        (
          entry.name,
          StoredArray(shape: entry.shape, values: try own.floats(entry.name).map { $0 * 1.25 })
        )
      })
  }

  /// From diffusers' name to the one in Stability's own code.
  private func original(_ name: String, levels: Int) -> String {
    var name = name
    for match in name.matches(of: /up_blocks\.(\d)/).reversed() {
      name.replaceSubrange(match.range, with: "up.\(levels - 1 - (Int(match.1) ?? 0))")
    }
    for match in name.matches(of: /mid_block\.resnets\.(\d)/).reversed() {
      name.replaceSubrange(match.range, with: "mid.block_\((Int(match.1) ?? 0) + 1)")
    }
    for (old, new) in [
      ("down_blocks.", "down."), ("resnets", "block"), ("conv_shortcut", "nin_shortcut"),
      ("downsamplers.0", "downsample"), ("upsamplers.0", "upsample"),
      ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
      ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
      ("mid_block.attentions.0.to_", "mid.attn_1."), ("conv_norm_out", "norm_out"),
    ] {
      name = name.replacing(old, with: new)
    }
    return name
  }

  /// Writes the VAE in a form; returns its path.
  private func write(
    _ form: Form, in folder: String, config changes: [String: JSON?] = [:]
  ) throws -> String {
    let weights = try weights()
    func write(_ weights: [String: StoredArray], to path: String) throws {
      try writeSafetensors(
        weights.map { name, array in
          OutgoingTensor(name, shape: array.shape, floats: { array.values })
        }, to: path)
    }
    let levels = Set(weights.keys.compactMap { $0.firstMatch(of: /up_blocks\.(\d)/)?.1 }).count
    func renamed(prefix: String) -> [String: StoredArray] {
      Dictionary(
        uniqueKeysWithValues: weights.map { name, array in
          // Attention is made of convolutions there.
          let isFlat = name.contains(".to_") && array.shape.count == 2
          return (
            prefix + original(name, levels: levels),
            StoredArray(shape: array.shape + (isFlat ? [1, 1] : []), values: array.values)
          )
        })
    }
    let path = "\(folder)/given"
    switch form {
    case .folder, .modelFolder:
      let vae = form == .folder ? path : "\(path)/vae"
      try FileManager.default.createDirectory(atPath: vae, withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        atPath: "\(Self.model)/vae/config.json", toPath: "\(vae)/config.json")
      try editJSON("\(vae)/config.json", changes)
      try write(weights, to: "\(vae)/\(Self.stem)")
      return path
    case .file: try write(weights, to: "\(path).safetensors")
    case .originalFile: try write(renamed(prefix: ""), to: "\(path).safetensors")
    case .wholeCheckpoint:
      var all = renamed(prefix: "first_stage_model.")
      all["model.diffusion_model.out.2.bias"] = StoredArray(shape: [4], values: [0, 0, 0, 0])
      try write(all, to: "\(path).safetensors")
    }
    return "\(path).safetensors"
  }

  @Test("each form gives the same weights and configuration", arguments: Form.allCases)
  func forms(form: Form) throws {
    try withTemporaryFolder { folder in
      let model = ModelFolder(path: Self.model, vae: try write(form, in: folder))
      try model.check()
      let (autoencoder, found) = try model.autoencoder()
      let own = try ModelFolder(path: Self.model).autoencoder().model
      #expect(autoencoder.configuration == own.configuration)
      let expected = try weights()
      #expect(Set(found.parameters.map(\.name)) == Set(expected.keys))
      for parameter in found.parameters {
        #expect(parameter.storedValues == expected[parameter.name]?.values, "\(parameter.name)")
      }
    }
  }

  @Test("a merged model holds the VAE that was given", arguments: Form.allCases)
  func merged(form: Form) throws {
    try withTemporaryFolder { folder in
      let model = ModelFolder(path: Self.model, vae: try write(form, in: folder))
      let lora = LoRAWeights(trained: AdapterSet())
      try model.writeMerged(lora, precision: .f32, to: "\(folder)/merged")
      let merged = ModelFolder(path: "\(folder)/merged")
      try merged.check()
      let expected = try weights()
      for parameter in try merged.autoencoder().weights.parameters {
        #expect(parameter.storedValues == expected[parameter.name]?.values, "\(parameter.name)")
      }
    }
  }

  @Test("a VAE of another family, and a file that holds none, are refused by file and key")
  func refusals() throws {
    try withTemporaryFolder { folder in
      for (key, value, words) in [
        ("scaling_factor", 0.5 as JSON, ["scaling_factor is 0.5", "vae/config.json"]),
        ("latent_channels", 16, ["latent_channels is 16", "unet/config.json"]),
      ] {
        let path = try write(.folder, in: folder, config: [key: value])
        let error = #expect(throws: ConfigurationError.self) {
          try ModelConfiguration(ModelFolder(path: Self.model, vae: path))
        }
        let text = error.map { "\($0)" } ?? ""
        #expect(text.hasPrefix("\(path)/config.json: "), "\(text)")
        for word in words { #expect(text.contains(word), "\(text)") }
        try FileManager.default.removeItem(atPath: path)
      }
      let other = "\(Self.model)/unet/\(Self.stem)"
      #expect(throws: LDMCheckpointError.noAutoencoder(path: other)) {
        try ModelConfiguration(ModelFolder(path: Self.model, vae: other))
      }
    }
  }
}
