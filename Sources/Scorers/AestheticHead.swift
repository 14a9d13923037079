import Autograd
import Checkpoints
import Foundation
import NN

/// LAION's aesthetic predictor: from CLIP's unit vector of an image to a mark of about 1 to 10.
///
/// - Keys: `weight`, `bias` of the first; `layers.{0,2,4,6,7}` of the improved one, whose layers have no
///   activation between them (the places between are dropouts)
/// - Source: Schuhmann et al. 2022, arXiv 2210.08402, section 3.3.1; the predictors' repositories
struct AestheticHead {
  /// The files as they are published.
  enum Version {
    case linear
    case improved

    var fileName: String {
      switch self {
      case .linear: "sa_0_4_vit_l_14_linear.pth"
      case .improved: "sac+logos+ava1-l14-linearMSE.pth"
      }
    }
  }

  private let layers: [Linear]

  /// - Parameter width: of the unit vectors
  init(path: String, _ version: Version, width: Int) throws {
    guard FileManager.default.fileExists(atPath: path) else {
      throw ScorerError.nothingThere(path: path)
    }
    let checkpoint = try openCheckpoint(path)
    let weights = Weights(try CheckpointWeights(checkpoint))
    switch version {
    case .linear: layers = [try Linear(weights, inputs: width, outputs: 1)]
    case .improved:
      // The file gives the width of a layer; the first and the last are known.
      var inputs = width
      layers = try [0, 2, 4, 6, 7].map { place in
        let name = "layers.\(place).weight"
        let outputs = place == 7 ? 1 : try checkpoint.entry(name).shape.first ?? 1
        defer { inputs = outputs }
        return try Linear(weights["layers"][place], inputs: inputs, outputs: outputs)
      }
    }
    try weights.requireAllUsed()
  }

  /// The marks, `[images, 1]`.
  ///
  /// - Parameter embeddings: unit vectors, `[images, width]`
  func callAsFunction(_ embeddings: Tensor) -> Tensor {
    withoutGradients { layers.reduce(embeddings) { $1($0) } }
  }
}
