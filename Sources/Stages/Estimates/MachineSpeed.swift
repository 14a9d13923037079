import Autograd
import Diffusion
import NN
import TensorCore

/// How fast this machine computes, measured on layers of the size at hand.
public struct MachineSpeed: Sendable {
  /// Floating-point operations a second, by kind.
  var convolution: Double
  var linear: Double
  var attention: Double
  /// Numbers a second through a normalisation.
  var elements: Double

  /// Of one forward pass.
  func seconds(_ work: ForwardWork) -> Double {
    Double(work.convolution) / convolution + Double(work.linear) / linear
      + Double(work.attention) / attention + Double(work.elements) / elements
  }

  /// Of a forward pass that is recorded and its backward pass to the input.
  ///
  /// A product's gradient takes as much as the product, that of attention 2.5 times as much; one more
  /// product of each where weights are trained.
  func trainingSeconds(_ work: ForwardWork, trainsWeights: Bool) -> Double {
    let products =
      Double(work.convolution) / convolution + Double(work.linear) / linear
    return products * (trainsWeights ? 3 : 2)
      + Double(work.attention) / attention * 3.5 + Double(work.elements) / elements * 3
  }
}

extension MachineSpeed {
  /// For pipelines that compute nothing.
  static let unknown = MachineSpeed(convolution: 1, linear: 1, attention: 1, elements: 1)

  /// Measures layers that are as wide as the model's own, for about a second.
  ///
  /// - Parameters:
  ///   - channels: of a level that takes much of the work
  ///   - side: height and width of that level
  ///   - heads: of its attention
  static func measured(channels: Int, side: Int, heads: Int) throws -> MachineSpeed {
    let weights = Weights(randomSeed: 1)
    let places = side * side
    // As many rows as keep all threads busy, as in a batch.
    let rows = max(1, min(64, 4096 / places))
    let x = Tensor(repeating: 0.5, shape: [rows, side, side, channels])
    let tokens = x.reshaped(to: [rows, places, channels])
    let convolution = try Conv2d(
      weights["convolution"], inputs: channels, outputs: channels, kernel: 3)
    let linear = try Linear(weights["linear"], inputs: channels, outputs: 4 * channels)
    let norm = try GroupNorm(
      weights["norm"], channels: channels, groups: heads, epsilon: 1e-5)
    var work = ForwardWork()
    work.addLinear(rows: rows * places, inputs: channels, outputs: 4 * channels)
    let linearWork = Double(work.total)
    return withoutGradients {
      MachineSpeed(
        convolution: Double(2 * 9 * x.count * channels) / seconds { _ = convolution(x) },
        linear: linearWork / seconds { _ = linear(tokens) },
        attention: Double(4 * rows * places * places * channels)
          / seconds {
            _ = Autograd.attention(query: tokens, key: tokens, value: tokens, heads: heads)
          },
        elements: Double(x.count) / seconds { _ = norm(x, appliesSiLU: true) })
    }
  }

  /// The time that `body` takes, the least of some runs: others may use the machine too.
  private static func seconds(_ body: () -> Void) -> Double {
    let clock = ContinuousClock()
    body()
    var best = Double.infinity
    let start = clock.now
    repeat {
      best = min(best, clock.measure(body) / .seconds(1))
    } while (clock.now - start) / .seconds(1) < 0.2
    return max(best, 1e-9)
  }
}
