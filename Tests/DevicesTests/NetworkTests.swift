import Autograd
import Backends
import Devices
import RandomStreams
import TensorCore
import Testing

/// A small network of the kinds of layers that a U-Net has, and its gradients.
private struct Network {
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

  /// The loss for images `[2, 8, 6, 5]`.
  func loss(_ images: Tensor, _ target: Tensor) -> Tensor {
    let first = convolve(images, 0)
    let normalized = groupNormalized(
      first, gamma: gamma, beta: beta, groups: 4, epsilon: 1e-5, appliesSiLU: true)
    let small = convolve(normalized, 1, stride: 2)
    let tokens = small.reshaped(to: [2, 12, Self.channels])
    let rows = layerNormalized(tokens, gamma: gamma, beta: beta, epsilon: 1e-5)
    let term = LowRankTerm(down: down, up: up, scale: 0.5)
    let q = linear(rows, weight: .full(query), terms: [term])
    let attended = attention(query: q, key: rows, value: tokens, heads: 3) + tokens
    let expanded = linear(gatedGELU(linear(attended, weight: gates)), weight: out)
    let picture = (expanded + attended).reshaped(to: small.shape)
    let large = convolve(picture, 2, enlarges: true)
    let output = convolve(concatenated([silu(large), first], axis: 3), 3)
    return (output - target).mapped(by: .square).mean()
  }

  private func convolve(
    _ x: Tensor, _ index: Int, stride: Int = 1, enlarges: Bool = false
  ) -> Tensor {
    let weight = convolution[index]
    let factor = enlarges ? 2 : 1
    let shape = ConvolutionShape(
      batch: x.shape[0], height: factor * x.shape[1], width: factor * x.shape[2],
      inputChannels: weight.shape[2], outputChannels: weight.shape[3], kernel: (3, 3),
      stride: stride, padding: 1)
    return convolution(x, weight, shape, enlarges)
  }

  private func convolution(
    _ x: Tensor, _ weight: Tensor, _ shape: ConvolutionShape, _ enlarges: Bool
  ) -> Tensor {
    Autograd.convolution(
      x, weight: weight, prepared: weight.convolutionOperand(), bias: nil, shape,
      enlarges: enlarges)
  }
}

extension DeviceTests {
  @Suite
  struct NetworkTests {
    /// The loss, then the gradients of all leaves.
    private func results(on backend: any Backend) -> [[Float]] {
      withBackend(backend) {
        let network = Network()
        let loss = network.loss(
          Network.values([2, 8, 6, 5], 20, scale: 1), Network.values([2, 8, 6, 5], 21, scale: 1))
        let found = gradients(of: loss, for: network.leaves)
        return [loss.values] + found.map { $0?.values ?? [] }
      }
    }

    @Test("gradients of a network are the host's", .enabled(if: TestDevice.isHere))
    func gradientsOfNetwork() throws {
      let expected = results(on: HostBackend.shared)
      let found = results(on: try TestDevice.open())
      for (index, (array, values)) in zip(found, expected).enumerated() {
        #expect(array.count == values.count && !values.isEmpty)
        let largest = values.reduce(0) { max($0, abs($1)) }
        let error = zip(array, values).reduce(0) { max($0, abs($1.0 - $1.1)) }
        #expect(largest > 0 && error <= 2e-5 * largest, "leaf \(index): \(error) of \(largest)")
      }
    }

    @Test("the same on the same device, bit for bit", .enabled(if: TestDevice.isHere))
    func repeats() throws {
      let device = try TestDevice.open()
      #expect(results(on: device) == results(on: device))
    }
  }
}
