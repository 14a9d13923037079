import Autograd
import TensorCore

/// How long a forward pass of one row takes here, by what takes it.
///
/// Every layer of its own size is run once or a few times, large ones on a part of their places.
public struct ForwardTime: Sendable {
  private var convolution = 0.0
  private var linear = 0.0
  private var attention = 0.0
  private var elements = 0.0

  public var seconds: Double { convolution + linear + attention + elements }

  /// Of a forward pass that is recorded and its backward pass.
  ///
  /// A product's gradient takes as long as the product, that of attention 2.5 times as long: scores are
  /// computed again. Where weights are trained, there is one more product of each.
  ///
  /// - Parameter trainsWeights: or else low-rank adapters alone
  public func trainingSeconds(trainsWeights: Bool) -> Double {
    (convolution + linear) * (trainsWeights ? 3 : 2) + attention * 3.5 + elements * 3
  }

  init(_ operations: [NetworkOperation]) {
    var measured: [NetworkOperation: Double] = [:]
    for operation in operations {
      let seconds = measured[operation] ?? operation.measuredSeconds()
      measured[operation] = seconds
      switch operation {
      case .convolution: convolution += seconds
      case .linear: linear += seconds
      case .attention: attention += seconds
      case .elements: elements += seconds
      }
    }
  }

  public static func + (a: ForwardTime, b: ForwardTime) -> ForwardTime {
    var sum = a
    sum.convolution += b.convolution
    sum.linear += b.linear
    sum.attention += b.attention
    sum.elements += b.elements
    return sum
  }
}

extension NetworkOperation {
  /// At most so much work is done at once, so that the largest model takes a few seconds.
  private static let workAtMost = 4_000_000_000
  /// Small layers are run on many rows, as batches are: at least so many numbers.
  private static let numbersAtLeast = 1 << 18
  private static let elementsAtMost = 1 << 22
  /// Nor are arrays larger than that: what they are short of counts as so many of them.
  private static let widthAtMost = 1 << 13
  private static let keysAtMost = 1 << 26

  fileprivate func measuredSeconds() -> Double {
    switch self {
    case .convolution(let places, let allInputs, let allOutputs, let kernel):
      let (inputs, outputs, rest) = Self.limited(allInputs, allOutputs)
      let share = min(1, Double(Self.workAtMost) / Double(max(1, work)))
      let side = max(1, Int((Double(places) * share).squareRoot()))
      let rows = Self.rows(side * side * inputs)
      let x = Tensor(repeating: 0.5, shape: [rows, side, side, inputs])
      let weight = Tensor(repeating: 0.01, shape: [kernel, kernel, inputs, outputs])
      let prepared = weight.convolutionOperand()
      let shape = ConvolutionShape(
        batch: rows, height: side, width: side, inputChannels: inputs, outputChannels: outputs,
        kernel: (kernel, kernel), padding: kernel / 2)
      let seconds = Self.seconds {
        _ = Autograd.convolution(x, weight: weight, prepared: prepared, bias: nil, shape)
      }
      return rest * seconds * Double(places) / Double(rows * side * side)
    case .linear(let rows, let allInputs, let allOutputs):
      let (inputs, outputs, rest) = Self.limited(allInputs, allOutputs)
      let share = min(1, Double(Self.workAtMost) / Double(max(1, work)))
      let some = max(1, Int(Double(rows) * share)) * Self.rows(rows * inputs)
      let x = Tensor(repeating: 0.5, shape: [some, inputs])
      let weight = Tensor(repeating: 0.01, shape: [outputs, inputs])
      return rest * Self.seconds { _ = Autograd.linear(x, weight: weight) } * Double(rows)
        / Double(some)
    case .attention(let queries, let allKeys, let width, let heads):
      let keys = min(allKeys, max(1, Self.keysAtMost / width))
      let share = min(1, Double(Self.workAtMost) / Double(max(1, work)))
      let some = max(1, Int(Double(queries) * share))
      let rows = Self.rows(some * width)
      let query = Tensor(repeating: 0.5, shape: [rows, some, width])
      let key = Tensor(repeating: 0.01, shape: [rows, keys, width])
      let seconds = Self.seconds {
        _ = Autograd.attention(query: query, key: key, value: key, heads: heads)
      }
      return seconds * Double(queries) / Double(rows * some) * Double(allKeys) / Double(keys)
    case .elements(let count):
      let some = min(max(count, Self.numbersAtLeast), Self.elementsAtMost) / 64
      let x = Tensor(repeating: 0.5, shape: [1, some, 64])
      let gamma = Tensor(repeating: 1, shape: [64])
      let seconds = Self.seconds {
        _ = groupNormalized(
          x, gamma: gamma, beta: gamma, groups: 8, epsilon: 1e-5, appliesSiLU: true)
      }
      return seconds * Double(count) / Double(64 * some)
    }
  }

  /// Widths to measure with, and how often that work makes all of it.
  private static func limited(_ inputs: Int, _ outputs: Int) -> (Int, Int, rest: Double) {
    let (some, others) = (min(inputs, widthAtMost), min(outputs, widthAtMost))
    return (some, others, Double(inputs) * Double(outputs) / (Double(some) * Double(others)))
  }

  private static func rows(_ numbers: Int) -> Int {
    max(1, min(64, numbersAtLeast / max(1, numbers)))
  }

  /// The least of a few runs, if they are short: others may use the machine too.
  private static func seconds(_ body: () -> Void) -> Double {
    let clock = ContinuousClock()
    return withoutGradients {
      // The first run faults memory in and makes derived forms of weights; of long ones it counts.
      var best = clock.measure(body) / .seconds(1)
      guard best < 0.02 else { return best }
      best = .infinity
      var total = 0.0
      repeat {
        let time = clock.measure(body) / .seconds(1)
        best = min(best, time)
        total += time
      } while total < 0.03
      return best
    }
  }
}

extension UNetConfiguration {
  /// Measures one forward pass with guidance over a latent of `height` x `width`.
  public func guidedTime(height: Int, width: Int, tokens: Int) -> ForwardTime {
    ForwardTime(withGuidance(parts(height: height, width: width, tokens: tokens)))
  }

  /// Measures the way down and the lowest level alone.
  public func encoderTime(
    height: Int, width: Int, tokens: Int, hasGuidance: Bool
  ) -> ForwardTime {
    let parts = parts(height: height, width: width, tokens: tokens).filter { !$0.isWayUp }
    return ForwardTime(hasGuidance ? withGuidance(parts) : parts.flatMap(\.operations))
  }

  /// The operations of both halves, which share what comes before the first look at the prompt.
  private func withGuidance(_ parts: [NetworkPart]) -> [NetworkOperation] {
    let own =
      textTime == nil
      ? parts.drop { part in if case .transformer = part.kind { false } else { true } } : parts[...]
    return (parts + own).flatMap(\.operations)
  }
}

extension AutoencoderConfiguration {
  /// Measures decoding latents of `height` x `width`.
  public func decodingTime(height: Int, width: Int) -> ForwardTime {
    ForwardTime(decoderParts(height: height, width: width).flatMap(\.operations))
  }

  /// Measures encoding pictures of `height` x `width`.
  public func encodingTime(height: Int, width: Int) -> ForwardTime {
    ForwardTime(encoderParts(height: height, width: width).flatMap(\.operations))
  }
}

extension CLIPTransformerConfiguration {
  /// Measures one forward pass over `tokens`.
  ///
  /// - Parameter isTimeConditioned: whether each layer is modulated by a timestep
  public func forwardTime(tokens: Int, isTimeConditioned: Bool = false) -> ForwardTime {
    ForwardTime(operations(tokens: tokens, isTimeConditioned: isTimeConditioned))
  }
}
