import Autograd
public import Files

/// A low-rank term added to a linear layer: `scale * (x down^T) up^T`.
///
/// - Source: Hu et al. 2021, arXiv 2106.09685
public struct LowRankAdapter {
  /// Shape `[rank, inputs]`.
  public let down: Parameter
  /// Shape `[outputs, rank]`.
  public let up: Parameter
  /// `alpha / rank`, times the strength that the user asked for.
  public let scale: Float
  /// The file that it was read from, for messages; nil: none.
  let file: String?

  public init(down: Parameter, up: Parameter, scale: Float, file: String? = nil) {
    self.down = down
    self.up = up
    self.scale = scale
    self.file = file
  }

  var term: LowRankTerm { LowRankTerm(down: down.tensor, up: up.tensor, scale: scale) }
}

/// A mismatch between an adapter and a layer.
public enum AdapterError: ClassifiedError, Equatable, CustomStringConvertible {
  case shapeMismatch(
    file: String?, layer: String, down: [Int], up: [Int], inputs: Int, outputs: Int)
  case unmatched(file: String?, layers: [String])
  case notTrainable(layer: String)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .shapeMismatch(let file, let layer, let down, let up, let inputs, let outputs):
      Self.start(file) + "the adapter of \(layer) has shapes \(down) and \(up), but the layer maps "
        + "\(inputs) to \(outputs)" + Self.cause(file)
    case .unmatched(let file, let layers):
      Self.start(file)
        + (layers.count == 1 ? "1 adapter matches" : "\(layers.count) adapters match")
        + " no layer of the model: "
        + layers.prefix(5).joined(separator: ", ") + (layers.count > 5 ? ", ..." : "")
        + Self.cause(file)
    case .notTrainable(let layer):
      "the adapter of \(layer) belongs to a convolution; only those of linear layers can be trained"
    }
  }

  private static func start(_ file: String?) -> String { file.map { "\($0): " } ?? "" }
  private static func cause(_ file: String?) -> String {
    file == nil ? "" : "; this LoRA was made for another base model"
  }
}

/// Adapters by the path of the layer they belong to, such as
/// `down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q`.
///
/// Paths are compared with `.` and `_` taken as equal: some files do not tell them apart.
public final class AdapterSet {
  private var byLayer: [String: [LowRankAdapter]] = [:]
  private var changesByLayer: [String: [(change: WeightChange, file: String?)]] = [:]
  private var matched: Set<String> = []
  /// Every adapter, in the order it was added.
  public private(set) var all: [LowRankAdapter] = []
  private let makeMissing: ((String, Int, Int) -> LowRankAdapter?)?

  /// An empty set.
  ///
  /// - Parameter makeMissing: called with the path, inputs and outputs of each linear layer that
  ///   has no adapter when a model is built; what it returns is added
  public init(makeMissing: ((String, Int, Int) -> LowRankAdapter?)? = nil) {
    self.makeMissing = makeMissing
  }

  /// Fresh trainable adapters of `rank` for every layer `isTarget` accepts, `down` drawn from
  /// N(0, 1/rank), `up` 0: at first they change nothing.
  public static func fresh(
    rank: Int, seed: UInt64, isTarget: @escaping (String) -> Bool
  ) -> AdapterSet {
    let weights = Weights(randomSeed: seed)
    return AdapterSet { path, inputs, outputs in
      guard isTarget(path) else { return nil }
      let scope = weights[path]
      // Fresh values are drawn, never read, so nothing can be missing or misshapen.
      guard
        let down = try? scope.parameter(
          "down", shape: [rank, inputs], initial: .normal(deviation: 1 / Float(rank))),
        let up = try? scope.parameter("up", shape: [outputs, rank], initial: .constant(0))
      else { return nil }
      return LowRankAdapter(down: down, up: up, scale: 1)
    }
  }

  public func add(_ adapter: LowRankAdapter, to layer: String) {
    byLayer[Self.normalized(layer), default: []].append(adapter)
    all.append(adapter)
  }

  /// - Parameter file: that it was read from, for messages
  public func add(_ change: WeightChange, to layer: String, file: String? = nil) {
    changesByLayer[Self.normalized(layer), default: []].append((change, file))
  }

  /// The trainable arrays, in the order that layers were built.
  public var parameters: [Parameter] { all.flatMap { [$0.down, $0.up] } }

  /// Throws if an adapter belongs to a layer that no model built so far has.
  public func requireAllMatched() throws {
    let unmatched = Set(byLayer.keys).union(changesByLayer.keys).subtracting(matched)
    guard let first = unmatched.min() else { return }
    func file(_ key: String) -> String? {
      byLayer[key]?.first?.file ?? changesByLayer[key]?.first?.file
    }
    throw AdapterError.unmatched(
      file: file(first), layers: unmatched.filter { file($0) == file(first) }.sorted())
  }

  func adapters(for layer: String, inputs: Int, outputs: Int) throws -> [LowRankAdapter] {
    let key = Self.normalized(layer)
    if byLayer[key] == nil, let adapter = makeMissing?(layer, inputs, outputs) {
      add(adapter, to: layer)
    }
    let found = byLayer[key] ?? []
    for adapter in found {
      let (down, up) = (adapter.down.storedShape, adapter.up.storedShape)
      guard down.count >= 2, up.count >= 2, down[1] == inputs, up[0] == outputs, down[0] == up[1]
      else {
        throw AdapterError.shapeMismatch(
          file: adapter.file, layer: layer, down: down, up: up, inputs: inputs, outputs: outputs)
      }
    }
    matched.insert(key)
    return found
  }

  /// A change to the whole weight of a layer.
  ///
  /// - Parameters:
  ///   - shape: of the weight in the checkpoint
  ///   - takesTerms: whether plain terms become part of the weight, too
  func changes(for layer: String, shape: [Int], takesTerms: Bool) throws -> [WeightChange] {
    let key = Self.normalized(layer)
    var changes = changesByLayer[key] ?? []
    for adapter in takesTerms ? byLayer[key] ?? [] : [] {
      guard !adapter.up.isTrainable else { throw AdapterError.notTrainable(layer: layer) }
      changes.append(
        (
          WeightChange(
            rank: adapter.down.storedShape[0], up: adapter.up.storedValues,
            down: adapter.down.storedValues, scale: adapter.scale, magnitude: nil), adapter.file
        ))
    }
    let columns = shape.dropFirst().reduce(1, *)
    for (change, file) in changes where change.outputs != shape[0] || change.columns != columns {
      throw AdapterError.shapeMismatch(
        file: file, layer: layer, down: [change.rank, change.columns],
        up: [change.outputs, change.rank],
        inputs: columns, outputs: shape[0])
    }
    if !changes.isEmpty { matched.insert(key) }
    return changes.map(\.change)
  }

  private static func normalized(_ layer: String) -> String {
    String(layer.map { $0 == "." ? "_" : $0 })
  }
}
