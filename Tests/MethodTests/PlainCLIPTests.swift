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
      let pixels = model.imageScorer.normalized(.init(repeating: 0.3, shape: [2, side, side, 3]))
      let first = model.imageScorer.embedding(of: pixels, timesteps: [0, 0]).values
      #expect(model.imageScorer.embedding(of: pixels, timesteps: [901, 33]).values == first)
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
      #expect(try model.prompts([[1, 2]]).values == expected.prompts([[1, 2]]).values)
    }
  }

  @Test("each half of a model can be read alone")
  func halves() throws {
    let folder = ModelFolder(path: source)
    let whole = try folder.preferenceModel().model
    #expect(try folder.promptEmbedder()([[1, 2]]).values == whole.prompts([[1, 2]]).values)
    let side = whole.configuration.imageSize
    let pixels = Tensor(repeating: 0.3, shape: [1, side, side, 3])
    let scorer = try folder.imageScorer()
    #expect(
      scorer.embedding(of: pixels, timesteps: [501]).values
        == whole.imageScorer.embedding(of: pixels, timesteps: [501]).values)
    #expect(scorer.scale == whole.imageScorer.scale)
  }

  @Test("layers that are run again give the same gradients, bit for bit")
  func checkpointing() throws {
    func gradients(isCheckpointed: Bool) throws -> [[Float]?] {
      var (model, weights) = try ModelFolder(path: source).preferenceModel(isTrainable: true)
      model.usesGradientCheckpointing = isCheckpointed
      let side = model.configuration.imageSize
      let images = model.imageScorer.embedding(
        of: Tensor(
          (0..<2 * side * side * 3).map { Float($0 % 11) / 11 }, shape: [2, side, side, 3]),
        timesteps: [1, 501])
      let score = model.imageScorer.score(
        image: images, text: try model.prompts([[1, 2], [3, 4]]))
      return Autograd.gradients(of: score.sum(), for: weights.parameters.map(\.tensor))
        .map { $0?.values }
    }
    let plain = try gradients(isCheckpointed: false)
    #expect(plain.contains { $0 != nil })
    #expect(try gradients(isCheckpointed: true) == plain)
  }

  @Test("prompts of another tokenizer are refused")
  func tokens() throws {
    let model = try ModelFolder(path: source).preferenceModel().model
    let text = model.configuration.text
    #expect(throws: PreferenceConfigurationError.self) {
      try model.prompts([[text.vocabularySize]])
    }
    #expect(throws: PreferenceConfigurationError.self) {
      try model.prompts([[Int](repeating: 1, count: text.tokens + 1)])
    }
  }
}
