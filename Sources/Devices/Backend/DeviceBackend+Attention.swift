import Backends
import HostResources
import TensorCore

/// Queries or keys of one group.
private let tile = 64
/// Queries of one group in half precision on tensor cores.
private let halfTile = 128
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
    guard hasHalfAttention(attention) else {
      return try launch("attend", tokens: shape.queryCount, shape, definitions, arguments)
    }
    try launch(
      "halfAttend", of: .halfAttention, definitions,
      counting: max(shape.queryCount, shape.keyCount),
      groups: ((shape.queryCount + halfTile - 1) / halfTile, shape.batch * shape.heads), arguments)
  }

  private func hasHalfAttention(_ attention: Attention) -> Bool {
    let (shape, operands) = (
      attention.shape, [attention.query, attention.key, attention.value, attention.output]
    )
    return shape.headWidth <= mostColumns
      && operands.allSatisfy { $0.storage.format == .half(.binary16) }
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
    try launch(
      "queryGradient", tokens: shape.queryCount, shape, definitions,
      operands + [memory(gradients.queryGradient)] + shape.arguments)
    try launch(
      "keyValueGradients", tokens: shape.keyCount, shape, definitions,
      operands + [memory(gradients.keyGradient), memory(gradients.valueGradient)]
        + shape.arguments)
  }

  private func definitions(_ shape: AttentionShape, _ activations: Operand...) -> [String] {
    shape.definitions + activationDefinitions(of: activations) + tensorDefinitions
  }

  /// A kernel with groups for tiles of some tokens by heads by parts of the result's columns.
  private func launch(
    _ kernel: String, tokens: Int, _ shape: AttentionShape, _ definitions: [String],
    _ arguments: [KernelArgument]
  ) throws(DeviceError) {
    try launch(
      kernel, of: .attention, definitions,
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
