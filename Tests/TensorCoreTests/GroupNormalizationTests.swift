import HostResources
import TensorCore
import TestSupport
import Testing

@Suite("Group normalization")
struct GroupNormalizationTests {
  /// Fewer images than threads share positions out; more keep each image on one thread.
  @Test(
    "the number of threads changes no bit, forth and back",
    arguments: [(1, 5_000, 12), (2, 300, 40), (5, 1_700, 8), (7, 1, 6)], [false, true])
  func threads(_ extents: (batch: Int, positions: Int, channels: Int), appliesSiLU: Bool) {
    let shape = GroupShape(
      batch: extents.batch, positions: extents.positions, channels: extents.channels, groups: 2)
    let results = [1, 2, 4].map { count in
      Threads.with(count: count) { Self.results(shape, appliesSiLU: appliesSiLU) }
    }
    #expect(results[1] == results[0])
    #expect(results[2] == results[0])
    #expect(results[0].contains { $0 != 0 })
  }

  @Test("groups of each image have mean 0 and variance 1", arguments: [1, 3])
  func moments(batch: Int) {
    let (positions, channels) = (1_100, 10)
    let shape = GroupShape(batch: batch, positions: positions, channels: channels, groups: 5)
    let output = Self.results(shape, appliesSiLU: false, isPlain: true)
    for image in 0..<batch {
      for group in 0..<5 {
        var (sum, squares) = (0.0, 0.0)
        for position in 0..<positions {
          for channel in group * 2..<group * 2 + 2 {
            let value = Double(output[(image * positions + position) * channels + channel])
            sum += value
            squares += value * value
          }
        }
        let count = Double(2 * positions)
        #expect(abs(sum / count) < 1e-5)
        #expect(abs(squares / count - 1) < 1e-3)
      }
    }
  }

  /// The output, and after it the gradients of the input and of both parameters.
  private static func results(
    _ shape: GroupShape, appliesSiLU: Bool, isPlain: Bool = false
  ) -> [Float] {
    let count = shape.batch * shape.positions * shape.channels
    let input = noise(count, seed: 1)
    let outputGradient = noise(count, seed: 2)
    let gamma =
      isPlain ? [Float](repeating: 1, count: shape.channels) : noise(shape.channels, seed: 3)
    let beta =
      isPlain ? [Float](repeating: 0, count: shape.channels) : noise(shape.channels, seed: 4)
    var output = [Float](repeating: 0, count: count)
    var statistics = [Float](repeating: 0, count: shape.batch * shape.groups * 2)
    normalizeGroups(
      input, gamma: gamma, beta: beta, into: &output, statistics: &statistics, epsilon: 1e-6,
      appliesSiLU: appliesSiLU, shape)
    guard !isPlain else { return output }
    var inputGradient = [Float](repeating: 0, count: count)
    var gammaGradient = [Float](repeating: 0, count: shape.channels)
    var betaGradient = gammaGradient
    gammaGradient.withUnsafeMutableBufferPointer { gammaGradient in
      betaGradient.withUnsafeMutableBufferPointer { betaGradient in
        guard let first = gammaGradient.baseAddress, let second = betaGradient.baseAddress else {
          return
        }
        normalizeGroupsGradient(
          input, outputGradient, gamma: gamma, beta: beta, statistics: statistics,
          into: &inputGradient, parameterGradients: (first, second), appliesSiLU: appliesSiLU, shape
        )
      }
    }
    return output + inputGradient + gammaGradient + betaGradient
  }
}
