import Backends
import HostResources
import TensorCore

/// Queries or keys of one group.
private let tile = 64
/// The same in half precision on tensor cores.
private let halfTile = 128
/// Columns of a head whose gradients a group's registers hold there.
private let mostHalfGradientColumns = 80
/// Columns of a result that one group's registers hold.
private let mostColumns = 160

extension DeviceBackend {
  func run(_ attention: Attention) throws(DeviceError) {
    let shape = attention.shape
    let definitions = definitions(
      shape, attention.query, attention.key, attention.value, attention.output)
    let arguments =
      [
        memory(attention.query), memory(attention.key), memory(attention.value),
        memory(attention.output), memory(attention.logSumExp ?? attention.output),
      ] + shape.arguments + [.flag(attention.logSumExp != nil)]
    let isHalf =
      shape.headWidth <= mostColumns
      && hasHalfAttention(
        shape, attention.query, attention.key, attention.value, attention.output)
    try launch(
      isHalf ? "halfAttend" : "attend", of: isHalf ? .halfAttention : .attention,
      tokens: shape.queryCount, shape, definitions, arguments)
  }

  private func hasHalfAttention(_ shape: AttentionShape, _ operands: Operand...) -> Bool {
    operands.allSatisfy { $0.storage.format == .half(.binary16) }
      && hasEights(operands.map(\.offset) + [shape.headWidth, shape.queryStride])
      && hasEights([shape.keyStride, shape.valueStride, shape.outputStride])
  }

  func run(_ gradients: AttentionGradients) throws(DeviceError) {
    let shape = gradients.shape
    let count = shape.batch * shape.heads * shape.queryCount
    let products = try scratch(count)
    let definitions = definitions(
      shape, gradients.query, gradients.key, gradients.value, gradients.output,
      gradients.outputGradient, gradients.queryGradient, gradients.keyGradient,
      gradients.valueGradient)
    try launch(
      "outputProducts", of: .attention, definitions, counting: count,
      groups: ((count + KernelSource.groupSize - 1) / KernelSource.groupSize, 1),
      [
        memory(gradients.output), memory(gradients.outputGradient), .memory(products),
        .extent(count), .extent(shape.heads), .extent(shape.queryCount),
        .extent(shape.headWidth), .extent(shape.outputStride),
      ])
    let operands = [
      memory(gradients.query), memory(gradients.key), memory(gradients.value),
      memory(gradients.outputGradient), memory(gradients.logSumExp), .memory(products),
    ]
    let isHalf =
      shape.headWidth <= mostHalfGradientColumns
      && hasHalfAttention(
        shape, gradients.query, gradients.key, gradients.value, gradients.outputGradient,
        gradients.queryGradient, gradients.keyGradient, gradients.valueGradient)
    let source = isHalf ? KernelSource.halfAttentionGradients : .attention
    try launch(
      isHalf ? "halfQueryGradient" : "queryGradient", of: source, tokens: shape.queryCount, shape,
      definitions, operands + [memory(gradients.queryGradient)] + shape.arguments)
    try launch(
      isHalf ? "halfKeyValueGradients" : "keyValueGradients", of: source, tokens: shape.keyCount,
      shape, definitions,
      operands + [memory(gradients.keyGradient), memory(gradients.valueGradient)]
        + shape.arguments)
  }

  private func definitions(_ shape: AttentionShape, _ activations: Operand...) -> [String] {
    shape.definitions + activationDefinitions(of: activations) + tensorDefinitions
  }

  /// A kernel with groups for tiles of some tokens by heads by parts of the result's columns.
  private func launch(
    _ kernel: String, of source: KernelSource, tokens: Int, _ shape: AttentionShape,
    _ definitions: [String], _ arguments: [KernelArgument]
  ) throws(DeviceError) {
    let tile = source.name == KernelSource.attention.name ? tile : halfTile
    try launch(
      kernel, of: source, definitions,
      counting: max(shape.queryCount, shape.keyCount),
      groups: ((tokens + tile - 1) / tile, shape.batch * shape.heads * shape.columnSplits),
      arguments)
  }
}

extension AttentionShape {
  fileprivate var columnSplits: Int { max(1, (headWidth + mostColumns - 1) / mostColumns) }

  fileprivate var definitions: [String] {
    let columns = (headWidth + columnSplits - 1) / columnSplits
    return ["PART=\(tile / 16)", "COLUMN_PARTS=\((columns + 15) / 16)"]
  }

  fileprivate var arguments: [KernelArgument] {
    [
      .extent(batch), .extent(heads), .extent(queryCount), .extent(keyCount), .extent(headWidth),
      .extent(queryStride), .extent(keyStride), .extent(valueStride), .extent(outputStride),
      .float(scale), .flag(isCausal),
    ]
  }
}
