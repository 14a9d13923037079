import Files
import Glibc

/// The fraction of signal left at each timestep of the forward process.
///
///     x_t = sqrt(alphaBar_t) x_0 + sqrt(1 - alphaBar_t) noise,  alphaBar_t = prod (1 - beta_s), s <= t
///
/// Computed in single precision in the same order as torch, so that steps agree with diffusers'.
///
/// Source: Ho et al. 2020, arXiv 2006.11239, equation 4; `rescale_betas_zero_snr`: Lin et al. 2023,
/// arXiv 2305.08891, algorithm 1.
public struct NoiseSchedule: Sendable {
  enum Curve: String, CaseIterable {
    case linear
    case scaledLinear = "scaled_linear"
    case squaredCosine = "squaredcos_cap_v2"
  }

  private static let largestCount = 100_000

  /// alphaBar of timestep t at index t.
  public package(set) var alphaBar: [Float]

  /// The number of timesteps the model was trained with.
  public var count: Int { alphaBar.count }

  /// - Parameter isRescalable: whether the sampler supports `rescale_betas_zero_snr`.
  public init(_ config: SchedulerConfig, isRescalable: Bool = true) throws {
    let json = config.json
    var betas: [Float]
    if let trained = try json.optional("trained_betas") {
      betas = try trained.elements().map { Float(try $0.double()) }
    } else {
      let count = try json.int("num_train_timesteps", default: 1000)
      guard (1...Self.largestCount).contains(count) else {
        throw SchedulerError.unsupported(
          path: json.path, key: "num_train_timesteps", found: "\(count)",
          supported: "1 to \(Self.largestCount)")
      }
      let start = try json.double("beta_start", default: 0.0001)
      let end = try json.double("beta_end", default: 0.02)
      switch try config.choice("beta_schedule", default: Curve.linear) {
      case .linear: betas = Self.evenlySpaced(from: Float(start), to: Float(end), count: count)
      case .scaledLinear:
        betas = Self.evenlySpaced(
          from: Float(start.squareRoot()), to: Float(end.squareRoot()), count: count
        ).map { $0 * $0 }
      case .squaredCosine: betas = Self.squaredCosine(count: count)
      }
    }
    guard (1...Self.largestCount).contains(betas.count), betas.allSatisfy({ $0 > 0 && $0 < 1 })
    else {
      throw SchedulerError.unsupported(
        path: json.path, key: "the list of betas", found: "\(betas.prefix(3))...",
        supported: "1 to \(Self.largestCount) numbers between 0 and 1")
    }
    if isRescalable, try json.bool("rescale_betas_zero_snr", default: false) {
      betas = Self.rescaledToZeroSignal(betas)
    }
    alphaBar = Self.cumulativeProducts(betas)
  }

  /// Returns products of 1 - beta, multiplied in double precision and rounded individually.
  private static func cumulativeProducts(_ betas: [Float]) -> [Float] {
    var product = 1.0
    return betas.map {
      product *= Double(1 - $0)
      return Float(product)
    }
  }

  /// Interpolates from both ends towards the middle, like `torch.linspace`.
  private static func evenlySpaced(from start: Float, to end: Float, count: Int) -> [Float] {
    let step = (end - start) / Float(max(1, count - 1))
    return (0..<count).map {
      $0 < max(1, count / 2) ? start + step * Float($0) : end - step * Float(count - 1 - $0)
    }
  }

  /// Nichol and Dhariwal 2021, arXiv 2102.09672, equation 17; betas of at most 0.999.
  private static func squaredCosine(count: Int) -> [Float] {
    func left(_ time: Double) -> Double {
      let cosine = cos((time + 0.008) / 1.008 * Double.pi / 2)
      return cosine * cosine
    }
    return (0..<count).map {
      let ratio = left(Double($0 + 1) / Double(count)) / left(Double($0) / Double(count))
      return Float(min(1 - ratio, 0.999))
    }
  }

  /// Returns the betas rescaled so that the last alphaBar is 0 and the first is unchanged.
  private static func rescaledToZeroSignal(_ betas: [Float]) -> [Float] {
    let roots = cumulativeProducts(betas).map { $0.squareRoot() }
    guard let first = roots.first, let last = roots.last, first > last else { return betas }
    let scale = first / (first - last)
    let alphaBar = roots.map { ($0 - last) * scale }.map { $0 * $0 }
    return alphaBar.indices.map { 1 - ($0 == 0 ? alphaBar[0] : alphaBar[$0] / alphaBar[$0 - 1]) }
  }
}
