import Diffusion
import Files
import NN

/// A LoRA whose training goes on, in any layout that is read.
///
/// A factor alpha / rank other than 1 goes into the up matrices: what the LoRA adds stays the same.
struct StartingLoRA {
  let path: String
  let weights: LoRAWeights

  /// - Throws: `LoRAError` if the file is not one of the U-Net alone, or does not fit its layers
  init(path: String, of model: ModelFolder) throws {
    self.path = path
    weights = try LoRAFile(path: path).weights(for: model.unetLayers())
  }

  /// Puts the values into adapters of the same modules and rank.
  ///
  /// - Throws: ``StartingLoRAError``
  func copy(to adapters: AdapterSet) throws(StartingLoRAError) {
    try requireFit(adapters)
    let modules = Dictionary(uniqueKeysWithValues: weights.modules.map { ($0.layer.path, $0) })
    for adapter in adapters.all {
      guard let module = modules[adapter.modulePath] else { continue }
      adapter.down.assign(module.down)
      adapter.up.assign(module.up)
    }
  }

  /// - Throws: ``StartingLoRAError`` where modules or ranks differ from those that are trained
  func requireFit(_ adapters: AdapterSet) throws(StartingLoRAError) {
    let found = Set(weights.modules.map(\.layer.path))
    let wanted = Set(adapters.all.map(\.modulePath))
    let (missing, excess) = (wanted.subtracting(found).sorted(), found.subtracting(wanted).sorted())
    if let module = excess.first {
      throw .otherModules(path: path, count: excess.count, module: module, isMissing: false)
    }
    if let module = missing.first {
      throw .otherModules(path: path, count: missing.count, module: module, isMissing: true)
    }
    let rank = adapters.all.first?.down.storedShape[0] ?? 0
    if let module = weights.modules.first(where: { $0.rank != rank }) {
      throw .otherRank(
        path: path, module: module.layer.path, found: module.rank, expected: rank)
    }
  }
}

extension LowRankAdapter {
  /// Of a fresh one, whose arrays are named after their layer.
  fileprivate var modulePath: String { String(down.name.dropLast(".down".count)) }
}

/// Why training cannot go on from a LoRA.
enum StartingLoRAError: ClassifiedError, Equatable, CustomStringConvertible {
  case otherModules(path: String, count: Int, module: String, isMissing: Bool)
  case otherRank(path: String, module: String, found: Int, expected: Int)

  var kind: FailureKind { .input }

  var description: String {
    switch self {
    case .otherModules(let path, let count, let module, let isMissing):
      "\(path): "
        + (isMissing
          ? "lacks \(count) of the modules that stage spo trains, such as \(module)"
          : "has \(count) modules that stage spo does not train, such as \(module)")
        + "; it trains to_q, to_k, to_v and to_out.0 of every attention of the U-Net"
    case .otherRank(let path, let module, let found, let expected):
      "\(path): \(module) has rank \(found), but spo.rank is \(expected); set spo.rank to \(found)"
    }
  }
}
