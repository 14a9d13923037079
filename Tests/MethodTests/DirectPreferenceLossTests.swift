import Apply
import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import StepwiseOptimization
import TestSupport
import Testing

@Suite struct DirectPreferenceLossTests {
  /// One pixel of one channel each, of two winners and two losers.
  private func batch(_ values: [Float]) -> Tensor { Tensor(values, shape: [4, 1, 1, 1]) }

  @Test(
    "a batch of two, computed by hand: the mean of the logarithms, not the logarithm of the mean")
  func byHand() {
    let result = DirectPreferenceLoss(beta: 4)(
      target: batch([0, 1, 0, 2]), tuned: batch([1, 1, 2, 0]), reference: batch([2, 0, 1, 1]))
    // Errors of the tuned model 1, 0 and 4, 4; of the reference 4, 1 and 1, 1.
    #expect(result.winErrorChanges == [-3, -1])
    #expect(result.loseErrorChanges == [3, 3])
    #expect(result.margins == [12, 8])
    let expected = (log(1 + exp(-12.0)) + log(1 + exp(-8.0))) / 2
    #expect(abs(Double(result.loss.scalar) - expected) < 1e-7)
    #expect(result.accuracy == 1)
  }

  @Test("a model that is the reference tells nothing apart and costs ln 2")
  func untuned() {
    let output = batch([0.3, -1, 2, 0.1])
    let result = DirectPreferenceLoss(beta: 5_000)(
      target: batch([0, 1, 0, 2]), tuned: output, reference: output)
    #expect(result.margins == [0, 0])
    #expect(abs(result.loss.scalar - Float(log(2.0))) < 1e-6)
    #expect(result.accuracy == 0.5)
  }

  @Test("what beta brings up is not lost to rounding")
  func precision() {
    // The errors differ in the seventh digit.
    let tuned = batch([0.5001, 0.5, 0.5, 0.5])
    let result = DirectPreferenceLoss(beta: 5_000)(
      target: batch([1, 1, 1, 1]), tuned: tuned, reference: batch([0.5, 0.5, 0.5, 0.5]))
    let change = Double(tuned.values[0] - 0.5)
    let expected = -2_500 * (change * change - change)
    #expect(abs(Double(result.margins[0]) / expected - 1) < 1e-6)
  }

  @Test("ten updates are those of PyTorch", arguments: ["dpo-v1", "dpo-xl"])
  func updates(name: String) throws {
    let folder = fixturePath("method/\(name)")
    let model = ModelFolder(path: folder)
    let adapters = AdapterSet()
    let parameters = try LoRAFile(path: "\(folder)/lora.safetensors").addUNetAdapters(
      to: adapters, isTrainable: true)
    let (reference, weights) = try model.unet()
    let tuned = try UNet(weights.adapted(by: adapters), reference.configuration)
    let scheduler = try DDIMScheduler(model.schedulerConfig())
    let beta = try JSONReader(contentsOf: "\(folder)/settings.json").double("beta")
    var optimizer = try AdamW(parameters, settings: .init(weightDecay: 1e-2))
    let file = try SafetensorsFile(path: "\(folder)/updates.safetensors")

    for update in 0..<10 {
      let inputs = InputTensors(file, prefix: "\(update).")
      let (win, lose) = (try inputs.images("win_latents"), try inputs.images("lose_latents"))
      let noise = try inputs.images("noise").repeated(2)
      let drawn = try inputs.timesteps(batch: 2)
      let states = try inputs.floats("encoder_hidden_states", shape: [2, nil, nil])
      let pooledText = try reference.configuration.textTime.map { _ in
        try inputs.floats("text_embeds", shape: [2, nil])
      }
      let conditioning = Conditioning(
        states, pooledText: pooledText, sizes: Conditioning.sizes(ofWholePicture: 64, 64)
      ).repeated(2)
      let noised = scheduler.schedule.noised(
        concatenated([win, lose], axis: 0), with: noise, timesteps: drawn + drawn)
      func predict(_ unet: UNet) -> Tensor {
        unet(noised, timesteps: (drawn + drawn).map(Float.init), conditioning: conditioning)
      }
      let loss = DirectPreferenceLoss(beta: Float(beta))(
        target: noise, tuned: predict(tuned), reference: withoutGradients { predict(reference) }
      ).loss
      let expected = try file.floats("\(update).loss")[0]
      #expect(abs(loss.scalar - expected) <= 1e-3 * max(1, expected), "update \(update)")
      let found = gradients(of: loss, for: parameters.map(\.tensor))
      try optimizer.update(
        found, learningRate: 1e-3, scale: clipping(found, toNorm: 1).scale)
    }
    for parameter in parameters {
      let error = relativeError(
        parameter.storedValues, try file.floats("after.\(parameter.name)"))
      #expect(error <= 1e-3, "\(parameter.name): \(error)")
    }
  }
}
