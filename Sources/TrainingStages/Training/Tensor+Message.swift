import Autograd
import PipelineCore

// Tensors serialized for another rank.
extension Tensor {
  var message: [UInt8] {
    var writer = OutputWriter()
    writer.add(self)
    return writer.bytes
  }

  init(message: [UInt8]) throws {
    var reader = OutputReader(message)
    self = try reader.tensor()
  }
}

extension OutputWriter {
  mutating func add(_ tensor: Tensor) {
    add(tensor.shape) { $0.add($1) }
    add(tensor.values)
  }

  mutating func add(_ numbers: [Float]) { add(numbers.withUnsafeBytes { Array($0) }) }
}

extension OutputReader {
  mutating func tensor() throws(BadOutput) -> Tensor {
    let shape = try list { reader throws(BadOutput) in try reader.int() }
    let values = try floats()
    guard values.count == shape.reduce(1, *) else {
      throw BadOutput("\(values.count) numbers are no tensor of shape \(shape)")
    }
    return Tensor(values, shape: shape)
  }

  mutating func floats() throws(BadOutput) -> [Float] {
    let bytes = try bytes()
    return bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
  }
}
