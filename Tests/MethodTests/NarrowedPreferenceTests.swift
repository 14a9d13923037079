import Autograd
import Backends
import Checkpoints
import Diffusion
import Files
import NN
import PreferenceModels
import TestSupport
import Testing

/// A judge whose weights are stored in single precision and kept in half.
@Suite("Preference model that is rounded as it is read")
struct NarrowedPreferenceTests {
  /// Towers that are wide enough for their matrices to stay in half precision.
  private static let tower: JSON.Object = {
    var tower = JSON.Object()
    tower["hidden_act"] = "gelu"
    tower["hidden_size"] = 512
    tower["intermediate_size"] = 1_024
    tower["layer_norm_eps"] = .number(1e-5)
    tower["num_attention_heads"] = 8
    tower["num_hidden_layers"] = 3
    return tower
  }()

  private func writeModel(to folder: String) throws {
    var text = Self.tower
    text["max_position_embeddings"] = 16
    text["vocab_size"] = 300
    text["bos_token_id"] = 298
    text["eos_token_id"] = 299
    var vision = Self.tower
    vision["image_size"] = 32
    vision["patch_size"] = 8
    let configuration: JSON = [
      "projection_dim": 256, "text_config": .object(text), "vision_config": .object(vision),
    ]
    try AtomicFile.replace("\(folder)/config.json", with: Array(configuration.text().utf8))
    try AtomicFile.replace(
      "\(folder)/preprocessor_config.json", with: Array("{\"size\": 32}".utf8))
    let (_, weights) = try ModelFolder(path: folder).freshPreferenceModel(seed: 7)
    try writeSafetensors(
      weights.parameters.map { parameter in
        OutgoingTensor(
          parameter.name, shape: parameter.storedShape, floats: { parameter.storedValues })
      }, to: "\(folder)/model.safetensors")
  }

  private func scores(_ folder: ModelFolder) throws -> [Float] {
    let scorer = try folder.imageScorer()
    let count = 8
    let images = Tensor(
      (0..<count * 32 * 32 * 3).map { Float(($0 * $0 / 7) % 211) / 105 - 1 },
      shape: [count, 32, 32, 3])
    let embeddings = scorer.embedding(
      of: scorer.scoringPixels(images), timesteps: (0..<count).map { Float(120 * $0) })
    let texts = try folder.promptEmbedder()((0..<count).map { [298, 3 * $0, 40, 299] })
    return scorer.score(image: embeddings, text: texts).values
  }

  /// The memory of the weights.
  private func byteCount(of folder: ModelFolder) throws -> Int {
    let plan = PlanningBackend()
    return try withBackend(plan) {
      let model = try folder.preferenceModel()
      return withExtendedLifetime(model) { plan.usedBytes }
    }
  }

  @Test("its scores are those of its file but for rounding, for half the memory")
  func scores() throws {
    try withTemporaryFolder { path in
      try writeModel(to: path)
      let stored = ModelFolder(path: path)
      let expected = try scores(stored)
      #expect(Set(expected).count == expected.count)
      for precision in [WeightPrecision.f16, .bf16] {
        let found = try scores(stored.narrowed(to: precision))
        let error = zip(found, expected).map { abs($0 - $1) }.max() ?? 1
        #expect(error > 0 && error < (precision == .f16 ? 1e-3 : 1e-2), "\(error)")
      }
      let (full, half) = (
        try byteCount(of: stored), try byteCount(of: stored.narrowed(to: .f16))
      )
      #expect(half * 100 < full * 52)
      #expect(try scores(stored.narrowed(to: nil)) == expected)
    }
  }
}
