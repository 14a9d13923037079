import Apply
import Autograd
import Checkpoints
import Diffusion
import NN
import TestSupport
import Testing

/// Cases whose files hold gradients of the loss `sum(grad_output * output)`.
private let gradientCases: [GoldenCase] =
  (GoldenCase.all("unet", in: "models", prefix: "unet-") { _ in true }
  + GoldenCase.all("vae.encode", in: "models", prefix: "vae-") { $0.contains("encode") }
  + GoldenCase.all("vae.decode", in: "models", prefix: "vae-") { $0.contains("decode") }
  + GoldenCase.all("text_encoder", in: "models", prefix: "text-") { _ in true })
  .filter { golden in
    let names = (try? golden.open())?.entries.map(\.name) ?? []
    return names.contains { $0.hasPrefix("grad.") }
  }

@Suite("Golden gradients")
struct GoldenGradientTests {
  @Test("a model's gradients are the reference library's", arguments: gradientCases)
  func gradientsAgree(golden: GoldenCase) throws { try check(golden) }

  @Test(
    "so are those of a U-Net whose blocks are run again",
    arguments: gradientCases.filter { $0.operation == "unet" })
  func checkpointed(golden: GoldenCase) throws { try check(golden, isCheckpointed: true) }

  private func check(_ golden: GoldenCase, isCheckpointed: Bool = false) throws {
    let file = try golden.open()
    let inputs = InputTensors(file, prefix: "input.")
    let (outputs, weights) = try outputs(golden, inputs, isCheckpointed: isCheckpointed)
    var loss = Tensor(0)
    for (name, output) in outputs {
      let key = "grad_output.\(name)"
      guard let entry = file.find(key) else { continue }
      let gradient = Tensor(try file.floats(key), shape: entry.shape)
      loss = loss + (output * (entry.shape.count == 4 ? gradient.channelsLast() : gradient)).sum()
    }
    let parameters = weights.parameters
    let found = gradients(of: loss, for: parameters.map(\.tensor))
    let expected = try file.entries.filter {
      $0.name.hasPrefix("grad.") && !$0.name.hasPrefix("grad.input.")
    }.map { ($0.name, try file.floats($0.name)) }
    let largest = expected.joinedMagnitude
    #expect(!expected.isEmpty)
    for (key, values) in expected {
      let name = String(key.dropFirst("grad.".count))
      let index = try #require(
        parameters.firstIndex { $0.name == name || $0.name == "text_model." + name }, "\(name)")
      let gradient =
        found[index].map { parameters[index].stored($0).values }
        ?? [Float](repeating: 0, count: values.count)
      let error = relativeError(gradient, values, floor: largest * 1e-3)
      #expect(error <= 1e-3, "\(key): \(error)")
    }
  }

  private func outputs(
    _ golden: GoldenCase, _ inputs: InputTensors, isCheckpointed: Bool
  ) throws -> ([(String, Tensor)], Weights) {
    switch golden.operation {
    case "unet":
      var (unet, weights) = try golden.model.unet(isTrainable: true)
      unet.usesGradientCheckpointing = isCheckpointed
      let sample = try inputs.images("sample")
      let batch = sample.shape[0]
      let textTime = try unet.configuration.textTime.map { _ in
        let sizes = try inputs.floats("time_ids", shape: [batch, nil])
        let rows = (0..<batch).map { sizes.slice(axis: 0, $0..<$0 + 1).values }
        return Conditioning.TextTime(
          pooledText: try inputs.floats("text_embeds", shape: [batch, nil]), sizes: rows)
      }
      let output = unet(
        sample, timesteps: try inputs.timesteps(batch: batch).map(Float.init),
        conditioning: Conditioning(
          try inputs.floats("encoder_hidden_states", shape: [batch, nil, nil]),
          textTime: textTime))
      return ([("sample", output)], weights)
    case "vae.encode":
      let (model, weights) = try golden.model.autoencoder(isTrainable: true)
      let posterior = model.encoder(try inputs.images("image"))
      return ([("mean", posterior.mean), ("logvar", posterior.logVariance)], weights)
    case "vae.decode":
      let (model, weights) = try golden.model.autoencoder(isTrainable: true)
      return ([("image", model.decoder(try inputs.images("latents")))], weights)
    default:
      let part = golden.model.hasPart("text_encoder_2") ? "text_encoder_2" : "text_encoder"
      let (model, weights) = try golden.model.textEncoder(part, isTrainable: true)
      let ids = try inputs.tokenIDs(
        "input_ids", limit: model.configuration.tokens,
        vocabulary: model.configuration.vocabularySize)
      let output = model(ids)
      return (
        [
          ("last_hidden_state", output.lastHiddenState),
          ("penultimate_hidden_state", output.penultimateHiddenState), ("pooled", output.pooled),
        ], weights
      )
    }
  }
}

extension [(String, [Float])] {
  /// The largest magnitude of all.
  fileprivate var joinedMagnitude: Float {
    reduce(Float(0)) { $1.1.reduce($0) { Swift.max($0, abs($1)) } }
  }
}
