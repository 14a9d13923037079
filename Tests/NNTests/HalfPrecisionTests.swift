import Autograd
import Checkpoints
import Foundation
import NN
import RandomStreams
import TestSupport
import Testing

@Suite("Weights in half precision")
struct HalfPrecisionTests {
  /// Weights of one layer, in a file of `type` and in a file of the single-precision numbers that those
  /// round to.
  private func sources(
    _ tensors: [(name: String, shape: [Int])], _ type: ElementType, in folder: String
  ) throws -> (half: CheckpointWeights, full: CheckpointWeights) {
    let (halfPath, fullPath) = ("\(folder)/half.safetensors", "\(folder)/full.safetensors")
    try writeSafetensors(
      tensors.map { name, shape in
        OutgoingTensor(
          name, type: type, shape: shape, floats: { noise(shape, purpose: name).values })
      }, to: halfPath)
    let half = try SafetensorsFile(path: halfPath)
    try writeSafetensors(
      tensors.map { name, shape in
        OutgoingTensor(name, shape: shape, floats: { try half.floats(name) })
      }, to: fullPath)
    return (
      try CheckpointWeights(half), try CheckpointWeights(try SafetensorsFile(path: fullPath))
    )
  }

  /// Output and gradient of the input.
  private func run(_ x: Tensor, _ layer: (Tensor) -> Tensor) -> [[Float]] {
    let leaf = x.trainable()
    let y = layer(leaf)
    let gradient = gradients(
      of: y, for: [leaf], outputGradient: noise(y.shape, purpose: "gradient"))[0]
    return [y.values, gradient?.values ?? []]
  }

  @Test(
    "a linear layer computes what it computes with the widened numbers",
    arguments: [ElementType.f16, .bf16])
  func linear(type: ElementType) throws {
    try withTemporaryFolder { folder in
      let sources = try sources([("weight", [400, 336]), ("bias", [400])], type, in: folder)
      let layers = try [sources.half, sources.full].map {
        try Linear(Weights($0), inputs: 336, outputs: 400)
      }
      let x = noise([3, 50, 336], purpose: "x")
      let found = layers.map { layer in run(x) { layer($0) } }
      #expect(found[0] == found[1])
      #expect(found[0].allSatisfy { !$0.isEmpty })
    }
  }

  @Test(
    "a convolution computes what it computes with the widened numbers",
    arguments: [(3, 1), (3, 2), (1, 1)], [ElementType.f16, .bf16])
  func convolution(form: (kernel: Int, stride: Int), type: ElementType) throws {
    try withTemporaryFolder { folder in
      // Wide enough to stay in half precision, and for Winograd's tiles not to be kept.
      let (inputs, outputs) = form.kernel == 1 ? (400, 336) : (136, 152)
      let sources = try sources(
        [("weight", [outputs, inputs, form.kernel, form.kernel]), ("bias", [outputs])], type,
        in: folder)
      let layers = try [sources.half, sources.full].map {
        try Conv2d(
          Weights($0), inputs: inputs, outputs: outputs, kernel: form.kernel, stride: form.stride)
      }
      let x = noise([2, 9, 11, inputs], purpose: "x")
      let found = layers.map { layer in run(x) { layer($0) } }
      #expect(found[0] == found[1])
      #expect(found[0].allSatisfy { !$0.isEmpty })
    }
  }

  @Test("an embedding looks up the widened numbers")
  func embedding() throws {
    try withTemporaryFolder { folder in
      let sources = try sources([("weight", [900, 160])], .f16, in: folder)
      let tables = try [sources.half, sources.full].map {
        try Embedding(Weights($0), count: 900, width: 160)
      }
      let rows = tables.map { $0([899, 0, 7, 7]).values }
      #expect(rows[0] == rows[1])
    }
  }

  @Test("values are given back as the checkpoint has them, whatever the layout")
  func storedValues() throws {
    try withTemporaryFolder { folder in
      let sources = try sources(
        [("weight", [136, 152, 3, 3]), ("bias", [136])], .bf16, in: folder)
      let parameters = try [sources.half, sources.full].map { source in
        let weights = Weights(source)
        _ = try Conv2d(weights, inputs: 152, outputs: 136, kernel: 3)
        return weights.parameters
      }
      for (half, full) in zip(parameters[0], parameters[1]) {
        #expect(half.storedValues == full.storedValues)
        #expect(half.tensor.shape == full.tensor.shape)
        #expect(half.tensor.values == full.tensor.values)
      }
    }
  }

  @Test("trainable weights are single precision")
  func trainable() throws {
    try withTemporaryFolder { folder in
      let source = try sources([("weight", [400, 336]), ("bias", [400])], .f16, in: folder).half
      let weights = Weights(source, isTrainable: true)
      _ = try Linear(weights, inputs: 336, outputs: 400)
      let isTrainable = weights.parameters.map(\.isTrainable)
      #expect(isTrainable == [true, true])
      weights.parameters[0].assign([Float](repeating: 1, count: 400 * 336))
      #expect(weights.parameters[0].storedValues[5] == 1)
    }
  }
}

private func noise(_ shape: [Int], purpose: String) -> Tensor {
  var stream = RandomStream(seed: 4, purpose: purpose)
  return Tensor(shape: shape) { stream.fillNormal($0) }
}
