import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import PreferenceModels
import TestSupport
import Testing

/// The cases of `Tests/Fixtures/latent-preference`.
@Suite("Latent preference model")
struct LatentPreferenceTests {
  private static let cases = [("v1", "sample"), ("xl", "sample-xl")]

  @Test("scores and gradients are those of torch", arguments: cases)
  func golden(name: String, base: String) throws {
    let folder = ModelFolder(path: fixturePath("latent-preference/\(name)"))
    let model = try folder.latentPreferenceModel(
      of: ModelFolder(path: fixturePath("\(base)/model")), isTrainable: true)
    let golden = GoldenCase(
      operation: "", folder: "latent-preference/\(name)", file: "case.safetensors")
    let file = try golden.open()
    let latents = Tensor(
      try file.floats("input.latents"), shape: try file.entry("input.latents").shape
    ).channelsLast()
    let texts = try JSONReader(
      try JSON(contentsOf: "\(folder.path)/texts.json"), path: "texts"
    ).elements().map { try $0.string() }
    let scores = model.scores(
      of: latents, timesteps: [1, 501, 951], for: try model.prompts(texts))
    let expected = try file.floats("output.score")
    #expect(relativeError(scores.values, expected) <= 1e-4)

    let weights = Tensor(try file.floats("grad_output.score"), shape: [texts.count])
    let found = gradients(of: (scores * weights).sum(), for: model.parameters.map(\.tensor))
    let names = file.entries.map(\.name).filter { $0.hasPrefix("grad.") }
    #expect(names.count == model.parameters.count)
    let largest = try names.flatMap { try file.floats($0) }.reduce(0) { max($0, abs($1)) }
    for (parameter, gradient) in zip(model.parameters, found) {
      let values = try file.floats("grad.\(parameter.name)")
      let own =
        gradient.map { parameter.stored($0).values }
        ?? [Float](repeating: 0, count: values.count)
      let error = relativeError(own, values, floor: largest * 1e-3)
      #expect(error <= 1e-3, "\(parameter.name): \(error)")
    }
  }

  @Test("a published folder gives the scores of one of ours", arguments: cases)
  func published(name: String, base: String) throws {
    let own = ModelFolder(path: fixturePath("latent-preference/\(name)"))
    let base = ModelFolder(path: fixturePath("\(base)/model"))
    let latents = Tensor(repeating: 0.5, shape: [1, 8, 8, 4])
    func score(_ folder: ModelFolder) throws -> [Float] {
      let model = try folder.latentPreferenceModel(of: base)
      return model.scores(of: latents, timesteps: [501], for: try model.prompts(["red"])).values
    }
    try withTemporaryFolder { path in
      for part in ["unet", "text_encoder", "text_encoder_2"] where own.hasPart(part) {
        try FileManager.default.copyItem(
          atPath: "\(own.path)/\(part)", toPath: "\(path)/\(part)")
      }
      try FileManager.default.copyItem(
        atPath: fixturePath("latent-preference/\(name)-state_dict.pt"),
        toPath: "\(path)/state_dict.pt")
      #expect(try score(ModelFolder(path: path)) == score(own))
    }
  }

  @Test("without guidance the empty prompt is not asked for", arguments: cases)
  func withoutGuidance(name: String, base: String) throws {
    let base = ModelFolder(path: fixturePath("\(base)/model"))
    let model = try base.startingLatentPreferenceModel(
      textProjection: nil, guidance: 1, seed: 3)
    let prompts = try model.prompts(["red", "blue"])
    #expect(prompts.empty == nil)
    #expect(prompts.conditioning.hiddenStates.shape[0] == 2)
    let latents = Tensor(repeating: 0.5, shape: [2, 8, 8, 4])
    let scores = model.scores(of: latents, timesteps: [101, 101], for: prompts).values
    #expect(scores.allSatisfy { $0.isFinite } && scores[0] != scores[1])
  }

  @Test("a text projection of another width is refused by name")
  func projectionOfAnotherWidth() throws {
    let base = ModelFolder(path: fixturePath("sample/model"))
    #expect(throws: (any Error).self) {
      try base.startingLatentPreferenceModel(
        textProjection: ModelFolder(path: fixturePath("models/preference-gelu")), guidance: 7.5,
        seed: 3)
    }
  }
}
