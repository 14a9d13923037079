import CommandSyntax
import Diffusion

/// The options of a benchmark.
struct BenchOptions {
  let model: ModelFolder
  let preference: ModelFolder?
  let batch: Int?
  let size: (width: Int, height: Int)?
  let steps: Int?
  let rank: Int?
  let microBatch: Int?
  let usesGradientCheckpointing: Bool
  /// A substring that the name of an operator's size must contain.
  let filter: String?
  let wantsGradients: Bool
  let files: [String]

  /// Stand-ins for models that do not exist.
  var standIns: [String: PublishedModel] {
    guard !model.isThere, let known = PublishedModel.named(by: model.path, isCLIP: false) else {
      return [:]
    }
    return [model.path: known]
  }

  init(_ arguments: Arguments) throws {
    model = ModelFolder(path: arguments.value("model") ?? "data/tiny-sd")
      .narrowed(to: try arguments.choice("precision"))
    let precision: WeightPrecision? = try arguments.choice("preference-precision")
    preference = arguments.value("preference").map {
      ModelFolder(path: $0).narrowed(to: precision)
    }
    batch = try arguments.int("batch", in: 1...4096)
    size = try arguments.pair("size", separator: "x").map { ($0.first, $0.second) }
    if let size, !(1...16384).contains(size.width) || !(1...16384).contains(size.height) {
      throw arguments.error("--size must be 1 to 16384 in each direction")
    }
    steps = try arguments.int("steps", in: 1...1000)
    rank = try arguments.int("rank", in: 1...4096)
    microBatch = try arguments.int("micro-batch", in: 1...4096)
    usesGradientCheckpointing = arguments.has("gradient-checkpointing")
    filter = arguments.value("case")
    wantsGradients = arguments.has("gradients")
    files = Array(arguments.operands.dropFirst())
  }
}

/// The number of measurements.
struct BenchSchedule {
  let runs: Int
  /// Seconds of measured runs beyond which only a second one is started.
  let limit: Double
  /// Whether the first run is measured, too.
  let isCold: Bool

  init(_ arguments: Arguments) throws {
    runs = try arguments.int("repeat", in: 1...100_000) ?? 5
    limit = try arguments.double("seconds") ?? .infinity
    isCold = arguments.has("cold")
  }

  /// Returns the seconds of each run, ascending.
  func measure(_ run: () throws -> Void) throws -> [Double] {
    let clock = ContinuousClock()
    var seconds: [Double] = []
    var total = 0.0
    while seconds.count < runs, seconds.count < 2 || total < limit {
      seconds.append(try clock.measure(run) / .seconds(1))
      total += seconds[seconds.count - 1]
    }
    return seconds.sorted()
  }
}
