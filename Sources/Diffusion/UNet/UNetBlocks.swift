import Autograd
import NN

/// The state of the down path.
struct DownPass {
  /// The features, `[rows, height, width, channels]`.
  var h: Tensor
  /// The time vectors, `[rows, width]`.
  var time: Tensor
  /// The skip connections to the up path, in order of creation.
  var skips: [Tensor]

  init(h: Tensor, time: Tensor) {
    self.h = h
    self.time = time
    skips = [h]
  }

  /// Repeats all rows if there are fewer: from here on they are conditioned on different prompts.
  mutating func spread(to rows: Int) {
    h = h.spread(to: rows)
    time = time.spread(to: rows)
    skips = skips.map { $0.spread(to: rows) }
  }
}

/// One level of the down path: residual blocks, each followed by attention if the level has it,
/// then a downsampler, except at the last level.
///
/// - Keys: `resnets.N`, `attentions.N`, `downsamplers.0`
struct DownBlock {
  let resnets: [ResnetBlock]
  let transformers: [SpatialTransformer]
  let downsampler: Downsampler?
  /// The channels of this level's skip connections.
  let skipWidths: [Int]

  init(
    _ weights: Weights, inputs: Int, level: Int, isLast: Bool, _ configuration: UNetConfiguration
  ) throws {
    let width = configuration.channels[level]
    let layers = configuration.layersPerBlock[level]
    resnets = try (0..<layers).map { index in
      try ResnetBlock(
        weights["resnets"][index], inputs: index == 0 ? inputs : width, outputs: width,
        configuration)
    }
    transformers =
      configuration.downBlocks[level] == .crossAttention
      ? try (0..<layers).map { index in
        try SpatialTransformer(weights["attentions"][index], level: level, configuration)
      } : []
    downsampler =
      isLast
      ? nil
      : try Downsampler(
        weights["downsamplers"][0], channels: width,
        padding: configuration.downsamplePadding == 0
          ? .init(top: 0, left: 0, bottom: 1, right: 1) : .init(configuration.downsamplePadding))
    skipWidths = [Int](repeating: width, count: layers + (isLast ? 0 : 1))
  }

  func callAsFunction(_ pass: inout DownPass, context: Tensor, isCheckpointed: Bool) {
    for (index, resnet) in resnets.enumerated() {
      pass.h = checkpointed([pass.h, pass.time], if: isCheckpointed) {
        resnet($0[0], time: $0[1])
      }
      if !transformers.isEmpty {
        pass.h = transformers[index](pass.h, context: context, isCheckpointed: isCheckpointed)
        pass.spread(to: context.shape[0])
      }
      pass.skips.append(pass.h)
    }
    if let downsampler {
      pass.h = downsampler(pass.h)
      pass.skips.append(pass.h)
    }
  }
}

/// The middle block: a residual block, attention and another residual block.
///
/// - Keys: `resnets.0`, `attentions.0`, `resnets.1`
struct MiddleBlock {
  let first: ResnetBlock
  let transformer: SpatialTransformer
  let second: ResnetBlock

  init(_ weights: Weights, _ configuration: UNetConfiguration) throws {
    let level = configuration.channels.count - 1
    let width = configuration.channels[level]
    first = try ResnetBlock(
      weights["resnets"][0], inputs: width, outputs: width, configuration)
    transformer = try SpatialTransformer(weights["attentions"][0], level: level, configuration)
    second = try ResnetBlock(
      weights["resnets"][1], inputs: width, outputs: width, configuration)
  }

  func callAsFunction(
    _ x: Tensor, time: Tensor, context: Tensor, isCheckpointed: Bool
  ) -> Tensor {
    var h = checkpointed([x, time], if: isCheckpointed) { first($0[0], time: $0[1]) }
    h = transformer(h, context: context, isCheckpointed: isCheckpointed)
    return checkpointed([h, time], if: isCheckpointed) { second($0[0], time: $0[1]) }
  }
}

/// One level of the up path: residual blocks that each concatenate a skip connection to their
/// input, attention if the level has it, then an upsampler, except at the top.
///
/// - Keys: `resnets.N`, `attentions.N`, `upsamplers.0`
struct UpBlock {
  let resnets: [ResnetBlock]
  let transformers: [SpatialTransformer]
  let upsampler: Upsampler?

  /// - Parameters:
  ///   - skipWidths: channels of the skip connections, in the order of use
  ///   - level: the level of the down path that this one mirrors
  ///   - kind: its position on the up path
  init(
    _ weights: Weights, inputs: Int, skipWidths: [Int], level: Int, kind: Int,
    _ configuration: UNetConfiguration
  ) throws {
    let width = configuration.channels[level]
    resnets = try skipWidths.enumerated().map { index, skipWidth in
      try ResnetBlock(
        weights["resnets"][index], inputs: (index == 0 ? inputs : width) + skipWidth,
        outputs: width, configuration)
    }
    transformers =
      configuration.upBlocks[kind] == .crossAttention
      ? try skipWidths.indices.map { index in
        try SpatialTransformer(weights["attentions"][index], level: level, configuration)
      } : []
    upsampler = level == 0 ? nil : try Upsampler(weights["upsamplers"][0], channels: width)
  }

  func callAsFunction(
    _ x: Tensor, time: Tensor, context: Tensor, skips: inout [Tensor], isCheckpointed: Bool
  ) -> Tensor {
    var h = x
    for (index, resnet) in resnets.enumerated() {
      h = checkpointed([h, skips.removeLast(), time], if: isCheckpointed) {
        resnet(concatenated([$0[0], $0[1]], axis: 3), time: $0[2])
      }
      if !transformers.isEmpty {
        h = transformers[index](h, context: context, isCheckpointed: isCheckpointed)
      }
    }
    guard let upsampler, let next = skips.last else { return h }
    return upsampler(h, size: (next.shape[1], next.shape[2]))
  }
}

extension ResnetBlock {
  fileprivate init(
    _ weights: Weights, inputs: Int, outputs: Int, _ configuration: UNetConfiguration
  ) throws {
    try self.init(
      weights, inputs: inputs, outputs: outputs, timeWidth: 4 * configuration.channels[0],
      groups: configuration.groups, epsilon: configuration.epsilon)
  }
}

extension SpatialTransformer {
  fileprivate init(_ weights: Weights, level: Int, _ configuration: UNetConfiguration) throws {
    try self.init(
      weights, channels: configuration.channels[level], heads: configuration.heads[level],
      layers: configuration.transformerLayers[level], contextWidth: configuration.contextWidth,
      groups: configuration.groups)
  }
}
