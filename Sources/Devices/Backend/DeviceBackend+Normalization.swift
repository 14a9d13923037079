import Backends
import TensorCore

/// Rows or positions that one work item sums.
private let rowsAtOnce = 32

extension DeviceBackend {
  func run(_ normalization: RowNormalization) throws(DeviceError) {
    try launch(
      "normalizeRows", of: .normalization,
      activationDefinitions(of: [normalization.input, normalization.output]),
      groups: (normalization.rows, 1),
      [
        memory(normalization.input), memory(normalization.gamma), memory(normalization.beta),
        memory(normalization.output), memory(normalization.statistics),
        .extent(normalization.width), .float(normalization.epsilon),
      ])
  }

  func run(_ gradient: RowNormalizationGradient) throws(DeviceError) {
    let (rows, width) = (gradient.rows, gradient.width)
    try launch(
      "normalizeRowsGradient", of: .normalization,
      activationDefinitions(of: [gradient.input, gradient.outputGradient, gradient.inputGradient]),
      groups: (rows, 1),
      [
        memory(gradient.input), memory(gradient.outputGradient), memory(gradient.gamma),
        memory(gradient.statistics), memory(gradient.inputGradient), .extent(width),
      ])
    guard let parameters = gradient.parameterGradients else { return }
    let chunks = (rows + rowsAtOnce - 1) / rowsAtOnce
    let sums = try scratch(chunks * 2 * width)
    try launch(
      "rowParameterSums", of: .normalization,
      activationDefinitions(of: [gradient.input, gradient.outputGradient]), items: chunks * width,
      [
        memory(gradient.input), memory(gradient.outputGradient), memory(gradient.statistics),
        .memory(sums), .extent(chunks * width), .extent(rows), .extent(width),
        .extent(rowsAtOnce),
      ])
    try sum(sums, count: chunks, channels: width, into: parameters)
  }

  func run(_ normalization: GroupNormalization) throws(DeviceError) {
    let shape = normalization.shape
    let chunks = shape.chunks
    let moments = try scratch(shape.batch * chunks * 2 * shape.channels)
    let count = shape.batch * chunks * shape.channels
    try launch(
      "channelMoments", of: .normalization, activationDefinitions(of: [normalization.input]),
      items: count,
      [
        memory(normalization.input), .memory(moments), .extent(count), .extent(shape.positions),
        .extent(shape.channels), .extent(rowsAtOnce), .extent(chunks),
      ])
    try launch(
      "groupStatistics", of: .normalization, activationDefinitions(of: [normalization.input]),
      groups: (shape.batch * shape.groups, 1),
      [
        .memory(moments), memory(normalization.statistics), .extent(shape.positions),
        .extent(shape.channels), .extent(shape.groups), .extent(rowsAtOnce), .extent(chunks),
        .float(normalization.epsilon),
      ])
    try launch(
      "normalizeGroups", of: .normalization,
      activationDefinitions(of: [normalization.input, normalization.output]), items: shape.count,
      [
        memory(normalization.input), memory(normalization.gamma), memory(normalization.beta),
        memory(normalization.statistics), memory(normalization.output), .extent(shape.count),
        .extent(shape.positions), .extent(shape.channels), .extent(shape.groups),
        .flag(normalization.appliesSiLU),
      ])
  }

  func run(_ gradient: GroupNormalizationGradient) throws(DeviceError) {
    let shape = gradient.shape
    let chunks = shape.chunks
    let operands = [
      memory(gradient.input), memory(gradient.outputGradient), memory(gradient.gamma),
      memory(gradient.beta), memory(gradient.statistics),
    ]
    let partSums = try scratch(shape.batch * chunks * 2 * shape.channels)
    let count = shape.batch * chunks * shape.channels
    try launch(
      "channelParameterSums", of: .normalization,
      activationDefinitions(of: [gradient.input, gradient.outputGradient]), items: count,
      operands + [
        .memory(partSums), .extent(count), .extent(shape.positions), .extent(shape.channels),
        .extent(shape.groups), .extent(rowsAtOnce), .extent(chunks), .flag(gradient.appliesSiLU),
      ])
    let sums = try scratch(shape.batch * 2 * shape.channels)
    try sumRepeats(
      .scratch(partSums), into: .scratch(sums),
      Broadcast(outer: shape.batch, repeats: chunks, inner: 2 * shape.channels))
    let averages = try scratch(shape.batch * shape.groups * 2)
    try launch(
      "groupAverages", of: .normalization, activationDefinitions(of: [gradient.input]),
      groups: (shape.batch * shape.groups, 1),
      [
        .memory(sums), memory(gradient.gamma), .memory(averages), .extent(shape.positions),
        .extent(shape.channels), .extent(shape.groups),
      ])
    try launch(
      "normalizeGroupsGradient", of: .normalization,
      activationDefinitions(of: [gradient.input, gradient.outputGradient, gradient.inputGradient]),
      items: shape.count,
      operands + [
        .memory(averages), memory(gradient.inputGradient), .extent(shape.count),
        .extent(shape.positions), .extent(shape.channels), .extent(shape.groups),
        .flag(gradient.appliesSiLU),
      ])
    if let parameters = gradient.parameterGradients {
      try sum(sums, count: shape.batch, channels: shape.channels, into: parameters)
    }
  }

  /// Adds up `[count, 2, channels]`: the gradients of factors, then of summands.
  private func sum(
    _ sums: DeviceMemory, count: Int, channels: Int, into gradients: ParameterGradients
  ) throws(DeviceError) {
    let totals = try scratch(2 * channels)
    try sumRepeats(
      .scratch(sums), into: .scratch(totals),
      Broadcast(outer: 1, repeats: count, inner: 2 * channels))
    for (offset, target) in [(0, gradients.gamma), (channels, gradients.beta)] {
      try launch(
        "copyRows", of: .movement, activationDefinitions(.single, other: .single), items: channels,
        [
          .memory(totals, offset: offset), memory(target), .extent(channels), .extent(channels),
          .extent(channels), .extent(channels),
        ])
    }
  }
}

extension GroupShape {
  fileprivate var chunks: Int { (positions + rowsAtOnce - 1) / rowsAtOnce }
  fileprivate var count: Int { batch * positions * channels }
}
