import Backends
import TensorCore

/// Neighbours that one group adds.
private let neighbours = 4096
/// Rows that one work item adds: rounding grows with the square root of the number of rows, not with it.
private let rowsAtOnce = 256

extension DeviceBackend {
  /// The adjoint of repeating: in stages of blocks of rows.
  func sumRepeats(
    _ input: KernelArgument, into output: KernelArgument, _ broadcast: Broadcast
  ) throws(DeviceError) {
    let (outer, inner) = (broadcast.outer, broadcast.inner)
    guard inner > 1 || outer > 1 else {
      return try sum(input, count: broadcast.repeats, into: output)
    }
    guard inner > 1 else {
      return try launch(
        "sumRows", of: .rows, groups: (outer, 1), [input, output, .extent(broadcast.repeats)])
    }
    var (source, rows) = (input, broadcast.repeats)
    // Each stage's memory is free for the next but one: the queue is in order.
    var stage: DeviceMemory?
    repeat {
      let chunks = max(1, (rows + rowsAtOnce - 1) / rowsAtOnce)
      let sums = chunks > 1 ? try scratch(outer * chunks * inner) : nil
      let target = sums.map { .memory($0) } ?? output
      let count = outer * chunks * inner
      try launch(
        "sumColumns", of: .rows, items: count,
        [
          source, target, .extent(count), .extent(rows), .extent(inner), .extent(rowsAtOnce),
          .extent(chunks),
        ])
      (source, rows, stage) = (target, chunks, sums)
    } while stage != nil
  }

  /// The sum of all elements, in stages of neighbours.
  func sum(
    _ input: KernelArgument, count: Int, into output: KernelArgument
  ) throws(DeviceError) {
    var (source, count) = (input, count)
    var stage: DeviceMemory?
    repeat {
      let groups = max(1, (count + neighbours - 1) / neighbours)
      let sums = groups > 1 ? try scratch(groups) : nil
      let target = sums.map { .memory($0) } ?? output
      try sumNeighbours(source, count: count, into: target, groups, ofSquares: false)
      (source, count, stage) = (target, groups, sums)
    } while stage != nil
  }

  /// The sum of squares: of neighbours there, of their sums here in double precision.
  func sumOfSquares(_ source: Operand, count: Int) throws(DeviceError) -> Double {
    guard count > 0 else { return 0 }
    let groups = (count + neighbours - 1) / neighbours
    let sums = try scratch(groups)
    try sumNeighbours(memory(source), count: count, into: .memory(sums), groups, ofSquares: true)
    return try downloaded(sums, count: groups, as: Float.self).reduce(0) { $0 + Double($1) }
  }

  private func sumNeighbours(
    _ input: KernelArgument, count: Int, into output: KernelArgument, _ groups: Int,
    ofSquares: Bool
  ) throws(DeviceError) {
    try launch(
      "sumNeighbours", of: .rows, counting: count, groups: (groups, 1),
      [input, output, .extent(count), .extent(neighbours), .flag(ofSquares)])
  }

  func findNonFinite(_ source: Operand, count: Int) throws(DeviceError) -> Int? {
    guard count > 0 else { return nil }
    let groups = (count + neighbours - 1) / neighbours
    let found = try scratch(groups)
    try launch(
      "firstNonFinite", of: .rows, counting: count, groups: (groups, 1),
      [memory(source), .memory(found), .extent(count), .extent(neighbours)])
    return try downloaded(found, count: groups, as: Int32.self).first { $0 >= 0 }.map(Int.init)
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
