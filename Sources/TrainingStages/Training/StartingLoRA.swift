import Backends
import Diffusion
import Files
import NN
import PipelineCore

/// A LoRA whose training continues, in any supported layout.
///
/// A factor alpha / rank other than 1 is folded into the up matrices, which leaves the LoRA's
/// effect unchanged.
struct StartingLoRA {
  let path: String
  private let weights: LoRAWeights
  /// The stage that trains it, for messages.
  private let stage: String

  /// - Throws: `LoRAError` if the file adapts more than the U-Net, or does not match its layers
  init(path: String, of model: ModelFolder, stage: String) throws {
    self.path = path
    self.stage = stage
    weights = try LoRAFile(path: path).weights(for: model.unetLayers())
  }

  /// Copies the values to adapters of the same modules and rank.
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

  /// Whether training has changed nothing.
  func equals(_ adapters: AdapterSet) throws -> Bool { LoRAWeights(trained: adapters) == weights }

  /// Checks the same before anything is loaded.
  func requireFit(rank: Int, of model: ModelFolder) throws {
    try withBackend(PlanningBackend()) {
      let adapters = TunedUNet.freshAdapters(rank: rank, seed: 0)
      _ = try model.unet(adapters: adapters)
      try requireFit(adapters)
    }
  }

  /// Rejects the file that the stage itself replaces.
  static func require(_ start: String?, isNot output: String, stage: String) throws {
    guard let start, Folders.canonical(start) == Folders.canonical(output) else { return }
    throw PipelineError.badSetting(
      path: "\(stage).start",
      reason: "is \(start), the file that stage \(stage) writes; copy it out of the workspace first"
    )
  }

  /// - Throws: ``StartingLoRAError`` if modules or ranks differ from those being trained
  func requireFit(_ adapters: AdapterSet) throws(StartingLoRAError) {
    let found = Set(weights.modules.map(\.layer.path))
    let wanted = Set(adapters.all.map(\.modulePath))
    let (missing, excess) = (wanted.subtracting(found).sorted(), found.subtracting(wanted).sorted())
    if let module = excess.first {
      throw .otherModules(
        path: path, stage: stage, count: excess.count, module: module, isMissing: false)
    }
    if let module = missing.first {
      throw .otherModules(
        path: path, stage: stage, count: missing.count, module: module, isMissing: true)
    }
    let rank = adapters.all.first?.down.storedShape[0] ?? 0
    if let module = weights.modules.first(where: { $0.rank != rank }) {
      throw .otherRank(
        path: path, stage: stage, module: module.layer.path, found: module.rank, expected: rank)
    }
  }
}

extension LowRankAdapter {
  /// The module path of a fresh adapter, whose arrays are named after their layer.
  fileprivate var modulePath: String { String(down.name.dropLast(".down".count)) }
}

/// Why training cannot continue from a LoRA.
enum StartingLoRAError: ClassifiedError, Equatable, CustomStringConvertible {
  case otherModules(path: String, stage: String, count: Int, module: String, isMissing: Bool)
  case otherRank(path: String, stage: String, module: String, found: Int, expected: Int)

  var kind: FailureKind { .input }

  var description: String {
    switch self {
    case .otherModules(let path, let stage, let count, let module, let isMissing):
      "\(path): "
        + (isMissing
          ? "lacks \(count) of the modules that stage \(stage) trains, such as \(module)"
          : "has \(count) modules that stage \(stage) does not train, such as \(module)")
        + "; it trains \(TunedUNet.targetNames) of every attention layer of the U-Net"
    case .otherRank(let path, let stage, let module, let found, let expected):
      "\(path): \(module) has rank \(found), but \(stage).rank is \(expected); set "
        + "\(stage).rank to \(found)"
    }
  }
}
