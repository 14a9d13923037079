import Autograd
import Diffusion
public import Files
import NN
import StepwiseOptimization

extension Operation {
  static let ddim = Operation("ddim") { options, inputs in
    let scheduler = try options.scheduler()
    let output = try inputs.images("model_output")
    let shape = output.shape
    let (sample, noise) = (
      try inputs.images("sample", channels: shape[3], batch: shape[0]),
      try inputs.images("noise", channels: shape[3], batch: shape[0])
    )
    guard sample.shape == shape, noise.shape == shape else {
      throw InputError.shapeMismatch(
        name: "sample and noise", expected: "that of model_output", found: sample.shape)
    }
    let timesteps = try inputs.timesteps(batch: shape[0], limit: scheduler.schedule.count)
    let transition = try scheduler.transition(
      from: timesteps, stepCount: options.steps, eta: options.eta)
    try transition.requireDensity()
    let mean = transition.mean(sample, modelOutput: output)
    let previous = transition.sample(mean: mean, noise: noise)
    let predictedX0 = transition.predictedX0(sample, modelOutput: output)
    return [
      ("prev_sample", previous.channelsFirst()),
      ("pred_original_sample", predictedX0.channelsFirst()),
      ("log_prob", transition.logDensity(previous, mean: mean)),
    ]
  }

  static let stepwiseLoss = Operation("spo.loss") { options, inputs in
    let scheduler = try options.scheduler()
    let (reference, tuned, parameters) = try options.unets()
    let configuration = reference.configuration
    let latents = try inputs.images("latents", channels: configuration.inputChannels)
    try options.requireHalvable(latents, configuration)
    let (batch, height, width) = (latents.shape[0], latents.shape[1], latents.shape[2])
    let channels = configuration.inputChannels
    let next = try inputs.floats("next_latents", shape: [batch, 2, channels, height, width])
    let timesteps = try inputs.timesteps(batch: batch, limit: scheduler.schedule.count)
    let conditioning = try inputs.conditioning(
      "encoder_hidden_states", batch: batch, for: configuration)
    let negative = try inputs.conditioning(
      "negative_hidden_states", batch: 1, tokens: conditioning.hiddenStates.shape[1],
      for: configuration, prefix: "negative_")
    let halves = next.split(axis: 1, into: 2).map {
      $0.reshaped(to: [batch, channels, height, width]).channelsLast()
    }

    let transition = try scheduler.transition(
      from: timesteps, stepCount: options.steps, eta: options.eta)
    try transition.requireDensity()
    func predict(_ unet: UNet) -> Tensor {
      GuidedUNet(unet, guidance: options.guidance)(
        latents, timesteps: timesteps.map(Float.init), conditioning: conditioning,
        negative: negative)
    }
    let result = StepwiseLoss(beta: options.beta, clip: options.clip)(
      PairBatch(latents: latents, timesteps: timesteps, win: halves[0], lose: halves[1]),
      transition, tuned: predict(tuned), reference: predict(reference))
    return [
      ("loss", result.loss), ("ratio_win", Tensor(result.winRatios, shape: [batch])),
      ("ratio_lose", Tensor(result.loseRatios, shape: [batch])),
    ] + gradientOutputs(of: result.loss, for: parameters)
  }

  static let directLoss = Operation("dpo.loss") { options, inputs in
    let scheduler = try options.scheduler()
    let (reference, tuned, parameters) = try options.unets()
    let configuration = reference.configuration
    let channels = configuration.inputChannels
    let win = try inputs.images("win_latents", channels: channels)
    try options.requireHalvable(win, configuration)
    let batch = win.shape[0]
    let others = try ["lose_latents", "noise"].map { name in
      let tensor = try inputs.images(name, channels: channels, batch: batch)
      guard tensor.shape == win.shape else {
        throw InputError.shapeMismatch(
          name: name, expected: "that of win_latents", found: tensor.shape)
      }
      return tensor
    }
    let pairTimesteps = try inputs.timesteps(batch: batch, limit: scheduler.schedule.count)
    let conditioning = try inputs.conditioning(
      "encoder_hidden_states", batch: batch, for: configuration
    ).repeated(2)
    let latents = concatenated([win, others[0]], axis: 0)
    let (noise, timesteps) = (others[1].repeated(2), pairTimesteps + pairTimesteps)

    let noised = scheduler.schedule.noised(latents, with: noise, timesteps: timesteps)
    func predict(_ unet: UNet) -> Tensor {
      unet(noised, timesteps: timesteps.map(Float.init), conditioning: conditioning)
    }
    let result = DirectPreferenceLoss(beta: options.beta)(
      target: scheduler.schedule.target(
        latents, noise: noise, timesteps: timesteps, prediction: scheduler.predictionType),
      tuned: predict(tuned), reference: withoutGradients { predict(reference) })
    return [("loss", result.loss), ("margin", Tensor(result.margins, shape: [batch]))]
      + gradientOutputs(of: result.loss, for: parameters)
  }

  private static func gradientOutputs(
    of loss: Tensor, for parameters: [Parameter]
  ) -> [(String, Tensor)] {
    zip(parameters, gradients(of: loss, for: parameters.map(\.tensor))).map {
      parameter, gradient in
      let zero = Tensor(repeating: 0, shape: parameter.tensor.shape)
      return ("grad.\(parameter.name)", parameter.stored(gradient ?? zero))
    }
  }
}

extension OperationOptions {
  /// The model's U-Net, and the same with the LoRA, whose matrices are trainable.
  fileprivate func unets() throws -> (reference: UNet, tuned: UNet, parameters: [Parameter]) {
    guard let loraPath else { throw OperationError.loraRequired }
    let adapters = AdapterSet()
    let file = try LoRAFile(path: loraPath)
    try file.requireUNet()
    let parameters = try file.addUNetAdapters(to: adapters, isTrainable: true)
    let (reference, weights) = try model.unet()
    let configuration = reference.configuration
    guard configuration.outputChannels == configuration.inputChannels else {
      throw ConfigurationError.misfit(
        path: try model.configuration("unet").path,
        reason: "in_channels is \(configuration.inputChannels), but out_channels "
          + "\(configuration.outputChannels); inpainting and editing models cannot be tuned")
    }
    var tuned = try UNet(weights.adapted(by: adapters), configuration)
    tuned.usesGradientCheckpointing = usesGradientCheckpointing
    try adapters.requireAllMatched()
    return (reference, tuned, parameters)
  }

  fileprivate func scheduler() throws -> DDIMScheduler {
    let config = try model.schedulerConfig()
    try config.requireKnownProcess()
    return try DDIMScheduler(config)
  }
}

extension DDIMTransition {
  fileprivate func requireDensity() throws {
    if let row = rows.first(where: { $0.sigma <= 0 }) {
      throw OperationError.noDensity(timestep: row.timestep)
    }
  }
}

/// Why an operation cannot run.
public enum OperationError: ClassifiedError, Equatable, CustomStringConvertible {
  case loraRequired
  case noDensity(timestep: Int)

  public var kind: FailureKind {
    switch self {
    case .loraRequired: .usage
    case .noDensity: .input
    }
  }

  public var description: String {
    switch self {
    case .loraRequired: "the operation needs a LoRA file: --lora FILE"
    case .noDensity(let timestep):
      "log_prob: the step from timestep \(timestep) is deterministic (sigma is 0), so it has no density"
    }
  }
}
