import Apply
import Autograd
import Checkpoints
import Diffusion
import Foundation
import NN
import PreferenceModels
import TestSupport
import Testing

/// A preference model that starts from a CLIP model that was never told a timestep.
@Suite struct PlainCLIPTests {
  private let source = fixturePath("models/preference-quick")

  /// A copy of the fixture with only those weights that `isKept` accepts.
  private func copy(
    to folder: String, prefix: String = "", name: String = "model.safetensors",
    isKept: (String) -> Bool = { _ in true }
  ) throws {
    for file in ["config.json", "preprocessor_config.json"] {
      try FileManager.default.copyItem(atPath: "\(source)/\(file)", toPath: "\(folder)/\(file)")
    }
    let weights = try SafetensorsFile(path: "\(source)/model.safetensors")
    try writeSafetensors(
      weights.entries.filter { isKept($0.name) }.map { entry in
        OutgoingTensor(
          prefix + entry.name, type: entry.type, shape: entry.shape,
          bytes: { try weights.bytes(entry.name) })
      }, to: "\(folder)/\(name)")
  }

  private static func isOfTimestep(_ name: String) -> Bool {
    name.hasPrefix("t_embedder.") || name.contains("adaLN_modulation.")
  }

  @Test("what CLIP lacks is drawn such that the timestep changes nothing, and is trained")
  func start() throws {
    try withTemporaryFolder { folder in
      try copy(to: folder) { !Self.isOfTimestep($0) }
      let (model, weights) = try ModelFolder(path: folder).preferenceModel(isTrainable: true)
      let side = model.configuration.imageSize
      let pixels = model.normalized(.init(repeating: 0.3, shape: [2, side, side, 3]))
      let first = model.imageEmbedding(pixels, timesteps: [0, 0]).values
      #expect(model.imageEmbedding(pixels, timesteps: [901, 33]).values == first)
      #expect(weights.parameters.contains { Self.isOfTimestep($0.name) })
    }
  }

  @Test("a step-aware model that lacks some of its weights is refused")
  func incomplete() throws {
    try withTemporaryFolder { folder in
      try copy(to: folder) { !$0.hasPrefix("t_embedder.mlp.2.") }
      #expect(throws: (any Error).self) { try ModelFolder(path: folder).preferenceModel() }
    }
  }

  @Test("a published file is read by its own name, with the configuration beside it")
  func published() throws {
    let expected = try ModelFolder(path: source).preferenceModel().model
    try withTemporaryFolder { folder in
      try copy(to: folder, prefix: "model.", name: "step-aware.safetensors")
      let path = "\(folder)/step-aware.safetensors"
      let model = try ModelFolder(path: path).preferenceModel().model
      #expect(try model.textEmbedding([[1, 2]]).values == expected.textEmbedding([[1, 2]]).values)
    }
  }

  @Test("prompts of another tokenizer are refused")
  func tokens() throws {
    let model = try ModelFolder(path: source).preferenceModel().model
    let text = model.configuration.text
    #expect(throws: PreferenceConfigurationError.self) {
      try model.textEmbedding([[text.vocabularySize]])
    }
    #expect(throws: PreferenceConfigurationError.self) {
      try model.textEmbedding([[Int](repeating: 1, count: text.tokens + 1)])
    }
  }
}
