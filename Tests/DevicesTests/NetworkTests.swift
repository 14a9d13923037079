import Autograd
import Backends
import Devices
import RandomStreams
import TensorCore
import Testing

/// A small network of the kinds of layers that a U-Net has, and its gradients.
struct Network {
  private static let channels = 24

  let convolution = [
    Self.weight([3, 3, 5, channels], 1), Self.weight([3, 3, channels, channels], 2),
    Self.weight([3, 3, channels, channels], 3), Self.weight([3, 3, 2 * channels, 5], 4),
  ]
  let query = Self.weight([channels, channels], 5)
  let gates = Self.weight([4 * channels, channels], 6)
  let out = Self.weight([channels, 2 * channels], 7)
  let down = Self.weight([3, channels], 8)
  let up = Self.weight([channels, 3], 9)
  let gamma = Self.weight([channels], 10)
  let beta = Self.weight([channels], 11)

  var leaves: [Tensor] { convolution + [query, gates, out, down, up, gamma, beta] }

  private static func weight(_ shape: [Int], _ seed: UInt64) -> Tensor {
    values(shape, seed, scale: 0.3).trainable()
  }

  static func values(_ shape: [Int], _ seed: UInt64, scale: Float) -> Tensor {
    var stream = RandomStream(seed: seed, purpose: "network")
    return Tensor(shape: shape) { buffer in
      for index in buffer.indices {
        buffer[index] = scale * Float(Int32(bitPattern: stream.nextUInt32())) / Float(1 << 31)
      }
    }
  }

  var hasLargeValues = false
  var isCheckpointed = false

  /// The loss for images `[2, 8, 6, 5]`.
  func loss(_ images: Tensor, _ target: Tensor) -> Tensor {
    let output = inHalfPrecision([images], hasLargeValues: hasLargeValues) { inputs in
      checkpointed(inputs, if: isCheckpointed) { result(of: $0[0]) }
    }
    return (output - target).mapped(by: .square).mean()
  }

  private func result(of images: Tensor) -> Tensor {
    let first = convolve(images, 0)
    let normalized = groupNormalized(
      first, gamma: gamma, beta: beta, groups: 4, epsilon: 1e-5, appliesSiLU: true)
    let small = convolve(normalized, 1, stride: 2)
    let tokens = small.reshaped(to: [2, small.count / 2 / Self.channels, Self.channels])
    let rows = layerNormalized(tokens, gamma: gamma, beta: beta, epsilon: 1e-5)
    let term = LowRankTerm(down: down, up: up, scale: 0.5)
    let q = linear(rows, weight: .full(query), terms: [term])
    let attended = attention(query: q, key: rows, value: tokens, heads: 3) + tokens
    let expanded = linear(gatedGELU(linear(attended, weight: gates)), weight: out)
    let image = (expanded + attended).reshaped(to: small.shape)
    let large = convolve(image, 2, upsamples: true)
    return convolve(concatenated([silu(large), first], axis: 3), 3)
  }

  private func convolve(
    _ x: Tensor, _ index: Int, stride: Int = 1, upsamples: Bool = false
  ) -> Tensor {
    let weight = convolution[index]
    let factor = upsamples ? 2 : 1
    let shape = ConvolutionShape(
      batch: x.shape[0], height: factor * x.shape[1], width: factor * x.shape[2],
      inputChannels: weight.shape[2], outputChannels: weight.shape[3], kernel: (3, 3),
      stride: stride, padding: 1)
    return convolution(x, weight, shape, upsamples)
  }

  private func convolution(
    _ x: Tensor, _ weight: Tensor, _ shape: ConvolutionShape, _ upsamples: Bool
  ) -> Tensor {
    Autograd.convolution(
      x, weight: weight, prepared: weight.convolutionOperand(), bias: nil, shape,
      upsamples: upsamples)
  }
}

extension DeviceTests {
  @Suite
  struct NetworkTests {
    @Test("gradients of a network are the host's", .enabled(if: TestDevice.isHere))
    func gradientsOfNetwork() throws {
      let expected = Network().results(on: HostBackend.shared)
      let found = Network().results(on: try TestDevice.open(.single))
      for (index, (array, values)) in zip(found, expected).enumerated() {
        let error = largestDifference(array, values)
        #expect(error <= 2e-5, "leaf \(index): \(error)")
      }
    }

    @Test("the same on the same device, bit for bit", .enabled(if: TestDevice.isHere))
    func repeats() throws {
      let device = try TestDevice.open()
      #expect(Network().results(on: device) == Network().results(on: device))
    }
  }
}

extension Network {
  /// The loss, then the gradients of all leaves.
  func results(on backend: any Backend) -> [[Float]] {
    withBackend(backend) {
      var network = Network()
      (network.hasLargeValues, network.isCheckpointed) = (hasLargeValues, isCheckpointed)
      let loss = network.loss(
        Network.values([2, 8, 6, 5], 20, scale: 1), Network.values([2, 8, 6, 5], 21, scale: 1))
      let found = gradients(of: loss, for: network.leaves)
      return [loss.values] + found.map { $0?.values ?? [] }
    }
  }
}

/// The error as a fraction of the largest expected value; infinite if there is none.
func largestDifference(_ found: [Float], _ expected: [Float]) -> Float {
  let largest = expected.reduce(0) { max($0, abs($1)) }
  guard found.count == expected.count, largest > 0 else { return .infinity }
  let difference = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
  return difference.isFinite ? difference / largest : .infinity
}
