import Backends
import TensorCore

/// Neighbours that one group adds.
private let neighbours = 4096
/// Rows that one work item adds: rounding grows with the square root of the number of rows, not with it.
private let rowsAtOnce = 256

/// Where numbers lie, and in which format.
struct Numbers {
  let memory: KernelArgument
  var format = NumberFormat.single

  static func scratch(_ memory: DeviceMemory) -> Numbers { Numbers(memory: .memory(memory)) }
}

extension DeviceBackend {
  func numbers(_ operand: Operand) -> Numbers {
    Numbers(memory: memory(operand), format: operand.storage.format)
  }

  /// The adjoint of repeating: in stages of blocks of rows.
  func sumRepeats(
    _ input: Numbers, into output: Numbers, _ broadcast: Broadcast
  ) throws(DeviceError) {
    let (outer, inner) = (broadcast.outer, broadcast.inner)
    guard inner > 1 || outer > 1 else {
      return try sum(input, count: broadcast.repeats, into: output)
    }
    guard inner > 1 else {
      return try add(
        "sumRows", input, into: output, groups: outer, [.extent(broadcast.repeats)])
    }
    var (source, rows) = (input, broadcast.repeats)
    // Each stage's memory is free for the next but one: the queue is in order.
    var stage: DeviceMemory?
    repeat {
      let chunks = max(1, (rows + rowsAtOnce - 1) / rowsAtOnce)
      let sums = chunks > 1 ? try scratch(outer * chunks * inner) : nil
      let target = sums.map { .scratch($0) } ?? output
      let count = outer * chunks * inner
      try add(
        "sumColumns", source, into: target, counting: count,
        groups: (count + KernelSource.groupSize - 1) / KernelSource.groupSize,
        [
          .extent(count), .extent(rows), .extent(inner), .extent(rowsAtOnce), .extent(chunks),
        ])
      (source, rows, stage) = (target, chunks, sums)
    } while stage != nil
  }

  /// The sum of all elements, in stages of neighbours.
  func sum(_ input: Numbers, count: Int, into output: Numbers) throws(DeviceError) {
    var (source, count) = (input, count)
    var stage: DeviceMemory?
    repeat {
      let groups = max(1, (count + neighbours - 1) / neighbours)
      let sums = groups > 1 ? try scratch(groups) : nil
      let target = sums.map { .scratch($0) } ?? output
      try sumNeighbours(source, count: count, into: target, groups, ofSquares: false)
      (source, count, stage) = (target, groups, sums)
    } while stage != nil
  }

  /// The sum of squares: of neighbours there, of their sums here in double precision.
  func sumOfSquares(_ source: Operand, count: Int) throws(DeviceError) -> Double {
    guard count > 0 else { return 0 }
    let groups = (count + neighbours - 1) / neighbours
    let sums = try scratch(groups)
    try sumNeighbours(
      numbers(source), count: count, into: .scratch(sums), groups, ofSquares: true)
    return try downloaded(sums, count: groups, as: Float.self).reduce(0) { $0 + Double($1) }
  }

  private func sumNeighbours(
    _ input: Numbers, count: Int, into output: Numbers, _ groups: Int, ofSquares: Bool
  ) throws(DeviceError) {
    try add(
      "sumNeighbours", input, into: output, counting: count, groups: groups,
      [.extent(count), .extent(neighbours), .flag(ofSquares)])
  }

  private func add(
    _ kernel: String, _ input: Numbers, into output: Numbers, counting count: Int = 0, groups: Int,
    _ extents: [KernelArgument]
  ) throws(DeviceError) {
    try launch(
      kernel, of: .rows, activationDefinitions(input.format, other: output.format),
      counting: count, groups: (groups, 1), [input.memory, output.memory] + extents)
  }

  func findNonFinite(_ source: Operand, count: Int) throws(DeviceError) -> Int? {
    guard count > 0 else { return nil }
    let found = try examine("firstNonFinite", source, count: count, as: Int32.self)
    return found.first { $0 >= 0 }.map(Int.init)
  }

  func findLargestMagnitude(_ source: Operand, count: Int) throws(DeviceError) -> Float {
    guard count > 0 else { return 0 }
    return try examine("largestMagnitudes", source, count: count, as: Float.self).max() ?? 0
  }

  /// With one wait for all.
  func findAllFinite(_ arrays: [(values: Operand, count: Int)]) throws(DeviceError) -> Bool {
    let pieces = arrays.map { ($0.count + neighbours - 1) / neighbours }
    let total = pieces.reduce(0, +)
    guard total > 0 else { return true }
    let found = try scratch(total)
    var start = 0
    for ((values, count), groups) in zip(arrays, pieces) {
      try examine("firstNonFinite", values, count: count, into: .memory(found, offset: start))
      start += groups
    }
    return try downloaded(found, count: total, as: Int32.self).allSatisfy { $0 < 0 }
  }

  /// One number for each piece.
  private func examine<Number: BitwiseCopyable & ExpressibleByIntegerLiteral>(
    _ kernel: String, _ source: Operand, count: Int, as type: Number.Type
  ) throws(DeviceError) -> [Number] {
    let groups = (count + neighbours - 1) / neighbours
    let found = try scratch(groups)
    try examine(kernel, source, count: count, into: .memory(found))
    return try downloaded(found, count: groups, as: type)
  }

  private func examine(
    _ kernel: String, _ source: Operand, count: Int, into found: KernelArgument
  ) throws(DeviceError) {
    try launch(
      kernel, of: .rows, activationDefinitions([source]), counting: count,
      groups: ((count + neighbours - 1) / neighbours, 1),
      [memory(source), found, .extent(count), .extent(neighbours)])
  }

  private func downloaded<Number: BitwiseCopyable & ExpressibleByIntegerLiteral>(
    _ memory: DeviceMemory, count: Int, as type: Number.Type
  ) throws(DeviceError) -> [Number] {
    var values = [Number](repeating: 0, count: count)
    try device.download(
      memory.buffer, at: 0, byteCount: count * MemoryLayout<Number>.stride, to: &values)
    return values
  }
}
