import Autograd
import Backends
import Diffusion
package import NN
import PipelineCore

/// A U-Net with low-rank adapters of all attention projections, and the same without them: the
/// reference.
///
/// Both share the same arrays.
package struct TunedUNet {
  let reference: UNet
  let tuned: UNet
  let adapters: AdapterSet
  /// The same with averaged adapters; nil: not requested.
  let averaged: (unet: UNet, adapters: AdapterSet)?

  /// The suffixes of the tuned layers' paths: all projections of every attention.
  static let targets = [".to_q", ".to_k", ".to_v", ".to_out.0"]

  /// The tuned layers' names, for messages.
  static var targetNames: String {
    let names = targets.map { $0.dropFirst() }
    return "\(names.dropLast().joined(separator: ", ")) and \(names[names.count - 1])"
  }

  /// Returns adapters without effect, created as a U-Net is built on them.
  package static func freshAdapters(rank: Int, seed: UInt64) -> AdapterSet {
    AdapterSet.fresh(rank: rank, seed: seed) { path in
      targets.contains { path.hasSuffix($0) }
    }
  }

  /// - Parameters:
  ///   - seed: the seed of the down matrices; the up matrices start at 0
  ///   - start: initial values for the adapters instead
  ///   - averages: whether there is another U-Net, with averaged adapters
  init(
    _ model: ModelFolder, rank: Int, seed: UInt64, start: StartingLoRA? = nil,
    averages: Bool = false, usesGradientCheckpointing: Bool
  ) throws {
    adapters = Self.freshAdapters(rank: rank, seed: seed)
    let (unet, weights) = try model.unet()
    reference = unet
    var adapted = try UNet(weights.adapted(by: adapters), unet.configuration)
    adapted.usesGradientCheckpointing = usesGradientCheckpointing
    tuned = adapted
    if averages {
      let set = Self.freshAdapters(rank: rank, seed: seed)
      averaged = (try UNet(weights.adapted(by: set), unet.configuration), set)
      try start?.copy(to: set)
    } else {
      averaged = nil
    }
    try start?.copy(to: adapters)
  }
}

extension TunedUNet {
  /// The most that checkpoints and the finished LoRA take on the disk.
  ///
  /// - Parameter others: how often a checkpoint has as many numbers beside the adapters and their two moments
  static func byteCount(
    _ model: ModelFolder, rank: Int, checkpoints: Int, others: Int = 0
  ) throws -> Int {
    let count = try withBackend(PlanningBackend()) {
      let adapters = freshAdapters(rank: rank, seed: 0)
      _ = try model.unet(adapters: adapters)
      return adapters.parameters.valueCount
    }
    return 4 * count
      + CheckpointIntervals.byteCount(valueCount: count, count: checkpoints, others: others)
  }
}

extension AdapterSet {
  /// Whether the LoRA has no effect at all.
  var changesNothing: Bool { all.allSatisfy { $0.up.storedValues.allSatisfy { $0 == 0 } } }

  /// - Throws: `TrainingError.weightsNotFinite`
  func requireFinite(stage: String) throws(TrainingError) {
    guard parameters.allSatisfy(\.tensor.isFinite) else { throw .weightsNotFinite(stage: stage) }
  }
}
