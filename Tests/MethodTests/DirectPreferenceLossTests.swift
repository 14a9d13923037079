import Apply
import Autograd
import Checkpoints
import Diffusion
import Files
import Foundation
import NN
import RandomStreams
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
    #expect(result.agreements == [1, 1])
  }

  @Test("a model that is the reference tells nothing apart and costs ln 2")
  func untuned() {
    let output = batch([0.3, -1, 2, 0.1])
    let result = DirectPreferenceLoss(beta: 5_000)(
      target: batch([0, 1, 0, 2]), tuned: output, reference: output)
    #expect(result.margins == [0, 0])
    #expect(abs(result.loss.scalar - Float(log(2.0))) < 1e-6)
    #expect(result.agreements == [0.5, 0.5])
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

  @Test("supervised tuning is the mean square over images and elements, computed by hand")
  func supervisedByHand() {
    let loss = denoisingLoss(target: batch([0, 1, 0, 2]), output: batch([1, 1, 2, -1]))
    #expect(loss.scalar == 3.5)  // (1 + 0 + 4 + 9) / 4
  }

  @Test(
    "supervised tuning on the winners: loss and gradients are PyTorch's",
    arguments: ["dpo-v1", "dpo-xl", "dpo-velocity"])
  func supervised(name: String) throws {
    let golden = try Golden(name)
    let noised = try golden.noised(["win_latents"])
    try golden.check(
      denoisingLoss(target: noised.target, output: noised.predict(golden.tuned)), "supervised")
  }

  @Test(
    "the safeguard leaves the value and scales losers' gradients: all are PyTorch's",
    arguments: ["dpo-v1", "dpo-xl", "dpo-velocity"])
  func safeguarded(name: String) throws {
    let golden = try Golden(name)
    let noised = try golden.noised(["win_latents", "lose_latents"])
    func result(_ safeguard: Float?) -> DirectPreferenceLoss.Result {
      DirectPreferenceLoss(beta: golden.beta, safeguard: safeguard)(
        target: noised.target, tuned: noised.predict(golden.tuned),
        reference: withoutGradients { noised.predict(golden.reference) })
    }
    let safe = result(0.5)
    #expect(safe.loss.scalar == result(nil).loss.scalar)
    let scales = try golden.expected.floats("safeguarded.scale")
    #expect(relativeError(safe.loserScales, scales) <= 1e-4)
    try golden.check(safe.loss, "safeguarded")
  }

  @Test("with the safeguard no step along the outputs' gradient raises the winner's error")
  func winnersAreSafe() throws {
    var stream = RandomStream(seed: 3, purpose: "test")
    let size = 6
    func draw(_ scale: Float) -> Tensor {
      Tensor(stream.normals(count: 2 * size), shape: [2, size, 1, 1]).scaled(by: scale)
    }
    var harmed = 0
    for _ in 0..<50 {
      let target = draw(1)
      // The loser's residual is larger, and partly the winner's: what raises one raises the other.
      let shared = draw(1).split(axis: 0, into: 2)[0]
      let output =
        (target + concatenated([shared, shared.scaled(by: 2)], axis: 0) + draw(0.5)).trainable()
      /// By how much the winner's error falls when both outputs go down the gradient, to first order.
      func fall(_ safeguard: Float?) throws -> Float {
        let loss = DirectPreferenceLoss(beta: 2, safeguard: safeguard)(
          target: target, tuned: output, reference: target
        ).loss
        let found = try #require(gradients(of: loss, for: [output])[0]).split(axis: 0, into: 2)
        let residual = (output.detached - target).split(axis: 0, into: 2)[0]
        return (residual * (found[0] + found[1])).sum().scalar
      }
      if try fall(nil) < 0 { harmed += 1 }
      #expect(try fall(0) >= -1e-6)
      #expect(try fall(0.5) >= 0)
      #expect(try fall(1) >= fall(0.5) - 1e-6)
    }
    #expect(harmed > 10)
  }

  /// A model with a LoRA, and what PyTorch makes of it.
  private struct Golden {
    let tuned: UNet
    let reference: UNet
    private let parameters: [Parameter]
    private let scheduler: DDIMScheduler
    private let inputs: InputTensors
    let expected: SafetensorsFile
    let beta: Float

    init(_ name: String) throws {
      let folder = fixturePath("method/\(name)")
      let model = ModelFolder(path: folder)
      let adapters = AdapterSet()
      parameters = try LoRAFile(path: "\(folder)/lora.safetensors").addUNetAdapters(
        to: adapters, isTrainable: true)
      let (unet, weights) = try model.unet()
      reference = unet
      tuned = try UNet(weights.adapted(by: adapters), unet.configuration)
      scheduler = try DDIMScheduler(model.schedulerConfig())
      inputs = InputTensors(
        try SafetensorsFile(path: "\(folder)/case.safetensors"), prefix: "input.")
      expected = try SafetensorsFile(path: "\(folder)/losses.safetensors")
      beta = Float(try JSONReader(contentsOf: "\(folder)/settings.json").double("beta"))
    }

    struct Noised {
      let target: Tensor
      let predict: (UNet) -> Tensor
    }

    func noised(_ names: [String]) throws -> Noised {
      let latents = concatenated(try names.map { try inputs.images($0) }, axis: 0)
      let batch = latents.shape[0] / names.count
      let noise = try inputs.images("noise").repeated(names.count)
      let timesteps = Array(
        repeatElement(try inputs.timesteps(batch: batch), count: names.count).joined())
      let pooledText = try reference.configuration.textTime.map { _ in
        try inputs.floats("text_embeds", shape: [batch, nil])
      }
      let conditioning = Conditioning(
        try inputs.floats("encoder_hidden_states", shape: [batch, nil, nil]),
        pooledText: pooledText, sizes: Conditioning.sizes(ofWholePicture: 64, 64)
      ).repeated(names.count)
      let schedule = scheduler.schedule
      let noised = schedule.noised(latents, with: noise, timesteps: timesteps)
      return Noised(
        target: schedule.target(
          latents, noise: noise, timesteps: timesteps, prediction: scheduler.predictionType)
      ) { $0(noised, timesteps: timesteps.map(Float.init), conditioning: conditioning) }
    }

    func check(_ loss: Tensor, _ kind: String) throws {
      let value = try expected.floats("\(kind).loss")[0]
      #expect(abs(loss.scalar - value) <= 1e-4 * max(1, value))
      let found = gradients(of: loss, for: parameters.map(\.tensor))
      let all = try parameters.map { try expected.floats("\(kind).grad.\($0.name)") }
      let largest = all.joined().reduce(Float(0)) { max($0, abs($1)) }
      for (index, parameter) in parameters.enumerated() {
        let gradient = parameter.stored(try #require(found[index])).values
        let error = relativeError(gradient, all[index], floor: largest * 1e-3)
        #expect(error <= 1e-3, "\(kind), \(parameter.name): \(error)")
      }
    }
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
