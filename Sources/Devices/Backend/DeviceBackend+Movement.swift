import Backends
import HostResources
import TensorCore

extension DeviceBackend {
  /// Between any formats.
  func copyRows(
    _ input: Operand, stride: Int, into output: Operand, outputStride: Int, rows: Int, width: Int
  ) throws(DeviceError) {
    try launch(
      "copyRows", of: .movement, activationDefinitions([input], other: output),
      items: rows * width,
      [
        memory(input), memory(output), .extent(rows * width), .extent(width), .extent(stride),
        .extent(outputStride),
      ])
  }

  func gatherRows(
    _ input: Operand, at indices: [Int], into output: Operand, width: Int
  ) throws(DeviceError) {
    let places = try uploaded(indices.map { Int32(clamping: $0) })
    let count = indices.count * width
    try launch(
      "gatherRows", of: .movement, activationDefinitions([input], other: output), items: count,
      [memory(input), .memory(places), memory(output), .extent(count), .extent(width)])
  }

  /// Adds each row to the row at its index, in order: one work item walks along all that go to one row.
  func scatterRows(
    _ input: Operand, at indices: [Int], to output: Operand, width: Int
  ) throws(DeviceError) {
    var targets: [Int32] = []
    var firstRows: [Int32] = []
    var nextRows = [Int32](repeating: -1, count: indices.count)
    var lastRows: [Int: Int] = [:]
    for (row, index) in indices.enumerated() {
      if let last = lastRows.updateValue(row, forKey: index) {
        nextRows[last] = Int32(clamping: row)
      } else {
        targets.append(Int32(clamping: index))
        firstRows.append(Int32(clamping: row))
      }
    }
    let chains = try uploaded(targets + firstRows + nextRows)
    try launch(
      "scatterRows", of: .movement, activationDefinitions([input], other: output),
      items: targets.count * width,
      [
        memory(input), .memory(chains), memory(output), .extent(targets.count * width),
        .extent(width), .extent(targets.count),
      ])
  }

  func resample(
    _ input: Operand, into output: Operand, _ how: Resampling
  ) throws(DeviceError) {
    let sources = try uploaded(how.taps.sources.map { Int32(clamping: $0) })
    let weights = try uploaded(how.taps.weights)
    let places = how.taps.sources.count / 4
    let count = how.rows * places * how.width
    try launch(
      "resample", of: .movement, activationDefinitions([input, output]), items: count,
      [
        memory(input), .memory(sources), .memory(weights), memory(output), .extent(count),
        .extent(how.length), .extent(places), .extent(how.width),
      ])
  }

  func resampleGradient(
    _ gradient: Operand, into output: Operand, _ how: Resampling
  ) throws(DeviceError) {
    let sources = how.taps.sources
    let order = sources.indices.sorted { (sources[$0], $0) < (sources[$1], $1) }
    var starts = [Int32](repeating: 0, count: how.length + 1)
    for source in sources { starts[source + 1] += 1 }
    for source in 0..<how.length { starts[source + 1] += starts[source] }
    let firsts = try uploaded(starts)
    let taps = try uploaded(order.map { Int32(clamping: $0) })
    let weights = try uploaded(how.taps.weights)
    let count = how.rows * how.length * how.width
    try launch(
      "resampleGradient", of: .movement, activationDefinitions([gradient, output]), items: count,
      [
        memory(gradient), .memory(firsts), .memory(taps), .memory(weights), memory(output),
        .extent(count), .extent(how.length), .extent(sources.count / 4), .extent(how.width),
      ])
  }
}
